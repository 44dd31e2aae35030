/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The loop itself: what wakes it, how often, and what it forgets.
 */
#include "unit.h"

#include "clock.h"
#include "curl_loop.h"

#include "fixture_backend.h"

#include <string.h>

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

struct fixture {
	sd_event *event;
	struct curl_loop *loop;
	struct backend backend;
	char url[64];
	unsigned wakes;
	uint64_t last_wake_us;
};

struct waiting {
	struct curl_transfer transfer; /* the first */
	unsigned calls;
	CURLcode code;
	int kept_fd;
};

static void on_wake(void *userdata, uint64_t now_us)
{
	struct fixture *fixture = userdata;

	assert_true(now_us >= fixture->last_wake_us);
	assert_true(now_us <= monotonic_us());
	fixture->last_wake_us = now_us;
	fixture->wakes++;
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (sd_event_new(&fixture->event) < 0 ||
	    curl_loop_new(&fixture->loop, fixture->event) < 0)
		return -1;
	curl_loop_set_wake(fixture->loop, on_wake, fixture);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	curl_loop_free(fixture->loop);
	sd_event_unref(fixture->event);
	free(fixture);
	return 0;
}

static void serve(struct fixture *fixture, backend_script script)
{
	backend_start(&fixture->backend, "127.0.0.1", script, OK_ANSWER);
	snprintf(fixture->url, sizeof(fixture->url), "http://127.0.0.1:%u/",
	         address_port(&fixture->backend.address));
}

static void on_done(struct curl_transfer *transfer, CURLcode code)
{
	struct waiting *waiting = (struct waiting *) transfer;

	waiting->calls++;
	waiting->code = code;
}

static size_t ignore(char *data, size_t one, size_t length, void *userdata)
{
	(void) data;
	(void) one;
	(void) userdata;
	return length;
}

static void prepare(struct fixture *fixture, struct waiting *waiting,
                    long timeout_ms)
{
	memset(waiting, 0, sizeof(*waiting));
	waiting->transfer.done = on_done;
	waiting->transfer.easy = curl_easy_init();
	curl_easy_setopt(waiting->transfer.easy, CURLOPT_URL, fixture->url);
	curl_easy_setopt(waiting->transfer.easy, CURLOPT_WRITEFUNCTION, ignore);
	curl_easy_setopt(waiting->transfer.easy, CURLOPT_TIMEOUT_MS,
	                 timeout_ms);
	curl_easy_setopt(waiting->transfer.easy, CURLOPT_FORBID_REUSE, 1L);
}

static void run_until_done(struct fixture *fixture,
                           const struct waiting *waiting)
{
	uint64_t end_us = monotonic_us() + 10 * USEC_PER_SEC;

	while (waiting->calls == 0) {
		assert_true(monotonic_us() < end_us);
		assert_true(sd_event_run(fixture->event, USEC_PER_SEC) >= 0);
	}
}

static void run_for(struct fixture *fixture, uint64_t duration_us)
{
	uint64_t end_us = monotonic_us() + duration_us, now_us;

	while ((now_us = monotonic_us()) < end_us)
		assert_true(sd_event_run(fixture->event, end_us - now_us) >= 0);
}

static void test_idle_loop_sleeps(void **state)
{
	struct fixture *fixture = *state;
	struct waiting waiting;

	serve(fixture, script_answer);
	run_for(fixture, 20000);
	assert_int_equal(fixture->wakes, 0);

	prepare(fixture, &waiting, 5000);
	assert_int_equal(curl_loop_add(fixture->loop, &waiting.transfer), 0);
	run_until_done(fixture, &waiting);
	assert_int_equal(waiting.code, CURLE_OK);
	fixture->wakes = 0;
	run_for(fixture, 30000);
	assert_int_equal(fixture->wakes, 0);
	curl_easy_cleanup(waiting.transfer.easy);
	backend_stop(&fixture->backend);
}

static void test_a_deadline_wakes_once(void **state)
{
	struct fixture *fixture = *state;
	struct waiting waiting;
	uint64_t start_us;

	serve(fixture, script_silent);
	prepare(fixture, &waiting, 60);
	start_us = monotonic_us();
	assert_int_equal(curl_loop_add(fixture->loop, &waiting.transfer), 0);
	run_until_done(fixture, &waiting);
	assert_int_equal(waiting.code, CURLE_OPERATION_TIMEDOUT);
	assert_in_range(monotonic_us() - start_us, 60000, 90000);
	/* to start, to send, for the deadline, with some to spare */
	assert_in_range(fixture->wakes, 1, 6);
	fixture->wakes = 0;
	run_for(fixture, 20000);
	assert_int_equal(fixture->wakes, 0);
	curl_easy_cleanup(waiting.transfer.easy);
	backend_stop(&fixture->backend);
}

