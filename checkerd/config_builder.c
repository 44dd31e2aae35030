/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sections and keys in, a finished configuration out.
 *
 * What a section says is read at once, while file and line are at hand, and
 * kept as a layer: a list of assignments.  At the end the layers are laid
 * upon each other, [defaults], [pool], [host], and what derives from
 * something else is derived last.  A pool or host without a layer of its own
 * shares the settings of the next wider one.
 */
#include "config_builder.h"

#include "arena.h"
#include "config_value.h"
#include "name_index.h"
#include "nearest.h"
#include "parse.h"
#include "server_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How many hosts are compared with one that does not exist. */
#define NEAREST_HOSTS 4096u

#define ALL_STATUSES "xxx"

struct assignment {
	const struct config_key *key;
	union config_value value;
	struct config_place place;
};

struct layer {
	struct config_place place; /* of the section's first line */
	struct assignment *items;
	uint32_t count;
	uint32_t capacity;
};

struct host_build {
	struct host_config config;
	struct config_place place;
};

struct pool_build {
	const char *name;
	struct layer layer;
	struct config_values values;
	struct host_build *hosts;
	uint32_t count;
	uint32_t capacity;
};

/* A [host] section; its pool and host may come later. */
struct host_section {
	const char *pool;
	const char *id;
	struct layer layer;
};

struct config_builder {
	struct config_errors *errors;
	config_resolve_fn resolve;
	void *owner;
	struct arena *arena;
	struct config *config; /* in the arena */

	struct layer checkerd;
	struct layer defaults;
	struct layer notify;
	struct pool_build *pools;
	uint32_t pool_count;
	uint32_t pool_capacity;
	struct name_index *pools_by_name; /* (name, "") */
	struct host_section *host_sections;
	uint32_t host_section_count;
	uint32_t host_section_capacity;
	uint32_t host_count;
};

/* Makes room for one more item in a growing array. */
static int grow(void *items, uint32_t count, uint32_t *capacity, size_t size)
{
	uint32_t wanted = *capacity > 0 ? *capacity * 2 : 8;
	void *grown;

	if (count < *capacity)
		return 0;
	grown = reallocarray(*(void **) items, wanted, size);
	if (!grown)
		return -ENOMEM;
	*(void **) items = grown;
	*capacity = wanted;
	return 0;
}

int config_builder_new(struct config_builder **ret,
                       struct config_errors *errors, config_resolve_fn resolve,
                       void *owner)
{
	struct config_builder *builder = calloc(1, sizeof(*builder));

	if (!builder)
		return -ENOMEM;
	builder->errors = errors;
	builder->resolve = resolve;
	builder->owner = owner;
	builder->arena = arena_new();
	builder->pools_by_name = name_index_new(HEALTH_MAX_POOLS);
	if (builder->arena)
		builder->config = arena_alloc(builder->arena, 1,
		                              sizeof(*builder->config));
	if (!builder->config || !builder->pools_by_name) {
		config_builder_free(builder);
		return -ENOMEM;
	}
	*ret = builder;
	return 0;
}

void config_builder_free(struct config_builder *builder)
{
	if (!builder)
		return;
	for (uint32_t i = 0; i < builder->pool_count; i++) {
		free(builder->pools[i].layer.items);
		free(builder->pools[i].hosts);
	}
	for (uint32_t i = 0; i < builder->host_section_count; i++)
		free(builder->host_sections[i].layer.items);
	free(builder->pools);
	free(builder->host_sections);
	free(builder->checkerd.items);
	free(builder->defaults.items);
	free(builder->notify.items);
	name_index_free(builder->pools_by_name);
	arena_free(builder->arena);
	free(builder);
}

const char *config_builder_keep(struct config_builder *builder,
                                const char *text)
{
	return arena_text(builder->arena, text, strlen(text));
}

/* --- sections ------------------------------------------------------------ */

static uint32_t find_pool(const struct config_builder *builder,
                          const char *name)
{
	return name_index_find(builder->pools_by_name, name, strlen(name), "",
	                       0);
}

static int open_pool(struct config_builder *builder,
                     const struct config_place *place, const char *name,
                     struct config_section *ret)
{
	size_t size = strlen(name);
	struct pool_build *pool;
	int error;

