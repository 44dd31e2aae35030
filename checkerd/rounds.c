/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Ownership: a fleet belongs to the rounds; a flight (one probe under way)
 * belongs to the rounds too and is known to its host.  A flight holds a
 * reference to the configuration it was started with, so that a reload may
 * replace the fleet under it: the flight is then handed to the new host.
 *
 * Everything that changes a host goes through judge(): there the old word
 * meets the new one, and only there events are made.
 */
#include "rounds.h"

#include "clock.h"
#include "config.h"
#include "curl_loop.h"
#include "fleet.h"
#include "lag.h"
#include "log.h"
#include "message_ids.h"
#include "probe.h"
#include "segment_writer.h"
#include "topology.h"
#include "transition.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Probes due within so short a time of each other start together. */
#define SLACK_US UINT64_C(1000)

#define COMPLAIN_EVERY_US (10 * USEC_PER_SEC)

struct flight {
	struct rounds *rounds;
	struct host *host;
	struct probe *probe;
	struct config *config; /* a reference */
	const struct settings *settings; /* of `config` */
	uint64_t started_us;
	uint32_t lateness_us;
};

struct rounds {
	struct segment_writer *writer;
	struct curl_loop *loop;
	struct prober *prober;
	sd_event_source *timer;
	uint64_t timer_us;
	struct fleet *fleet; /* NULL before the first install */
	struct schedule schedule;
	struct lag lag;
	uint32_t in_flight;
	struct {
		uint64_t count; /* inconclusive since last said */
		uint64_t said_us;
		char why[HEALTH_MESSAGE_SIZE];
	} complaint;
};

static void start_due(struct rounds *rounds);

/* --- telling --------------------------------------------------------------- */

static void log_event(const struct health_event *event, const char *why)
{
	static const struct {
		int level;
		const char *message_id;
	} kinds[HEALTH_EVENT_KIND_COUNT] = {
		[HEALTH_HOST_UP] = { LOG_NOTICE, MESSAGE_HOST_UP },
		[HEALTH_HOST_DOWN] = { LOG_WARNING, MESSAGE_HOST_DOWN },
		[HEALTH_HOST_DRAIN] = { LOG_NOTICE, MESSAGE_HOST_DRAIN },
		[HEALTH_PANIC_ON] = { LOG_WARNING, MESSAGE_PANIC_ON },
		[HEALTH_PANIC_OFF] = { LOG_NOTICE, MESSAGE_PANIC_OFF },
	};
	char seq[24], status[8], failcount[12];
	const struct log_field fields[] = {
		{ "CHECKERD_SEQ", seq },
		{ "CHECKERD_EVENT", health_event_name(event->kind) },
		{ "CHECKERD_UPSTREAM", event->upstream },
		{ "CHECKERD_POOL", event->pool },
		{ "CHECKERD_HOST", event->host_id },
		{ "CHECKERD_ADDRESS", event->address },
		{ "CHECKERD_FROM", health_state_name(event->from) },
		{ "CHECKERD_TO", health_state_name(event->to) },
		{ "CHECKERD_OUTCOME", health_outcome_name(event->outcome) },
		{ "CHECKERD_HTTP_STATUS", status },
		{ "CHECKERD_FAILCOUNT", failcount },
	};

	snprintf(seq, sizeof(seq), "%" PRIu64, event->lock / 2);
	snprintf(status, sizeof(status), "%u", event->http_status);
	snprintf(failcount, sizeof(failcount), "%" PRIu32, event->failcount);
	if (event->host_id[0])
		log_fields(kinds[event->kind].level,
		           kinds[event->kind].message_id, fields,
		           ARRAY_SIZE(fields),
		           "%s: host %s/%s (%s) goes from %s to %s: %s, %s",
		           health_event_name(event->kind), event->pool,
		           event->host_id, event->address,
		           health_state_name(event->from),
		           health_state_name(event->to),
		           health_outcome_name(event->outcome), why);
	else
		log_fields(kinds[event->kind].level,
		           kinds[event->kind].message_id, fields,
		           ARRAY_SIZE(fields), "%s: pool %s: %s",
		           health_event_name(event->kind), event->pool, why);
}

