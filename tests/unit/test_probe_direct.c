/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is asked without libcurl means the same as with it.
 */
#include "fixture_probe.h"

#include "fixture_answers.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

/* The text may have any bytes: what it says is set by set_answer(). */
static char answer_text[300];
static size_t answer_length;

static void say_answer(struct backend *backend, int fd)
{
	backend_hear(backend, fd);
	backend_say(fd, answer_text, answer_length);
	shutdown(fd, SHUT_WR);
	backend_wait_for_end(fd);
}

static void set_answer(const char *text, size_t size)
{
	assert_true(size <= sizeof(answer_text));
	memcpy(answer_text, text, size);
	answer_length = size;
}

/* With a prober of its own: one remembers who is odd, and what libcurl makes
 * of some answers depends on those before. */
static struct probe_result ask_anew(const struct fixture *fixture,
                                    bool curl_only,
                                    const struct backend *backend,
                                    const struct settings *settings)
{
	struct fixture other = *fixture;
	struct probe_result result;

	if (curl_only && setenv("CHECKERD_CURL_ONLY", "1", 1) < 0)
		abort();
	assert_int_equal(prober_new(&other.prober, other.loop), 0);
	unsetenv("CHECKERD_CURL_ONLY");
	result = probe_once(&other, &backend->address, settings);
	prober_free(other.prober);
	return result;
}

static void expect_same(const struct fixture *fixture, const char *name,
                        const struct backend *backend,
                        const struct settings *settings)
{
	struct probe_result a = ask_anew(fixture, false, backend, settings);
	struct probe_result b = ask_anew(fixture, true, backend, settings);

	if (a.outcome != b.outcome || a.http_status != b.http_status ||
	    strcmp(a.message, b.message) != 0)
		fail_msg("%s: %s %u \"%s\", but to libcurl %s %u \"%s\": %.*s",
		         name, health_outcome_name(a.outcome), a.http_status,
		         a.message, health_outcome_name(b.outcome),
		         b.http_status, b.message, (int) answer_length,
		         answer_text);
}

static struct settings picky_settings(void)
{
	struct settings settings = some_settings();

	settings.max_body = 6; /* some bodies are longer */
	settings.connect_timeout_ms = settings.read_timeout_ms = 2000;
	return settings;
}

static void expect_same_for(struct fixture *fixture,
                            const struct answer *answers, size_t count)
{
	static const char *const methods[] = { "GET", "HEAD", "OPTIONS" };
	struct settings settings = picky_settings();
	struct backend backend;
	size_t i, m;

	backend_start(&backend, "127.0.0.1", say_answer, "");
	for (i = 0; i < count; i++) {
		backend_rest(&backend);
		set_answer(answers[i].text, answers[i].size);
		for (m = 0; m < ARRAY_SIZE(methods); m++) {
			settings.method = methods[m];
			expect_same(fixture, answers[i].name, &backend,
			            &settings);
		}
	}
	backend_stop(&backend);
}

static void test_answers(void **state)
{
	expect_same_for(*state, plain_answers, ARRAY_SIZE(plain_answers));
	expect_same_for(*state, odd_answers, ARRAY_SIZE(odd_answers));
}

static void test_broken_answers(void **state)
{
	struct settings settings = picky_settings();
	struct backend backend;
	const struct answer *answer;
	unsigned seed = 1, i;
	size_t size;

	backend_start(&backend, "127.0.0.1", say_answer, "");
	for (i = 0; i < 20 * ARRAY_SIZE(plain_answers); i++) {
		answer = &plain_answers[i % ARRAY_SIZE(plain_answers)];
		size = answer->size;
		backend_rest(&backend);
		set_answer(answer->text, size);
		answer_length =
			mutate(answer_text, size, sizeof(answer_text), &seed);
		expect_same(*state, answer->name, &backend, &settings);
	}
	backend_stop(&backend);
}

/* --- left to libcurl ------------------------------------------------------ */

static void test_odd_hosts_are_remembered(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = picky_settings();
	struct backend backend;
	unsigned i;

	set_answer(CHUNKED "0\r\nA: b\r\n\r\n", strlen(CHUNKED) + 11);
	backend_start(&backend, "127.0.0.1", say_answer, "");
	for (i = 0; i < 3; i++) {
		assert_int_equal(
			probe_once(fixture, &backend.address, &settings)
				.outcome,
			HEALTH_L7OK);
		assert_int_equal(backend.accepted, 2 + i);
	}
	backend_stop(&backend);
}

static void odd_and_silent(struct backend *backend, int fd)
{
	if (backend->accepted == 1)
		say_answer(backend, fd);
	else
		backend_wait_for_end(fd);
}

static void test_libcurl_has_the_time_that_is_left(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = some_settings();
	struct probe_result result;
	struct backend backend;
	uint64_t begin_us = monotonic_us();

	set_answer("odd\r\n", 5);
	backend_start(&backend, "127.0.0.1", odd_and_silent, "");
	result = probe_once(fixture, &backend.address, &settings);
	backend_stop(&backend);
	assert_int_equal(result.outcome, HEALTH_L7TOUT);
	assert_string_equal(result.message, "no complete answer within 300 ms");
	assert_int_equal(backend.accepted, 2);
	assert_true(monotonic_us() - begin_us >= 300 * USEC_PER_MSEC);
}

