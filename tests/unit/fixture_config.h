/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Small configurations for tests, without a file: pools of hosts named by one
 * string each, "primary: a b c; spare: d".
 */
#ifndef CHECKERD_TEST_FIXTURE_CONFIG_H
#define CHECKERD_TEST_FIXTURE_CONFIG_H

#include "config.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURE_POOLS 8
#define FIXTURE_HOSTS 64

struct fixture_config {
	struct config config;
	struct settings settings;
	struct pool_config pools[FIXTURE_POOLS];
	struct host_config hosts[FIXTURE_HOSTS];
	struct address addresses[FIXTURE_HOSTS];
	char text[1024];
};

/* Each host listens on 127.0.0.1, port 1000 plus the first letter of its id. */
static inline struct config *fixture_config(struct fixture_config *fixture,
                                            const char *text)
{
	char *pools, *pool_text, *hosts, *id;
	struct pool_config *pool;
	struct host_config *host = fixture->hosts;
	struct address *address = fixture->addresses;

	memset(fixture, 0, sizeof(*fixture));
	fixture->settings = (struct settings) {
		.check = CHECK_HTTP,
		.interval_ms = 1000,
		.fast_interval_ms = 1000,
		.down_interval_ms = 1000,
		.connect_timeout_ms = 500,
		.read_timeout_ms = 500,
		.rise = 2,
		.fall = 3,
	};
	strncpy(fixture->text, text, sizeof(fixture->text) - 1);
	fixture->config.pools = fixture->pools;
	for (pools = fixture->text; (pool_text = strsep(&pools, ";"));) {
		pool = &fixture->pools[fixture->config.pool_count++];
		hosts = pool_text + strspn(pool_text, " ");
		pool->name = pool->upstream = strsep(&hosts, ":");
		pool->hosts = host;
		while ((id = strsep(&hosts, " "))) {
			if (!*id)
				continue;
			host->id = id;
			host->weight = 1;
			host->settings = &fixture->settings;
			host->address = address;
			address->length = sizeof(struct sockaddr_in);
			address->in.sin_family = AF_INET;
			address->in.sin_addr.s_addr = htonl(0x7f000001);
			address->in.sin_port =
			        htons((uint16_t) (1000 + id[0]));
			address++;
			host++;
			pool->host_count++;
			fixture->config.host_count++;
		}
	}
	return &fixture->config;
}

#endif
