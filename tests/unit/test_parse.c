/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Small values: what is accepted, what is refused, and at which limit.
 */
#include "unit.h"

#include "parse.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define DAY_MS UINT64_C(86400000)

static void durations(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t ms;
	} rows[] = {
		{ "250ms", 0, 250 },    { "5s", 0, 5000 },
		{ "2m", 0, 120000 },    { "1h", 0, 3600000 },
		{ "1d", 0, DAY_MS },    { "3", 0, 3000 },
		{ "0", 0, 0 },          { "0ms", 0, 0 },
		{ "007s", 0, 7000 },    { "86400", 0, DAY_MS },
		{ "86401", -ERANGE, 0 }, { "2d", -ERANGE, 0 },
		{ "18446744073709551615d", -ERANGE, 0 },
		{ "18446744073709551616ms", -ERANGE, 0 },
		{ "99999999999999999999999999", -ERANGE, 0 },
		{ "", -EINVAL, 0 },     { "s", -EINVAL, 0 },
		{ "-1s", -EINVAL, 0 },  { "+1s", -EINVAL, 0 },
		{ " 1s", -EINVAL, 0 },  { "1s ", -EINVAL, 0 },
		{ "1 s", -EINVAL, 0 },  { "1S", -EINVAL, 0 },
		{ "1.5s", -EINVAL, 0 }, { "1m30s", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 }, { "1us", -EINVAL, 0 },
	};

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t ms = 12345;

		assert_int_equal(parse_duration_ms(&ms, rows[i].text, 0, DAY_MS),
		                 rows[i].result);
		assert_int_equal(ms, rows[i].result == 0 ? rows[i].ms : 12345);
	}
}

static void duration_limits_are_inclusive(void **state)
{
	uint64_t ms;

	(void) state;
	assert_int_equal(parse_duration_ms(&ms, "9ms", 10, 20), -ERANGE);
	assert_int_equal(parse_duration_ms(&ms, "10ms", 10, 20), 0);
	assert_int_equal(parse_duration_ms(&ms, "20ms", 10, 20), 0);
	assert_int_equal(parse_duration_ms(&ms, "21ms", 10, 20), -ERANGE);
}

static void durations_print_as_they_are_read(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} rows[] = {
		{ 0, "0" },          { 1, "1ms" },      { 1500, "1500ms" },
		{ 2000, "2s" },      { 90000, "90s" },  { 120000, "2m" },
		{ 3600000, "1h" },   { DAY_MS, "1d" },  { 14 * DAY_MS, "14d" },
	};
	char buffer[DURATION_TEXT_SIZE];
	uint64_t ms;

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(duration_text(rows[i].ms, buffer),
		                    rows[i].text);
		assert_int_equal(parse_duration_ms(&ms, buffer, 0, UINT64_MAX),
		                 0);
		assert_int_equal(ms, rows[i].ms);
	}
}

