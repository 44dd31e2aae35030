/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One request from its first line to the end of its answer.
 *
 * libmicrohttpd calls http_request_go_on() with the head, with each piece of
 * the body, and once all is there; and again whenever a suspended connection
 * was resumed.  So there is one place where an answer is queued, whether it
 * was given at once or later.
 *
 * Answers that libmicrohttpd gives itself, to what is no HTTP, are its own.
 */
#include "http_private.h"

#include "util.h"
#include "view_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define JSON_TYPE "application/json"

/* More than this is not read to its end to be refused. */
#define HTTP_BODY_HOPELESS (16 * HTTP_BODY_MAX)

#define STREAM_BLOCK 4096 /* for clients that know no chunks */

/* --- what was asked ----------------------------------------------------- */

const char *http_request_method(const struct http_request *request)
{
	return request->method;
}

const char *http_request_path(const struct http_request *request)
{
	return request->path;
}

static const char *lookup(const struct http_request *request,
                          enum MHD_ValueKind kind, const char *name)
{
	const char *value = NULL;
	size_t size = 0;

	if (MHD_lookup_connection_value_n(request->mhd, kind, name,
	                                  strlen(name), &value,
	                                  &size) != MHD_YES)
		return NULL;
	return value && strlen(value) == size ? value : "";
}

const char *http_request_query(const struct http_request *request,
                               const char *name)
{
	return lookup(request, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_request_header(const struct http_request *request,
                                const char *name)
{
	return lookup(request, MHD_HEADER_KIND, name);
}

const char *http_request_body(const struct http_request *request,
                              size_t *ret_size)
{
	*ret_size = request->body_size;
	return request->body ? request->body : "";
}

enum http_side http_request_side(const struct http_request *request)
{
	return request->listener->side;
}

bool http_request_peer(const struct http_request *request, uid_t *ret_uid,
                       pid_t *ret_pid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (!request->listener->socket.inode || !request->connection ||
	    getsockopt(request->connection->fd, SOL_SOCKET, SO_PEERCRED, &peer,
	               &size) < 0)
		return false;
	*ret_uid = peer.uid;
	*ret_pid = peer.pid;
	return true;
}

/* --- the answer --------------------------------------------------------- */

void http_request_resume(struct http_request *request)
{
	if (!request->suspended)
		return;
	request->suspended = false;
	MHD_resume_connection(request->mhd);
	http_listener_stir(request->listener);
}

static void suspend(struct http_request *request)
{
	request->suspended = true;
	MHD_suspend_connection(request->mhd);
}

void http_reply_header(struct http_request *request, const char *name,
                       const char *value)
{
	for (size_t i = 0; i < HTTP_REPLY_HEADERS; i++) {
		if (request->headers[i].name)
			continue;
		request->headers[i].name = strdup(name);
		request->headers[i].value = strdup(value);
		return;
	}
}

static bool has_header(const struct http_request *request, const char *name)
{
	for (size_t i = 0; i < HTTP_REPLY_HEADERS; i++)
		if (request->headers[i].name &&
		    strcasecmp(request->headers[i].name, name) == 0)
			return true;
	return false;
}

static void add_headers(struct http_request *request, const char *content_type,
                        const char *etag)
{
	const struct {
		const char *name, *value;
	} headers[] = {
		{ MHD_HTTP_HEADER_CONTENT_TYPE, content_type },
		{ MHD_HTTP_HEADER_ETAG, etag },
		{ MHD_HTTP_HEADER_CACHE_CONTROL, "no-store" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "X-Frame-Options", "DENY" },
		{ "Referrer-Policy", "no-referrer" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
		if (headers[i].value && !has_header(request, headers[i].name))
			MHD_add_response_header(request->response,
			                        headers[i].name,
			                        headers[i].value);
	for (size_t i = 0; i < HTTP_REPLY_HEADERS; i++)
		if (request->headers[i].name && request->headers[i].value)
			MHD_add_response_header(request->response,
			                        request->headers[i].name,
			                        request->headers[i].value);
}

/* `response` may be NULL for want of memory: then the connection is closed. */
static void answer(struct http_request *request, unsigned status,
                   const char *content_type, const char *etag,
                   struct MHD_Response *response)
{
	request->response = response;
	request->status = status;
	request->answered = true;
	if (response)
		add_headers(request, content_type, etag);
	http_request_resume(request);
}

static bool is_congested(const struct http_request *request, size_t size)
{
	return size > HTTP_REPLY_SMALL &&
	       request->listener->reply_bytes > HTTP_REPLIES_MAX;
}

void http_reply(struct http_request *request, unsigned status,
                const char *content_type, const char *etag, char *body,
                size_t size)
{
	if (is_congested(request, size)) {
		free(body);
		http_reply_header(request, MHD_HTTP_HEADER_RETRY_AFTER, "1");
		http_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "busy",
		                 "too many answers wait for their readers",
		                 NULL);
		return;
	}
	request->reply_size = size;
	request->listener->reply_bytes += size;
	answer(request, status, content_type, etag,
	       body ? MHD_create_response_from_buffer(size, body,
	                                              MHD_RESPMEM_MUST_FREE)
	            : MHD_create_response_from_buffer(0, (void *) "",
	                                              MHD_RESPMEM_PERSISTENT));
	if (!request->response)
		free(body);
}

void http_reply_error(struct http_request *request, unsigned status,
                      const char *code, const char *message, const char *key)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	if (stream) {
		view_json_dump(stream, view_json_error(code, message, key));
		fputc('\n', stream);
		fclose(stream);
	}
	http_reply(request, status, JSON_TYPE, NULL, text, text ? size : 0);
}

/* --- streams ------------------------------------------------------------ */

static ssize_t pull(void *owner, uint64_t position, char *buffer, size_t size)
{
	struct http_request *request = owner;
	ssize_t taken = request->pull(request->stream, buffer, size);

	(void) position;
	if (taken == 0)
		suspend(request);
	return taken < 0 ? MHD_CONTENT_READER_END_OF_STREAM : taken;
}

static void release(struct http_request *request)
{
	if (!request->release)
		return;
	request->listener->streams--;
	request->release(request->stream);
	request->release = NULL;
	request->pull = NULL;
}

void http_stream(struct http_request *request, const char *content_type,
                 http_pull_fn *pull_from, http_release_fn *release_with,
                 void *owner)
{
	if (request->listener->streams >= HTTP_STREAMS_MAX) {
		release_with(owner);
		http_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "busy",
		                 "too many streams are open", NULL);
		return;
	}
	request->listener->streams++;
	request->pull = pull_from;
	request->release = release_with;
	request->stream = owner;
	answer(request, MHD_HTTP_OK, content_type, NULL,
	       MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK,
	                                         pull, request, NULL));
}

