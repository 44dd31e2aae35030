/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The nginx workers that read the segment, as far as they say so: each sends
 * a hello every ten seconds, and is forgotten after three of them failed to
 * come.  Pure; times are monotonic microseconds of the caller's.
 */
#ifndef CHECKERD_READERS_H
#define CHECKERD_READERS_H

#include <stdint.h>
#include <sys/types.h>

#define READERS_MAX       4096
#define READERS_FORGET_US UINT64_C(35000000)

struct reader {
	pid_t pid;
	uint32_t version; /* of nginx: 1022001 is 1.22.1 */
	uint64_t seq;     /* the last event it acted on */
	uint64_t seen_us;
};

struct readers {
	uint32_t count;
	struct reader readers[READERS_MAX]; /* in the order of coming */
};

/* One more than READERS_MAX takes the place of who was silent for longest. */
void readers_hello(struct readers *readers, const struct reader *hello);

void readers_forget(struct readers *readers, uint64_t now_us);

#endif