static void switches(void **state)
{
	static const char *const on[] = { "on", "yes", "true", "1", "On" };
	static const char *const off[] = { "off", "no", "false", "0", "OFF" };
	static const char *const neither[] = { "", "2", "o", "onn", "on ", "y" };
	bool value;

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(on); i++) {
		value = false;
		assert_int_equal(parse_bool(&value, on[i]), 0);
		assert_true(value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
		value = true;
		assert_int_equal(parse_bool(&value, off[i]), 0);
		assert_false(value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(neither); i++)
		assert_int_equal(parse_bool(&value, neither[i]), -EINVAL);
}

static void numbers(void **state)
{
	uint64_t value;

	(void) state;
	assert_int_equal(parse_unsigned(&value, "65535", 1, 65535), 0);
	assert_int_equal(value, 65535);
	assert_int_equal(parse_unsigned(&value, "65536", 1, 65535), -ERANGE);
	assert_int_equal(parse_unsigned(&value, "0", 1, 65535), -ERANGE);
	assert_int_equal(parse_unsigned(&value, "", 0, 9), -EINVAL);
	assert_int_equal(parse_unsigned(&value, "1k", 0, 9), -EINVAL);
	assert_int_equal(parse_unsigned(&value, "-1", 0, 9), -EINVAL);
	assert_int_equal(parse_unsigned(&value, "18446744073709551615", 0,
	                                UINT64_MAX - 1), -ERANGE);

	assert_int_equal(parse_octal(&value, "0644", 0, 0777), 0);
	assert_int_equal(value, 0644);
	assert_int_equal(parse_octal(&value, "1000", 0, 0777), -ERANGE);
	assert_int_equal(parse_octal(&value, "0689", 0, 0777), -EINVAL);

	assert_int_equal(parse_percent(&value, "10%", 0, 100), 0);
	assert_int_equal(value, 10);
	assert_int_equal(parse_percent(&value, "100", 0, 100), 0);
	assert_int_equal(parse_percent(&value, "101%", 0, 100), -ERANGE);
	assert_int_equal(parse_percent(&value, "%", 0, 100), -EINVAL);
	assert_int_equal(parse_percent(&value, "1%%", 0, 100), -EINVAL);
}

static void printable_text(void **state)
{
	static const struct {
		const char *text;
		bool printable;
	} rows[] = {
		{ "", true },
		{ "plain ~", true },
		{ "gr\xc3\xbc\xc3\x9f", true },
		{ "\xe2\x82\xac", true },
		{ "\xf0\x9f\x92\x99", true },
		{ "\xf4\x8f\xbf\xbf", true }, /* U+10FFFF */
		{ "a\tb", false },
		{ "a\nb", false },
		{ "a\x7f", false },
		{ "\xc2\x85", false }, /* U+0085, a control character */
		{ "\xc2\xa0", true },
		{ "\xff", false },
		{ "\x80", false },
		{ "\xc3", false }, /* cut */
		{ "\xe2\x82", false },
		{ "\xc0\xaf", false }, /* overlong */
		{ "\xe0\x80\xaf", false },
		{ "\xed\xa0\x80", false }, /* surrogate */
		{ "\xf4\x90\x80\x80", false }, /* above U+10FFFF */
	};

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(text_is_printable(rows[i].text,
		                                   strlen(rows[i].text)),
		                 rows[i].printable);
	assert_false(text_is_printable("a\0b", 3));
}

static void names_ids_and_tokens(void **state)
{
	static const struct {
		const char *text;
		bool name, id, token;
	} rows[] = {
		{ "", false, false, false },
		{ "web-1.eu_West", true, true, true },
		{ "10.0.0.1:80", false, true, false },
		{ "a/b", false, true, false },
		{ "X-Fancy!", false, true, true },
		{ "a b", false, false, false },
		{ "a\"b", false, false, false },
		{ "it's", false, false, true },
		{ "gr\xc3\xbcn", false, false, false },
		{ "a\x7f", false, false, false },
		{ "a\n", false, false, false },
	};

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t size = strlen(rows[i].text);

		assert_int_equal(text_is_name(rows[i].text, size), rows[i].name);
		assert_int_equal(text_is_id(rows[i].text, size), rows[i].id);
		assert_int_equal(text_is_token(rows[i].text, size),
		                 rows[i].token);
	}
	assert_false(text_is_name("a\0", 2));
	assert_false(text_is_token("a\0", 2));
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t size;
		const char *printed;
	} rows[] = {
		{ "1", 0, 1, "1" },
		{ "1023", 0, 1023, "1023" },
		{ "1024", 0, 1024, "1k" },
		{ "256K", 0, 262144, "256k" },
		{ "1536k", 0, 1572864, "1536k" },
		{ "16m", 0, 16777216, "16m" },
		{ "16777217", -ERANGE, 0, NULL },
		{ "17m", -ERANGE, 0, NULL },
		{ "18446744073709551615m", -ERANGE, 0, NULL },
		{ "0", -ERANGE, 0, NULL },
		{ "", -EINVAL, 0, NULL },
		{ "k", -EINVAL, 0, NULL },
		{ "1g", -EINVAL, 0, NULL },
		{ "1 k", -EINVAL, 0, NULL },
		{ "-1", -EINVAL, 0, NULL },
	};

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char buffer[SIZE_TEXT_SIZE];
		uint64_t size = 0;

		assert_int_equal(parse_size(&size, rows[i].text, 1, 16 << 20),
		                 rows[i].result);
		assert_int_equal(size, rows[i].size);
		if (rows[i].printed)
			assert_string_equal(size_text(size, buffer),
			                    rows[i].printed);
	}
}

static void escapes_read_and_print(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		const char *bytes, *printed;
	} rows[] = {
		{ "", 0, "", "" },
		{ "PING\\r\\n", 6, "PING\r\n", "PING\\r\\n" },
		{ "\\x00\\xfF\\t", 3, "\0\xff\t", "\\x00\\xff\\t" },
		{ "a b;\\\\", 5, "a b;\\", "a\\x20b\\x3b\\\\" },
		{ "\\x41b", 2, "Ab", "Ab" },
	};
	static const char *const mistakes[] = {
		"\\", "\\q", "\\x", "\\x4", "\\xg0", "\\x0g", "a\\0",
	};
	unsigned char bytes[32];
	size_t size;

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char printed[64] = "";
		FILE *stream = fmemopen(printed, sizeof(printed), "w");

		assert_int_equal(parse_escaped(bytes, &size, rows[i].text), 0);
		assert_int_equal(size, rows[i].size);
		assert_memory_equal(bytes, rows[i].bytes, size);
		escaped_print(bytes, size, stream);
		fclose(stream);
		assert_string_equal(printed, rows[i].printed);
	}
	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++)
		assert_int_equal(parse_escaped(bytes, &size, mistakes[i]),
		                 -EINVAL);
}

static void urls(void **state)
{
	static const char *const good[] = {
		"http://hooks.test",
		"https://hooks.test/a/b?token=%20x&y",
		"HTTPS://u:p@10.0.0.1:8443/",
		"http://[::1]:65535?x",
		"http://[::1]",
	};
	static const char *const bad[] = {
		"",
		"hooks.test/a",
		"ftp://hooks.test/",
		"file:///etc/passwd",
		"http://",
		"http:///path",
		"https://:443/",
		"http://a:/",
		"http://a:0/",
		"http://a:65536/",
		"http://a:123456789/",
		"http://a:x/",
		"http://a b/",
		"http://a/b c",
		"http://a/#b",
		"http://a\\@b/",
		"http://\"a\"/",
		"http://a/\xc3\xa4",
		"http://[::1/",
		"http://[::1]x/",
		"http://[1.2.3.4]/",
		"http://[]/",
		"http://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]/",
		"http://user@/",
		"http://(a)/",
	};

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (!text_is_url(good[i]))
			fail_msg("%s is one", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (text_is_url(bad[i]))
			fail_msg("%s is none", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),
		cmocka_unit_test(duration_limits_are_inclusive),
		cmocka_unit_test(durations_print_as_they_are_read),
		cmocka_unit_test(switches),
		cmocka_unit_test(numbers),
		cmocka_unit_test(sizes),
		cmocka_unit_test(escapes_read_and_print),
		cmocka_unit_test(printable_text),
		cmocka_unit_test(names_ids_and_tokens),
		cmocka_unit_test(urls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