/* --- what every request is held to -------------------------------------- */

static bool is_safe(const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static bool is_json(const char *content_type)
{
	size_t size = strlen(JSON_TYPE);

	return content_type &&
	       strncasecmp(content_type, JSON_TYPE, size) == 0 &&
	       strchr("; \t", content_type[size]);
}

/* A page of somewhere else that has a browser send this. */
static bool is_foreign(const struct http_request *request)
{
	const char *origin = http_request_header(request, "Origin");
	const char *host = http_request_header(request, "Host");
	const char *behind;

	if (!origin)
		return false;
	behind = strstr(origin, "://");
	return !behind || !host || strcasecmp(behind + 3, host) != 0;
}

static bool refuse(struct http_request *request)
{
	bool changes = request->listener->side == HTTP_CONTROL &&
	               !is_safe(request->method);
	char message[96];

	if (!request->listener->server->handler) {
		http_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
		                 "stopping", "checkerd is stopping", NULL);
	} else if (request->body_too_long) {
		snprintf(message, sizeof(message),
		         "the body is longer than %d bytes", HTTP_BODY_MAX);
		http_reply_error(request, MHD_HTTP_CONTENT_TOO_LARGE,
		                 "too_large", message, NULL);
	} else if (changes && is_foreign(request)) {
		http_reply_error(request, MHD_HTTP_FORBIDDEN, "foreign_origin",
		                 "the request comes from a page of another "
		                 "site",
		                 NULL);
	} else if (changes && request->body_size > 0 &&
	           !is_json(http_request_header(request, "Content-Type"))) {
		http_reply_error(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
		                 "content_type", "the body must be " JSON_TYPE,
		                 NULL);
	} else {
		return false;
	}
	return true;
}

