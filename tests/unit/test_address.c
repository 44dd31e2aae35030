/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses: every spelling and its canonical one, what is refused, and what
 * is left to a resolver.
 */
#include "unit.h"

#include "address.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void literals(void **state)
{
	static const struct {
		const char *text, *canonical;
		uint16_t port;
	} rows[] = {
		{ "10.0.0.1:8080", "10.0.0.1:8080", 8080 },
		{ "10.0.0.1", "10.0.0.1:80", 80 },
		{ "10.0.0.1:65535", "10.0.0.1:65535", 65535 },
		{ "[2001:db8::1]:8080", "[2001:db8::1]:8080", 8080 },
		{ "[2001:DB8:0:0:0:0:0:1]", "[2001:db8::1]:80", 80 },
		{ "[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.1]:1", 1 },
		{ "unix:/run/app.sock", "unix:/run/app.sock", 0 },
		{ "unix:/run/a:80", "unix:/run/a:80", 0 },
	};
	char text[ADDRESS_TEXT_SIZE];

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct address address, again;
		size_t length;
		uint16_t port;

		assert_int_equal(address_parse(&address, rows[i].text, &length,
		                               &port), 0);
		assert_string_equal(address_text(&address, text),
		                    rows[i].canonical);
		assert_int_equal(address_port(&address), rows[i].port);
		assert_int_equal(address_parse(&again, text, &length, &port), 0);
		assert_true(address_equal(&address, &again));
	}
}

static void nonsense(void **state)
{
	static const char *const rows[] = {
		"", ":80", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536",
		"10.0.0.1:80x", "10.0.0.1:80:80", "10.0.0.256", "1.2.3", "1",
		"0x7f.1.1.1.1.1.1", "10.0.0.1.", "::1", "[::1", "[::1]80",
		"[::1]:", "[]:80", "[10.0.0.1]:80", "[fe80::1%eth0]:80",
		"[::1]x:80", "unix:", "unix:app.sock", "unix:/a b", "a..b",
		".a", "a b", "a/b:80", "http://a", "caf\xc3\xa9", "a:b",
	};

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct address address;
		size_t length;
		uint16_t port;

		if (address_parse(&address, rows[i], &length, &port) != -EINVAL)
			fail_msg("accepted: %s", rows[i]);
	}
}

static void names_are_left_to_a_resolver(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		uint16_t port;
	} rows[] = {
		{ "app", 3, 80 },
		{ "app:8080", 3, 8080 },
		{ "app-1.example.com:1", 17, 1 },
		{ "under_score.", 12, 80 },
		{ "1.2.3.4.example", 15, 80 },
		{ "10.0.0.1a", 9, 80 },
	};

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct address address;
		size_t length;
		uint16_t port;

		assert_int_equal(address_parse(&address, rows[i].text, &length,
		                               &port), -ENOENT);
		assert_int_equal(length, rows[i].length);
		assert_int_equal(port, rows[i].port);
	}
}

static void lengths(void **state)
{
	char text[400] = "unix:/", printed[ADDRESS_TEXT_SIZE];
	struct address address;
	size_t length;
	uint16_t port;

	(void) state;
	memset(text + 6, 'a', 106); /* 107 with the slash: just fits */
	assert_int_equal(address_parse(&address, text, &length, &port), 0);
	assert_string_equal(address_text(&address, printed), text);
	text[112] = 'a';
	assert_int_equal(address_parse(&address, text, &length, &port), -EINVAL);

	memset(text, 0, sizeof(text));
	memset(text, 'a', 253);
	assert_int_equal(address_parse(&address, text, &length, &port), -ENOENT);
	text[253] = 'a';
	assert_int_equal(address_parse(&address, text, &length, &port), -EINVAL);
}

static void ports_and_equality(void **state)
{
	struct address a, b, socket;
	size_t length;
	uint16_t port;

	(void) state;
	assert_int_equal(address_parse(&a, "10.0.0.1:1", &length, &port), 0);
	assert_int_equal(address_parse(&b, "10.0.0.1:2", &length, &port), 0);
	assert_false(address_equal(&a, &b));
	address_set_port(&b, 1);
	assert_true(address_equal(&a, &b));

	assert_int_equal(address_parse(&b, "[::1]:1", &length, &port), 0);
	assert_false(address_equal(&a, &b));
	address_set_port(&b, 9);
	assert_int_equal(address_port(&b), 9);

	assert_int_equal(address_parse(&socket, "unix:/a", &length, &port), 0);
	b = socket;
	address_set_port(&socket, 9);
	assert_true(address_equal(&socket, &b));
	assert_int_equal(address_parse(&b, "unix:/b", &length, &port), 0);
	assert_false(address_equal(&socket, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literals),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(names_are_left_to_a_resolver),
		cmocka_unit_test(lengths),
		cmocka_unit_test(ports_and_equality),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