static void test_a_kept_connection_may_turn_odd(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = picky_settings();
	struct probe_line line = { 0 };
	struct backend backend;
	unsigned i;

	settings.keepalive = true;
	fixture->line = &line;
	set_answer(OK_ANSWER, strlen(OK_ANSWER));
	backend_start(&backend, "127.0.0.1", say_answer, "");
	for (i = 0; i < 4; i++) {
		if (i == 1)
			set_answer(CHUNKED "0\r\nA: b\r\n\r\n",
			           strlen(CHUNKED) + 11);
		assert_int_equal(
			probe_once(fixture, &backend.address, &settings)
				.outcome,
			HEALTH_L7OK);
	}
	probe_line_clear(&line);
	backend_stop(&backend);
}

/* --- connections ---------------------------------------------------------- */

static void test_nothing_stays_open(void **state)
{
	static const char *const addresses[] = {
		"127.0.0.1", "[::1]", "unix:/tmp/checkerd-test-direct.sock"
	};
	struct fixture *fixture = *state;
	struct settings settings = picky_settings();
	struct probe_line line = { 0 };
	struct backend backend;
	struct seen seen;
	unsigned fds, i;

	set_answer(OK_ANSWER, strlen(OK_ANSWER));
	for (i = 0; i < 2 * ARRAY_SIZE(addresses); i++) {
		settings.keepalive = i % 2 == 1;
		fixture->line = &line;
		fds = open_fds();
		backend_start(&backend, addresses[i / 2], say_answer, "");
		assert_int_equal(
			probe_once(fixture, &backend.address, &settings)
				.outcome,
			HEALTH_L7OK);
		probe_cancel(
			start(fixture, &backend.address, &settings, &seen));
		probe_line_clear(&line);
		backend_stop(&backend); /* waits for the connections' end */
		assert_int_equal(open_fds(), fds);
	}
}

static unsigned answers_said;

static void script_talkative(struct backend *backend, int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	backend_hear(backend, fd);
	backend_say(fd, OK_ANSWER, strlen(OK_ANSWER));
	backend_say(fd, OK_ANSWER, strlen(OK_ANSWER));
	__atomic_add_fetch(&answers_said, 2, __ATOMIC_SEQ_CST);
	backend_wait_for_end(fd);
}

/* What was said before it was asked is no answer. */
static void test_an_answer_too_many_ends_a_connection(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = picky_settings();
	struct probe_line line = { 0 };
	struct backend backend;
	unsigned i;

	settings.keepalive = true;
	fixture->line = &line;
	backend_start(&backend, "127.0.0.1", script_talkative, "");
	for (i = 1; i <= 3; i++) {
		assert_int_equal(
			probe_once(fixture, &backend.address, &settings)
				.outcome,
			HEALTH_L7OK);
		while (__atomic_load_n(&answers_said, __ATOMIC_SEQ_CST) < 2 * i)
			run_for(fixture, USEC_PER_MSEC);
		assert_int_equal(curl_loop_turn(fixture->loop), 0);
		assert_int_equal(backend.accepted, i);
	}
	probe_line_clear(&line);
	backend_stop(&backend);
}

static bool judged; /* the first answer was */

static void script_afterthought(struct backend *backend, int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	backend_hear(backend, fd);
	backend_say(fd, OK_ANSWER, strlen(OK_ANSWER));
	while (!__atomic_load_n(&judged, __ATOMIC_SEQ_CST))
		usleep(1000);
	backend_say(fd, OK_ANSWER, strlen(OK_ANSWER));
	__atomic_add_fetch(&answers_said, 1, __ATOMIC_SEQ_CST);
	backend_wait_for_end(fd);
}

/* Nor is what comes over a connection that is only kept. */
static void test_an_afterthought_ends_a_connection(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = picky_settings();
	struct probe_line line = { 0 };
	struct backend backend;
	unsigned i;

	settings.keepalive = true;
	fixture->line = &line;
	answers_said = 0;
	backend_start(&backend, "127.0.0.1", script_afterthought, "");
	for (i = 1; i <= 3; i++) {
		__atomic_store_n(&judged, false, __ATOMIC_SEQ_CST);
		assert_int_equal(
			probe_once(fixture, &backend.address, &settings)
				.outcome,
			HEALTH_L7OK);
		assert_int_equal(backend.accepted, i);
		__atomic_store_n(&judged, true, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&answers_said, __ATOMIC_SEQ_CST) < i)
			run_for(fixture, USEC_PER_MSEC);
		assert_int_equal(curl_loop_turn(fixture->loop), 0);
	}
	probe_line_clear(&line);
	backend_stop(&backend);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_answers),
		TEST(test_broken_answers),
		TEST(test_odd_hosts_are_remembered),
		TEST(test_libcurl_has_the_time_that_is_left),
		TEST(test_a_kept_connection_may_turn_odd),
		TEST(test_nothing_stays_open),
		TEST(test_an_answer_too_many_ends_a_connection),
		TEST(test_an_afterthought_ends_a_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
