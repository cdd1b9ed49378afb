/* A wall clock that is wrong, and may jump, for programs that are started with it in front.
 *
 *     WALL_CLOCK=FILE LD_PRELOAD=wall_clock.so PROGRAM
 *
 * FILE holds one int64 in the machine's byte order: by how many nanoseconds the clock is ahead
 * (negative: behind). Whoever writes another number there makes the clock jump, in all programs
 * at once. CLOCK_MONOTONIC and CLOCK_BOOTTIME stay right, as they do on a real machine.
 *
 * libfaketime cannot do that for Python 3.11 and later: it fakes CLOCK_MONOTONIC as well, or has
 * time.sleep() fail with EINVAL.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL

static const volatile int64_t *offset;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("WALL_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *page = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED)
        offset = page;
}

static int64_t ahead(void) { return offset ? *offset : 0; }

static struct timespec shifted(struct timespec moment, int64_t by) {
    int64_t ns = moment.tv_nsec + by % NS_PER_S;
    moment.tv_sec += by / NS_PER_S + (ns >= NS_PER_S) - (ns < 0);
    moment.tv_nsec = ns + (ns < 0 ? NS_PER_S : 0) - (ns >= NS_PER_S ? NS_PER_S : 0);
    return moment;
}

static int is_wall(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, now);
    if (status == 0 && is_wall(clock))
        *now = shifted(*now, ahead());
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec moment;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &moment))
        return -1;
    now->tv_sec = moment.tv_sec;
    now->tv_usec = moment.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec moment;
    if (clock_gettime(CLOCK_REALTIME, &moment))
        return -1;
    if (result)
        *result = moment.tv_sec;
    return moment.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

/* Moments until which the kernel is to wait are turned back into its own time. */

static struct timespec kernel_time(const struct timespec *until) {
    return shifted(*until, -ahead());
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until,
                    struct timespec *left) {
    int (*real)(clockid_t, int, const struct timespec *, struct timespec *) =
        dlsym(RTLD_NEXT, "clock_nanosleep");
    struct timespec moment = *until;
    if (is_wall(clock) && flags & TIMER_ABSTIME)
        moment = kernel_time(until);
    return real(clock, flags, &moment, left);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    int (*real)(sem_t *, const struct timespec *) = dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec moment = kernel_time(until);
    return real(semaphore, &moment);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex,
                            const struct timespec *restrict until) {
    int (*real)(pthread_mutex_t *, const struct timespec *) =
        dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    struct timespec moment = kernel_time(until);
    return real(mutex, &moment);
}

/* A condition may wait by either clock, and does not tell which: the wall clock shows at least
 * decades since 1970, and the other one what has passed since the boot. */
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *) =
        dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!real)
        real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    struct timespec boot, moment = *until;
    syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &boot);
    if (moment.tv_sec > 2 * boot.tv_sec + 10 * 365 * 86400LL)
        moment = kernel_time(until);
    return real(condition, mutex, &moment);
}
