/* SPDX-License-Identifier: BSD-2-Clause */
#include "etag.h"

#include "config.h"
#include "hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void etag_begin(struct etag *etag)
{
	etag->hash = HASH_BEGIN;
}

static void add_number(struct etag *etag, uint64_t number)
{
	etag->hash = hash_bytes(etag->hash, &number, sizeof(number));
}

/* With its length, so that neighbours cannot lend each other letters. */
static void add_text(struct etag *etag, const char *data, size_t size)
{
	add_number(etag, size);
	etag->hash = hash_bytes(etag->hash, data, size);
}

static void add_string(struct etag *etag, const char *string)
{
	add_text(etag, string, strlen(string));
}

void etag_add_pool(struct etag *etag, const struct pool_config *pool)
{
	add_string(etag, pool->name);
	add_string(etag, pool->upstream);
	add_number(etag, pool->priority);
	add_number(etag, pool->balance);
	add_number(etag, pool->panic_percent);
	add_number(etag, pool->settings->hash);
	add_number(etag, pool->host_count);
}

void etag_add_host(struct etag *etag, const struct host_config *host,
                   const struct etag_order *order)
{
	const uint64_t numbers[] = {
		host->settings->hash, order->weight,         host->max_conns,
		host->max_fails,      host->fail_timeout_ms, order->admin,
		order->until_us,
	};

	add_string(etag, host->id);
	add_text(etag, (const char *) &host->address->any,
	         host->address->length);
	etag->hash = hash_bytes(etag->hash, numbers, sizeof(numbers));
	add_text(etag, order->reason.data, order->reason.size);
}

const char *etag_text(const struct etag *etag, char *buffer)
{
	snprintf(buffer, ETAG_SIZE, "\"%016" PRIx64 "\"", etag->hash);
	return buffer;
}

bool etag_matches(const char *header, const char *text)
{
	size_t length = strlen(text);

	header += strspn(header, " \t");
	if (*header == '*')
		return true;
	while (*header) {
		bool is_weak = strncmp(header, "W/", 2) == 0;

		header += is_weak ? 2 : 0;
		if (!is_weak && strncmp(header, text, length) == 0)
			return true;
		/* to the next one; commas may stand in quotes */
		header += strcspn(header, "\"");
		header += *header == '"';
		header += strcspn(header, "\"");
		header += *header == '"';
		header += strspn(header, " \t,");
	}
	return false;
}
