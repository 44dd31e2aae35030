/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How long to wait before something that failed is tried again: twice as long
 * each time, up to a bound, and never quite as long as somebody else who
 * failed at the same moment.
 */
#ifndef CHECKERD_BACKOFF_H
#define CHECKERD_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_MS 1000
#define BACKOFF_LAST_MS  60000

/* After `failures` in a row, at least 1: from half of the delay to all of it,
 * as `chance`, which is any number, has it. */
uint32_t backoff_ms(uint64_t failures, uint32_t chance);

#endif