static void copy_name(char to[HEALTH_NAME_SIZE], const char *from)
{
	snprintf(to, HEALTH_NAME_SIZE, "%s", from);
}

static void describe(struct health_event *event, enum health_event_kind kind,
                     const struct pool_config *pool)
{
	*event = (struct health_event) { .at_us = realtime_us(),
		                         .kind = (uint16_t) kind };
	copy_name(event->pool, pool->name);
	copy_name(event->upstream, pool->upstream);
}

static void publish_event(struct rounds *rounds,
                          const struct segment_change *change, const char *why)
{
	change->event->lock = 2 * segment_writer_publish(rounds->writer, change);
	log_event(change->event, why);
}

/* Makes the segment say what the fleet holds of `host`; `before` is the word
 * that held until now. */
static void publish_host(struct rounds *rounds, const struct host *host,
                         uint64_t before, enum health_outcome outcome,
                         uint16_t http_status, const char *why)
{
	uint64_t after = fleet_word(rounds->fleet, host);
	enum health_event_kind kind = transition_kind(before, after);
	struct segment_change change = {
		.host = host->index,
		.word = after,
		.pool_word = fleet_pool_word(rounds->fleet, host->pool),
	};
	struct health_event event;

	if (!kind) {
		segment_writer_publish(rounds->writer, &change);
		return;
	}
	describe(&event, kind, rounds->fleet->pools[host->pool].config);
	copy_name(event.host_id, host->config->id);
	address_text(&host->config->address, event.address);
	event.outcome = (uint16_t) outcome;
	event.from = (uint8_t) health_word_state(before);
	event.to = (uint8_t) health_word_state(after);
	event.http_status = http_status;
	event.failcount = host->verdict.failcount;
	change.event = &event;
	publish_event(rounds, &change, why);
	segment_writer_edit(rounds->writer, host->index)->changed_at_us =
	        event.at_us;
	segment_writer_commit(rounds->writer);
}

/* A pool's panic began or ended: first the news, then all its hosts. */
static void publish_panic(struct rounds *rounds, const struct pool *pool)
{
	struct health_event event;
	struct segment_change change = { .host = HEALTH_ALL_HOSTS,
		                         .event = &event };
	char why[128];

	describe(&event, pool->panic ? HEALTH_PANIC_ON : HEALTH_PANIC_OFF,
	         pool->config);
	snprintf(why, sizeof(why),
	         "%" PRIu32 " of %" PRIu32 " hosts fit, panic is below %u%%",
	         pool->fit, pool->eligible, pool->config->panic_percent);
	publish_event(rounds, &change, why);
	for (uint32_t i = 0; i < pool->config->host_count; i++) {
		const struct host *host = &pool->hosts[i];

		segment_writer_publish(
		        rounds->writer,
		        &(struct segment_change) {
		                .host = host->index,
		                .word = fleet_word(rounds->fleet, host),
		                .pool_word = fleet_pool_word(rounds->fleet,
		                                             host->pool) });
	}
}

static void judge(struct rounds *rounds, struct host *host,
                  struct verdict verdict, enum health_outcome outcome,
                  uint16_t http_status, const char *why)
{
	uint64_t before = fleet_word(rounds->fleet, host);
	bool panic = fleet_judge(rounds->fleet, host, verdict, outcome);

	publish_host(rounds, host, before, outcome, http_status, why);
	if (panic)
		publish_panic(rounds, &rounds->fleet->pools[host->pool]);
}

/* --- one probe --------------------------------------------------------------- */

static void flight_free(struct flight *flight)
{
	config_unref(flight->config);
	flight->rounds->in_flight--;
	if (flight->host)
		flight->host->flight = NULL;
	free(flight);
}

static void flight_cancel(struct flight *flight)
{
	if (!flight)
		return;
	probe_cancel(flight->probe);
	flight_free(flight);
}