	if (size > CONFIG_POOL_NAME_MAX || !text_is_name(name, size)) {
		config_errors_add(builder->errors, place, NULL,
		                  "no name of a pool, allowed: letters, digits "
		                  "and ._-, %d at most", CONFIG_POOL_NAME_MAX);
		return 0;
	}
	ret->index = find_pool(builder, name);
	if (ret->index != NAME_INDEX_NONE) {
		ret->in = IN_POOL;
		return 0;
	}
	if (builder->pool_count == HEALTH_MAX_POOLS) {
		config_errors_add(builder->errors, place, NULL,
		                  "too many pools, allowed: %u",
		                  HEALTH_MAX_POOLS);
		return 0;
	}
	error = grow(&builder->pools, builder->pool_count,
	             &builder->pool_capacity, sizeof(*pool));
	if (error == 0)
		error = name_index_add(builder->pools_by_name, name, size, "", 0,
		                       builder->pool_count);
	if (error < 0)
		return error;
	ret->in = IN_POOL;
	ret->index = builder->pool_count;
	pool = &builder->pools[builder->pool_count++];
	memset(pool, 0, sizeof(*pool));
	pool->layer.place = *place;
	pool->name = config_builder_keep(builder, name);
	return pool->name ? 0 : -ENOMEM;
}

static int open_host(struct config_builder *builder,
                     const struct config_place *place, char *name,
                     struct config_section *ret)
{
	char *id = strchr(name, '/');
	struct host_section *section;

	if (!id) {
		config_errors_add(builder->errors, place, NULL,
		                  "no host is named, allowed: [host POOL/ID]");
		return 0;
	}
	if (grow(&builder->host_sections, builder->host_section_count,
	         &builder->host_section_capacity, sizeof(*section)) < 0)
		return -ENOMEM;
	*id++ = '\0';
	ret->in = IN_HOST;
	ret->index = builder->host_section_count;
	section = &builder->host_sections[builder->host_section_count++];
	*section = (struct host_section) {
		.pool = name,
		.id = id,
		.layer.place = *place,
	};
	return 0;
}

int config_builder_section(struct config_builder *builder,
                           const struct config_place *place,
                           struct config_section *ret)
{
	static const char blanks[] = " \t";
	char *kind, *name;
	size_t size;

	*ret = (struct config_section) { 0 };
	kind = arena_text(builder->arena, place->section,
	                  strlen(place->section));
	if (!kind)
		return -ENOMEM;
	kind += strspn(kind, blanks);
	for (size = strlen(kind); size > 0 && strchr(blanks, kind[size - 1]);)
		kind[--size] = '\0';
	name = kind + strcspn(kind, blanks);
	if (*name != '\0')
		*name++ = '\0';
	name += strspn(name, blanks);

	if (strcmp(kind, "pool") == 0)
		return open_pool(builder, place, name, ret);
	if (strcmp(kind, "host") == 0)
		return open_host(builder, place, name, ret);
	if (*name == '\0' && strcmp(kind, "checkerd") == 0)
		ret->in = IN_CHECKERD;
	else if (*name == '\0' && strcmp(kind, "defaults") == 0)
		ret->in = IN_DEFAULTS;
	else if (*name == '\0' && strcmp(kind, "notify") == 0)
		ret->in = IN_NOTIFY;
	else
		config_errors_add(builder->errors, place, NULL,
		                  "unknown section, allowed: [checkerd], "
		                  "[defaults], [pool NAME], [host POOL/ID], "
		                  "[notify]");
	return 0;
}

static struct layer *layer_of(struct config_builder *builder,
                              const struct config_section *section)
{
	switch (section->in) {
	case IN_CHECKERD:
		return &builder->checkerd;
	case IN_DEFAULTS:
		return &builder->defaults;
	case IN_POOL:
		return &builder->pools[section->index].layer;
	case IN_HOST:
		return &builder->host_sections[section->index].layer;
	default:
		return &builder->notify;
	}
}

/* --- servers ------------------------------------------------------------- */

