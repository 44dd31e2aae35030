/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Preloaded into nginx, measures how much CPU time a worker takes from one
 * epoll_wait() to the next, and before the first that waits.  That is what a
 * request has to wait for, whatever else runs on the machine.
 *
 * The greatest of all workers, in microseconds, are the two numbers in the file
 * that $LONGEST_TURN names: 16 bytes, which whoever reads them resets.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static uint64_t *longest; /* turn, start */

static uint64_t cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static void __attribute__((constructor)) attach(void)
{
	const char *path = getenv("LONGEST_TURN");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	longest = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (longest == MAP_FAILED)
		longest = NULL;
	close(fd);
}

static void note(uint64_t *most, uint64_t us)
{
	uint64_t before = __atomic_load_n(most, __ATOMIC_RELAXED);

	while (us > before &&
	       !__atomic_compare_exchange_n(most, &before, us, 0,
	                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		continue;
}

int epoll_wait(int set, struct epoll_event *events, int count, int timeout)
{
	static int (*next)(int, struct epoll_event *, int, int);
	static uint64_t began_us;
	static int turns;
	int n;

	if (!next)
		*(void **) &next = dlsym(RTLD_NEXT, "epoll_wait");
	/* a worker tries epoll_wait() out before its modules start */
	if (longest && began_us)
		note(&longest[!turns++], cpu_us() - began_us);
	n = next(set, events, count, timeout);
	began_us = cpu_us();
	return n;
}
