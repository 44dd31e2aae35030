/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit.h"

#include "backoff.h"
#include "util.h"

static void delays_double_up_to_a_bound(void **state)
{
	static const struct {
		uint64_t failures;
		uint32_t least_ms, most_ms;
	} rows[] = {
		{ 1, 500, 1000 },
		{ 2, 1000, 2000 },
		{ 3, 2000, 4000 },
		{ 6, 16000, 32000 },
		{ 7, 30000, 60000 },
		{ 8, 30000, 60000 },
		{ UINT64_MAX, 30000, 60000 },
	};

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t span = rows[i].most_ms - rows[i].least_ms;

		assert_int_equal(backoff_ms(rows[i].failures, 0),
		                 rows[i].least_ms);
		assert_int_equal(backoff_ms(rows[i].failures, span),
		                 rows[i].most_ms);
		assert_int_equal(backoff_ms(rows[i].failures, span + 1),
		                 rows[i].least_ms);
		assert_in_range(backoff_ms(rows[i].failures, UINT32_MAX),
		                rows[i].least_ms, rows[i].most_ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delays_double_up_to_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