static int add_host(struct config_builder *builder, struct pool_build *pool,
                    const struct config_place *place,
                    const struct server_line *line,
                    const struct address *address, const char *id)
{
	struct host_build *host;

	if (strlen(id) > CONFIG_HOST_ID_MAX) {
		config_errors_add(builder->errors, place, "server",
		                  "the id %s is too long, allowed: %d bytes", id,
		                  CONFIG_HOST_ID_MAX);
		return 0;
	}
	if (builder->host_count == HEALTH_MAX_HOSTS) {
		config_errors_add(builder->errors, place, "server",
		                  "too many hosts, allowed: %u",
		                  HEALTH_MAX_HOSTS);
		return 0;
	}
	if (grow(&pool->hosts, pool->count, &pool->capacity, sizeof(*host)) < 0)
		return -ENOMEM;
	host = &pool->hosts[pool->count];
	*host = (struct host_build) {
		.config = {
			.id = config_builder_keep(builder, id),
			.address = *address,
			.weight = line->weight,
			.admin = line->admin,
			.max_conns = line->max_conns,
			.max_fails = line->max_fails,
			.fail_timeout_ms = line->fail_timeout_ms,
		},
		.place = *place,
	};
	if (!host->config.id)
		return -ENOMEM;
	pool->count++;
	builder->host_count++;
	return 0;
}

static int compare_addresses(const void *left, const void *right)
{
	const struct address *a = left, *b = right;

	if (a->length != b->length)
		return a->length < b->length ? -1 : 1;
	return memcmp(&a->any, &b->any, a->length);
}

/* Each address of a name is a host of its own.  They are sorted, because
 * resolvers shuffle them and a reload must not see a change in that. */
static int add_named_hosts(struct config_builder *builder,
                           struct pool_build *pool,
                           const struct config_place *place,
                           const struct server_line *line, const char *name,
                           uint16_t port)
{
	struct address addresses[CONFIG_MAX_ADDRESSES];
	char text[ADDRESS_TEXT_SIZE];
	char id[CONFIG_SERVER_MAX + ADDRESS_TEXT_SIZE + 2];
	const char *problem = "unknown";
	int count, unique = 0;

	count = builder->resolve(builder->owner, name, addresses, &problem);
	if (count == -ENOMEM)
		return count;
	if (count <= 0) {
		config_errors_add(builder->errors, place, "server",
		                  "\"%s\" does not resolve (%s), allowed: an "
		                  "address or a name that resolves at load",
		                  name, problem);
		return 0;
	}
	for (int i = 0; i < count; i++)
		address_set_port(&addresses[i], port);
	qsort(addresses, (size_t) count, sizeof(*addresses), compare_addresses);
	for (int i = 0; i < count; i++) {
		if (unique == 0 ||
		    !address_equal(&addresses[i], &addresses[unique - 1]))
			addresses[unique++] = addresses[i];
	}
	for (int i = 0; i < unique; i++) {
		int error;

		address_text(&addresses[i], text);
		if (*line->id == '\0')
			snprintf(id, sizeof(id), "%s", text);
		else if (unique == 1)
			snprintf(id, sizeof(id), "%s", line->id);
		else
			snprintf(id, sizeof(id), "%s-%s", line->id, text);
		error = add_host(builder, pool, place, line, &addresses[i], id);
		if (error < 0)
			return error;
	}
	return 0;
}

static int add_server(struct config_builder *builder, struct pool_build *pool,
                      const struct config_place *place, char *text)
{
	char problem[CONFIG_PROBLEM_SIZE], quoted[CONFIG_QUOTE_SIZE];
	char canonical[ADDRESS_TEXT_SIZE];
	struct server_line line;
	struct address address;
	size_t name_length;
	uint16_t port;
	int error;

	error = server_line_parse(text, builder->arena, &line, problem);
	if (error == -EINVAL) {
		config_errors_add(builder->errors, place, "server", "%s",
		                  problem);
		return 0;
	}
	if (error < 0)
		return error;
	error = address_parse(&address, line.address, &name_length, &port);
	if (error == -ENOENT) {
		char name[CONFIG_SERVER_MAX + 1];

		snprintf(name, sizeof(name), "%.*s", (int) name_length,
		         line.address);
		return add_named_hosts(builder, pool, place, &line, name, port);
	}
	if (error < 0) {
		config_errors_add(builder->errors, place, "server",
		                  "%s is no address, allowed: IP:PORT, "
		                  "[IPv6]:PORT, NAME:PORT or unix:/PATH",
		                  config_quote(quoted, line.address));
		return 0;
	}
	address_text(&address, canonical);
	return add_host(builder, pool, place, &line, &address,
	                *line.id != '\0' ? line.id : canonical);
}

/* --- keys ---------------------------------------------------------------- */

