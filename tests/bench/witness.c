/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A backend that says when: it answers 200 to whatever asks on any address of
 * one port, knows by the kernel's own stamp when each request arrived, and
 * does what a line on its standard input says, one at a time:
 *
 *   flip FALL RISE HOLD_MS   fails its health check, and passes again HOLD_MS
 *                            after the FALL-th failing answer
 *       prints, when traffic is back, `AT LAST COUNT BACK`: when that answer
 *       was, how long after it the last request arrived (0: none did), how
 *       many did after it, and how long after the RISE-th passing answer the
 *       next one came
 *   first COUNT
 *       prints, when COUNT requests have arrived from now on, when the first
 *       and when the last of them did
 *
 * Times are microseconds of CLOCK_MONOTONIC.  An answer's time is that before
 * it is written, and a request's that at which its bytes were in the kernel:
 * how long this process waits for a processor is no part of what is measured,
 * and what was picked before and arrives after counts.
 *
 *   witness PORT
 */
#include "listener.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH 256

static const char health[] = "GET /healthz ";
static const char passes[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static const char fails[] =
	"HTTP/1.1 503 Sick\r\nContent-Length: 4\r\n\r\nsick";

enum phase { IDLE, FAILING, HOLDING, PASSING, COUNTING };

static struct {
	enum phase phase;
	unsigned fall, rise, hold_ms;
	unsigned answers; /* of the health check, in this phase */
	int64_t down_us; /* before the last failing answer was written */
	int64_t up_us; /* before the last passing one was */
	int64_t last_us;
	unsigned long late; /* arrived between the two */
	unsigned long count, wanted;
	int64_t first_us;
} task;

static int64_t real_ahead_us; /* of CLOCK_MONOTONIC */

static int64_t clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void take(int set, int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
		watch(set, fd);
}

/* When what was read last arrived; now, if the kernel does not say. */
static int64_t arrival_us(struct msghdr *message)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);
	struct timespec at;

	if (control == NULL || control->cmsg_type != SCM_TIMESTAMPNS)
		return clock_us(CLOCK_MONOTONIC);
	memcpy(&at, CMSG_DATA(control), sizeof(at));
	return (int64_t) at.tv_sec * 1000000 + at.tv_nsec / 1000 -
	       real_ahead_us;
}

static void begin(char *line)
{
	task.answers = 0;
	task.late = 0;
	task.last_us = 0;
	task.count = 0;
	real_ahead_us = clock_us(CLOCK_REALTIME) - clock_us(CLOCK_MONOTONIC);
	if (sscanf(line, "flip %u %u %u", &task.fall, &task.rise,
	           &task.hold_ms) == 3)
		task.phase = FAILING;
	else if (sscanf(line, "first %lu", &task.wanted) == 1)
		task.phase = COUNTING;
	else
		die(line);
}

static int command(void)
{
	char line[256];
	ssize_t length = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (length <= 0)
		return -1;
	line[length] = '\0';
	begin(line);
	return 0;
}

/* The answer to a health check, and what its time means. */
static const char *judge(void)
{
	int64_t now_us = clock_us(CLOCK_MONOTONIC);

	if (task.phase == FAILING && ++task.answers == task.fall) {
		task.phase = HOLDING;
		task.down_us = now_us;
		return fails;
	}
	if (task.phase == HOLDING &&
	    now_us - task.down_us >= (int64_t) task.hold_ms * 1000) {
		task.phase = PASSING;
		task.answers = 0;
		task.up_us = INT64_MAX;
	}
	if (task.phase == PASSING && ++task.answers == task.rise)
		task.up_us = now_us;
	return task.phase == FAILING || task.phase == HOLDING ? fails : passes;
}

static void note(int64_t at_us)
{
	if (task.phase == COUNTING) {
		if (task.count++ == 0)
			task.first_us = at_us;
		if (task.count < task.wanted)
			return;
		printf("%" PRId64 " %" PRId64 "\n", task.first_us, at_us);
		fflush(stdout);
		task.phase = IDLE;
	} else if (task.phase == PASSING && at_us >= task.up_us) {
		printf("%" PRId64 " %" PRId64 " %lu %" PRId64 "\n",
		       task.down_us, task.last_us, task.late,
		       at_us - task.up_us);
		fflush(stdout);
		task.phase = IDLE;
	} else if ((task.phase == HOLDING || task.phase == PASSING) &&
	           at_us > task.down_us) {
		task.late++;
		if (at_us - task.down_us > task.last_us)
			task.last_us = at_us - task.down_us;
	}
}

/* A request is whatever ends in an empty line: they are short and come whole. */
static void serve(int fd)
{
	char request[4096], control[CMSG_SPACE(sizeof(struct timespec))];
	struct iovec bytes = { request, sizeof(request) };
	struct msghdr message = { .msg_iov = &bytes,
		                  .msg_iovlen = 1,
		                  .msg_control = control,
		                  .msg_controllen = sizeof(control) };
	ssize_t length = recvmsg(fd, &message, 0);
	const char *answer = passes;

	if (length < 0 && errno == EAGAIN)
		return;
	if (length <= 0) {
		close(fd);
		return;
	}
	if (length < 4 || memcmp(request + length - 4, "\r\n\r\n", 4) != 0)
		return;
	if (strncmp(request, health, sizeof(health) - 1) == 0)
		answer = judge();
	else
		note(arrival_us(&message));
	if (write(fd, answer, strlen(answer)) < 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct epoll_event events[BATCH];
	int set = epoll_create1(0), on = 1, listener, count;

	if (argc != 2)
		return 2;
	prepare_for_many();
	listener = listen_on(atoi(argv[1]));
	/* connections inherit that arrivals are stamped */
	if (setsockopt(listener, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) <
	    0)
		die("SO_TIMESTAMPNS");
	watch(set, listener);
	watch(set, STDIN_FILENO);
	for (;;) {
		count = epoll_wait(set, events, BATCH, -1);
		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == listener)
				take(set, fd);
			else if (fd != STDIN_FILENO)
				serve(fd);
			else if (command() < 0)
				return 0;
		}
	}
}
