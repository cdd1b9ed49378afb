/* A V4L2 capture driver in the place of the kernel's, for machines without a camera.
 *
 * Loaded with LD_PRELOAD, it answers open, ioctl, mmap, munmap and poll for the device nodes in
 * the folder $FAKE_V4L2_DIR; everything else goes to the C library. A node is a text file
 * `video<N>` that describes the device (see `describe` below); removing the file unplugs it.
 * What goes wrong is told by the words in the file `video<N>.faults`, at any time. Pictures are
 * the files `<FOURCC>-<width>x<height>/<number>` of the folder, which are shown in turn.
 *
 * A descriptor of the device is one end of a socket pair, so that waiting, duplicating and
 * closing are the real kernel's: a byte lies in it for each buffer that is ready.
 * Misuse of the interface is written to the file `violations` of the folder.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MODES 32
#define BUFFERS 8
#define CLIENTS 1024
#define TICK_NS 10000000LL
#define SECOND_NS 1000000000LL
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum state { OURS, QUEUED, READY }; /* OURS: the program's own */

struct mode {
    __u32 fourcc, width, height, stride, size;
    __u32 most_width, most_height, step; /* of a range of sizes; step 0 for a single one */
    __u32 fps[8], rates;
};

struct buffer {
    enum state state;
    void *mapped; /* by the program */
    __u32 used, flags, sequence;
    long long stamp_ns;
};

struct client { /* one open file */
    char node[PATH_MAX];
    struct timespec made; /* the node's ctime: another one is another device */
    int peer, gone, pictures, streaming, wall_clock, uncounted, unlisted;
    ino_t socket;
    char driver[16], card[32];
    __u32 capabilities, device_caps;
    struct mode modes[MODES], current;
    int mode_count, fps;
    struct v4l2_queryctrl controls[8];
    int control_count;
    int memory; /* a memfd that holds the buffers */
    char *bytes;
    size_t length; /* of a buffer, in whole pages */
    struct buffer buffers[BUFFERS];
    int count, queue[BUFFERS], queued, ready[BUFFERS], ready_count;
    long sequence;
    long long next_ns;
};

