/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the rounds share, and nobody else sees:
 *
 *	rounds.c          who is due, what came back, what that makes of hosts
 *	rounds_report.c   what live traffic makes of them
 *	rounds_agent.c    what their agents want of them
 *	rounds_order.c    what people order
 *	rounds_demand.c   probes that people ask for
 *	rounds_ramp.c     weights that grow after recovery (slow_start)
 *	rounds_prepare.c  what a configuration will come to, in a thread
 *	rounds_install.c  a configuration comes into force
 *	rounds_sweep.c    the segment is told of many hosts, between probes
 *
 * Ownership: a fleet belongs to the rounds; a flight (one probe under way)
 * belongs to the rounds too and is known to its target.  A flight holds a
 * reference to the configuration it was started with, so that a reload may
 * replace the fleet under it: the flight is then handed to the new target.
 */
#ifndef CHECKERD_ROUNDS_PRIVATE_H
#define CHECKERD_ROUNDS_PRIVATE_H

#include "clock.h"
#include "config.h"
#include "curl_loop.h"
#include "fleet.h"
#include "lag.h"
#include "probe.h"
#include "publication.h"
#include "rounds.h"
#include "segment_draft.h"
#include "segment_writer.h"

/* How close on each other probes follow that confirm a suspicion. */
#define CONFIRM_US UINT64_C(10000)

struct flight {
	struct flight *next_idle;
	struct rounds *rounds;
	struct target *target;
	struct probe *probe;
	struct config *config;           /* a reference */
	const struct settings *settings; /* of `config`: the request */
	uint64_t started_us;
	uint64_t lag_before_us; /* all there had been when it started */
	uint32_t lateness_us;
};

/* An agent is being asked. */
struct call {
	struct rounds *rounds;
	struct agent *agent;
	struct probe *probe;
	struct config *config;           /* a reference */
	const struct settings *settings; /* of `config`: the question */
	uint64_t due_us;
};

/* What becomes of a target when the next fleet comes into force. */
struct heir {
	struct target *target; /* of that fleet; NULL: none */
	bool same;             /* the same hosts, checked in the same way */
};

/* All that can be made of a configuration before it comes into force; after
 * that, what was before. */
struct successor {
	struct fleet *fleet;
	struct probe_line *lines; /* by target */
	struct segment_draft *draft;
	struct heir *heirs; /* by target of the fleet before; NULL: no fleet */
	struct {
		const struct settings *a, *b;
		bool equal;
	} compared; /* the last two */
};

struct rounds {
	struct segment_writer *writer;
	struct curl_loop *loop;
	struct prober *prober;
	sd_event_source *timer;
	uint64_t timer_us;
	uint64_t exact_until_us; /* what is due until then starts on time */
	struct fleet *fleet;      /* NULL before the first install */
	struct probe_line *lines; /* by target: its kept connection */
	uint64_t revision;        /* see rounds_revision() */
	struct schedule schedule;
	struct lag lag;
	struct histogram lateness;
	struct schedule questions; /* of agents */
	sd_event_source *questions_timer;
	uint32_t in_flight;     /* and calls under way */
	struct flight *idle;    /* for probes to come */
	struct demand *demands; /* see rounds_demand.c */
	struct ramp *ramps;     /* see rounds_ramp.c */
	struct {
		sd_event_source *turn;
		struct pool *first, **last; /* by pool->next_to_sweep */
		bool starting;
	} sweep; /* see rounds_sweep.c */
	struct {
		uint64_t count; /* inconclusive since last said */
		uint64_t said_us;
		char why[HEALTH_MESSAGE_SIZE];
	} complaint;
};

/* --- rounds.c ----------------------------------------------------------- */

/* NULL if there is none. */
struct host *rounds_find(const struct rounds *rounds, const char *pool,
                         const char *id);

/* The only way to change what is held true of a host. */
void rounds_judge(struct rounds *rounds, struct host *host,
                  struct verdict verdict, const struct cause *cause);

/* The word of a host, which was `before`; counts the event that it makes. */
void rounds_publish(struct rounds *rounds, const struct host *host,
                    uint64_t before, const struct cause *cause);

/* The fleet has changed what it holds of a host, whose word was `before`, and
 * perhaps its pool's panic: publishes it. */
void rounds_tell(struct rounds *rounds, struct host *host, uint64_t before,
                 bool panic, const struct cause *cause);

