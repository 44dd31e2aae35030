/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit.h"

#include "readers.h"

static struct readers readers;

static void hello(pid_t pid, uint64_t seq, uint64_t now_us)
{
	readers_hello(&readers, &(struct reader) { pid, 1022001, seq, now_us });
}

static void test_who_says_hello_again_is_the_same(void **state)
{
	(void) state;
	readers.count = 0;
	hello(7, 1, 100);
	hello(8, 1, 100);
	hello(7, 5, 200);
	assert_int_equal(2, readers.count);
	assert_int_equal(7, readers.readers[0].pid);
	assert_int_equal(5, readers.readers[0].seq);
}

static void test_the_silent_are_forgotten(void **state)
{
	(void) state;
	readers.count = 0;
	hello(7, 1, 0);
	hello(8, 1, 10);
	readers_forget(&readers, READERS_FORGET_US);
	assert_int_equal(2, readers.count);
	readers_forget(&readers, READERS_FORGET_US + 1);
	assert_int_equal(1, readers.count);
	assert_int_equal(8, readers.readers[0].pid);
}

static void test_too_many_displace_the_quietest(void **state)
{
	(void) state;
	readers.count = 0;
	for (pid_t pid = 0; pid < READERS_MAX; pid++)
		hello(pid, 1, pid == 9 ? 1 : 1000);
	hello(READERS_MAX, 1, 2000);
	assert_int_equal(READERS_MAX, readers.count);
	assert_int_equal(READERS_MAX, readers.readers[9].pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_says_hello_again_is_the_same),
		cmocka_unit_test(test_the_silent_are_forgotten),
		cmocka_unit_test(test_too_many_displace_the_quietest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
