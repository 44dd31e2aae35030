/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A prober on an event loop of the test's own, and one probe after the other.
 */
#ifndef CHECKERD_TESTS_FIXTURE_PROBE_H
#define CHECKERD_TESTS_FIXTURE_PROBE_H

#include "unit.h"

#include "clock.h"
#include "curl_loop.h"
#include "probe.h"

#include "fixture_backend.h"

#include <dirent.h>
#include <string.h>

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static const char *const no_headers[] = { NULL };

static inline struct settings some_settings(void)
{
	struct settings settings = {
		.check = CHECK_HTTP,
		.http_version = HTTP_1_1,
		.method = "GET",
		.path = "/",
		.http_host = "",
		.headers = no_headers,
		.body = "",
		.user_agent = "checkerd/test",
		.connect_timeout_ms = 150,
		.read_timeout_ms = 150,
		.grpc_service = "",
		.sni = "",
		.tls_verify = true,
		.tls_ca = CONFIG_SYSTEM_CA,
		.tls_cert = "",
		.tls_key = "",
		.max_body = 256 * 1024,
		.interval_ms = 1000,
	};
	const char *at;

	if (status_mask_parse(&settings.pass_status, "200-399", &at) < 0)
		abort();
	return settings;
}

/* --- the loop of each test ------------------------------------------------- */

struct fixture {
	sd_event *event;
	struct curl_loop *loop;
	struct prober *prober;
	struct probe_line *line; /* that probes are started with, or NULL */
};

struct seen {
	const struct settings *settings;
	struct probe_result result;
	unsigned calls;
};

static inline int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (sd_event_new(&fixture->event) < 0 ||
	    curl_loop_new(&fixture->loop, fixture->event) < 0 ||
	    prober_new(&fixture->prober, fixture->loop) < 0)
		return -1;
	*state = fixture;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *fixture = *state;

	prober_free(fixture->prober);
	curl_loop_free(fixture->loop);
	sd_event_unref(fixture->event);
	free(fixture);
	return 0;
}

static inline void on_seen(void *owner, const struct probe *probe)
{
	struct seen *seen = owner;

	probe_judge(probe, seen->settings, &seen->result);
	seen->calls++;
}

static inline struct probe *start(struct fixture *fixture,
                           const struct address *address,
                           const struct settings *settings, struct seen *seen)
{
	struct probe *probe = NULL;

	memset(seen, 0, sizeof(*seen));
	seen->settings = settings;
	assert_int_equal(probe_start(fixture->prober, fixture->line, address,
	                             settings, NULL, on_seen, seen, &probe),
	                 0);
	assert_int_equal(seen->calls, 0);
	return probe;
}

static inline void run_until(struct fixture *fixture, const unsigned *calls,
                      unsigned wanted)
{
	uint64_t end_us = monotonic_us() + 20 * USEC_PER_SEC;

	while (*calls < wanted) {
		assert_true(monotonic_us() < end_us);
		assert_true(sd_event_run(fixture->event, USEC_PER_SEC) >= 0);
	}
}

static inline void run_for(struct fixture *fixture, uint64_t duration_us)
{
	uint64_t end_us = monotonic_us() + duration_us, now_us;

	while ((now_us = monotonic_us()) < end_us)
		assert_true(sd_event_run(fixture->event, end_us - now_us) >= 0);
}

static inline struct probe_result probe_once(struct fixture *fixture,
                                      const struct address *address,
                                      const struct settings *settings)
{
	struct seen seen;

	start(fixture, address, settings, &seen);
	run_until(fixture, &seen.calls, 1);
	return seen.result;
}

static inline unsigned open_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(directory) != NULL)
		count++;
	closedir(directory);
	return count;
}

#endif
