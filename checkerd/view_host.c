/* SPDX-License-Identifier: BSD-2-Clause
 *
 * All about one host (`why`), and one event (`events`).
 */
#include "view.h"

#include "cell.h"
#include "event_reader.h"
#include "explanation.h"
#include "time_text.h"

#include <inttypes.h>

static void print_since(FILE *out, const struct health_detail *detail)
{
	struct cell age;
	char at[TIME_TEXT_SIZE];

	if (detail->changed_at_us == 0) {
		fprintf(out, "the start\n");
		return;
	}
	cell_clear(&age);
	cell_age(&age, detail->changed_at_us);
	fprintf(out, "%s (%s)\n", time_text_utc(detail->changed_at_us, at),
	        age.text);
}

static void print_last(FILE *out, const struct host_snapshot *host)
{
	const struct health_detail *detail = &host->detail;
	unsigned outcome = health_word_outcome(host->word);
	struct cell cell;

	cell_clear(&cell);
	cell_outcome(&cell, outcome, host->last);
	cell_print(&cell, ": ");
	if (detail->message[0] != '\0' && outcome != HEALTH_ADMIN)
		cell_escape(&cell, detail->message, strlen(detail->message));
	else
		cell_print(&cell, "%s", health_outcome_sentence(outcome));
	fprintf(out, "%s\n", cell.text);
}

static void print_order(FILE *out, const struct host_snapshot *host)
{
	const struct health_detail *detail = &host->detail;
	unsigned admin = health_word_admin(host->word);
	char until[TIME_TEXT_SIZE];
	struct cell reason;

	if (admin == HEALTH_AUTO) {
		fprintf(out, "none\n");
		return;
	}
	cell_clear(&reason);
	if (detail->reason_size > 0)
		cell_print(&reason, ": ");
	cell_escape(&reason, detail->reason, detail->reason_size);
	fprintf(out, "%s%s, until %s\n", health_admin_name(admin), reason.text,
	        detail->until_us != 0 ? time_text_utc(detail->until_us, until)
	                              : "it is lifted");
}

static void print_agent(FILE *out, const struct host_snapshot *host)
{
	const struct health_detail *detail = &host->detail;
	char at[TIME_TEXT_SIZE];
	struct cell said;

	if (!(detail->flags & HEALTH_DETAIL_AGENT)) {
		fprintf(out, "none\n");
		return;
	}
	cell_clear(&said);
	cell_escape(&said, detail->agent_said, strlen(detail->agent_said));
	if (detail->agent_at_us == 0)
		fprintf(out, "has said nothing yet");
	else
		fprintf(out, "says \"%s\" (%s): weight %u%%, order %s",
		        said.text, time_text_utc(detail->agent_at_us, at),
		        detail->agent_percent,
		        health_agent_name(health_word_agent(host->word)));
	if (detail->agent_silent > 0)
		fprintf(out, "; %u answers missed since, %s: %s",
		        detail->agent_silent,
		        health_outcome_name(detail->agent_outcome),
		        health_outcome_sentence(detail->agent_outcome));
	fputc('\n', out);
}

static void print_check(FILE *out, const struct health_detail *detail)
{
	char interval[TIME_TEXT_SIZE], timeout[TIME_TEXT_SIZE];
	struct cell check;

	cell_clear(&check);
	cell_escape(&check, detail->check, strlen(detail->check));
	fprintf(out, "%s every %s within %s, rise %u, fall %u", check.text,
	        time_text_latency(detail->interval_ms * USEC_PER_MSEC,
	                          interval),
	        time_text_latency(detail->timeout_ms * USEC_PER_MSEC, timeout),
	        detail->rise, detail->fall);
	if (detail->shared > 1)
		fprintf(out, ", one probe for %u hosts", detail->shared);
	fputc('\n', out);
}

static void print_certificate(FILE *out, const struct health_detail *detail)
{
	char expires[TIME_TEXT_SIZE];

	if (detail->cert_expires_at_us == 0)
		fprintf(out, "none seen\n");
	else
		fprintf(out, "expires %s%s\n",
		        time_text_utc(detail->cert_expires_at_us, expires),
		        detail->flags & HEALTH_DETAIL_TLS_UNVERIFIED
		                ? ", not verified"
		                : "");
}

