/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What people changed while checkerd ran, on top of what its files say.
 *
 * A set of changes is a JSON array of rows, the same in memory, on disk and
 * in GET /v1/changes, at most one for a (pool, host, key):
 *
 *	{"pool": "primary", "host": "a", "key": "weight",
 *	 "ini": "10", "runtime": "5", "since": "RFC 3339", "by": 1000}
 *
 *	host     null for what is the pool's
 *	key      "pool" and "server" are the existence of a pool and a host;
 *	         then null means that it does not exist.  Else a key of
 *	         [pool] or [host], "weight" or "admin".
 *	ini      what the files said when the change was made
 *	runtime  what holds instead, as text; a list for repeatable keys
 *	reason, until    of an order ("admin") only, or null
 *
 * A change stands until it is reverted or until the files say something else
 * than they did: the last word wins.  A pool or host with a row of its own
 * existence is defined by rows alone, whatever the files say of it.
 *
 * Sets are never changed in place, so a thread may read one while the next is
 * made.  Pure: no clock, no file.
 */
#ifndef CHECKERD_CHANGES_H
#define CHECKERD_CHANGES_H

#include "config.h"

#include <jansson.h>
#include <sys/types.h>

struct name_index;

#define CHANGES_VERSION      1
#define CHANGES_MAX          1000000
#define CHANGES_REASON_MAX   256 /* bytes */
#define CHANGES_LEASE_MAX_MS (UINT64_C(365) * 24 * 3600 * 1000)

struct change {
	const char *pool;
	const char *host; /* NULL: of the pool itself */
	const char *key;
	const json_t *ini, *runtime; /* JSON null where it says so above */
	const char *reason;          /* NULL: none */
	uint64_t until_us;           /* real time; 0: open */
};

/* Returns false for what is no row, such as NULL. */
bool change_read(const json_t *row, struct change *ret);

/* What an "admin" row orders. */
enum health_admin change_admin(const struct change *change);

/* NULL if there is none of that key. */
const json_t *changes_find(const json_t *changes, const char *pool,
                           const char *host, const char *key);

enum operation_kind {
	OPERATION_ADD_POOL,
	OPERATION_SET_POOL,
	OPERATION_REMOVE_POOL,
	OPERATION_ADD_HOST,
	OPERATION_ORDER, /* admin state, lease, reason, weight of a host */
	OPERATION_REMOVE_HOST,
	OPERATION_REVERT, /* back to what the files say */
	OPERATION_EXPIRE  /* of all leases that have ended: of no pool */
};

struct operation {
	enum operation_kind kind;
	const char *pool; /* NULL: of no pool */
	const char *host; /* NULL: the pool */
	json_t *body;     /* an object, or NULL */
	uint64_t at_us;   /* real time */
	uid_t by;
};

/* Why not, and what is allowed. */
struct refusal {
	unsigned status; /* of HTTP */
	const char *code;
	char key[64]; /* empty: none */
	char message[512];
};

/* Makes the set that holds after `operation`.  `files` is the configuration
 * of the files alone, `now` the one in force.  What only building a
 * configuration can tell is not looked at here: values of keys.  Returns 0;
 * -EINVAL with *refusal; -ENOMEM. */
int changes_apply(json_t *changes, const struct config *files,
                  const struct config *now, const struct operation *operation,
                  json_t **ret, struct refusal *refusal);

/* Whether an operation only orders what no new configuration is needed for. */
static inline bool operation_is_order(const struct operation *operation)
{
	return operation->kind == OPERATION_ORDER ||
	       operation->kind == OPERATION_EXPIRE;
}

/* The order and the weight that a host is under. */
struct order {
	enum health_admin admin;
	uint16_t weight;
	const char *reason; /* NULL: none; of the changes */
	uint64_t until_us;
};

/* Returns 0 or -ENOMEM. */
int changes_order(const json_t *changes, const struct config *files,
                  const char *pool, const char *host, struct order *ret);

/* The set that is left when the files say what `files` holds: changes that
 * they contradict, or that agree with them by now, are gone, and leases that
 * ended by `now_us`.  `told` (may be NULL) hears of the contradicted ones.
 * Returns NULL if memory ran out. */
typedef void (*change_told_fn)(void *owner, const struct change *change,
                               const char *file_value);
json_t *changes_reconcile(json_t *changes, const struct config *files,
                          uint64_t now_us, change_told_fn told, void *owner);

/* Without the rows of the hosts that `names` holds, and of the pools, as
 * (pool, ""), with their hosts.  Returns NULL if memory ran out. */
json_t *changes_without(json_t *changes, const struct name_index *names);

/* A new reference to the value of a key as everybody may see it: what probes
 * send may hold passwords. */
json_t *changes_hide(const char *key, const json_t *value);

/* The first end of a lease; 0: none. */
uint64_t changes_next_end_us(const json_t *changes);

/* The rows of leases that have ended by `now_us`, in their order.
 * Returns NULL if memory ran out. */
json_t *changes_ended(const json_t *changes, uint64_t now_us);

#endif