/* A timeout while we ourselves were held up says nothing about the host. */
static void doubt(const struct rounds *rounds, const struct flight *flight,
                  struct probe_result *result)
{
	uint64_t deadline_us, overrun_us, lag_us;

	if (result->outcome != HEALTH_L4TOUT &&
	    result->outcome != HEALTH_L7TOUT)
		return;
	deadline_us = flight->settings->connect_timeout_ms * USEC_PER_MSEC;
	if (result->outcome == HEALTH_L7TOUT)
		deadline_us +=
		        flight->settings->read_timeout_ms * USEC_PER_MSEC;
	lag_us = lag_since(&rounds->lag, flight->started_us);
	overrun_us = monotonic_us() - flight->started_us;
	overrun_us -= overrun_us < deadline_us ? overrun_us : deadline_us;
	if (overrun_us > lag_us)
		lag_us = overrun_us;
	if (lag_us <= deadline_us / 2)
		return;
	result->outcome = HEALTH_INCONCL;
	snprintf(result->message, sizeof(result->message),
	         "timed out while checkerd was held up for %" PRIu64 " ms",
	         lag_us / USEC_PER_MSEC);
}

static void complain(struct rounds *rounds, const char *why)
{
	segment_writer_count_inconclusive(rounds->writer);
	rounds->complaint.count++;
	snprintf(rounds->complaint.why, sizeof(rounds->complaint.why), "%s",
	         why);
}

static void say_complaint(struct rounds *rounds, uint64_t now_us)
{
	char count[24];
	const struct log_field fields[] = { { "CHECKERD_COUNT", count } };

	if (!rounds->complaint.count ||
	    now_us - rounds->complaint.said_us < COMPLAIN_EVERY_US)
		return;
	snprintf(count, sizeof(count), "%" PRIu64, rounds->complaint.count);
	log_fields(LOG_WARNING, MESSAGE_INCONCLUSIVE, fields,
	           ARRAY_SIZE(fields),
	           "%s probes counted for nothing: %s", count,
	           rounds->complaint.why);
	rounds->complaint.count = 0;
	rounds->complaint.said_us = now_us;
}

static void remember(struct rounds *rounds, const struct host *host,
                     const struct probe_result *result, uint32_t lateness_us)
{
	enum health_outcome_class class = health_outcome_class(result->outcome);
	struct health_detail *detail =
	        segment_writer_edit(rounds->writer, host->index);

	detail->checked_at_us = realtime_us();
	detail->probes++;
	detail->failures += class == HEALTH_CLASS_FAIL;
	detail->inconclusive += class == HEALTH_CLASS_NEUTRAL;
	detail->passcount = host->verdict.passcount;
	detail->lateness_us = lateness_us;
	detail->history[detail->recorded++ % HEALTH_HISTORY] =
	        (struct health_record) {
			.at_us = detail->checked_at_us,
			.outcome = (uint16_t) result->outcome,
			.http_status = result->http_status,
			.dns_us = result->dns_us,
			.connect_us = result->connect_us,
			.tls_us = result->tls_us,
			.first_byte_us = result->first_byte_us,
			.total_us = result->total_us,
		};
	memcpy(detail->message, result->message, sizeof(detail->message));
	segment_writer_commit(rounds->writer);
}

static uint64_t interval_us(const struct host *host)
{
	const struct settings *settings = host->config->settings;
	uint32_t interval_ms = settings->interval_ms;

	if (verdict_undecided(host->verdict, settings->rise, settings->fall))
		interval_ms = settings->fast_interval_ms;
	else if (host->verdict.verdict == HEALTH_DOWN)
		interval_ms = settings->down_interval_ms;
	return interval_ms * USEC_PER_MSEC;
}

static void schedule_next(struct rounds *rounds, struct host *host,
                          uint64_t was_due_us, uint64_t now_us)
{
	uint64_t turn =
	        segment_writer_detail(rounds->writer, host->index)->probes;

	schedule_set(&rounds->schedule, &host->timer,
	             schedule_next_us(was_due_us, now_us, interval_us(host),
	                              host->config->settings->jitter_percent,
	                              host->index, turn));
}

