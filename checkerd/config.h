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
#include "config_index.h"
#include "expectation.h"
#include "status_mask.h"

#include "../include/health_shm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_POOL_NAME_MAX 63
#define CONFIG_HOST_ID_MAX   127
#define CONFIG_BLANKS        " \t" /* between the words of exec */
#define CONFIG_EXEC_MAX      16 /* programs told of events at a time */

enum check_kind {
	CHECK_HTTP,
	CHECK_HTTPS,
	CHECK_H2,  /* over TLS, by ALPN */
	CHECK_H2C, /* without TLS, by prior knowledge */
	CHECK_GRPC,
	CHECK_GRPCS,
	CHECK_TCP,
	CHECK_TLS,
	CHECK_NONE, /* no probe: live traffic alone decides */
	CHECK_KIND_COUNT
};
enum initial_state { INITIAL_UP, INITIAL_DOWN, INITIAL_CHECKING };
enum http_version { HTTP_1_0, HTTP_1_1 };
enum observe { OBSERVE_OFF, OBSERVE_CONNECT, OBSERVE_STATUS };
enum on_error { ON_ERROR_PROBE, ON_ERROR_FAIL, ON_ERROR_DOWN };

enum agent_kind {
	AGENT_OFF,
	AGENT_HEADER, /* what the answers to checks say in AGENT_FIELD */
	AGENT_TCP     /* asked for a line of its own */
};

#define AGENT_FIELD "X-Health-Weight"

#define CONFIG_SYSTEM_CA "system" /* tls_ca: what the system trusts */

struct config_bytes {
	const unsigned char *data;
	uint32_t size; /* 0: none */
};

/* Who, beside checks and persons, says how a host is to be used. */
struct config_agent {
	enum agent_kind kind;
	/* of AGENT_TCP; no length: the host's own address, at `port` */
	struct address address;
	uint16_t port;
	const char *text; /* as it was written */
};

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
	const char *body;           /* empty: none */
	const char *user_agent;
	uint16_t port; /* 0: the host's own */
	uint32_t connect_timeout_ms;
	uint32_t read_timeout_ms; /* the deadline of a probe is the sum */
	bool keepalive;
	const char *grpc_service; /* empty: the server as a whole */
	struct config_bytes send; /* tcp, tls */

	/* TLS; files are absolute names */
	const char *sni; /* empty: http_host, without its port */
	bool tls_verify;
	const char *tls_ca;   /* or CONFIG_SYSTEM_CA */
	const char *tls_cert; /* empty: none, and then no tls_key either */
	const char *tls_key;
	uint64_t cert_warn_ms;

	/* what passes */
	struct status_mask fail_status;
	struct status_mask pass_status; /* after "fail_status wins; with
	                                   fail_status alone, all else
	                                   passes" */
	struct expectations expectations;
	uint32_t max_body; /* bytes of an answer that are looked at */

	/* the schedule and the verdict */
	uint32_t interval_ms;
	uint32_t fast_interval_ms;
	uint32_t down_interval_ms;
	uint8_t jitter_percent;
	enum initial_state initial;
	uint16_t rise;
	uint16_t fall;

	/* the agent; the rest of it is empty unless it is AGENT_TCP */
	struct config_agent agent;
	struct config_bytes agent_send;
	uint32_t agent_interval_ms;

	uint64_t request_hash; /* equal where config_requests_equal() is */
	uint64_t hash;         /* of all that is written in them */

	/* live traffic */
	enum observe observe;
	enum on_error on_error;     /* of CHECK_NONE it is not to probe */
	uint32_t failed_timeout_ms; /* CHECK_NONE */

	uint32_t slow_start_ms; /* 0: the whole weight at once */
};

struct host_config {
	const char *id; /* the first: see config_index.h */
	const struct address *address; /* for address_copy() */
	const struct settings *settings;
	uint16_t weight;
	enum health_admin admin; /* `down` or `drain` on the server line, or as
	                            ordered since, with ... */
	const char *reason;      /* NULL: none */
	uint64_t until_us;       /* real time; 0: open */
	uint32_t max_conns;
	uint32_t max_fails;
	uint32_t fail_timeout_ms;
};

struct pool_config {
	const char *name; /* the first: see config_index.h */
	const char *upstream;
	uint16_t priority;
	enum health_balance balance;
	uint8_t panic_percent;
	const struct settings *settings; /* of hosts without a section */
	struct host_config *hosts;       /* in file order */
	uint32_t host_count;
	struct config_index hosts_by_id;
};

/* Who hears of events. */
struct notify_config {
	const char *exec; /* words with blanks between them; empty: nobody */
	uint32_t exec_timeout_ms;
	uint32_t exec_max;
	const char *webhook; /* empty: nobody */
	const char *const *webhook_headers; /* "Name: value", NULL at the end */
	const char *webhook_ca;             /* or CONFIG_SYSTEM_CA */
	uint32_t webhook_timeout_ms;
	uint32_t webhook_retry_ms;
};

struct config {
	_Atomic unsigned references; /* those of threads, too */
	const char *segment;
	uint32_t segment_mode;
	uint32_t max_concurrent;
	const char *state_dir;
	/* sockets: control and status for REST, report for datagrams */
	const char *control;
	const char *status;
	const char *report;
	const char *report_users;  /* names with blanks between them */
	const char *listen;        /* IP:PORT; empty: none */
	struct notify_config notify;
	struct pool_config *pools; /* by priority, then file order */
	uint32_t pool_count;
	uint32_t host_count;
	struct config_index pools_by_name;
	/* private to config.c: the memory behind all of the above */
	struct arena *arena;
};

struct config *config_ref(struct config *config);
void config_unref(struct config *config); /* accepts NULL */

/* A configuration of nothing but what a start decides once and for all
 * (config_key.at_start), for who remembers that while others come and go.
 * Returns 0 or -ENOMEM. */
int config_copy_start(struct config **ret, const struct config *config);

/* NULL if there is none. */
const struct pool_config *config_find_pool(const struct config *config,
                                           const char *name);
const struct host_config *config_find_host(const struct pool_config *pool,
                                           const char *id);

/* Whether probes by them, and what follows from those, are the same: what
 * their kind of check has no use for may differ. */
bool config_settings_equal(const struct settings *a, const struct settings *b);

/* Whether the same goes over the wire, at the same patience: then one probe
 * does for both, and each judges the answer and keeps time by its own. */
bool config_requests_equal(const struct settings *a, const struct settings *b);

/* Whether they name the same agent. */
bool config_agent_equal(const struct config_agent *a,
                        const struct config_agent *b);

/* Fills in the hashes of what is else finished.  Returns 0 or -ENOMEM. */
int config_hash_settings(struct settings *settings);

const char *config_check_name(enum check_kind kind);
bool config_check_uses_tls(enum check_kind kind);

/* Everything resolved, as a file that reads back as the same. */
void config_print(const struct config *config, FILE *stream);

#endif
