/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Times as people and programs read them.  All take microseconds, as the
 * segment holds them, and fill a buffer of TIME_TEXT_SIZE bytes, which they
 * return.
 */
#ifndef CHECKERD_TIME_TEXT_H
#define CHECKERD_TIME_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#define TIME_TEXT_SIZE 40

/* RFC 3339, UTC, milliseconds: "2026-01-31T08:15:30.250Z". */
const char *time_text_utc(uint64_t realtime_us, char *buffer);

/* Reads what time_text_utc() writes.  Returns false for anything else. */
bool time_text_read_utc(const char *text, uint64_t *ret_realtime_us);

/* Two units at most, never a fraction: "0s", "12s", "3m12s", "2h05m", "3d4h".
 */
const char *time_text_age(uint64_t age_us, char *buffer);

/* Three digits at most: "812us", "1.25ms", "40ms", "2.5s". */
const char *time_text_latency(uint64_t latency_us, char *buffer);
#endif