static void finish(struct rounds *rounds, struct host *host,
                   const struct probe_result *result, uint64_t started_us,
                   uint32_t lateness_us)
{
	const struct settings *settings = host->config->settings;

	if (result->outcome == HEALTH_INCONCL)
		complain(rounds, result->message);
	else
		judge(rounds, host,
		      verdict_next(host->verdict,
		                   health_outcome_class(result->outcome),
		                   settings->rise, settings->fall),
		      result->outcome, result->http_status, result->message);
	remember(rounds, host, result, lateness_us);
	schedule_next(rounds, host, started_us - lateness_us, monotonic_us());
}

static void on_probe_done(void *owner, const struct probe_result *seen)
{
	struct flight *flight = owner;
	struct rounds *rounds = flight->rounds;
	struct host *host = flight->host;
	struct probe_result result = *seen;
	uint64_t started_us = flight->started_us;
	uint32_t lateness_us = flight->lateness_us;

	doubt(rounds, flight, &result);
	flight_free(flight);
	finish(rounds, host, &result, started_us, lateness_us);
	start_due(rounds);
}

static void start_probe(struct rounds *rounds, struct host *host,
                        uint64_t now_us)
{
	struct flight *flight = calloc(1, sizeof(*flight));
	uint64_t due_us = host->timer.due_us;
	uint64_t late_us = now_us > due_us ? now_us - due_us : 0;
	uint32_t lateness_us =
	        late_us > UINT32_MAX ? UINT32_MAX : (uint32_t) late_us;
	int r = flight ? 0 : -ENOMEM;

	schedule_remove(&rounds->schedule, &host->timer);
	segment_writer_count_probe(rounds->writer, late_us);
	if (flight) {
		rounds->in_flight++;
		*flight = (struct flight) {
			.rounds = rounds,
			.host = host,
			.config = config_ref(rounds->fleet->config),
			.settings = host->config->settings,
			.started_us = now_us,
			.lateness_us = lateness_us,
		};
		r = probe_start(rounds->prober, NULL, &host->config->address,
		                host->config->settings, on_probe_done, flight,
		                &flight->probe);
	}
	if (r < 0) {
		struct probe_result result = { .outcome = HEALTH_INCONCL };

		snprintf(result.message, sizeof(result.message),
		         "checkerd cannot probe: %s", strerror(-r));
		if (flight)
			flight_free(flight);
		finish(rounds, host, &result, now_us, lateness_us);
		return;
	}
	host->flight = flight;
}

/* --- the schedule --------------------------------------------------------- */

static struct host *host_of(struct schedule_entry *entry)
{
	return (struct host *) ((char *) entry - offsetof(struct host, timer));
}

static void arm(struct rounds *rounds)
{
	const struct schedule_entry *first = schedule_first(&rounds->schedule);

	/* whoever waits for a place in flight is started by on_probe_done() */
	if (!first || rounds->in_flight >= rounds->fleet->config->max_concurrent)
		return;
	if (rounds->timer_us && rounds->timer_us <= first->due_us)
		return;
	rounds->timer_us = first->due_us;
	sd_event_source_set_time(rounds->timer, first->due_us);
	sd_event_source_set_enabled(rounds->timer, SD_EVENT_ONESHOT);
}

static void start_due(struct rounds *rounds)
{
	uint64_t now_us = monotonic_us();
	struct schedule_entry *first;

	while (rounds->in_flight < rounds->fleet->config->max_concurrent &&
	       (first = schedule_first(&rounds->schedule)) &&
	       first->due_us <= now_us)
		start_probe(rounds, host_of(first), now_us);
	arm(rounds);
}

static int on_timer(sd_event_source *source, uint64_t due_us, void *userdata)
{
	struct rounds *rounds = userdata;

	(void) source;
	(void) due_us;
	rounds->timer_us = 0;
	start_due(rounds);
	return 0;
}

