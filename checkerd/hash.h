/* SPDX-License-Identifier: BSD-2-Clause
 *
 * FNV-1a, of 64 bits: to tell things apart, not to keep secrets.
 */
#ifndef CHECKERD_HASH_H
#define CHECKERD_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_BEGIN UINT64_C(14695981039346656037)

static inline uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
	return hash;
}

#endif
