/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UTF-8 from outside, one character at a time.  Overlong forms, surrogates
 * and what lies beyond U+10FFFF are no characters here.
 */
#ifndef CHECKERD_UTF8_H
#define CHECKERD_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* How many bytes the character at `data` takes, stored in *ret; 0: these
 * bytes are none.  `size` is at least 1. */
static inline size_t utf8_next(const char *data, size_t size, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *bytes = (const unsigned char *) data;
	uint32_t character;
	size_t length, i;

	if (bytes[0] < 0x80) {
		*ret = bytes[0];
		return 1;
	}
	length = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
	if (bytes[0] < 0xc2 || bytes[0] > 0xf4 || length > size)
		return 0;
	character = bytes[0] & (0xff >> (length + 1));
	for (i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		character = character << 6 | (bytes[i] & 0x3f);
	}
	if (character < least[length] || character > 0x10ffff ||
	    (character >= 0xd800 && character <= 0xdfff))
		return 0;
	*ret = character;
	return length;
}

#endif
