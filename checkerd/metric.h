/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The metrics, and how they are written: the text format of Prometheus,
 * version 0.0.4.
 *
 * The table is the truth about names, types, labels and sentences.  What is
 * written comes from it, and tests/lint/metrics.py holds checkerd-metrics(7),
 * the alert rules and the Grafana dashboard to it.
 *
 * What has no bound is no label: reasons, messages and addresses are in the
 * REST interface.  A fleet of H hosts in P pools has 6 H + 35 P + 35
 * series.
 */
#ifndef CHECKERD_METRIC_H
#define CHECKERD_METRIC_H

#include "counts.h"

#include <stdio.h>

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Columns: id, name, type, labels, sentence. */
#define METRICS(X)                                                            \
	X(BUILD_INFO, "checkerd_build_info", GAUGE, "version",                \
	  "1, with the version of checkerd that runs.")                       \
	X(START_TIME, "checkerd_start_time_seconds", GAUGE, "",               \
	  "When checkerd started, in seconds since 1970.")                    \
	X(GENERATION, "checkerd_generation", GAUGE, "",                       \
	  "Generation of the segment: moves when something that routes does.") \
	X(HEARTBEAT_AGE, "checkerd_heartbeat_age_seconds", GAUGE, "",         \
	  "Age of the segment's last heartbeat.")                             \
	X(LOOP_LAG, "checkerd_loop_lag_seconds", GAUGE, "",                   \
	  "The longest that checkerd was held up so far.")                    \
	X(LOOP_HELD_UP, "checkerd_loop_held_up_seconds_total", COUNTER, "",   \
	  "How long checkerd was held up, in all.")                           \
	X(LATENESS, "checkerd_lateness_seconds", HISTOGRAM, "",               \
	  "How long after they were due probes started.")                     \
	X(PROBES_STARTED, "checkerd_probes_started_total", COUNTER, "",       \
	  "Probes started; hosts that ask the same share one.")               \
	X(INCONCLUSIVE, "checkerd_inconclusive_total", COUNTER, "",           \
	  "Probes that counted for nothing, because checkerd was held up or " \
	  "out of resources.")                                                \
	X(REPORTS_REFUSED, "checkerd_reports_refused_total", COUNTER, "",     \
	  "Datagrams to the report socket that were no reports, or from "     \
	  "users who may not send any.")                                      \
	X(NOTIFY_WAITING, "checkerd_notify_waiting", GAUGE, "receiver",       \
	  "Events that a receiver has not been told of yet.")                 \
	X(NOTIFY_DELIVERED, "checkerd_notify_delivered_total", COUNTER,       \
	  "receiver", "Events that a receiver took.")                         \
	X(NOTIFY_FAILED, "checkerd_notify_failed_total", COUNTER, "receiver", \
	  "Attempts to tell a receiver that failed.")                         \
	X(NOTIFY_RETRIED, "checkerd_notify_retried_total", COUNTER,           \
	  "receiver", "Attempts that were made again.")                       \
	X(NOTIFY_DROPPED, "checkerd_notify_dropped_total", COUNTER,           \
	  "receiver", "Events that a receiver will not be told of.")          \
	X(POOL_HOSTS, "checkerd_pool_hosts", GAUGE, "upstream pool",          \
	  "Hosts of the pool.")                                               \
	X(POOL_HOSTS_UP, "checkerd_pool_hosts_up", GAUGE, "upstream pool",    \
	  "Hosts of the pool that are up.")                                   \
	X(POOL_PANIC, "checkerd_pool_panic", GAUGE, "upstream pool",          \
	  "1 while so few hosts are up that the pool's health is ignored.")   \
	X(PROBES, "checkerd_probes_total", COUNTER, "upstream pool outcome",  \
	  "Probes by outcome, as each host judged them.")                     \
	X(PROBE_DURATION, "checkerd_probe_duration_seconds", HISTOGRAM,       \
	  "upstream pool", "How long probes took that counted.")              \
	X(TRANSITIONS, "checkerd_transitions_total", COUNTER,                 \
	  "upstream pool to", "Changes of the state of hosts.")               \
	X(HOST_UP, "checkerd_host_up", GAUGE, "upstream pool host",           \
	  "1 if the host's state is up, else 0.")                             \
	X(HOST_STATE, "checkerd_host_state", GAUGE, "upstream pool host",     \
	  "0 unknown, 1 checking, 2 up, 3 down, 4 drain.")                    \
	X(HOST_ORDERED, "checkerd_host_ordered", GAUGE, "upstream pool host", \
	  "1 while an order to take the host out is in force: a person's, or "  \
	  "its agent's drain or maint.")                                      \
	X(HOST_FAILCOUNT, "checkerd_host_failcount", GAUGE,                   \
	  "upstream pool host", "Consecutive failures.")                      \
	X(HOST_WEIGHT, "checkerd_host_weight", GAUGE, "upstream pool host",   \
	  "Effective weight.")                                                \
	X(CERT_EXPIRY, "checkerd_cert_expiry_seconds", GAUGE,                 \
	  "upstream pool host",                                               \
	  "When the host's certificate expires, in seconds since 1970.")

enum metric_id {
#define X(id, name, type, labels, help) METRIC_##id,
	METRICS(X)
#undef X
	METRIC_COUNT
};

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric {
	const char *name;
	enum metric_type type;
	const char *labels; /* divided by blanks; a histogram has `le` too */
	const char *help;
};

extern const struct metric metrics[METRIC_COUNT];

#define METRIC_LABELS_MAX 3

const char *metric_type_name(enum metric_type type);

/* The HELP and TYPE of the samples to come. */
void metric_heading(FILE *out, enum metric_id id);

/* One for each label of the table. */
struct metric_values {
	struct health_text text[METRIC_LABELS_MAX];
};

/* Values may be any bytes; what is no UTF-8 in them is replaced, since one
 * such byte would cost a reader the whole page. */
void metric_sample(FILE *out, enum metric_id id,
                   const struct metric_values *values, double value);

void metric_histogram(FILE *out, enum metric_id id,
                      const struct metric_values *values,
                      const struct histogram *histogram);

#endif
