/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One execution of a check: what was asked of a host, what came back, and
 * which outcome that is.  Probes know nothing of verdicts, schedules or
 * pools.
 */
#ifndef CHECKERD_PROBE_H
#define CHECKERD_PROBE_H

#include "address.h"
#include "config.h"

#include "../include/health_shm.h"

struct agent_advice;
struct curl_loop;
struct prober;
struct probe;

struct probe_result {
	enum health_outcome outcome;
	uint16_t http_status; /* 0: none */
	/* phases, each counted from the start; 0: not reached, or not gone
	 * through since the connection was kept */
	uint32_t dns_us;
	uint32_t connect_us;
	uint32_t tls_us;
	uint32_t first_byte_us;
	uint32_t total_us;
	/* of the certificate that the host showed, also if it was not good
	 * enough; CLOCK_REALTIME, 0: none */
	uint64_t cert_expires_at_us;
	bool timed_out; /* in whichever phase: the outcome says */
	char message[HEALTH_MESSAGE_SIZE]; /* why, for people */
};

/* What is kept for one host between its probes: with `keepalive`, its
 * connection, which serves no other host.  Owned by the caller, who starts
 * with zeroes and clears it in the end. */
struct probe_line {
	struct kept *kept; /* the probes' */
};

/* Closes the connection, or has it closed when the probe that uses it ends;
 * the line can be used again.  To be done before the curl loop goes. */
void probe_line_clear(struct probe_line *line);

/* Called once for each started probe that was not cancelled, always from the
 * event loop, never from within probe_start().  During the call probe_judge()
 * may be asked what the probe means; afterwards it is gone.  Starting another
 * one from within is allowed. */
typedef void (*probe_done_fn)(void *owner, const struct probe *probe);

/* What the probe means to somebody with `settings`, which must ask for the
 * same request as those that it was started with. */
void probe_judge(const struct probe *probe, const struct settings *settings,
                 struct probe_result *ret);

/* What the answer says of how the host wants to be used: an agent's line, or
 * AGENT_FIELD where somebody wanted the head.  Nothing said: nothing in it. */
void probe_advice(const struct probe *probe, struct agent_advice *ret);

/* What of the answer must be kept for those who will judge it. */
struct probe_wants {
	bool head;
	bool body;
};

/* Adds what `settings` look at. */
void probe_wants_add(struct probe_wants *wants,
                     const struct settings *settings);

int prober_new(struct prober **ret, struct curl_loop *loop);
void prober_free(struct prober *prober); /* cancels what is in flight */

/* Starts a probe of `address` (the settings' port, if any, replaces its own).
 * `settings`, which have a check other than CHECK_NONE, must live until the
 * probe is done or cancelled; `wants` covers all that will judge, NULL:
 * those with `settings` alone; `line` belongs to the host, has no other probe
 * in flight, and need not live that long; NULL keeps nothing.  Returns a
 * negative errno if nothing was started. */
int probe_start(struct prober *prober, struct probe_line *line,
                const struct address *address, const struct settings *settings,
                const struct probe_wants *wants, probe_done_fn done,
                void *owner, struct probe **ret);

/* Asks an agent at `address`: it is sent settings->agent_send and answers with
 * a line, for which it has as long as a probe.  All else is as for a probe
 * without a line of its own; that passes if it made sense (HEALTH_L7OK). */
int probe_ask(struct prober *prober, const struct address *address,
              const struct settings *settings, probe_done_fn done, void *owner,
              struct probe **ret);

void probe_cancel(struct probe *probe); /* accepts NULL */

#endif
