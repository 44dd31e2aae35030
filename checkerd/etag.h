/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What tells two versions of a pool or host apart: settings and orders, but
 * nothing that a probe finds out.  A change made with If-Match then meets the
 * version that its maker saw, or none.
 *
 * Of a host: etag_begin(), etag_add_host(), etag_text().  Of a pool:
 * etag_begin(), etag_add_pool(), etag_add_host() for each of its hosts,
 * etag_text().  Pure.
 */
#ifndef CHECKERD_ETAG_H
#define CHECKERD_ETAG_H

#include "../include/health_shm.h"

#include <stdbool.h>

#define ETAG_SIZE 19 /* 16 digits in quotes */

struct host_config;
struct pool_config;

struct etag {
	uint64_t hash;
};

/* What a person wants of a host. */
struct etag_order {
	enum health_admin admin;
	uint16_t weight;
	uint64_t until_us; /* 0: open */
	struct health_text reason;
};

void etag_begin(struct etag *etag);
void etag_add_pool(struct etag *etag, const struct pool_config *pool);
void etag_add_host(struct etag *etag, const struct host_config *host,
                   const struct etag_order *order);

/* As the header has it; `buffer` has ETAG_SIZE bytes. */
const char *etag_text(const struct etag *etag, char *buffer);

/* Whether the value of If-Match names `text`: a list of ETags, or "*".  Weak
 * ones, W/"...", do not count. */
bool etag_matches(const char *header, const char *text);

#endif
