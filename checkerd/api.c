/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Where the api listens, and the one table of what it can be asked.
 */
#include "api_private.h"

#include "log.h"
#include "parse.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- routes ------------------------------------------------------------- */

/* The arguments of a pattern are a pool and one of its hosts. */
static const struct route {
	const char *method; /* GET is HEAD too */
	const char *pattern;
	enum http_side side; /* the least that may ask it */
	api_handler_fn *handle;
} routes[] = {
	{ "GET", "/", HTTP_READ_ONLY, api_get_dashboard },
	{ "GET", "/style.css", HTTP_READ_ONLY, api_get_dashboard },
	{ "GET", "/app.js", HTTP_READ_ONLY, api_get_dashboard },
	{ "GET", "/v1/pools", HTTP_READ_ONLY, api_get_pools },
	{ "GET", "/v1/pools/*", HTTP_READ_ONLY, api_get_pool },
	{ "GET", "/v1/pools/*/hosts/*", HTTP_READ_ONLY, api_get_host },
	{ "GET", "/v1/events", HTTP_READ_ONLY, api_get_events },
	{ "GET", "/v1/changes", HTTP_READ_ONLY, api_get_changes },
	{ "GET", "/metrics", HTTP_READ_ONLY, api_get_metrics },
	{ "GET", "/v1/readers", HTTP_READ_ONLY, api_get_readers },
	{ "PUT", "/v1/pools/*", HTTP_CONTROL, api_put_pool },
	{ "PATCH", "/v1/pools/*", HTTP_CONTROL, api_patch_pool },
	{ "DELETE", "/v1/pools/*", HTTP_CONTROL, api_delete_pool },
	{ "PUT", "/v1/pools/*/hosts/*", HTTP_CONTROL, api_put_host },
	{ "PATCH", "/v1/pools/*/hosts/*", HTTP_CONTROL, api_patch_host },
	{ "DELETE", "/v1/pools/*/hosts/*", HTTP_CONTROL, api_delete_host },
	{ "POST", "/v1/pools/*/hosts/*/probe", HTTP_CONTROL, api_post_probe },
	{ "DELETE", "/v1/changes/*", HTTP_CONTROL, api_delete_changes },
	{ "DELETE", "/v1/changes/*/hosts/*", HTTP_CONTROL, api_delete_changes },
	{ "POST", "/v1/reload", HTTP_CONTROL, api_post_reload },
};

/* What the api knows to refuse. */
static const char *const methods[] = { "GET",    "HEAD", "PUT",    "PATCH",
	                               "DELETE", "POST", "OPTIONS" };

static bool is_method(const struct http_request *request)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (strcmp(methods[i], http_request_method(request)) == 0)
			return true;
	return false;
}

static bool is_asked(const struct route *route,
                     const struct http_request *request)
{
	const char *method = http_request_method(request);

	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	return strcmp(route->method, method) == 0 &&
	       route->side <= http_request_side(request);
}

/* None of the routes is meant.  OPTIONS is how the dashboard learns whether it
 * may change things: it passes all that a change has to pass on its way. */
static void refuse_method(struct http_request *request)
{
	bool known = is_method(request);
	struct path_arguments arguments;
	char allowed[64] = "";
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		const struct route *route = &routes[i];

		if (route->side > http_request_side(request) ||
		    !path_pattern_match(route->pattern,
		                        http_request_path(request), &arguments))
			continue;
		used += (size_t) snprintf(
			allowed + used, sizeof(allowed) - used, "%s%s%s",
			used > 0 ? ", " : "", route->method,
			strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
	}
	http_reply_header(request, "Allow", allowed);
	if (strcmp(http_request_method(request), "OPTIONS") == 0)
		http_reply(request, 204, NULL, NULL, NULL, 0);
	else if (!known)
		http_reply_error(request, 501, "not_implemented",
		                 "no method of this interface", NULL);
	else if (http_request_side(request) == HTTP_READ_ONLY)
		http_reply_error(request, 405, "method_not_allowed",
		                 "only GET is answered here; changes go to the "
		                 "control socket",
		                 NULL);
	else
		http_reply_error(request, 405, "method_not_allowed",
		                 "not a method of this resource", NULL);
}

static bool arguments_are_names(const struct path_arguments *arguments)
{
	const char *pool = arguments->text[0], *host = arguments->text[1];

	return (!*pool || (strlen(pool) <= CONFIG_POOL_NAME_MAX &&
	                   text_is_name(pool, strlen(pool)))) &&
	       (!*host || text_is_id(host, strlen(host)));
}

_Static_assert(PATH_ARGUMENT_SIZE > CONFIG_HOST_ID_MAX &&
                       PATH_ARGUMENT_SIZE > CONFIG_POOL_NAME_MAX,
               "names fit");

static void on_request(void *owner, struct http_request *request)
{
	const char *path = http_request_path(request);
	struct path_arguments arguments;
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		const struct route *route = &routes[i];
		int r = path_pattern_match(route->pattern, path, &arguments);

		if (r < 0 || (r > 0 && !arguments_are_names(&arguments))) {
			http_reply_error(
				request, 400, "bad_name",
				"not names in the path: a pool's are 63 "
				"letters, digits and ._- at most, a host's 127 "
				"printable characters without blanks and "
				"quotes, with / as %2F",
				NULL);
			return;
		}
		found = found || r > 0;
		if (r > 0 && is_asked(route, request)) {
			route->handle(owner, request, &arguments);
			return;
		}
	}
	if (found)
		refuse_method(request);
	else
		http_reply_error(request, 404, "not_found", "no such path",
		                 NULL);
}

/* --- life --------------------------------------------------------------- */

/* Checks go on without it. */
static void say(const char *key, const char *place, int r)
{
	if (r < 0)
		log_warning("%s %s: %s; nobody can ask there", key, place,
		            strerror(-r));
}

static void listen_everywhere(struct api *api)
{
	const struct config *config = api->config;
	struct address address;
	size_t name_length;
	uint16_t port;

	say("control socket", config->control,
	    http_server_listen_unix(api->server, config->control, 0660,
	                            HTTP_CONTROL));
	say("status socket", config->status,
	    http_server_listen_unix(api->server, config->status, 0666,
	                            HTTP_READ_ONLY));
	if (*config->listen &&
	    address_parse(&address, config->listen, &name_length, &port) == 0)
		say("listen address", config->listen,
		    http_server_listen_tcp(api->server, &address,
		                           HTTP_READ_ONLY));
}

int api_new(struct api **ret, sd_event *event, const struct api_world *world,
            struct config *config)
{
	struct api *api = calloc(1, sizeof(*api));
	int r;

	if (!api)
		return -ENOMEM;
	api->control = world->control;
	api->rounds = world->rounds;
	api->writer = world->writer;
	api->readers = world->readers;
	api->notify = world->notify;
	api->reports = world->reports;
	api->config = config_ref(config);
	r = http_server_new(&api->server, event, on_request, api);
	if (r >= 0)
		r = api_document_open(api, event);
	if (r < 0) {
		api_free(api);
		return r;
	}
	listen_everywhere(api);
	*ret = api;
	return 0;
}

void api_free(struct api *api)
{
	if (!api)
		return;
	api_document_close(api);
	http_server_free(api->server);
	config_unref(api->config);
	free(api);
}
