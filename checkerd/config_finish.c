/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The sections of a builder become a configuration.
 *
 * Their layers are laid upon each other, [defaults], [pool], [host], and what
 * derives from something else is derived last.  A pool or host without a
 * layer of its own shares the settings of the next wider one.
 */
#include "config_builder_private.h"

#include "config_conflicts.h"
#include "nearest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How many hosts are compared with one that does not exist. */
#define NEAREST_HOSTS 4096u

#define ALL_STATUSES "xxx"

static const char *const no_headers[] = { NULL };

/* Lists are inherited as a whole: a layer that sets one item sets them all,
 * and an empty one means none. */
static int apply_list(struct config_builder *builder, const struct layer *layer,
                      const struct config_key *key, void *structure)
{
	const void **list = NULL;
	uint32_t count = 0;

	for (uint32_t i = 0; i < layer->count; i++) {
		const struct assignment *item = &layer->items[i];

		if (item->key != key)
			continue;
		if (!list)
			list = arena_alloc(builder->arena,
			                   CONFIG_MAX_HEADERS + 1,
			                   sizeof(*list));
		if (!list)
			return -ENOMEM;
		list[count] = config_value_item(key, item->value);
		count += list[count] != NULL;
	}
	if (list)
		memcpy((char *) structure + key->offset, &list, sizeof(list));
	return 0;
}

static int apply_layer(struct config_builder *builder,
                       const struct layer *layer, void *structure)
{
	int error = 0;

	for (uint32_t i = 0; i < layer->count; i++) {
		const struct assignment *item = &layer->items[i];

		if (item->key->stored && !config_key_is_list(item->key))
			config_value_store(item->key, item->value, structure);
	}
	for (size_t i = 0; error == 0 && i < config_key_count; i++) {
		if (config_key_is_list(&config_keys[i]))
			error = apply_list(builder, layer, &config_keys[i],
			                   structure);
	}
	return error;
}

static int apply_defaults(struct config_builder *builder,
                          enum config_sections sections, void *structure)
{
	char problem[CONFIG_PROBLEM_SIZE];

	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];
		union config_value value;
		int error;

		if (!key->stored || config_key_is_list(key) ||
		    (key->sections & sections) == 0)
			continue;
		error = config_value_parse(key, key->default_text,
		                           builder->arena, &value, problem);
		if (error < 0)
			return error;
		config_value_store(key, value, structure);
	}
	return 0;
}

/* fail_status wins; with fail_status alone, all else passes. */
static void derive_pass_status(struct settings *settings,
                               const struct status_mask *usual)
{
	struct status_mask *pass = &settings->pass_status;
	const struct status_mask *fail = &settings->fail_status;
	const char *at;

	if (status_mask_empty(pass) && status_mask_empty(fail))
		*pass = *usual;
	else if (status_mask_empty(pass))
		status_mask_parse(pass, ALL_STATUSES, &at);
	for (size_t i = 0; i < ARRAY_SIZE(pass->bits); i++)
		pass->bits[i] &= ~fail->bits[i];
}

/* Where nothing is observed there is nothing to react to, and without a check
 * no probe to start: then failures of live traffic count as such.  Nor is
 * there a first pass to wait for. */
static void derive_reaction(struct settings *settings)
{
	bool none = settings->check == CHECK_NONE;

	if (settings->observe == OBSERVE_OFF)
		settings->on_error = ON_ERROR_PROBE;
	else if (none && settings->on_error == ON_ERROR_PROBE)
		settings->on_error = ON_ERROR_FAIL;
	if (none)
		settings->initial = INITIAL_UP;
}

/* Only answers in HTTP have header fields, and only an agent that is asked is
 * sent something every now and then. */
static void derive_agent(struct settings *settings)
{
	static const struct config_agent none = { .text = "off" };

	if (settings->agent.kind == AGENT_HEADER &&
	    !config_key_applies(config_key_find("expect_header"),
	                        settings->check))
		settings->agent = none;
	if (settings->agent.kind != AGENT_TCP) {
		settings->agent_send = (struct config_bytes) { 0 };
		settings->agent_interval_ms = 0;
	} else if (settings->agent_interval_ms == 0) {
		settings->agent_interval_ms = settings->interval_ms;
	}
}

