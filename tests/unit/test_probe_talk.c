/* SPDX-License-Identifier: BSD-2-Clause
 *
 * send and expect, byte by byte: when an answer is known, and what ends the
 * wait for one.
 */
#include "fixture_probe.h"

#include "arena.h"

#include <errno.h>

static struct arena *arena;

static struct settings talk_settings(const char *send, const char *expect)
{
	struct settings settings = some_settings();
	char problem[256];

	settings.check = CHECK_TCP;
	settings.send = (struct config_bytes) { (const unsigned char *) send,
		                                (uint32_t) strlen(send) };
	if (expect[0] != '\0' &&
	    expectation_compile(&settings.expectations.answer, expect,
	                        EXPECT_PLAIN, arena, problem,
	                        sizeof(problem)) < 0)
		fail_msg("%s", problem);
	return settings;
}

static int setup_talk(void **state)
{
	arena = arena_new(NULL);
	return arena != NULL ? setup(state) : -1;
}

static int teardown_talk(void **state)
{
	arena_free(arena);
	return teardown(state);
}

/* --- scripts --------------------------------------------------------------- */

static void script_banner(struct backend *backend, int fd)
{
	backend_say(fd, backend->text, strlen(backend->text));
	backend_wait_for_end(fd);
}

static void script_banner_and_close(struct backend *backend, int fd)
{
	backend_say(fd, backend->text, strlen(backend->text));
	shutdown(fd, SHUT_WR);
	backend_wait_for_end(fd);
}

/* A byte at a time. */
static void script_dribble(struct backend *backend, int fd)
{
	struct pollfd gone = { .fd = fd, .events = POLLRDHUP };
	const char *at = backend->text;

	while (*at != '\0' && backend_say(fd, at++, 1) &&
	       poll(&gone, 1, 2) == 0)
		;
	backend_wait_for_end(fd);
}

static void script_tcp_reset(struct backend *backend, int fd)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	char byte;

	(void) backend;
	recv(fd, &byte, 1, 0);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

static const struct story {
	const char *name;
	backend_script script;
	const char *text;
	const char *send;
	const char *expect;
	uint32_t max_body;
	enum health_outcome outcome;
	const char *message;
} stories[] = {
	{ "banner", script_banner, "220 ready\r\n", "", "^220 ", 1024,
	  HEALTH_L7OK, "" },
	{ "banner, dribbled", script_dribble, "220 ready\r\n", "", "ready\r\n",
	  1024, HEALTH_L7OK, "" },
	{ "echo", script_echo, "", "PING\r\n", "^PING\r\n$", 1024, HEALTH_L7OK,
	  "" },
	{ "sent and that is it", script_silent, "", "PING\r\n", "", 1024,
	  HEALTH_L7OK, "" },
	{ "another banner", script_banner, "554 no\r\n", "", "^220 ", 1024,
	  HEALTH_L7TOUT, "no complete answer within 300 ms" },
	{ "another banner and a close", script_banner_and_close, "554 no\r\n",
	  "", "^220 ", 1024, HEALTH_L7BODY, NULL },
	{ "the right one and a close", script_banner_and_close, "220 ok\r\n", "",
	  "^220 ", 1024, HEALTH_L7OK, "" },
	{ "closed without a word", script_close, "", "", "^220 ", 1024,
	  HEALTH_L7BODY, NULL },
	{ "reset", script_tcp_reset, "", "PING\r\n", "PONG", 1024, HEALTH_L7RSP,
	  NULL },
	{ "silent", script_silent, "", "PING\r\n", "PONG", 1024, HEALTH_L7TOUT,
	  "no complete answer within 300 ms" },
	{ "more than is looked at", script_flood, "0123456789", "", "x", 65536,
	  HEALTH_L7BODY, NULL },
	{ "a match at the limit", script_banner, "0123456789", "", "34$", 5,
	  HEALTH_L7OK, "" },
	{ "a match behind the limit", script_banner, "0123456789", "", "5", 5,
	  HEALTH_L7BODY, NULL },
	{ "bytes that cost too much", script_flood,
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "",
	  "^(a|aa)+$", 65536, HEALTH_L7BODY, NULL },
};

static void test_outcomes(void **state)
{
	const struct story *story;
	struct settings settings;
	struct probe_result result;
	struct backend backend;
	unsigned fds = open_fds();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(stories); i++) {
		story = &stories[i];
		settings = talk_settings(story->send, story->expect);
		settings.max_body = story->max_body;
		backend_start(&backend, "127.0.0.1", story->script,
		              story->text);
		result = probe_once(*state, &backend.address, &settings);
		backend_stop(&backend);
		if (result.outcome != story->outcome ||
		    (story->message != NULL &&
		     strcmp(result.message, story->message) != 0))
			fail_msg("%s: %s \"%s\"", story->name,
			         health_outcome_name(result.outcome),
			         result.message);
		assert_true(result.total_us >= result.first_byte_us);
		assert_true(result.total_us < 450000);
		assert_int_equal(open_fds(), fds);
	}
}

