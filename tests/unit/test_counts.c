/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit.h"

#include "counts.h"

static uint64_t total(const struct histogram *histogram)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		count += histogram->buckets[i];
	return count;
}

static void a_bound_belongs_to_its_bucket(void **state)
{
	(void) state;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		struct histogram histogram = { 0 };

		histogram_add(&histogram, histogram_bounds_us[i]);
		assert_int_equal(histogram.buckets[i], 1);
		histogram_add(&histogram, histogram_bounds_us[i] + 1);
		assert_int_equal(histogram.buckets[i + 1], 1);
		assert_int_equal(histogram.sum_us,
		                 2 * histogram_bounds_us[i] + 1);
	}
}

static void nothing_is_too_short_or_too_long(void **state)
{
	struct histogram histogram = { 0 };

	(void) state;
	histogram_add(&histogram, 0);
	histogram_add(&histogram, UINT32_MAX);
	assert_int_equal(histogram.buckets[0], 1);
	assert_int_equal(histogram.buckets[HISTOGRAM_BUCKETS - 1], 1);
	assert_int_equal(total(&histogram), 2);
}

static void what_counts_for_nothing_has_no_duration(void **state)
{
	struct pool_counts counts = { 0 };

	(void) state;
	counts_probe(&counts, HEALTH_INCONCL, 5000000);
	assert_int_equal(counts.outcomes[HEALTH_INCONCL], 1);
	assert_int_equal(total(&counts.durations), 0);
	assert_int_equal(counts.durations.sum_us, 0);
	counts_probe(&counts, HEALTH_L7OK, 700);
	counts_probe(&counts, HEALTH_L4TOUT, 1000000);
	assert_int_equal(total(&counts.durations), 2);
	assert_int_equal(counts.durations.sum_us, 1000700);
}

/* A new outcome has to be one or the other. */
static void probes_come_to_all_outcomes_but_four(void **state)
{
	unsigned count = 0;

	(void) state;
	for (unsigned i = 0; i < HEALTH_OUTCOME_COUNT; i++)
		count += counts_is_of_probes((enum health_outcome) i);
	assert_int_equal(count, HEALTH_OUTCOME_COUNT - 4);
	assert_true(counts_is_of_probes(HEALTH_INCONCL));
	assert_false(counts_is_of_probes(HEALTH_PASSIVE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bound_belongs_to_its_bucket),
		cmocka_unit_test(nothing_is_too_short_or_too_long),
		cmocka_unit_test(what_counts_for_nothing_has_no_duration),
		cmocka_unit_test(probes_come_to_all_outcomes_but_four),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
