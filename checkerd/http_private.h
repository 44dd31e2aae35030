/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the HTTP server share, and nobody else sees:
 *
 *	http_server.c    listeners, libmicrohttpd on the loop, who is too slow
 *	http_request.c   what is asked and answered
 *	http_socket.c    where it listens
 *
 * Each listener is a libmicrohttpd of its own, in its "external epoll" mode:
 * it keeps its descriptors in an epoll that the loop watches as one.  Four
 * things about it are easily missed:
 *  - it watches edges: when it says that it has more to do it must be run
 *    again, whatever the descriptor says;
 *  - a connection that waits for us must be suspended, or it is run in circles;
 *  - one that is resumed does not show on the descriptor either;
 *  - nobody notices that the client of a suspended one has left, or gives up
 *    on it, so a pointer to its request stays good.
 */
#ifndef CHECKERD_HTTP_PRIVATE_H
#define CHECKERD_HTTP_PRIVATE_H

#include "http_server.h"

#include <microhttpd.h>
#include <sys/stat.h>
#include <sys/un.h>

/* For a request to arrive as a whole, counted from the connection, from the
 * answer before, and once more from its first line; for an answer to be
 * taken; and for a stream that is not read. */
#define HTTP_PATIENCE_S 20

/* Answers that wait for their readers, of one listener: further ones of any
 * size are refused. */
#define HTTP_REPLIES_MAX ((size_t) 128 * 1024 * 1024)
#define HTTP_REPLY_SMALL ((size_t) 16 * 1024)

#define HTTP_REPLY_HEADERS 4

struct http_socket {
	int fd;
	struct sockaddr_un file; /* of a unix socket, while it is ours */
	dev_t device;
	ino_t inode;
};

struct http_connection {
	struct http_listener *listener;
	int fd;
	uint64_t deadline_us; /* 0: none, and then in no list */
	struct http_connection *earlier, *later;
};

struct http_listener {
	struct http_server *server;
	struct http_listener *next;
	struct http_socket socket;
	enum http_side side;
	struct MHD_Daemon *mhd;
	sd_event_source *io;
	sd_event_source *again;    /* when libmicrohttpd asks to be run */
	sd_event_source *deadline; /* of `earliest` */
	struct http_connection *earliest, *latest;
	struct http_request *requests;
	bool stirred; /* since it was last run */
	unsigned connections;
	unsigned streams;
	size_t reply_bytes; /* answers not yet taken */
};

struct http_server {
	sd_event *event;
	http_handler_fn *handler; /* NULL: it ends */
	void *owner;
	struct http_listener *listeners;
};

struct http_request {
	struct http_listener *listener;
	struct http_connection *connection; /* NULL if memory was short */
	struct MHD_Connection *mhd;
	struct http_request *previous, *next;
	char *path;
	const char *method;
	char *body;
	size_t body_size, body_room;
	bool body_too_long;
	bool received;  /* and handed to the handler */
	bool answered;  /* response and status stand, or there is no memory */
	bool suspended; /* libmicrohttpd does not look at the connection */
	struct MHD_Response *response;
	unsigned status;
	size_t reply_size;
	struct {
		char *name, *value;
	} headers[HTTP_REPLY_HEADERS];
	http_pull_fn *pull; /* NULL: no stream */
	http_release_fn *release;
	void *stream;
};

/* --- http_server.c ------------------------------------------------------ */

/* Something changed that libmicrohttpd looks at only when it is run. */
void http_listener_stir(struct http_listener *listener);

/* How long the connection may take, from now on; or as long as it likes. */
void http_connection_hurry(struct http_connection *connection);
void http_connection_relax(struct http_connection *connection);

/* --- http_request.c: what libmicrohttpd calls --------------------------- */

void *http_request_begin(void *owner, const char *uri,
                         struct MHD_Connection *mhd);
enum MHD_Result http_request_go_on(void *owner, struct MHD_Connection *mhd,
                                   const char *url, const char *method,
                                   const char *version, const char *data,
                                   size_t *size, void **context);
void http_request_end(void *owner, struct MHD_Connection *mhd, void **context,
                      enum MHD_RequestTerminationCode code);

void http_request_resume(struct http_request *request);

/* --- http_socket.c ------------------------------------------------------ */

int http_socket_unix(struct http_socket *socket, const char *path, mode_t mode);
int http_socket_tcp(struct http_socket *socket, const struct address *address);
void http_socket_close(struct http_socket *socket);

#endif
