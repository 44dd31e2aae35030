/* SPDX-License-Identifier: BSD-2-Clause */
#include "fleet.h"

#include "config.h"
#include "name_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool host_checking(const struct host *host)
{
	return host->verdict.verdict == HEALTH_UNKNOWN &&
	       host->config->settings->initial == INITIAL_CHECKING;
}

/* Neither a person nor an agent took it out: their orders hold in a panic. */
static bool host_eligible(const struct host *host)
{
	enum health_agent agent = agent_state_order(host->agent_state);

	return host->admin == HEALTH_AUTO && agent != HEALTH_AGENT_DRAIN &&
	       agent != HEALTH_AGENT_MAINT && !host_checking(host);
}

static bool host_fit(const struct host *host)
{
	return host_eligible(host) && !host->agent_state.down &&
	       host->verdict.verdict != HEALTH_DOWN;
}

/* All that scales a weight does so here. */
static uint32_t effective_weight(const struct host *host)
{
	uint32_t weight = host->weight * HEALTH_WEIGHT_UNIT *
	                  host->agent_state.percent / 100;
	uint32_t ramped =
		(uint32_t) ((uint64_t) weight * host->ramp / FLEET_RAMP_FULL);

	return ramped > 0 || weight == 0 ? ramped : 1;
}

/* What one host contributes to its pool's counts, times `sign`. */
static void count(struct pool *pool, const struct host *host, int sign)
{
	bool fit = host_fit(host);

	pool->eligible += (uint32_t) (host_eligible(host) * sign);
	pool->fit += (uint32_t) (fit * sign);
	pool->up += (uint32_t) ((fit && host->verdict.verdict == HEALTH_UP) *
	                        sign);
}

static bool update_panic(struct pool *pool)
{
	pool->panic = (uint64_t) pool->fit * 100 <
	              (uint64_t) pool->eligible * pool->config->panic_percent;
	return pool->panic != pool->panic_told;
}

static struct verdict initial_verdict(const struct host_config *config)
{
	enum health_verdict verdict = HEALTH_UNKNOWN;

	if (config->settings->check == CHECK_NONE)
		verdict = HEALTH_UP; /* no pass will ever say so */
	else if (config->settings->initial == INITIAL_DOWN)
		verdict = HEALTH_DOWN;
	return (struct verdict) { .verdict = (uint8_t) verdict };
}

/* --- who shares a probe ------------------------------------------------- */

/* A host and the address that its probes go to. */
struct aim {
	struct address address;
	struct host *host;
};

static uint64_t request_hash(const struct aim *aim)
{
	return aim->host->config->settings->request_hash;
}

static int compare_aims(const void *a, const void *b)
{
	const struct aim *one = a, *other = b;
	int order;

	if (one->address.length != other->address.length)
		return one->address.length < other->address.length ? -1 : 1;
	order = memcmp(&one->address.any, &other->address.any,
	               one->address.length);
	if (order != 0)
		return order;
	if (request_hash(one) != request_hash(other))
		return request_hash(one) < request_hash(other) ? -1 : 1;
	return one->host->index < other->host->index ? -1 : 1;
}

static bool may_share(const struct host *a, const struct host *b)
{
	const struct settings *one = a->config->settings;
	const struct settings *other = b->config->settings;

	/* without probes there is nothing to share but the timer */
	return one->check != CHECK_NONE &&
	       (one == other || config_requests_equal(one, other));
}

static void join(struct target *target, struct host *host)
{
	if (!target->hosts)
		target->index = host->index;
	host->target = target;
	host->next = target->hosts;
	target->hosts = host;
	target->host_count++;
}

static int find_targets(struct fleet *fleet)
{
	struct aim *aims = calloc(fleet->host_count + 1, sizeof(*aims));
	struct target *target = NULL;

	if (!aims)
		return -ENOMEM;
	for (uint32_t i = 0; i < fleet->host_count; i++) {
		struct host *host = &fleet->hosts[i];

		aims[i].host = host;
		/* NOLINTNEXTLINE: each host has its configuration */
		address_copy(&aims[i].address, host->config->address);
		if (host->config->settings->port)
			address_set_port(&aims[i].address,
			                 host->config->settings->port);
	}
	qsort(aims, fleet->host_count, sizeof(*aims), compare_aims);
	/* those that ask the same of the same address are neighbours now */
	for (uint32_t i = 0; i < fleet->host_count; i++) {
		if (!target ||
		    !address_equal(&aims[i].address, &aims[i - 1].address) ||
		    !may_share(target->hosts, aims[i].host))
			target = &fleet->targets[fleet->target_count++];
		join(target, aims[i].host);
	}
	free(aims);
	return 0;
}

/* --- life --------------------------------------------------------------- */