/* What everybody starts from, and the statuses that pass where nobody says
 * which. */
struct foundation {
	struct config_values values;
	struct status_mask usual;
	const struct settings *settings;
};

static int derive_settings(struct config_builder *builder,
                           const struct foundation *foundation,
                           const struct config_values *values,
                           const struct config_place *place,
                           const struct settings **ret)
{
	struct settings *settings =
		arena_alloc(builder->arena, 1, sizeof(*settings));

	if (!settings)
		return -ENOMEM;
	*settings = values->settings;
	derive_reaction(settings);
	derive_agent(settings);
	if (settings->fast_interval_ms == 0)
		settings->fast_interval_ms = settings->interval_ms;
	if (settings->down_interval_ms == 0)
		settings->down_interval_ms = settings->interval_ms;
	if (*settings->user_agent == '\0') /* NOLINT: a text, if empty */
		settings->user_agent = "checkerd/" CHECKERD_VERSION;
	derive_pass_status(settings, &foundation->usual);
	if (status_mask_empty(&settings->pass_status) &&
	    config_key_applies(config_key_find("expect_status"),
	                       settings->check))
		config_errors_add(builder->errors, place, "expect_status",
		                  "no status passes, allowed: at least one "
		                  "that fail_status leaves");
	*ret = settings;
	return config_hash_settings(settings);
}

/* What is not of a pool or host. */
static int finish_globals(struct config_builder *builder)
{
	struct config *config = builder->config;
	int error;

	config->notify.webhook_headers = no_headers;
	error = apply_defaults(builder, IN_CHECKERD | IN_NOTIFY, config);
	if (error == 0)
		error = apply_layer(builder, &builder->checkerd, config);
	if (error == 0)
		error = apply_layer(builder, &builder->notify, config);
	return error;
}

static int lay_foundation(struct config_builder *builder,
                          struct foundation *foundation)
{
	static const struct expectation *const no_expectations[] = { NULL };
	struct config_values *values = &foundation->values;
	int error;

	memset(foundation, 0, sizeof(*foundation));
	values->settings.headers = no_headers;
	values->settings.expectations.headers = no_expectations;
	error = apply_defaults(builder, IN_SETTINGS, values);
	if (error < 0)
		return error;
	foundation->usual = values->settings.pass_status;
	memset(&values->settings.pass_status, 0,
	       sizeof(values->settings.pass_status));
	error = apply_layer(builder, &builder->defaults, values);
	if (error < 0)
		return error;
	return derive_settings(builder, foundation, values,
	                       &builder->defaults.place, &foundation->settings);
}

static int compare_pools(const void *left, const void *right, void *owner)
{
	const struct config_builder *builder = owner;
	uint32_t a = *(const uint32_t *) left, b = *(const uint32_t *) right;
	int by_priority = builder->pools[a].values.priority -
	                  builder->pools[b].values.priority;

	return by_priority != 0 ? by_priority : a < b ? -1 : 1;
}

static int finish_pool(struct config_builder *builder,
                       const struct foundation *foundation,
                       const struct pool_build *from, struct pool_config *pool)
{
	pool->name = from->name;
	pool->upstream = *from->values.upstream != '\0' ? from->values.upstream
	                                                : from->name;
	pool->priority = from->values.priority;
	pool->balance = from->values.balance;
	pool->panic_percent = from->values.panic_percent;
	pool->settings = foundation->settings;
	if (from->layer.count > 0) {
		int error;

		error = derive_settings(builder, foundation, &from->values,
		                        &from->layer.place, &pool->settings);
		if (error < 0)
			return error;
	}
	config_conflicts_find(builder->errors, &from->layer, pool->settings);
	pool->host_count = from->count;
	pool->hosts =
		arena_alloc(builder->arena, from->count, sizeof(*pool->hosts));
	if (!pool->hosts)
		return -ENOMEM;
	for (uint32_t i = 0; i < from->count; i++) {
		pool->hosts[i] = from->hosts[i].config;
		pool->hosts[i].settings = pool->settings;
	}
	return 0;
}