static struct client *clients[CLIENTS];
static int client_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void violation(const char *format, ...)
{
    char path[PATH_MAX], text[256];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(text, sizeof text - 1, format, values);
    va_end(values);
    text[length] = '\n';
    snprintf(path, sizeof path, "%s/violations", getenv("FAKE_V4L2_DIR"));
    int fd = REAL(open)(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (write(fd, text, length + 1) < 0)
        abort();
    close(fd);
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

/* The number after a word of the faults file, e.g. 3 for `lose=3`; 1 for a word alone; else 0. */
static int fault(const struct client *client, const char *word)
{
    char path[PATH_MAX + 8], text[256] = " ";
    snprintf(path, sizeof path, "%s.faults", client->node);
    int fd = REAL(open)(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text + 1, sizeof text - 2);
    close(fd);
    text[length < 0 ? 1 : length + 1] = 0;
    char spaced[32];
    snprintf(spaced, sizeof spaced, " %s", word);
    char *found = strstr(text, spaced);
    if (!found)
        return 0;
    found += strlen(spaced);
    return *found == '=' ? atoi(found + 1) : 1;
}

static int every(const struct client *client, const char *word)
{
    int n = fault(client, word);
    return n > 0 && client->sequence % n == n - 1;
}

static long long now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* Reads the node. Lines: `driver NAME`, `card NAME`, `caps HEX HEX` (of the device, of the node),
 * `wall-clock` (time stamps), `uncounted` (no sequence numbers), `unlisted` (no list of sizes),
 * `pictures N`, `control ID LEAST MOST NAME`, `mode FOURCC W H BYTESPERLINE SIZEIMAGE FPS…`,
 * `range FOURCC W H MOST_W MOST_H STEP LEAST_FPS MOST_FPS`. */
static int describe(struct client *client)
{
    FILE *file = fopen(client->node, "re");
    char line[256], fourcc[5];
    if (!file)
        return -1;
    while (fgets(line, sizeof line, file)) {
        struct mode mode = {0};
        struct v4l2_queryctrl *control = &client->controls[client->control_count];
        __u32 *fps = mode.fps;
        line[strcspn(line, "\n")] = 0;
        sscanf(line, "driver %15s", client->driver);
        sscanf(line, "card %31[^\n]", client->card);
        sscanf(line, "caps %x %x", &client->capabilities, &client->device_caps);
        sscanf(line, "pictures %d", &client->pictures);
        client->wall_clock |= !strcmp(line, "wall-clock");
        client->uncounted |= !strcmp(line, "uncounted");
        client->unlisted |= !strcmp(line, "unlisted");
        if (sscanf(line, "control %u %d %d %31[^\n]", &control->id, &control->minimum,
                   &control->maximum, control->name) == 4)
            client->control_count++;
        int fields = sscanf(line, "mode %4c %u %u %u %u %u %u %u", fourcc, &mode.width,
                            &mode.height, &mode.stride, &mode.size, fps, fps + 1, fps + 2);
        int range = sscanf(line, "range %4c %u %u %u %u %u %u %u", fourcc, &mode.width,
                           &mode.height, &mode.most_width, &mode.most_height, &mode.step, fps,
                           fps + 1);
        fields = fields > range ? fields : range;
        if (fields < 5)
            continue;
        mode.rates = fields == range ? 2 : fields - 5;
        memcpy(&mode.fourcc, fourcc, 4);
        client->modes[client->mode_count++] = mode;
    }
    fclose(file);
    return 0;
}

static int is_gone(struct client *client)
{
    struct stat node;
    if (!client->gone)
        client->gone = stat(client->node, &node) != 0 || client->made.tv_sec != node.st_ctim.tv_sec
                       || client->made.tv_nsec != node.st_ctim.tv_nsec;
    return client->gone;
}

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

static int is_busy(const struct client *client)
{
    for (int i = 0; i < client_count; i++)
        if (clients[i] != client && clients[i]->count && !strcmp(clients[i]->node, client->node)
            && !is_closed(clients[i]))
            return 1;
    return fault(client, "busy");
}

/* Fills the buffer that was queued first, as the camera's interrupt does. */
static void deliver(struct client *client)
{
    long number = client->sequence++;
    char path[PATH_MAX + 64];
    if (!client->queued || fault(client, "stall") || every(client, "lose"))
        return;
    int index = client->queue[0];
    struct buffer *buffer = &client->buffers[index];
    snprintf(path, sizeof path, "%s/%.4s-%ux%u/%ld", getenv("FAKE_V4L2_DIR"),
             (char *)&client->current.fourcc, client->current.width, client->current.height,
             number % (client->pictures ? client->pictures : 1));
    int fd = REAL(open)(path, O_RDONLY | O_CLOEXEC);
    ssize_t used = fd < 0 ? -1 : read(fd, client->bytes + index * client->length, client->length);
    if (used < 0)
        violation("no picture %s", path);
    close(fd);
    if (every(client, "damage"))
        used /= 2;
    if (every(client, "empty"))
        used = 0;
    buffer->used = used;
    buffer->state = READY;
    buffer->sequence = client->uncounted ? 0 : number;
    buffer->stamp_ns = now_ns(client->wall_clock ? CLOCK_REALTIME : CLOCK_MONOTONIC);
    buffer->flags = client->wall_clock ? 0 : V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    if (every(client, "flag"))
        buffer->flags |= V4L2_BUF_FLAG_ERROR;
    memmove(client->queue, client->queue + 1, --client->queued * sizeof client->queue[0]);
    client->ready[client->ready_count++] = index;
    if (write(client->peer, "", 1) != 1)
        violation("too many buffers are ready");
}

static void free_buffers(struct client *client)
{
    if (client->count) {
        REAL(munmap)(client->bytes, client->count * client->length);
        close(client->memory);
    }
    client->count = 0;
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
    struct client *client = calloc(1, sizeof *client);
    snprintf(client->node, sizeof client->node, "%s", node);
    if (stat(node, &file) != 0)
        return refuse(ENOENT);
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

/* The nearest mode: of the same format if there is one, then by the area. */
static struct mode nearest(const struct client *client, const struct v4l2_pix_format *pix)
{
    struct mode best = client->modes[0];
    double least = 1e18;
    for (int i = 0; i < client->mode_count; i++) {
        struct mode mode = client->modes[i];
        if (mode.step) {
            __u32 wide = pix->width - (pix->width - mode.width) % mode.step;
            __u32 high = pix->height - (pix->height - mode.height) % mode.step;
            mode.width = wide > mode.most_width ? mode.most_width : wide;
            mode.height = high > mode.most_height ? mode.most_height : high;
            mode.stride = mode.width * 2;
            mode.size = mode.stride * mode.height;
        }
        double off = (double)mode.width * mode.height - (double)pix->width * pix->height;
        off = (off < 0 ? -off : off) + (mode.fourcc == pix->pixelformat ? 0 : 1e9);
        if (off < least) {
            least = off;
            best = mode;
        }
    }
    return best;
}

static int enumerate_formats(const struct client *client, struct v4l2_fmtdesc *entry)
{
    __u32 found = 0;
    for (int i = 0; i < client->mode_count; i++) {
        if (i && client->modes[i].fourcc == client->modes[i - 1].fourcc)
            continue;
        if (found++ == entry->index) {
            entry->pixelformat = client->modes[i].fourcc;
            return 0;
        }
    }
    return refuse(EINVAL);
}

static int enumerate_sizes(const struct client *client, struct v4l2_frmsizeenum *entry)
{
    __u32 found = 0;
    if (client->unlisted)
        return refuse(ENOTTY);
    for (int i = 0; i < client->mode_count; i++) {
        const struct mode *mode = &client->modes[i];
        if (mode->fourcc != entry->pixel_format || found++ != entry->index)
            continue;
        entry->type = mode->step ? V4L2_FRMSIZE_TYPE_STEPWISE : V4L2_FRMSIZE_TYPE_DISCRETE;
        entry->discrete = (struct v4l2_frmsize_discrete){mode->width, mode->height};
        if (mode->step)
            entry->stepwise = (struct v4l2_frmsize_stepwise){
                mode->width, mode->most_width, mode->step,
                mode->height, mode->most_height, mode->step};
        return 0;
    }
    return refuse(EINVAL);
}

static int enumerate_rates(const struct client *client, struct v4l2_frmivalenum *entry)
{
    if (client->unlisted)
        return refuse(ENOTTY);
    for (int i = 0; i < client->mode_count; i++) {
        const struct mode *mode = &client->modes[i];
        int inside = mode->step && entry->width >= mode->width && entry->height >= mode->height
                     && entry->width <= mode->most_width && entry->height <= mode->most_height;
        if (mode->fourcc != entry->pixel_format
            || !(inside || (mode->width == entry->width && mode->height == entry->height)))
            continue;
        if (entry->index >= (mode->step ? 1 : mode->rates))
            return refuse(EINVAL);
        entry->type = mode->step ? V4L2_FRMIVAL_TYPE_CONTINUOUS : V4L2_FRMIVAL_TYPE_DISCRETE;
        entry->discrete = (struct v4l2_fract){1, mode->fps[entry->index]};
        if (mode->step)
            entry->stepwise = (struct v4l2_frmival_stepwise){
                {1, mode->fps[1]}, {1, mode->fps[0]}, {1, 1}};
        return 0;
    }
    return refuse(EINVAL);
}

static int set_format(struct client *client, struct v4l2_format *format, int only_try)
{
    struct mode mode = nearest(client, &format->fmt.pix);
    if (!only_try && (client->count || is_busy(client))) {
        if (client->count)
            violation("S_FMT while there are buffers");
        return refuse(EBUSY);
    }
    format->fmt.pix = (struct v4l2_pix_format){
        .width = mode.width, .height = mode.height, .pixelformat = mode.fourcc,
        .field = V4L2_FIELD_NONE, .bytesperline = mode.stride, .sizeimage = mode.size,
        .colorspace = V4L2_COLORSPACE_SRGB};
    if (!only_try) {
        client->current = mode;
        client->fps = mode.fps[0];
    }
    return 0;
}

static int set_rate(struct client *client, struct v4l2_streamparm *parm, int set)
{
    struct v4l2_captureparm *capture = &parm->parm.capture;
    if (client->unlisted)
        return refuse(ENOTTY);
    if (set && capture->timeperframe.numerator)
        client->fps = capture->timeperframe.denominator / capture->timeperframe.numerator;
    *capture = (struct v4l2_captureparm){
        .capability = V4L2_CAP_TIMEPERFRAME, .timeperframe = {1, client->fps}};
    return 0;
}

static void take_all(struct client *client, int fd)
{
    char bytes[BUFFERS];
    client->streaming = client->queued = client->ready_count = 0;
    for (int i = 0; i < BUFFERS; i++)
        client->buffers[i].state = OURS;
    /* The bytes of buffers that were ready and are no more. */
    if (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) < 0 && errno != EAGAIN)
        violation("no descriptor of the device");
}

static int request_buffers(struct client *client, int fd, struct v4l2_requestbuffers *request)
{
    if (request->memory != V4L2_MEMORY_MMAP)
        return refuse(EINVAL);
    if (is_busy(client))
        return refuse(EBUSY);
    for (int i = 0; i < client->count; i++)
        if (client->buffers[i].mapped)
            violation("REQBUFS while buffer %d is mapped", i);
    take_all(client, fd);
    free_buffers(client);
    client->count = request->count = request->count > BUFFERS ? BUFFERS : request->count;
    if (!client->count)
        return 0;
    long page = sysconf(_SC_PAGESIZE);
    client->length = (client->current.size + page - 1) / page * page;
    client->memory = memfd_create("buffers", MFD_CLOEXEC);
    if (ftruncate(client->memory, client->count * client->length) != 0)
        return refuse(ENOMEM);
    client->bytes = REAL(mmap)(NULL, client->count * client->length, PROT_READ | PROT_WRITE,
                               MAP_SHARED, client->memory, 0);
    return 0;
}

static int queue_buffer(struct client *client, struct v4l2_buffer *buffer)
{
    if (buffer->index >= (__u32)client->count || buffer->memory != V4L2_MEMORY_MMAP
        || client->buffers[buffer->index].state != OURS) {
        violation("QBUF of buffer %u, which is not the program's", buffer->index);
        return refuse(EINVAL);
    }
    /* Whoever still looks at what it has given back sees it. */
    memset(client->bytes + buffer->index * client->length, 0xAA, client->length);
    client->buffers[buffer->index].state = QUEUED;
    client->queue[client->queued++] = buffer->index;
    return 0;
}

static int dequeue_buffer(struct client *client, int fd, struct v4l2_buffer *answer)
{
    char byte;
    if (!client->streaming) {
        violation("DQBUF without STREAMON");
        return refuse(EINVAL);
    }
    if (fault(client, "failing"))
        return refuse(EIO);
    if (!client->ready_count)
        return refuse(EAGAIN);
    if (read(fd, &byte, 1) != 1)
        return refuse(EAGAIN);
    int index = client->ready[0];
    struct buffer *buffer = &client->buffers[index];
    memmove(client->ready, client->ready + 1, --client->ready_count * sizeof client->ready[0]);
    buffer->state = OURS;
    *answer = (struct v4l2_buffer){
        .index = index, .type = answer->type, .bytesused = buffer->used, .flags = buffer->flags,
        .sequence = buffer->sequence, .memory = V4L2_MEMORY_MMAP, .length = client->length,
        .timestamp = {buffer->stamp_ns / SECOND_NS, buffer->stamp_ns % SECOND_NS / 1000}};
    answer->m.offset = index * client->length;
    return 0;
}

static int stream(struct client *client, int fd, int on)
{
    if (on && fault(client, "crowded"))
        return refuse(ENOSPC);
    if (!on) {
        take_all(client, fd);
        return 0;
    }
    if (client->queued < 2)
        violation("STREAMON with %d buffers", client->queued);
    client->streaming = 1;
    client->sequence = 0;
    client->next_ns = now_ns(CLOCK_MONOTONIC) + SECOND_NS / client->fps;
    return 0;
}

static int control(struct client *client, struct v4l2_queryctrl *query, struct v4l2_control *set)
{
    __u32 wanted = query ? query->id & ~V4L2_CTRL_FLAG_NEXT_CTRL : set->id;
    for (int i = 0; i < client->control_count; i++) {
        struct v4l2_queryctrl *known = &client->controls[i];
        if (query && (query->id == known->id
                      || (query->id & V4L2_CTRL_FLAG_NEXT_CTRL && known->id > wanted))) {
            *query = *known;
            return 0;
        }
        if (set && set->id == known->id) {
            char path[PATH_MAX + 16];
            snprintf(path, sizeof path, "%s.controls", client->node);
            FILE *file = fopen(path, "ae");
            fprintf(file, "%s=%d\n", known->name, set->value);
            fclose(file);
            return 0;
        }
    }
    return refuse(EINVAL);
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
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;
        if (buffer->index >= (__u32)client->count)
            return refuse(EINVAL);
        buffer->length = client->length;
        buffer->m.offset = buffer->index * client->length;
        return 0;
    }
    default: return refuse(ENOTTY);
    }
}

int ioctl(int fd, unsigned long request, ...)
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

int open(const char *path, int flags, ...)
{
    va_list values;
    va_start(values, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(values, mode_t) : 0;
    va_end(values);
    return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

void *mmap(void *address, size_t length, int access, int flags, int fd, off_t offset)
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

void *mmap64(void *, size_t, int, int, int, off_t) __attribute__((alias("mmap")));

int munmap(void *address, size_t length)
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
int poll(struct pollfd *files, nfds_t count, int timeout_ms)
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
