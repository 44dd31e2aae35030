/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a check costs whoever makes it: a request written to each of HOSTS
 * addresses 127.x.y.z every INTERVAL_MS, and its answer read, with epoll and
 * nothing else.  No answer is parsed, no deadline kept, no state held but a
 * descriptor.  `kept` writes to connections that stay.
 *
 *   epoll_floor HOSTS INTERVAL_MS SECONDS PORT fresh|kept
 *
 * prints the processor time per check in microseconds and how many were made
 * of those due, after a first interval and a second that do not count.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH   256
#define AT_ONCE 1000 /* as max_concurrent */
#define WARM_US 1000000 /* when a busy machine has opened what is kept */

static const char request[] =
	"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: floor\r\nAccept: */*\r\n\r\n";

struct host {
	struct sockaddr_in address;
	int fd; /* -1: none */
	bool asked; /* and not answered: it is left alone, as checkerd does */
};

static int set;
static bool kept;
static unsigned long done;
static unsigned in_flight;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static double cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
	       (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* addresses as rows.host_address() has them */
static struct host *make_hosts(unsigned count, int port)
{
	struct host *hosts = calloc(count, sizeof(*hosts));

	if (hosts == NULL)
		die("hosts");
	for (unsigned i = 0; i < count; i++) {
		hosts[i].fd = -1;
		hosts[i].address.sin_family = AF_INET;
		hosts[i].address.sin_port = htons((uint16_t) port);
		hosts[i].address.sin_addr.s_addr =
			htonl(127u << 24 | (1 + i / 62500) << 16 |
		              (i / 250 % 250) << 8 | (1 + i % 250));
	}
	return hosts;
}

static void send_request(int fd)
{
	if (write(fd, request, sizeof(request) - 1) < 0)
		die("write");
}

static void begin(struct host *host)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
		                     .data.ptr = host };

	if (host->asked)
		return;
	host->asked = true;
	in_flight++;
	if (host->fd >= 0) {
		send_request(host->fd);
		return;
	}
	host->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (host->fd < 0)
		die("socket");
	if (connect(host->fd, (struct sockaddr *) &host->address,
	            sizeof(host->address)) < 0 &&
	    errno != EINPROGRESS)
		die("connect");
	if (epoll_ctl(set, EPOLL_CTL_ADD, host->fd, &event) < 0)
		die("epoll_ctl");
}

static void go_on(struct host *host, uint32_t events)
{
	char answer[512];

	if (!(events & EPOLLIN)) {
		send_request(host->fd);
		return;
	}
	if (host->asked)
		in_flight--;
	host->asked = false;
	if (read(host->fd, answer, sizeof(answer)) > 0) {
		done++;
		if (kept)
			return;
	}
	close(host->fd);
	host->fd = -1;
}

int main(int argc, char **argv)
{
	struct epoll_event events[BATCH];
	struct rlimit limit;
	struct host *hosts;
	unsigned long started = 0, due, warm_done = 0;
	int64_t start_us, interval_us, warm_us, end_us, at_us;
	double warm_cpu = -1;
	unsigned count;
	int ready;

	if (argc != 6 || atoi(argv[1]) <= 0 || atoi(argv[2]) <= 0) {
		fprintf(stderr, "epoll_floor HOSTS INTERVAL_MS SECONDS PORT "
		                "fresh|kept\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	count = (unsigned) atoi(argv[1]);
	interval_us = (int64_t) atoi(argv[2]) * 1000;
	kept = strcmp(argv[5], "kept") == 0;
	hosts = make_hosts(count, atoi(argv[4]));
	set = epoll_create1(0);
	start_us = now_us();
	warm_us = start_us + interval_us + WARM_US;
	end_us = warm_us + (int64_t) atoi(argv[3]) * 1000000;
	while ((at_us = now_us()) < end_us) {
		if (warm_cpu < 0 && at_us >= warm_us) {
			warm_cpu = cpu_us();
			warm_us = at_us;
			warm_done = done;
		}
		due = (unsigned long) ((at_us - start_us) * count / interval_us);
		for (; started < due && in_flight < AT_ONCE; started++)
			begin(&hosts[started % count]);
		ready = epoll_wait(set, events, BATCH, 1);
		for (int i = 0; i < ready; i++)
			go_on(events[i].data.ptr, events[i].events);
	}
	done -= warm_done;
	printf("%.3f %.4f\n", (cpu_us() - warm_cpu) / (double) done,
	       (double) done * (double) interval_us /
	               ((double) (at_us - warm_us) * count));
	return 0;
}
