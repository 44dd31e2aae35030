/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A set of HTTP statuses, written as masks and ranges: "5xx, 40x, 5x3, 403,
 * 200-399".  An x stands for any digit.  Statuses run from 100 to 599.
 */
#ifndef CHECKERD_STATUS_MASK_H
#define CHECKERD_STATUS_MASK_H

#include <stdbool.h>
#include <stdint.h>

/* 250 lone statuses are the longest text. */
#define STATUS_MASK_TEXT_SIZE 1280

struct status_mask {
	uint64_t bits[8]; /* bit n is status 100 + n */
};

/* Returns 0, or -EINVAL with *ret_at set to where `text` stops making
 * sense.  An empty text is an empty set. */
int status_mask_parse(struct status_mask *ret, const char *text,
                      const char **ret_at);

bool status_mask_test(const struct status_mask *mask, unsigned status);

bool status_mask_empty(const struct status_mask *mask);

/* The set as status_mask_parse() reads it, one item per run within a hundred:
 * "2xx, 300-304, 307".  `buffer` has STATUS_MASK_TEXT_SIZE bytes. */
const char *status_mask_text(const struct status_mask *mask, char *buffer);

#endif
