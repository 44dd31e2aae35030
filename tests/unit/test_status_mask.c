/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Every status against every kind of mask, compared with a model that works
 * on text: "does one of these shell patterns match, or is it in the range".
 */
#include "unit.h"

#include "status_mask.h"
#include "util.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool model(const char *masks, unsigned status)
{
	char *copy = strdup(masks), *save = NULL;
	bool found = false;

	for (char *item = strtok_r(copy, ", ", &save); item != NULL;
	     item = strtok_r(NULL, ", ", &save)) {
		char text[16];
		unsigned from, to;

		if (sscanf(item, "%u-%u", &from, &to) == 2) {
			found |= status >= from && status <= to;
			continue;
		}
		for (char *c = item; *c != '\0'; c++)
			*c = *c == 'x' ? '?' : *c;
		snprintf(text, sizeof(text), "%u", status);
		found |= fnmatch(item, text, 0) == 0;
	}
	free(copy);
	return found;
}

static void every_status_against_the_model(void **state)
{
	static const char *const rows[] = {
		"", "5xx", "40x", "5x3", "403", "xxx", "x0x", "xx9", "1xx",
		"100", "599", "200-399", "100-599", "404-404", "163-164",
		"5xx, 403", "5xx,403", "2xx, 3xx", "2xx 3xx", "40x, 5x3, 403",
		"200-299, 304, 4x4", "163, 164, 227, 228, 291, 292", ",, 200 ,",
	};
	char text[STATUS_MASK_TEXT_SIZE];

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct status_mask mask, again;
		const char *at;

		assert_int_equal(status_mask_parse(&mask, rows[i], &at), 0);
		for (unsigned status = 0; status < 1000; status++)
			assert_int_equal(status_mask_test(&mask, status),
			                 status >= 100 && status < 600 &&
			                         model(rows[i], status));
		status_mask_text(&mask, text);
		assert_int_equal(status_mask_parse(&again, text, &at), 0);
		assert_memory_equal(&mask, &again, sizeof(mask));
	}
}

static void what_makes_no_sense_is_pointed_at(void **state)
{
	static const struct {
		const char *text;
		size_t at;
	} rows[] = {
		{ "600", 0 },      { "6xx", 0 },        { "0xx", 0 },
		{ "099", 0 },      { "20", 0 },         { "2000", 0 },
		{ "200-", 0 },     { "200-100", 0 },    { "2xx-3xx", 0 },
		{ "200-600", 0 },  { "200 - 300", 4 },  { "5xx, 4y3", 5 },
		{ "5xx; 403", 0 }, { "200,abc,300", 4 }, { "99-200", 0 },
		{ "200-3999", 0 }, { "-200", 0 },       { "5xx,\xc3\xbc", 4 },
	};

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct status_mask mask = { { 42 } };
		const char *at = NULL;

		assert_int_equal(status_mask_parse(&mask, rows[i].text, &at),
		                 -EINVAL);
		assert_ptr_equal(at, rows[i].text + rows[i].at);
		assert_int_equal(mask.bits[0], 42);
	}
}

static void empty_sets(void **state)
{
	struct status_mask mask;
	const char *at;

	(void) state;
	assert_int_equal(status_mask_parse(&mask, " , ", &at), 0);
	assert_true(status_mask_empty(&mask));
	assert_int_equal(status_mask_parse(&mask, "599", &at), 0);
	assert_false(status_mask_empty(&mask));
}

static void texts(void **state)
{
	static const struct {
		const char *text, *canonical;
	} rows[] = {
		{ "", "" },
		{ "200-399", "2xx, 3xx" },
		{ "xxx", "1xx, 2xx, 3xx, 4xx, 5xx" },
		{ "304,200-204,5xx", "200-204, 304, 5xx" },
		{ "250-349", "250-299, 300-349" },
	};
	char text[STATUS_MASK_TEXT_SIZE];
	struct status_mask mask;
	const char *at;

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(status_mask_parse(&mask, rows[i].text, &at), 0);
		assert_string_equal(status_mask_text(&mask, text),
		                    rows[i].canonical);
	}
	assert_int_equal(status_mask_parse(&mask, "xx0,xx2,xx4,xx6,xx8", &at), 0);
	assert_true(strlen(status_mask_text(&mask, text)) <
	            STATUS_MASK_TEXT_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_status_against_the_model),
		cmocka_unit_test(what_makes_no_sense_is_pointed_at),
		cmocka_unit_test(empty_sets),
		cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
