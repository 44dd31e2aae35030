/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A segment as those see it who read it for people: opened by its path, as
 * checkerctl and tests do, or the daemon's own view of what it writes.  (nginx
 * has a reader of its own, which allocates from its pools and logs to its log.)
 */
#ifndef CHECKERD_SEGMENT_READER_H
#define CHECKERD_SEGMENT_READER_H

#include "util.h"

#include "../include/health_shm.h"

#include <sys/types.h>

#define SEGMENT_READER_ERROR_SIZE 512

struct segment_reader {
	struct health_shm shm;
	const char *path; /* the caller's */
	void *base;       /* NULL: nothing is mapped */
	size_t size;
	dev_t device;
	ino_t inode;
};

/* Maps the segment at `path`.  Returns 0 or a negative errno (-EBADMSG for a
 * file that is no segment), with a sentence in `ret_error`, which has
 * SEGMENT_READER_ERROR_SIZE bytes. */
int segment_reader_open(struct segment_reader *ret, const char *path,
                        char *ret_error);

/* Maps the file that has the name now, if that is another one: a segment
 * that was superseded, or made anew.  Returns 1 if it did, 0 if nothing
 * changed, or a negative errno as above: then the old mapping stays. */
int segment_reader_refresh(struct segment_reader *reader, char *ret_error);

/* Accepts a reader that was never opened, but zeroed. */
void segment_reader_close(struct segment_reader *reader);

#endif
