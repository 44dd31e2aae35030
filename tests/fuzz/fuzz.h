/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What every target of tests/fuzz shares.
 *
 * A target is one file, NAME.c, with the function below: bytes of a stranger
 * go in by the path on which they would really come, and what must hold of
 * whatever becomes of them is asserted.  libFuzzer calls it with bytes of its
 * own making (-DFUZZERS=ON); replay.c calls it with those of corpus/NAME, in
 * every build, so that what was found once stays found.
 *
 * What it leaves behind must not show in the next call: then an input is a
 * finding by itself.
 */
#ifndef CHECKERD_FUZZ_H
#define CHECKERD_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An assert() that no build leaves out. */
#define HOLDS(condition)                                                       \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "%s:%d: it does not hold: %s\n",       \
			        __FILE__, __LINE__, #condition);               \
			abort();                                               \
		}                                                              \
	} while (0)

/* A terminated copy, of exactly its size, the caller's to free. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	HOLDS(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

#endif
