/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Moves the real-time clock of one process: preloaded, it adds what the file
 * $CHAOS_CLOCK holds, a number of microseconds in binary, to all that the
 * process asks.  The machine's clock stays, and so does CLOCK_MONOTONIC,
 * which no jump moves.
 *
 * Timers of CLOCK_REALTIME follow, as the kernel's would: a thread looks for
 * jumps and sets them anew.
 *
 * Not taken: a time namespace, which has no offset for CLOCK_REALTIME.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define FDS      4096
#define LOOK_US  10000
#define SEC_NS   INT64_C(1000000000)

static const int64_t no_offset;
static const int64_t *offset_us = &no_offset;

static int (*next_clock_gettime)(clockid_t clock, struct timespec *ret);
static int (*next_timerfd_create)(int clock, int flags);
static int (*next_timerfd_settime)(int fd, int flags,
                                   const struct itimerspec *value,
                                   struct itimerspec *old);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	bool real_time, absolute;
	int flags;
	struct itimerspec value;
} timers[FDS];

static int64_t offset(void)
{
	return __atomic_load_n(offset_us, __ATOMIC_RELAXED);
}

static void move(struct timespec *at, int64_t by_us)
{
	int64_t ns = at->tv_sec * SEC_NS + at->tv_nsec + by_us * 1000;

	ns = ns > 0 ? ns : 1; /* all zero would disarm a timer */
	at->tv_sec = ns / SEC_NS;
	at->tv_nsec = ns % SEC_NS;
}

static bool is_set(const struct timespec *at)
{
	return at->tv_sec != 0 || at->tv_nsec != 0;
}

static int set_moved(int fd, struct itimerspec *old)
{
	struct itimerspec moved = timers[fd].value;

	if (is_set(&moved.it_value))
		move(&moved.it_value, -offset());
	return next_timerfd_settime(fd, timers[fd].flags, &moved, old);
}

static void *follow(void *unused)
{
	int64_t seen = offset();

	(void) unused;
	for (;; usleep(LOOK_US)) {
		if (offset() == seen)
			continue;
		seen = offset();
		pthread_mutex_lock(&lock);
		for (int fd = 0; fd < FDS; fd++)
			if (timers[fd].absolute &&
			    is_set(&timers[fd].value.it_value))
				set_moved(fd, NULL);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void resolve(void)
{
	next_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	next_timerfd_create = dlsym(RTLD_NEXT, "timerfd_create");
	next_timerfd_settime = dlsym(RTLD_NEXT, "timerfd_settime");
}

static __attribute__((constructor)) void begin(void)
{
	const char *path = getenv("CHAOS_CLOCK");
	sigset_t all, before;
	pthread_t thread;
	void *base;
	int fd;

	if (!next_clock_gettime)
		resolve();
	fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	base = mmap(NULL, sizeof(*offset_us), PROT_READ, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		abort();
	close(fd);
	offset_us = base;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, follow, NULL) != 0)
		abort();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* --- what the process asks ------------------------------------------------ */

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int r;

	if (!next_clock_gettime)
		resolve();
	r = next_clock_gettime(clock, ret);
	if (r == 0 &&
	    (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		move(ret, offset());
	return r;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec now;

	(void) zone;
	clock_gettime(CLOCK_REALTIME, &now);
	ret->tv_sec = now.tv_sec;
	ret->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}

int timerfd_create(int clock, int flags)
{
	int fd = next_timerfd_create(clock, flags);

	if (fd >= FDS)
		abort();
	if (fd >= 0) {
		pthread_mutex_lock(&lock);
		timers[fd].real_time = clock == CLOCK_REALTIME;
		timers[fd].absolute = false;
		pthread_mutex_unlock(&lock);
	}
	return fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *value,
                    struct itimerspec *old)
{
	int r;

	if (fd < 0 || fd >= FDS || !timers[fd].real_time)
		return next_timerfd_settime(fd, flags, value, old);
	pthread_mutex_lock(&lock);
	timers[fd].absolute = (flags & TFD_TIMER_ABSTIME) != 0;
	timers[fd].flags = flags;
	timers[fd].value = *value;
	r = timers[fd].absolute ? set_moved(fd, old)
	                        : next_timerfd_settime(fd, flags, value, old);
	pthread_mutex_unlock(&lock);
	return r;
}
