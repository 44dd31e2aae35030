/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One text, read by every small reader there is: numbers, durations, masks,
 * addresses, names, URLs, paths, ETags.  What one accepts and can print must
 * print as a text that it reads as the same.
 */
#include "fuzz.h"

#include "address.h"
#include "etag.h"
#include "parse.h"
#include "path_pattern.h"
#include "status_mask.h"
#include "util.h"

#include <errno.h>
#include <inttypes.h>

static void check_numbers(const char *text)
{
	char buffer[DURATION_TEXT_SIZE];
	uint64_t number, again;
	bool value;

	parse_bool(&value, text);
	parse_octal(&number, text, 0, 07777);
	if (parse_unsigned(&number, text, 1, UINT64_MAX) == 0) {
		snprintf(buffer, sizeof(buffer), "%" PRIu64, number);
		HOLDS(parse_unsigned(&again, buffer, number, number) == 0);
		HOLDS(again == number);
	}
	if (parse_percent(&number, text, 5, 100) == 0)
		HOLDS(number >= 5 && number <= 100);
	if (parse_duration_ms(&number, text, 0, UINT64_MAX) == 0) {
		duration_text(number, buffer);
		HOLDS(strlen(buffer) < sizeof(buffer));
		HOLDS(parse_duration_ms(&again, buffer, 0, UINT64_MAX) == 0);
		HOLDS(again == number);
	}
	if (parse_size(&number, text, 0, UINT64_MAX) == 0) {
		size_text(number, buffer);
		HOLDS(parse_size(&again, buffer, number, number) == 0);
		HOLDS(again == number);
	}
}

static void check_escapes(const char *text)
{
	size_t length = strlen(text), size, size_again, printed_size;
	unsigned char *bytes = malloc(length + 1);
	unsigned char *again;
	char *printed;
	FILE *stream;

	HOLDS(bytes);
	if (parse_escaped(bytes, &size, text) == 0) {
		HOLDS(size <= length);
		stream = open_memstream(&printed, &printed_size);
		HOLDS(stream);
		escaped_print(bytes, size, stream);
		fclose(stream);
		HOLDS(printed_size == 0 || text_is_id(printed, printed_size));
		again = malloc(printed_size + 1);
		HOLDS(again);
		HOLDS(parse_escaped(again, &size_again, printed) == 0);
		HOLDS(size_again == size && memcmp(again, bytes, size) == 0);
		free(again);
		free(printed);
	}
	free(bytes);
}

static void check_names(const char *text)
{
	size_t size = strlen(text);

	if (text_is_name(text, size))
		HOLDS(text_is_id(text, size) && text_is_token(text, size));
	if (text_is_id(text, size))
		HOLDS(text_is_printable(text, size));
	if (text_is_token(text, size))
		HOLDS(text_is_printable(text, size));
	if (text_is_url(text))
		HOLDS(text_is_id(text, size));
}

static void check_mask(const char *text)
{
	char buffer[STATUS_MASK_TEXT_SIZE];
	struct status_mask mask, again;
	const char *at = NULL;

	if (status_mask_parse(&mask, text, &at) < 0) {
		HOLDS(at >= text && at <= text + strlen(text));
		return;
	}
	status_mask_text(&mask, buffer);
	HOLDS(strnlen(buffer, sizeof(buffer)) < sizeof(buffer));
	HOLDS(status_mask_parse(&again, buffer, &at) == 0);
	HOLDS(memcmp(&mask, &again, sizeof(mask)) == 0);
	HOLDS(status_mask_empty(&mask) == (*buffer == '\0'));
	HOLDS(!status_mask_test(&mask, 99) && !status_mask_test(&mask, 600));
}

static void check_address(const char *text)
{
	struct address address, again;
	char buffer[ADDRESS_TEXT_SIZE];
	size_t name_length;
	uint16_t port;
	int r = address_parse(&address, text, &name_length, &port);

	HOLDS(r == 0 || r == -EINVAL || r == -ENOENT);
	if (r == -ENOENT)
		HOLDS(name_length > 0 && name_length <= strlen(text));
	if (r < 0)
		return;
	address_text(&address, buffer);
	HOLDS(strnlen(buffer, sizeof(buffer)) < sizeof(buffer));
	HOLDS(address_parse(&again, buffer, &name_length, &port) == 0);
	HOLDS(address_equal(&address, &again));
	address_set_port(&again, 81);
	HOLDS(address_port(&again) == 81 || address_port(&address) == 0);
}

static void check_requests(const char *text)
{
	static const char *const patterns[] = { "/", "/v1/pools/*",
		                                "/v1/pools/*/hosts/*" };
	static const char etag[] = "\"0123456789abcdef\"";
	struct path_arguments arguments;

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		int r = path_pattern_match(patterns[i], text, &arguments);

		HOLDS(r == 0 || r == 1 || r == -EINVAL);
		HOLDS(r != 1 || *text == '/');
		HOLDS(r != 1 || i < 1 || *arguments.text[0] != '\0');
		HOLDS(r != 1 || i < 2 || *arguments.text[1] != '\0');
	}
	if (etag_matches(text, etag))
		HOLDS(strstr(text, etag) || strchr(text, '*'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);

	check_numbers(text);
	check_escapes(text);
	check_names(text);
	check_mask(text);
	check_address(text);
	check_requests(text);
	free(text);
	return 0;
}
