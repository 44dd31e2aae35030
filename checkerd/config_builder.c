/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sections and keys of a configuration, as they come in.
 *
 * What a section says is read at once, while file and line are at hand, and
 * kept as a layer: a list of assignments.  What becomes of the layers stands
 * in config_finish.c.
 */
#include "config_builder_private.h"

#include "parse.h"
#include "server_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static int new_builder(struct config_builder **ret,
                       struct config_errors *errors,
                       const struct config_world *world, struct arena *below)
{
	struct config_builder *builder = calloc(1, sizeof(*builder));

	if (!builder)
		return -ENOMEM;
	builder->errors = errors;
	builder->world = world;
	builder->arena = arena_new(below);
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

int config_builder_new(struct config_builder **ret,
                       struct config_errors *errors,
                       const struct config_world *world)
{
	return new_builder(ret, errors, world, NULL);
}

/* --- a copy ------------------------------------------------------------- */

static int copy_items(void *ret, const void *items, uint32_t count, size_t size)
{
	void *copy = count > 0 ? reallocarray(NULL, count, size) : NULL;

	if (count > 0 && !copy)
		return -ENOMEM;
	if (copy)
		memcpy(copy, items, count * size);
	*(void **) ret = copy;
	return 0;
}

static int copy_layer(struct layer *ret, const struct layer *from)
{
	*ret = (struct layer) {
		.place = from->place,
		.count = from->count,
		.capacity = from->count,
	};
	return copy_items(&ret->items, from->items, from->count,
	                  sizeof(*from->items));
}

static int copy_pool(struct config_builder *builder,
                     const struct pool_build *from)
{
	struct pool_build *pool = &builder->pools[builder->pool_count++];
	int error;

	*pool = (struct pool_build) {
		.name = from->name,
		.count = from->count,
		.capacity = from->count,
	};
	error = copy_items(&pool->hosts, from->hosts, from->count,
	                   sizeof(*from->hosts));
	if (error == 0)
		error = copy_layer(&pool->layer, &from->layer);
	if (error == 0)
		error = name_index_add(builder->pools_by_name, pool->name,
		                       strlen(pool->name), "", 0,
		                       builder->pool_count - 1);
	return error;
}

static int copy_host_section(struct config_builder *builder,
                             const struct host_section *from)
{
	struct host_section *section =
		&builder->host_sections[builder->host_section_count++];

	*section = (struct host_section) { .pool = from->pool, .id = from->id };
	return copy_layer(&section->layer, &from->layer);
}

static int copy_sections(struct config_builder *builder,
                         const struct config_builder *from)
{
	int error;

	builder->pools = calloc(from->pool_count + 1, sizeof(*builder->pools));
	builder->host_sections = calloc(from->host_section_count + 1,
	                                sizeof(*builder->host_sections));
	if (!builder->pools || !builder->host_sections)
		return -ENOMEM;
	builder->pool_capacity = from->pool_count + 1;
	builder->host_section_capacity = from->host_section_count + 1;
	builder->host_count = from->host_count;
	error = copy_layer(&builder->checkerd, &from->checkerd);
	if (error == 0)
		error = copy_layer(&builder->defaults, &from->defaults);
	if (error == 0)
		error = copy_layer(&builder->notify, &from->notify);
	for (uint32_t i = 0; error == 0 && i < from->pool_count; i++)
		error = copy_pool(builder, &from->pools[i]);
	for (uint32_t i = 0; error == 0 && i < from->host_section_count; i++)
		error = copy_host_section(builder, &from->host_sections[i]);
	return error;
}

int config_builder_copy(struct config_builder **ret,
                        const struct config_builder *from,
                        struct config_errors *errors)
{
	struct config_builder *builder;
	int error = new_builder(&builder, errors, from->world, from->arena);

	if (error < 0)
		return error;
	error = copy_sections(builder, from);
	if (error < 0)
		config_builder_free(builder);
	else
		*ret = builder;
	return error;
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

/* --- sections ----------------------------------------------------------- */

uint32_t config_builder_find_pool(const struct config_builder *builder,
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
		                  "and ._-, %d at most",
		                  CONFIG_POOL_NAME_MAX);
		return 0;
	}
	ret->index = config_builder_find_pool(builder, name);
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
		error = name_index_add(builder->pools_by_name, name, size, "",
		                       0, builder->pool_count);
	if (error < 0)
		return error;
	ret->in = IN_POOL;
	ret->index = builder->pool_count;
	pool = &builder->pools[builder->pool_count++];
	*pool = (struct pool_build) { 0 };
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
	if (ret->in != 0)
		layer_of(builder, ret)->place = *place;
	else
		config_errors_add(builder->errors, place, NULL,
		                  "unknown section, allowed: [checkerd], "
		                  "[defaults], [pool NAME], [host POOL/ID], "
		                  "[notify]");
	return 0;
}

/* --- servers ------------------------------------------------------------ */

