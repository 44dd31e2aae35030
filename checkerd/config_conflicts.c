/* SPDX-License-Identifier: BSD-2-Clause */
#include "config_conflicts.h"

#include "config_builder_private.h"

#include <string.h>

static const struct assignment *find(const struct layer *layer,
                                     const char *name)
{
	for (uint32_t i = 0; i < layer->count; i++) {
		if (strcmp(layer->items[i].key->name, name) == 0)
			return &layer->items[i];
	}
	return NULL;
}

/* --- keys without a use ------------------------------------------------- */

/* "KEY =", which takes back what would be inherited. */
static bool is_empty(const struct assignment *item)
{
	const union config_value zero = { 0 };

	if (*item->key->default_text != '\0')
		return false;
	if (item->key->type >= TYPE_TEXT)
		return *item->value.text == '\0';
	return memcmp(&item->value, &zero, sizeof(zero)) == 0;
}

static const char *kinds_text(const struct config_key *key, char *buffer,
                              size_t size)
{
	FILE *stream = fmemopen(buffer, size, "w");
	const char *separator = "";

	buffer[0] = '\0';
	for (unsigned kind = 0; stream && kind < CHECK_KIND_COUNT; kind++) {
		if (!config_key_applies(key, kind))
			continue;
		fprintf(stream, "%s%s", separator, config_check_name(kind));
		separator = ", ";
	}
	if (stream)
		fclose(stream);
	return buffer;
}

static void find_useless(struct config_errors *errors,
                         const struct layer *layer, enum check_kind check)
{
	char kinds[128];

	for (uint32_t i = 0; i < layer->count; i++) {
		const struct assignment *item = &layer->items[i];

		if (config_key_applies(item->key, check) || is_empty(item))
			continue;
		config_errors_add(
			errors, &item->place, item->key->name,
			"is of no use to check = %s, allowed: with %s, "
			"or in [defaults]",
			config_check_name(check),
			kinds_text(item->key, kinds, sizeof(kinds)));
	}
}

/* --- what does not go together ------------------------------------------ */

static bool is_head(const struct settings *settings)
{
	return strcmp(settings->method, "HEAD") == 0 &&
	       config_key_applies(config_key_find("method"), settings->check);
}

static bool body_of_head(const struct settings *settings)
{
	return is_head(settings) && *settings->body != '\0';
}

static bool expected_body_of_head(const struct settings *settings)
{
	return is_head(settings) && settings->expectations.body;
}

static bool failed_body_of_head(const struct settings *settings)
{
	return is_head(settings) && settings->expectations.fail_body;
}

static bool has_tls(const struct settings *settings)
{
	return config_key_applies(config_key_find("tls_cert"), settings->check);
}

static bool certificate_without_key(const struct settings *settings)
{
	return *settings->tls_cert != '\0' && *settings->tls_key == '\0' &&
	       has_tls(settings);
}

static bool key_without_certificate(const struct settings *settings)
{
	return *settings->tls_cert == '\0' && *settings->tls_key != '\0' &&
	       has_tls(settings);
}

static bool no_status_to_observe(const struct settings *settings)
{
	return settings->observe == OBSERVE_STATUS &&
	       status_mask_empty(&settings->fail_status);
}

/* These hold wherever the values come from. */
static const struct conflict {
	const char *key;
	bool (*is_met)(const struct settings *settings);
	const char *text;
} conflicts[] = {
	{ "body", body_of_head,
	  "a HEAD request has no body, allowed: with another method" },
	{ "expect_body", expected_body_of_head,
	  "the answer to HEAD has no body, allowed: with another method" },
	{ "fail_body", failed_body_of_head,
	  "the answer to HEAD has no body, allowed: with another method" },
	{ "tls_cert", certificate_without_key,
	  "has no tls_key, allowed: both of them, which may be one file" },
	{ "tls_key", key_without_certificate,
	  "has no tls_cert, allowed: both of them, which may be one file" },
	{ "observe", no_status_to_observe,
	  "no status is a failure, allowed: status with a fail_status" },
};

static void find_reaction(struct config_errors *errors,
                          const struct layer *layer,
                          const struct settings *settings)
{
	const struct assignment *on_error = find(layer, "on_error");

	if (!on_error || on_error->value.number == settings->on_error)
		return;
	config_errors_add(errors, &on_error->place, "on_error",
	                  settings->observe == OBSERVE_OFF
	                          ? "nothing is observed, allowed: with "
	                            "observe = connect or status"
	                          : "there is no check to probe with, "
	                            "allowed: fail, down");
}

static void find_agent(struct config_errors *errors, const struct layer *layer,
                       const struct settings *settings)
{
	static const char *const of_tcp[] = { "agent_send", "agent_interval" };
	const struct assignment *agent = find(layer, "agent");

	if (agent && agent->value.agent->kind != settings->agent.kind)
		config_errors_add(errors, &agent->place, "agent",
		                  "an answer to check = %s has no header "
		                  "fields, allowed: off, tcp://HOST:PORT",
		                  config_check_name(settings->check));
	for (size_t i = 0; i < ARRAY_SIZE(of_tcp); i++) {
		const struct assignment *item = find(layer, of_tcp[i]);

		if (item && !is_empty(item) &&
		    settings->agent.kind != AGENT_TCP)
			config_errors_add(errors, &item->place, of_tcp[i],
			                  "is of no use to agent = %s, "
			                  "allowed: with tcp://HOST:PORT, or "
			                  "in [defaults]",
			                  settings->agent.text);
	}
}

void config_conflicts_find(struct config_errors *errors,
                           const struct layer *layer,
                           const struct settings *settings)
{
	find_useless(errors, layer, settings->check);
	find_reaction(errors, layer, settings);
	find_agent(errors, layer, settings);
	for (size_t i = 0; i < ARRAY_SIZE(conflicts); i++) {
		const struct conflict *conflict = &conflicts[i];
		const struct assignment *item = find(layer, conflict->key);

		if (conflict->is_met(settings))
			config_errors_add(errors,
			                  item ? &item->place : &layer->place,
			                  conflict->key, "%s", conflict->text);
	}
}

/* --- files of [checkerd] ------------------------------------------------ */

/* NULL: the key names none. */
static const char *file_of(const struct config *config,
                           const struct config_key *key)
{
	const char *name = NULL;

	if (key->type == TYPE_FILE && key->stored)
		memcpy(&name, (const char *) config + key->offset,
		       sizeof(name));
	return name;
}

/* Said once of two, where the later was written. */
static void find_same_file(struct config_errors *errors,
                           const struct layer *layer,
                           const struct assignment *item,
                           const struct config *config)
{
	const char *name = file_of(config, item->key);

	for (size_t i = 0; name && i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];
		const struct assignment *other = find(layer, key->name);
		const char *taken = file_of(config, key);

		if (taken && key != item->key && (!other || other < item) &&
		    strcmp(taken, name) == 0)
			config_errors_add(errors, &item->place, item->key->name,
			                  "is the file of %s too, allowed: one "
			                  "of its own",
			                  key->name);
	}
}

void config_conflicts_find_files(struct config_errors *errors,
                                 const struct layer *layer,
                                 const struct config *config)
{
	for (uint32_t i = 0; i < layer->count; i++)
		find_same_file(errors, layer, &layer->items[i], config);
}