static void refuse_key(struct config_builder *builder,
                       const struct config_section *section,
                       const struct config_place *place, const char *name,
                       const struct config_key *known)
{
	static const struct {
		enum config_sections in;
		const char *text;
	} homes[] = {
		{ IN_CHECKERD, "[checkerd]" },
		{ IN_NOTIFY, "[notify]" },
		{ IN_DEFAULTS | IN_POOL, "[defaults] and [pool NAME]" },
		{ IN_POOL, "[pool NAME]" },
		{ IN_SETTINGS, "[defaults], [pool NAME] and [host POOL/ID]" },
	};
	const char *nearest = config_key_nearest(name, section->in);
	char quoted[CONFIG_QUOTE_SIZE];

	for (size_t i = 0; known && i < ARRAY_SIZE(homes); i++) {
		if (homes[i].in == known->sections) {
			config_errors_add(builder->errors, place, name,
			                  "does not belong here, allowed in %s",
			                  homes[i].text);
			return;
		}
	}
	config_quote(quoted, name);
	if (nearest)
		config_errors_add(builder->errors, place, NULL,
		                  "unknown key %s, did you mean \"%s\"?",
		                  quoted, nearest);
	else
		config_errors_add(builder->errors, place, NULL,
		                  "unknown key %s, see checkerd.ini(5)", quoted);
}

static int add_assignment(struct config_builder *builder, struct layer *layer,
                          const struct config_place *place,
                          const struct config_key *key,
                          union config_value value)
{
	uint32_t same = 0;
	const struct assignment *earlier = NULL;

	for (uint32_t i = 0; i < layer->count; i++) {
		if (layer->items[i].key == key) {
			earlier = &layer->items[i];
			same++;
		}
	}
	if (earlier && key->type != TYPE_HEADER) {
		config_errors_add(builder->errors, place, key->name,
		                  "is set already at %s:%u, allowed: once in a "
		                  "section", earlier->place.file,
		                  earlier->place.line);
		return 0;
	}
	if (same == CONFIG_MAX_HEADERS) {
		config_errors_add(builder->errors, place, key->name,
		                  "too many, allowed: %d in a section",
		                  CONFIG_MAX_HEADERS);
		return 0;
	}
	if (grow(&layer->items, layer->count, &layer->capacity,
	         sizeof(*layer->items)) < 0)
		return -ENOMEM;
	layer->items[layer->count++] = (struct assignment) {
		.key = key,
		.value = value,
		.place = *place,
	};
	return 0;
}

int config_builder_set(struct config_builder *builder,
                       const struct config_section *section,
                       const struct config_place *place, const char *name,
                       const char *text)
{
	const struct config_key *key = config_key_find(name);
	char problem[CONFIG_PROBLEM_SIZE], *copy;
	union config_value value;
	int error;

	if (section->in == 0)
		return 0;
	if (!key || (key->sections & section->in) == 0) {
		refuse_key(builder, section, place, name, key);
		return 0;
	}
	copy = arena_text(builder->arena, text, strlen(text));
	if (!copy)
		return -ENOMEM;
	error = config_value_parse(key, copy, builder->arena, &value, problem);
	if (error == -EINVAL) {
		config_errors_add(builder->errors, place, key->name, "%s",
		                  problem);
		return 0;
	}
	if (error < 0)
		return error;
	if (key->type == TYPE_SERVER)
		return add_server(builder, &builder->pools[section->index],
		                  place, copy);
	if (!key->stored && !key->later)
		return 0;
	return add_assignment(builder, layer_of(builder, section), place, key,
	                      value);
}

/* --- the end ------------------------------------------------------------- */

/* Headers are inherited as a whole: a layer that sets one sets them all, and
 * an empty one means none. */
static int apply_headers(struct config_builder *builder,
                         const struct layer *layer,
                         struct config_values *values)
{
	const char **headers = NULL;
	uint32_t count = 0;

	for (uint32_t i = 0; i < layer->count; i++) {
		if (layer->items[i].key->type != TYPE_HEADER)
			continue;
		if (!headers)
			headers = arena_alloc(builder->arena,
			                      CONFIG_MAX_HEADERS + 1,
			                      sizeof(*headers));
		if (!headers)
			return -ENOMEM;
		if (*layer->items[i].value.text != '\0')
			headers[count++] = layer->items[i].value.text;
	}
	if (headers)
		values->settings.headers = headers;
	return 0;
}

static int apply_layer(struct config_builder *builder,
                       const struct layer *layer, struct config_values *values)
{
	for (uint32_t i = 0; i < layer->count; i++) {
		const struct assignment *item = &layer->items[i];

		if (item->key->stored && item->key->type != TYPE_HEADER)
			config_value_store(item->key, item->value, values);
	}
	return apply_headers(builder, layer, values);
}

