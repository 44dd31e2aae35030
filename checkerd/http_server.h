/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HTTP on the daemon's own loop, without a thread: listeners, limits, and
 * whole requests handed to one handler.  It knows nothing of what is asked.
 *
 * Each listener has connections and limits of its own, so that whoever may
 * only read cannot keep out who may change things.
 *
 * A request belongs to the server.  The handler borrows it until it answers,
 * at once or later from the loop, exactly once: http_reply(),
 * http_reply_error() or http_stream().  A client that leaves meanwhile is
 * noticed by the answer, which then goes nowhere.  Nothing may be answered
 * after http_server_free().
 */
#ifndef CHECKERD_HTTP_SERVER_H
#define CHECKERD_HTTP_SERVER_H

#include "address.h"

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#define HTTP_BODY_MAX        (1024 * 1024) /* bytes of a request */
#define HTTP_CONNECTIONS_MAX 1000          /* of one listener */
#define HTTP_STREAMS_MAX     100           /* of these */

struct http_request;
struct http_server;

enum http_side {
	HTTP_READ_ONLY, /* what a client sends as a body is thrown away */
	HTTP_CONTROL
};

/* The request is there as a whole. */
typedef void http_handler_fn(void *owner, struct http_request *request);

/* The next bytes of a stream: how many were put into `buffer`; 0: none now,
 * asked again after http_server_wake(); negative: that was the end. */
typedef ssize_t http_pull_fn(void *owner, char *buffer, size_t size);
typedef void http_release_fn(void *owner);

int http_server_new(struct http_server **ret, sd_event *event,
                    http_handler_fn *handler, void *owner);
void http_server_free(struct http_server *server); /* accepts NULL */

/* Both return 0 or a negative errno.  A socket file at `path` is replaced if
 * it is ours and nobody listens behind it (else -EADDRINUSE, or -EEXIST for
 * what is no socket of ours); it goes with the server. */
int http_server_listen_unix(struct http_server *server, const char *path,
                            mode_t mode, enum http_side side);
int http_server_listen_tcp(struct http_server *server,
                           const struct address *address, enum http_side side);

/* Streams may have more. */
void http_server_wake(struct http_server *server);

/* --- the request: all texts are valid until it is answered -------------- */

const char *http_request_method(const struct http_request *request);
/* As it was sent: percent-encoded, without the query. */
const char *http_request_path(const struct http_request *request);
/* Decoded; NULL: not there; "" also for what holds a NUL byte. */
const char *http_request_query(const struct http_request *request,
                               const char *name);
const char *http_request_header(const struct http_request *request,
                                const char *name);
/* A NUL byte follows the body; it may hold others. */
const char *http_request_body(const struct http_request *request,
                              size_t *ret_size);
enum http_side http_request_side(const struct http_request *request);
/* Whether the peer is known: over TCP it is not. */
bool http_request_peer(const struct http_request *request, uid_t *ret_uid,
                       pid_t *ret_pid);

/* --- the answer --------------------------------------------------------- */

/* A further header of the answer to come, instead of the server's own of that
 * name; both texts are copied. */
void http_reply_header(struct http_request *request, const char *name,
                       const char *value);

/* `body` was allocated by malloc and is taken over; NULL with a size of 0:
 * none, and then no content_type either.  `etag` may be NULL. */
void http_reply(struct http_request *request, unsigned status,
                const char *content_type, const char *etag, char *body,
                size_t size);

/* {"error":{"code":CODE,"message":MESSAGE,"key":KEY}}; `key` may be NULL.  The
 * texts may come from outside. */
void http_reply_error(struct http_request *request, unsigned status,
                      const char *code, const char *message, const char *key);

/* Goes on until `pull` ends it or the client leaves; then `release` is called,
 * also if it never begins.  Whoever stops reading is dropped. */
void http_stream(struct http_request *request, const char *content_type,
                 http_pull_fn *pull, http_release_fn *release, void *owner);

#endif
