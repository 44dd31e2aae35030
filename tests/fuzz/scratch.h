/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A directory for the files of a target, which goes with the process, and a
 * world for configurations in which all names resolve, all files are there and
 * nothing is left to threads.
 */
#ifndef CHECKERD_FUZZ_SCRATCH_H
#define CHECKERD_FUZZ_SCRATCH_H

#include "fuzz.h"

#include "config_builder.h"
#include "discard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <unistd.h>

#define SCRATCH_PATH_SIZE 256

static char scratch_directory[SCRATCH_PATH_SIZE / 2];

static inline int scratch_remove(const char *path, const struct stat *status,
                                 int kind, struct FTW *where)
{
	(void) status;
	(void) kind;
	(void) where;
	return remove(path);
}

/* In place of a thread that does so, at once: what has just been handed to a
 * thread looks like a leak. */
void discard(void (*destroy)(void *object), void *object)
{
	destroy(object);
}

static inline void scratch_leave(void)
{
	nftw(scratch_directory, scratch_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* The path of file `name` in the directory, into `ret` of SCRATCH_PATH_SIZE
 * bytes. */
static inline char *scratch_path(char *ret, const char *name)
{
	const char *parent = getenv("TMPDIR");

	if (!*scratch_directory) {
		snprintf(scratch_directory, sizeof(scratch_directory),
		         "%s/fuzz.XXXXXX", parent ? parent : "/tmp");
		HOLDS(mkdtemp(scratch_directory));
		atexit(scratch_leave);
	}
	snprintf(ret, SCRATCH_PATH_SIZE, "%s/%s", scratch_directory, name);
	return ret;
}

static inline void scratch_write(const char *path, const void *data,
                                 size_t size)
{
	FILE *file = fopen(path, "we");

	HOLDS(file);
	HOLDS(size == 0 || fwrite(data, 1, size, file) == size);
	HOLDS(fclose(file) == 0);
}

/* A name has as many addresses as it is long, but for "nowhere". */
static inline int scratch_resolve(void *owner, const char *name,
                                  struct address *ret, const char **ret_problem)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int count = (int) (strlen(name) % (CONFIG_MAX_ADDRESSES + 1));

	(void) owner;
	*ret_problem = "not known";
	if (strcmp(name, "nowhere") == 0)
		return -ENOENT;
	for (int i = 0; i < count; i++) {
		in.sin_addr.s_addr = htonl(0x0a000001 + (uint32_t) i);
		address_from_ip(&ret[i], (const struct sockaddr *) &in, 0);
	}
	return count;
}

static inline int scratch_find(void *owner, const char *path,
                               const char **ret_problem)
{
	(void) owner;
	*ret_problem = "there is none";
	return strstr(path, "missing") ? -ENOENT : 0;
}

static const struct config_world scratch_world = {
	.resolve = scratch_resolve,
	.find_file = scratch_find,
	.find_program = scratch_find,
};

#endif
