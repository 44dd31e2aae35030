/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The files have changed: what is left of the changes.
 */
#include "changes_private.h"

#include "name_index.h"

#include <errno.h>
#include <string.h>

/* What becomes of rows of existence: those that hang on them follow. */
enum fate { STAYS, GOES };

struct reconciliation {
	const struct config *files;
	struct name_index *places; /* of pools, and of hosts in their pools */
	uint64_t now_us;
	change_told_fn told;
	void *owner;
	struct name_index *fates; /* by (pool, "") and (pool, host) */
};

static uint32_t fate_of(const struct reconciliation *with,
                        const struct change *change, const char *host)
{
	return name_index_find(with->fates, change->pool, strlen(change->pool),
	                       host, strlen(host));
}

static bool is_existence(const struct change *change)
{
	return strcmp(change->key, POOL) == 0 ||
	       strcmp(change->key, SERVER) == 0;
}

/* As changes_find_place(), for all the rows there may be. */
static struct file_place place_of(const struct reconciliation *with,
                                  const char *pool, const char *id)
{
	size_t size = strlen(pool);
	uint32_t p = name_index_find(with->places, pool, size, "", 0), h;
	struct file_place place = { 0 };

	if (p == NAME_INDEX_NONE)
		return place;
	place.pool = &with->files->pools[p];
	if (!id)
		return place;
	h = name_index_find(with->places, pool, size, id, strlen(id));
	if (h == NAME_INDEX_NONE)
		return (struct file_place) { 0 };
	place.host = &place.pool->hosts[h]; /* NOLINT: it was found there */
	return place;
}

static int index_places(struct reconciliation *with)
{
	const struct config *files = with->files;
	int error = 0;

	with->places = name_index_new(files->pool_count + files->host_count);
	if (!with->places)
		return -ENOMEM;
	for (uint32_t p = 0; p < files->pool_count; p++) {
		const struct pool_config *pool = &files->pools[p];
		size_t size = strlen(pool->name);

		error = name_index_add(with->places, pool->name, size, "", 0,
		                       p);
		for (uint32_t h = 0; error == 0 && h < pool->host_count; h++)
			error = name_index_add(with->places, pool->name, size,
			                       pool->hosts[h].id,
			                       strlen(pool->hosts[h].id), h);
		if (error < 0)
			return error;
	}
	return 0;
}

/* What the files alone have to say about a row. */
static enum fate judge(const struct reconciliation *with,
                       const struct change *change)
{
	const char *was = json_string_value(change->ini);
	struct file_value says;
	/* what was added to a pool goes with it */
	bool homeless = strcmp(change->key, SERVER) == 0 &&
	                !place_of(with, change->pool, NULL).pool;

	changes_file_value(place_of(with, change->pool, change->host),
	                   change->key, &says);
	if (changes_same_text(was, says.text) && !homeless)
		return STAYS;
	if (with->told &&
	    !changes_same_text(json_string_value(change->runtime), says.text))
		with->told(with->owner, change, says.text);
	return GOES;
}

static enum fate decide(const struct reconciliation *with,
                        const struct change *change)
{
	uint32_t fate = NAME_INDEX_NONE;

	if (change->until_us && change->until_us <= with->now_us)
		return GOES;
	if (strcmp(change->key, POOL) != 0)
		fate = fate_of(with, change, "");
	if (fate == NAME_INDEX_NONE && change->host)
		fate = fate_of(with, change, change->host);
	if (fate == NAME_INDEX_NONE)
		return judge(with, change);
	return (enum fate) fate;
}

static int note_existences(struct reconciliation *with, const json_t *changes,
                           const char *key)
{
	const json_t *row;
	size_t i;
	int error = 0;

	json_array_foreach((json_t *) changes, i, row)
	{
		struct change change;
		const char *host;

		if (error < 0 || !change_read(row, &change) ||
		    strcmp(change.key, key) != 0)
			continue;
		host = change.host ? change.host : "";
		error = name_index_add(with->fates, change.pool,
		                       strlen(change.pool), host, strlen(host),
		                       decide(with, &change));
	}
	return error;
}

json_t *changes_reconcile(json_t *changes, const struct config *files,
                          uint64_t now_us, change_told_fn told, void *owner)
{
	struct reconciliation with = {
		.files = files,
		.now_us = now_us,
		.told = told,
		.owner = owner,
		.fates = name_index_new((uint32_t) json_array_size(changes)),
	};
	json_t *left = json_array(), *row;
	int error = with.fates && left ? index_places(&with) : -ENOMEM;
	size_t i;

	if (error == 0)
		error = note_existences(&with, changes, POOL);
	if (error == 0)
		error = note_existences(&with, changes, SERVER);
	json_array_foreach(changes, i, row)
	{
		struct change change;
		const char *host;
		enum fate fate;

		if (error < 0 || !change_read(row, &change))
			continue;
		host = change.host ? change.host : "";
		fate = is_existence(&change)
		               ? (enum fate) fate_of(&with, &change, host)
		               : decide(&with, &change);
		if (fate == STAYS && json_array_append(left, row) < 0)
			error = -ENOMEM;
	}
	name_index_free(with.places);
	name_index_free(with.fates);
	if (error == 0)
		return left;
	json_decref(left);
	return NULL;
}