/* More than a socket's buffers hold: sending goes on when there is room. */
static void test_long_text_is_sent_whole(void **state)
{
	enum { SIZE = 4 * 1024 * 1024 };
	struct settings settings;
	struct probe_result result;
	struct backend backend;
	char *text = malloc(SIZE + 1);

	memset(text, 'a', SIZE);
	strcpy(text + SIZE - 3, "end");
	settings = talk_settings(text, "");
	settings.connect_timeout_ms = settings.read_timeout_ms = 5000;
	backend_start(&backend, "127.0.0.1", script_silent, "");
	result = probe_once(*state, &backend.address, &settings);
	backend_stop(&backend);
	assert_int_equal(result.outcome, HEALTH_L7OK);
	free(text);
}

static void test_deadlines_of_many(void **state)
{
	enum { MANY = 300 };
	struct fixture *fixture = *state;
	struct settings settings[3];
	struct seen *seen = calloc(MANY, sizeof(*seen));
	struct backend backend;
	unsigned fds = open_fds();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		settings[i] = talk_settings("PING\r\n", "PONG");
		settings[i].connect_timeout_ms = 200;
		/* the first started is not the first that ends */
		settings[i].read_timeout_ms = 300 - 100 * (uint32_t) i;
	}
	backend_listen(&backend, "127.0.0.1", 4096);
	for (i = 0; i < MANY; i++)
		start(fixture, &backend.address, &settings[i % 3], &seen[i]);
	for (i = 0; i < MANY; i++) {
		run_until(fixture, &seen[i].calls, 1);
		assert_int_equal(seen[i].calls, 1);
		assert_int_equal(seen[i].result.outcome, HEALTH_L7TOUT);
		assert_in_range(seen[i].result.total_us,
		                500000 - 100000 * (i % 3),
		                590000 - 100000 * (i % 3));
	}
	close(backend.fd);
	assert_int_equal(open_fds(), fds);
	free(seen);
}

/* Who is started in a turn of the loop that takes long has its time after
 * that, whichever way it goes. */
static void test_time_counts_from_the_connection(void **state)
{
	static const enum check_kind kinds[] = { CHECK_TCP, CHECK_TLS,
		                                 CHECK_HTTP, CHECK_HTTPS };
	struct fixture *fixture = *state;
	struct seen seen[ARRAY_SIZE(kinds)];
	struct settings settings[ARRAY_SIZE(kinds)];
	struct backend backend;
	uint64_t turned_us;
	size_t i;

	backend_listen(&backend, "127.0.0.1", 16);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		settings[i] = talk_settings("PING\r\n", "PONG");
		settings[i].check = kinds[i];
		settings[i].connect_timeout_ms = 60;
		settings[i].read_timeout_ms = 40;
		if (kinds[i] == CHECK_HTTP)
			settings[i].body = "for libcurl";
		start(fixture, &backend.address, &settings[i], &seen[i]);
	}
	usleep(80000);
	turned_us = monotonic_us();
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		bool shakes_hands =
			kinds[i] == CHECK_TLS || kinds[i] == CHECK_HTTPS;
		uint64_t least_us = shakes_hands ? 60000 : 100000;

		run_until(fixture, &seen[i].calls, 1);
		assert_true(seen[i].result.timed_out);
		assert_true(seen[i].result.total_us >= least_us);
		assert_true(monotonic_us() - turned_us >= least_us);
	}
	close(backend.fd);
}

static void test_cancelled_talk_is_silent(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = talk_settings("PING\r\n", "PONG");
	struct backend backend;
	struct probe *probe;
	struct seen seen[2];

	backend_start(&backend, "127.0.0.1", script_silent, "");
	settings.connect_timeout_ms = settings.read_timeout_ms = 20;
	probe = start(fixture, &backend.address, &settings, &seen[0]);
	start(fixture, &backend.address, &settings, &seen[1]);
	run_for(fixture, 5000);
	probe_cancel(probe);
	run_until(fixture, &seen[1].calls, 1);
	run_for(fixture, 20000);
	assert_int_equal(seen[0].calls, 0);
	assert_int_equal(seen[1].calls, 1);
	backend_stop(&backend);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, setup_talk, teardown_talk)
	static const struct CMUnitTest tests[] = {
		TEST(test_outcomes),
		TEST(test_long_text_is_sent_whole),
		TEST(test_deadlines_of_many),
		TEST(test_time_counts_from_the_connection),
		TEST(test_cancelled_talk_is_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
