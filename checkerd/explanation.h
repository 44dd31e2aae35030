/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Why a host is in its state: the rule that decided, in a sentence.
 */
#ifndef CHECKERD_EXPLANATION_H
#define CHECKERD_EXPLANATION_H

#include "../include/health_shm.h"

#include <stdbool.h>

#define EXPLANATION_SIZE 256

/* Pure: it is concluded from the word and the counters beside it, and reads
 * no clock.  `detail` is all zero when unknown.  Fills `buffer` of
 * EXPLANATION_SIZE bytes and returns it. */
const char *explanation(uint64_t word, const struct health_detail *detail,
                        bool panic, char *buffer);

#endif
