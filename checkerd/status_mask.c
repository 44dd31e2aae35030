/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A set of HTTP statuses: one bit each, so that a test costs one load however
 * long the text was.
 */
#include "status_mask.h"

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STATUS_MIN 100
#define STATUS_END 600

static void add(struct status_mask *mask, unsigned status)
{
	unsigned bit = status - STATUS_MIN;

	mask->bits[bit / 64] |= UINT64_C(1) << bit % 64;
}

static bool is_place(char c)
{
	return (c >= '0' && c <= '9') || c == 'x' || c == 'X';
}

static bool place_covers(char place, unsigned digit)
{
	return place == 'x' || place == 'X' || place == (char) ('0' + digit);
}

/* "5xx"; false if no status is like that. */
static bool add_masked(struct status_mask *mask, const char *text)
{
	bool any = false;

	for (unsigned status = STATUS_MIN; status < STATUS_END; status++) {
		if (place_covers(text[0], status / 100) &&
		    place_covers(text[1], status / 10 % 10) &&
		    place_covers(text[2], status % 10)) {
			add(mask, status);
			any = true;
		}
	}
	return any;
}

/* Three digits; 0, which is no status, for anything else. */
static unsigned read_status(const char *text)
{
	unsigned status = 0;

	for (unsigned i = 0; i < 3; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		status = status * 10 + (unsigned) (text[i] - '0');
	}
	return status;
}

/* Adds the "5xx" or "200-399" that *text starts with and steps over it. */
static bool add_item(struct status_mask *mask, const char **text)
{
	const char *at = *text;
	unsigned first, last;

	for (unsigned i = 0; i < 3; i++) {
		if (!is_place(at[i]))
			return false;
	}
	*text = at + 3;
	if (at[3] != '-')
		return add_masked(mask, at);

	first = read_status(at);
	last = read_status(at + 4);
	if (first < STATUS_MIN || last < first || last >= STATUS_END)
		return false;
	for (unsigned status = first; status <= last; status++)
		add(mask, status);
	*text = at + 7;
	return true;
}

int status_mask_parse(struct status_mask *ret, const char *text,
                      const char **ret_at)
{
	static const char separators[] = ", \t";
	struct status_mask mask = { { 0 } };

	for (;;) {
		text += strspn(text, separators);
		if (*text == '\0')
			break;
		*ret_at = text;
		if (!add_item(&mask, &text) ||
		    (*text != '\0' && strchr(separators, *text) == NULL))
			return -EINVAL;
	}
	*ret = mask;
	return 0;
}

bool status_mask_test(const struct status_mask *mask, unsigned status)
{
	unsigned bit = status - STATUS_MIN;

	return bit < STATUS_END - STATUS_MIN &&
	       (mask->bits[bit / 64] >> bit % 64 & 1) != 0;
}

bool status_mask_empty(const struct status_mask *mask)
{
	for (size_t i = 0; i < ARRAY_SIZE(mask->bits); i++) {
		if (mask->bits[i] != 0)
			return false;
	}
	return true;
}

const char *status_mask_text(const struct status_mask *mask, char *buffer)
{
	unsigned first = STATUS_MIN, last;
	size_t size = 0;

	*buffer = '\0';
	for (; first < STATUS_END; first = last + 1) {
		unsigned end = first / 100 * 100 + 99;

		last = first;
		if (!status_mask_test(mask, first))
			continue;
		while (last < end && status_mask_test(mask, last + 1))
			last++;
		if (size > 0)
			size += (size_t) sprintf(buffer + size, ", ");
		if (last - first == 99)
			size += (size_t) sprintf(buffer + size, "%uxx",
			                         first / 100);
		else if (last > first)
			size += (size_t) sprintf(buffer + size, "%u-%u", first,
			                         last);
		else
			size += (size_t) sprintf(buffer + size, "%u", first);
	}
	return buffer;
}
