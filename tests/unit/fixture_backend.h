/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A backend in a thread of the test, that treats each connection the way a
 * script says, each in a thread of its own.  A script ends when the other
 * side is gone: waiting for that is how a backend is silent.
 */
#ifndef CHECKERD_TESTS_FIXTURE_BACKEND_H
#define CHECKERD_TESTS_FIXTURE_BACKEND_H

#include "address.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKEND_REQUEST_MAX 4096

struct backend;

typedef void (*backend_script)(struct backend *backend, int fd);

struct backend {
	struct address address;
	backend_script script;
	const char *text; /* what the script says */
	int fd;
	int stop[2];
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned connections; /* open now */
	unsigned accepted;
	char request[BACKEND_REQUEST_MAX]; /* the last one */
};

struct backend_connection {
	struct backend *backend;
	int fd;
};

/* --- what scripts do ----------------------------------------------------- */

/* Returns false once the other side is gone. */
static inline bool backend_say(int fd, const char *data, size_t size)
{
	ssize_t sent;

	while (size > 0) {
		sent = send(fd, data, size, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		data += sent;
		size -= (size_t) sent;
	}
	return true;
}

static inline void backend_wait_for_end(int fd)
{
	char buffer[4096];

	while (recv(fd, buffer, sizeof(buffer), 0) > 0)
		;
}

/* Reads a request with the body that its Content-Length announces. */
static inline void backend_hear(struct backend *backend, int fd)
{
	char request[BACKEND_REQUEST_MAX] = "";
	const char *end, *length;
	size_t used = 0, body;
	ssize_t got;

	for (;;) {
		got = recv(fd, request + used, sizeof(request) - used - 1, 0);
		if (got <= 0)
			return;
		used += (size_t) got;
		request[used] = '\0';
		end = strstr(request, "\r\n\r\n");
		if (end == NULL)
			continue;
		length = strcasestr(request, "\r\ncontent-length:");
		body = length != NULL && length < end
		               ? strtoul(length + 17, NULL, 10)
		               : 0;
		if (used >= (size_t) (end + 4 - request) + body)
			break;
	}
	pthread_mutex_lock(&backend->lock);
	memcpy(backend->request, request, sizeof(request));
	pthread_mutex_unlock(&backend->lock);
}

/* Hears the request, says its text, waits. */
static inline void script_answer(struct backend *backend, int fd)
{
	backend_hear(backend, fd);
	backend_say(fd, backend->text, strlen(backend->text));
	backend_wait_for_end(fd);
}

static inline void script_answer_and_close(struct backend *backend, int fd)
{
	backend_hear(backend, fd);
	backend_say(fd, backend->text, strlen(backend->text));
	shutdown(fd, SHUT_WR);
	backend_wait_for_end(fd);
}

/* Says the rest of its text, after the first line, for ever. */
static inline void script_repeat(struct backend *backend, int fd)
{
	const char *rest = strstr(backend->text, "\r\n") + 2;

	backend_hear(backend, fd);
	backend_say(fd, backend->text, (size_t) (rest - backend->text));
	while (backend_say(fd, rest, strlen(rest)))
		;
}

static inline void script_slow(struct backend *backend, int fd)
{
	const char *at = backend->text;
	struct pollfd gone = { .fd = fd, .events = POLLRDHUP };

	backend_hear(backend, fd);
	while (*at != '\0' && backend_say(fd, at++, 1) &&
	       poll(&gone, 1, 20) == 0)
		;
	backend_wait_for_end(fd);
}

static inline void script_silent(struct backend *backend, int fd)
{
	(void) backend;
	backend_wait_for_end(fd);
}

static inline void script_close(struct backend *backend, int fd)
{
	(void) backend;
	(void) fd;
}

static inline void script_reset(struct backend *backend, int fd)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	backend_hear(backend, fd);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

/* --- the machinery -------------------------------------------------------- */

static inline void *backend_serve(void *argument)
{
	struct backend_connection *connection = argument;
	struct backend *backend = connection->backend;

	backend->script(backend, connection->fd);
	close(connection->fd);
	free(connection);
	pthread_mutex_lock(&backend->lock);
	if (--backend->connections == 0)
		pthread_cond_signal(&backend->idle);
	pthread_mutex_unlock(&backend->lock);
	return NULL;
}

static inline void backend_accept(struct backend *backend)
{
	struct backend_connection *connection;
	pthread_attr_t attributes;
	pthread_t thread;
	int fd = accept(backend->fd, NULL, NULL);

	if (fd < 0)
		return;
	pthread_mutex_lock(&backend->lock);
	backend->accepted++;
	backend->connections++;
	pthread_mutex_unlock(&backend->lock);
	connection = malloc(sizeof(*connection));
	connection->backend = backend;
	connection->fd = fd;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 256 * 1024);
	if (pthread_create(&thread, &attributes, backend_serve, connection))
		abort();
	pthread_attr_destroy(&attributes);
}

