/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One probe after the other: who is due, what came back, what that makes of
 * the hosts that share the probe, and when to look again.
 */
#include "rounds_private.h"

#include "log.h"
#include "message_ids.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Probes due within so short a time of each other start together: waking up
 * for each would cost more than the checks of a thousand hosts a second. */
#define SLACK_US UINT64_C(3000)

#define DAY_US (86400 * USEC_PER_SEC)

#define COMPLAIN_EVERY_US (10 * USEC_PER_SEC)

void rounds_tell_panic(struct rounds *rounds, uint32_t pool)
{
	struct pool *of = &rounds->fleet->pools[pool];

	of->panic_told = of->panic;
	publish_panic(rounds->writer, rounds->fleet, pool);
	rounds_sweep(rounds, of);
}

void rounds_publish(struct rounds *rounds, const struct host *host,
                    uint64_t before, const struct cause *cause)
{
	enum health_event_kind kind = publish_host(
		rounds->writer, rounds->fleet, host, before, cause);

	if (kind)
		rounds->fleet->pools[host->pool].counts.events[kind]++;
}

void rounds_tell(struct rounds *rounds, struct host *host, uint64_t before,
                 bool panic, const struct cause *cause)
{
	rounds_ramp_consider(rounds, host, before);
	rounds_publish(rounds, host, before, cause);
	if (panic)
		rounds_tell_panic(rounds, host->pool);
}

void rounds_judge(struct rounds *rounds, struct host *host,
                  struct verdict verdict, const struct cause *cause)
{
	uint64_t before = rounds_word(rounds, host);
	bool panic = fleet_judge(rounds->fleet, host, verdict, cause->outcome);

	rounds_tell(rounds, host, before, panic, cause);
}

/* --- one probe ---------------------------------------------------------- */

static struct flight *flight_new(struct rounds *rounds)
{
	struct flight *flight = rounds->idle;

	if (!flight)
		return malloc(sizeof(*flight));
	rounds->idle = flight->next_idle;
	return flight;
}

static void flight_free(struct flight *flight)
{
	struct rounds *rounds = flight->rounds;

	config_unref(flight->config);
	flight->target->flight = NULL;
	rounds->in_flight--;
	flight->next_idle = rounds->idle;
	rounds->idle = flight;
}

void rounds_cancel(struct flight *flight)
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

	if (!result->timed_out)
		return;
	deadline_us = flight->settings->connect_timeout_ms * USEC_PER_MSEC;
	if (result->outcome == HEALTH_L7TOUT)
		deadline_us +=
			flight->settings->read_timeout_ms * USEC_PER_MSEC;
	lag_us = rounds->lag.total_us - flight->lag_before_us;
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
	           ARRAY_SIZE(fields), "%s probes counted for nothing: %s",
	           count, rounds->complaint.why);
	rounds->complaint.count = 0;
	rounds->complaint.said_us = now_us;
}

/* One line in the flight recorder, and why. */
struct health_detail *rounds_record(struct rounds *rounds,
                                    const struct host *host,
                                    const struct probe_result *result)
{
	struct health_detail *detail =
		segment_writer_edit(rounds->writer, host->index);

	detail->passcount = host->verdict.passcount;
	detail->history[detail->recorded++ % HEALTH_HISTORY] =
		(struct health_record) {
			.at_us = realtime_us(),
			.outcome = (uint16_t) result->outcome,
			.http_status = result->http_status,
			.dns_us = result->dns_us,
			.connect_us = result->connect_us,
			.tls_us = result->tls_us,
			.first_byte_us = result->first_byte_us,
			.total_us = result->total_us,
		};
	memcpy(detail->message, result->message, sizeof(detail->message));
	return detail;
}