static void on_wake(void *userdata, uint64_t now_us)
{
	struct rounds *rounds = userdata;
	uint64_t lag_us = lag_wake(&rounds->lag, now_us);

	if (lag_us)
		segment_writer_count_lag(rounds->writer, lag_us);
}

void rounds_beat(struct rounds *rounds)
{
	uint64_t now_us = monotonic_us();

	on_wake(rounds, now_us);
	segment_writer_beat(rounds->writer, now_us);
	say_complaint(rounds, now_us);
}

/* --- a configuration comes into force --------------------------------------- */

static void show_settings(struct rounds *rounds, const struct host *host)
{
	const struct settings *settings = host->config->settings;
	struct health_detail *detail =
	        segment_writer_edit(rounds->writer, host->index);

	detail->interval_ms = settings->interval_ms;
	detail->timeout_ms =
	        settings->connect_timeout_ms + settings->read_timeout_ms;
	detail->weight = host->config->weight;
	detail->rise = settings->rise;
	detail->fall = settings->fall;
	detail->shared = 1;
	detail->passcount = host->verdict.passcount;
	snprintf(detail->check, sizeof(detail->check), "%s",
	         config_check_name(settings->check));
	if (!detail->changed_at_us)
		detail->changed_at_us = realtime_us();
	segment_writer_commit(rounds->writer);
}

/* What the segment remembers becomes the new fleet's state. */
static void recall(struct rounds *rounds, struct fleet *fleet)
{
	const struct health_shm *shm = segment_writer_shm(rounds->writer);

	for (uint32_t i = 0; i < fleet->host_count; i++) {
		uint64_t word = health_shm_word(shm, i);

		if (word)
			fleet_recall(fleet, &fleet->hosts[i], word,
			             segment_writer_detail(rounds->writer, i)
			                     ->passcount);
	}
}

static bool same_check(const struct host *a, const struct host *b)
{
	return address_equal(&a->config->address, &b->config->address) &&
	       config_settings_equal(a->config->settings, b->config->settings);
}

/* The first probe of a host that this process has not probed yet. */
static uint64_t first_due_us(const struct rounds *rounds,
                             const struct host *host, uint64_t now_us)
{
	uint64_t checked_at_us =
	        segment_writer_detail(rounds->writer, host->index)
	                ->checked_at_us;
	uint64_t real_us = realtime_us();
	uint64_t every_us = interval_us(host);

	/* the schedule of the process before goes on */
	if (checked_at_us && checked_at_us <= real_us &&
	    real_us - checked_at_us < every_us)
		return now_us + every_us - (real_us - checked_at_us);
	return now_us + schedule_phase_us(host->index, every_us);
}

/* Hosts that stay keep their place in the schedule and the probe that is under
 * way, unless their check changed: then the streak starts over. */
static void hand_over(struct rounds *rounds, struct fleet *old,
                      struct fleet *fleet)
{
	for (uint32_t i = 0; i < old->host_count; i++) {
		uint32_t at = segment_writer_carried(rounds->writer, i);
		struct host *from = &old->hosts[i], *to;

		schedule_remove(&rounds->schedule, &from->timer);
		if (at == HEALTH_ALL_HOSTS) {
			flight_cancel(from->flight);
			continue;
		}
		to = &fleet->hosts[at];
		if (!same_check(from, to)) {
			flight_cancel(from->flight);
			to->verdict.failcount = to->verdict.passcount = 0;
			continue;
		}
		to->timer.due_us = from->timer.due_us;
		to->flight = from->flight;
		if (to->flight)
			to->flight->host = to;
	}
}

/* Before anybody sees a new file: every host in it has a decided state. */
static void fill_in(struct rounds *rounds, const struct fleet *fleet)
{
	const struct health_shm *shm = segment_writer_shm(rounds->writer);

	for (uint32_t i = 0; i < fleet->host_count; i++) {
		const struct host *host = &fleet->hosts[i];
		uint64_t before = health_shm_word(shm, i);

		show_settings(rounds, host);
		segment_writer_publish(
		        rounds->writer,
		        &(struct segment_change) {
		                .host = i,
		                .word = before ? before
		                               : fleet_word(fleet, host),
		                .pool_word = fleet_pool_word(fleet,
		                                             host->pool) });
	}
}

