/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Places in a ring of 16 events.  Who is told is /bin/true, or a server of a
 * name that nobody answers for.
 */
#include "unit.h"

#include "clock.h"
#include "fixture_config.h"
#include "notify.h"
#include "segment_draft.h"
#include "segment_writer.h"
#include "topology.h"

#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <systemd/sd-event.h>

#define RING    16
#define KEPT    (RING - 1)
#define WAIT_US (20 * USEC_PER_SEC)

struct story {
	char directory[64];
	char path[96];
	struct segment_writer *writer;
	struct fixture_config fixture;
	struct config *config;
	sd_event *event;
	struct notify *notify;
	uint64_t turned_us;
	uint64_t longest_us; /* between two turns of the loop */
};

/* --- a resolver that does not answer ------------------------------------- */

static pthread_mutex_t asked = PTHREAD_MUTEX_INITIALIZER;

/* libcurl's, for this program: waits for as long as the mutex is held. */
int getaddrinfo(const char *name, const char *service,
                const struct addrinfo *hints, struct addrinfo **ret)
{
	(void) name;
	(void) service;
	(void) hints;
	*ret = NULL;
	pthread_mutex_lock(&asked);
	pthread_mutex_unlock(&asked);
	return EAI_AGAIN;
}

/* --- a segment and whom it is told to ------------------------------------ */

static void install(struct story *story, const char *pools)
{
	struct fixture_config fixture;
	struct segment_draft *draft;
	struct topology topology;

	assert_int_equal(topology_build(&topology,
	                                fixture_config(&fixture, pools), 64,
	                                RING),
	                 0);
	assert_int_equal(segment_draft_new(&draft, story->writer, &topology), 0);
	assert_int_equal(segment_writer_activate(story->writer, draft), 0);
	segment_draft_free(draft);
	topology_clear(&topology);
}

static const struct health_shm *shm_now(void *owner)
{
	struct story *story = owner;

	return segment_writer_shm(story->writer);
}

static void poke(void *owner)
{
	struct story *story = owner;

	notify_poke(story->notify);
}

static int on_tick(sd_event_source *source, uint64_t due_us, void *userdata)
{
	struct story *story = userdata;
	uint64_t now_us = monotonic_us();

	(void) due_us;
	if (now_us - story->turned_us > story->longest_us)
		story->longest_us = now_us - story->turned_us;
	story->turned_us = now_us;
	sd_event_source_set_time(source, now_us + 5 * USEC_PER_MSEC);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int setup(void **state)
{
	static const char *const no_headers[] = { NULL };
	struct story *story = calloc(1, sizeof(*story));
	pid_t holder;

	*state = story;
	strcpy(story->directory, "/tmp/checkerd-test-XXXXXX");
	assert_non_null(mkdtemp(story->directory));
	snprintf(story->path, sizeof(story->path), "%s/health.shm",
	         story->directory);
	assert_int_equal(segment_writer_new(&story->writer, story->path, 0644,
	                                    &holder),
	                 0);
	install(story, "one: a");
	story->config = fixture_config(&story->fixture, "one: a");
	story->config->references = 1;
	story->config->notify = (struct notify_config) {
		.exec = "",
		.exec_timeout_ms = 10000,
		.exec_max = 1,
		.webhook = "",
		.webhook_headers = no_headers,
		.webhook_ca = CONFIG_SYSTEM_CA,
		.webhook_timeout_ms = 100,
		.webhook_retry_ms = 60000,
	};
	assert_true(sd_event_new(&story->event) >= 0);
	assert_true(sd_event_add_time(story->event, NULL, CLOCK_MONOTONIC, 0,
	                              USEC_PER_MSEC, on_tick, story) >= 0);
	assert_true(notify_new(&story->notify, story->event, shm_now, story,
	                       0) >= 0);
	segment_writer_on_event(story->writer, poke, story);
	return 0;
}

static int teardown(void **state)
{
	struct story *story = *state;
	char command[128];

	notify_free(story->notify);
	segment_writer_free(story->writer);
	sd_event_unref(story->event);
	snprintf(command, sizeof(command), "rm -r %s", story->directory);
	assert_int_equal(system(command), 0);
	free(story);
	return 0;
}

static void publish(struct story *story, unsigned count)
{
	for (; count > 0; count--) {
		struct health_event event = { .at_us = realtime_us(),
			                      .kind = HEALTH_HOST_DOWN };

		segment_writer_publish(story->writer,
		                       &(struct segment_change) {
					       .host = HEALTH_ALL_HOSTS,
					       .event = &event });
	}
}

static void run(struct story *story, const char *command)
{
	story->config->notify.exec = command;
	notify_configure(story->notify, story->config);
}

/* Turns the loop until nobody waits for anything; returns how they fared. */
static struct notify_counters settle(struct story *story,
                                     enum notify_receiver which)
{
	uint64_t until_us = monotonic_us() + WAIT_US;

	/* what was just poked for comes first */
	for (int i = 0; i < 4; i++)
		sd_event_run(story->event, 0);
	while (notify_counters(story->notify, which).waiting > 0) {
		assert_true(monotonic_us() < until_us);
		assert_true(sd_event_run(story->event, USEC_PER_SEC) >= 0);
	}
	return notify_counters(story->notify, which);
}

/* --- stories ------------------------------------------------------------- */

static void each_event_is_told_once(void **state)
{
	struct story *story = *state;
	struct notify_counters counters;

	run(story, "/bin/true");
	publish(story, 5);
	counters = settle(story, NOTIFY_EXEC);
	assert_int_equal(counters.delivered, 5);
	publish(story, 1);
	counters = settle(story, NOTIFY_EXEC);
	assert_int_equal(counters.delivered, 6);
	assert_int_equal(counters.failed, 0);
	assert_int_equal(counters.dropped, 0);
}

static void a_failure_is_counted_as_such(void **state)
{
	struct story *story = *state;
	struct notify_counters counters;

	run(story, "/bin/false");
	publish(story, 2);
	assert_int_equal(settle(story, NOTIFY_EXEC).failed, 2);
	run(story, "/there/is/no such program");
	publish(story, 1);
	counters = settle(story, NOTIFY_EXEC);
	assert_int_equal(counters.delivered, 0);
	assert_int_equal(counters.failed, 3);
}

static void who_falls_behind_misses_the_oldest(void **state)
{
	struct story *story = *state;
	struct notify_counters counters;

	run(story, "/bin/true");
	publish(story, 100);
	assert_int_equal(notify_counters(story->notify, NOTIFY_EXEC).waiting,
	                 100);
	counters = settle(story, NOTIFY_EXEC);
	assert_int_equal(counters.delivered, KEPT);
	assert_int_equal(counters.dropped, 100 - KEPT);
}

static void places_carry_on_in_a_new_segment(void **state)
{
	struct story *story = *state;
	struct notify_counters counters;

	run(story, "/bin/true");
	publish(story, 3);
	install(story, "one: a b");
	publish(story, 2);
	counters = settle(story, NOTIFY_EXEC);
	assert_int_equal(counters.delivered, 5);
	install(story, "one: a");
	publish(story, 1);
	assert_int_equal(settle(story, NOTIFY_EXEC).delivered, 6);
}

static void who_comes_late_hears_of_what_follows(void **state)
{
	struct story *story = *state;

	run(story, "");
	publish(story, 3);
	assert_int_equal(settle(story, NOTIFY_EXEC).delivered, 0);
	run(story, "/bin/true");
	assert_int_equal(settle(story, NOTIFY_EXEC).delivered, 0);
	publish(story, 2);
	assert_int_equal(settle(story, NOTIFY_EXEC).delivered, 2);
}

static void as_many_run_at_a_time_as_may(void **state)
{
	struct story *story = *state;
	uint64_t began_us = monotonic_us();

	story->config->notify.exec_max = 10;
	run(story, "/bin/sleep 1");
	publish(story, 10);
	assert_int_equal(settle(story, NOTIFY_EXEC).delivered, 10);
	assert_in_range(monotonic_us() - began_us, USEC_PER_SEC,
	                9 * USEC_PER_SEC);
}

/* No descriptor is left, for a while. */
static void what_cannot_be_begun_is_begun_later(void **state)
{
	struct story *story = *state;
	struct notify_counters counters;
	struct rlimit before, none;
	int next = dup(STDIN_FILENO);

	run(story, "/bin/true");
	publish(story, 3);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t) next;
	close(next);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 20; i++)
		sd_event_run(story->event, 10 * USEC_PER_MSEC);
	counters = notify_counters(story->notify, NOTIFY_EXEC);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(counters.waiting, 3);
	assert_int_equal(counters.failed, 0);
	assert_int_equal(settle(story, NOTIFY_EXEC).delivered, 3);

	/* nor is it in the way of an end, or of another configuration */
	publish(story, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 20; i++)
		sd_event_run(story->event, 10 * USEC_PER_MSEC);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	run(story, "");
	assert_int_equal(settle(story, NOTIFY_EXEC).delivered, 3);
}

