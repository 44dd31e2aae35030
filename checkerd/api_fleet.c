/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Pools and hosts: how they are, as checkerctl says it from the segment, and
 * their settings, which only the configuration knows.
 */
#include "api_private.h"

#include "changes.h"
#include "config_keys.h"
#include "config_value.h"
#include "server_line.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- who is meant ------------------------------------------------------- */

int api_find(const struct api *api, const char *pool, const char *host,
             struct api_place *ret)
{
	const struct config *config = rounds_config(api->rounds);
	const struct pool_config *of = config_find_pool(config, pool);

	if (!of)
		return -ENOENT;
	*ret = (struct api_place) {
		.pool_index = (uint32_t) (of - config->pools),
		.pool = of,
	};
	if (!host)
		return 0;
	ret->host = config_find_host(of, host);
	if (!ret->host)
		return -ENOENT;
	ret->host_index = segment_writer_shm(api->writer)
	                          ->pools[ret->pool_index]
	                          .first_host +
	                  (uint32_t) (ret->host - of->hosts);
	rounds_settle(api->rounds, ret->host_index);
	return 0;
}

void api_reply_absent(struct api *api, struct http_request *request,
                      const char *pool, const char *host)
{
	struct api_place place;
	char message[256];

	if (host && api_find(api, pool, NULL, &place) == 0)
		snprintf(message, sizeof(message),
		         "no host \"%s\" in pool \"%s\"", host, pool);
	else
		snprintf(message, sizeof(message), "no pool \"%s\"", pool);
	http_reply_error(request, 404, "not_found", message, NULL);
}

/* --- ETags -------------------------------------------------------------- */

static void add_host(const struct api *api, struct etag *etag,
                     const struct host_config *host, uint32_t index)
{
	const struct health_detail *detail =
		segment_writer_detail(api->writer, index);
	uint64_t word = health_shm_word(segment_writer_shm(api->writer), index);
	struct etag_order order = {
		.admin = health_word_admin(word),
		.weight = detail->weight,
		.until_us = detail->until_us,
		.reason = { detail->reason,
		            strnlen(detail->reason, sizeof(detail->reason)) },
	};

	etag_add_host(etag, host, &order);
}

static void keep_hash(struct api *api, uint32_t pool, uint64_t revision,
                      struct etag etag)
{
	if (revision != rounds_revision(api->rounds))
		return;
	api->hashed.pool = pool;
	api->hashed.revision = revision;
	api->hashed.etag = etag;
}

/* If-Match mostly names what was sent last. */
static struct etag hash_pool(struct api *api, const struct api_place *place)
{
	const struct pool_config *pool = place->pool;
	uint64_t revision = rounds_revision(api->rounds);
	uint32_t first = segment_writer_shm(api->writer)
	                         ->pools[place->pool_index]
	                         .first_host;
	struct etag etag;

	if (api->hashed.pool == place->pool_index &&
	    api->hashed.revision == revision)
		return api->hashed.etag;
	etag_begin(&etag);
	etag_add_pool(&etag, pool);
	for (uint32_t i = 0; i < pool->host_count; i++)
		add_host(api, &etag, &pool->hosts[i], first + i);
	keep_hash(api, place->pool_index, revision, etag);
	return etag;
}

const char *api_etag(struct api *api, const struct api_place *place,
                     char *buffer)
{
	struct etag etag;

	if (place->host) {
		etag_begin(&etag);
		add_host(api, &etag, place->host, place->host_index);
	} else {
		etag = hash_pool(api, place);
	}
	return etag_text(&etag, buffer);
}

/* --- settings ----------------------------------------------------------- */

static json_t *list_of(const struct config_key *key, const void *structure)
{
	json_t *list = json_array();
	const char *text;

	for (size_t i = 0;
	     (text = config_value_list_text(key, structure, i)) != NULL; i++)
		json_array_append_new(list, json_string(text));
	return list;
}

static json_t *text_of(const struct config_key *key, const void *structure)
{
	CLEANUP(free_pointer) char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	config_value_print_text(key, structure, stream);
	return fclose(stream) == 0 ? json_string(text) : NULL;
}

static void add_key(json_t *object, const struct config_key *key,
                    const void *structure)
{
	json_t *value = config_key_is_list(key) ? list_of(key, structure)
	                                        : text_of(key, structure);

	json_object_set_new(object, key->name, changes_hide(key->name, value));
	json_decref(value);
}

/* Each key that is of use there, as the file would have it. */
static json_t *settings_of(const struct api *api, const struct api_place *place)
{
	const struct host_config *host = place->host;
	enum config_sections section = host ? IN_HOST : IN_POOL;
	const struct config_values values = config_values_of(
		place->pool, host ? host->settings : place->pool->settings);
	json_t *object = json_object();

	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];

		if (key->stored && (key->sections & section) != 0 &&
		    config_key_applies(key, values.settings.check))
			add_key(object, key, &values);
	}
	if (host) {
		const struct server_line line = {
			.id = host->id,
			/* orders change it without a new configuration */
			.weight = segment_writer_detail(api->writer,
			                                place->host_index)
			                  ->weight,
			.max_conns = host->max_conns,
			.max_fails = host->max_fails,
			.fail_timeout_ms = host->fail_timeout_ms,
		};

		for (size_t i = 0; i < server_parameter_count; i++)
			add_key(object, &server_parameters[i], &line);
	}
	return object;
}

