/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests to the REST interface, from the point where libmicrohttpd has read
 * them: routes, queries, headers, bodies; changes of pools and hosts as far as
 * the disk and the segment.  An input is a few requests in a row, divided by
 * lines of "%%":
 *
 *	PATCH /v1/pools/web/hosts/a?x=y
 *	If-Match: "0123456789abcdef"
 *
 *	{"admin": "down"}
 *
 * A < before the method: it comes to the side that only reads.
 *
 * Each is answered once, with the document that its status promises.  What is
 * refused changes nothing, and all that was changed can be reverted.
 */
#include "world.h"

#include "api.h"
#include "http_server.h"

#include <strings.h>

#define MARK "\n%%\n"

#define REQUESTS_MAX 8
#define FIELDS_MAX   16

#define CONFIG                                                                 \
	"[defaults]\n"                                                         \
	"check = none\n"                                                       \
	"[pool web]\n"                                                         \
	"server = 10.0.0.1:8080 id=a weight=10\n"                              \
	"server = 10.0.0.2:8080 id=b drain\n"                                  \
	"[pool spare]\n"                                                       \
	"upstream = web\n"                                                     \
	"priority = 1\n"                                                       \
	"server = [2001:db8::1]:80 id=c/d\n"                                   \
	"[host web/b]\n"                                                       \
	"check = http\n"                                                       \
	"path = /healthz\n"

struct field {
	const char *name, *value;
};

/* In http_server.c's place. */
struct http_request {
	char *text; /* that the others point into */
	const char *method;
	const char *path;
	struct field query[FIELDS_MAX], headers[FIELDS_MAX];
	unsigned query_count, header_count;
	const char *body;
	size_t body_size;
	enum http_side side;
	bool answered;
	unsigned status;
};

static http_handler_fn *handler;
static void *handler_owner;

/* --- what the api calls ------------------------------------------------- */

int http_server_new(struct http_server **ret, sd_event *event,
                    http_handler_fn *handle, void *owner)
{
	(void) event;
	handler = handle;
	handler_owner = owner;
	*ret = NULL;
	return 0;
}

void http_server_free(struct http_server *server)
{
	(void) server;
}

int http_server_listen_unix(struct http_server *server, const char *path,
                            mode_t mode, enum http_side side)
{
	(void) server;
	(void) path;
	(void) mode;
	(void) side;
	return 0;
}

int http_server_listen_tcp(struct http_server *server,
                           const struct address *address, enum http_side side)
{
	(void) server;
	(void) address;
	(void) side;
	return 0;
}

void http_server_wake(struct http_server *server)
{
	(void) server;
}

const char *http_request_method(const struct http_request *request)
{
	return request->method;
}

const char *http_request_path(const struct http_request *request)
{
	return request->path;
}

static const char *find(const struct field *fields, unsigned count,
                        const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (strcasecmp(fields[i].name, name) == 0)
			return fields[i].value;
	return NULL;
}

const char *http_request_query(const struct http_request *request,
                               const char *name)
{
	return find(request->query, request->query_count, name);
}

const char *http_request_header(const struct http_request *request,
                                const char *name)
{
	return find(request->headers, request->header_count, name);
}

const char *http_request_body(const struct http_request *request,
                              size_t *ret_size)
{
	*ret_size = request->body_size;
	return request->body;
}

enum http_side http_request_side(const struct http_request *request)
{
	return request->side;
}

bool http_request_peer(const struct http_request *request, uid_t *ret_uid,
                       pid_t *ret_pid)
{
	(void) request;
	*ret_uid = 1000;
	*ret_pid = 1;
	return true;
}

/* --- the answer --------------------------------------------------------- */

static void answer(struct http_request *request, unsigned status)
{
	HOLDS(!request->answered);
	HOLDS(status >= 200 && status < 600);
	request->answered = true;
	request->status = status;
}

void http_reply_header(struct http_request *request, const char *name,
                       const char *value)
{
	HOLDS(!request->answered);
	HOLDS(!strpbrk(name, "\r\n") && !strpbrk(value, "\r\n"));
}

void http_reply(struct http_request *request, unsigned status,
                const char *content_type, const char *etag, char *body,
                size_t size)
{
	json_t *document;

	answer(request, status);
	HOLDS((body != NULL) == (content_type != NULL));
	HOLDS(!etag || strlen(etag) >= 2);
	if (content_type && strcmp(content_type, "application/json") == 0) {
		document = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
		HOLDS(json_is_object(document));
		json_decref(document);
	}
	free(body);
}

