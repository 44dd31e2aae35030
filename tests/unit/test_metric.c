/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit.h"

#include "metric.h"

#include <stdlib.h>

struct page {
	FILE *out;
	char *text;
	size_t size;
};

static void begin(struct page *page)
{
	page->out = open_memstream(&page->text, &page->size);
	assert_non_null(page->out);
}

static void assert_page(struct page *page, const char *expected)
{
	assert_int_equal(fclose(page->out), 0);
	assert_string_equal(page->text, expected);
	free(page->text);
}

static struct health_text text(const char *data, size_t size)
{
	return (struct health_text) { data, size };
}

#define TEXT(literal) text(literal, sizeof(literal) - 1)

static void a_sample_below_its_heading(void **state)
{
	const struct metric_values values = {
		{ TEXT("www"), TEXT("web"), TEXT("a") }
	};
	struct page page;

	(void) state;
	begin(&page);
	metric_heading(page.out, METRIC_HOST_FAILCOUNT);
	metric_sample(page.out, METRIC_HOST_FAILCOUNT, &values, 3);
	assert_page(&page,
	            "# HELP checkerd_host_failcount Consecutive failures.\n"
	            "# TYPE checkerd_host_failcount gauge\n"
	            "checkerd_host_failcount{upstream=\"www\",pool=\"web\","
	            "host=\"a\"} 3\n");
}

static void a_metric_without_labels_has_no_braces(void **state)
{
	struct page page;

	(void) state;
	begin(&page);
	metric_sample(page.out, METRIC_GENERATION, NULL, 999999999999999);
	assert_page(&page, "checkerd_generation 999999999999999\n");
}

static void labels_are_escaped(void **state)
{
	static const struct {
		struct health_text raw;
		const char *escaped;
	} rows[] = {
		{ { "", 0 }, "" },
		{ { "a\"b", 3 }, "a\\\"b" },
		{ { "a\\b", 3 }, "a\\\\b" },
		{ { "a\\", 2 }, "a\\\\" },
		{ { "a\nb", 3 }, "a\\nb" },
		{ { "\\n", 2 }, "\\\\n" },
		{ { "a} 1 #", 6 }, "a} 1 #" },
		/* four bytes of UTF-8 stay, three of them do not */
		{ { "\xf0\x9f\x94\xa5", 4 }, "\xf0\x9f\x94\xa5" },
		{ { "\xf0\x9f\x94", 3 }, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ { "a\xff\"", 3 }, "a\xef\xbf\xbd\\\"" },
		/* overlong, a surrogate */
		{ { "\xc0\xaf", 2 }, "\xef\xbf\xbd\xef\xbf\xbd" },
		{ { "\xed\xa0\x80", 3 },
		  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct metric_values values = { { rows[i].raw } };
		struct page page;
		char expected[128];

		begin(&page);
		metric_sample(page.out, METRIC_BUILD_INFO, &values, 1);
		snprintf(expected, sizeof(expected),
		         "checkerd_build_info{version=\"%s\"} 1\n",
		         rows[i].escaped);
		assert_page(&page, expected);
	}
}

static void the_buckets_of_a_histogram_add_up(void **state)
{
	const struct metric_values values = { { TEXT("www"), TEXT("web") } };
	struct histogram histogram = { 0 };
	struct page page;

	(void) state;
	begin(&page);
	histogram_add(&histogram, 900);
	histogram_add(&histogram, 200000);
	histogram_add(&histogram, 20000000);
	metric_histogram(page.out, METRIC_PROBE_DURATION, &values, &histogram);
#define NAME   "checkerd_probe_duration_seconds"
#define LABELS "upstream=\"www\",pool=\"web\""
#define BUCKET(le, count)                                                     \
	NAME "_bucket{" LABELS ",le=\"" le "\"} " count "\n"
	assert_page(&page,
	            BUCKET("0.001", "1") BUCKET("0.0025", "1")
	            BUCKET("0.005", "1") BUCKET("0.01", "1")
	            BUCKET("0.025", "1") BUCKET("0.05", "1")
	            BUCKET("0.1", "1") BUCKET("0.25", "2")
	            BUCKET("0.5", "2") BUCKET("1", "2") BUCKET("2.5", "2")
	            BUCKET("5", "2") BUCKET("10", "2") BUCKET("+Inf", "3")
	            NAME "_sum{" LABELS "} 20.2009\n"
	            NAME "_count{" LABELS "} 3\n");
}

static void a_histogram_may_have_no_labels_of_its_own(void **state)
{
	const struct histogram none = { { 0 }, 0 };
	struct page page;

	(void) state;
	begin(&page);
	metric_histogram(page.out, METRIC_LATENESS, NULL, &none);
	assert_int_equal(fflush(page.out), 0);
	assert_non_null(strstr(page.text,
	                       "checkerd_lateness_seconds_bucket{le=\"+Inf\"} "
	                       "0\ncheckerd_lateness_seconds_sum 0\n"
	                       "checkerd_lateness_seconds_count 0\n"));
	fclose(page.out);
	free(page.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sample_below_its_heading),
		cmocka_unit_test(a_metric_without_labels_has_no_braces),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(the_buckets_of_a_histogram_add_up),
		cmocka_unit_test(a_histogram_may_have_no_labels_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
