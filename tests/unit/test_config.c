/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sections and keys become a configuration, without a file: one text per
 * test, "KEY VALUE" lines under "[SECTION]" lines.
 */
#include "unit.h"

#include "config_builder.h"
#include "config_value.h"
#include "server_line.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct fixture {
	struct config_errors errors;
	struct config *config;
};

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	return *state == NULL;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	config_errors_clear(&fixture->errors);
	config_unref(fixture->config);
	free(fixture);
	return 0;
}

/* "two" has two addresses, in an order that changes from call to call. */
static int resolve(void *owner, const char *name, struct address *ret,
                   const char **ret_problem)
{
	static const char *const texts[] = { "10.0.0.9", "10.0.0.8" };
	unsigned *calls = owner, turn = (*calls)++;
	size_t length;
	uint16_t port;

	if (strcmp(name, "one") == 0) {
		address_parse(&ret[0], "10.0.0.7", &length, &port);
		return 1;
	}
	if (strcmp(name, "two") == 0) {
		for (unsigned i = 0; i < 3; i++)
			address_parse(&ret[i], texts[(i + turn) % 2], &length,
			              &port);
		return 3;
	}
	*ret_problem = "nobody knows it";
	return -ENOENT;
}

/* Nothing is there but what lies in /there. */
static int find_file(void *owner, const char *path, const char **ret_problem)
{
	(void) owner;
	*ret_problem = "it hides";
	return strncmp(path, "/there/", 7) == 0 ? 0 : -ENOENT;
}

static int find_program(void *owner, const char *path, const char **ret_problem)
{
	return find_file(owner, path, ret_problem);
}

