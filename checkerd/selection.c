/* SPDX-License-Identifier: BSD-2-Clause
 *
 * POOL and POOL/HOST, split at the first slash, looked up in a segment.
 */
#include "selection.h"

#include "nearest.h"
#include "terminal.h"

#include <errno.h>
#include <stdio.h>

static bool equal(struct health_text text, const char *data, size_t size)
{
	return text.size == size && memcmp(text.data, data, size) == 0;
}

/* `near` is empty, or stands for what follows the first `kept` bytes. */
static int unknown(char *ret_error, const char *kind, const char *name,
                   size_t kept, struct health_text near)
{
	char escaped[160];

	if (near.size == 0) {
		snprintf(ret_error, SEGMENT_READER_ERROR_SIZE,
		         "no %s \"%.128s\"", kind, name);
		return -ENOENT;
	}
	terminal_escape(escaped, sizeof(escaped), near.data, near.size);
	snprintf(ret_error, SEGMENT_READER_ERROR_SIZE,
	         "no %s \"%.128s\"; did you mean \"%.*s%s\"?", kind, name,
	         (int) (kept < 128 ? kept : 128), name, escaped);
	return -ENOENT;
}

static int find_pool(struct selection *selection, const char *name, size_t size,
                     struct health_text *ret_near)
{
	struct pool_snapshot pool;
	struct nearest nearest;
	uint32_t i;

	nearest_begin(&nearest, name, size);
	for (i = 0; i < selection->shm->pool_count; i++) {
		pool_snapshot(&pool, selection->shm, i);
		if (equal(pool.name, name, size)) {
			selection->first_pool = i;
			selection->pool_count = 1;
			return 0;
		}
		if (nearest_offer(&nearest, pool.name.data, pool.name.size))
			*ret_near = pool.name;
	}
	return -ENOENT;
}

static int find_host(struct selection *selection, const char *name,
                     struct health_text *ret_near)
{
	struct pool_snapshot pool;
	struct host_snapshot host;
	struct nearest nearest;
	uint32_t i;

	nearest_begin(&nearest, name, strlen(name));
	pool_snapshot(&pool, selection->shm, selection->first_pool);
	for (i = 0; i < pool.host_count; i++) {
		host_snapshot(&host, selection->shm, pool.first_host + i);
		if (equal(host.id, name, strlen(name))) {
			selection->host_given = true;
			selection->host = pool.first_host + i;
			return 0;
		}
		if (nearest_offer(&nearest, host.id.data, host.id.size))
			*ret_near = host.id;
	}
	return -ENOENT;
}

int selection_find(struct selection *ret, const struct health_shm *shm,
                   const char *name, char *ret_error)
{
	struct health_text near = { "", 0 };
	const char *slash;

	*ret = (struct selection) { .shm = shm, .pool_count = shm->pool_count };
	if (name == NULL)
		return 0;
	slash = strchrnul(name, '/');
	if (find_pool(ret, name, (size_t) (slash - name), &near) < 0)
		return unknown(ret_error, "pool", name, 0, near);
	if (*slash != '\0' && find_host(ret, slash + 1, &near) < 0)
		return unknown(ret_error, "host", name,
		               (size_t) (slash + 1 - name), near);
	return 0;
}

void walk_begin(struct walk *walk, const struct selection *selection)
{
	walk->selection = selection;
	walk->next_pool = selection->first_pool;
	walk->next_host = 0;
	walk->end_host = 0;
}

bool walk_next_pool(struct walk *walk)
{
	const struct selection *selection = walk->selection;

	if (walk->next_pool - selection->first_pool >= selection->pool_count)
		return false;
	pool_snapshot(&walk->pool, selection->shm, walk->next_pool++);
	if (selection->host_given) {
		walk->next_host = selection->host;
		walk->end_host = selection->host + 1;
	} else {
		walk->next_host = walk->pool.first_host;
		walk->end_host = walk->next_host + walk->pool.host_count;
	}
	return true;
}

bool walk_next_host(struct walk *walk)
{
	if (walk->next_host >= walk->end_host)
		return false;
	host_snapshot(&walk->host, walk->selection->shm, walk->next_host++);
	return true;
}

bool walk_next(struct walk *walk)
{
	while (!walk_next_host(walk))
		if (!walk_next_pool(walk))
			return false;
	return true;
}