static inline void *backend_run(void *argument)
{
	struct backend *backend = argument;
	struct pollfd fds[] = {
		{ .fd = backend->fd, .events = POLLIN },
		{ .fd = backend->stop[0], .events = POLLIN },
	};

	while (poll(fds, 2, -1) >= 0 && fds[1].revents == 0)
		backend_accept(backend);
	return NULL;
}

/* Listens at `address`; with port 0, at one that is free. */
static inline void backend_listen(struct backend *backend, const char *address,
                                  int backlog)
{
	size_t name_length;
	uint16_t port;
	int on = 1;

	memset(backend, 0, sizeof(*backend));
	if (address_parse(&backend->address, address, &name_length, &port) < 0)
		abort();
	if (backend->address.any.sa_family == AF_UNIX)
		unlink(backend->address.un.sun_path);
	else
		address_set_port(&backend->address, 0);
	backend->fd = socket(backend->address.any.sa_family,
	                     SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(backend->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(backend->fd, &backend->address.any, backend->address.length) ||
	    listen(backend->fd, backlog))
		abort();
	if (backend->address.any.sa_family != AF_UNIX)
		getsockname(backend->fd, &backend->address.any,
		            &backend->address.length);
}

static inline void backend_start(struct backend *backend, const char *address,
                                 backend_script script, const char *text)
{
	backend_listen(backend, address, 4096);
	backend->script = script;
	backend->text = text;
	pthread_mutex_init(&backend->lock, NULL);
	pthread_cond_init(&backend->idle, NULL);
	if (pipe(backend->stop) ||
	    pthread_create(&backend->thread, NULL, backend_run, backend))
		abort();
}

/* Until nobody is being served: what scripts look at may change then. */
static inline void backend_rest(struct backend *backend)
{
	pthread_mutex_lock(&backend->lock);
	while (backend->connections > 0)
		pthread_cond_wait(&backend->idle, &backend->lock);
	pthread_mutex_unlock(&backend->lock);
}

static inline void backend_stop(struct backend *backend)
{
	if (write(backend->stop[1], "", 1) != 1)
		abort();
	pthread_join(backend->thread, NULL);
	backend_rest(backend);
	pthread_mutex_destroy(&backend->lock);
	pthread_cond_destroy(&backend->idle);
	close(backend->fd);
	close(backend->stop[0]);
	close(backend->stop[1]);
	if (backend->address.any.sa_family == AF_UNIX)
		unlink(backend->address.un.sun_path);
}

/* --- what several tests have it do --------------------------------------- */

static inline void script_flood(struct backend *backend, int fd)
{
	while (backend_say(fd, backend->text, strlen(backend->text)))
		;
}

/* Says what it is told. */
static inline void script_echo(struct backend *backend, int fd)
{
	char buffer[4096];
	ssize_t got;

	(void) backend;
	while ((got = recv(fd, buffer, sizeof(buffer), 0)) > 0)
		backend_say(fd, buffer, (size_t) got);
}

#endif
