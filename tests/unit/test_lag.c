/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lag.h"

#define MS UINT64_C(1000)

static void a_loop_that_wakes_in_time_has_no_lag(void **state)
{
	struct lag lag = { 0 };

	(void) state;
	for (uint64_t now = 1000 * MS; now < 9000 * MS; now += 100 * MS)
		assert_int_equal(lag_wake(&lag, now), 0);
	assert_int_equal(lag.total_us, 0);
}

static void a_stop_of_five_seconds_is_lag(void **state)
{
	struct lag lag = { 0 };

	(void) state;
	lag_wake(&lag, 1000 * MS);
	assert_int_equal(lag_wake(&lag, 6000 * MS), 4900 * MS);
	assert_int_equal(lag_wake(&lag, 6100 * MS), 0);
	assert_int_equal(lag.total_us, 4900 * MS);
}

static void short_stalls_add_up_however_many(void **state)
{
	struct lag lag = { 0 };
	uint64_t now = 1000 * MS;

	(void) state;
	lag_wake(&lag, now);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(lag_wake(&lag, now += 150 * MS), 50 * MS);
	assert_int_equal(lag.total_us, 1000 * 50 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loop_that_wakes_in_time_has_no_lag),
		cmocka_unit_test(a_stop_of_five_seconds_is_lag),
		cmocka_unit_test(short_stalls_add_up_however_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
