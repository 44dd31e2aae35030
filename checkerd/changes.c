/* SPDX-License-Identifier: BSD-2-Clause */
#include "changes_private.h"

#include "config_value.h"
#include "name_index.h"
#include "parse.h"
#include "server_line.h"
#include "time_text.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const changes_admin_names[] = {
	[HEALTH_AUTO] = "auto",
	[HEALTH_ADMIN_DOWN] = "down",
	[HEALTH_ADMIN_DRAIN] = "drain",
};

/* --- rows --------------------------------------------------------------- */

static bool is_text_or_null(const json_t *value)
{
	return json_is_string(value) || json_is_null(value);
}

static bool is_value(const json_t *value)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(value))
		return is_text_or_null(value);
	json_array_foreach((json_t *) value, i, item)
	{
		if (!json_is_string(item))
			return false;
	}
	return true;
}

static bool is_admin(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(changes_admin_names); i++) {
		if (strcmp(changes_admin_names[i], text) == 0)
			return true;
	}
	return false;
}

static bool is_order(const char *key, const char *text)
{
	uint64_t weight;

	if (strcmp(key, ADMIN) == 0)
		return is_admin(text);
	return parse_unsigned(&weight, text, 1, HEALTH_MAX_WEIGHT) == 0;
}

/* What a damaged file may have made of a row must not reach the builder. */
static bool makes_sense(const struct change *change)
{
	bool exists = strcmp(change->key, POOL) == 0 ||
	              strcmp(change->key, SERVER) == 0;
	bool order = strcmp(change->key, ADMIN) == 0 ||
	             strcmp(change->key, WEIGHT) == 0;

	if (strlen(change->pool) > CONFIG_POOL_NAME_MAX ||
	    !text_is_name(change->pool, strlen(change->pool)))
		return false;
	if (change->host && (strlen(change->host) > CONFIG_HOST_ID_MAX ||
	                     !text_is_id(change->host, strlen(change->host))))
		return false;
	if (exists &&
	    (strcmp(change->key, SERVER) == 0) != (change->host != NULL))
		return false;
	if (json_is_null(change->runtime))
		return exists;
	if (order && change->host)
		return json_is_string(change->runtime) &&
		       is_order(change->key,
		                json_string_value(change->runtime));
	return json_is_string(change->runtime) || !exists;
}

enum health_admin change_admin(const struct change *change)
{
	const char *text = json_string_value(change->runtime);

	for (size_t i = 0; i < ARRAY_SIZE(changes_admin_names); i++) {
		if (strcmp(changes_admin_names[i], text) == 0)
			return (enum health_admin) i;
	}
	return HEALTH_AUTO;
}

bool change_read(const json_t *row, struct change *ret)
{
	const json_t *host = json_object_get(row, "host");
	const json_t *reason = json_object_get(row, "reason");
	const char *until = json_string_value(json_object_get(row, "until"));

	*ret = (struct change) {
		.pool = json_string_value(json_object_get(row, "pool")),
		.host = json_string_value(host),
		.key = json_string_value(json_object_get(row, "key")),
		.ini = json_object_get(row, "ini"),
		.runtime = json_object_get(row, "runtime"),
		.reason = json_string_value(reason),
	};
	return ret->pool && ret->key && is_text_or_null(host) &&
	       is_text_or_null(ret->ini) && is_value(ret->runtime) &&
	       (!until || time_text_read_utc(until, &ret->until_us)) &&
	       makes_sense(ret);
}

static const char *field(const json_t *row, const char *name)
{
	return json_string_value(json_object_get(row, name));
}

const json_t *changes_find(const json_t *changes, const char *pool,
                           const char *host, const char *key)
{
	const json_t *row;
	size_t i;

	/* what tells most rows apart comes first */
	json_array_foreach((json_t *) changes, i, row)
	{
		if (changes_same_text(field(row, "host"), host) &&
		    changes_same_text(field(row, "key"), key) &&
		    changes_same_text(field(row, "pool"), pool))
			return row;
	}
	return NULL;
}