void http_reply_error(struct http_request *request, unsigned status,
                      const char *code, const char *message, const char *key)
{
	answer(request, status);
	HOLDS(status >= 400);
	HOLDS(code && *code && message && *message);
	HOLDS(!key || *key);
}

void http_stream(struct http_request *request, const char *content_type,
                 http_pull_fn *pull, http_release_fn *release, void *owner)
{
	char buffer[100];
	ssize_t taken;

	HOLDS(*content_type);
	answer(request, 200);
	for (int i = 0; i < 1000; i++) {
		taken = pull(owner, buffer, sizeof(buffer));
		HOLDS(taken <= (ssize_t) sizeof(buffer));
		if (taken <= 0)
			break;
	}
	release(owner);
}

/* --- requests from bytes ------------------------------------------------ */

static void read_query(struct http_request *request, char *text)
{
	char *part;

	while ((part = strsep(&text, "&")) != NULL) {
		struct field *field = &request->query[request->query_count];

		if (request->query_count == FIELDS_MAX)
			return;
		field->name = strsep(&part, "=");
		field->value = part ? part : "";
		request->query_count++;
	}
}

static void read_header(struct http_request *request, char *line)
{
	struct field *field = &request->headers[request->header_count];

	if (request->header_count == FIELDS_MAX)
		return;
	field->name = strsep(&line, ":");
	field->value = line ? line + strspn(line, " ") : "";
	request->header_count++;
}

static void read_request(struct http_request *request, const uint8_t *data,
                         size_t size)
{
	char *at, *line, *target;

	*request = (struct http_request) { .side = HTTP_CONTROL };
	request->text = at = fuzz_text(data, size);
	line = strsep(&at, "\n");
	if (*line == '<') {
		request->side = HTTP_READ_ONLY;
		line++;
	}
	request->method = strsep(&line, " ");
	target = line ? line : (char *) "";
	request->path = strsep(&target, "?");
	if (target)
		read_query(request, target);
	while ((line = strsep(&at, "\n")) != NULL && *line)
		read_header(request, line);
	request->body = at ? at : "";
	/* a body may hold a NUL, what is before it does not */
	request->body_size = at ? (size_t) (request->text + size - at) : 0;
}

/* --- the target --------------------------------------------------------- */

static struct world world;
static struct api *api;
static char *printed; /* what was in force at the start */

static char *print(void)
{
	char *text;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	HOLDS(stream);
	config_print(control_config(world.control), stream);
	fclose(stream);
	return text;
}

static void prepare(void)
{
	struct api_world parts;

	if (api)
		return;
	world_make(&world, CONFIG);
	parts = (struct api_world) {
		.control = world.control,
		.rounds = world.rounds,
		.writer = world.writer,
		.readers = &world.readers,
		.notify = world.notify,
	};
	HOLDS(api_new(&api, world.event, &parts, world.config) >= 0);
	printed = print();
}

static void ask(const uint8_t *data, size_t size)
{
	json_t *before = json_incref(control_changes(world.control));
	struct http_request request;

	read_request(&request, data, size);
	handler(handler_owner, &request);
	world_run_until(&world, &request.answered);
	if (request.status >= 300 || request.side == HTTP_READ_ONLY ||
	    strcmp(request.method, "GET") == 0)
		HOLDS(json_equal(before, control_changes(world.control)));
	json_decref(before);
	free(request.text);
}

static void reverted(void *owner, const struct control_answer *answer)
{
	HOLDS(answer->status == 200);
	*(bool *) owner = true;
}

/* Pool by pool: what depends on another goes with it. */
static void revert(void)
{
	const json_t *changes;
	char *after;

	if (json_array_size(control_changes(world.control)) == 0)
		return;
	while (json_array_size(changes = control_changes(world.control)) > 0) {
		const json_t *row = json_array_get(changes, 0);
		struct operation operation = {
			.kind = OPERATION_REVERT,
			.pool = json_string_value(json_object_get(row, "pool")),
			.at_us = 1700000000000000,
		};
		bool done = false;

		control_operate(world.control, &operation, NULL, reverted,
		                &done);
		world_run_until(&world, &done);
	}
	after = print();
	HOLDS(strcmp(after, printed) == 0);
	free(after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	prepare();
	for (int i = 0; i < REQUESTS_MAX && size > 0; i++) {
		const uint8_t *mark = memmem(data, size, MARK, strlen(MARK));
		size_t length = mark ? (size_t) (mark - data) : size;

		ask(data, length);
		length += mark ? strlen(MARK) : 0;
		data += length;
		size -= length;
	}
	api_beat(api);
	revert();
	world_run(&world);
	return 0;
}
