/* SPDX-License-Identifier: BSD-2-Clause */
#include "path_pattern.h"

#include <errno.h>
#include <string.h>

static int hex_digit(char character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	character |= 0x20;
	return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

/* The next byte, decoded; NUL also for what is no encoding. */
static char next(const char **at, const char *end)
{
	const char *text = *at;
	int high, low;

	*at += 1;
	if (*text != '%')
		return *text;
	if (end - text < 3)
		return '\0';
	high = hex_digit(text[1]);
	low = hex_digit(text[2]);
	*at += 2;
	return high < 0 || low < 0 ? '\0' : (char) (high << 4 | low);
}

static int decode(char ret[PATH_ARGUMENT_SIZE], const char *text, size_t size)
{
	const char *end = text + size;
	size_t used = 0;

	while (text < end) {
		if (used + 1 == PATH_ARGUMENT_SIZE)
			return -EINVAL;
		ret[used] = next(&text, end);
		if (ret[used++] == '\0')
			return -EINVAL;
	}
	ret[used] = '\0';
	return used > 0 ? 0 : -EINVAL;
}

int path_pattern_match(const char *pattern, const char *path,
                       struct path_arguments *ret)
{
	size_t arguments = 0;
	int result = 1;

	memset(ret, 0, sizeof(*ret));
	while (*pattern == '/' && *path == '/') {
		size_t wanted = strcspn(++pattern, "/");
		size_t size = strcspn(++path, "/");

		if (*pattern == '*' && arguments < PATH_ARGUMENTS) {
			if (decode(ret->text[arguments++], path, size) < 0)
				result = -EINVAL;
		} else if (wanted != size || memcmp(pattern, path, size) != 0) {
			return 0;
		}
		pattern += wanted;
		path += size;
	}
	return *pattern == '\0' && *path == '\0' ? result : 0;
}