int changes_drop_row(json_t *changes, const json_t *row)
{
	size_t at = 0;

	while (json_array_get(changes, at) != row)
		at++;
	return json_array_remove(changes, at) < 0 ? -ENOMEM : 0;
}

int changes_drop(json_t *changes, const char *pool, const char *host,
                 const char *key)
{
	json_t *left = json_array(), *row;
	int error = left ? 0 : -ENOMEM;
	size_t i;

	json_array_foreach(changes, i, row)
	{
		bool goes = changes_same_text(field(row, "pool"), pool) &&
		            (!host ||
		             changes_same_text(field(row, "host"), host)) &&
		            (!key || changes_same_text(field(row, "key"), key));

		if (error == 0 && !goes && json_array_append(left, row) < 0)
			error = -ENOMEM;
	}
	/* one by one would be a move of all that follow for each */
	if (error == 0 && json_array_size(left) < json_array_size(changes) &&
	    (json_array_clear(changes) < 0 ||
	     json_array_extend(changes, left) < 0))
		error = -ENOMEM;
	json_decref(left);
	return error;
}

static bool is_among(const struct name_index *names,
                     const struct change *change)
{
	const char *host = change->host ? change->host : "";
	size_t size = strlen(change->pool);

	return name_index_find(names, change->pool, size, "", 0) !=
	               NAME_INDEX_NONE ||
	       name_index_find(names, change->pool, size, host, strlen(host)) !=
	               NAME_INDEX_NONE;
}

json_t *changes_without(json_t *changes, const struct name_index *names)
{
	json_t *left = json_array(), *row;
	bool failed = !left;
	size_t i;

	json_array_foreach(changes, i, row)
	{
		struct change change;

		if (!failed && change_read(row, &change) &&
		    !is_among(names, &change))
			failed = json_array_append(left, row) < 0;
	}
	if (!failed)
		return left;
	json_decref(left);
	return NULL;
}

/* --- what the files say ------------------------------------------------- */

const char *const changes_pool_keys[] = { "priority", "balance", "panic",
	                                  NULL };

static void print_pool_value(const struct pool_config *pool, const char *key,
                             struct file_value *ret)
{
	const struct config_values values = {
		.priority = pool->priority,
		.balance = pool->balance,
		.panic_percent = pool->panic_percent,
		.settings = *pool->settings,
		.upstream = pool->upstream,
	};
	FILE *stream = fmemopen(ret->buffer, sizeof(ret->buffer), "w");

	if (!stream)
		return;
	config_value_print_text(config_key_find(key), &values, stream);
	fclose(stream);
	ret->text = ret->buffer;
}

struct file_place changes_find_place(const struct config *files,
                                     const char *pool, const char *id)
{
	struct file_place place = { .pool = config_find_pool(files, pool) };

	if (id && place.pool)
		place.host = config_find_host(place.pool, id);
	if (id && !place.host)
		place.pool = NULL;
	return place;
}

struct file_value *changes_file_value(struct file_place place, const char *key,
                                      struct file_value *ret)
{
	const struct pool_config *pool = place.pool;
	const struct host_config *host = place.host;

	ret->text = NULL;
	memset(ret->buffer, 0, sizeof(ret->buffer));
	if (!pool)
		return ret;
	if (!host && strcmp(key, POOL) == 0) {
		ret->text = pool->name;
	} else if (host && strcmp(key, SERVER) == 0) {
		ret->text = address_text(host->address, ret->buffer);
	} else if (host && strcmp(key, ADMIN) == 0) {
		ret->text = changes_admin_names[host->admin];
	} else if (host && strcmp(key, WEIGHT) == 0) {
		snprintf(ret->buffer, sizeof(ret->buffer), "%u", host->weight);
		ret->text = ret->buffer;
	}
	for (size_t i = 0; !host && changes_pool_keys[i]; i++) {
		if (strcmp(changes_pool_keys[i], key) == 0)
			print_pool_value(pool, key, ret);
	}
	return ret;
}

bool changes_is_own(const json_t *changes, const char *pool, const char *host)
{
	return changes_find(changes, pool, NULL, POOL) ||
	       (host && changes_find(changes, pool, host, SERVER));
}

