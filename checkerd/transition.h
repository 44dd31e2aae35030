/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which change of a host word is news, and what it is called.  Pure.
 */
#ifndef CHECKERD_TRANSITION_H
#define CHECKERD_TRANSITION_H

#include "../include/health_shm.h"

/* The event for a host whose word goes from `before` to `after`, or 0 if its
 * effective state stays the same.  The first pass of a host that was trusted
 * from the start (unknown to up) changes nothing for anybody: no event. */
enum health_event_kind transition_kind(uint64_t before, uint64_t after);

#endif