static int add_host(struct config_builder *builder, struct pool_build *pool,
                    const struct config_place *place,
                    const struct server_line *line,
                    const struct address *address, const char *id)
{
	struct address *kept;
	struct host_build *host;

	if (strlen(id) > CONFIG_HOST_ID_MAX) {
		config_errors_add(builder->errors, place, "server",
		                  "the id %s is too long, allowed: %d bytes",
		                  id, CONFIG_HOST_ID_MAX);
		return 0;
	}
	if (builder->host_count == HEALTH_MAX_HOSTS) {
		config_errors_add(builder->errors, place, "server",
		                  "too many hosts, allowed: %u",
		                  HEALTH_MAX_HOSTS);
		return 0;
	}
	kept = arena_alloc(builder->arena, 1, address_size(address));
	if (!kept ||
	    grow(&pool->hosts, pool->count, &pool->capacity, sizeof(*host)) < 0)
		return -ENOMEM;
	memcpy(kept, address, address_size(address));
	host = &pool->hosts[pool->count];
	*host = (struct host_build) {
		.config = {
			.id = config_builder_keep(builder, id),
			.address = kept,
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

	count = builder->world->resolve(builder->world->owner, name, addresses,
	                                &problem);
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

/* --- keys --------------------------------------------------------------- */

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
		                  "unknown key %s, see checkerd.ini(5)",
		                  quoted);
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
	if (earlier && !config_key_is_list(key)) {
		config_errors_add(builder->errors, place, key->name,
		                  "is set already at %s:%u, allowed: once in a "
		                  "section",
		                  earlier->place.file, earlier->place.line);
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

static int find_file(struct config_builder *builder,
                     const struct config_place *place,
                     const struct config_key *key, const char *path)
{
	const struct config_world *world = builder->world;
	const char *problem = "unknown";
	char quoted[CONFIG_QUOTE_SIZE];
	int error = world->find_file(world->owner, path, &problem);

	if (error == 0 || error == -ENOMEM)
		return error;
	config_errors_add(builder->errors, place, key->name,
	                  "%s cannot be read (%s), allowed: a file that "
	                  "checkerd may read",
	                  config_quote(quoted, path), problem);
	return 0;
}

/* An agent that is given by name is asked at the first of its addresses. */
static int find_agent(struct config_builder *builder,
                      const struct config_place *place,
                      const struct config_key *key, struct config_agent *agent)
{
	struct address addresses[CONFIG_MAX_ADDRESSES];
	const char *problem = "unknown";
	char name[CONFIG_SERVER_MAX];
	int count;

	if (key->type != TYPE_AGENT || agent->kind != AGENT_TCP ||
	    agent->address.length > 0)
		return 0;
	snprintf(name, sizeof(name), "%s", agent->text + strlen("tcp://"));
	*strrchr(name, ':') = '\0';
	if (*name == '\0')
		return 0;
	count = builder->world->resolve(builder->world->owner, name, addresses,
	                                &problem);
	if (count == -ENOMEM)
		return count;
	if (count <= 0) {
		config_errors_add(builder->errors, place, key->name,
		                  "\"%s\" does not resolve (%s), allowed: an "
		                  "address or a name that resolves at load",
		                  name, problem);
		return 0;
	}
	qsort(addresses, (size_t) count, sizeof(*addresses), compare_addresses);
	agent->address = addresses[0];
	address_set_port(&agent->address, agent->port);
	agent->port = 0;
	return 0;
}

static int find_program(struct config_builder *builder,
                        const struct config_place *place,
                        const struct config_key *key, const char *command)
{
	const struct config_world *world = builder->world;
	const char *problem = "unknown";
	char quoted[CONFIG_QUOTE_SIZE];
	CLEANUP(free_pointer)
	char *path = strndup(command, strcspn(command, CONFIG_BLANKS));
	int error;

	if (!path)
		return -ENOMEM;
	error = world->find_program(world->owner, path, &problem);
	if (error == 0 || error == -ENOMEM)
		return error;
	config_errors_add(builder->errors, place, key->name,
	                  "%s cannot be run (%s), allowed: a program that "
	                  "checkerd may run",
	                  config_quote(quoted, path), problem);
	return 0;
}

/* What will be wanted later is missed now and not then. */
static int find_named(struct config_builder *builder,
                      const struct config_place *place,
                      const struct config_key *key, const char *text)
{
	if (strcmp(text, key->default_text) == 0)
		return 0;
	if (key->type == TYPE_READABLE)
		return find_file(builder, place, key, text);
	if (key->type == TYPE_COMMAND)
		return find_program(builder, place, key, text);
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
	if (!key->stored)
		return 0;
	error = find_named(builder, place, key, copy);
	if (error == 0)
		error = find_agent(builder, place, key, value.agent);
	if (error < 0)
		return error;
	return add_assignment(builder, layer_of(builder, section), place, key,
	                      value);
}