static void remember(struct rounds *rounds, const struct host *host,
                     const struct probe_result *result, uint32_t lateness_us)
{
	enum health_outcome_class class = health_outcome_class(result->outcome);
	struct health_detail *detail = rounds_record(rounds, host, result);

	detail->checked_at_us = realtime_us();
	detail->probes++;
	detail->failures += class == HEALTH_CLASS_FAIL;
	detail->inconclusive += class == HEALTH_CLASS_NEUTRAL;
	detail->lateness_us = lateness_us;
	if (result->cert_expires_at_us)
		detail->cert_expires_at_us = result->cert_expires_at_us;
	segment_writer_commit(rounds->writer);
}

/* Once a day while the end of the certificate is near. */
static void watch_certificate(struct rounds *rounds, const struct host *host,
                              uint64_t expires_at_us)
{
	const struct settings *settings = host->config->settings;
	uint64_t told_at_us = segment_writer_detail(rounds->writer, host->index)
	                              ->cert_told_at_us;
	uint64_t now_us = realtime_us();

	if (!expires_at_us ||
	    expires_at_us > now_us + settings->cert_warn_ms * USEC_PER_MSEC ||
	    now_us - told_at_us < DAY_US)
		return;
	publish_certificate(rounds->writer, rounds->fleet, host, expires_at_us);
	segment_writer_edit(rounds->writer, host->index)->cert_told_at_us =
		now_us;
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

/* The shortest that any of its hosts asks for. */
uint64_t rounds_interval_us(const struct target *target)
{
	uint64_t shortest_us = UINT64_MAX;

	if (target->confirming)
		return CONFIRM_US;
	for (const struct host *host = target->hosts; host; host = host->next)
		if (interval_us(host) < shortest_us)
			shortest_us = interval_us(host);
	return shortest_us;
}

static void schedule_next(struct rounds *rounds, struct target *target,
                          uint64_t was_due_us)
{
	/* NOLINTNEXTLINE: a target has a host */
	const struct settings *settings = target->hosts->config->settings;
	uint64_t turn =
		segment_writer_detail(rounds->writer, target->index)->probes;
	uint64_t every_us = rounds_interval_us(target);
	uint64_t now_us = monotonic_us(), due_us;

	if (target->out_of_turn) {
		/* the first host's phase is 0, and it has just been probed */
		due_us = schedule_phase_us(target->index, every_us);
		target->out_of_turn = false;
		schedule_set(&rounds->schedule, &target->timer,
		             now_us + (due_us ? due_us : every_us));
		return;
	}
	due_us = schedule_next_us(was_due_us, now_us, every_us,
	                          settings->jitter_percent, target->index,
	                          turn);
	if (target->confirming)
		rounds_hurry(rounds, target, due_us);
	else
		schedule_set(&rounds->schedule, &target->timer, due_us);
}

/* What a probe of its target means for one host. */
static void apply(struct rounds *rounds, struct host *host,
                  const struct probe_result *result, uint32_t lateness_us)
{
	const struct settings *settings = host->config->settings;

	if (result->outcome == HEALTH_INCONCL)
		complain(rounds, result->message);
	else
		rounds_judge(rounds, host,
		             verdict_next(host->verdict,
		                          health_outcome_class(result->outcome),
		                          settings->rise, settings->fall),
		             &(struct cause) {
				     .outcome = result->outcome,
				     .http_status = result->http_status,
				     .why = result->message });
	counts_probe(&rounds->fleet->pools[host->pool].counts, result->outcome,
	             result->total_us);
	remember(rounds, host, result, lateness_us);
	watch_certificate(rounds, host, result->cert_expires_at_us);
}

/* Live traffic's suspicion lasts until a pass, or until all are down. */
static bool still_suspected(const struct target *target)
{
	for (const struct host *host = target->hosts; host; host = host->next)
		if (host->verdict.failcount > 0 &&
		    host->verdict.verdict != HEALTH_DOWN)
			return true;
	return false;
}

static void on_probe_done(void *owner, const struct probe *probe)
{
	struct flight *flight = owner;
	struct rounds *rounds = flight->rounds;
	struct target *target = flight->target;
	uint64_t was_due_us = flight->started_us - flight->lateness_us;

	for (struct host *host = target->hosts; host; host = host->next) {
		struct probe_result result;

		probe_judge(probe, host->config->settings, &result);
		doubt(rounds, flight, &result);
		apply(rounds, host, &result, flight->lateness_us);
		rounds_heed_answer(rounds, host, probe);
	}
	flight_free(flight);
	target->confirming = target->confirming && still_suspected(target);
	schedule_next(rounds, target, was_due_us);
	rounds_demand_met(rounds, target);
	rounds_start_due(rounds);
}

/* No probe could be made: nobody is judged. */
static void give_up(struct rounds *rounds, struct target *target, int error,
                    uint64_t was_due_us, uint32_t lateness_us)
{
	struct probe_result result = { .outcome = HEALTH_INCONCL };

	snprintf(result.message, sizeof(result.message),
	         "checkerd cannot probe: %s", strerror(-error));
	for (struct host *host = target->hosts; host; host = host->next)
		apply(rounds, host, &result, lateness_us);
	schedule_next(rounds, target, was_due_us);
	rounds_demand_met(rounds, target);
}

struct probe_line *rounds_line(const struct rounds *rounds,
                               const struct target *target)
{
	return &rounds->lines[target - rounds->fleet->targets];
}

static int take_off(struct rounds *rounds, struct target *target,
                    uint64_t now_us, uint32_t lateness_us)
{
	const struct host *host = target->hosts;
	struct flight *flight = flight_new(rounds);
	struct probe_wants wants = { 0 };
	int r;

	if (!flight)
		return -ENOMEM;
	*flight = (struct flight) {
		.rounds = rounds,
		.target = target,
		.config = config_ref(rounds->fleet->config),
		.settings = host->config->settings,
		.started_us = now_us,
		.lag_before_us = rounds->lag.total_us,
		.lateness_us = lateness_us,
	};
	target->flight = flight;
	target->started_us = now_us;
	rounds->in_flight++;
	rounds_demand_begun(rounds, target);
	for (; host; host = host->next)
		probe_wants_add(&wants, host->config->settings);
	r = probe_start(rounds->prober, rounds_line(rounds, target),
	                target->hosts->config->address, flight->settings,
	                &wants, on_probe_done, flight, &flight->probe);
	if (r < 0)
		flight_free(flight);
	return r;
}

static void start_probe(struct rounds *rounds, struct target *target,
                        uint64_t now_us)
{
	uint64_t due_us = target->timer.due_us;
	uint64_t late_us = now_us > due_us ? now_us - due_us : 0;
	uint32_t lateness_us =
		late_us > UINT32_MAX ? UINT32_MAX : (uint32_t) late_us;
	int r;

	schedule_remove(&rounds->schedule, &target->timer);
	segment_writer_count_probe(rounds->writer, late_us);
	histogram_add(&rounds->lateness, late_us);
	r = take_off(rounds, target, now_us, lateness_us);
	if (r < 0)
		give_up(rounds, target, r, due_us, lateness_us);
}

/* --- the schedule ------------------------------------------------------- */

static struct target *target_of(struct schedule_entry *entry)
{
	return (struct target *) entry;
}

void rounds_hurry(struct rounds *rounds, struct target *target, uint64_t due_us)
{
	schedule_set(&rounds->schedule, &target->timer, due_us);
	if (due_us > rounds->exact_until_us)
		rounds->exact_until_us = due_us;
}

void rounds_arm(struct rounds *rounds)
{
	const struct schedule_entry *first = schedule_first(&rounds->schedule);
	uint64_t wake_us;

	/* whoever waits for a place in flight is started by on_probe_done() */
	if (!first ||
	    rounds->in_flight >= rounds->fleet->config->max_concurrent)
		return;
	wake_us = first->due_us;
	if (wake_us > rounds->exact_until_us)
		wake_us += SLACK_US;
	if (rounds->timer_us && rounds->timer_us <= wake_us)
		return;
	rounds->timer_us = wake_us;
	sd_event_source_set_time(rounds->timer, wake_us);
	sd_event_source_set_enabled(rounds->timer, SD_EVENT_ONESHOT);
}

bool rounds_is_probed(const struct target *target)
{
	return target->hosts->config->settings->check != CHECK_NONE;
}

static void run(struct rounds *rounds, struct target *target, uint64_t now_us)
{
	if (rounds_is_probed(target))
		start_probe(rounds, target, now_us);
	else
		rounds_forgive(rounds, target);
}

void rounds_start_due(struct rounds *rounds)
{
	uint64_t now_us = monotonic_us();
	struct schedule_entry *first;

	while (rounds->in_flight < rounds->fleet->config->max_concurrent &&
	       (first = schedule_first(&rounds->schedule)) &&
	       first->due_us <= now_us)
		run(rounds, target_of(first), now_us);
	rounds_arm(rounds);
	rounds_ask_due(rounds);
}

static int on_timer(sd_event_source *source, uint64_t due_us, void *userdata)
{
	struct rounds *rounds = userdata;
	int r;

	(void) source;
	(void) due_us;
	rounds->timer_us = 0;
	/* which kept connections have ended meanwhile? */
	r = curl_loop_turn(rounds->loop);
	rounds_start_due(rounds);
	return r;
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
	rounds_ramp_on(rounds, now_us);
	segment_writer_beat(rounds->writer, now_us);
	say_complaint(rounds, now_us);
}

struct host *rounds_find(const struct rounds *rounds, const char *pool,
                         const char *id)
{
	const struct config *config = rounds->fleet->config;
	const struct pool_config *of = config_find_pool(config, pool);
	const struct host_config *host = of ? config_find_host(of, id) : NULL;

	return host ? &rounds->fleet->pools[of - config->pools]
	                       .hosts[host - of->hosts]
	            : NULL;
}

const struct config *rounds_config(const struct rounds *rounds)
{
	return rounds->fleet ? rounds->fleet->config : NULL;
}

uint64_t rounds_revision(const struct rounds *rounds)
{
	return rounds->revision;
}

const struct pool_counts *rounds_pool_counts(const struct rounds *rounds,
                                             uint32_t pool)
{
	return &rounds->fleet->pools[pool].counts;
}

const struct histogram *rounds_lateness(const struct rounds *rounds)
{
	return &rounds->lateness;
}

uint64_t rounds_held_up_us(const struct rounds *rounds)
{
	return rounds->lag.total_us;
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

/* --- life --------------------------------------------------------------- */

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
		                      UINT64_MAX, 1, on_timer, rounds);
	if (r >= 0)
		r = sd_event_source_set_exit_on_failure(rounds->timer, true);
	if (r >= 0)
		r = rounds_agents_new(rounds, event);
	if (r >= 0)
		r = rounds_sweep_new(rounds, event);
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
	struct flight *flight;

	if (!rounds)
		return;
	rounds_demand_clear(rounds);
	rounds_ramp_clear(rounds);
	for (uint32_t i = 0; rounds->fleet && i < rounds->fleet->target_count;
	     i++) {
		rounds_cancel(rounds->fleet->targets[i].flight);
		probe_line_clear(&rounds->lines[i]);
	}
	while ((flight = rounds->idle)) {
		rounds->idle = flight->next_idle;
		free(flight);
	}
	rounds_agents_free(rounds);
	rounds_sweep_free(rounds);
	free(rounds->lines);
	sd_event_source_unref(rounds->timer);
	prober_free(rounds->prober);
	curl_loop_free(rounds->loop);
	schedule_clear(&rounds->schedule);
	fleet_free(rounds->fleet);
	free(rounds);
}
