/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The few macros that every file wants.
 *
 * Functions of this project return 0 or a positive count when they did what
 * was asked, and a negative errno when they could not.  They either log or
 * return an error, never both.
 */
#ifndef CHECKERD_UTIL_H
#define CHECKERD_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(array)        (sizeof(array) / sizeof((array)[0]))
#define CLEANUP(function)        __attribute__((cleanup(function)))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC  UINT64_C(1000000)

/* For CLEANUP(): each accepts what was never filled in. */
static inline void free_pointer(void *pointer)
{
	free(*(void **) pointer);
}

static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#endif
