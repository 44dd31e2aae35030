/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The changes are laid on a copy of what the files said before it is finished,
 * so that they inherit, are checked and are refused as lines of a file are.
 *
 * In three passes, since a row may stand before what it depends on: pools that
 * come and go, hosts that do, and then keys.  What goes is only marked, for
 * the indices to stay right, and swept out at the end.
 */
#include "config_amend.h"

#include "changes.h"
#include "config_builder_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECTION_SIZE (CONFIG_POOL_NAME_MAX + CONFIG_HOST_ID_MAX + 16)

/* A section of the configuration, opened for changes. */
struct opened {
	struct config_section section;
	struct config_place place;
};

struct amendment {
	struct config_builder *builder;
	struct name_index *of_files, *of_changes; /* hosts: index in the pool */
	struct opened last;
};

typedef int change_fn(struct amendment *amendment, const struct change *change);

static void name_section(char ret[SECTION_SIZE], const char *pool,
                         const char *host)
{
	if (host)
		snprintf(ret, SECTION_SIZE, "host %s/%s", pool, host);
	else
		snprintf(ret, SECTION_SIZE, "pool %s", pool);
}

/* Rows of one host are neighbours, and it may have but one section. */
static int open_section(struct amendment *amendment,
                        const struct change *change, const char *host,
                        struct opened *ret)
{
	char name[SECTION_SIZE];
	int error;

	name_section(name, change->pool, host);
	*ret = amendment->last;
	if (ret->place.section && strcmp(ret->place.section, name) == 0)
		return 0;
	ret->place = (struct config_place) {
		.file = CONFIG_RUNTIME,
		.section = config_builder_keep(amendment->builder, name),
	};
	if (!ret->place.section)
		return -ENOMEM;
	error = config_builder_section(amendment->builder, &ret->place,
	                               &ret->section);
	if (error == 0)
		amendment->last = *ret;
	return error;
}

static void refuse(struct amendment *amendment, const struct change *change)
{
	char name[SECTION_SIZE];
	struct config_place place = { CONFIG_RUNTIME, 0, name };

	name_section(name, change->pool, change->host);
	config_errors_add(amendment->builder->errors, &place, change->key,
	                  "there is no such %s, allowed: one that exists",
	                  change->host ? "host" : "pool");
}

static uint32_t find(const struct name_index *index,
                     const struct change *change)
{
	return name_index_find(index, change->pool, strlen(change->pool),
	                       change->host, strlen(change->host));
}

static struct pool_build *find_pool(struct amendment *amendment,
                                    const char *name)
{
	uint32_t at = config_builder_find_pool(amendment->builder, name);

	return at == NAME_INDEX_NONE || amendment->builder->pools[at].gone
	               ? NULL
	               : &amendment->builder->pools[at];
}

static struct host_build *find_host(struct amendment *amendment,
                                    const struct change *change)
{
	struct pool_build *pool = find_pool(amendment, change->pool);
	uint32_t at =
		pool ? find(amendment->of_changes, change) : NAME_INDEX_NONE;

	if (pool && at == NAME_INDEX_NONE)
		at = find(amendment->of_files, change);
	return at == NAME_INDEX_NONE || pool->hosts[at].gone ? NULL
	                                                     : &pool->hosts[at];
}

/* --- pools -------------------------------------------------------------- */

static void empty_pool(struct config_builder *builder, struct pool_build *pool)
{
	for (uint32_t i = 0; i < pool->count; i++) {
		builder->host_count -= !pool->hosts[i].gone;
		pool->hosts[i].gone = true;
	}
	pool->layer.count = 0;
}

static int amend_pool(struct amendment *amendment, const struct change *change)
{
	struct pool_build *pool = find_pool(amendment, change->pool);
	struct opened in;
	int error;

	if (change->host || strcmp(change->key, "pool") != 0)
		return 0;
	if (pool) {
		empty_pool(amendment->builder, pool);
		pool->gone = json_is_null(change->runtime);
	}
	if (json_is_null(change->runtime))
		return 0;
	error = open_section(amendment, change, NULL, &in);
	if (error == 0 && in.section.in == IN_POOL)
		amendment->builder->pools[in.section.index].layer.place =
			in.place;
	return error;
}

/* --- hosts -------------------------------------------------------------- */

static int amend_host(struct amendment *amendment, const struct change *change)
{
	struct pool_build *pool = find_pool(amendment, change->pool);
	char name[SECTION_SIZE];
	struct opened in;
	uint32_t at;
	int error;

	if (!change->host || strcmp(change->key, "server") != 0)
		return 0;
	if (!pool) {
		refuse(amendment, change);
		return 0;
	}
	at = find(amendment->of_files, change);
	if (at != NAME_INDEX_NONE && !pool->hosts[at].gone) {
		pool->hosts[at].gone = true;
		amendment->builder->host_count--;
	}
	if (json_is_null(change->runtime))
		return 0;
	error = open_section(amendment, change, NULL, &in);
	if (error < 0)
		return error;
	at = pool->count;
	/* what is wrong with a host is its own, not the pool's */
	name_section(name, change->pool, change->host);
	in.place.section = config_builder_keep(amendment->builder, name);
	if (!in.place.section)
		return -ENOMEM;
	error = config_builder_set(amendment->builder, &in.section, &in.place,
	                           "server",
	                           json_string_value(change->runtime));
	if (error < 0 || pool->count == at)
		return error;
	return name_index_add(amendment->of_changes, change->pool,
	                      strlen(change->pool), change->host,
	                      strlen(change->host), at);
}

/* --- keys --------------------------------------------------------------- */

