/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The rounds that checkerd makes: who is due, what came back, what that makes
 * of the host, and who is told.  Here schedule, probes, verdict and segment
 * meet; none of them knows another.
 */
#ifndef CHECKERD_ROUNDS_H
#define CHECKERD_ROUNDS_H

#include "report_receiver.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct config;
struct histogram;
struct pool_counts;
struct rounds;
struct segment_writer;

/* `writer` stays the caller's and must outlive the rounds. */
int rounds_new(struct rounds **ret, sd_event *event,
               struct segment_writer *writer);
void rounds_free(struct rounds *rounds); /* accepts NULL */

/* A configuration, and all that can be made of it before it comes into
 * force. */
struct successor;

/* In any thread, one at a time, while the rounds go on in theirs; nothing may
 * be installed meanwhile.  Takes a reference of its own to `config`.  Returns
 * 0 or a negative errno. */
int rounds_prepare(const struct rounds *rounds, struct config *config,
                   struct successor **ret);

/* In any thread, but before the next one is prepared if it was not
 * installed. */
void successor_free(struct successor *successor); /* accepts NULL */

/* Puts it in force: at the start, and as a diff by (pool, host id) at a
 * reload.  `next` then holds what was before, for successor_free().  Returns
 * an enum segment_fate; on error everything goes on as before. */
int rounds_install(struct rounds *rounds, struct successor *next);

/* The segment and the events are told of many hosts by and by; of this one
 * now. */
void rounds_settle(struct rounds *rounds, uint32_t host);

/* What is in force: its pools and hosts are numbered as the segment's.  NULL
 * before the first install. */
const struct config *rounds_config(const struct rounds *rounds);

/* Moves whenever what people want of hosts may be another than before. */
uint64_t rounds_revision(const struct rounds *rounds);

/* Called at least every LAG_WAKE_US: beats the segment's heart and watches
 * for lag. */
void rounds_beat(struct rounds *rounds);

/* An nginx worker reported. */
enum report_worth rounds_report(struct rounds *rounds,
                                const struct health_report *report);

/* What a person ordered of one host. */
struct rounds_order {
	enum health_admin admin;
	uint16_t weight;
	bool raise;         /* holds it up, its failures forgotten */
	const char *reason; /* this and `until_us` are shown; NULL: none */
	uint64_t until_us;  /* real time; 0: open */
	const char *told;   /* what the event gives as reason; NULL: none */
	const char *why;    /* for people */
};

/* Returns -ENOENT if there is no such host. */
int rounds_order(struct rounds *rounds, const char *pool, const char *id,
                 const struct rounds_order *order);

/* `host` is its number in the segment; `probed` is false if the probe was
 * given up, because a new configuration came. */
typedef void rounds_probed_fn(void *owner, bool probed, uint32_t host);

/* Probes a host at once, out of turn, and calls back when a probe that began
 * after this call has been judged, or none will be.  Returns -ENOENT if there
 * is no such host, -EOPNOTSUPP if it is not probed, or another negative
 * errno, and then nobody is called. */
int rounds_probe(struct rounds *rounds, const char *pool, const char *id,
                 rounds_probed_fn *probed, void *owner);

/* What was done since the start.  The pool is numbered as in the segment, and
 * keeps its counts across installs by its name. */
const struct pool_counts *rounds_pool_counts(const struct rounds *rounds,
                                             uint32_t pool);
const struct histogram *rounds_lateness(const struct rounds *rounds);
uint64_t rounds_held_up_us(const struct rounds *rounds);

struct rounds_summary {
	uint32_t hosts;
	uint32_t up; /* taking traffic */
	uint64_t generation;
};

struct rounds_summary rounds_summarize(const struct rounds *rounds);

#endif