/* --- on its way --------------------------------------------------------- */

void *http_request_begin(void *owner, const char *uri,
                         struct MHD_Connection *mhd)
{
	struct http_listener *listener = owner;
	struct http_request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	request->path = strndup(uri, strcspn(uri, "?"));
	if (!request->path) {
		free(request);
		return NULL;
	}
	request->listener = listener;
	request->mhd = mhd;
	request->connection =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
			->socket_context;
	request->next = listener->requests;
	if (request->next)
		request->next->previous = request;
	listener->requests = request;
	http_connection_hurry(request->connection);
	return request;
}

/* What is too long is read to its end, or to the client's deadline, before it
 * is refused: else the refusal would be lost in a broken connection. */
static bool take(struct http_request *request, const char *data, size_t size)
{
	size_t needed = request->body_size + size;
	char *body;

	if (needed > HTTP_BODY_MAX || request->body_too_long) {
		request->body_too_long = true;
		free(request->body);
		request->body = NULL;
		request->body_size = request->body_room = 0;
		return true;
	}
	if (request->listener->side == HTTP_READ_ONLY)
		return true;
	if (needed + 1 > request->body_room) {
		request->body_room = needed * 2 + 1;
		body = realloc(request->body, request->body_room);
		if (!body)
			return false;
		request->body = body;
	}
	memcpy(request->body + request->body_size, data, size);
	request->body[needed] = '\0';
	request->body_size = needed;
	return true;
}

static enum MHD_Result queue(struct http_request *request)
{
	enum MHD_Result queued;

	if (!request->response)
		return MHD_NO;
	queued = MHD_queue_response(request->mhd, request->status,
	                            request->response);
	MHD_destroy_response(request->response);
	request->response = NULL;
	if (!request->pull)
		http_connection_hurry(request->connection);
	return queued;
}

/* A client that asks first, or has far too much to send, need not begin. */
static bool announces_too_much(const struct http_request *request)
{
	const char *length = http_request_header(request, "Content-Length");
	bool asks = http_request_header(request, "Expect") != NULL;

	return length && strtoull(length, NULL, 10) >
	                         (asks ? HTTP_BODY_MAX : HTTP_BODY_HOPELESS);
}

enum MHD_Result http_request_go_on(void *owner, struct MHD_Connection *mhd,
                                   const char *url, const char *method,
                                   const char *version, const char *data,
                                   size_t *size, void **context)
{
	struct http_listener *listener = owner;
	struct http_request *request = *context;

	(void) mhd;
	(void) url;
	(void) version;
	if (!request)
		return MHD_NO;
	if (!request->method) {
		request->method = method;
		request->body_too_long = announces_too_much(request);
		if (!request->body_too_long)
			return MHD_YES;
	}
	if (*size > 0) {
		bool taken = take(request, data, *size);

		*size = 0;
		return taken ? MHD_YES : MHD_NO;
	}
	if (!request->received) {
		request->received = true;
		http_connection_relax(request->connection);
		if (!refuse(request))
			listener->server->handler(listener->server->owner,
			                          request);
	}
	if (request->answered)
		return queue(request);
	suspend(request);
	return MHD_YES;
}

void http_request_end(void *owner, struct MHD_Connection *mhd, void **context,
                      enum MHD_RequestTerminationCode code)
{
	struct http_listener *listener = owner;
	struct http_request *request = *context;

	(void) mhd;
	(void) code;
	*context = NULL;
	if (!request)
		return;
	release(request);
	http_connection_hurry(request->connection);
	listener->reply_bytes -= request->reply_size;
	if (request->response)
		MHD_destroy_response(request->response);
	*(request->previous ? &request->previous->next : &listener->requests) =
		request->next;
	if (request->next)
		request->next->previous = request->previous;
	for (size_t i = 0; i < HTTP_REPLY_HEADERS; i++) {
		free(request->headers[i].name);
		free(request->headers[i].value);
	}
	free(request->body);
	free(request->path);
	free(request);
}
