/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `checkerctl events`: what the ring holds, and with -f what follows.
 */
#ifndef CHECKERD_EVENTS_H
#define CHECKERD_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

struct events_options {
	bool json;
	bool since_given; /* else from the oldest that there is */
	uint64_t since;   /* exclusive */
};

/* Prints what there is.  Returns 0; a negative errno with a sentence in
 * `ret_error` (SEGMENT_READER_ERROR_SIZE bytes) if the segment cannot be
 * read; -ENOMEM. */
int events_print(const char *path, const struct events_options *options,
                 char *ret_error);

/* Prints what there is and what comes, for ever; a segment that is absent is
 * waited for.  Returns a negative errno if standard output takes no more. */
int events_follow(const char *path, const struct events_options *options);

#endif
