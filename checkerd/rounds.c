/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Ownership: a fleet belongs to the rounds; a flight (one probe under way)
 * belongs to the rounds too and is known to its target.  A flight holds a
 * reference to the configuration it was started with, so that a reload may
 * replace the fleet under it: the flight is then handed to the new target.
 *
 * Everything that changes what is held true of a host goes through judge().
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
#include "publication.h"
#include "segment_writer.h"
#include "topology.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Probes due within so short a time of each other start together. */
#define SLACK_US UINT64_C(1000)

/* How close on each other probes follow that confirm a suspicion. */
#define CONFIRM_US UINT64_C(10000)

#define DAY_US (86400 * USEC_PER_SEC)

#define COMPLAIN_EVERY_US (10 * USEC_PER_SEC)

struct flight {
	struct rounds *rounds;
	struct target *target;
	struct probe *probe;
	struct config *config; /* a reference */
	const struct settings *settings; /* of `config`: the request */
	uint64_t started_us;
	uint64_t lag_before_us; /* all there had been when it started */
	uint32_t lateness_us;
};

struct rounds {
	struct segment_writer *writer;
	struct curl_loop *loop;
	struct prober *prober;
	sd_event_source *timer;
	uint64_t timer_us;
	struct fleet *fleet; /* NULL before the first install */
	struct probe_line *lines; /* by target: its kept connection */
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
static void arm(struct rounds *rounds);

static void tell_panic(struct rounds *rounds, uint32_t pool)
{
	struct pool *of = &rounds->fleet->pools[pool];

	of->panic_told = of->panic;
	publish_panic(rounds->writer, rounds->fleet, pool);
}

static void judge(struct rounds *rounds, struct host *host,
                  struct verdict verdict, const struct cause *cause)
{
	uint64_t before = fleet_word(rounds->fleet, host);
	bool panic = fleet_judge(rounds->fleet, host, verdict, cause->outcome);

	publish_host(rounds->writer, rounds->fleet, host, before, cause);
	if (panic)
		tell_panic(rounds, host->pool);
}

/* --- one probe --------------------------------------------------------------- */

static void flight_free(struct flight *flight)
{
	config_unref(flight->config);
	flight->rounds->in_flight--;
	flight->target->flight = NULL;
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
	           ARRAY_SIZE(fields),
	           "%s probes counted for nothing: %s", count,
	           rounds->complaint.why);
	rounds->complaint.count = 0;
	rounds->complaint.said_us = now_us;
}

/* One line in the flight recorder, and why. */
static struct health_detail *record(struct rounds *rounds,
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
	struct health_detail *detail = record(rounds, host, result);

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
static uint64_t target_interval_us(const struct target *target)
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
	const struct settings *settings = target->hosts->config->settings;
	uint64_t turn = segment_writer_detail(rounds->writer, target->index)
	                        ->probes;

	if (target->out_of_turn) {
		target->out_of_turn = false;
		schedule_set(&rounds->schedule, &target->timer,
		             monotonic_us() +
		                     schedule_phase_us(
		                             target->index,
		                             target_interval_us(target)));
		return;
	}
	schedule_set(&rounds->schedule, &target->timer,
	             schedule_next_us(was_due_us, monotonic_us(),
	                              target_interval_us(target),
	                              settings->jitter_percent, target->index,
	                              turn));
}

/* What a probe of its target means for one host. */
static void apply(struct rounds *rounds, struct host *host,
                  const struct probe_result *result, uint32_t lateness_us)
{
	const struct settings *settings = host->config->settings;

	if (result->outcome == HEALTH_INCONCL)
		complain(rounds, result->message);
	else
		judge(rounds, host,
		      verdict_next(host->verdict,
		                   health_outcome_class(result->outcome),
		                   settings->rise, settings->fall),
		      &(struct cause) { result->outcome, result->http_status,
		                        result->message });
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
	}
	flight_free(flight);
	target->confirming = target->confirming && still_suspected(target);
	schedule_next(rounds, target, was_due_us);
	start_due(rounds);
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
}

