/* A V4L2 capture driver in the place of the kernel's, for machines without a camera.
 *
 * Loaded with LD_PRELOAD, it answers open, ioctl, mmap, munmap and poll for the device nodes in
 * the folder $FAKE_V4L2_DIR; everything else goes to the C library. A node is a text file
 * `video<N>` that describes the device (see `describe` in description.c); removing it unplugs the
 * device. What goes wrong is told by words in the file `video<N>.faults`, at any time. Pictures
 * are the files `<FOURCC>-<width>x<height>/<number>` of the folder, which are shown in turn.
 *
 * A descriptor of the device is one end of a socket pair, so that waiting, duplicating and
 * closing are the real kernel's: a byte lies in it for each buffer that is ready.
 * Misuse of the interface is written to the file `violations` of the folder.
 */
#include "device.h"

static struct client *clients[CLIENTS];
static int client_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int is_closed(const struct client *client)
{
    struct pollfd peer = {client->peer, 0, 0};
    return client->gone || (REAL(poll)(&peer, 1, 0) == 1 && peer.revents & POLLHUP);
}

static struct client *client_of(int fd)
{
    struct stat file;
    if (!client_count || fstat(fd, &file) != 0 || !S_ISSOCK(file.st_mode))
        return NULL;
    for (int i = 0; i < client_count; i++)
        if (clients[i]->socket == file.st_ino)
            return clients[i];
    return NULL;
}

int is_busy(const struct client *client)
{
    for (int i = 0; i < client_count; i++)
        if (clients[i] != client && clients[i]->count && !strcmp(clients[i]->node, client->node)
            && !is_closed(clients[i]))
            return 1;
    return fault(client, "busy");
}

static void *run(void *argument)
{
    struct client *client = argument;
    for (;;) {
        struct timespec pause = {0, TICK_NS};
        pthread_mutex_lock(&lock);
        if (is_gone(client) || is_closed(client)) {
            client->gone = 1;
            client->streaming = 0;
            free_buffers(client);
            close(client->peer);
            pthread_mutex_unlock(&lock);
            return NULL;
        }
        long long now = now_ns(CLOCK_MONOTONIC);
        if (client->streaming && now >= client->next_ns) {
            deliver(client);
            client->next_ns += SECOND_NS / client->fps;
        }
        if (client->streaming && client->next_ns - now < TICK_NS)
            pause.tv_nsec = client->next_ns > now ? client->next_ns - now : 0;
        pthread_mutex_unlock(&lock);
        nanosleep(&pause, NULL);
    }
}

static int open_device(const char *node, int flags)
{
    int ends[2];
    struct stat file;
    pthread_t thread;
    if (stat(node, &file) != 0)
        return refuse(ENOENT);
    struct client *client = calloc(1, sizeof *client);
    snprintf(client->node, sizeof client->node, "%s", node);
    client->made = file.st_ctim;
    if (fault(client, "denied"))
        return refuse(EACCES);
    if (describe(client) != 0 || client_count == CLIENTS)
        return refuse(EIO);
    int type = SOCK_STREAM | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0);
    if (socketpair(AF_UNIX, type | (flags & O_CLOEXEC ? SOCK_CLOEXEC : 0), 0, ends) != 0)
        return -1;
    fstat(ends[0], &file);
    client->socket = file.st_ino;
    client->peer = ends[1];
    client->current = client->modes[0];
    client->fps = client->modes[0].fps[0];
    client->memory = -1;
    clients[client_count++] = client;
    if (pthread_create(&thread, NULL, run, client) != 0)
        abort();
    pthread_detach(thread);
    return ends[0];
}

