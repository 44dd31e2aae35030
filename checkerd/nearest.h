/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The known word that a mistyped one was probably meant to be.
 */
#ifndef CHECKERD_NEAREST_H
#define CHECKERD_NEAREST_H

#include <stddef.h>

struct nearest {
	const char *word;
	size_t size;
	size_t distance;
};

/* Starts a search for the word nearest to `word`, which must outlive it. */
void nearest_begin(struct nearest *nearest, const char *word, size_t size);

/* Shows it a known word.  Returns 1 if that is the nearest so far, and near
 * enough to be proposed to a person; else 0. */
int nearest_offer(struct nearest *nearest, const char *known, size_t size);

#endif