/* Later deadlines must not put off an earlier one, nor arm it anew. */
static void test_the_earliest_deadline_counts(void **state)
{
	static const long timeouts_ms[] = { 400, 60, 200 };
	struct fixture *fixture = *state;
	struct waiting waiting[ARRAY_SIZE(timeouts_ms)];
	uint64_t start_us;
	size_t i;

	serve(fixture, script_silent);
	start_us = monotonic_us();
	for (i = 0; i < ARRAY_SIZE(waiting); i++) {
		prepare(fixture, &waiting[i], timeouts_ms[i]);
		assert_int_equal(curl_loop_add(fixture->loop,
		                               &waiting[i].transfer),
		                 0);
		run_for(fixture, 2000);
	}
	run_until_done(fixture, &waiting[1]);
	assert_in_range(monotonic_us() - start_us, 60000, 90000);
	assert_int_equal(waiting[0].calls + waiting[2].calls, 0);
	curl_loop_remove(fixture->loop, &waiting[0].transfer);
	run_until_done(fixture, &waiting[2]);
	assert_in_range(monotonic_us() - start_us, 200000, 240000);
	assert_int_equal(waiting[0].calls, 0);
	for (i = 0; i < ARRAY_SIZE(waiting); i++)
		curl_easy_cleanup(waiting[i].transfer.easy);
	backend_stop(&fixture->backend);
}

static void test_removed_is_silent(void **state)
{
	struct fixture *fixture = *state;
	struct waiting waiting;

	serve(fixture, script_answer);
	prepare(fixture, &waiting, 1000);
	assert_int_equal(curl_loop_add(fixture->loop, &waiting.transfer), 0);
	curl_loop_remove(fixture->loop, &waiting.transfer);
	curl_loop_remove(fixture->loop, &waiting.transfer);
	run_for(fixture, 20000);
	assert_int_equal(waiting.calls, 0);

	assert_int_equal(curl_loop_add(fixture->loop, &waiting.transfer), 0);
	run_until_done(fixture, &waiting);
	assert_int_equal(waiting.code, CURLE_OK);
	curl_easy_cleanup(waiting.transfer.easy);
	backend_stop(&fixture->backend);
}

static int keep_open(void *userdata, curl_socket_t fd)
{
	struct waiting *waiting = userdata;

	waiting->kept_fd = fd;
	return 0;
}

/* libcurl lets go of a socket that stays open, and the backend talks on. */
static void test_forgotten_socket_does_not_spin(void **state)
{
	struct fixture *fixture = *state;
	struct waiting waiting, next;
	struct pollfd end = { .events = POLLRDHUP };

	serve(fixture, script_answer_and_close);
	prepare(fixture, &waiting, 1000);
	curl_easy_setopt(waiting.transfer.easy, CURLOPT_CLOSESOCKETFUNCTION,
	                 keep_open);
	curl_easy_setopt(waiting.transfer.easy, CURLOPT_CLOSESOCKETDATA,
	                 &waiting);
	assert_int_equal(curl_loop_add(fixture->loop, &waiting.transfer), 0);
	run_until_done(fixture, &waiting);
	assert_true(waiting.kept_fd > 0);
	/* the end of the connection is there to be read, for ever */
	end.fd = waiting.kept_fd;
	assert_int_equal(poll(&end, 1, 5000), 1);
	fixture->wakes = 0;
	run_for(fixture, 20000);
	assert_in_range(fixture->wakes, 0, 2);

	close(waiting.kept_fd); /* its number is the next one's */
	prepare(fixture, &next, 1000);
	assert_int_equal(curl_loop_add(fixture->loop, &next.transfer), 0);
	run_until_done(fixture, &next);
	assert_int_equal(next.code, CURLE_OK);
	curl_easy_cleanup(waiting.transfer.easy);
	curl_easy_cleanup(next.transfer.easy);
	backend_stop(&fixture->backend);
}

/* Numbers of sockets are reused within turns, events of old ones pending. */
static void test_reused_numbers(void **state)
{
	struct fixture *fixture = *state;
	struct waiting waiting[50];
	unsigned round;
	size_t i;

	serve(fixture, script_answer_and_close);
	for (i = 0; i < ARRAY_SIZE(waiting); i++)
		prepare(fixture, &waiting[i], 5000);
	for (round = 0; round < 10; round++) {
		for (i = 0; i < ARRAY_SIZE(waiting); i++) {
			waiting[i].calls = 0;
			assert_int_equal(curl_loop_add(fixture->loop,
			                               &waiting[i].transfer),
			                 0);
		}
		run_until_done(fixture, &waiting[round]);
		for (i = 0; i < ARRAY_SIZE(waiting); i += 2)
			curl_loop_remove(fixture->loop, &waiting[i].transfer);
		for (i = 1; i < ARRAY_SIZE(waiting); i += 2) {
			run_until_done(fixture, &waiting[i]);
			assert_int_equal(waiting[i].calls, 1);
			assert_int_equal(waiting[i].code, CURLE_OK);
		}
	}
	for (i = 0; i < ARRAY_SIZE(waiting); i++)
		curl_easy_cleanup(waiting[i].transfer.easy);
	backend_stop(&fixture->backend);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_idle_loop_sleeps),
		TEST(test_a_deadline_wakes_once),
		TEST(test_the_earliest_deadline_counts),
		TEST(test_removed_is_silent),
		TEST(test_forgotten_socket_does_not_spin),
		TEST(test_reused_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