/* --- orders in force ---------------------------------------------------- */

/* As a host of the changes was added. */
static int read_own(const struct change *server, struct order *ret)
{
	char problem[CONFIG_PROBLEM_SIZE];
	struct arena *arena = arena_new(NULL);
	struct server_line line;
	char *text = NULL;
	int error = -ENOMEM;

	if (arena)
		text = arena_text(arena, json_string_value(server->runtime),
		                  json_string_length(server->runtime));
	if (text)
		error = server_line_parse(text, arena, &line, problem);
	if (error == 0) {
		ret->admin = line.admin;
		ret->weight = line.weight;
	}
	arena_free(arena);
	return error;
}

int changes_order(const json_t *changes, const struct config *files,
                  const char *pool, const char *host, struct order *ret)
{
	struct file_place place = changes_find_place(files, pool, host);
	struct change change;
	int error = 0;

	*ret = (struct order) { .admin = HEALTH_AUTO, .weight = 1 };
	if (change_read(changes_find(changes, pool, host, SERVER), &change)) {
		error = read_own(&change, ret);
	} else if (place.host) {
		ret->admin = place.host->admin;
		ret->weight = place.host->weight;
	}
	if (change_read(changes_find(changes, pool, host, WEIGHT), &change))
		ret->weight = (uint16_t) strtoul(
			json_string_value(change.runtime), NULL, 10);
	if (change_read(changes_find(changes, pool, host, ADMIN), &change)) {
		ret->admin = change_admin(&change);
		ret->reason = change.reason;
		ret->until_us = change.until_us;
	}
	return error;
}

/* 0: it is no lease.  Few rows are. */
static uint64_t end_us(const json_t *row)
{
	struct change change;

	return json_is_string(json_object_get(row, "until")) &&
	                       change_read(row, &change)
	               ? change.until_us
	               : 0;
}

uint64_t changes_next_end_us(const json_t *changes)
{
	uint64_t first_us = 0;
	const json_t *row;
	size_t i;

	json_array_foreach((json_t *) changes, i, row)
	{
		uint64_t row_end_us = end_us(row);

		if (row_end_us && (!first_us || row_end_us < first_us))
			first_us = row_end_us;
	}
	return first_us;
}

int changes_part(const json_t *changes, uint64_t now_us, json_t *ended,
                 json_t *left)
{
	json_t *row;
	size_t i;
	int r = 0;

	json_array_foreach((json_t *) changes, i, row)
	{
		uint64_t row_end_us = end_us(row);
		bool over = row_end_us && row_end_us <= now_us;

		r |= json_array_append(over ? ended : left, row);
	}
	return r ? -ENOMEM : 0;
}

json_t *changes_ended(const json_t *changes, uint64_t now_us)
{
	json_t *ended = json_array(), *left = json_array();
	int r = ended && left ? changes_part(changes, now_us, ended, left)
	                      : -ENOMEM;

	json_decref(left);
	if (r == 0)
		return ended;
	json_decref(ended);
	return NULL;
}

/* --- what is not for everybody ------------------------------------------ */

#define HIDDEN "(hidden)"

/* Of a header, the name is none. */
static json_t *hide_text(const struct config_key *key, const char *text)
{
	size_t name = strcspn(text, ":");

	return key->type == TYPE_HEADER && text[name] == ':'
	               ? json_sprintf("%.*s: " HIDDEN, (int) name, text)
	               : json_string(*text ? HIDDEN : "");
}

json_t *changes_hide(const char *key, const json_t *value)
{
	const struct config_key *known = config_key_find(key);
	const json_t *item;
	json_t *list;
	size_t i;

	if (!known || !known->secret)
		return json_incref((json_t *) value);
	if (!json_is_array(value))
		return json_is_string(value)
		               ? hide_text(known, json_string_value(value))
		               : json_string(HIDDEN);
	list = json_array();
	json_array_foreach((json_t *) value, i, item)
		json_array_append_new(list, changes_hide(key, item));
	return list;
}