/* What the configuration orders of hosts that are known already. */
static void publish_orders(struct rounds *rounds)
{
	const struct health_shm *shm = segment_writer_shm(rounds->writer);

	for (uint32_t i = 0; i < rounds->fleet->host_count; i++)
		publish_host(rounds, &rounds->fleet->hosts[i],
		             health_shm_word(shm, i), HEALTH_ADMIN, 0,
		             "by the configuration");
}

static void schedule_all(struct rounds *rounds, bool first_time)
{
	uint64_t now_us = monotonic_us();

	for (uint32_t i = 0; i < rounds->fleet->host_count; i++) {
		struct host *host = &rounds->fleet->hosts[i];
		uint64_t due_us = host->timer.due_us;

		if (host->flight)
			continue;
		if (!due_us)
			due_us = first_time ? first_due_us(rounds, host, now_us)
			                    : now_us;
		schedule_set(&rounds->schedule, &host->timer, due_us);
	}
	start_due(rounds);
}

int rounds_install(struct rounds *rounds, struct config *config)
{
	struct fleet *old = rounds->fleet, *fleet = NULL;
	struct topology topology = { 0 };
	int fate, r;

	r = schedule_reserve(&rounds->schedule, config->host_count);
	if (r >= 0)
		r = fleet_new(&fleet, config);
	if (r >= 0)
		r = topology_build(&topology, config, SEGMENT_CHANGES,
		                   SEGMENT_EVENTS);
	if (r >= 0)
		r = segment_writer_prepare(rounds->writer, &topology);
	topology_clear(&topology);
	if (r < 0) {
		fleet_free(fleet);
		return r;
	}
	fate = r;
	recall(rounds, fleet);
	fill_in(rounds, fleet);
	r = segment_writer_activate(rounds->writer);
	if (r < 0) {
		fleet_free(fleet);
		return r;
	}

	rounds->fleet = fleet;
	if (old)
		hand_over(rounds, old, fleet);
	fleet_free(old);
	publish_orders(rounds);
	rounds_beat(rounds);
	schedule_all(rounds, old == NULL);
	return fate;
}

struct rounds_summary rounds_summarize(const struct rounds *rounds)
{
	struct rounds_summary summary = { 0 };

	summary.hosts = rounds->fleet->host_count;
	for (uint32_t p = 0; p < rounds->fleet->pool_count; p++)
		summary.up += health_pool_word_routable(
		        fleet_pool_word(rounds->fleet, p));
	summary.generation =
	        health_shm_generation(segment_writer_shm(rounds->writer));
	return summary;
}

/* --- life -------------------------------------------------------------------- */

int rounds_new(struct rounds **ret, sd_event *event,
               struct segment_writer *writer)
{
	struct rounds *rounds = calloc(1, sizeof(*rounds));
	int r;

	if (!rounds)
		return -ENOMEM;
	rounds->writer = writer;
	r = curl_loop_new(&rounds->loop, event);
	if (r >= 0)
		r = prober_new(&rounds->prober, rounds->loop);
	if (r >= 0)
		r = sd_event_add_time(event, &rounds->timer, CLOCK_MONOTONIC,
		                      UINT64_MAX, SLACK_US, on_timer, rounds);
	if (r < 0) {
		rounds_free(rounds);
		return r;
	}
	curl_loop_set_wake(rounds->loop, on_wake, rounds);
	*ret = rounds;
	return 0;
}

void rounds_free(struct rounds *rounds)
{
	if (!rounds)
		return;
	for (uint32_t i = 0; rounds->fleet && i < rounds->fleet->host_count; i++)
		flight_cancel(rounds->fleet->hosts[i].flight);
	sd_event_source_unref(rounds->timer);
	prober_free(rounds->prober);
	curl_loop_free(rounds->loop);
	schedule_clear(&rounds->schedule);
	fleet_free(rounds->fleet);
	free(rounds);
}
