/* The buffers of the device: made, filled at the frame rate, queued and dequeued. */
#include "device.h"

long long now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* Fills the buffer that was queued first, as the camera's interrupt does. */
void deliver(struct client *client)
{
    long number = client->sequence++;
    char path[PATH_MAX + 64];
    if (!client->queued || fault(client, "stall") || meets(client, "lose", number))
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
    if (meets(client, "damage", number))
        used /= 2;
    if (meets(client, "empty", number))
        used = 0;
    buffer->used = used;
    buffer->state = READY;
    buffer->sequence = client->uncounted ? 0 : number;
    buffer->stamp_ns = now_ns(client->wall_clock ? CLOCK_REALTIME : CLOCK_MONOTONIC);
    buffer->flags = client->wall_clock ? 0 : V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    if (meets(client, "flag", number))
        buffer->flags |= V4L2_BUF_FLAG_ERROR;
    memmove(client->queue, client->queue + 1, --client->queued * sizeof client->queue[0]);
    client->ready[client->ready_count++] = index;
    if (write(client->peer, "", 1) != 1)
        violation("too many buffers are ready");
}

void free_buffers(struct client *client)
{
    if (client->count) {
        REAL(munmap)(client->bytes, client->count * client->length);
        close(client->memory);
    }
    client->count = 0;
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

int request_buffers(struct client *client, int fd, struct v4l2_requestbuffers *request)
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

int query_buffer(const struct client *client, struct v4l2_buffer *buffer)
{
    if (buffer->index >= (__u32)client->count)
        return refuse(EINVAL);
    buffer->length = client->length;
    buffer->m.offset = buffer->index * client->length;
    return 0;
}

int queue_buffer(struct client *client, struct v4l2_buffer *buffer)
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

int dequeue_buffer(struct client *client, int fd, struct v4l2_buffer *answer)
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

int stream(struct client *client, int fd, int on)
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
