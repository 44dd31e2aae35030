/* SPDX-License-Identifier: BSD-2-Clause */
#include "topology.h"

#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t align64(uint64_t at)
{
	return (at + 63) & ~UINT64_C(63);
}

/* Strings are appended to one block; its size is known before it is made. */
struct strings {
	char *data;
	uint32_t used;
};

static uint32_t strings_add(struct strings *strings, const char *text)
{
	uint32_t at = strings->used;
	size_t size = strlen(text) + 1;

	memcpy(strings->data + at, text, size);
	strings->used += size;
	return at;
}

static uint64_t strings_size(const struct config *config)
{
	char text[ADDRESS_TEXT_SIZE];
	uint64_t size = 0;

	for (uint32_t p = 0; p < config->pool_count; p++) {
		const struct pool_config *pool = &config->pools[p];

		size += strlen(pool->name) + 1 + strlen(pool->upstream) + 1;
		for (uint32_t h = 0; h < pool->host_count; h++)
			size += strlen(pool->hosts[h].id) + 1 +
			        strlen(address_text(pool->hosts[h].address,
			                            text)) +
			        1;
	}
	return size ? size : 1;
}

static const uint8_t observes[] = {
	[OBSERVE_OFF] = HEALTH_OBSERVE_OFF,
	[OBSERVE_CONNECT] = HEALTH_OBSERVE_CONNECT,
	[OBSERVE_STATUS] = HEALTH_OBSERVE_STATUS,
};

static void fill_host(struct health_host *host, uint32_t pool,
                      const struct host_config *config, struct strings *strings)
{
	char text[ADDRESS_TEXT_SIZE];
	const struct address *address = config->address;

	host->pool = pool;
	host->id = strings_add(strings, config->id);
	address_text(address, text);
	host->address = strcmp(text, config->id) == 0
	                        ? host->id
	                        : strings_add(strings, text);
	host->port = address_port(address);
	switch (address->any.sa_family) {
	case AF_INET:
		host->family = HEALTH_IPV4;
		memcpy(host->ip, &address->in.sin_addr, 4);
		break;
	case AF_INET6:
		host->family = HEALTH_IPV6;
		memcpy(host->ip, &address->in6.sin6_addr, 16);
		break;
	default:
		host->family = HEALTH_UNIX;
		break;
	}
	host->max_conns = config->max_conns;
	host->max_fails = config->max_fails;
	host->fail_timeout_ms = config->fail_timeout_ms;
	host->slow_start_ms = config->settings->slow_start_ms;
	host->observe = observes[config->settings->observe];
	memcpy(host->live_fail_status, config->settings->fail_status.bits,
	       sizeof(host->live_fail_status));
}

static void fill_constant(struct topology *topology,
                          const struct config *config)
{
	const struct health_header *header = &topology->header;
	unsigned char *base = topology->constant - header->pools_at;
	struct health_pool *pools = (void *) (base + header->pools_at);
	struct health_host *hosts = (void *) (base + header->hosts_at);
	struct strings strings = { .data = (char *) base + header->strings_at };
	uint32_t next = 0;

	for (uint32_t p = 0; p < config->pool_count; p++) {
		const struct pool_config *from = &config->pools[p];
		struct health_pool *to = &pools[p];

		to->name = strings_add(&strings, from->name);
		to->upstream = strcmp(from->name, from->upstream) == 0
		                       ? to->name
		                       : strings_add(&strings, from->upstream);
		to->first_host = next;
		to->host_count = from->host_count;
		to->priority = from->priority;
		to->balance = from->balance;
		to->panic_percent = from->panic_percent;
		for (uint32_t h = 0; h < from->host_count; h++)
			fill_host(&hosts[next++], p, &from->hosts[h], &strings);
	}
}

int topology_build(struct topology *ret, const struct config *config,
                   uint32_t change_capacity, uint32_t event_capacity)
{
	struct health_header *header = &ret->header;
	uint64_t at = sizeof(*header);

	*ret = (struct topology) { 0 };
	if (config->pool_count > HEALTH_MAX_POOLS ||
	    config->host_count > HEALTH_MAX_HOSTS)
		return -E2BIG;
	header->layout = HEALTH_LAYOUT;
	header->header_size = sizeof(*header);
	header->pool_count = config->pool_count;
	header->host_count = config->host_count;
	header->change_capacity = change_capacity;
	header->event_capacity = event_capacity;
	header->strings_size = strings_size(config);
	if (header->strings_size > HEALTH_MAX_STRINGS)
		return -E2BIG;

	const struct {
		uint64_t *ret_at;
		uint64_t size;
	} parts[] = {
		{ &header->pools_at,
		  config->pool_count * sizeof(struct health_pool) },
		{ &header->hosts_at,
		  config->host_count * sizeof(struct health_host) },
		{ &header->strings_at, header->strings_size },
		{ &header->pool_words_at,
		  (uint64_t) config->pool_count * HEALTH_WORD_STRIDE },
		{ &header->words_at,
		  (uint64_t) config->host_count * HEALTH_WORD_STRIDE },
		{ &header->changes_at, change_capacity * sizeof(uint64_t) },
		{ &header->details_at, (config->host_count + UINT64_C(1)) *
		                               sizeof(struct health_detail) },
		{ &header->events_at,
		  event_capacity * sizeof(struct health_event) },
	};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		*parts[i].ret_at = at;
		at = align64(at + parts[i].size);
	}
	header->size = at;

	ret->constant_size = header->pool_words_at - header->pools_at;
	ret->constant = calloc(1, ret->constant_size);
	if (!ret->constant)
		return -ENOMEM;
	fill_constant(ret, config);
	return 0;
}

void topology_clear(struct topology *topology)
{
	free(topology->constant);
	*topology = (struct topology) { 0 };
}

int topology_equal(const struct topology *topology, const void *segment)
{
	struct health_header a = topology->header, b;

	memcpy(&b, segment, offsetof(struct health_header, generation));
	b.magic = a.magic;
	b.stream = a.stream;
	b.created_at_us = a.created_at_us;
	return memcmp(&a, &b, offsetof(struct health_header, generation)) ==
	               0 &&
	       memcmp(topology->constant,
	              (const unsigned char *) segment + a.pools_at,
	              topology->constant_size) == 0;
}
