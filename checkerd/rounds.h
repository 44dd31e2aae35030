/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The rounds that checkerd makes: who is due, what came back, what that makes
 * of the host, and who is told.  Here schedule, probes, verdict and segment
 * meet; none of them knows another.
 */
#ifndef CHECKERD_ROUNDS_H
#define CHECKERD_ROUNDS_H

#include "../include/health_report.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct config;
struct rounds;
struct segment_writer;

/* `writer` stays the caller's and must outlive the rounds. */
int rounds_new(struct rounds **ret, sd_event *event,
               struct segment_writer *writer);
void rounds_free(struct rounds *rounds); /* accepts NULL */

/* Puts `config` in force: at the start, and as a diff by (pool, host id) at a
 * reload.  Takes a reference of its own.  Returns an enum segment_fate; on
 * error everything goes on as before. */
int rounds_install(struct rounds *rounds, struct config *config);

/* What is in force: its pools and hosts are numbered as the segment's.  NULL
 * before the first install. */
const struct config *rounds_config(const struct rounds *rounds);

/* Called at least every LAG_WAKE_US: beats the segment's heart and watches
 * for lag. */
void rounds_beat(struct rounds *rounds);

/* An nginx worker reported.  Returns false if that made no sense. */
bool rounds_report(struct rounds *rounds, const struct health_report *report);

struct rounds_summary {
	uint32_t hosts;
	uint32_t up; /* taking traffic */
	uint64_t generation;
};

struct rounds_summary rounds_summarize(const struct rounds *rounds);

#endif