static int apply_defaults(struct config_builder *builder,
                          enum config_sections sections, void *structure)
{
	char problem[CONFIG_PROBLEM_SIZE];

	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];
		union config_value value;
		int error;

		if (!key->stored || key->type == TYPE_HEADER ||
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
	struct settings *settings = arena_alloc(builder->arena, 1,
	                                        sizeof(*settings));

	if (!settings)
		return -ENOMEM;
	*settings = values->settings;
	if (settings->fast_interval_ms == 0)
		settings->fast_interval_ms = settings->interval_ms;
	if (settings->down_interval_ms == 0)
		settings->down_interval_ms = settings->interval_ms;
	if (*settings->user_agent == '\0')
		settings->user_agent = "checkerd/" CHECKERD_VERSION;
	derive_pass_status(settings, &foundation->usual);
	if (status_mask_empty(&settings->pass_status))
		config_errors_add(builder->errors, place, "expect_status",
		                  "no status passes, allowed: at least one that "
		                  "fail_status leaves");
	*ret = settings;
	return 0;
}

static int lay_foundation(struct config_builder *builder,
                          struct foundation *foundation)
{
	static const char *const no_headers[] = { NULL };
	struct config_values *values = &foundation->values;
	int error;

	memset(foundation, 0, sizeof(*foundation));
	values->settings.headers = no_headers;
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
	                       &builder->defaults.place,
	                       &foundation->settings);
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
		int error = derive_settings(builder, foundation, &from->values,
		                            &from->layer.place, &pool->settings);
		if (error < 0)
			return error;
	}
	pool->host_count = from->count;
	pool->hosts = arena_alloc(builder->arena, from->count,
	                          sizeof(*pool->hosts));
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

		pool->values = foundation->values;
		error = apply_layer(builder, &pool->layer, &pool->values);
		if (error < 0)
			return error;
		order[i] = i;
	}
	if (builder->pool_count > 1)
		qsort_r(order, builder->pool_count, sizeof(*order),
		        compare_pools, builder);
	config->pools = arena_alloc(builder->arena, builder->pool_count,
	                            sizeof(*config->pools));
	if (!config->pools)
		return -ENOMEM;
	config->pool_count = builder->pool_count;
	config->host_count = builder->host_count;
	for (uint32_t i = 0; i < builder->pool_count; i++) {
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
				        "others an id=", id, place->file,
				        place->line);
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
		for (uint32_t i = 0; i < pool->count && i < NEAREST_HOSTS; i++) {
			const char *id = pool->hosts[i].config.id;

			if (nearest_offer(&nearest, id, strlen(id)))
				meant = id;
		}
	}
	if (meant && meant_pool)
		config_errors_add(builder->errors, &section->layer.place, NULL,
		                  "there is no such %s, did you mean "
		                  "[host %s/%s]?",
		                  pool_index == NAME_INDEX_NONE ? "pool" : "host",
		                  meant_pool, meant);
	else
		config_errors_add(builder->errors, &section->layer.place, NULL,
		                  "there is no such %s, allowed: the POOL/ID of "
		                  "a server in a [pool]",
		                  pool_index == NAME_INDEX_NONE ? "pool"
		                                                : "host");
}

/* Sections of one host that stand apart are one, as those of a pool. */
static int apply_host_section(struct config_builder *builder,
                              const struct foundation *foundation,
                              const struct name_index *hosts,
                              const uint32_t *place_of,
                              const struct host_section *section)
{
	uint32_t pool_index = find_pool(builder, section->pool), host_index;
	struct config_values values;
	struct host_config *host;
	int error;

	host_index = name_index_find(hosts, section->pool,
	                             strlen(section->pool), section->id,
	                             strlen(section->id));
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
		                  "a second section for this host, allowed: one");
		return 0;
	}
	values = builder->pools[pool_index].values;
	error = apply_layer(builder, &section->layer, &values);
	if (error < 0)
		return error;
	return derive_settings(builder, foundation, &values,
	                       &section->layer.place, &host->settings);
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
	error = apply_defaults(builder, IN_CHECKERD, builder->config);
	for (uint32_t i = 0; error == 0 && i < builder->checkerd.count; i++)
		config_value_store(builder->checkerd.items[i].key,
		                   builder->checkerd.items[i].value,
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
	builder->config->references = 1;
	builder->config->arena = builder->arena;
	builder->arena = NULL;
	*ret = builder->config;
	return 0;
}
