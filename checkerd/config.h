/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The configuration as the rest of the daemon sees it: finished, checked and
 * immutable.  A reload makes a new one beside it.
 *
 * Everything hangs off one object with a reference count: the fleet holds
 * one reference, and each probe in flight another, so that a reload never
 * pulls settings from under a running probe.
 *
 * What a key means, its type, default, limits and help text stand in one
 * table, config_keys[]; reading, printing (-T), the man page and the sample
 * file are all held to it.  Sections become a config in config_builder.
 */
#ifndef CHECKERD_CONFIG_H
#define CHECKERD_CONFIG_H

#include "address.h"
#include "status_mask.h"

#include "../include/health_shm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_POOL_NAME_MAX 63
#define CONFIG_HOST_ID_MAX   127

enum check_kind { CHECK_HTTP, CHECK_TCP };
enum initial_state { INITIAL_UP, INITIAL_DOWN, INITIAL_CHECKING };
enum http_version { HTTP_1_0, HTTP_1_1 };

/* What [defaults], [pool NAME] and [host POOL/ID] may set; the nearest wins.
 * Hosts that differ in nothing share one of these. */
struct settings {
	/* the request */
	enum check_kind check;
	enum http_version http_version;
	const char *method;
	const char *path;
	const char *http_host; /* empty: the address, `localhost` for unix: */
	const char *const *headers; /* "Name: value", NULL at the end */
	const char *body; /* empty: none */
	const char *user_agent;
	uint16_t port; /* 0: the host's own */
	uint32_t connect_timeout_ms;
	uint32_t read_timeout_ms; /* the deadline of a probe is the sum */

	/* what passes */
	struct status_mask fail_status;
	struct status_mask pass_status; /* after "fail_status wins; with
	                                   fail_status alone, all else
	                                   passes" */

	/* the schedule and the verdict */
	uint32_t interval_ms;
	uint32_t fast_interval_ms;
	uint32_t down_interval_ms;
	uint8_t jitter_percent;
	enum initial_state initial;
	uint16_t rise;
	uint16_t fall;
};

struct host_config {
	const char *id;
	struct address address;
	const struct settings *settings;
	uint16_t weight;
	enum health_admin admin; /* `down` or `drain` on the server line */
	uint32_t max_conns;
	uint32_t max_fails;
	uint32_t fail_timeout_ms;
};

struct pool_config {
	const char *name;
	const char *upstream;
	uint16_t priority;
	enum health_balance balance;
	uint8_t panic_percent;
	const struct settings *settings; /* of hosts without a section */
	struct host_config *hosts; /* in file order */
	uint32_t host_count;
};

struct config {
	unsigned references;
	const char *segment;
	uint32_t segment_mode;
	uint32_t max_concurrent;
	struct pool_config *pools; /* by priority, then file order */
	uint32_t pool_count;
	uint32_t host_count;
	/* private to config.c: the memory behind all of the above */
	struct arena *arena;
};

struct config *config_ref(struct config *config);
void config_unref(struct config *config); /* accepts NULL */

bool config_settings_equal(const struct settings *a, const struct settings *b);

const char *config_check_name(enum check_kind kind);

/* Everything resolved, as a file that reads back as the same. */
void config_print(const struct config *config, FILE *stream);

#endif
