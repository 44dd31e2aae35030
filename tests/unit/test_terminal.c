/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a hostile name looks like on a terminal, and where it is cut.
 */
#include "unit.h"

#include "terminal.h"
#include "util.h"

#include <locale.h>
#include <string.h>

static const struct {
	const char *raw;
	const char *escaped;
} texts[] = {
	{ "", "" },
	{ "primary/a", "primary/a" },
	{ "Füße", "Füße" },
	{ "日本", "日本" },
	{ "\033[31mred", "\\x1b[31mred" },
	{ "a\r\nb\tc", "a\\x0d\\x0ab\\x09c" },
	{ "\x7f", "\\x7f" },
	{ "\xc2\x9b"
	  "2J",
	  "\\xc2\\x9b2J" }, /* C1: another CSI */
	{ "\xe2\x80\xae"
	  "abc",
	  "\\xe2\\x80\\xaeabc" },                       /* right to left */
	{ "\xff\xfe", "\\xff\\xfe" },                   /* no UTF-8 */
	{ "\xc0\xaf", "\\xc0\\xaf" },                   /* overlong */
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },          /* a surrogate */
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* beyond Unicode */
	{ "\xe2\x82", "\\xe2\\x82" },                   /* cut short */
};

static void test_escape(void **state)
{
	char buffer[128];
	size_t i;

	(void) state;
	for (i = 0; i < ARRAY_SIZE(texts); i++)
		assert_string_equal(terminal_escape(buffer, sizeof(buffer),
						    texts[i].raw,
						    strlen(texts[i].raw)),
				    texts[i].escaped);
}

static void test_print_all(void **state)
{
	char *printed, *end;
	size_t size, i;
	FILE *out;

	(void) state;
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		out = open_memstream(&printed, &size);
		terminal_print(out, texts[i].raw, strlen(texts[i].raw));
		terminal_print(out, "\0.", 2);
		fclose(out);
		end = strstr(printed, "\\x00.");
		assert_non_null(end);
		*end = '\0';
		assert_string_equal(printed, texts[i].escaped);
		free(printed);
	}
}

/* Whatever the size, the end is there and no escape is split. */
static void test_escape_into_any_size(void **state)
{
	static const char raw[] = "a\033\xe2\x80\xae\xc3\xbc";
	static const char whole[] = "a\\x1b\\xe2\\x80\\xae\xc3\xbc";
	char buffer[sizeof(whole)];
	size_t size, used;

	(void) state;
	for (size = 1; size <= sizeof(buffer); size++) {
		terminal_escape(buffer, size, raw, sizeof(raw) - 1);
		used = strlen(buffer);
		assert_true(used < size);
		assert_memory_equal(buffer, whole, used);
		assert_true(used == 0 || used == 1 || used == 5 || used == 17 ||
			    used == 19);
	}
}

static void test_columns_and_cut(void **state)
{
	static const struct {
		const char *text;
		unsigned width;
		unsigned cut_at;
		const char *cut;
	} rows[] = {
		{ "abc", 3, 3, "abc" },   { "abcd", 4, 3, "ab…" },
		{ "abc", 3, 0, "" },      { "abc", 3, 1, "…" },
		{ "Füße", 4, 4, "Füße" }, { "Füße", 4, 3, "Fü…" },
		{ "日本", 4, 4, "日本" }, { "日本", 4, 3, "日…" },
		{ "日本", 4, 2, "…" },
	};
	char buffer[32];
	size_t i;

	(void) state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		strcpy(buffer, rows[i].text);
		assert_int_equal(terminal_columns(buffer), rows[i].width);
		terminal_cut(buffer, sizeof(buffer), rows[i].cut_at);
		assert_string_equal(buffer, rows[i].cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_print_all),
		cmocka_unit_test(test_escape_into_any_size),
		cmocka_unit_test(test_columns_and_cut),
	};

	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
