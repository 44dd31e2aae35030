/* SPDX-License-Identifier: BSD-2-Clause */
#include "config_keys.h"

#include "nearest.h"
#include "util.h"

#include <string.h>

#define MINUTE_MS UINT64_C(60000)
#define DAY_MS    (24 * 60 * MINUTE_MS)

#define STORED(structure, field)                                               \
	.stored = true, .offset = offsetof(structure, field),                  \
	.size = sizeof(((structure *) NULL)->field)
#define GLOBAL(field)  STORED(struct config, field)
#define SETTING(field) STORED(struct config_values, settings.field)
#define REQUEST(field) SETTING(field), .request = true
#define AT_START(field) GLOBAL(field), .at_start = true
#define OF_POOL(field) STORED(struct config_values, field)

/* Which kinds of check have a use for a key. */
#define HTTP_1 (1 << CHECK_HTTP | 1 << CHECK_HTTPS)
#define HTTP   (HTTP_1 | 1 << CHECK_H2 | 1 << CHECK_H2C)
#define GRPC   (1 << CHECK_GRPC | 1 << CHECK_GRPCS)
#define STREAM (1 << CHECK_TCP | 1 << CHECK_TLS)
#define OVER_TLS                                                               \
	(1 << CHECK_HTTPS | 1 << CHECK_H2 | 1 << CHECK_GRPCS | 1 << CHECK_TLS)
#define PROBED   (HTTP | GRPC | STREAM)
#define UNPROBED (1 << CHECK_NONE)

static const char *const check_names[] = {
	[CHECK_HTTP] = "http", [CHECK_HTTPS] = "https", [CHECK_H2] = "h2",
	[CHECK_H2C] = "h2c",   [CHECK_GRPC] = "grpc",   [CHECK_GRPCS] = "grpcs",
	[CHECK_TCP] = "tcp",   [CHECK_TLS] = "tls",     [CHECK_NONE] = "none",
	[CHECK_KIND_COUNT] = NULL,
};
static const char *const observe_names[] = { "off", "connect", "status", NULL };
static const char *const on_error_names[] = { "probe", "fail", "down", NULL };
static const char *const version_names[] = { "1.0", "1.1", NULL };
static const char *const initial_names[] = { "up", "down", "checking", NULL };
static const char *const balance_names[] = { "round_robin", "least_conn",
	                                     "random", "hash", NULL };

