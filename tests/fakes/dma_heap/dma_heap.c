/* Imitates the kernel's dma-buf heap for a program that is started with LD_PRELOAD.
 *
 * /dev/dma_heap/linux,cma can be opened, and what is allocated from it is ordinary shared
 * memory. Such buffers need no synchronization with a device, and no name. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int open_heap(void) { return memfd_create("dma-heap", MFD_CLOEXEC); }

static int is_heap(const char *path)
{
    return path != NULL && strcmp(path, "/dev/dma_heap/linux,cma") == 0;
}

#define INTERCEPT_OPEN(name)                                                  \
    int name(const char *path, int flags, ...)                                \
    {                                                                         \
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #name);        \
        va_list arguments;                                                    \
        va_start(arguments, flags);                                           \
        int has_mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE; \
        mode_t mode = has_mode ? va_arg(arguments, mode_t) : 0;               \
        va_end(arguments);                                                    \
        return is_heap(path) ? open_heap() : real(path, flags, mode);         \
    }

INTERCEPT_OPEN(open)
INTERCEPT_OPEN(open64)

int ioctl(int descriptor, unsigned long request, ...)
{
    int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (request == DMA_HEAP_IOCTL_ALLOC) {
        struct dma_heap_allocation_data *data = argument;
        int memory = memfd_create("dma-buf", MFD_CLOEXEC);
        if (memory < 0 || ftruncate(memory, (off_t)data->len) != 0)
            return -1;
        data->fd = (unsigned)memory;
        return 0;
    }
    if (_IOC_TYPE(request) == DMA_BUF_BASE)
        return 0;
    return real(descriptor, request, argument);
}
