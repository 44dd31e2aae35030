/* SPDX-License-Identifier: BSD-2-Clause
 *
 * GET /metrics: where the value of each metric comes from.
 *
 * A metric's samples stand together, so the hosts are walked once for each of
 * theirs: a little at a time, as every long document is written.  Values of
 * one page may therefore be some milliseconds apart.
 */
#include "api_private.h"

#include "clock.h"
#include "counts.h"
#include "metric.h"
#include "notify.h"
#include "report_receiver.h"
#include "util.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* What a sample is about. */
struct spot {
	struct api *api;
	const struct health_shm *shm;
	FILE *out;
	enum metric_id id;
	uint32_t index;              /* of the pool or the host */
	struct metric_values values; /* the last may be the writer's to fill */
};

static struct health_text text_of(const char *text)
{
	return (struct health_text) { text, strlen(text) };
}

static double seconds(uint64_t us)
{
	return (double) us / USEC_PER_SEC;
}

/* --- checkerd itself ---------------------------------------------------- */

static void write_build_info(struct spot *spot)
{
	spot->values.text[0] = text_of(CHECKERD_VERSION);
	metric_sample(spot->out, spot->id, &spot->values, 1);
}

static double start_time(const struct spot *spot)
{
	return seconds(spot->shm->header->started_at_us);
}

static double generation(const struct spot *spot)
{
	return (double) (health_shm_generation(spot->shm) & ~HEALTH_SUPERSEDED);
}

static double heartbeat_age(const struct spot *spot)
{
	return seconds(monotonic_us() - spot->shm->header->heartbeat_mono_us);
}

static double loop_lag(const struct spot *spot)
{
	return seconds(spot->shm->header->stats_loop_lag_us);
}

static double loop_held_up(const struct spot *spot)
{
	return seconds(rounds_held_up_us(spot->api->rounds));
}

static void write_lateness(struct spot *spot)
{
	metric_histogram(spot->out, spot->id, &spot->values,
	                 rounds_lateness(spot->api->rounds));
}

static double probes_started(const struct spot *spot)
{
	return (double) spot->shm->header->stats_probes;
}

static double inconclusive(const struct spot *spot)
{
	return (double) spot->shm->header->stats_inconclusive;
}

static double reports_refused(const struct spot *spot)
{
	const struct report_receiver *reports = spot->api->reports;

	return reports ? (double) report_receiver_refused(reports) : 0;
}

static void write_notify(struct spot *spot)
{
	static const char *const receivers[NOTIFY_RECEIVERS] = {
		[NOTIFY_EXEC] = "exec",
		[NOTIFY_WEBHOOK] = "webhook",
	};

	for (enum notify_receiver i = 0; i < NOTIFY_RECEIVERS; i++) {
		struct notify_counters counters =
			notify_counters(spot->api->notify, i);
		const uint64_t counts[METRIC_COUNT] = {
			[METRIC_NOTIFY_WAITING] = counters.waiting,
			[METRIC_NOTIFY_DELIVERED] = counters.delivered,
			[METRIC_NOTIFY_FAILED] = counters.failed,
			[METRIC_NOTIFY_RETRIED] = counters.retried,
			[METRIC_NOTIFY_DROPPED] = counters.dropped,
		};

		spot->values.text[0] = text_of(receivers[i]);
		metric_sample(spot->out, spot->id, &spot->values,
		              (double) counts[spot->id]);
	}
}

/* --- pools -------------------------------------------------------------- */

static double pool_hosts(const struct spot *spot)
{
	return spot->shm->pools[spot->index].host_count;
}

static double pool_hosts_up(const struct spot *spot)
{
	return health_pool_word_up(
		health_shm_pool_word(spot->shm, spot->index));
}

static double pool_panic(const struct spot *spot)
{
	uint64_t word = health_shm_pool_word(spot->shm, spot->index);

	return (word & HEALTH_POOL_PANIC) != 0;
}

static const struct pool_counts *counts_of(const struct spot *spot)
{
	return rounds_pool_counts(spot->api->rounds, spot->index);
}

static void write_probes(struct spot *spot)
{
	for (enum health_outcome i = 0; i < HEALTH_OUTCOME_COUNT; i++) {
		if (!counts_is_of_probes(i))
			continue;
		spot->values.text[2] = text_of(health_outcome_name(i));
		metric_sample(spot->out, spot->id, &spot->values,
		              (double) counts_of(spot)->outcomes[i]);
	}
}

static void write_probe_duration(struct spot *spot)
{
	metric_histogram(spot->out, spot->id, &spot->values,
	                 &counts_of(spot)->durations);
}

