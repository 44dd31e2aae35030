/* SPDX-License-Identifier: BSD-2-Clause */
#include "once.h"

#include "config.h"
#include "curl_loop.h"
#include "probe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct line {
	struct once *once;
	const struct pool_config *pool;
	const struct host_config *host;
	struct probe *probe;
	struct probe_result result;
};

struct once {
	sd_event *event;
	struct prober *prober;
	struct line *lines;
	uint32_t count;
	uint32_t started;
	uint32_t done;
	uint32_t max_concurrent;
};

static void start_some(struct once *once);

static void on_done(void *owner, const struct probe *probe)
{
	struct line *line = owner;
	struct once *once = line->once;

	probe_judge(probe, line->host->settings, &line->result);
	once->done++;
	start_some(once);
}

static void start_some(struct once *once)
{
	while (once->started < once->count &&
	       once->started - once->done < once->max_concurrent) {
		struct line *line = &once->lines[once->started++];
		int r = probe_start(once->prober, NULL, line->host->address,
		                    line->host->settings, NULL, on_done, line,
		                    &line->probe);

		if (r < 0) {
			line->result.outcome = HEALTH_INCONCL;
			snprintf(line->result.message,
			         sizeof(line->result.message), "%s",
			         strerror(-r));
			once->done++;
		}
	}
	if (once->done == once->count)
		sd_event_exit(once->event, 0);
}

static int print(const struct once *once)
{
	int failed = 0;

	printf("%-32s %-24s %-8s %10s  %s\n", "HOST", "ADDRESS", "OUTCOME",
	       "TIME", "WHY");
	for (uint32_t i = 0; i < once->count; i++) {
		const struct line *line = &once->lines[i];
		char name[CONFIG_POOL_NAME_MAX + CONFIG_HOST_ID_MAX + 2];
		char address[ADDRESS_TEXT_SIZE], total[32];

		snprintf(name, sizeof(name), "%s/%s", line->pool->name,
		         line->host->id);
		snprintf(total, sizeof(total), "%.1f ms",
		         line->result.total_us / 1000.0);
		printf("%-32s %-24s %-8s %10s  %s\n", name,
		       address_text(line->host->address, address),
		       health_outcome_name(line->result.outcome), total,
		       line->result.message);
		failed += health_outcome_class(line->result.outcome) !=
		          HEALTH_CLASS_PASS;
	}
	return failed;
}

int once_run(struct config *config)
{
	struct once once = { .count = config->host_count,
		             .max_concurrent = config->max_concurrent };
	struct curl_loop *loop = NULL;
	struct line *line;
	int r;

	line = once.lines = calloc(once.count + 1, sizeof(*once.lines));
	if (!line)
		return -ENOMEM;
	for (uint32_t p = 0; p < config->pool_count; p++)
		for (uint32_t h = 0; h < config->pools[p].host_count; h++)
			*line++ = (struct line) {
				.once = &once,
				.pool = &config->pools[p],
				.host = &config->pools[p].hosts[h],
			};
	r = sd_event_new(&once.event);
	if (r >= 0)
		r = curl_loop_new(&loop, once.event);
	if (r >= 0)
		r = prober_new(&once.prober, loop);
	if (r >= 0) {
		start_some(&once);
		r = sd_event_loop(once.event);
	}
	if (r >= 0)
		r = print(&once);
	prober_free(once.prober);
	curl_loop_free(loop);
	sd_event_unref(once.event);
	free(once.lines);
	return r;
}
