/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests that change something: read here, carried out by the control, and
 * answered when the change is on disk and in force.
 */
#include "api_private.h"

#include "clock.h"
#include "config_errors.h"
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A request that the control is at. */
struct pending {
	struct api *api;
	struct http_request *request;
	unsigned success; /* the status to answer with */
	struct path_arguments arguments;
};

static const char *host_of(const struct path_arguments *arguments)
{
	return *arguments->text[1] ? arguments->text[1] : NULL;
}

static void reply_changed(const struct pending *pending)
{
	const char *pool = pending->arguments.text[0];
	const char *host = host_of(&pending->arguments);

	if (pending->success == 204)
		http_reply(pending->request, 204, NULL, NULL, NULL, 0);
	else
		api_reply_place(pending->api, pending->request, pool, host,
		                pending->success);
}

static void on_changed(void *owner, const struct control_answer *answer)
{
	struct pending *pending = owner;

	if (answer->status == 200)
		reply_changed(pending);
	else
		http_reply_error(pending->request, answer->status, answer->code,
		                 answer->message, answer->key);
	free(pending);
}

/* If-Match, when the change's turn has come. */
static bool is_still_meant(void *owner)
{
	const struct pending *pending = owner;
	const char *known = http_request_header(pending->request, "If-Match");
	struct api_place place;
	char etag[ETAG_SIZE];

	return !known ||
	       (api_find(pending->api, pending->arguments.text[0],
	                 host_of(&pending->arguments), &place) == 0 &&
	        etag_matches(known, api_etag(pending->api, &place, etag)));
}

/* Returns -EINVAL after having answered. */
static int read_body(struct http_request *request, json_t **ret)
{
	json_error_t error;
	char message[JSON_ERROR_TEXT_LENGTH + 64];
	const char *body;
	size_t size;

	body = http_request_body(request, &size);
	*ret = json_loadb(body, size, JSON_REJECT_DUPLICATES, &error);
	if (json_is_object(*ret))
		return 0;
	if (*ret)
		snprintf(message, sizeof(message),
		         "the body is no JSON object");
	else
		snprintf(message, sizeof(message),
		         "the body is no JSON: line %d, column %d: %s",
		         error.line, error.column, error.text);
	json_decref(*ret);
	http_reply_error(request, 400, "bad_json", message, NULL);
	return -EINVAL;
}

static void operate(struct api *api, struct http_request *request,
                    const struct path_arguments *arguments,
                    enum operation_kind kind, bool with_body, unsigned success)
{
	struct operation operation = {
		.kind = kind,
		.pool = arguments->text[0],
		.host = host_of(arguments),
		.at_us = realtime_us(),
		.by = (uid_t) -1, /* nobody is known */
	};
	struct pending *pending;
	pid_t pid;

	if (with_body && read_body(request, &operation.body) < 0)
		return;
	http_request_peer(request, &operation.by, &pid);
	pending = malloc(sizeof(*pending));
	if (pending) {
		*pending =
			(struct pending) { api, request, success, *arguments };
		control_operate(api->control, &operation, is_still_meant,
		                on_changed, pending);
	} else {
		http_reply_error(request, 503, "no_memory",
		                 "checkerd is short of memory", NULL);
	}
	json_decref(operation.body);
}

void api_put_pool(struct api *api, struct http_request *request,
                  const struct path_arguments *arguments)
{
	operate(api, request, arguments, OPERATION_ADD_POOL, true, 201);
}

void api_patch_pool(struct api *api, struct http_request *request,
                    const struct path_arguments *arguments)
{
	operate(api, request, arguments, OPERATION_SET_POOL, true, 200);
}

void api_delete_pool(struct api *api, struct http_request *request,
                     const struct path_arguments *arguments)
{
	operate(api, request, arguments, OPERATION_REMOVE_POOL, false, 204);
}

void api_put_host(struct api *api, struct http_request *request,
                  const struct path_arguments *arguments)
{
	operate(api, request, arguments, OPERATION_ADD_HOST, true, 201);
}

void api_patch_host(struct api *api, struct http_request *request,
                    const struct path_arguments *arguments)
{
	operate(api, request, arguments, OPERATION_ORDER, true, 200);
}

