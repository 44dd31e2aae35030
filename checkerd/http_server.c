/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Listeners, and libmicrohttpd on the loop.  What it leaves to us: it drops
 * who says nothing for a while, but not who sends a byte now and then.  So
 * each connection has a deadline while we wait for it.
 */
#include "http_private.h"

#include "clock.h"
#include "util.h"

#include <errno.h>

/* Of one connection: its request's head, and what it reads and writes. */
#define CONNECTION_MEMORY ((size_t) 16 * 1024)

#define PATIENCE_US (HTTP_PATIENCE_S * USEC_PER_SEC)
#define ACCURACY_US USEC_PER_MSEC

/* Until it is tried again to accept who could not be accepted. */
#define STARVED_US (10 * USEC_PER_MSEC)

static void run_again(struct http_listener *listener, uint64_t wait_us)
{
	sd_event_source_set_time(listener->again, monotonic_us() + wait_us);
	sd_event_source_set_enabled(listener->again, SD_EVENT_ONESHOT);
}

void http_listener_stir(struct http_listener *listener)
{
	listener->stirred = true;
	run_again(listener, 0);
}

/* --- who is too slow ---------------------------------------------------- */

void http_connection_relax(struct http_connection *connection)
{
	struct http_listener *listener;

	if (!connection || !connection->deadline_us)
		return;
	listener = connection->listener;
	*(connection->earlier ? &connection->earlier->later
	                      : &listener->earliest) = connection->later;
	*(connection->later ? &connection->later->earlier : &listener->latest) =
		connection->earlier;
	connection->earlier = connection->later = NULL;
	connection->deadline_us = 0;
}

static void arm(struct http_listener *listener)
{
	sd_event_source_set_time(listener->deadline,
	                         listener->earliest->deadline_us);
	sd_event_source_set_enabled(listener->deadline, SD_EVENT_ONESHOT);
}

/* All wait equally long: the list stays in the order of its deadlines. */
void http_connection_hurry(struct http_connection *connection)
{
	struct http_listener *listener;

	if (!connection)
		return;
	listener = connection->listener;
	http_connection_relax(connection);
	connection->deadline_us = monotonic_us() + PATIENCE_US;
	connection->earlier = listener->latest;
	*(listener->latest ? &listener->latest->later : &listener->earliest) =
		connection;
	listener->latest = connection;
	if (listener->earliest == connection)
		arm(listener);
}

/* libmicrohttpd has no call to drop a connection, but notices one that broke.
 */
static int on_deadline(sd_event_source *source, uint64_t due_us, void *userdata)
{
	struct http_listener *listener = userdata;
	uint64_t now_us = monotonic_us();

	(void) source;
	(void) due_us;
	while (listener->earliest &&
	       listener->earliest->deadline_us <= now_us) {
		shutdown(listener->earliest->fd, SHUT_RDWR);
		http_connection_relax(listener->earliest);
	}
	if (listener->earliest)
		arm(listener);
	return 0;
}

static void on_connection(void *owner, struct MHD_Connection *mhd,
                          void **context,
                          enum MHD_ConnectionNotificationCode code)
{
	struct http_listener *listener = owner;
	struct http_connection *connection = *context;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		http_connection_relax(connection);
		free(connection);
		*context = NULL;
		listener->connections--;
		/* if there was no place left, it looks for who is waiting only
		 * when it is run anew */
		http_listener_stir(listener);
		return;
	}
	listener->connections++;
	connection = calloc(1, sizeof(*connection));
	*context = connection;
	if (!connection)
		return;
	connection->listener = listener;
	connection->fd =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)
			->connect_fd;
	http_connection_hurry(connection);
}

/* --- the loop ----------------------------------------------------------- */

static void run(struct http_listener *listener)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;

	listener->stirred = false;
	MHD_run(listener->mhd);
	if (listener->stirred)
		return;
	if (MHD_get_timeout(listener->mhd, &wait_ms) == MHD_YES)
		run_again(listener, wait_ms * USEC_PER_MSEC);
	else
		sd_event_source_set_enabled(listener->again, SD_EVENT_OFF);
}

static int on_ready(sd_event_source *source, int fd, uint32_t revents,
                    void *userdata)
{
	struct http_listener *listener = userdata;

	(void) source;
	(void) fd;
	(void) revents;
	run(listener);
	/* Somebody is there, and nobody came: there is no descriptor for it.
	 * With others connected libmicrohttpd waits for one of them to go. */
	if (listener->connections == 0 && !listener->stirred) {
		sd_event_source_set_enabled(listener->io, SD_EVENT_OFF);
		run_again(listener, STARVED_US);
	}
	return 0;
}

