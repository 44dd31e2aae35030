/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the changes share, and nobody else sees:
 *
 *	changes.c            rows, and the orders that they come to
 *	changes_apply.c      what people ask for becomes rows
 *	changes_reconcile.c  which rows are left when the files have changed
 */
#ifndef CHECKERD_CHANGES_PRIVATE_H
#define CHECKERD_CHANGES_PRIVATE_H

#include "changes.h"

#include <string.h>

/* keys that are none of the configuration's */
#define POOL   "pool"
#define SERVER "server"
#define ADMIN  "admin"
#define WEIGHT "weight"

static inline bool changes_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static inline json_t *changes_text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

/* Appends each row to `ended` if it is of a lease that has ended, or else to
 * `left`.  Returns 0 or -ENOMEM. */
int changes_part(const json_t *changes, uint64_t now_us, json_t *ended,
                 json_t *left);

/* Both in place, and return 0 or -ENOMEM.  `host` and `key` may be NULL: any.
 */
int changes_drop_row(json_t *changes, const json_t *row);
int changes_drop(json_t *changes, const char *pool, const char *host,
                 const char *key);

/* Whether it is defined by rows alone.  `host` may be NULL. */
bool changes_is_own(const json_t *changes, const char *pool, const char *host);

/* --- what a configuration says ------------------------------------------ */

/* What may be set of a pool that exists; NULL at the end. */
extern const char *const changes_pool_keys[];

/* Where the files have a pool, or a host. */
struct file_place {
	const struct pool_config *pool; /* NULL: nowhere */
	const struct host_config *host; /* NULL: it is the pool */
};

struct file_place changes_find_place(const struct config *files,
                                     const char *pool, const char *id);

struct file_value {
	const char *text; /* NULL: none; often in the buffer */
	char buffer[ADDRESS_TEXT_SIZE];
};

/* As a row would say it.  Returns `ret`. */
struct file_value *changes_file_value(struct file_place place, const char *key,
                                      struct file_value *ret);

#endif