void api_delete_host(struct api *api, struct http_request *request,
                     const struct path_arguments *arguments)
{
	operate(api, request, arguments, OPERATION_REMOVE_HOST, false, 204);
}

/* --- what differs from the files ---------------------------------------- */

static int begin_changes(struct document *document)
{
	fputs("{\"changes\":[", document->out);
	return 0;
}

static json_t *visible(const json_t *row)
{
	const char *key = json_string_value(json_object_get(row, "key"));
	json_t *copy = json_copy((json_t *) row);

	json_object_set_new(copy, "runtime",
	                    changes_hide(key, json_object_get(row, "runtime")));
	return copy;
}

static int step_changes(struct document *document)
{
	json_t *row = json_array_get(document->changes, document->written);
	int r;

	if (!row) {
		fputs("]}\n", document->out);
		return 0;
	}
	fputs(document->written++ > 0 ? "," : "", document->out);
	r = view_json_dump(document->out, visible(row));
	return r < 0 ? r : 1;
}

void api_get_changes(struct api *api, struct http_request *request,
                     const struct path_arguments *arguments)
{
	static const struct document_kind changes = { JSON_TYPE, begin_changes,
		                                      step_changes };
	const struct document form = {
		.kind = &changes,
		.status = 200,
		.changes = control_changes(api->control),
	};

	(void) arguments;
	api_document_send(api, request, &form);
}

void api_delete_changes(struct api *api, struct http_request *request,
                        const struct path_arguments *arguments)
{
	operate(api, request, arguments, OPERATION_REVERT, false, 204);
}

/* --- reload ------------------------------------------------------------- */

static json_t *texts_of(const struct config_errors *errors)
{
	json_t *list = json_array();

	for (size_t i = 0; i < errors->kept; i++)
		json_array_append_new(list, json_string(errors->texts[i]));
	return list;
}

static void on_reloaded(void *owner, const struct control_answer *answer)
{
	struct pending *pending = owner;
	const struct config *config = control_config(pending->api->control);

	if (answer->status == 200)
		api_reply_json(pending->request, 200, NULL,
		               json_pack("{sisiso}", "pools",
		                         (int) config->pool_count, "hosts",
		                         (int) config->host_count, "gave_way",
		                         texts_of(answer->gave_way)));
	else if (answer->errors)
		api_reply_json(pending->request, answer->status, NULL,
		               json_pack("{s{ssssso?so}}", "error", "code",
		                         answer->code, "message",
		                         answer->message, "key", json_null(),
		                         "errors", texts_of(answer->errors)));
	else
		http_reply_error(pending->request, answer->status, answer->code,
		                 answer->message, answer->key);
	free(pending);
}

void api_post_reload(struct api *api, struct http_request *request,
                     const struct path_arguments *arguments)
{
	struct pending *pending = malloc(sizeof(*pending));

	if (!pending) {
		http_reply_error(request, 503, "no_memory",
		                 "checkerd is short of memory", NULL);
		return;
	}
	*pending = (struct pending) { api, request, 200, *arguments };
	control_reload(api->control, on_reloaded, pending);
}

/* --- one probe ---------------------------------------------------------- */

static void on_probed(void *owner, bool probed, uint32_t host)
{
	struct pending *pending = owner;

	(void) host;
	if (probed)
		reply_changed(pending);
	else
		http_reply_error(pending->request, 503, "no_probe",
		                 "the host went, or checkerd is stopping",
		                 NULL);
	free(pending);
}

void api_post_probe(struct api *api, struct http_request *request,
                    const struct path_arguments *arguments)
{
	const char *pool = arguments->text[0], *host = arguments->text[1];
	struct pending *pending = malloc(sizeof(*pending));
	int r = -ENOMEM;

	if (pending) {
		*pending = (struct pending) { api, request, 200, *arguments };
		r = rounds_probe(api->rounds, pool, host, on_probed, pending);
	}
	if (r >= 0)
		return;
	free(pending);
	if (r == -ENOENT)
		api_reply_absent(api, request, pool, host);
	else if (r == -EOPNOTSUPP)
		http_reply_error(request, 409, "no_check",
		                 "the host has check = none, allowed with any "
		                 "other",
		                 "check");
	else
		http_reply_error(request, 503, "no_memory", strerrordesc_np(-r),
		                 NULL);
}
