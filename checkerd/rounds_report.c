/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What nginx saw of a host while serving: a reason to ask the host at once
 * (on_error = probe), a failure like one of a probe (fail), or enough to take
 * it out (down).
 */
#include "rounds_private.h"

#include <inttypes.h>
#include <stdio.h>

void rounds_forgive(struct rounds *rounds, struct target *target)
{
	struct host *host = target->hosts;
	char why[HEALTH_MESSAGE_SIZE];

	schedule_remove(&rounds->schedule, &target->timer);
	snprintf(why, sizeof(why), "no live failure for %" PRIu32 " ms",
	         host->config->settings->failed_timeout_ms);
	rounds_judge(rounds, host, (struct verdict) { .verdict = HEALTH_UP },
	             &(struct cause) { .outcome = HEALTH_PASSIVE, .why = why });
}

uint64_t rounds_forgiven_us(const struct target *target)
{
	const struct settings *settings = target->hosts->config->settings;

	return monotonic_us() + settings->failed_timeout_ms * USEC_PER_MSEC;
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
		rounds_hurry(rounds, target, due_us);
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
	rounds_judge(rounds, host, blamed(host, report),
	             &(struct cause) { .outcome = result.outcome,
	                               .http_status = result.http_status,
	                               .why = result.message });
	rounds_record(rounds, host, &result);
	segment_writer_commit(rounds->writer);
	if (host->config->settings->check == CHECK_NONE)
		schedule_set(&rounds->schedule, &host->target->timer,
		             rounds_forgiven_us(host->target));
}

enum report_worth rounds_report(struct rounds *rounds,
                                const struct health_report *report)
{
	const struct health_shm *shm = segment_writer_shm(rounds->writer);
	const struct settings *settings;
	struct host *host;

	if (report->stream != shm->stream)
		return REPORT_IS_HISTORY;
	/* of the segment before is a reader all the same */
	if (report->kind == HEALTH_REPORT_HELLO)
		return REPORT_COUNTS;
	if (report->created_at_us != shm->header->created_at_us)
		return REPORT_IS_HISTORY;
	if (report->kind != HEALTH_REPORT_FAILURE ||
	    report->host >= rounds->fleet->host_count || report->failures == 0)
		return REPORT_IS_NONSENSE;
	host = &rounds->fleet->hosts[report->host];
	settings = host->config->settings;
	if (settings->observe == OBSERVE_OFF ||
	    (report->http_status &&
	     (settings->observe != OBSERVE_STATUS ||
	      !status_mask_test(&settings->fail_status, report->http_status))))
		return REPORT_IS_NONSENSE;
	if (settings->on_error == ON_ERROR_PROBE)
		suspect(rounds, host);
	else
		blame(rounds, host, report);
	rounds_arm(rounds);
	return REPORT_COUNTS;
}