static int on_again(sd_event_source *source, uint64_t due_us, void *userdata)
{
	struct http_listener *listener = userdata;

	(void) source;
	(void) due_us;
	sd_event_source_set_enabled(listener->io, SD_EVENT_ON);
	run(listener);
	return 0;
}

static int watch(struct http_listener *listener)
{
	sd_event *event = listener->server->event;
	const union MHD_DaemonInfo *info;
	int r;

	listener->mhd = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		http_request_go_on, listener, MHD_OPTION_LISTEN_SOCKET,
		listener->socket.fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned) HTTP_CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) HTTP_PATIENCE_S,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK,
		http_request_begin, listener, MHD_OPTION_NOTIFY_COMPLETED,
		http_request_end, listener, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, listener, MHD_OPTION_END);
	if (!listener->mhd)
		return -ENOMEM;
	info = MHD_get_daemon_info(listener->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	r = sd_event_add_io(event, &listener->io, info->epoll_fd, EPOLLIN,
	                    on_ready, listener);
	if (r >= 0)
		r = sd_event_add_time(event, &listener->again, CLOCK_MONOTONIC,
		                      0, ACCURACY_US, on_again, listener);
	if (r >= 0)
		r = sd_event_add_time(event, &listener->deadline,
		                      CLOCK_MONOTONIC, 0, ACCURACY_US,
		                      on_deadline, listener);
	if (r >= 0)
		r = sd_event_source_set_enabled(listener->deadline,
		                                SD_EVENT_OFF);
	return r;
}

/* --- listeners ---------------------------------------------------------- */

static void listener_free(struct http_listener *listener)
{
	struct http_request *request;

	sd_event_source_disable_unref(listener->io);
	/* what was answered last goes out, as far as it goes at once */
	if (listener->mhd)
		MHD_run(listener->mhd);
	/* nothing may be suspended when it ends */
	for (request = listener->requests; request; request = request->next)
		http_request_resume(request);
	if (listener->mhd) {
		listener->socket.fd = -1; /* it closes that */
		MHD_stop_daemon(listener->mhd);
	}
	http_socket_close(&listener->socket);
	sd_event_source_disable_unref(listener->again);
	sd_event_source_disable_unref(listener->deadline);
	free(listener);
}

static int listen_to(struct http_server *server,
                     const struct http_socket *socket, enum http_side side)
{
	struct http_listener *listener = calloc(1, sizeof(*listener));
	int r;

	if (!listener)
		return -ENOMEM;
	listener->server = server;
	listener->socket = *socket;
	listener->side = side;
	r = watch(listener);
	if (r < 0) {
		listener_free(listener);
		return r;
	}
	listener->next = server->listeners;
	server->listeners = listener;
	return 0;
}

int http_server_listen_unix(struct http_server *server, const char *path,
                            mode_t mode, enum http_side side)
{
	struct http_socket socket = { 0 };
	int r = http_socket_unix(&socket, path, mode);

	if (r >= 0)
		return listen_to(server, &socket, side);
	http_socket_close(&socket);
	return r;
}

int http_server_listen_tcp(struct http_server *server,
                           const struct address *address, enum http_side side)
{
	struct http_socket socket = { 0 };
	int r = http_socket_tcp(&socket, address);

	if (r >= 0)
		return listen_to(server, &socket, side);
	http_socket_close(&socket);
	return r;
}

void http_server_wake(struct http_server *server)
{
	const struct http_listener *listener;
	struct http_request *request;

	for (listener = server->listeners; listener; listener = listener->next)
		for (request = listener->requests; request;
		     request = request->next)
			if (request->pull)
				http_request_resume(request);
}

int http_server_new(struct http_server **ret, sd_event *event,
                    http_handler_fn *handler, void *owner)
{
	struct http_server *server = calloc(1, sizeof(*server));

	if (!server)
		return -ENOMEM;
	server->event = sd_event_ref(event);
	server->handler = handler;
	server->owner = owner;
	*ret = server;
	return 0;
}

void http_server_free(struct http_server *server)
{
	struct http_listener *listener;

	if (!server)
		return;
	server->handler = NULL;
	while ((listener = server->listeners) != NULL) {
		server->listeners = listener->next;
		listener_free(listener);
	}
	sd_event_unref(server->event);
	free(server);
}
