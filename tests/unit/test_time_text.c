/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Times as text, at the edges of each unit.
 */
#include "unit.h"

#include "time_text.h"
#include "util.h"

#include <string.h>

struct row {
	uint64_t us;
	const char *text;
};

static void compare(const char *(*function)(uint64_t, char *),
		    const struct row *rows, size_t count)
{
	char buffer[TIME_TEXT_SIZE];
	size_t i;

	for (i = 0; i < count; i++)
		assert_string_equal(function(rows[i].us, buffer), rows[i].text);
}

static void test_utc(void **state)
{
	static const struct row rows[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ 1700000000000999, "2023-11-14T22:13:20.000Z" },
		{ 951782400123000, "2000-02-29T00:00:00.123Z" },
		{ UINT64_MAX, "586524-01-19T08:01:49.551Z" },
	};

	(void) state;
	compare(time_text_utc, rows, ARRAY_SIZE(rows));
}

static void test_age(void **state)
{
	static const struct row rows[] = {
		{ 0, "0s" },
		{ 59999999, "59s" },
		{ 60000000, "1m00s" },
		{ UINT64_C(3599) * USEC_PER_SEC, "59m59s" },
		{ UINT64_C(3600) * USEC_PER_SEC, "1h00m" },
		{ UINT64_C(86399) * USEC_PER_SEC, "23h59m" },
		{ UINT64_C(86400) * USEC_PER_SEC, "1d0h" },
		{ UINT64_MAX, "213503982d8h" },
	};

	(void) state;
	compare(time_text_age, rows, ARRAY_SIZE(rows));
}

static void test_latency(void **state)
{
	static const struct row rows[] = {
		{ 0, "0us" },          { 999, "999us" },
		{ 1000, "1ms" },       { 1250, "1.25ms" },
		{ 40000, "40ms" },     { 999499, "999ms" },
		{ 999500, "1s" },      { 2500000, "2.5s" },
		{ 998400000, "998s" }, { 999000000, "16m39s" },
	};

	(void) state;
	compare(time_text_latency, rows, ARRAY_SIZE(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utc),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_latency),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