/* Phases are counted from the probe's start; 0: not reached. */
static const char *phase(uint32_t at_us, char *buffer)
{
	return at_us == 0 ? "-" : time_text_latency(at_us, buffer);
}

static void print_history(FILE *out, const struct host_snapshot *host)
{
	char at[TIME_TEXT_SIZE], connect[TIME_TEXT_SIZE], tls[TIME_TEXT_SIZE],
		first_byte[TIME_TEXT_SIZE], total[TIME_TEXT_SIZE],
		status[TIME_TEXT_SIZE];
	const struct health_record *record;
	uint32_t i;

	fprintf(out, "\n  %-24s  %-7s %6s %8s %8s %10s %8s\n", "ENDED",
	        "OUTCOME", "STATUS", "CONNECT", "TLS", "FIRST BYTE", "TOTAL");
	for (i = 0; i < host->history_count; i++) {
		record = host_snapshot_record(host, i);
		snprintf(status, sizeof(status),
		         record->http_status == 0 ? "-" : "%u",
		         record->http_status);
		fprintf(out, "  %-24s  %-7s %6s %8s %8s %10s %8s\n",
		        time_text_utc(record->at_us, at),
		        health_outcome_name(record->outcome), status,
		        phase(record->connect_us, connect),
		        phase(record->tls_us, tls),
		        phase(record->first_byte_us, first_byte),
		        phase(record->total_us, total));
	}
}

void view_host(FILE *out, const struct pool_snapshot *pool,
               const struct host_snapshot *host)
{
	const struct health_detail *detail = &host->detail;
	char rule[EXPLANATION_SIZE];
	struct cell name;

	cell_clear(&name);
	cell_escape_text(&name, pool->name);
	cell_print(&name, "/");
	cell_escape_text(&name, host->id);
	cell_print(&name, "  ");
	cell_escape_text(&name, host->address);
	fprintf(out, "%s  %s\n", name.text, health_state_name(host->state));
	if (!host->detail_known) {
		fprintf(out, "  no more is known: checkerd stopped while it "
		             "wrote this host's details\n");
		return;
	}

	fprintf(out, "  why          %s\n",
	        explanation(host->word, detail, pool->panic, rule));
	fprintf(out, "  since        ");
	print_since(out, detail);
	fprintf(out, "  last         ");
	print_last(out, host);
	fprintf(out, "  order        ");
	print_order(out, host);
	fprintf(out, "  agent        ");
	print_agent(out, host);
	fprintf(out, "  check        ");
	print_check(out, detail);
	fprintf(out,
	        "  probes       %" PRIu64 ", %" PRIu64 " failed, %" PRIu64
	        " inconclusive\n",
	        detail->probes, detail->failures, detail->inconclusive);
	fprintf(out, "  weight       %u, effective %g\n", detail->weight,
	        (double) health_word_weight(host->word) / HEALTH_WEIGHT_UNIT);
	fprintf(out, "  certificate  ");
	print_certificate(out, detail);
	if (host->history_count > 0)
		print_history(out, host);
}

void view_event(FILE *out, uint64_t number, const struct health_event *event)
{
	char at[TIME_TEXT_SIZE];
	struct cell name, rest;

	cell_clear(&name);
	cell_escape(&name, event->pool, strlen(event->pool));
	if (event->host_id[0] != '\0') {
		cell_print(&name, "/");
		cell_escape(&name, event->host_id, strlen(event->host_id));
		cell_print(&name, "  ");
		cell_escape(&name, event->address, strlen(event->address));
	}
	cell_clear(&rest);
	if (event_is_transition(event))
		cell_print(&rest, "  %s -> %s  %s",
		           health_state_name(event->from),
		           health_state_name(event->to),
		           health_outcome_name(event->outcome));
	if (event->http_status != 0)
		cell_print(&rest, " %u", event->http_status);
	if (event->failcount != 0)
		cell_print(&rest, " failcount=%u", event->failcount);
	if (event->reason[0] != '\0')
		cell_print(&rest, "  ");
	cell_escape(&rest, event->reason, strlen(event->reason));
	fprintf(out, "%" PRIu64 "  %s  %s  %s%s\n", number,
	        time_text_utc(event->at_us, at), health_event_name(event->kind),
	        name.text, rest.text);
}