static struct probe_line *line_of(const struct rounds *rounds,
                                  const struct target *target)
{
	return &rounds->lines[target - rounds->fleet->targets];
}

static int take_off(struct rounds *rounds, struct target *target,
                    uint64_t now_us, uint32_t lateness_us)
{
	const struct host *host = target->hosts;
	struct flight *flight = calloc(1, sizeof(*flight));
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
	for (; host; host = host->next)
		probe_wants_add(&wants, host->config->settings);
	r = probe_start(rounds->prober, line_of(rounds, target),
	                &target->hosts->config->address, flight->settings,
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
	r = take_off(rounds, target, now_us, lateness_us);
	if (r < 0)
		give_up(rounds, target, r, due_us, lateness_us);
}

/* --- live traffic ---------------------------------------------------------- */

/* Hosts without probes: what live traffic did to them wears off. */
static void forgive(struct rounds *rounds, struct target *target)
{
	struct host *host = target->hosts;
	char why[HEALTH_MESSAGE_SIZE];

	schedule_remove(&rounds->schedule, &target->timer);
	snprintf(why, sizeof(why), "no live failure for %" PRIu32 " ms",
	         host->config->settings->failed_timeout_ms);
	judge(rounds, host, (struct verdict) { .verdict = HEALTH_UP },
	      &(struct cause) { HEALTH_PASSIVE, 0, why });
}

static void wait_to_forgive(struct rounds *rounds, struct target *target)
{
	const struct settings *settings = target->hosts->config->settings;

	schedule_set(&rounds->schedule, &target->timer,
	             monotonic_us() +
	                     settings->failed_timeout_ms * USEC_PER_MSEC);
}

/* Ask the host itself, at once, and until it is clear. */
static void suspect(struct rounds *rounds, struct host *host)
{
	struct target *target = host->target;
	uint64_t due_us = monotonic_us();

	if (host->verdict.verdict == HEALTH_DOWN)
		return;
	target->confirming = true;
	if (target->flight)
		return;
	if (due_us < target->started_us + CONFIRM_US)
		due_us = target->started_us + CONFIRM_US;
	if (due_us < target->timer.due_us)
		schedule_set(&rounds->schedule, &target->timer, due_us);
}

static struct verdict blamed(const struct host *host,
                             const struct health_report *report)
{
	const struct settings *settings = host->config->settings;
	struct verdict verdict = host->verdict;
	uint32_t failures = report->failures;

	if (settings->on_error == ON_ERROR_DOWN || failures > settings->fall)
		failures = settings->fall;
	while (failures-- > 0)
		verdict = verdict_next(verdict, HEALTH_CLASS_FAIL,
		                       settings->rise, settings->fall);
	return verdict;
}

static void blame(struct rounds *rounds, struct host *host,
                  const struct health_report *report)
{
	struct probe_result result = { .outcome = HEALTH_PASSIVE,
		                       .http_status = report->http_status };

	snprintf(result.message, sizeof(result.message),
	         report->http_status ? "live traffic got status %u"
	                             : "live traffic got no answer",
	         report->http_status);
	judge(rounds, host, blamed(host, report),
	      &(struct cause) { result.outcome, result.http_status,
	                        result.message });
	record(rounds, host, &result);
	segment_writer_commit(rounds->writer);
	if (host->config->settings->check == CHECK_NONE)
		wait_to_forgive(rounds, host->target);
}

bool rounds_report(struct rounds *rounds, const struct health_report *report)
{
	const struct health_shm *shm = segment_writer_shm(rounds->writer);
	const struct settings *settings;
	struct host *host;

	if (report->stream != shm->stream ||
	    report->created_at_us != shm->header->created_at_us)
		return false;
	if (report->kind == HEALTH_REPORT_HELLO)
		return true;
	if (report->kind != HEALTH_REPORT_FAILURE ||
	    report->host >= rounds->fleet->host_count || report->failures == 0)
		return false;
	host = &rounds->fleet->hosts[report->host];
	settings = host->config->settings;
	if (settings->observe == OBSERVE_OFF ||
	    (report->http_status &&
	     (settings->observe != OBSERVE_STATUS ||
	      !status_mask_test(&settings->fail_status, report->http_status))))
		return false;
	if (settings->on_error == ON_ERROR_PROBE)
		suspect(rounds, host);
	else
		blame(rounds, host, report);
	arm(rounds);
	return true;
}

/* --- the schedule --------------------------------------------------------- */

static struct target *target_of(struct schedule_entry *entry)
{
	return (struct target *) entry;
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

static bool is_probed(const struct target *target)
{
	return target->hosts->config->settings->check != CHECK_NONE;
}

static void run(struct rounds *rounds, struct target *target, uint64_t now_us)
{
	if (is_probed(target))
		start_probe(rounds, target, now_us);
	else
		forgive(rounds, target);
}

static void start_due(struct rounds *rounds)
{
	uint64_t now_us = monotonic_us();
	struct schedule_entry *first;

	while (rounds->in_flight < rounds->fleet->config->max_concurrent &&
	       (first = schedule_first(&rounds->schedule)) &&
	       first->due_us <= now_us)
		run(rounds, target_of(first), now_us);
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
	detail->shared = (uint16_t) (host->target->host_count > UINT16_MAX
	                                     ? UINT16_MAX
	                                     : host->target->host_count);
	detail->passcount = host->verdict.passcount;
	detail->flags = config_check_uses_tls(settings->check) &&
	                                !settings->tls_verify
	                        ? HEALTH_DETAIL_TLS_UNVERIFIED
	                        : 0;
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

	for (uint32_t p = 0; p < fleet->pool_count; p++)
		fleet->pools[p].panic_told =
		        (health_shm_pool_word(shm, p) & HEALTH_POOL_PANIC) != 0;
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

/* The first probe of a target that this process has not probed yet. */
static uint64_t first_due_us(const struct rounds *rounds,
                             const struct target *target, uint64_t now_us)
{
	uint64_t checked_at_us =
	        segment_writer_detail(rounds->writer, target->index)
	                ->checked_at_us;
	uint64_t real_us = realtime_us();
	uint64_t every_us = target_interval_us(target);

	/* the schedule of the process before goes on */
	if (checked_at_us && checked_at_us <= real_us &&
	    real_us - checked_at_us < every_us)
		return now_us + every_us - (real_us - checked_at_us);
	return now_us + schedule_phase_us(target->index, every_us);
}

/* Nobody came, nobody went, nobody changed. */
static bool same_target(const struct rounds *rounds, const struct target *from,
                        const struct target *to)
{
	if (from->host_count != to->host_count)
		return false;
	for (const struct host *host = from->hosts; host; host = host->next) {
		uint32_t at = segment_writer_carried(rounds->writer,
		                                     host->index);

		if (at == HEALTH_ALL_HOSTS ||
		    rounds->fleet->hosts[at].target != to ||
		    !same_check(host, &rounds->fleet->hosts[at]))
			return false;
	}
	return true;
}

/* Another check of the same host is made when the old one would have been, or
 * sooner: a reload that changes all must not make all due at once. */
static void keep_pace(const struct target *from, struct target *to)
{
	uint64_t due_us = monotonic_us() +
	                  schedule_phase_us(to->index, target_interval_us(to));

	if (from->timer.due_us && from->timer.due_us < due_us)
		due_us = from->timer.due_us;
	if (!to->timer.due_us || due_us < to->timer.due_us)
		to->timer.due_us = due_us;
}

static void hand_over_target(struct rounds *rounds, struct target *from,
                             struct probe_line *line)
{
	uint32_t at = segment_writer_carried(rounds->writer, from->index);
	struct target *to = at == HEALTH_ALL_HOSTS
	                            ? NULL
	                            : rounds->fleet->hosts[at].target;

	schedule_remove(&rounds->schedule, &from->timer);
	if (!to || !same_target(rounds, from, to)) {
		flight_cancel(from->flight);
		probe_line_clear(line);
		if (to)
			keep_pace(from, to);
		return;
	}
	*line_of(rounds, to) = *line;
	to->timer.due_us = from->timer.due_us;
	to->confirming = from->confirming;
	to->flight = from->flight;
	if (to->flight)
		to->flight->target = to;
}

/* Where the check changed, the verdict stays and the streak starts over. */
static void forget_streaks(const struct rounds *rounds, const struct fleet *old,
                           struct fleet *fleet)
{
	for (uint32_t i = 0; i < old->host_count; i++) {
		uint32_t at = segment_writer_carried(rounds->writer, i);
		struct host *host;

		if (at == HEALTH_ALL_HOSTS)
			continue;
		host = &fleet->hosts[at];
		if (!same_check(&old->hosts[i], host))
			host->verdict.failcount = host->verdict.passcount = 0;
	}
}

/* Hosts that stay keep the schedule, and those whose check is the same the
 * probe that is under way. */
static void hand_over(struct rounds *rounds, struct fleet *old,
                      struct probe_line *lines)
{
	for (uint32_t i = 0; i < old->target_count; i++)
		hand_over_target(rounds, &old->targets[i], &lines[i]);
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
	const struct cause cause = { .outcome = HEALTH_ADMIN,
		                     .why = "by the configuration" };

	for (uint32_t i = 0; i < rounds->fleet->host_count; i++)
		publish_host(rounds->writer, rounds->fleet,
		             &rounds->fleet->hosts[i], health_shm_word(shm, i),
		             &cause);
}

static void schedule_all(struct rounds *rounds, bool first_time)
{
	uint64_t now_us = monotonic_us();

	for (uint32_t i = 0; i < rounds->fleet->target_count; i++) {
		struct target *target = &rounds->fleet->targets[i];
		uint64_t due_us = target->timer.due_us;

		if (target->flight)
			continue;
		if (!is_probed(target)) {
			if (target->hosts->verdict.failcount > 0)
				wait_to_forgive(rounds, target);
			continue;
		}
		if (!due_us && first_time) {
			due_us = first_due_us(rounds, target, now_us);
		} else if (!due_us) {
			due_us = now_us;
			target->out_of_turn = true;
		}
		schedule_set(&rounds->schedule, &target->timer, due_us);
	}
	start_due(rounds);
}

int rounds_install(struct rounds *rounds, struct config *config)
{
	struct fleet *old = rounds->fleet, *fleet = NULL;
	struct probe_line *old_lines = rounds->lines, *lines;
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
	lines = calloc(fleet->target_count + 1, sizeof(*lines));
	recall(rounds, fleet);
	if (old)
		forget_streaks(rounds, old, fleet);
	fill_in(rounds, fleet);
	r = lines ? segment_writer_activate(rounds->writer) : -ENOMEM;
	if (r < 0) {
		free(lines);
		fleet_free(fleet);
		return r;
	}

	rounds->fleet = fleet;
	rounds->lines = lines;
	if (old)
		hand_over(rounds, old, old_lines);
	free(old_lines);
	fleet_free(old);
	publish_orders(rounds);
	for (uint32_t p = 0; p < fleet->pool_count; p++)
		if (fleet->pools[p].panic != fleet->pools[p].panic_told)
			tell_panic(rounds, p);
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
	if (r >= 0)
		r = sd_event_source_set_exit_on_failure(rounds->timer, true);
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
	for (uint32_t i = 0; rounds->fleet && i < rounds->fleet->target_count;
	     i++) {
		flight_cancel(rounds->fleet->targets[i].flight);
		probe_line_clear(&rounds->lines[i]);
	}
	free(rounds->lines);
	sd_event_source_unref(rounds->timer);
	prober_free(rounds->prober);
	curl_loop_free(rounds->loop);
	schedule_clear(&rounds->schedule);
	fleet_free(rounds->fleet);
	free(rounds);
}
