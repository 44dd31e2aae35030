/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A finished configuration: counted references and its text form.
 *
 * The text has no [defaults]: each pool says everything, and a host says
 * what it has otherwise than its pool.
 */
#include "config.h"

#include "arena.h"
#include "config_keys.h"
#include "config_value.h"
#include "hash.h"
#include "server_line.h"
#include "util.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

struct config *config_ref(struct config *config)
{
	atomic_fetch_add(&config->references, 1);
	return config;
}

/* The configuration lies in its own arena. */
void config_unref(struct config *config)
{
	if (config && atomic_fetch_sub(&config->references, 1) == 1)
		arena_free(config->arena);
}

static int copy_value(const struct config_key *key, const struct config *from,
                      struct config *to)
{
	const char *text;

	if (key->type < TYPE_TEXT) {
		memcpy((char *) to + key->offset,
		       (const char *) from + key->offset, key->size);
		return 0;
	}
	text = *(const char *const *) ((const char *) from + key->offset);
	text = arena_text(to->arena, text, strlen(text));
	*(const char **) ((char *) to + key->offset) = text;
	return text ? 0 : -ENOMEM;
}

int config_copy_start(struct config **ret, const struct config *config)
{
	struct arena *arena = arena_new(NULL);
	struct config *copy =
		arena ? arena_alloc(arena, 1, sizeof(*copy)) : NULL;
	int error = copy ? 0 : -ENOMEM;

	if (copy)
		copy->arena = arena;
	for (size_t i = 0; error == 0 && i < config_key_count; i++)
		if (config_keys[i].at_start)
			error = copy_value(&config_keys[i], config, copy);
	if (error < 0) {
		arena_free(arena);
		return error;
	}
	copy->references = 1;
	*ret = copy;
	return 0;
}

const struct pool_config *config_find_pool(const struct config *config,
                                           const char *name)
{
	uint32_t at = config_index_find(&config->pools_by_name, config->pools,
	                                sizeof(*config->pools), name);

	return at != CONFIG_INDEX_NONE ? &config->pools[at] : NULL;
}

const struct host_config *config_find_host(const struct pool_config *pool,
                                           const char *id)
{
	uint32_t at = config_index_find(&pool->hosts_by_id, pool->hosts,
	                                sizeof(*pool->hosts), id);

	return at != CONFIG_INDEX_NONE ? &pool->hosts[at] : NULL;
}

static bool settings_equal(const struct settings *a, const struct settings *b,
                           bool requests_only)
{
	const struct config_values of_a = { .settings = *a };
	const struct config_values of_b = { .settings = *b };

	for (size_t i = 0; a != b && i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];

		if (key->stored && (key->sections & IN_HOST) &&
		    config_key_applies(key, a->check) &&
		    (key->request || !requests_only) &&
		    !config_value_equal(key, &of_a, &of_b))
			return false;
	}
	return true;
}

bool config_settings_equal(const struct settings *a, const struct settings *b)
{
	return settings_equal(a, b, false);
}

bool config_requests_equal(const struct settings *a, const struct settings *b)
{
	return settings_equal(a, b, true);
}

bool config_agent_equal(const struct config_agent *a,
                        const struct config_agent *b)
{
	return a->kind == b->kind && a->port == b->port &&
	       address_equal(&a->address, &b->address);
}

/* Of the text that they would be written as: equal values have one spelling.
 */
static int hash_text(const struct settings *settings, bool requests_only,
                     uint64_t *ret)
{
	const struct config_values values = { .settings = *settings };
	CLEANUP(free_pointer) char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return -ENOMEM;
	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];

		if (key->stored && (key->sections & IN_HOST) &&
		    (key->request || !requests_only) &&
		    config_key_applies(key, settings->check))
			config_value_print(key, &values, stream);
	}
	if (fclose(stream) != 0)
		return -ENOMEM;
	*ret = hash_bytes(HASH_BEGIN, text, size);
	return 0;
}

int config_hash_settings(struct settings *settings)
{
	int error = hash_text(settings, true, &settings->request_hash);

	return error < 0 ? error : hash_text(settings, false, &settings->hash);
}

const char *config_check_name(enum check_kind kind)
{
	return config_key_find("check")->choices[kind];
}

bool config_check_uses_tls(enum check_kind kind)
{
	return config_key_applies(config_key_find("tls_verify"), kind);
}

static bool is_in(const struct config_key *key, enum config_sections section)
{
	return key->stored && (key->sections & section) != 0;
}

/* What a kind of check has no use for is left out, since a file that says
 * such things of one pool or host is refused. */
static void print_values(enum config_sections section,
                         const struct config_values *values,
                         const struct config_values *inherited, FILE *stream)
{
	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];

		if (!is_in(key, section) ||
		    !config_key_applies(key, values->settings.check))
			continue;
		if (!inherited ||
		    !config_key_applies(key, inherited->settings.check) ||
		    !config_value_equal(key, values, inherited))
			config_value_print(key, values, stream);
	}
}

static void print_host(const struct host_config *host, FILE *stream)
{
	char address[ADDRESS_TEXT_SIZE];
	struct server_line line = {
		.address = address_text(host->address, address),
		.id = host->id,
		.weight = host->weight,
		.max_conns = host->max_conns,
		.max_fails = host->max_fails,
		.fail_timeout_ms = host->fail_timeout_ms,
		.admin = host->admin,
	};

	fputs("server = ", stream);
	server_line_print(&line, stream);
	fputc('\n', stream);
}

static void print_pool(const struct pool_config *pool, FILE *stream)
{
	struct config_values of_pool = config_values_of(pool, pool->settings);

	fprintf(stream, "\n[pool %s]\n", pool->name);
	print_values(IN_POOL, &of_pool, NULL, stream);
	for (uint32_t i = 0; i < pool->host_count; i++)
		print_host(&pool->hosts[i], stream);
	for (uint32_t i = 0; i < pool->host_count; i++) {
		const struct host_config *host = &pool->hosts[i];
		struct config_values of_host;

		if (host->settings == pool->settings)
			continue;
		of_host = config_values_of(pool, host->settings);
		fprintf(stream, "\n[host %s/%s]\n", pool->name, host->id);
		print_values(IN_HOST, &of_host, &of_pool, stream);
	}
}

void config_print(const struct config *config, FILE *stream)
{
	fprintf(stream, "[checkerd]\n");
	for (size_t i = 0; i < config_key_count; i++)
		if (is_in(&config_keys[i], IN_CHECKERD))
			config_value_print(&config_keys[i], config, stream);
	fprintf(stream, "\n[notify]\n");
	for (size_t i = 0; i < config_key_count; i++)
		if (is_in(&config_keys[i], IN_NOTIFY))
			config_value_print(&config_keys[i], config, stream);
	for (uint32_t i = 0; i < config->pool_count; i++)
		print_pool(&config->pools[i], stream);
}
