/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lines on standard error, which is a pipe here, and what is kept off it.
 */
#include "unit.h"

#include "log.h"

#include <string.h>

static char said[8192];

/* What `speak` writes to standard error. */
static const char *hear(void (*speak)(void))
{
	int real = dup(STDERR_FILENO), ends[2];
	ssize_t size;

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	speak();
	dup2(real, STDERR_FILENO);
	close(real);
	close(ends[1]);
	size = read(ends[0], said, sizeof(said) - 1);
	assert_true(size >= 0);
	said[size] = '\0';
	close(ends[0]);
	return said;
}

static void speak_plainly(void)
{
	log_open();
	log_error("%d hosts", 3);
	log_debug("unheard");
	log_fields(LOG_NOTICE, "0123456789abcdef0123456789abcdef", NULL, 0,
		   "event");
}

static void test_lines_go_to_stderr(void **state)
{
	(void) state;
	unsetenv("JOURNAL_STREAM");
	assert_string_equal(hear(speak_plainly),
			    "checkerd: 3 hosts\ncheckerd: event\n");
}

/* It names the stream of some ancestor's standard error, not ours. */
static void test_a_foreign_journal_stream_is_not_ours(void **state)
{
	(void) state;
	setenv("JOURNAL_STREAM", "1:2", 1);
	assert_string_equal(hear(speak_plainly),
			    "checkerd: 3 hosts\ncheckerd: event\n");
}

static void speak_of_a_hostile_backend(void)
{
	log_warning("status line \"%s\"", "200\r\ncheckerd: forged\033[2J");
}

static void test_no_line_is_forged(void **state)
{
	(void) state;
	assert_string_equal(hear(speak_of_a_hostile_backend),
			    "checkerd: status line "
			    "\"200??checkerd: forged?[2J\"\n");
}

static void speak_for_long(void)
{
	log_warning("%05000d", 1);
}

static void test_a_long_line_is_cut_and_ended(void **state)
{
	const char *line = hear(speak_for_long);

	(void) state;
	assert_true(strlen(line) < 2100);
	assert_int_equal(line[strlen(line) - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_go_to_stderr),
		cmocka_unit_test(test_a_foreign_journal_stream_is_not_ours),
		cmocka_unit_test(test_no_line_is_forged),
		cmocka_unit_test(test_a_long_line_is_cut_and_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