/* That a pool's panic began or ended. */
void rounds_tell_panic(struct rounds *rounds, uint32_t pool);

/* One line in the flight recorder, and why.  Returns the detail that is being
 * edited: the caller commits. */
struct health_detail *rounds_record(struct rounds *rounds,
                                    const struct host *host,
                                    const struct probe_result *result);

void rounds_cancel(struct flight *flight); /* accepts NULL */

struct probe_line *rounds_line(const struct rounds *rounds,
                               const struct target *target);

/* The shortest that any of its hosts asks for. */
uint64_t rounds_interval_us(const struct target *target);

bool rounds_is_probed(const struct target *target);

/* Schedules a probe that somebody waits for: it is not put together with
 * others that are due a little later. */
void rounds_hurry(struct rounds *rounds, struct target *target,
                  uint64_t due_us);

void rounds_start_due(struct rounds *rounds);
void rounds_arm(struct rounds *rounds);

/* --- rounds_agent.c ----------------------------------------------------- */

int rounds_agents_new(struct rounds *rounds, sd_event *event);
void rounds_agents_free(struct rounds *rounds);

/* An answer to a check may say how the host wants to be used. */
void rounds_heed_answer(struct rounds *rounds, struct host *host,
                        const struct probe *probe);

/* As many as there is room for in flight. */
void rounds_ask_due(struct rounds *rounds);

/* What the segment remembers of a host's agent. */
struct agent_state rounds_recall_agent(const struct health_detail *detail);
void rounds_forget_agent(struct health_detail *detail);

/* After a new fleet came into force: who is being asked, and who is to be. */
void rounds_hand_over_agents(struct rounds *rounds,
                             const struct successor *before);
void rounds_schedule_agents(struct rounds *rounds, bool first_time);

/* --- rounds_order.c ----------------------------------------------------- */

/* In the detail that is being edited. */
void rounds_show_order(struct health_detail *detail, const char *reason,
                       uint64_t until_us);

/* --- rounds_prepare.c --------------------------------------------------- */

/* What the segment knows of a host becomes its state, and in a new file what
 * that says of it.  May be done again when the segment knows better. */
void rounds_take_over(const struct rounds *rounds, struct successor *next,
                      struct host *host);

/* What the configuration says of a host, in its detail. */
void rounds_show_settings(const struct host *host,
                          struct health_detail *detail);

/* --- rounds_sweep.c ----------------------------------------------------- */

int rounds_sweep_new(struct rounds *rounds, sd_event *event);
void rounds_sweep_free(struct rounds *rounds);

/* The segment is no longer right about any host of a pool, of all pools. */
void rounds_sweep(struct rounds *rounds, struct pool *pool);
void rounds_sweep_all(struct rounds *rounds, bool starting);
void rounds_sweep_finish(struct rounds *rounds);

/* Whether the segment is right about a host. */
bool rounds_is_settled(const struct rounds *rounds, const struct host *host);

/* The word of a host, with all that was decided of it before now. */
uint64_t rounds_word(struct rounds *rounds, struct host *host);

/* --- rounds_demand.c ---------------------------------------------------- */

/* A probe of the target has begun, or has been judged. */
void rounds_demand_begun(struct rounds *rounds, const struct target *target);
void rounds_demand_met(struct rounds *rounds, struct target *target);

/* The fleet was replaced: the hosts of the old one are no more. */
void rounds_demand_moved(struct rounds *rounds,
                         const struct segment_draft *draft);
void rounds_demand_clear(struct rounds *rounds);

/* --- rounds_ramp.c ------------------------------------------------------ */

/* A host whose word was `before` may have come back: its weight begins to
 * grow. */
void rounds_ramp_consider(struct rounds *rounds, struct host *host,
                          uint64_t before);
/* All of them, a step on. */
void rounds_ramp_on(struct rounds *rounds, uint64_t now_us);

/* The fleet was replaced: the hosts of the old one are no more. */
void rounds_ramp_moved(struct rounds *rounds,
                       const struct segment_draft *draft);
void rounds_ramp_clear(struct rounds *rounds);

/* --- rounds_report.c ---------------------------------------------------- */

/* Hosts without probes: what live traffic did to them wears off, ... */
void rounds_forgive(struct rounds *rounds, struct target *target);
/* ... after a while from now. */
uint64_t rounds_forgiven_us(const struct target *target);

#endif
