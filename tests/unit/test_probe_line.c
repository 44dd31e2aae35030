/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections that are kept: whose they are, how long, and that their end
 * tells nothing of the host.
 */
#include "fixture_probe.h"

#include <errno.h>

/* Answers each request. */
static void script_keep(struct backend *backend, int fd)
{
	char byte;

	do {
		backend_hear(backend, fd);
	} while (backend_say(fd, backend->text, strlen(backend->text)) &&
	         recv(fd, &byte, 1, MSG_PEEK) == 1);
}

/* Answers one, and is gone without a word. */
static void script_leave(struct backend *backend, int fd)
{
	backend_hear(backend, fd);
	backend_say(fd, backend->text, strlen(backend->text));
}

/* Answers one, and resets when it hears the next. */
static void script_reset_second(struct backend *backend, int fd)
{
	script_leave(backend, fd);
	script_reset(backend, fd);
}

/* Answers one, and is silent from then on. */
static void script_silent_second(struct backend *backend, int fd)
{
	script_leave(backend, fd);
	backend_wait_for_end(fd);
}

static struct settings kept_settings(void)
{
	struct settings settings = some_settings();

	settings.keepalive = true;
	return settings;
}

static struct probe_result probe_line(struct fixture *fixture,
                                      struct probe_line *line,
                                      const struct backend *backend,
                                      const struct settings *settings)
{
	fixture->line = line;
	return probe_once(fixture, &backend->address, settings);
}

static void expect_ok(struct fixture *fixture, struct probe_line *line,
                      const struct backend *backend,
                      const struct settings *settings)
{
	struct probe_result result;

	result = probe_line(fixture, line, backend, settings);
	if (result.outcome != HEALTH_L7OK)
		fail_msg("%s: %s", health_outcome_name(result.outcome),
		         result.message);
}

static void test_one_connection_for_many_probes(void **state)
{
	struct settings settings = kept_settings();
	struct probe_line line = { 0 };
	struct probe_result result;
	struct backend backend;
	unsigned i;

	backend_start(&backend, "127.0.0.1", script_keep, OK_ANSWER);
	result = probe_line(*state, &line, &backend, &settings);
	assert_true(result.connect_us > 0);
	for (i = 0; i < 5; i++) {
		result = probe_line(*state, &line, &backend, &settings);
		assert_int_equal(result.outcome, HEALTH_L7OK);
		assert_int_equal(result.connect_us, 0);
		assert_true(result.total_us > 0);
	}
	assert_int_equal(backend.accepted, 1);
	assert_null(strstr(backend.request, "Connection"));
	probe_line_clear(&line);
	backend_stop(&backend); /* waits for the connection's end */
	probe_line_clear(&line);
}

static void test_lines_share_nothing(void **state)
{
	struct settings settings = kept_settings();
	struct probe_line lines[3] = { 0 };
	struct backend backend;
	unsigned i;

	backend_start(&backend, "127.0.0.1", script_keep, OK_ANSWER);
	for (i = 0; i < 9; i++)
		expect_ok(*state, &lines[i % 3], &backend, &settings);
	assert_int_equal(backend.accepted, 3);
	expect_ok(*state, NULL, &backend, &settings);
	assert_int_equal(backend.accepted, 4);
	for (i = 0; i < 3; i++)
		probe_line_clear(&lines[i]);
	backend_stop(&backend);
}

static void test_other_hosts_and_settings_start_anew(void **state)
{
	struct settings settings = kept_settings();
	struct settings fresh = some_settings();
	struct probe_line line = { 0 };
	struct backend backends[2];

	backend_start(&backends[0], "127.0.0.1", script_keep, OK_ANSWER);
	backend_start(&backends[1], "127.0.0.1", script_keep, OK_ANSWER);
	expect_ok(*state, &line, &backends[0], &settings);
	expect_ok(*state, &line, &backends[1], &settings);
	assert_int_equal(backends[1].accepted, 1);
	settings.port = address_port(&backends[0].address);
	expect_ok(*state, &line, &backends[1], &settings);
	assert_int_equal(backends[0].accepted, 2);
	settings.port = 0;
	expect_ok(*state, &line, &backends[0], &settings);
	assert_int_equal(backends[0].accepted, 2);
	/* a check that keeps none lets go of what there was */
	expect_ok(*state, &line, &backends[0], &fresh);
	assert_null(line.kept);
	backend_stop(&backends[0]);
	backend_stop(&backends[1]);
}

