/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit.h"

#include "config.h"
#include "etag.h"
#include "util.h"

#include <string.h>

/* One thing that may be different from the usual. */
struct change {
	struct settings settings;
	struct host_config host;
	struct address address;
	struct pool_config pool;
	struct etag_order order;
};

static struct change usual(void)
{
	static const struct health_text none = { "", 0 };
	size_t length;
	uint16_t port;
	struct change usual = {
		.settings = { .hash = 1 },
		.host = { .id = "a", .weight = 1, .max_fails = 1 },
		.pool = { .name = "p", .upstream = "p", .host_count = 1 },
		.order = { .admin = HEALTH_AUTO, .reason = none },
	};

	assert_int_equal(address_parse(&usual.address, "127.0.0.1:80",
	                               &length, &port),
	                 0);
	return usual;
}

static uint64_t host_hash(struct change *change)
{
	struct etag etag;

	change->host.settings = &change->settings;
	change->host.address = &change->address;
	etag_begin(&etag);
	etag_add_host(&etag, &change->host, &change->order);
	return etag.hash;
}

static uint64_t pool_hash(struct change *change)
{
	struct etag etag;

	change->host.settings = change->pool.settings = &change->settings;
	change->host.address = &change->address;
	etag_begin(&etag);
	etag_add_pool(&etag, &change->pool);
	etag_add_host(&etag, &change->host, &change->order);
	return etag.hash;
}

static void all_that_is_wanted_of_a_host_counts(void **state)
{
	struct change changes[] = {
		usual(), usual(), usual(), usual(), usual(),
		usual(), usual(), usual(), usual(), usual(),
	};
	uint64_t hashes[ARRAY_SIZE(changes)];

	(void) state;
	changes[1].host.id = "b";
	changes[2].order.weight = 2;
	changes[3].host.max_conns = 1;
	changes[4].host.max_fails = 2;
	changes[5].settings.hash = 2;
	changes[6].order.admin = HEALTH_ADMIN_DOWN;
	changes[7].order.until_us = 1;
	changes[8].order.reason = (struct health_text) { "why", 3 };
	address_set_port(&changes[9].address, 81);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		hashes[i] = host_hash(&changes[i]);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(hashes[i], hashes[k]);
	}
	changes[0] = usual();
	assert_int_equal(host_hash(&changes[0]), hashes[0]);
}

static void a_pool_counts_with_its_hosts(void **state)
{
	struct change changes[] = { usual(), usual(), usual(), usual(),
		                    usual(), usual(), usual() };
	uint64_t hashes[ARRAY_SIZE(changes)];

	(void) state;
	changes[1].pool.upstream = "q";
	changes[2].pool.priority = 1;
	changes[3].pool.balance = HEALTH_HASH;
	changes[4].pool.panic_percent = 1;
	changes[5].order.weight = 2;
	changes[6].order.admin = HEALTH_ADMIN_DRAIN;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		hashes[i] = pool_hash(&changes[i]);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(hashes[i], hashes[k]);
	}
}

static void headers_name_it_or_not(void **state)
{
	static const struct {
		const char *header;
		bool matches;
	} rows[] = {
		{ "\"1\"", true },
		{ "*", true },
		{ " \t\"1\"", true },
		{ "\"2\", \"1\"", true },
		{ "\"2\",\"1\" , \"3\"", true },
		{ "\"a,b\", \"1\"", true },
		{ "W/\"1\"", false },
		{ "W/\"2\", W/\"1\"", false },
		{ "\"2\"", false },
		{ "\"\"", false },
		{ "1", false },
		{ "\"1", false },
		{ "", false },
		{ "W/", false },
		{ "\"2\", x\"1\"", false },
		{ "\"2\" \"", false },
		{ ",,,,", false },
	};

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(etag_matches(rows[i].header, "\"1\""),
		                 rows[i].matches);
	}
}

static void its_text_is_quoted(void **state)
{
	const struct etag etag = { 0xabc };
	char text[ETAG_SIZE];

	(void) state;
	assert_string_equal(etag_text(&etag, text), "\"0000000000000abc\"");
	assert_true(etag_matches(text, text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_is_wanted_of_a_host_counts),
		cmocka_unit_test(a_pool_counts_with_its_hosts),
		cmocka_unit_test(headers_name_it_or_not),
		cmocka_unit_test(its_text_is_quoted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
