/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Small values that people write.
 *
 * Written out instead of built on strtoull() and ctype.h: those accept signs,
 * leading blanks, hexadecimal and whatever the locale says.
 */
#include "parse.h"

#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Reads digits up to the first other character.  Too many of them saturate,
 * which every caller's maximum then refuses. */
static uint64_t read_digits(const char **text, unsigned base)
{
	uint64_t value = 0;

	for (; **text >= '0' && **text < '0' + (char) base; (*text)++) {
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, (unsigned) (**text - '0'),
		                           &value))
			value = UINT64_MAX / base;
	}
	return value;
}

static int store(uint64_t *ret, uint64_t value, uint64_t min, uint64_t max)
{
	if (value < min || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

int parse_bool(bool *ret, const char *text)
{
	static const struct {
		const char *text;
		bool value;
	} words[] = {
		{ "on", true },     { "yes", true },  { "true", true },
		{ "1", true },      { "off", false }, { "no", false },
		{ "false", false }, { "0", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(text, words[i].text) == 0) {
			*ret = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

int parse_unsigned(uint64_t *ret, const char *text, uint64_t min, uint64_t max)
{
	const char *at = text;
	uint64_t value = read_digits(&at, 10);

	if (at == text || *at != '\0')
		return -EINVAL;
	return store(ret, value, min, max);
}

int parse_octal(uint64_t *ret, const char *text, uint64_t min, uint64_t max)
{
	const char *at = text;
	uint64_t value = read_digits(&at, 8);

	if (at == text || *at != '\0')
		return -EINVAL;
	return store(ret, value, min, max);
}

int parse_percent(uint64_t *ret, const char *text, uint64_t min, uint64_t max)
{
	const char *at = text;
	uint64_t value = read_digits(&at, 10);

	if (at == text || (strcmp(at, "") != 0 && strcmp(at, "%") != 0))
		return -EINVAL;
	return store(ret, value, min, max);
}

/* What may stand behind a number; the largest first, for writing. */
struct unit {
	const char *suffix;
	uint64_t factor;
};

static const struct unit duration_units[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 },
	{ "s", 1000 },     { "ms", 1 },      { "", 1000 },
};

static const struct unit size_units[] = { { "m", 1 << 20 },
	                                  { "k", 1 << 10 },
	                                  { "", 1 } };

static int parse_with_unit(uint64_t *ret, const char *text,
                           const struct unit *units, size_t unit_count,
                           int (*compare)(const char *, const char *),
                           uint64_t min, uint64_t max)
{
	const char *at = text;
	uint64_t value = read_digits(&at, 10);

	if (at == text)
		return -EINVAL;
	for (size_t i = 0; i < unit_count; i++) {
		if (compare(at, units[i].suffix) != 0)
			continue;
		if (__builtin_mul_overflow(value, units[i].factor, &value))
			return -ERANGE;
		return store(ret, value, min, max);
	}
	return -EINVAL;
}

/* One of `units` has the factor 1. */
static const char *unit_text(uint64_t value, const struct unit *units,
                             char *buffer, size_t size)
{
	if (value == 0)
		return strcpy(buffer, "0");
	while (value % units->factor != 0)
		units++;
	snprintf(buffer, size, "%" PRIu64 "%s", value / units->factor,
	         units->suffix);
	return buffer;
}

int parse_duration_ms(uint64_t *ret_ms, const char *text, uint64_t min_ms,
                      uint64_t max_ms)
{
	return parse_with_unit(ret_ms, text, duration_units,
	                       ARRAY_SIZE(duration_units), strcmp, min_ms,
	                       max_ms);
}

const char *duration_text(uint64_t ms, char *buffer)
{
	return unit_text(ms, duration_units, buffer, DURATION_TEXT_SIZE);
}

/* Sizes in either case; of durations only the small letters are units. */
int parse_size(uint64_t *ret, const char *text, uint64_t min, uint64_t max)
{
	return parse_with_unit(ret, text, size_units, ARRAY_SIZE(size_units),
	                       strcasecmp, min, max);
}

const char *size_text(uint64_t size, char *buffer)
{
	return unit_text(size, size_units, buffer, SIZE_TEXT_SIZE);
}

static const struct {
	char letter, byte;
} escapes[] = { { 'r', '\r' }, { 'n', '\n' }, { 't', '\t' }, { '\\', '\\' } };

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 'a' ^ 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What follows a backslash.  Returns how many characters that is, 0 for what
 * is no escape. */
static size_t read_escape(const char *text, unsigned char *ret)
{
	if (text[0] == 'x' && hex_digit(text[1]) >= 0 &&
	    hex_digit(text[2]) >= 0) {
		*ret = (unsigned char) (hex_digit(text[1]) << 4 |
		                        hex_digit(text[2]));
		return 3;
	}
	for (size_t i = 0; i < ARRAY_SIZE(escapes); i++) {
		if (text[0] == escapes[i].letter) {
			*ret = (unsigned char) escapes[i].byte;
			return 1;
		}
	}
	return 0;
}

int parse_escaped(unsigned char *ret, size_t *ret_size, const char *text)
{
	size_t size = 0;

	while (*text != '\0') {
		size_t taken;

		if (*text != '\\') {
			ret[size++] = (unsigned char) *text++;
			continue;
		}
		taken = read_escape(text + 1, &ret[size++]);
		if (taken == 0)
			return -EINVAL;
		text += 1 + taken;
	}
	*ret_size = size;
	return 0;
}

static void print_escaped_byte(unsigned char byte, FILE *stream)
{
	for (size_t i = 0; i < ARRAY_SIZE(escapes); i++) {
		if (byte == (unsigned char) escapes[i].byte) {
			fprintf(stream, "\\%c", escapes[i].letter);
			return;
		}
	}
	if (byte <= ' ' || byte >= 0x7f || strchr("\"';", byte))
		fprintf(stream, "\\x%02x", byte);
	else
		fputc(byte, stream);
}

void escaped_print(const unsigned char *data, size_t size, FILE *stream)
{
	for (size_t i = 0; i < size; i++)
		print_escaped_byte(data[i], stream);
}

/* Decodes the sequence at `text`; returns its length, 0 if it is none. */
static size_t utf8_decode(uint32_t *ret, const unsigned char *text, size_t size)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t code;
	size_t length;

	if (text[0] < 0x80)
		length = 1, code = text[0];
	else if (text[0] >> 5 == 0x06)
		length = 2, code = text[0] & 0x1f;
	else if (text[0] >> 4 == 0x0e)
		length = 3, code = text[0] & 0x0f;
	else if (text[0] >> 3 == 0x1e)
		length = 4, code = text[0] & 0x07;
	else
		return 0;
	if (length > size)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if (text[i] >> 6 != 0x02)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < smallest[length] || code > 0x10ffff ||
	    (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret = code;
	return length;
}

bool text_is_printable(const char *text, size_t size)
{
	const unsigned char *at = (const unsigned char *) text;
	uint32_t code;

	while (size > 0) {
		size_t length = utf8_decode(&code, at, size);

		if (length == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
			return false;
		at += length;
		size -= length;
	}
	return true;
}

bool text_is_name(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (!is_alphanumeric(text[i]) &&
		    (text[i] == '\0' || strchr("._-", text[i]) == NULL))
			return false;
	}
	return size > 0;
}

bool text_is_id(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == '"' ||
		    text[i] == '\'')
			return false;
	}
	return size > 0;
}

bool text_is_token(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (!is_alphanumeric(text[i]) &&
		    (text[i] == '\0' ||
		     strchr("!#$%&'*+-.^_`|~", text[i]) == NULL))
			return false;
	}
	return size > 0;
}

/* "name", "10.0.0.1" or "[::1]", and maybe ":8080". */
static bool is_host_and_port(const char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN], port[6] = "80";
	const char *end = memchr(text, *text == '[' ? ']' : ':', size);
	size_t length = end ? (size_t) (end - text) : size;
	struct in6_addr ip;
	uint64_t number;

	if (*text == '[') {
		if (!end || length > sizeof(host))
			return false;
		memcpy(host, text + 1, length - 1);
		host[length - 1] = '\0';
		if (inet_pton(AF_INET6, host, &ip) != 1)
			return false;
		length++;
	} else if (!text_is_name(text, length)) {
		return false;
	}
	text += length;
	size -= length;
	if (size > sizeof(port) || (size > 0 && *text != ':'))
		return false;
	if (size > 0) {
		memcpy(port, text + 1, size - 1);
		port[size - 1] = '\0';
	}
	return parse_unsigned(&number, port, 1, UINT16_MAX) == 0;
}

bool text_is_url(const char *text)
{
	static const char *const schemes[] = { "http://", "https://" };
	const char *authority = NULL, *at;
	size_t size;

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size = strlen(schemes[i]);
		if (strncasecmp(text, schemes[i], size) == 0)
			authority = text + size;
	}
	if (!authority || !text_is_id(text, strlen(text)) ||
	    strpbrk(text, "#\\"))
		return false;
	size = strcspn(authority, "/?");
	at = memrchr(authority, '@', size);
	if (at) {
		size -= (size_t) (at + 1 - authority);
		authority = at + 1;
	}
	return is_host_and_port(authority, size);
}