/* In the order of priority, then of the file.  order[i] is the builder's pool
 * behind config->pools[i], place_of[p] the other way round. */
static int finish_pools(struct config_builder *builder,
                        const struct foundation *foundation, uint32_t *order,
                        uint32_t *place_of)
{
	struct config *config = builder->config;

	for (uint32_t i = 0; i < builder->pool_count; i++) {
		struct pool_build *pool = &builder->pools[i];
		int error;

		if (pool->gone)
			continue;
		pool->values = foundation->values;
		error = apply_layer(builder, &pool->layer, &pool->values);
		if (error < 0)
			return error;
		order[config->pool_count++] = i;
	}
	if (config->pool_count > 1)
		qsort_r(order, config->pool_count, sizeof(*order),
		        compare_pools, builder);
	config->pools = arena_alloc(builder->arena, config->pool_count,
	                            sizeof(*config->pools));
	if (!config->pools)
		return -ENOMEM;
	config->host_count = builder->host_count;
	for (uint32_t i = 0; i < config->pool_count; i++) {
		int error = finish_pool(builder, foundation,
		                        &builder->pools[order[i]],
		                        &config->pools[i]);
		if (error < 0)
			return error;
		place_of[order[i]] = i;
	}
	return 0;
}

static int index_hosts(struct config_builder *builder, struct name_index *index)
{
	for (uint32_t p = 0; p < builder->pool_count; p++) {
		const struct pool_build *pool = &builder->pools[p];
		size_t pool_size = strlen(pool->name);

		for (uint32_t h = 0; h < pool->count; h++) {
			const struct host_build *host = &pool->hosts[h];
			const char *id = host->config.id;
			uint32_t earlier;
			int error;

			earlier = name_index_find(index, pool->name, pool_size,
			                          id, strlen(id));
			if (earlier != NAME_INDEX_NONE) {
				const struct config_place *place =
					&pool->hosts[earlier].place;

				config_errors_add(
					builder->errors, &host->place, "server",
					"the pool has a host \"%s\" already, "
					"from %s:%u, allowed: one; give the "
					"others an id=",
					id, place->file, place->line);
				continue;
			}
			error = name_index_add(index, pool->name, pool_size, id,
			                       strlen(id), h);
			if (error < 0)
				return error;
		}
	}
	return 0;
}

static void refuse_host_section(struct config_builder *builder,
                                const struct host_section *section,
                                uint32_t pool_index)
{
	const char *kind = pool_index == NAME_INDEX_NONE ? "pool" : "host";
	const char *meant = NULL, *meant_pool = section->pool;
	struct nearest nearest;

	if (pool_index == NAME_INDEX_NONE) {
		nearest_begin(&nearest, section->pool, strlen(section->pool));
		for (uint32_t i = 0;
		     i < builder->pool_count && i < NEAREST_HOSTS; i++) {
			const char *name = builder->pools[i].name;

			if (nearest_offer(&nearest, name, strlen(name)))
				meant = name;
		}
		meant_pool = meant;
		meant = section->id;
	} else {
		const struct pool_build *pool = &builder->pools[pool_index];

		nearest_begin(&nearest, section->id, strlen(section->id));
		for (uint32_t i = 0; i < pool->count && i < NEAREST_HOSTS;
		     i++) {
			const char *id = pool->hosts[i].config.id;

			if (nearest_offer(&nearest, id, strlen(id)))
				meant = id;
		}
	}
	if (meant && meant_pool)
		config_errors_add(builder->errors, &section->layer.place, NULL,
		                  "there is no such %s, did you mean "
		                  "[host %s/%s]?",
		                  kind, meant_pool, meant);
	else
		config_errors_add(builder->errors, &section->layer.place, NULL,
		                  "there is no such %s, allowed: the POOL/ID "
		                  "of a server in a [pool]",
		                  kind);
}

