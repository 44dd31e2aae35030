/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit.h"

#include "path_pattern.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define POOLS "/v1/pools"
#define POOL  "/v1/pools/*"
#define HOST  "/v1/pools/*/hosts/*"

static void paths_against_patterns(void **state)
{
	static const struct {
		const char *pattern, *path;
		int result;
		const char *first, *second;
	} rows[] = {
		{ POOLS, "/v1/pools", 1, "", "" },
		{ POOLS, "/v1/pools/", 0, NULL, NULL },
		{ POOLS, "/v1/pool", 0, NULL, NULL },
		{ POOLS, "/v1/poolss", 0, NULL, NULL },
		{ POOLS, "v1/pools", 0, NULL, NULL },
		{ POOLS, "//v1/pools", 0, NULL, NULL },
		{ POOLS, "", 0, NULL, NULL },
		{ POOL, "/v1/pools/web", 1, "web", "" },
		{ POOL, "/v1/pools/web/", 0, NULL, NULL },
		{ POOL, "/v1/pools/", -EINVAL, NULL, NULL },
		{ POOL, "/v1/pools", 0, NULL, NULL },
		{ HOST, "/v1/pools/web/hosts/a", 1, "web", "a" },
		{ HOST, "/v1/pools/web/hosts/a%2Fb", 1, "web", "a/b" },
		{ HOST, "/v1/pools/web/hosts/a%2fb%3a", 1, "web", "a/b:" },
		{ HOST, "/v1/pools/web/hosts/[::1]:80", 1, "web", "[::1]:80" },
		{ HOST, "/v1/pools/web/hosts/a+b", 1, "web", "a+b" },
		{ HOST, "/v1/pools/web/hosts/a/b", 0, NULL, NULL },
		{ HOST, "/v1/pools/web/host/a", 0, NULL, NULL },
		{ HOST, "/v1/pools/web/hosts/%", -EINVAL, NULL, NULL },
		{ HOST, "/v1/pools/web/hosts/%2", -EINVAL, NULL, NULL },
		{ HOST, "/v1/pools/web/hosts/%2g", -EINVAL, NULL, NULL },
		{ HOST, "/v1/pools/web/hosts/a%00b", -EINVAL, NULL, NULL },
		{ HOST, "/v1/pools/%2/hosts/a", -EINVAL, NULL, NULL },
		{ HOST, "/v1/pools/%2/guests/a", 0, NULL, NULL },
	};
	struct path_arguments arguments;

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(path_pattern_match(rows[i].pattern,
		                                    rows[i].path, &arguments),
		                 rows[i].result);
		if (rows[i].result != 1)
			continue;
		assert_string_equal(arguments.text[0], rows[i].first);
		assert_string_equal(arguments.text[1], rows[i].second);
	}
}

static void arguments_have_a_limit(void **state)
{
	char path[sizeof("/v1/pools/") + PATH_ARGUMENT_SIZE] = "/v1/pools/";
	size_t prefix = strlen(path);
	struct path_arguments arguments;

	(void) state;
	memset(path + prefix, 'a', PATH_ARGUMENT_SIZE - 1);
	assert_int_equal(path_pattern_match(POOL, path, &arguments), 1);
	assert_string_equal(arguments.text[0], path + prefix);
	strcat(path, "a");
	assert_int_equal(path_pattern_match(POOL, path, &arguments), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_against_patterns),
		cmocka_unit_test(arguments_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