int fleet_new(struct fleet **ret, struct config *config)
{
	struct fleet *fleet = calloc(1, sizeof(*fleet));
	struct host *host;

	if (!fleet)
		return -ENOMEM;
	fleet->config = config_ref(config);
	fleet->pool_count = config->pool_count;
	fleet->host_count = config->host_count;
	fleet->pools = calloc(config->pool_count + 1, sizeof(*fleet->pools));
	fleet->hosts = calloc(config->host_count + 1, sizeof(*fleet->hosts));
	fleet->targets =
		calloc(config->host_count + 1, sizeof(*fleet->targets));
	if (!fleet->pools || !fleet->hosts || !fleet->targets) {
		fleet_free(fleet);
		return -ENOMEM;
	}
	host = fleet->hosts;
	for (uint32_t p = 0; p < fleet->pool_count; p++) {
		struct pool *pool = &fleet->pools[p];

		pool->config = &config->pools[p];
		pool->hosts = host;
		pool->swept = pool->config->host_count;
		for (uint32_t h = 0; h < pool->config->host_count; h++) {
			host->config = &pool->config->hosts[h];
			host->index = (uint32_t) (host - fleet->hosts);
			host->pool = p;
			host->admin = (uint8_t) host->config->admin;
			host->weight = host->config->weight;
			host->ramp = FLEET_RAMP_FULL;
			host->verdict = initial_verdict(host->config);
			host->agent_state = agent_state_neutral;
			count(pool, host, 1);
			host++;
		}
		update_panic(pool);
	}
	if (find_targets(fleet) < 0 || fleet_find_agents(fleet) < 0) {
		fleet_free(fleet);
		return -ENOMEM;
	}
	*ret = fleet;
	return 0;
}

void fleet_free(struct fleet *fleet)
{
	if (!fleet)
		return;
	config_unref(fleet->config);
	free(fleet->pools);
	free(fleet->hosts);
	free(fleet->targets);
	free(fleet->agents);
	free(fleet);
}

void fleet_recall(struct fleet *fleet, struct host *host, uint64_t word,
                  uint32_t passcount)
{
	fleet_judge(fleet, host,
	            (struct verdict) {
			    .verdict = (uint8_t) health_word_verdict(word),
			    .failcount = (uint16_t) health_word_failcount(word),
			    /* a kill may have left one of the two behind */
			    .passcount = health_word_failcount(word) > 0
	                                         ? 0
	                                         : (uint16_t) passcount },
	            (enum health_outcome) health_word_outcome(word));
}

bool fleet_judge(struct fleet *fleet, struct host *host, struct verdict verdict,
                 enum health_outcome outcome)
{
	struct pool *pool = &fleet->pools[host->pool];

	count(pool, host, -1);
	host->verdict = verdict;
	host->outcome = (uint8_t) outcome;
	count(pool, host, 1);
	return update_panic(pool);
}

bool fleet_advise(struct fleet *fleet, struct host *host,
                  struct agent_state agent_state)
{
	struct pool *pool = &fleet->pools[host->pool];

	count(pool, host, -1);
	host->agent_state = agent_state;
	count(pool, host, 1);
	return update_panic(pool);
}

void fleet_ramp(struct host *host, uint32_t share)
{
	host->ramp = share;
}

bool fleet_order(struct fleet *fleet, struct host *host,
                 enum health_admin admin, uint16_t weight)
{
	struct pool *pool = &fleet->pools[host->pool];

	count(pool, host, -1);
	host->admin = (uint8_t) admin;
	host->weight = weight;
	count(pool, host, 1);
	return update_panic(pool);
}

uint64_t fleet_word(const struct fleet *fleet, const struct host *host)
{
	bool panic = fleet->pools[host->pool].panic;
	bool routable = host_fit(host) || (panic && host_eligible(host));
	enum health_agent agent = agent_state_order(host->agent_state);

	return health_word_make((enum health_verdict) host->verdict.verdict,
	                        (enum health_admin) host->admin, routable,
	                        host_checking(host), effective_weight(host),
	                        host->verdict.failcount,
	                        (enum health_outcome) host->outcome) |
	       (uint64_t) agent << HEALTH_WORD_AGENT_SHIFT;
}

uint64_t fleet_pool_word(const struct fleet *fleet, uint32_t pool)
{
	const struct pool *of = &fleet->pools[pool];

	return health_pool_word_make(of->panic ? of->eligible : of->fit, of->up,
	                             of->panic_told);
}

void fleet_inherit_counts(struct fleet *fleet, const struct fleet *old)
{
	struct name_index *index = name_index_new(old->pool_count);

	for (uint32_t i = 0; index && i < old->pool_count; i++) {
		const char *name = old->pools[i].config->name;

		name_index_add(index, name, strlen(name), "", 0, i);
	}
	for (uint32_t i = 0; index && i < fleet->pool_count; i++) {
		const char *name = fleet->pools[i].config->name;
		uint32_t from =
			name_index_find(index, name, strlen(name), "", 0);

		if (from != NAME_INDEX_NONE)
			fleet->pools[i].counts = old->pools[from].counts;
	}
	name_index_free(index);
}
