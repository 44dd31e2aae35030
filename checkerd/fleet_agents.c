/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which agents there are to ask, and about which hosts.
 */
#include "fleet.h"

#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A host and where its agent is. */
struct aim {
	struct address address;
	struct host *host;
};

static bool find_agent(const struct host *host, struct address *ret)
{
	const struct config_agent *agent = &host->config->settings->agent;

	if (agent->kind != AGENT_TCP)
		return false;
	*ret = agent->address;
	if (agent->address.length == 0) {
		address_copy(ret, host->config->address);
		address_set_port(ret, agent->port);
	}
	return true;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_bytes(const struct config_bytes *a,
                         const struct config_bytes *b)
{
	if (a->size != b->size || a->size == 0)
		return compare_numbers(a->size, b->size);
	return memcmp(a->data, b->data, a->size);
}

/* What is asked, how often and how patiently; where is not looked at. */
static int compare_questions(const struct settings *one,
                             const struct settings *other)
{
	int order;

	order = compare_bytes(&one->agent_send, &other->agent_send);
	if (order == 0)
		order = compare_numbers(one->agent_interval_ms,
		                        other->agent_interval_ms);
	if (order == 0)
		order = compare_numbers(one->connect_timeout_ms,
		                        other->connect_timeout_ms);
	if (order == 0)
		order = compare_numbers(one->read_timeout_ms,
		                        other->read_timeout_ms);
	return order;
}

static int compare_aims(const void *left, const void *right)
{
	const struct aim *a = left, *b = right;
	int order = compare_numbers(a->address.length, b->address.length);

	if (order == 0)
		order = memcmp(&a->address.any, &b->address.any,
		               a->address.length);
	if (order == 0)
		order = compare_questions(a->host->config->settings,
		                          b->host->config->settings);
	return order ? order : compare_numbers(a->host->index, b->host->index);
}

static bool may_share(const struct agent *agent, const struct aim *aim)
{
	return address_equal(&agent->address, &aim->address) &&
	       compare_questions(agent->hosts->config->settings,
	                         aim->host->config->settings) == 0;
}

bool fleet_same_agent(const struct agent *a, const struct agent *b)
{
	const struct aim aim = { .address = b->address, .host = b->hosts };

	return may_share(a, &aim);
}

int fleet_find_agents(struct fleet *fleet)
{
	struct aim *aims = calloc(fleet->host_count + 1, sizeof(*aims));
	struct agent *agent = NULL;
	uint32_t count = 0;

	for (uint32_t i = 0; aims && i < fleet->host_count; i++) {
		aims[count].host = &fleet->hosts[i];
		count += find_agent(&fleet->hosts[i], &aims[count].address);
	}
	fleet->agents = calloc(count + 1, sizeof(*fleet->agents));
	if (!aims || !fleet->agents) {
		free(aims);
		return -ENOMEM;
	}
	qsort(aims, count, sizeof(*aims), compare_aims);
	for (uint32_t i = 0; i < count; i++) {
		struct host *host = aims[i].host;

		if (!agent || !may_share(agent, &aims[i])) {
			agent = &fleet->agents[fleet->agent_count++];
			agent->address = aims[i].address;
			agent->index = host->index;
		}
		host->agent = agent;
		host->next_asked = agent->hosts;
		agent->hosts = host;
	}
	free(aims);
	return 0;
}
