/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a builder has collected: for config_builder.c, which collects it, and
 * config_finish.c, which makes a configuration of it.
 */
#ifndef CHECKERD_CONFIG_BUILDER_PRIVATE_H
#define CHECKERD_CONFIG_BUILDER_PRIVATE_H

#include "arena.h"
#include "config_builder.h"
#include "config_value.h"
#include "name_index.h"

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
	bool gone; /* taken out by a change at runtime */
};

struct pool_build {
	const char *name;
	struct layer layer;
	struct config_values values;
	struct host_build *hosts;
	uint32_t count;
	uint32_t capacity;
	bool gone;
};

/* A [host] section; its pool and host may come later. */
struct host_section {
	const char *pool;
	const char *id;
	struct layer layer;
};

struct config_builder {
	struct config_errors *errors;
	const struct config_world *world;
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

uint32_t config_builder_find_pool(const struct config_builder *builder,
                                  const char *name);

#endif
