/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One backend for ten thousand hosts: answers 200 to whatever asks on any
 * address of one port, costs little, and counts.  On SIGUSR1 it prints how
 * many requests it has answered so far and over how many connections.
 *
 *   backend PORT
 */
#include "listener.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define BATCH 256

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static unsigned long requests, connections;

static int catch_signal(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_NONBLOCK);
}

static void take(int set, int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		connections++;
		watch(set, fd);
	}
}

static void report(int signals)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) == sizeof(info))
		printf("%lu %lu\n", requests, connections);
	fflush(stdout);
}

/* A request is whatever ends in an empty line: they are short and come whole. */
static void serve(int fd)
{
	char request[4096];
	ssize_t length = read(fd, request, sizeof(request));

	if (length >= 4 && memcmp(request + length - 4, "\r\n\r\n", 4) == 0) {
		requests++;
		if (write(fd, answer, sizeof(answer) - 1) > 0)
			return;
	} else if (length > 0 || (length < 0 && errno == EAGAIN)) {
		return;
	}
	close(fd);
}

int main(int argc, char **argv)
{
	struct epoll_event events[BATCH];
	int set = epoll_create1(0), signals = catch_signal(), listener, count;

	if (argc != 2)
		return 2;
	prepare_for_many();
	listener = listen_on(atoi(argv[1]));
	watch(set, listener);
	watch(set, signals);
	for (;;) {
		count = epoll_wait(set, events, BATCH, -1);
		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == listener)
				take(set, fd);
			else if (fd == signals)
				report(fd);
			else
				serve(fd);
		}
	}
}
