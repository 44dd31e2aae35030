/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The hosts while the daemon runs: what is held true of each, what that means
 * for its pool, and the words that say both in the segment.  Pure: no clock,
 * no file, no descriptor.  Hosts are numbered as in the segment.
 *
 * A fleet belongs to one configuration; a reload makes a new fleet from the
 * new configuration and what the segment remembers.
 */
#ifndef CHECKERD_FLEET_H
#define CHECKERD_FLEET_H

#include "address.h"
#include "agent_line.h"
#include "counts.h"
#include "schedule.h"
#include "verdict.h"

#include <stdbool.h>

struct config;
struct host_config;
struct pool_config;

struct host {
	const struct host_config *config;
	struct target *target;
	struct host *next;       /* of the same target */
	struct agent *agent;     /* that is asked about it, or NULL */
	struct host *next_asked; /* of the same agent */
	uint32_t index;
	uint32_t pool;
	struct verdict verdict;
	struct agent_state agent_state; /* what holds by its agent's word */
	bool agent_is_new; /* what the segment has of its agent, another said */
	bool shown; /* the daemon's: its settings are in the segment */
	uint32_t ramp;   /* share of the weight since it recovered */
	uint16_t weight; /* this and `admin` begin as configured */
	uint8_t admin;   /* enum health_admin */
	uint8_t outcome; /* enum health_outcome, the last one that counted */
};

/* What is probed: an address and a request.  Hosts, of any pools, that ask the
 * same of the same address share one target: one probe serves them all, and
 * each judges the answer by its own settings. */
struct target {
	struct schedule_entry timer; /* first, so that it leads to the target */
	struct host *hosts;          /* at least one; by host->next */
	uint32_t host_count;
	uint32_t index;        /* of its first host */
	struct flight *flight; /* the probe under way: the daemon's, or NULL */
	uint64_t started_us;   /* the last probe; 0: none yet */
	bool confirming;  /* a streak that live traffic began: no waiting */
	bool out_of_turn; /* this probe came at once: the next at its phase */
};

/* Who is asked how hosts are to be used.  Hosts, of any pools, that ask the
 * same agent the same, as often and as patiently, share its answer. */
struct agent {
	struct schedule_entry timer; /* first, so that it leads to the agent */
	struct address address;
	struct host *hosts; /* at least one; by host->next_asked */
	uint32_t index;     /* of its first host */
	uint32_t turn;      /* how often it was asked */
	struct call *call;  /* the question under way: the daemon's, or NULL */
};

struct pool {
	const struct pool_config *config;
	struct host *hosts;
	uint32_t fit;      /* would take traffic if nobody were in panic */
	uint32_t eligible; /* not taken out by a person or an agent */
	uint32_t up;
	bool panic;
	bool panic_told; /* what the segment and the events say of it */
	/* the daemon's: how many of the hosts the segment is right about, and
	 * which pool it is put right about next */
	uint32_t swept;
	struct pool *next_to_sweep;
	struct pool_counts counts;
};

struct fleet {
	struct config *config; /* a reference */
	struct pool *pools;
	struct host *hosts;
	struct target *targets;
	struct agent *agents;
	uint32_t pool_count;
	uint32_t host_count;
	uint32_t target_count;
	uint32_t agent_count;
};

/* All hosts as if never seen before.  Returns 0 or -ENOMEM. */
int fleet_new(struct fleet **ret, struct config *config);
void fleet_free(struct fleet *fleet); /* accepts NULL */

/* What the segment remembers of a host: its verdict and streaks go on; orders
 * come from the configuration. */
void fleet_recall(struct fleet *fleet, struct host *host, uint64_t word,
                  uint32_t passcount);

/* Pools go on counting where the fleet before ended.  Best effort: without
 * memory they begin anew. */
void fleet_inherit_counts(struct fleet *fleet, const struct fleet *old);

/* A new verdict or order.  Returns whether its pool's panic began or ended and
 * nobody has been told: the words of all its hosts differ then. */
bool fleet_judge(struct fleet *fleet, struct host *host, struct verdict verdict,
                 enum health_outcome outcome);

/* Sets the share of the weight that a host has got back since it recovered,
 * from 0 to FLEET_RAMP_FULL.  Even the least is some. */
#define FLEET_RAMP_FULL UINT32_C(65536)
void fleet_ramp(struct host *host, uint32_t share);

/* A person's order; as fleet_judge(). */
bool fleet_order(struct fleet *fleet, struct host *host,
                 enum health_admin admin, uint16_t weight);

/* What its agent has come to; as fleet_judge(). */
bool fleet_advise(struct fleet *fleet, struct host *host,
                  struct agent_state agent_state);

uint64_t fleet_word(const struct fleet *fleet, const struct host *host);
uint64_t fleet_pool_word(const struct fleet *fleet, uint32_t pool);

/* --- fleet_agents.c ------------------------------------------------------- */

/* For fleet_new().  Returns 0 or -ENOMEM. */
int fleet_find_agents(struct fleet *fleet);

/* Whether agents of two fleets are asked the same at the same place. */
bool fleet_same_agent(const struct agent *a, const struct agent *b);

#endif