const struct config_key config_keys[] = {
	/* [checkerd] */
	{ "segment", IN_CHECKERD, TYPE_FILE, "/run/checkerd/health.shm", 2,
	  1024, AT_START(segment), .text = "the mapped file that nginx reads" },
	{ "segment_mode", IN_CHECKERD, TYPE_MODE, "0644", 0600, 0755,
	  AT_START(segment_mode), .text = "its permissions" },
	{ "control", IN_CHECKERD, TYPE_FILE, "/run/checkerd/control.sock", 2,
	  107, AT_START(control),
	  .text = "REST socket that may change things" },
	{ "status", IN_CHECKERD, TYPE_FILE, "/run/checkerd/status.sock", 2, 107,
	  AT_START(status), .text = "REST socket that only answers GET" },
	{ "report", IN_CHECKERD, TYPE_FILE, "/run/checkerd/report.sock", 2, 107,
	  AT_START(report), .text = "socket for datagrams from nginx workers" },
	{ "report_users", IN_CHECKERD, TYPE_TEXT, "www-data nginx", 0, 1024,
	  AT_START(report_users), .text = "who, beside root, may send them" },
	{ "listen", IN_CHECKERD, TYPE_LISTEN, "", 1, 64, AT_START(listen),
	  .text = "TCP address that only answers GET" },
	{ "state_dir", IN_CHECKERD, TYPE_FILE, "/var/lib/checkerd", 2, 1024,
	  AT_START(state_dir), .text = "where changes at runtime are kept" },
	{ "max_concurrent", IN_CHECKERD, TYPE_NUMBER, "1000", 1, 100000,
	  GLOBAL(max_concurrent), .text = "probes in flight at most" },
	{ "include", IN_CHECKERD, TYPE_INCLUDE, "", 1, 1024,
	  .text = "further files to read, as a pattern" },

	/* [pool NAME] */
	{ "upstream", IN_POOL, TYPE_WORD, "", 1, CONFIG_UPSTREAM_MAX,
	  OF_POOL(upstream), .text = "nginx's group that the pool serves" },
	{ "priority", IN_POOL, TYPE_NUMBER, "0", 0, 65535, OF_POOL(priority),
	  .text = "lower is used first" },
	{ "balance", IN_DEFAULTS | IN_POOL, TYPE_CHOICE, "round_robin",
	  .choices = balance_names, OF_POOL(balance),
	  .text = "how nginx picks a host in pool mode" },
	{ "panic", IN_DEFAULTS | IN_POOL, TYPE_PERCENT, "0%", 0, 100,
	  OF_POOL(panic_percent),
	  .text = "share of up hosts below which health is ignored" },
	{ "server", IN_POOL, TYPE_SERVER, "", 0, CONFIG_SERVER_MAX,
	  .text = "a host of the pool" },

	/* the request */
	{ "check", IN_SETTINGS, TYPE_CHOICE, "http", .choices = check_names,
	  REQUEST(check), .text = "what a probe speaks" },
	{ "method", IN_SETTINGS, TYPE_TOKEN, "GET", 1, 32, REQUEST(method),
	  .checks = HTTP, .text = "request method" },
	{ "path", IN_SETTINGS, TYPE_REQUEST_PATH, "/", 1, 2048, REQUEST(path),
	  .checks = HTTP, .text = "request target" },
	{ "http_host", IN_SETTINGS, TYPE_WORD, "", 1, 255, REQUEST(http_host),
	  .checks = HTTP | GRPC, .text = "Host header" },
	{ "header", IN_SETTINGS, TYPE_HEADER, "", 1, 2048, REQUEST(headers),
	  .checks = HTTP | GRPC, .secret = true, .text = "a further request header" },
	{ "body", IN_SETTINGS, TYPE_TEXT, "", 1, 2048, REQUEST(body),
	  .checks = HTTP, .secret = true, .text = "request body" },
	{ "http_version", IN_SETTINGS, TYPE_CHOICE, "1.1",
	  .choices = version_names, REQUEST(http_version), .checks = HTTP_1,
	  .text = "version of the request" },
	{ "user_agent", IN_SETTINGS, TYPE_TEXT, "", 1, 255, REQUEST(user_agent),
	  .checks = HTTP | GRPC, .text = "User-Agent header" },
	{ "sni", IN_SETTINGS, TYPE_WORD, "", 1, 255, REQUEST(sni),
	  .checks = OVER_TLS, .text = "server name in the TLS handshake" },
	{ "tls_verify", IN_SETTINGS, TYPE_SWITCH, "on", REQUEST(tls_verify),
	  .checks = OVER_TLS, .text = "whether certificates must verify" },
	{ "tls_ca", IN_SETTINGS, TYPE_READABLE, CONFIG_SYSTEM_CA, 2, 1024,
	  REQUEST(tls_ca), .checks = OVER_TLS,
	  .text = "authorities that are trusted" },
	{ "tls_cert", IN_SETTINGS, TYPE_READABLE, "", 2, 1024,
	  REQUEST(tls_cert), .checks = OVER_TLS,
	  .text = "client certificate" },
	{ "tls_key", IN_SETTINGS, TYPE_READABLE, "", 2, 1024, REQUEST(tls_key),
	  .checks = OVER_TLS, .text = "its key" },
	{ "port", IN_SETTINGS, TYPE_NUMBER, "", 1, 65535, REQUEST(port),
	  .checks = PROBED, .text = "another port to probe" },
	{ "grpc_service", IN_SETTINGS, TYPE_TEXT, "", 1, 255,
	  REQUEST(grpc_service), .checks = GRPC,
	  .text = "service that the gRPC health check asks for" },
	{ "send", IN_SETTINGS, TYPE_BYTES, "", 1, 2048, REQUEST(send),
	  .checks = STREAM, .secret = true, .text = "bytes that a tcp probe sends" },
	{ "expect", IN_SETTINGS, TYPE_PATTERN, "", 1, 2048,
	  REQUEST(expectations.answer), .checks = STREAM,
	  .text = "what the answer to a tcp probe must match" },
	{ "connect_timeout", IN_SETTINGS, TYPE_DURATION, "1s", 1,
	  10 * MINUTE_MS, REQUEST(connect_timeout_ms), .checks = PROBED,
	  .text = "bound of the connect" },
	{ "read_timeout", IN_SETTINGS, TYPE_DURATION, "2s", 1,
	  10 * MINUTE_MS, REQUEST(read_timeout_ms), .checks = PROBED,
	  .text = "bound of the answer" },
	{ "keepalive", IN_SETTINGS, TYPE_SWITCH, "off", REQUEST(keepalive),
	  .checks = HTTP | GRPC, .text = "whether probes reuse a connection" },

	/* what passes */
	{ "fail_status", IN_SETTINGS, TYPE_STATUSES, "", SETTING(fail_status),
	  .text = "statuses that are a failure" },
	{ "expect_status", IN_SETTINGS, TYPE_STATUSES, "2xx, 3xx",
	  SETTING(pass_status), .checks = HTTP,
	  .text = "statuses that pass" },
	{ "expect_header", IN_SETTINGS, TYPE_HEADER_PATTERN, "", 1, 2048,
	  SETTING(expectations.headers), .checks = HTTP,
	  .text = "what a header of the answer must match" },
	{ "expect_body", IN_SETTINGS, TYPE_NEGATABLE_PATTERN, "", 1, 2048,
	  SETTING(expectations.body), .checks = HTTP,
	  .text = "what the body must match" },
	{ "fail_body", IN_SETTINGS, TYPE_NEGATED_PATTERN, "", 1, 2048,
	  SETTING(expectations.fail_body), .checks = HTTP,
	  .text = "what the body must not match" },
	{ "max_body", IN_SETTINGS, TYPE_SIZE, "256k", 1, 16 << 20,
	  REQUEST(max_body), .checks = HTTP | STREAM,
	  .text = "how much of the answer is looked at" },

	/* the schedule */
	{ "interval", IN_SETTINGS, TYPE_DURATION, "2s", 10, DAY_MS,
	  SETTING(interval_ms), .checks = PROBED,
	  .text = "time between two probes" },
	{ "fast_interval", IN_SETTINGS, TYPE_DURATION, "", 10, DAY_MS,
	  SETTING(fast_interval_ms), .checks = PROBED,
	  .text = "while a verdict is changing" },
	{ "down_interval", IN_SETTINGS, TYPE_DURATION, "", 10, DAY_MS,
	  SETTING(down_interval_ms), .checks = PROBED,
	  .text = "while the host is down" },
	{ "jitter", IN_SETTINGS, TYPE_PERCENT, "10%", 0, 50,
	  SETTING(jitter_percent), .checks = PROBED,
	  .text = "random part of the interval" },

	/* the verdict */
	{ "rise", IN_SETTINGS, TYPE_NUMBER, "2", 1, 65535, SETTING(rise),
	  .checks = PROBED, .text = "consecutive passes to come up" },
	{ "fall", IN_SETTINGS, TYPE_NUMBER, "3", 1, 65535, SETTING(fall),
	  .text = "consecutive failures to go down" },
	{ "initial", IN_SETTINGS, TYPE_CHOICE, "up", .choices = initial_names,
	  SETTING(initial), .checks = PROBED,
	  .text = "what a host never seen before is" },
	{ "observe", IN_SETTINGS, TYPE_CHOICE, "off", .choices = observe_names,
	  SETTING(observe), .text = "which failures of live traffic count" },
	{ "on_error", IN_SETTINGS, TYPE_CHOICE, "probe",
	  .choices = on_error_names, SETTING(on_error),
	  .text = "what each of them triggers" },
	{ "failed_timeout", IN_SETTINGS, TYPE_DURATION, "60s", 10, DAY_MS,
	  SETTING(failed_timeout_ms), .checks = UNPROBED,
	  .text = "how long a host without probes stays down" },
	{ "slow_start", IN_SETTINGS, TYPE_DURATION, "0", 0, DAY_MS,
	  SETTING(slow_start_ms),
	  .text = "ramp of the weight after recovery" },
	{ "agent", IN_SETTINGS, TYPE_AGENT, "off", 0, 255, SETTING(agent),
	  .text = "who else says how the host is to be used" },
	{ "agent_send", IN_SETTINGS, TYPE_BYTES, "", 1, 255,
	  SETTING(agent_send), .secret = true, .text = "bytes that a tcp agent is sent" },
	{ "agent_interval", IN_SETTINGS, TYPE_DURATION, "", 10, DAY_MS,
	  SETTING(agent_interval_ms),
	  .text = "time between two questions to it" },
	{ "cert_warn", IN_SETTINGS, TYPE_DURATION, "14d", 0,
	  365 * DAY_MS, SETTING(cert_warn_ms), .checks = OVER_TLS,
	  .text = "how early an expiring certificate is told of" },

	/* [notify] */
	{ "exec", IN_NOTIFY, TYPE_COMMAND, "", 2, 1024, GLOBAL(notify.exec),
	  .text = "program to run for each event" },
	{ "exec_timeout", IN_NOTIFY, TYPE_DURATION, "10s", 100, 10 * MINUTE_MS,
	  GLOBAL(notify.exec_timeout_ms), .text = "how long it may take" },
	{ "exec_max", IN_NOTIFY, TYPE_NUMBER, "1", 1, CONFIG_EXEC_MAX,
	  GLOBAL(notify.exec_max), .text = "how many may run at a time" },
	{ "webhook", IN_NOTIFY, TYPE_URL, "", 1, 2048, GLOBAL(notify.webhook),
	  .text = "URL to post each event to" },
	{ "webhook_header", IN_NOTIFY, TYPE_HEADER, "", 1, 2048,
	  GLOBAL(notify.webhook_headers),
	  .text = "a further header of the posts" },
	{ "webhook_ca", IN_NOTIFY, TYPE_READABLE, CONFIG_SYSTEM_CA, 2, 1024,
	  GLOBAL(notify.webhook_ca),
	  .text = "authorities that are trusted there" },
	{ "webhook_timeout", IN_NOTIFY, TYPE_DURATION, "10s", 100,
	  10 * MINUTE_MS, GLOBAL(notify.webhook_timeout_ms),
	  .text = "bound of one post" },
	{ "webhook_retry", IN_NOTIFY, TYPE_DURATION, "10m", 0, DAY_MS,
	  GLOBAL(notify.webhook_retry_ms),
	  .text = "how old an event is when it is given up" },
};

const size_t config_key_count = ARRAY_SIZE(config_keys);

struct config_values config_values_of(const struct pool_config *pool,
                                      const struct settings *settings)
{
	return (struct config_values) {
		.settings = *settings,
		.upstream = pool->upstream,
		.priority = pool->priority,
		.balance = pool->balance,
		.panic_percent = pool->panic_percent,
	};
}

bool config_key_applies(const struct config_key *key, enum check_kind check)
{
	return key->checks == 0 || (key->checks >> check & 1) != 0;
}

bool config_key_is_list(const struct config_key *key)
{
	return key->type == TYPE_HEADER || key->type == TYPE_HEADER_PATTERN;
}

const struct config_key *config_key_find(const char *name)
{
	for (size_t i = 0; i < config_key_count; i++) {
		if (strcmp(config_keys[i].name, name) == 0)
			return &config_keys[i];
	}
	return NULL;
}

const char *config_key_nearest(const char *name, enum config_sections sections)
{
	struct nearest nearest;
	const char *found = NULL;

	nearest_begin(&nearest, name, strlen(name));
	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];

		if ((key->sections & sections) != 0 &&
		    nearest_offer(&nearest, key->name, strlen(key->name)))
			found = key->name;
	}
	return found;
}