static void write_transitions(struct spot *spot)
{
	static const struct {
		enum health_event_kind kind;
		const char *to;
	} kinds[] = {
		{ HEALTH_HOST_UP, "up" },
		{ HEALTH_HOST_DOWN, "down" },
		{ HEALTH_HOST_DRAIN, "drain" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		spot->values.text[2] = text_of(kinds[i].to);
		metric_sample(spot->out, spot->id, &spot->values,
		              (double) counts_of(spot)->events[kinds[i].kind]);
	}
}

/* --- hosts -------------------------------------------------------------- */

static uint64_t word_of(const struct spot *spot)
{
	return health_shm_word(spot->shm, spot->index);
}

static double host_up(const struct spot *spot)
{
	return health_word_state(word_of(spot)) == HEALTH_STATE_UP;
}

static double host_state(const struct spot *spot)
{
	return health_word_state(word_of(spot));
}

static double host_ordered(const struct spot *spot)
{
	uint64_t word = word_of(spot);
	unsigned agent = health_word_agent(word);

	return health_word_admin(word) != HEALTH_AUTO ||
	       agent == HEALTH_AGENT_DRAIN || agent == HEALTH_AGENT_MAINT;
}

static double host_failcount(const struct spot *spot)
{
	return health_word_failcount(word_of(spot));
}

static double host_weight(const struct spot *spot)
{
	return (double) health_word_weight(word_of(spot)) / HEALTH_WEIGHT_UNIT;
}

static double cert_expiry(const struct spot *spot)
{
	uint64_t at_us = segment_writer_detail(spot->api->writer, spot->index)
	                         ->cert_expires_at_us;

	return at_us ? seconds(at_us) : NAN;
}

/* --- all of them -------------------------------------------------------- */

enum scope { ONCE, PER_POOL, PER_HOST };

static const struct source {
	enum scope scope;
	double (*value)(const struct spot *spot); /* NAN: there is none */
	void (*write)(struct spot *spot);         /* instead: several samples */
} sources[METRIC_COUNT] = {
	[METRIC_BUILD_INFO] = { ONCE, .write = write_build_info },
	[METRIC_START_TIME] = { ONCE, start_time },
	[METRIC_GENERATION] = { ONCE, generation },
	[METRIC_HEARTBEAT_AGE] = { ONCE, heartbeat_age },
	[METRIC_LOOP_LAG] = { ONCE, loop_lag },
	[METRIC_LOOP_HELD_UP] = { ONCE, loop_held_up },
	[METRIC_LATENESS] = { ONCE, .write = write_lateness },
	[METRIC_PROBES_STARTED] = { ONCE, probes_started },
	[METRIC_INCONCLUSIVE] = { ONCE, inconclusive },
	[METRIC_REPORTS_REFUSED] = { ONCE, reports_refused },
	[METRIC_NOTIFY_WAITING] = { ONCE, .write = write_notify },
	[METRIC_NOTIFY_DELIVERED] = { ONCE, .write = write_notify },
	[METRIC_NOTIFY_FAILED] = { ONCE, .write = write_notify },
	[METRIC_NOTIFY_RETRIED] = { ONCE, .write = write_notify },
	[METRIC_NOTIFY_DROPPED] = { ONCE, .write = write_notify },
	[METRIC_POOL_HOSTS] = { PER_POOL, pool_hosts },
	[METRIC_POOL_HOSTS_UP] = { PER_POOL, pool_hosts_up },
	[METRIC_POOL_PANIC] = { PER_POOL, pool_panic },
	[METRIC_PROBES] = { PER_POOL, .write = write_probes },
	[METRIC_PROBE_DURATION] = { PER_POOL, .write = write_probe_duration },
	[METRIC_TRANSITIONS] = { PER_POOL, .write = write_transitions },
	[METRIC_HOST_UP] = { PER_HOST, host_up },
	[METRIC_HOST_STATE] = { PER_HOST, host_state },
	[METRIC_HOST_ORDERED] = { PER_HOST, host_ordered },
	[METRIC_HOST_FAILCOUNT] = { PER_HOST, host_failcount },
	[METRIC_HOST_WEIGHT] = { PER_HOST, host_weight },
	[METRIC_CERT_EXPIRY] = { PER_HOST, cert_expiry },
};

static uint32_t extent(enum scope scope, const struct health_shm *shm)
{
	return scope == ONCE       ? 1
	       : scope == PER_POOL ? shm->pool_count
	                           : shm->host_count;
}

/* Labels that say where the sample belongs come first. */
static struct metric_values place_of(const struct spot *spot, enum scope scope)
{
	const struct health_shm *shm = spot->shm;
	struct metric_values values = { 0 };
	const struct health_pool *pool;

	if (scope == ONCE)
		return values;
	pool = &shm->pools[scope == PER_POOL ? spot->index
	                                     : shm->hosts[spot->index].pool];
	values.text[0] = health_shm_text(shm, pool->upstream);
	values.text[1] = health_shm_text(shm, pool->name);
	if (scope == PER_HOST)
		values.text[2] =
			health_shm_text(shm, shm->hosts[spot->index].id);
	return values;
}

static void write_samples(struct spot *spot)
{
	const struct source *source = &sources[spot->id];
	double value;

	spot->values = place_of(spot, source->scope);
	if (source->write) {
		source->write(spot);
		return;
	}
	value = source->value(spot);
	if (!isnan(value))
		metric_sample(spot->out, spot->id, &spot->values, value);
}

static int begin(struct document *document)
{
	document->at.metric.id = 0;
	document->at.metric.index = 0;
	metric_heading(document->out, 0);
	return 0;
}

static int step(struct document *document)
{
	struct spot spot = {
		.api = document->api,
		.shm = segment_writer_shm(document->api->writer),
		.out = document->out,
		.id = document->at.metric.id,
		.index = document->at.metric.index++,
	};

	if (spot.index < extent(sources[spot.id].scope, spot.shm)) {
		write_samples(&spot);
		return 1;
	}
	document->at.metric.index = 0;
	if (++document->at.metric.id == METRIC_COUNT)
		return ferror(document->out) ? -ENOMEM : 0;
	metric_heading(document->out, document->at.metric.id);
	return 1;
}

void api_get_metrics(struct api *api, struct http_request *request,
                     const struct path_arguments *arguments)
{
	static const struct document_kind kind = { METRICS_TYPE, begin, step };
	const struct document form = { .kind = &kind, .status = 200 };

	(void) arguments;
	api_document_send(api, request, &form);
}