static void forget_key(struct layer *layer, const char *name)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < layer->count; i++) {
		if (strcmp(layer->items[i].key->name, name) != 0)
			layer->items[kept++] = layer->items[i];
	}
	layer->count = kept;
}

static int set_key(struct amendment *amendment, const struct change *change)
{
	struct pool_build *pool = find_pool(amendment, change->pool);
	size_t count = json_is_array(change->runtime)
	                       ? json_array_size(change->runtime)
	                       : 1;
	struct opened in;
	int error;

	error = open_section(amendment, change, change->host, &in);
	if (error == 0 && in.section.in == IN_POOL)
		forget_key(&pool->layer, change->key);
	/* as in a file, an empty value says that there are none */
	if (error == 0 && count == 0)
		error = config_builder_set(amendment->builder, &in.section,
		                           &in.place, change->key, "");
	for (size_t i = 0; error == 0 && i < count; i++) {
		const json_t *text =
			json_is_array(change->runtime)
				? json_array_get(change->runtime, i)
				: change->runtime;

		error = config_builder_set(amendment->builder, &in.section,
		                           &in.place, change->key,
		                           json_string_value(text));
	}
	return error;
}

static int order_host(struct amendment *amendment, struct host_build *host,
                      const struct change *change)
{
	const char *text = json_string_value(change->runtime);

	if (strcmp(change->key, "weight") == 0) {
		host->config.weight = (uint16_t) strtoul(text, NULL, 10);
		return 0;
	}
	host->config.admin = change_admin(change);
	host->config.until_us = change->until_us;
	host->config.reason = NULL;
	if (change->reason)
		host->config.reason =
			config_builder_keep(amendment->builder, change->reason);
	return change->reason && !host->config.reason ? -ENOMEM : 0;
}

static int amend_key(struct amendment *amendment, const struct change *change)
{
	struct host_build *host =
		change->host ? find_host(amendment, change) : NULL;

	if (strcmp(change->key, "pool") == 0 ||
	    strcmp(change->key, "server") == 0)
		return 0;
	if (change->host ? !host : !find_pool(amendment, change->pool)) {
		refuse(amendment, change);
		return 0;
	}
	if (host && (strcmp(change->key, "weight") == 0 ||
	             strcmp(change->key, "admin") == 0))
		return order_host(amendment, host, change);
	return set_key(amendment, change);
}

/* --- all ---------------------------------------------------------------- */

static int index_hosts(struct amendment *amendment, size_t changes)
{
	const struct config_builder *builder = amendment->builder;

	amendment->of_files = name_index_new(builder->host_count);
	amendment->of_changes = name_index_new((uint32_t) changes);
	if (!amendment->of_files || !amendment->of_changes)
		return -ENOMEM;
	for (uint32_t p = 0; p < builder->pool_count; p++) {
		const struct pool_build *pool = &builder->pools[p];
		size_t size = strlen(pool->name);

		for (uint32_t h = 0; h < pool->count; h++) {
			const char *id = pool->hosts[h].config.id;
			int error =
				name_index_add(amendment->of_files, pool->name,
			                       size, id, strlen(id), h);
			if (error < 0)
				return error;
		}
	}
	return 0;
}

static int for_each(struct amendment *amendment, const json_t *changes,
                    change_fn *amend)
{
	struct change change;
	size_t i;
	json_t *row;
	int error = 0;

	json_array_foreach((json_t *) changes, i, row)
	{
		if (error == 0 && change_read(row, &change))
			error = amend(amendment, &change);
	}
	return error;
}

/* A host of the files that went takes its [host] section along. */
static void sweep_sections(struct amendment *amendment)
{
	struct config_builder *builder = amendment->builder;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < builder->host_section_count; i++) {
		struct host_section *section = &builder->host_sections[i];
		struct change of = { .pool = section->pool,
			             .host = section->id };
		uint32_t pool = config_builder_find_pool(builder, of.pool);
		uint32_t at = pool == NAME_INDEX_NONE
		                      ? NAME_INDEX_NONE
		                      : find(amendment->of_files, &of);

		if (strcmp(section->layer.place.file, CONFIG_RUNTIME) != 0 &&
		    at != NAME_INDEX_NONE &&
		    builder->pools[pool].hosts[at].gone)
			free(section->layer.items);
		else
			builder->host_sections[kept++] = *section;
	}
	builder->host_section_count = kept;
}

static void sweep_hosts(struct config_builder *builder)
{
	for (uint32_t p = 0; p < builder->pool_count; p++) {
		struct pool_build *pool = &builder->pools[p];
		uint32_t kept = 0;

		for (uint32_t h = 0; h < pool->count; h++) {
			if (!pool->hosts[h].gone)
				pool->hosts[kept++] = pool->hosts[h];
		}
		pool->count = kept;
	}
}

static int amend(struct amendment *amendment, const json_t *changes)
{
	int error = index_hosts(amendment, json_array_size(changes));

	if (error == 0)
		error = for_each(amendment, changes, amend_pool);
	if (error == 0)
		error = for_each(amendment, changes, amend_host);
	if (error == 0)
		error = for_each(amendment, changes, amend_key);
	if (error == 0) {
		sweep_sections(amendment);
		sweep_hosts(amendment->builder);
	}
	return error;
}

int config_amend(const struct config_builder *files, const json_t *changes,
                 struct config_errors *errors, struct config **ret)
{
	struct amendment amendment = { 0 };
	int error;

	error = config_builder_copy(&amendment.builder, files, errors);
	if (error == 0 && json_array_size(changes) > 0)
		error = amend(&amendment, changes);
	if (error == 0)
		error = config_builder_finish(amendment.builder, ret);
	name_index_free(amendment.of_files);
	name_index_free(amendment.of_changes);
	config_builder_free(amendment.builder);
	return error;
}