/* --- /v1/pools ---------------------------------------------------------- */

static int begin_status(struct document *document)
{
	struct api *api = document->api;
	struct segment_reader reader = {
		.shm = *segment_writer_shm(api->writer),
		.path = api->config->segment,
	};
	struct segment_snapshot segment;
	char error[SEGMENT_READER_ERROR_SIZE];

	segment_snapshot(&segment, &reader);
	selection_find(&document->selection, segment_writer_shm(api->writer),
	               NULL, error);
	view_json_status_begin(&document->at.status, document->out, &segment,
	                       &document->selection);
	return document->at.status.error;
}

static int step_status(struct document *document)
{
	if (view_json_status_step(&document->at.status))
		return 1;
	return document->at.status.error;
}

void api_get_pools(struct api *api, struct http_request *request,
                   const struct path_arguments *arguments)
{
	static const struct document_kind status = { JSON_TYPE, begin_status,
		                                     step_status };
	const struct document form = { .kind = &status, .status = 200 };

	(void) arguments;
	api_document_send(api, request, &form);
}

/* --- /v1/pools/P -------------------------------------------------------- */

static int begin_pool(struct document *document)
{
	struct api *api = document->api;
	struct api_place place;
	int r = api_find(api, document->pool, NULL, &place);

	if (r < 0)
		return r;
	document->revision = rounds_revision(api->rounds);
	etag_begin(&document->hashed);
	etag_add_pool(&document->hashed, place.pool);
	document->selection = (struct selection) {
		.shm = segment_writer_shm(api->writer),
		.first_pool = place.pool_index,
		.pool_count = 1,
	};
	walk_begin(&document->at.walk, &document->selection);
	walk_next_pool(&document->at.walk);
	return view_json_pool(document->out, &document->at.walk.pool);
}

static int end_pool(struct document *document)
{
	struct api_place place;
	int r = api_find(document->api, document->pool, NULL, &place);

	if (r < 0)
		return r;
	etag_text(&document->hashed, document->etag);
	keep_hash(document->api, place.pool_index, document->revision,
	          document->hashed);
	fputs("],\"settings\":", document->out);
	r = view_json_dump(document->out, settings_of(document->api, &place));
	fputs("}\n", document->out);
	return r;
}

static int step_pool(struct document *document)
{
	uint32_t pool = document->selection.first_pool;
	const struct config *config = rounds_config(document->api->rounds);
	struct walk *walk = &document->at.walk;
	int r;

	if (!walk_next_host(walk))
		return end_pool(document);
	add_host(document->api, &document->hashed,
	         &config->pools[pool].hosts[document->written],
	         document->selection.shm->pools[pool].first_host +
	                 document->written);
	fputs(document->written++ > 0 ? "," : "", document->out);
	r = view_json_dump(document->out, view_json_host(&walk->host));
	return r < 0 ? r : 1;
}

static void send_pool(struct api *api, struct http_request *request,
                      const struct api_place *place, unsigned status)
{
	static const struct document_kind pool = { JSON_TYPE, begin_pool,
		                                   step_pool };
	struct document form = { .kind = &pool, .status = status };

	snprintf(form.pool, sizeof(form.pool), "%s", place->pool->name);
	api_document_send(api, request, &form);
}

/* --- /v1/pools/P/hosts/H ------------------------------------------------ */

void api_reply_json(struct http_request *request, unsigned status,
                    const char *etag, json_t *value)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);
	int r = -ENOMEM;

	if (stream) {
		r = view_json_dump(stream, value);
		fputc('\n', stream);
		r = fclose(stream) == 0 ? r : -ENOMEM;
	} else {
		json_decref(value);
	}
	if (r == 0) {
		http_reply(request, status, JSON_TYPE, etag, text, size);
		return;
	}
	free(text);
	http_reply_error(request, 503, "no_memory",
	                 "checkerd is short of memory", NULL);
}

static void send_host(struct api *api, struct http_request *request,
                      const struct api_place *place, unsigned status)
{
	struct host_snapshot snapshot;
	char etag[ETAG_SIZE];
	json_t *object;

	host_snapshot(&snapshot, segment_writer_shm(api->writer),
	              place->host_index);
	object = view_json_host(&snapshot);
	json_object_set_new(object, "settings", settings_of(api, place));
	api_reply_json(request, status, api_etag(api, place, etag), object);
}

/* --- both --------------------------------------------------------------- */

void api_reply_place(struct api *api, struct http_request *request,
                     const char *pool, const char *host, unsigned status)
{
	struct api_place place;

	if (api_find(api, pool, host, &place) < 0)
		api_reply_absent(api, request, pool, host);
	else if (host)
		send_host(api, request, &place, status);
	else
		send_pool(api, request, &place, status);
}

void api_get_pool(struct api *api, struct http_request *request,
                  const struct path_arguments *arguments)
{
	api_reply_place(api, request, arguments->text[0], NULL, 200);
}

void api_get_host(struct api *api, struct http_request *request,
                  const struct path_arguments *arguments)
{
	api_reply_place(api, request, arguments->text[0], arguments->text[1],
	                200);
}
