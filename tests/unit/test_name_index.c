/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Names of hosts: found again, kept apart, and quick however alike they are.
 */
#include "unit.h"

#include "name_index.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint32_t find(const struct name_index *index, const char *pool,
                     const char *id)
{
	return name_index_find(index, pool, strlen(pool), id, strlen(id));
}

static int add(struct name_index *index, const char *pool, const char *id,
               uint32_t value)
{
	return name_index_add(index, pool, strlen(pool), id, strlen(id), value);
}

static void names_are_found_again(void **state)
{
	struct name_index *index = name_index_new(4);

	(void) state;
	assert_int_equal(add(index, "a", "b/c", 1), 0);
	assert_int_equal(add(index, "b", "", 2), 0);
	assert_int_equal(name_index_add(index, "ccc", 1, "ddd", 2, 3), 0);
	assert_int_equal(find(index, "a", "b/c"), 1);
	assert_int_equal(find(index, "b", ""), 2);
	assert_int_equal(find(index, "c", "dd"), 3);
	assert_int_equal(find(index, "c", "ddd"), NAME_INDEX_NONE);
	assert_int_equal(find(index, "a/b", "c"), NAME_INDEX_NONE);
	assert_int_equal(find(index, "", "a"), NAME_INDEX_NONE);
	name_index_free(index);
}

static void the_first_of_a_name_stays(void **state)
{
	struct name_index *index = name_index_new(1);

	(void) state;
	assert_int_equal(add(index, "a", "b", 1), 0);
	assert_int_equal(add(index, "a", "b", 2), 0);
	assert_int_equal(find(index, "a", "b"), 1);
	assert_int_equal(add(index, "a", "c", 3), -ENOMEM);
	name_index_free(index);

	index = name_index_new(0);
	assert_int_equal(find(index, "a", "b"), NAME_INDEX_NONE);
	name_index_free(index);
	name_index_free(NULL);
}

/* Hosts of one pool begin alike and end alike.  Were that to make them
 * neighbours in the table, this would take minutes. */
static void many_names_that_are_alike(void **state)
{
	const uint32_t count = 200000;
	struct name_index *index = name_index_new(count);
	struct timespec before, after;
	char id[32];

	(void) state;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	for (uint32_t i = 0; i < count; i++) {
		snprintf(id, sizeof(id), "10.%u.%u.%u:8080", i >> 16,
		         i >> 8 & 255, i & 255);
		assert_int_equal(add(index, "primary", id, i), 0);
	}
	for (uint32_t i = 0; i < count; i++) {
		snprintf(id, sizeof(id), "10.%u.%u.%u:8080", i >> 16,
		         i >> 8 & 255, i & 255);
		if (find(index, "primary", id) != i)
			fail_msg("lost %s", id);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	assert_true(after.tv_sec - before.tv_sec < 5);
	name_index_free(index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found_again),
		cmocka_unit_test(the_first_of_a_name_stays),
		cmocka_unit_test(many_names_that_are_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
