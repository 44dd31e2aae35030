/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "schedule.h"

#include <stdlib.h>

#define ENTRIES 500

static void entries_come_out_in_order_whatever_was_done_to_them(void **state)
{
	struct schedule schedule = { 0 };
	struct schedule_entry entries[ENTRIES] = { 0 };
	uint64_t last_us = 0;
	uint32_t left = 0;

	(void) state;
	srand(1);
	assert_int_equal(schedule_reserve(&schedule, ENTRIES), 0);
	for (int i = 0; i < 20000; i++) {
		struct schedule_entry *entry = &entries[rand() % ENTRIES];

		if (rand() % 3)
			schedule_set(&schedule, entry, (uint64_t) rand() % 1000);
		else
			schedule_remove(&schedule, entry);
	}
	for (int i = 0; i < ENTRIES; i++)
		left += entries[i].place != 0;
	assert_int_equal(schedule.count, left);
	while (schedule_first(&schedule)) {
		struct schedule_entry *entry = schedule_first(&schedule);

		assert_true(entry->due_us >= last_us);
		last_us = entry->due_us;
		schedule_remove(&schedule, entry);
		left--;
	}
	assert_int_equal(left, 0);
	schedule_clear(&schedule);
}

/* Also when those before them are gone without having been taken out. */
static void many_at_once_find_their_places(void **state)
{
	struct schedule schedule = { 0 };
	struct schedule_entry old[ENTRIES] = { 0 }, entries[ENTRIES] = { 0 };
	uint64_t last_us = 0;

	(void) state;
	srand(2);
	assert_int_equal(schedule_reserve(&schedule, ENTRIES), 0);
	for (int i = 0; i < ENTRIES; i++)
		schedule_set(&schedule, &old[i], (uint64_t) rand() % 1000);
	schedule_begin(&schedule);
	for (int i = 0; i < ENTRIES; i++)
		schedule_append(&schedule, &entries[i],
		                (uint64_t) rand() % 1000);
	schedule_finish(&schedule);
	for (int i = 0; i < ENTRIES; i++) {
		struct schedule_entry *entry = schedule_first(&schedule);

		assert_true(entry >= entries && entry < entries + ENTRIES);
		assert_true(entry->due_us >= last_us);
		last_us = entry->due_us;
		schedule_remove(&schedule, entry);
	}
	assert_null(schedule_first(&schedule));
	schedule_clear(&schedule);
}

static void first_probes_are_spread_over_one_interval(void **state)
{
	enum { HOSTS = 1000, TENTHS = 10 };
	unsigned tenths[TENTHS] = { 0 };

	(void) state;
	for (uint32_t i = 0; i < HOSTS; i++) {
		uint64_t phase_us = schedule_phase_us(i, 2000000);

		assert_true(phase_us < 2000000);
		assert_int_equal(phase_us, schedule_phase_us(i, 2000000));
		tenths[phase_us * TENTHS / 2000000]++;
	}
	for (int i = 0; i < TENTHS; i++)
		assert_in_range(tenths[i], 98, 102);
}

static void jitter_keeps_the_pace_and_differs_by_host(void **state)
{
	uint64_t due_us = 0, other_us = 0;
	unsigned differ = 0;

	(void) state;
	for (uint64_t turn = 0; turn < 10000; turn++) {
		uint64_t next_us = schedule_next_us(due_us, due_us, 1000000, 10,
		                                    7, turn);

		assert_in_range(next_us - due_us, 900000, 1100000);
		differ += next_us - due_us !=
		          schedule_next_us(other_us, other_us, 1000000, 10, 8,
		                           turn) - other_us;
		due_us = next_us;
	}
	assert_in_range(due_us / 10000, 995000, 1005000);
	assert_true(differ > 9000);
	assert_int_equal(schedule_next_us(5000000, 5000100, 1000000, 0, 7, 1),
	                 6000000);
}

static void who_is_late_catches_up_without_a_stampede(void **state)
{
	(void) state;
	/* half an interval late: at once */
	assert_int_equal(schedule_next_us(0, 1500000, 1000000, 0, 3, 1), 1500000);
	/* far behind: at its phase again, not all at once */
	assert_int_equal(schedule_next_us(0, 9000000, 1000000, 0, 3, 1),
	                 9000000 + schedule_phase_us(3, 1000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		        entries_come_out_in_order_whatever_was_done_to_them),
		cmocka_unit_test(many_at_once_find_their_places),
		cmocka_unit_test(first_probes_are_spread_over_one_interval),
		cmocka_unit_test(jitter_keeps_the_pace_and_differs_by_host),
		cmocka_unit_test(who_is_late_catches_up_without_a_stampede),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
