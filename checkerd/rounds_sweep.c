/* SPDX-License-Identifier: BSD-2-Clause
 *
 * After an install, or when the panic of a pool begins or ends, the fleet may
 * hold of many hosts something else than the segment says.  It is told of them
 * in turns of a millisecond, between probes; of a few hosts at once.
 *
 * Whoever changes what is held of a host in between asks for its word by
 * rounds_word() first, so that no transition is lost nor told as part of
 * another.
 */
#include "rounds_private.h"

#include <string.h>

#define TURN_US UINT64_C(1000)

/* Hosts between two looks at the clock. */
#define STRIDE 16

/* --- one host ----------------------------------------------------------- */

/* Of the file that stayed.  Once: orders may change what is shown. */
static void show(struct rounds *rounds, struct host *host)
{
	struct health_detail *detail =
		segment_writer_edit(rounds->writer, host->index);

	host->shown = true;
	rounds_show_settings(host, detail);
	if (memcmp(detail, segment_writer_detail(rounds->writer, host->index),
	           sizeof(*detail)) != 0)
		segment_writer_commit(rounds->writer);
}

/* What the configuration orders of a host that is known already, and what its
 * agent did when a kill kept it from being published. */
static void sweep_host(struct rounds *rounds, struct host *host)
{
	static const struct cause order = { .outcome = HEALTH_ADMIN,
		                            .why = "by the configuration" };
	static const struct cause agent = { .outcome = HEALTH_AGENT,
		                            .why = "as its agent said" };
	bool by_agent =
		host->admin == HEALTH_AUTO &&
		agent_state_order(host->agent_state) != HEALTH_AGENT_NONE;
	uint64_t before = health_shm_word(segment_writer_shm(rounds->writer),
	                                  host->index);

	rounds->revision++;
	if (!host->shown)
		show(rounds, host);
	if (!rounds->sweep.starting)
		rounds_ramp_consider(rounds, host, before);
	rounds_publish(rounds, host, before, by_agent ? &agent : &order);
}

bool rounds_is_settled(const struct rounds *rounds, const struct host *host)
{
	const struct pool *pool = &rounds->fleet->pools[host->pool];

	return host - pool->hosts < pool->swept;
}

uint64_t rounds_word(struct rounds *rounds, struct host *host)
{
	if (!rounds_is_settled(rounds, host))
		sweep_host(rounds, host);
	return fleet_word(rounds->fleet, host);
}

void rounds_settle(struct rounds *rounds, uint32_t host)
{
	rounds_word(rounds, &rounds->fleet->hosts[host]);
}

/* --- all of them -------------------------------------------------------- */

static bool is_swept(const struct pool *pool)
{
	return pool->swept == pool->config->host_count;
}

static void turn(struct rounds *rounds, uint64_t end_us)
{
	struct pool *pool;
	unsigned count = 0;

	while ((pool = rounds->sweep.first)) {
		while (!is_swept(pool)) {
			if (++count % STRIDE == 0 && monotonic_us() >= end_us)
				return;
			sweep_host(rounds, &pool->hosts[pool->swept]);
			pool->swept++;
		}
		rounds->sweep.first = pool->next_to_sweep;
	}
	rounds->sweep.last = &rounds->sweep.first;
}

static void go_on(struct rounds *rounds)
{
	turn(rounds, monotonic_us() + TURN_US);
	sd_event_source_set_enabled(rounds->sweep.turn,
	                            rounds->sweep.first ? SD_EVENT_ON
	                                                : SD_EVENT_OFF);
}

static int on_turn(sd_event_source *source, void *userdata)
{
	(void) source;
	go_on(userdata);
	return 0;
}

static void put_in_line(struct rounds *rounds, struct pool *pool)
{
	if (pool->config->host_count == 0)
		return;
	if (is_swept(pool)) {
		pool->next_to_sweep = NULL;
		*rounds->sweep.last = pool;
		rounds->sweep.last = &pool->next_to_sweep;
	}
	pool->swept = 0;
}

void rounds_sweep(struct rounds *rounds, struct pool *pool)
{
	put_in_line(rounds, pool);
	go_on(rounds);
}

void rounds_sweep_all(struct rounds *rounds, bool starting)
{
	rounds->sweep.starting = starting;
	for (uint32_t p = 0; p < rounds->fleet->pool_count; p++)
		put_in_line(rounds, &rounds->fleet->pools[p]);
	go_on(rounds);
}

void rounds_sweep_finish(struct rounds *rounds)
{
	turn(rounds, UINT64_MAX);
}

/* --- life --------------------------------------------------------------- */

int rounds_sweep_new(struct rounds *rounds, sd_event *event)
{
	int r = sd_event_add_defer(event, &rounds->sweep.turn, on_turn, rounds);

	rounds->sweep.last = &rounds->sweep.first;
	return r < 0 ? r
	             : sd_event_source_set_enabled(rounds->sweep.turn,
	                                           SD_EVENT_OFF);
}

void rounds_sweep_free(struct rounds *rounds)
{
	sd_event_source_disable_unref(rounds->sweep.turn);
}