/* Sections of one host that stand apart are one, as those of a pool. */
static int apply_host_section(struct config_builder *builder,
                              const struct foundation *foundation,
                              const struct name_index *hosts,
                              const uint32_t *place_of,
                              const struct host_section *section)
{
	uint32_t pool_index = config_builder_find_pool(builder, section->pool);
	uint32_t host_index;
	struct config_values values;
	struct host_config *host;
	int error;

	host_index =
		name_index_find(hosts, section->pool, strlen(section->pool),
	                        section->id, strlen(section->id));
	if (host_index == NAME_INDEX_NONE) {
		refuse_host_section(builder, section, pool_index);
		return 0;
	}
	if (section->layer.count == 0)
		return 0;
	host = &builder->config->pools[place_of[pool_index]].hosts[host_index];
	if (host->settings !=
	    builder->config->pools[place_of[pool_index]].settings) {
		config_errors_add(builder->errors, &section->layer.place, NULL,
		                  "a second section for this host, "
		                  "allowed: one");
		return 0;
	}
	values = builder->pools[pool_index].values;
	error = apply_layer(builder, &section->layer, &values);
	if (error < 0)
		return error;
	error = derive_settings(builder, foundation, &values,
	                        &section->layer.place, &host->settings);
	if (error == 0)
		config_conflicts_find(builder->errors, &section->layer,
		                      host->settings);
	return error;
}

/* "At the host itself" needs a host that has ports. */
static void find_lonely_agents(struct config_builder *builder,
                               const uint32_t *place_of)
{
	for (uint32_t p = 0; p < builder->pool_count; p++) {
		const struct pool_config *pool =
			&builder->config->pools[place_of[p]];

		if (builder->pools[p].gone)
			continue;
		for (uint32_t h = 0; h < pool->host_count; h++) {
			const struct host_config *host = &pool->hosts[h];
			const struct config_agent *agent =
				&host->settings->agent;

			if (agent->kind == AGENT_TCP &&
			    agent->address.length == 0 &&
			    host->address->any.sa_family == AF_UNIX)
				config_errors_add(
					builder->errors,
					&builder->pools[p].hosts[h].place,
					"agent",
					"%s is no place at a unix socket, "
					"allowed: tcp://HOST:PORT",
					agent->text);
		}
	}
}

static int finish_hosts(struct config_builder *builder,
                        const struct foundation *foundation,
                        const uint32_t *place_of)
{
	struct name_index *hosts = name_index_new(builder->host_count);
	int error = hosts ? index_hosts(builder, hosts) : -ENOMEM;

	for (uint32_t i = 0; error == 0 && i < builder->host_section_count; i++)
		error = apply_host_section(builder, foundation, hosts, place_of,
		                           &builder->host_sections[i]);
	name_index_free(hosts);
	if (error == 0)
		find_lonely_agents(builder, place_of);
	return error;
}

static int index_names(struct config_builder *builder)
{
	struct config *config = builder->config;
	int error;

	error = config_index_build(&config->pools_by_name, builder->arena,
	                           config->pools, config->pool_count,
	                           sizeof(*config->pools));
	for (uint32_t i = 0; error == 0 && i < config->pool_count; i++) {
		struct pool_config *pool = &config->pools[i];

		error = config_index_build(&pool->hosts_by_id, builder->arena,
		                           pool->hosts, pool->host_count,
		                           sizeof(*pool->hosts));
	}
	return error;
}

int config_builder_finish(struct config_builder *builder, struct config **ret)
{
	CLEANUP(free_pointer) uint32_t *order = NULL;
	CLEANUP(free_pointer) uint32_t *place_of = NULL;
	struct foundation foundation;
	int error;

	order = calloc(builder->pool_count + 1, sizeof(*order));
	place_of = calloc(builder->pool_count + 1, sizeof(*place_of));
	if (!order || !place_of)
		return -ENOMEM;
	error = finish_globals(builder);
	config_conflicts_find_files(builder->errors, &builder->checkerd,
	                            builder->config);
	if (error == 0)
		error = lay_foundation(builder, &foundation);
	if (error == 0)
		error = finish_pools(builder, &foundation, order, place_of);
	if (error == 0)
		error = finish_hosts(builder, &foundation, place_of);
	if (error < 0)
		return error;
	if (builder->errors->count > 0)
		return -EINVAL;
	error = index_names(builder);
	if (error < 0)
		return error;
	builder->config->references = 1;
	builder->config->arena = builder->arena;
	builder->arena = NULL;
	*ret = builder->config;
	return 0;
}