static int build(struct fixture *fixture, const char *text)
{
	struct config_place place = { .file = "test.ini" };
	struct config_section section = { 0 };
	struct config_builder *builder;
	char *copy = strdup(text), *line, *save = NULL;
	unsigned calls = 0;
	const struct config_world world = { resolve, find_file, find_program,
	                                    &calls };
	int result;

	config_errors_clear(&fixture->errors);
	config_unref(fixture->config);
	fixture->config = NULL;
	assert_int_equal(config_builder_new(&builder, &fixture->errors,
	                                    &world), 0);
	for (line = strtok_r(copy, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		place.line++;
		if (line[0] == '[') {
			line[strlen(line) - 1] = '\0';
			place.section = config_builder_keep(builder, line + 1);
			result = config_builder_section(builder, &place,
			                                &section);
		} else {
			char *value = line + strcspn(line, " ");

			if (*value != '\0')
				*value++ = '\0';
			result = config_builder_set(builder, &section, &place,
			                            line, value);
		}
		assert_int_equal(result, 0);
	}
	free(copy);
	result = config_builder_finish(builder, &fixture->config);
	config_builder_free(builder);
	return result;
}

static const struct pool_config *build_pools(struct fixture *fixture,
                                             const char *text)
{
	if (build(fixture, text) < 0) {
		config_errors_print(&fixture->errors, stderr);
		fail();
	}
	return fixture->config->pools;
}

static void assert_error(struct fixture *fixture, const char *text,
                         const char *expected)
{
	assert_int_equal(build(fixture, text), -EINVAL);
	assert_true(fixture->errors.kept > 0);
	assert_string_equal(fixture->errors.texts[0], expected);
	assert_int_equal(fixture->errors.count, 1);
}

static void defaults(void **state)
{
	const struct pool_config *pool =
	        build_pools(*state, "[pool web]\nserver 10.0.0.1\n");
	const struct host_config *host = &pool->hosts[0];
	const struct settings *settings = host->settings;
	struct fixture *fixture = *state;

	assert_string_equal(fixture->config->segment, "/run/checkerd/health.shm");
	assert_int_equal(fixture->config->segment_mode, 0644);
	assert_int_equal(fixture->config->max_concurrent, 1000);
	assert_string_equal(pool->upstream, "web");
	assert_int_equal(pool->priority, 0);
	assert_int_equal(pool->balance, HEALTH_ROUND_ROBIN);
	assert_int_equal(pool->panic_percent, 0);
	assert_string_equal(host->id, "10.0.0.1:80");
	assert_int_equal(host->weight, 1);
	assert_int_equal(host->max_conns, 0);
	assert_int_equal(host->max_fails, 1);
	assert_int_equal(host->fail_timeout_ms, 10000);
	assert_int_equal(host->admin, HEALTH_AUTO);
	assert_int_equal(settings->check, CHECK_HTTP);
	assert_int_equal(settings->http_version, HTTP_1_1);
	assert_string_equal(settings->method, "GET");
	assert_string_equal(settings->path, "/");
	assert_string_equal(settings->http_host, "");
	assert_null(settings->headers[0]);
	assert_string_equal(settings->body, "");
	assert_string_equal(settings->user_agent, "checkerd/" CHECKERD_VERSION);
	assert_int_equal(settings->port, 0);
	assert_int_equal(settings->connect_timeout_ms, 1000);
	assert_int_equal(settings->read_timeout_ms, 2000);
	assert_int_equal(settings->interval_ms, 2000);
	assert_int_equal(settings->fast_interval_ms, 2000);
	assert_int_equal(settings->down_interval_ms, 2000);
	assert_int_equal(settings->jitter_percent, 10);
	assert_int_equal(settings->initial, INITIAL_UP);
	assert_int_equal(settings->rise, 2);
	assert_int_equal(settings->fall, 3);
	assert_string_equal(settings->sni, "");
	assert_true(settings->tls_verify);
	assert_string_equal(settings->tls_ca, CONFIG_SYSTEM_CA);
	assert_string_equal(settings->tls_cert, "");
	assert_string_equal(settings->tls_key, "");
	assert_int_equal(settings->cert_warn_ms, 14 * UINT64_C(86400000));
	assert_false(settings->keepalive);
	assert_string_equal(settings->grpc_service, "");
	assert_int_equal(settings->send.size, 0);
	assert_null(settings->expectations.answer);
	assert_null(settings->expectations.headers[0]);
	assert_null(settings->expectations.body);
	assert_null(settings->expectations.fail_body);
	assert_int_equal(settings->max_body, 256 * 1024);
	assert_int_equal(settings->observe, OBSERVE_OFF);
	assert_int_equal(settings->on_error, ON_ERROR_PROBE);
	assert_int_equal(settings->failed_timeout_ms, 60000);
	assert_string_equal(fixture->config->report,
	                    "/run/checkerd/report.sock");
	assert_string_equal(fixture->config->report_users, "www-data nginx");
}

static void the_nearest_wins_in_any_order(void **state)
{
	const struct pool_config *pool = build_pools(*state,
	        "[host p/a]\ninterval 500ms\nport 9\n"
	        "[pool p]\nserver 10.0.0.1 id=a\nserver 10.0.0.2 id=b\n"
	        "fall 7\nfast_interval 100ms\n"
	        "[pool q]\nserver 10.0.0.3 id=c\n"
	        "[defaults]\ninterval 9s\nfall 5\nrise 4\n");
	const struct settings *a = pool[0].hosts[0].settings;
	const struct settings *b = pool[0].hosts[1].settings;
	const struct settings *c = pool[1].hosts[0].settings;

	assert_int_equal(a->interval_ms, 500);
	assert_int_equal(b->interval_ms, 9000);
	assert_int_equal(c->interval_ms, 9000);
	assert_int_equal(a->fast_interval_ms, 100);
	assert_int_equal(a->down_interval_ms, 500); /* follows its own */
	assert_int_equal(b->down_interval_ms, 9000);
	assert_int_equal(c->fast_interval_ms, 9000);
	assert_int_equal(a->fall, 7);
	assert_int_equal(c->fall, 5);
	assert_int_equal(a->rise, 4);
	assert_int_equal(a->port, 9);
	assert_int_equal(b->port, 0);
}

static void equal_settings_are_shared(void **state)
{
	const struct pool_config *pool = build_pools(*state,
	        "[pool p]\nserver 10.0.0.1 id=a\nserver 10.0.0.2 id=b\n"
	        "server 10.0.0.3 id=c\n"
	        "[pool q]\nserver 10.0.0.1\n[pool r]\nrise 9\n"
	        "[host p/b]\nrise 3\n[host p/c]\n");

	assert_ptr_equal(pool[0].hosts[0].settings, pool[0].settings);
	assert_ptr_not_equal(pool[0].hosts[1].settings, pool[0].settings);
	assert_ptr_equal(pool[0].hosts[2].settings, pool[0].settings);
	assert_ptr_equal(pool[1].settings, pool[0].settings);
	assert_ptr_not_equal(pool[2].settings, pool[0].settings);
}

static void headers_are_inherited_as_a_whole(void **state)
{
	const struct pool_config *pool = build_pools(*state,
	        "[defaults]\nheader X-A: 1\nheader X-B: 2\n"
	        "[pool p]\nserver 10.0.0.1 id=a\nserver 10.0.0.2 id=b\n"
	        "server 10.0.0.3 id=c\n"
	        "[host p/b]\nheader X-C: 3\n[host p/c]\nheader\n");
	const char *const *a = pool->hosts[0].settings->headers;
	const char *const *b = pool->hosts[1].settings->headers;

	assert_string_equal(a[0], "X-A: 1");
	assert_string_equal(a[1], "X-B: 2");
	assert_null(a[2]);
	assert_string_equal(b[0], "X-C: 3");
	assert_null(b[1]);
	assert_null(pool->hosts[2].settings->headers[0]);
}

static void which_status_passes(void **state)
{
	static const struct {
		const char *keys, *passes, *fails;
	} rows[] = {
		{ "", "200 204 301 399", "100 199 400 404 500 599" },
		{ "fail_status 5xx, 403\n", "100 200 404 499", "403 500 599" },
		{ "expect_status 200\n", "200", "201 301 404 500" },
		{ "expect_status 200-404\nfail_status 40x\n", "200 399",
		  "400 404 500" },
		{ "fail_status 500\nexpect_status\n", "404 501", "500" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct status_mask *mask;
		char text[200];
		const char *at;

		snprintf(text, sizeof(text), "[pool p]\n%s", rows[i].keys);
		mask = &build_pools(*state, text)->settings->pass_status;
		for (at = rows[i].passes; *at; at += strspn(at + 3, " ") + 3)
			assert_true(status_mask_test(mask, (unsigned) atoi(at)));
		for (at = rows[i].fails; *at; at += strspn(at + 3, " ") + 3)
			assert_false(status_mask_test(mask,
			                              (unsigned) atoi(at)));
	}
	assert_error(*state, "[pool p]\nfail_status xxx\n",
	             "test.ini:1: [pool p] expect_status: no status passes, "
	             "allowed: at least one that fail_status leaves");
}

static void pools_are_sorted_by_priority_then_file(void **state)
{
	const struct pool_config *pool = build_pools(*state,
	        "[pool d]\npriority 2\n[pool c]\n[pool b]\npriority 1\n"
	        "[pool a]\n[pool d]\nserver 10.0.0.1\n");

	assert_string_equal(pool[0].name, "c");
	assert_string_equal(pool[1].name, "a");
	assert_string_equal(pool[2].name, "b");
	assert_string_equal(pool[3].name, "d");
	assert_int_equal(pool[3].host_count, 1); /* continued */
	assert_int_equal(pool[0].host_count, 0);
}

static void server_parameters_are_read(void **state)
{
	const struct host_config *host = build_pools(*state,
	        "[pool p]\nserver unix:/run/a.sock\t id=a  weight=10 "
	        "max_conns=5 max_fails=0 fail_timeout=500ms drain\n"
	        "server [2001:db8::1]:8080 down\n")->hosts;

	assert_string_equal(host[0].id, "a");
	assert_int_equal(host[0].weight, 10);
	assert_int_equal(host[0].max_conns, 5);
	assert_int_equal(host[0].max_fails, 0);
	assert_int_equal(host[0].fail_timeout_ms, 500);
	assert_int_equal(host[0].admin, HEALTH_ADMIN_DRAIN);
	assert_string_equal(host[1].id, "[2001:db8::1]:8080");
	assert_int_equal(host[1].admin, HEALTH_ADMIN_DOWN);
}

static void each_address_of_a_name_is_a_host(void **state)
{
	const struct pool_config *pool = build_pools(*state,
	        "[pool p]\nserver one:81 id=solo\nserver two:82\n"
	        "server two:83 id=pair weight=5\n");
	static const char *const ids[] = {
		"solo", "10.0.0.8:82", "10.0.0.9:82", "pair-10.0.0.8:83",
		"pair-10.0.0.9:83",
	};

	assert_int_equal(pool->host_count, ARRAY_SIZE(ids));
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		assert_string_equal(pool->hosts[i].id, ids[i]);
	assert_int_equal(address_port(pool->hosts[0].address), 81);
	assert_int_equal(pool->hosts[4].weight, 5);
}

static void mistakes(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "[pool p]\nintervall 2s\n",
		  "test.ini:2: [pool p] unknown key \"intervall\", did you "
		  "mean \"interval\"?" },
		{ "[pool p]\nzzzzzzzzzzz 2s\n",
		  "test.ini:2: [pool p] unknown key \"zzzzzzzzzzz\", see "
		  "checkerd.ini(5)" },
		{ "[pool p]\nsegment /x\n",
		  "test.ini:2: [pool p] segment: does not belong here, allowed "
		  "in [checkerd]" },
		{ "[defaults]\nserver 10.0.0.1\n",
		  "test.ini:2: [defaults] server: does not belong here, allowed "
		  "in [pool NAME]" },
		{ "[host p/a]\npanic 1%\n[pool p]\nserver 10.0.0.1 id=a\n",
		  "test.ini:2: [host p/a] panic: does not belong here, allowed "
		  "in [defaults] and [pool NAME]" },
		{ "[pool p]\ninterval 5ms\n",
		  "test.ini:2: [pool p] interval: \"5ms\" is out of range, "
		  "allowed: 10ms to 1d" },
		{ "[pool p]\ninterval soon\n",
		  "test.ini:2: [pool p] interval: \"soon\" is no duration, "
		  "allowed: 10ms to 1d" },
		{ "[pool p]\ninterval\n",
		  "test.ini:2: [pool p] interval: \"\" is no duration, "
		  "allowed: 10ms to 1d" },
		{ "[pool p]\nrise 0\n",
		  "test.ini:2: [pool p] rise: \"0\" is out of range, allowed: "
		  "1 to 65535" },
		{ "[pool p]\njitter 51%\n",
		  "test.ini:2: [pool p] jitter: \"51%\" is out of range, "
		  "allowed: 0% to 50%" },
		{ "[pool p]\ncheck htt\n",
		  "test.ini:2: [pool p] check: \"htt\" is no choice, allowed: "
		  "http, https, h2, h2c, grpc, grpcs, tcp, tls, none" },
		{ "[pool p]\nmax_body 17m\n",
		  "test.ini:2: [pool p] max_body: \"17m\" is out of range, "
		  "allowed: 1 to 16m" },
		{ "[pool p]\nmax_body 1 MB\n",
		  "test.ini:2: [pool p] max_body: \"1 MB\" is no size, "
		  "allowed: 1 to 16m" },
		{ "[pool p]\ncheck tcp\nsend a\\q\n",
		  "test.ini:3: [pool p] send: \"a\\q\" is no text with escapes, "
		  "allowed: UTF-8 without control characters, and \\r \\n \\t "
		  "\\\\ \\xNN, 2048 bytes at most" },
		{ "[pool p]\nexpect_body a(b\n",
		  "test.ini:2: [pool p] expect_body: \"a(b\" is no regular "
		  "expression: missing closing parenthesis at offset 3, allowed: "
		  "PCRE2 without back references" },
		{ "[pool p]\nexpect_header !X-A:  [b\n",
		  "test.ini:2: [pool p] expect_header: \"!X-A:  [b\" is no regular "
		  "expression: missing terminating ] for character class at "
		  "offset 9, allowed: PCRE2 without back references" },
		{ "[pool p]\nexpect_header two words: x\n",
		  "test.ini:2: [pool p] expect_header: \"two words: x\" names no "
		  "header, allowed: Name: REGEX or !Name: REGEX" },
		{ "[pool p]\nfail_body !x\n",
		  "test.ini:2: [pool p] fail_body: a ! at the start negates, and "
		  "this key negates already, see expect_body, allowed: REGEX; \\! "
		  "is the character" },
		{ "[pool p]\nfail_body x\nfail_body y\n",
		  "test.ini:3: [pool p] fail_body: is set already at test.ini:2, "
		  "allowed: once in a section" },
		{ "[pool p]\ncheck tls\ntls_ca /away/ca.pem\n",
		  "test.ini:3: [pool p] tls_ca: \"/away/ca.pem\" cannot be read "
		  "(it hides), allowed: a file that checkerd may read" },
		{ "[pool p]\ncheck tls\ntls_ca ca.pem\n",
		  "test.ini:3: [pool p] tls_ca: \"ca.pem\" is no absolute file "
		  "name, allowed: a name that starts with / and has no control "
		  "characters, or system, 1024 bytes at most" },
		{ "[pool p]\nslow_start 2d\n",
		  "test.ini:2: [pool p] slow_start: \"2d\" is out of range, "
		  "allowed: 0 to 1d" },
		{ "[notify]\nexec hook.sh -v\n",
		  "test.ini:2: [notify] exec: \"hook.sh -v\" is no command, "
		  "allowed: a program's name that starts with /, and arguments "
		  "after blanks; no shell reads it, 1024 bytes at most" },
		{ "[notify]\nexec /away/hook.sh -v\n",
		  "test.ini:2: [notify] exec: \"/away/hook.sh\" cannot be run "
		  "(it hides), allowed: a program that checkerd may run" },
		{ "[notify]\nexec_max 17\n",
		  "test.ini:2: [notify] exec_max: \"17\" is out of range, "
		  "allowed: 1 to 16" },
		{ "[notify]\nwebhook ftp://a/\n",
		  "test.ini:2: [notify] webhook: \"ftp://a/\" is no URL, "
		  "allowed: http:// or https://, a host, a port and a path, "
		  "without blanks, quotes and #, 2048 bytes at most" },
		{ "[pool p]\nwebhook http://a/\n",
		  "test.ini:2: [pool p] webhook: does not belong here, allowed "
		  "in [notify]" },
		{ "[pool p]\nfail_status 6xx\n",
		  "test.ini:2: [pool p] fail_status: \"6xx\" is no list of "
		  "statuses, allowed: masks and ranges such as 5xx, 40x, 403, "
		  "200-399" },
		{ "[pool p]\npath healthz\n",
		  "test.ini:2: [pool p] path: \"healthz\" is no request target, "
		  "allowed: / and printable ASCII without blanks and #, 2048 "
		  "bytes at most" },
		{ "[pool p]\nmethod G(T\n",
		  "test.ini:2: [pool p] method: \"G(T\" is no HTTP token, "
		  "allowed: letters, digits and !#$%&'*+-.^_`|~, 32 bytes at "
		  "most" },
		{ "[pool p]\nuser_agent a\rX-Evil: 1\n",
		  "test.ini:2: [pool p] user_agent: \"a?X-Evil: 1\" is no text, "
		  "allowed: UTF-8 without control characters, 255 bytes at "
		  "most" },
		{ "[pool p]\nheader X-A: a\rX-Evil: 1\n",
		  "test.ini:2: [pool p] header: \"X-A: a?X-Evil: 1\" is no "
		  "header to set, allowed: Name: value, but not Host, Connection, "
		  "Content-Length or Transfer-Encoding, 2048 bytes at most" },
		{ "[checkerd]\nsegment_mode 0666\n",
		  "test.ini:2: [checkerd] segment_mode: \"0666\" is out of "
		  "range, allowed: 0600 to 0755, written by the owner alone" },
		{ "[checkerd]\nsegment health.shm\n",
		  "test.ini:2: [checkerd] segment: \"health.shm\" is no absolute "
		  "file name, allowed: a name that starts with / and has no "
		  "control characters, 1024 bytes at most" },
		{ "[pool p]\nrise 3\nrise 4\n",
		  "test.ini:3: [pool p] rise: is set already at test.ini:2, "
		  "allowed: once in a section" },
		{ "[pool p]\nserver\n",
		  "test.ini:2: [pool p] server: no address, allowed: IP:PORT, "
		  "[IPv6]:PORT, NAME:PORT or unix:/PATH" },
		{ "[pool p]\nserver 10.0.0.256\n",
		  "test.ini:2: [pool p] server: \"10.0.0.256\" is no address, "
		  "allowed: IP:PORT, [IPv6]:PORT, NAME:PORT or unix:/PATH" },
		{ "[pool p]\nserver nowhere:80\n",
		  "test.ini:2: [pool p] server: \"nowhere\" does not resolve "
		  "(nobody knows it), allowed: an address or a name that "
		  "resolves at load" },
		{ "[pool p]\nserver 10.0.0.1 weight=0\n",
		  "test.ini:2: [pool p] server: weight=: \"0\" is out of range, "
		  "allowed: 1 to 65535" },
		{ "[pool p]\nserver 10.0.0.1 wieght=2\n",
		  "test.ini:2: [pool p] server: unknown parameter \"wieght\", "
		  "did you mean weight=? Allowed: id= weight= max_conns= "
		  "max_fails= fail_timeout= down drain" },
		{ "[pool p]\nserver 10.0.0.1 backup\n",
		  "test.ini:2: [pool p] server: \"backup\" is no parameter here, "
		  "use a pool with a higher priority" },
		{ "[pool p]\nserver 10.0.0.1 weight\n",
		  "test.ini:2: [pool p] server: weight has no value, write "
		  "weight=VALUE" },
		{ "[pool p]\nserver 10.0.0.1 weight=1 weight=2\n",
		  "test.ini:2: [pool p] server: weight= is given twice, allowed: "
		  "once" },
		{ "[pool p]\nserver 10.0.0.1 down drain\n",
		  "test.ini:2: [pool p] server: down and drain, allowed: one of "
		  "them, once" },
		{ "[pool p]\nserver 10.0.0.1 id=\"a\"\n",
		  "test.ini:2: [pool p] server: id=: \"\"a\"\" is no word, "
		  "allowed: printable ASCII without blanks and quotes, 127 bytes "
		  "at most" },
		{ "[pool p]\nserver 10.0.0.1\nserver 10.0.0.1:80\n",
		  "test.ini:3: [pool p] server: the pool has a host "
		  "\"10.0.0.1:80\" already, from test.ini:2, allowed: one; give "
		  "the others an id=" },
		{ "[pool p]\nserver 10.0.0.1 id=app1\n[host p/app2]\nrise 3\n",
		  "test.ini:3: [host p/app2] there is no such host, did you mean "
		  "[host p/app1]?" },
		{ "[pool prim]\nserver 10.0.0.1 id=a\n[host prin/a]\nrise 3\n",
		  "test.ini:3: [host prin/a] there is no such pool, did you mean "
		  "[host prim/a]?" },
		{ "[host nope/a]\nrise 3\n",
		  "test.ini:1: [host nope/a] there is no such pool, allowed: the "
		  "POOL/ID of a server in a [pool]" },
		{ "[host a]\nrise 3\n",
		  "test.ini:1: [host a] no host is named, allowed: "
		  "[host POOL/ID]" },
		{ "[pool p]\nserver 10.0.0.1 id=a\n[host p/a]\nrise 3\n"
		  "[host p/a]\nfall 3\n",
		  "test.ini:5: [host p/a] a second section for this host, "
		  "allowed: one" },
		{ "[pool a/b]\n",
		  "test.ini:1: [pool a/b] no name of a pool, allowed: letters, "
		  "digits and ._-, 63 at most" },
		{ "[pool]\n",
		  "test.ini:1: [pool] no name of a pool, allowed: letters, "
		  "digits and ._-, 63 at most" },
		{ "[globals]\ninterval 2s\n",
		  "test.ini:1: [globals] unknown section, allowed: [checkerd], "
		  "[defaults], [pool NAME], [host POOL/ID], [notify]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_error(*state, rows[i].text, rows[i].error);
}

static void what_does_not_go_together(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "[pool p]\nsend x\n",
		  "test.ini:2: [pool p] send: is of no use to check = http, "
		  "allowed: with tcp, tls, or in [defaults]" },
		{ "[pool p]\npath /x\ncheck tcp\n",
		  "test.ini:2: [pool p] path: is of no use to check = tcp, "
		  "allowed: with http, https, h2, h2c, or in [defaults]" },
		{ "[pool p]\ntls_verify off\n",
		  "test.ini:2: [pool p] tls_verify: is of no use to check = http, "
		  "allowed: with https, h2, grpcs, tls, or in [defaults]" },
		{ "[pool p]\ngrpc_service x\n",
		  "test.ini:2: [pool p] grpc_service: is of no use to check = "
		  "http, allowed: with grpc, grpcs, or in [defaults]" },
		{ "[pool p]\ncheck h2\nhttp_version 1.0\n",
		  "test.ini:3: [pool p] http_version: is of no use to check = h2, "
		  "allowed: with http, https, or in [defaults]" },
		{ "[pool p]\nfailed_timeout 5s\n",
		  "test.ini:2: [pool p] failed_timeout: is of no use to check = "
		  "http, allowed: with none, or in [defaults]" },
		{ "[defaults]\nmethod HEAD\n[pool p]\nexpect_body ok\n",
		  "test.ini:4: [pool p] expect_body: the answer to HEAD has no "
		  "body, allowed: with another method" },
		{ "[defaults]\nmethod HEAD\nbody x\n[pool p]\n",
		  "test.ini:4: [pool p] body: a HEAD request has no body, "
		  "allowed: with another method" },
		{ "[defaults]\ntls_key /there/k\n[pool p]\ncheck https\n",
		  "test.ini:3: [pool p] tls_key: has no tls_cert, allowed: both "
		  "of them, which may be one file" },
		{ "[pool p]\ncheck tls\ntls_cert /there/c\n",
		  "test.ini:3: [pool p] tls_cert: has no tls_key, allowed: both "
		  "of them, which may be one file" },
		{ "[pool p]\nobserve status\n",
		  "test.ini:2: [pool p] observe: no status is a failure, "
		  "allowed: status with a fail_status" },
		{ "[pool p]\non_error down\n",
		  "test.ini:2: [pool p] on_error: nothing is observed, allowed: "
		  "with observe = connect or status" },
		{ "[pool p]\ncheck none\nobserve connect\non_error probe\n",
		  "test.ini:4: [pool p] on_error: there is no check to probe "
		  "with, allowed: fail, down" },
		{ "[pool p]\ncheck tcp\nagent header\n",
		  "test.ini:3: [pool p] agent: an answer to check = tcp has no "
		  "header fields, allowed: off, tcp://HOST:PORT" },
		{ "[pool p]\nagent header\nagent_interval 1s\n",
		  "test.ini:3: [pool p] agent_interval: is of no use to agent = "
		  "header, allowed: with tcp://HOST:PORT, or in [defaults]" },
		{ "[pool p]\nserver unix:/s\nagent tcp://:9\n",
		  "test.ini:2: [pool p] agent: tcp://:9 is no place at a unix "
		  "socket, allowed: tcp://HOST:PORT" },
		{ "[pool p]\nagent tcp://three:9\n",
		  "test.ini:2: [pool p] agent: \"three\" does not resolve "
		  "(nobody knows it), allowed: an address or a name that "
		  "resolves at load" },
		{ "[pool p]\nserver 10.0.0.1 id=a\n[host p/a]\ncheck tcp\n"
		  "method PUT\n",
		  "test.ini:5: [host p/a] method: is of no use to check = tcp, "
		  "allowed: with http, https, h2, h2c, or in [defaults]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_error(*state, rows[i].text, rows[i].error);
}

/* One set of defaults serves all kinds of check. */
static void what_is_inherited_need_not_be_of_use(void **state)
{
	const struct pool_config *pool = build_pools(*state,
	        "[defaults]\npath /x\nmethod HEAD\nsend PING\\r\\n\n"
	        "expect \\+PONG\ngrpc_service s\ntls_verify off\n"
	        "tls_cert /there/c\nhttp_version 1.0\ninitial checking\n"
	        "fail_status 5xx\non_error down\n"
	        "[pool a]\nserver 10.0.0.1 id=a\n[host a/a]\ncheck tcp\n"
	        "[pool b]\ncheck grpc\nsend\n[pool c]\ncheck none\n"
	        "[pool d]\ncheck none\nobserve status\n"
	        "[pool e]\ncheck tls\ntls_key /there/k\n"
	        "[pool f]\ncheck none\nobserve connect\non_error fail\n");

	assert_string_equal(pool[0].settings->path, "/x");
	assert_int_equal(pool[0].hosts[0].settings->send.size, 6);
	assert_memory_equal(pool[0].hosts[0].settings->send.data, "PING\r\n", 6);
	assert_int_equal(pool[1].settings->send.size, 0);
	assert_int_equal(pool[0].settings->on_error, ON_ERROR_PROBE);
	assert_int_equal(pool[0].settings->initial, INITIAL_CHECKING);
	assert_int_equal(pool[2].settings->initial, INITIAL_UP);
	assert_int_equal(pool[3].settings->on_error, ON_ERROR_DOWN);
	assert_int_equal(pool[5].settings->on_error, ON_ERROR_FAIL);
	assert_false(pool[4].settings->tls_verify);
	assert_string_equal(pool[4].settings->tls_ca, CONFIG_SYSTEM_CA);
}

static void agents_are_at_an_address(void **state)
{
	static const struct {
		const char *text, *address;
		uint16_t port;
	} rows[] = {
		{ "tcp://10.0.0.1:9", "10.0.0.1:9", 0 },
		{ "tcp://[::1]:9", "[::1]:9", 0 },
		{ "tcp://one:9", "10.0.0.7:9", 0 },
		/* whatever the order they come in */
		{ "tcp://two:9", "10.0.0.8:9", 0 },
		{ "tcp://two:9", "10.0.0.8:9", 0 },
		{ "tcp://:65535", "", 65535 },
	};
	static const char *const wrong[] = { "",
		                             "on",
		                             "Header",
		                             "10.0.0.1:9",
		                             "tcp:",
		                             "tcp://",
		                             "tcp://10.0.0.1",
		                             "tcp://[::1]",
		                             "tcp://::1",
		                             "tcp://:0",
		                             "tcp://:65536",
		                             "tcp://:9x",
		                             "tcp://one",
		                             "tcp://one:",
		                             "tcp://10.0.0.256:9",
		                             "tcp://unix:/a",
		                             "tcp://one:9/x" };
	char text[300], ini[300], address[ADDRESS_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct config_agent *agent;

		snprintf(text, sizeof(text),
		         "[defaults]\nagent %s\n[pool two]\nserver two:1\n",
		         rows[i].text);
		agent = &build_pools(*state, text)->settings->agent;
		assert_int_equal(agent->kind, AGENT_TCP);
		assert_int_equal(agent->port, rows[i].port);
		assert_string_equal(agent->text, rows[i].text);
		assert_int_equal(agent->address.length == 0,
		                 *rows[i].address == '\0');
		if (agent->address.length > 0)
			assert_string_equal(
				address_text(&agent->address, address),
				rows[i].address);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(text, sizeof(text),
		         "test.ini:2: [pool p] agent: \"%s\" is no agent, "
		         "allowed: off, header, tcp://HOST:PORT, or tcp://:PORT "
		         "at the host itself, 255 bytes at most", wrong[i]);
		snprintf(ini, sizeof(ini), "[pool p]\nagent %s\n", wrong[i]);
		assert_error(*state, ini, text);
	}
}

static void agents_default_to_the_interval_and_to_none(void **state)
{
	const struct pool_config *pool = build_pools(*state,
	        "[defaults]\nagent header\nagent_send x\ninterval 3s\n"
	        "[pool a]\n[pool b]\ncheck tcp\n"
	        "[pool c]\nagent tcp://:9\n"
	        "[pool d]\nagent tcp://:9\nagent_interval 5s\n"
	        "[pool e]\nagent off\n");

	assert_int_equal(pool[0].settings->agent.kind, AGENT_HEADER);
	assert_int_equal(pool[0].settings->agent_send.size, 0);
	assert_int_equal(pool[1].settings->agent.kind, AGENT_OFF);
	assert_int_equal(pool[2].settings->agent_send.size, 1);
	assert_int_equal(pool[2].settings->agent_interval_ms, 3000);
	assert_int_equal(pool[3].settings->agent_interval_ms, 5000);
	assert_int_equal(pool[4].settings->agent.kind, AGENT_OFF);
}

/* Both strings are what two pools say; whether they check alike, and whether
 * one probe would do for both. */
static void settings_are_compared_by_value(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal, same_request;
	} rows[] = {
		{ "", "", true, true },
		{ "check tcp\nsend a\\x0a", "check tcp\nsend a\\n", true, true },
		{ "check tcp\nsend a", "check tcp\nsend b", false, false },
		{ "check tcp\nexpect a", "check tcp\nexpect a", true, true },
		{ "check tcp\nexpect a", "check tcp\nexpect b", false, false },
		{ "expect_body a", "expect_body !a", false, true },
		{ "expect_body a", "", false, true },
		{ "expect_header A: b", "expect_header A: b", true, true },
		{ "expect_header A: b", "expect_header A: b\nexpect_header C",
		  false, true },
		{ "rise 3", "rise 4", false, true },
		{ "interval 3", "interval 4", false, true },
		{ "max_body 1k", "max_body 1024", true, true },
		{ "max_body 1k", "max_body 2k", false, false },
		{ "header A: b", "header A: c", false, false },
		{ "check https", "check h2", false, false },
		{ "check https\ntls_verify off", "check https", false, false },
		{ "check https\ntls_ca /there/a", "check https\ntls_ca /there/a",
		  true, true },
		{ "check https\ncert_warn 1d", "check https", false, true },
		{ "keepalive on", "", false, false },
		{ "read_timeout 9", "", false, false },
		{ "observe connect", "", false, true },
		{ "agent header", "", false, true },
		{ "agent tcp://:9", "agent tcp://:9", true, true },
		{ "agent tcp://:9", "agent tcp://:8", false, true },
		{ "agent tcp://one:9", "agent tcp://10.0.0.7:9", true, true },
		{ "agent tcp://:9\nagent_send a", "agent tcp://:9", false, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct pool_config *pool;
		char text[300];

		snprintf(text, sizeof(text), "[pool a]\n%s\n[pool b]\n%s\n",
		         rows[i].a, rows[i].b);
		pool = build_pools(*state, text);
		assert_int_equal(config_settings_equal(pool[0].settings,
		                                       pool[1].settings),
		                 rows[i].equal);
		assert_int_equal(config_requests_equal(pool[0].settings,
		                                       pool[1].settings),
		                 rows[i].same_request);
	}
}

static void expectations_are_inherited(void **state)
{
	const struct pool_config *pool = build_pools(*state,
	        "[defaults]\nexpect_header A: 1\nexpect_header !B\n"
	        "expect_body ok\n[pool p]\n[pool q]\nexpect_header\n"
	        "expect_body\nfail_body bad\n");
	const struct expectations *p = &pool[0].settings->expectations;
	const struct expectations *q = &pool[1].settings->expectations;

	assert_string_equal(expectation_text(p->headers[0]), "A: 1");
	assert_string_equal(expectation_text(p->headers[1]), "!B");
	assert_null(p->headers[2]);
	assert_string_equal(expectation_text(p->body), "ok");
	assert_null(p->fail_body);
	assert_null(p->answer);
	assert_null(q->headers[0]);
	assert_null(q->body);
	assert_string_equal(expectation_text(q->fail_body), "bad");
}

static void headers_that_frame_the_message_are_ours(void **state)
{
	static const char *const rows[] = {
		"Host: a", "content-length: 5", "Transfer-Encoding: chunked",
		"Connection: close", "X-Empty:", "X-Empty: ", "no colon",
		"X Y: 1", ": 1", "X-\xc3\xbc: 1",
	};
	char text[100];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(text, sizeof(text), "[pool p]\nheader %s\n", rows[i]);
		assert_int_equal(build(*state, text), -EINVAL);
	}
}

static void every_error_of_a_run_is_reported(void **state)
{
	struct fixture *fixture = *state;
	char text[40000] = "[pool p]\n";

	assert_int_equal(build(fixture, "[pool p]\nrise 0\nfall 0\n[x]\n"
	                                "[host q/a]\n"), -EINVAL);
	assert_int_equal(fixture->errors.count, 4);

	for (unsigned i = 0; i < CONFIG_ERRORS_MAX + 5; i++)
		strcat(text, "interval 0\n");
	assert_int_equal(build(fixture, text), -EINVAL);
	assert_int_equal(fixture->errors.kept, CONFIG_ERRORS_MAX);
	assert_int_equal(fixture->errors.count, CONFIG_ERRORS_MAX + 5);
}

static void limits_of_names(void **state)
{
	char text[400], name[200];

	memset(name, 'a', sizeof(name));
	snprintf(text, sizeof(text), "[pool %.63s]\nserver 10.0.0.1 id=%.127s\n",
	         name, name);
	assert_int_equal(build(*state, text), 0);
	snprintf(text, sizeof(text), "[pool %.64s]\n", name);
	assert_int_equal(build(*state, text), -EINVAL);
	snprintf(text, sizeof(text), "[pool p]\nserver 10.0.0.1 id=%.128s\n",
	         name);
	assert_int_equal(build(*state, text), -EINVAL);
	snprintf(text, sizeof(text), "[pool p]\nserver two id=%.120s\n", name);
	assert_int_equal(build(*state, text), -EINVAL);
}

static void too_many_headers(void **state)
{
	char text[4000] = "[pool p]\n";

	for (unsigned i = 0; i < CONFIG_MAX_HEADERS; i++)
		strcat(text, "header A: b\n");
	assert_int_equal(build(*state, text), 0);
	strcat(text, "header A: b\n");
	assert_int_equal(build(*state, text), -EINVAL);
}

/* Each default must be a value that the key accepts. */
static void the_table_is_sound(void **state)
{
	struct arena *arena = arena_new(NULL);
	char problem[CONFIG_PROBLEM_SIZE];
	union config_value value;

	(void) state;
	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];

		assert_ptr_equal(config_key_find(key->name), key);
		assert_true(strlen(key->text) > 0);
		assert_int_equal(config_value_parse(key, key->default_text,
		                                    arena, &value, problem),
		                 0);
	}
	arena_free(arena);
}

