/* SPDX-License-Identifier: BSD-2-Clause */
#include "readers.h"

static struct reader *place_of(struct readers *readers, pid_t pid)
{
	struct reader *quietest = readers->readers;

	for (uint32_t i = 0; i < readers->count; i++) {
		struct reader *reader = &readers->readers[i];

		if (reader->pid == pid)
			return reader;
		if (reader->seen_us < quietest->seen_us)
			quietest = reader;
	}
	return readers->count < READERS_MAX
	               ? &readers->readers[readers->count++]
	               : quietest;
}

void readers_hello(struct readers *readers, const struct reader *hello)
{
	*place_of(readers, hello->pid) = *hello;
}

void readers_forget(struct readers *readers, uint64_t now_us)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < readers->count; i++)
		if (now_us - readers->readers[i].seen_us <= READERS_FORGET_US)
			readers->readers[kept++] = readers->readers[i];
	readers->count = kept;
}