static void test_idle_close_is_no_failure(void **state)
{
	static const backend_script scripts[] = { script_leave,
		                                  script_reset_second };
	struct settings settings = kept_settings();
	struct backend backend;
	unsigned i, j;

	settings.connect_timeout_ms = settings.read_timeout_ms = 1000;
	for (i = 0; i < ARRAY_SIZE(scripts); i++) {
		struct probe_line line = { 0 };

		backend_start(&backend, "127.0.0.1", scripts[i], OK_ANSWER);
		for (j = 0; j < 6; j++) {
			settings.method = j % 2 == 0 ? "GET" : "POST";
			settings.body = j % 2 == 0 ? "" : "a=b";
			expect_ok(*state, &line, &backend, &settings);
		}
		assert_int_equal(backend.accepted, 6);
		probe_line_clear(&line);
		backend_stop(&backend);
	}
}

static void test_host_that_is_gone_is_L4CON(void **state)
{
	struct settings settings = kept_settings();
	struct probe_line line = { 0 };
	struct probe_result result;
	struct backend backend;

	backend_start(&backend, "127.0.0.1", script_leave, OK_ANSWER);
	expect_ok(*state, &line, &backend, &settings);
	backend_stop(&backend);
	result = probe_line(*state, &line, &backend, &settings);
	assert_int_equal(result.outcome, HEALTH_L4CON);
	assert_int_equal(result.connect_us, 0);
	probe_line_clear(&line);
}

static void test_silence_costs_the_connection(void **state)
{
	struct settings settings = kept_settings();
	struct probe_line line = { 0 };
	struct probe_result result;
	struct backend backend;

	backend_start(&backend, "127.0.0.1", script_silent_second, OK_ANSWER);
	expect_ok(*state, &line, &backend, &settings);
	result = probe_line(*state, &line, &backend, &settings);
	assert_int_equal(result.outcome, HEALTH_L7TOUT);
	assert_int_equal(backend.accepted, 1);
	expect_ok(*state, &line, &backend, &settings);
	assert_int_equal(backend.accepted, 2);
	probe_line_clear(&line);
	backend_stop(&backend);
}

/* With the next probe a minute away, this one's connection would be too old
 * by then. */
static void test_no_connection_outlasts_a_minute(void **state)
{
	struct settings settings = kept_settings();
	struct probe_line line = { 0 };
	struct backend backend;

	backend_start(&backend, "127.0.0.1", script_keep, OK_ANSWER);
	settings.interval_ms = 44000;
	expect_ok(*state, &line, &backend, &settings);
	expect_ok(*state, &line, &backend, &settings);
	assert_int_equal(backend.accepted, 1);
	settings.interval_ms = 60000;
	expect_ok(*state, &line, &backend, &settings);
	expect_ok(*state, &line, &backend, &settings);
	assert_int_equal(backend.accepted, 3);
	probe_line_clear(&line);
	backend_stop(&backend);
}

static void test_cleared_or_cancelled_in_flight(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = kept_settings();
	struct probe_line line = { 0 };
	struct backend backend;
	struct probe *probe;
	struct seen seen;
	unsigned fds;

	backend_start(&backend, "127.0.0.1", script_silent, "");
	fds = open_fds();
	fixture->line = &line;
	start(fixture, &backend.address, &settings, &seen);
	run_for(fixture, 5000);
	probe_line_clear(&line);
	run_until(fixture, &seen.calls, 1);
	assert_int_equal(seen.result.outcome, HEALTH_L7TOUT);
	probe = start(fixture, &backend.address, &settings, &seen);
	run_for(fixture, 5000);
	probe_cancel(probe);
	probe_line_clear(&line);
	backend_stop(&backend);
	assert_true(open_fds() < fds);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_one_connection_for_many_probes),
		TEST(test_lines_share_nothing),
		TEST(test_other_hosts_and_settings_start_anew),
		TEST(test_idle_close_is_no_failure),
		TEST(test_host_that_is_gone_is_L4CON),
		TEST(test_silence_costs_the_connection),
		TEST(test_no_connection_outlasts_a_minute),
		TEST(test_cleared_or_cancelled_in_flight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