static char *printed(const struct config *config)
{
	char *text;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	config_print(config, stream);
	fclose(stream);
	return text;
}

/* In the notation of these tests: "KEY = VALUE" loses its sign. */
static char *rewritten(const char *text)
{
	char *copy = strdup(text), *from = copy, *to = copy;

	while (*from != '\0') {
		char *end = strchr(from, '\n'), *sign = strstr(from, " =");

		*end = '\0';
		if (from[0] != '[' && sign && sign < end) {
			char *value = sign + 2 + (sign[2] == ' ');

			memmove(to, from, sign - from);
			to += sign - from;
			*to++ = ' ';
			memmove(to, value, strlen(value) + 1);
			to += strlen(to);
		} else {
			memmove(to, from, strlen(from) + 1);
			to += strlen(to);
		}
		*to++ = '\n';
		from = end + 1;
	}
	*to = '\0';
	return copy;
}

static void print_reads_back_as_the_same(void **state)
{
	struct fixture *fixture = *state;
	char *first, *second, *text;

	build_pools(fixture,
	            "[checkerd]\nsegment /tmp/x\nsegment_mode 0640\n"
	            "[defaults]\nheader X-A: ;1\nfail_status 5xx, 403\n"
	            "jitter 0\n"
	            "[pool p]\npriority 3\nserver 10.0.0.1 id=a weight=9 down\n"
	            "server unix:/a\nserver [::1]:5 id=v6 drain\nbody ;x\n"
	            "interval 1500ms\nbalance hash\npanic 30%\n"
	            "http_host app.example:81\n"
	            "[host p/a]\nheader\nbody\nport 99\ncheck tcp\n"
	            "initial checking\n"
	            "[host p/v6]\nfast_interval 10ms\nfail_status\n"
	            "user_agent me;you\n"
	            "[pool q]\n"
	            "[pool r]\ncheck tls\nsend ;\\x00 \\x20\\r\\n\\\\\n"
	            "expect ^\\+PONG\ntls_cert /there/c\ntls_key /there/c\n"
	            "sni a.example\ncert_warn 300d\nserver 10.0.0.1 id=a\n"
	            "observe status\non_error down\n"
	            "[host r/a]\ncheck h2\nkeepalive on\nfail_body ;x\n"
	            "[pool s]\ncheck none\nobserve connect\n"
	            "failed_timeout 5s\nserver 10.0.0.1 id=a\n"
	            "[host s/a]\ncheck http\nmax_body 1m\n"
	            "expect_body !(?i)bad\nexpect_header Server: ^x$\n"
	            "expect_header !X-Old\n"
	            "[pool t]\ncheck grpcs\ngrpc_service a.B\n"
	            "tls_verify off\ntls_ca /there/ca\n"
	            "agent tcp://one:9\nagent_send \\x3b\\n\n"
	            "server 10.0.0.1 id=a\nserver 10.0.0.2 id=b\n"
	            "[host t/a]\nagent off\n"
	            "[host t/b]\nagent tcp://:7\nagent_interval 1m\n"
	            "[notify]\nexec /there/hook -v  x\nexec_max 3\n"
	            "webhook https://u:p@[::1]:8443/a?b=;c\n"
	            "webhook_header A: b\nwebhook_header C: ;d\n"
	            "webhook_ca /there/ca\nwebhook_retry 0\n");
	first = printed(fixture->config);
	text = rewritten(first);
	build_pools(fixture, text);
	second = printed(fixture->config);
	assert_string_equal(first, second);
	assert_non_null(strstr(first, "\nbody =;x\n"));
	assert_non_null(strstr(first, "\nsend = \\x3b\\x00\\x20\\x20\\r\\n"
	                              "\\\\\n"));
	free(first);
	free(second);
	free(text);
}

