/* SPDX-License-Identifier: BSD-2-Clause
 *
 * To free a hundred thousand things takes as long as to make them: whoever
 * must not wait for that leaves it to a thread.
 */
#ifndef CHECKERD_DISCARD_H
#define CHECKERD_DISCARD_H

/* Destroys `object`, which nobody else knows any more, by and by; at once if
 * there is no thread to be had. */
void discard(void (*destroy)(void *object), void *object);

#endif