static int answer(struct client *client, int fd, unsigned request, void *argument)
{
    if (is_gone(client))
        return refuse(ENODEV);
    if (request != VIDIOC_QUERYCAP && !(client->device_caps & V4L2_CAP_VIDEO_CAPTURE))
        return refuse(ENOTTY);
    switch (request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *answer = argument;
        memset(answer, 0, sizeof *answer);
        memcpy(answer->driver, client->driver, sizeof client->driver);
        memcpy(answer->card, client->card, sizeof client->card);
        answer->capabilities = client->capabilities;
        answer->device_caps = client->device_caps;
        return 0;
    }
    case VIDIOC_ENUM_FMT: return enumerate_formats(client, argument);
    case VIDIOC_ENUM_FRAMESIZES: return enumerate_sizes(client, argument);
    case VIDIOC_ENUM_FRAMEINTERVALS: return enumerate_rates(client, argument);
    case VIDIOC_TRY_FMT: return set_format(client, argument, 1);
    case VIDIOC_S_FMT: return set_format(client, argument, 0);
    case VIDIOC_G_PARM: return set_rate(client, argument, 0);
    case VIDIOC_S_PARM: return set_rate(client, argument, 1);
    case VIDIOC_QUERYCTRL: return control(client, argument, NULL);
    case VIDIOC_S_CTRL: return control(client, NULL, argument);
    case VIDIOC_REQBUFS: return request_buffers(client, fd, argument);
    case VIDIOC_QBUF: return queue_buffer(client, argument);
    case VIDIOC_DQBUF: return dequeue_buffer(client, fd, argument);
    case VIDIOC_STREAMON: return stream(client, fd, 1);
    case VIDIOC_STREAMOFF: return stream(client, fd, 0);
    case VIDIOC_QUERYBUF: return query_buffer(client, argument);
    default: return refuse(ENOTTY);
    }
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list values;
    va_start(values, request);
    void *argument = va_arg(values, void *);
    va_end(values);
    pthread_mutex_lock(&lock);
    struct client *client = client_of(fd);
    int result = client ? answer(client, fd, request, argument) : 0;
    pthread_mutex_unlock(&lock);
    return client ? result : REAL(ioctl)(fd, request, argument);
}

static int open_any(const char *path, int flags, mode_t mode)
{
    char folder[PATH_MAX], node[PATH_MAX];
    const char *fakes = getenv("FAKE_V4L2_DIR");
    if (fakes && realpath(fakes, folder) && realpath(path, node)) {
        size_t length = strlen(folder);
        if (!strncmp(node, folder, length) && !strncmp(node + length, "/video", 6)
            && !node[length + 6 + strspn(node + length + 6, "0123456789")]) {
            pthread_mutex_lock(&lock);
            int fd = open_device(node, flags);
            pthread_mutex_unlock(&lock);
            return fd;
        }
    }
    return REAL(open)(path, flags, mode);
}

EXPORT int open(const char *path, int flags, ...)
{
    va_list values;
    va_start(values, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(values, mode_t) : 0;
    va_end(values);
    return open_any(path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...) __attribute__((alias("open")));

EXPORT void *mmap(void *address, size_t length, int access, int flags, int fd, off_t offset)
{
    pthread_mutex_lock(&lock);
    struct client *client = fd < 0 ? NULL : client_of(fd);
    int memory = client ? client->memory : fd;
    void *result = REAL(mmap)(address, length, access, flags, memory, offset);
    if (client && result != MAP_FAILED)
        client->buffers[offset / client->length].mapped = result;
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT void *mmap64(void *, size_t, int, int, int, off_t) __attribute__((alias("mmap")));

EXPORT int munmap(void *address, size_t length)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < client_count; i++)
        for (int n = 0; n < BUFFERS; n++) {
            if (clients[i]->buffers[n].mapped != address)
                continue;
            if (clients[i]->streaming)
                violation("munmap of buffer %d while streaming", n);
            clients[i]->buffers[n].mapped = NULL;
        }
    pthread_mutex_unlock(&lock);
    return REAL(munmap)(address, length);
}

/* The kernel tells an unplugged device by POLLERR beside POLLHUP; a socket knows POLLHUP only. */
EXPORT int poll(struct pollfd *files, nfds_t count, int timeout_ms)
{
    int result = REAL(poll)(files, count, timeout_ms);
    for (nfds_t i = 0; result > 0 && i < count; i++)
        if (files[i].revents & POLLHUP && client_of(files[i].fd))
            files[i].revents = POLLERR | POLLHUP;
    return result;
}

__attribute__((destructor)) static void leave(void)
{
    pthread_mutex_lock(&lock);
    for (int fd = 0; fd < CLIENTS; fd++)
        if (client_of(fd))
            violation("descriptor %d was left open", fd);
    for (int i = 0; i < client_count; i++)
        for (int n = 0; n < BUFFERS; n++)
            if (clients[i]->buffers[n].mapped)
                violation("buffer %d was left mapped", n);
    pthread_mutex_unlock(&lock);
}
