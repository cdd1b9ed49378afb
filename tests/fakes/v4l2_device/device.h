/* What the parts of the driver share; kernel.c says what it is. */
#ifndef DEVICE_H
#define DEVICE_H
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
#define EXPORT __attribute__((visibility("default")))
/* The C library's function, which one of ours hides. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

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

/* description.c: what the device is and what is the matter with it. */
int describe(struct client *client);
int fault(const struct client *client, const char *word);
int meets(const struct client *client, const char *word, long number);
void violation(const char *format, ...);
int refuse(int error);
int is_gone(struct client *client);

/* modes.c: what it can do. */
int enumerate_formats(const struct client *client, struct v4l2_fmtdesc *entry);
int enumerate_sizes(const struct client *client, struct v4l2_frmsizeenum *entry);
int enumerate_rates(const struct client *client, struct v4l2_frmivalenum *entry);
int set_format(struct client *client, struct v4l2_format *format, int only_try);
int set_rate(struct client *client, struct v4l2_streamparm *parm, int set);
int control(struct client *client, struct v4l2_queryctrl *query, struct v4l2_control *set);

/* buffers.c: what it shows. */
void deliver(struct client *client);
void free_buffers(struct client *client);
int request_buffers(struct client *client, int fd, struct v4l2_requestbuffers *request);
int query_buffer(const struct client *client, struct v4l2_buffer *buffer);
int queue_buffer(struct client *client, struct v4l2_buffer *buffer);
int dequeue_buffer(struct client *client, int fd, struct v4l2_buffer *answer);
int stream(struct client *client, int fd, int on);
long long now_ns(clockid_t clock);

/* kernel.c: who uses it. */
int is_busy(const struct client *client);

#endif