/* Were anything in it quadratic, this would take minutes. */
static void notify_is_read(void **state)
{
	struct fixture *fixture = *state;
	const struct notify_config *notify;

	build_pools(fixture, "[pool p]\n");
	notify = &fixture->config->notify;
	assert_string_equal(notify->exec, "");
	assert_int_equal(notify->exec_max, 1);
	assert_string_equal(notify->webhook, "");
	assert_null(notify->webhook_headers[0]);
	assert_string_equal(notify->webhook_ca, CONFIG_SYSTEM_CA);
	assert_int_equal(notify->webhook_retry_ms, 600000);
	build_pools(fixture, "[notify]\nexec /there/hook -v\nexec_max 16\n"
	                     "webhook http://a/\nwebhook_header A: b\n"
	                     "webhook_timeout 100ms\n[pool p]\nheader C: d\n");
	notify = &fixture->config->notify;
	assert_string_equal(notify->exec, "/there/hook -v");
	assert_int_equal(notify->exec_max, 16);
	assert_string_equal(notify->webhook, "http://a/");
	assert_int_equal(notify->webhook_timeout_ms, 100);
	assert_string_equal(notify->webhook_headers[0], "A: b");
	assert_null(notify->webhook_headers[1]);
}

static void find_all(const struct config *config)
{
	for (uint32_t p = 0; p < config->pool_count; p++) {
		const struct pool_config *pool = &config->pools[p];

		assert_ptr_equal(config_find_pool(config, pool->name), pool);
		for (uint32_t h = 0; h < pool->host_count; h++)
			assert_ptr_equal(
				config_find_host(pool, pool->hosts[h].id),
				&pool->hosts[h]);
	}
	assert_null(config_find_pool(config, "pool-number-50000"));
	assert_null(config_find_host(config->pools, ""));
}