/* What looks old because the clock was set is posted again. */
static void a_clock_that_jumps_makes_no_event_old(void **state)
{
	struct story *story = *state;
	uint64_t until_us = monotonic_us() + WAIT_US;
	struct notify_counters counters;
	struct health_event event = {
		.at_us = realtime_us() - UINT64_C(40) * 86400 * USEC_PER_SEC,
		.kind = HEALTH_HOST_DOWN,
	};

	story->config->notify.webhook = "http://127.0.0.1:9/";
	run(story, "");
	segment_writer_publish(story->writer,
	                       &(struct segment_change) {
				       .host = HEALTH_ALL_HOSTS,
				       .event = &event });
	do {
		assert_true(monotonic_us() < until_us);
		sd_event_run(story->event, USEC_PER_SEC);
		counters = notify_counters(story->notify, NOTIFY_WEBHOOK);
	} while (counters.failed == 0);
	assert_int_equal(counters.dropped, 0);
	assert_int_equal(counters.waiting, 1);
}

/* The lookup outlasts the post by far, and the loop does not wait for it. */
static void a_slow_resolver_holds_nothing_up(void **state)
{
	struct story *story = *state;
	uint64_t until_us = monotonic_us() + WAIT_US;

	pthread_mutex_lock(&asked);
	story->config->notify.webhook = "http://hooks.test/";
	run(story, "");
	publish(story, 1);
	story->turned_us = monotonic_us();
	story->longest_us = 0;
	while (notify_counters(story->notify, NOTIFY_WEBHOOK).failed == 0) {
		assert_true(monotonic_us() < until_us);
		sd_event_run(story->event, USEC_PER_SEC);
	}
	notify_free(story->notify); /* and nor does this */
	story->notify = NULL;
	pthread_mutex_unlock(&asked);
	assert_in_range(story->longest_us, 1, 2 * USEC_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		STORY(each_event_is_told_once),
		STORY(a_failure_is_counted_as_such),
		STORY(who_falls_behind_misses_the_oldest),
		STORY(places_carry_on_in_a_new_segment),
		STORY(who_comes_late_hears_of_what_follows),
		STORY(as_many_run_at_a_time_as_may),
		STORY(what_cannot_be_begun_is_begun_later),
		STORY(a_clock_that_jumps_makes_no_event_old),
		STORY(a_slow_resolver_holds_nothing_up),
	};

	unsetenv("http_proxy");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
