/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The messages of gRPC's health service against their bytes, and the reader
 * against bytes that mean harm.
 */
#include "unit.h"

#include "grpc_health.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void test_requests(void **state)
{
	static const struct {
		const char *service;
		const char *bytes;
		int size;
	} rows[] = {
		{ "", "\0\0\0\0\0", 5 },
		{ "a", "\0\0\0\0\3\x0a\1a", 8 },
		{ "shop.Cart", "\0\0\0\0\x0b\x0a\x09shop.Cart", 16 },
	};
	uint8_t buffer[GRPC_HEALTH_REQUEST_SIZE];
	char name[GRPC_HEALTH_SERVICE_MAX + 2];
	size_t i;

	(void) state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(grpc_health_request(buffer, rows[i].service),
		                 rows[i].size);
		assert_memory_equal(buffer, rows[i].bytes,
		                    (size_t) rows[i].size);
	}
	memset(name, 'a', sizeof(name));
	name[300] = '\0';
	assert_int_equal(grpc_health_request(buffer, name), 308);
	assert_memory_equal(buffer, "\0\0\0\1\x2f\x0a\xac\2aa", 10);
	name[300] = 'a';
	name[GRPC_HEALTH_SERVICE_MAX] = '\0';
	assert_int_equal(grpc_health_request(buffer, name),
	                 GRPC_HEALTH_REQUEST_SIZE);
	name[GRPC_HEALTH_SERVICE_MAX] = 'a';
	name[GRPC_HEALTH_SERVICE_MAX + 1] = '\0';
	assert_int_equal(grpc_health_request(buffer, name), -ENAMETOOLONG);
}

static const struct row {
	const char *name;
	const char *bytes;
	size_t size;
	int result;
	unsigned serving;
} answers[] = {
#define ROW(name, bytes, result, serving) \
	{ name, bytes, sizeof(bytes) - 1, result, serving }
	ROW("serving", "\0\0\0\0\2\x08\1", 0, GRPC_SERVING),
	ROW("not serving", "\0\0\0\0\2\x08\2", 0, GRPC_NOT_SERVING),
	ROW("no such service", "\0\0\0\0\2\x08\3", 0, GRPC_SERVICE_UNKNOWN),
	ROW("the default is left out", "\0\0\0\0\0", 0, GRPC_SERVING_UNKNOWN),
	ROW("a value of a later version", "\0\0\0\0\2\x08\x63", 0, 99),
	ROW("the last one counts", "\0\0\0\0\4\x08\2\x08\1", 0, GRPC_SERVING),
	ROW("fields of a later version",
	    "\0\0\0\0\x16\x10\x96\x01\x1a\2ab\x25\1\2\3\4"
	    "\x29\1\2\3\4\5\6\7\x08\x08\1",
	    -EBADMSG, 0),
	ROW("fields of a later version, well formed",
	    "\0\0\0\0\x17\x10\x96\x01\x1a\2ab\x25\1\2\3\4"
	    "\x29\1\2\3\4\5\6\7\x08\x08\1",
	    0, GRPC_SERVING),
	ROW("nothing", "", -EBADMSG, 0),
	ROW("half a prefix", "\0\0\0", -EBADMSG, 0),
	ROW("compressed", "\1\0\0\0\2\x08\1", -EBADMSG, 0),
	ROW("shorter than it says", "\0\0\0\0\3\x08\1", -EBADMSG, 0),
	ROW("longer than it says", "\0\0\0\0\2\x08\1\x08", -EBADMSG, 0),
	ROW("four gigabytes announced", "\0\xff\xff\xff\xff\x08\1", -EBADMSG,
	    0),
	ROW("a tag without a value", "\0\0\0\0\1\x08", -EBADMSG, 0),
	ROW("a number without end",
	    "\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	    -EBADMSG, 0),
	ROW("a number too big", "\0\0\0\0\6\x08\xff\xff\xff\xff\x0f", -EBADMSG,
	    0),
	ROW("a length beyond the end", "\0\0\0\0\3\x12\x7f" "a", -EBADMSG, 0),
	ROW("a length beyond all memory",
	    "\0\0\0\0\x0b\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", -EBADMSG,
	    0),
	ROW("a group", "\0\0\0\0\1\x0b", -EBADMSG, 0),
	ROW("field 0", "\0\0\0\0\2\0\1", -EBADMSG, 0),
	ROW("the status as a string", "\0\0\0\0\3\x0a\1" "a", 0,
	    GRPC_SERVING_UNKNOWN),
};

/* On the heap and exactly as long, so that a sanitizer sees a step beyond. */
static int parse(const char *bytes, size_t size, enum grpc_serving *ret)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);
	int r;

	memcpy(copy, bytes, size);
	r = grpc_health_parse(copy, size, ret);
	free(copy);
	return r;
}

static void test_answers(void **state)
{
	enum grpc_serving serving;
	const struct row *row;
	size_t i;

	(void) state;
	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		row = &answers[i];
		serving = 77;
		if (parse(row->bytes, row->size, &serving) != row->result ||
		    serving != (row->result == 0 ? row->serving : 77))
			fail_msg("%s", row->name);
	}
}

static void test_any_bytes_are_survived(void **state)
{
	enum grpc_serving serving;
	char bytes[16];
	unsigned round;
	size_t size, i;

	(void) state;
	srand(1);
	for (round = 0; round < 20000; round++) {
		size = 5 + (size_t) rand() % (sizeof(bytes) - 5);
		memset(bytes, 0, 4);
		bytes[4] = (char) (size - 5);
		for (i = 5; i < size; i++)
			bytes[i] = (char) rand();
		parse(bytes, size, &serving);
	}
}

static void test_names(void **state)
{
	(void) state;
	assert_string_equal(grpc_serving_name(GRPC_NOT_SERVING), "NOT_SERVING");
	assert_null(grpc_serving_name(99));
	assert_string_equal(grpc_status_name(12), "UNIMPLEMENTED");
	assert_string_equal(grpc_status_name(16), "UNAUTHENTICATED");
	assert_null(grpc_status_name(17));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_any_bytes_are_survived),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