static void many_hosts(void **state)
{
	struct fixture *fixture = *state;
	struct timespec before, after;
	char *text, *at;

	text = at = malloc(100000 * 100);
	at += sprintf(at, "[pool primary]\n");
	for (unsigned i = 0; i < 50000; i++)
		at += sprintf(at, "server 10.%u.%u.%u:8080\n", i >> 16,
		              i >> 8 & 255, i & 255);
	for (unsigned i = 0; i < 50000; i++)
		at += sprintf(at, "[pool pool-number-%u]\nserver unix:/s\n", i);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	build_pools(fixture, text);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	free(text);
	assert_int_equal(fixture->config->host_count, 100000);
	assert_int_equal(fixture->config->pool_count, 50001);
	assert_true(after.tv_sec - before.tv_sec < 5);
	find_all(fixture->config);
}

/* What a start decides is remembered without the rest. */
static void what_a_start_decides_is_copied(void **state)
{
	struct fixture *fixture = *state;
	const struct config *config;
	struct config *copy;

	build_pools(fixture, "[checkerd]\nsegment /a\nsegment_mode 0640\n"
	                     "listen 127.0.0.1:80\n[pool p]\nserver unix:/s\n");
	config = fixture->config;
	assert_int_equal(config_copy_start(&copy, config), 0);
	for (size_t i = 0; i < config_key_count; i++)
		if (config_keys[i].at_start)
			assert_true(config_value_equal(&config_keys[i], config,
			                               copy));
	assert_string_equal(copy->segment, "/a");
	assert_ptr_not_equal(copy->segment, config->segment);
	assert_int_equal(copy->pool_count, 0);
	config_unref(copy);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(defaults),
		TEST(the_nearest_wins_in_any_order),
		TEST(equal_settings_are_shared),
		TEST(headers_are_inherited_as_a_whole),
		TEST(which_status_passes),
		TEST(pools_are_sorted_by_priority_then_file),
		TEST(server_parameters_are_read),
		TEST(each_address_of_a_name_is_a_host),
		TEST(mistakes),
		TEST(what_does_not_go_together),
		TEST(what_is_inherited_need_not_be_of_use),
		TEST(agents_are_at_an_address),
		TEST(agents_default_to_the_interval_and_to_none),
		TEST(settings_are_compared_by_value),
		TEST(expectations_are_inherited),
		TEST(headers_that_frame_the_message_are_ours),
		TEST(every_error_of_a_run_is_reported),
		TEST(limits_of_names),
		TEST(too_many_headers),
		TEST(notify_is_read),
		TEST(the_table_is_sound),
		TEST(print_reads_back_as_the_same),
		TEST(many_hosts),
		TEST(what_a_start_decides_is_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
