/* SPDX-License-Identifier: BSD-2-Clause */
#include "config_state.h"

#include "changes.h"
#include "clock.h"
#include "name_index.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAME "changes.json"

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

static void unref(json_t **value)
{
	json_decref(*value);
}

static void free_index(struct name_index **index)
{
	name_index_free(*index);
}

/* --- reading ------------------------------------------------------------ */

static int PRINTF_LIKE(2, 3) damaged(char problem[CONFIG_STATE_PROBLEM_SIZE],
                                     const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(problem, CONFIG_STATE_PROBLEM_SIZE, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* What a set holds at most one row of.  Returns the number of the row that was
 * noted before, 0 if there is none, or -ENOMEM. */
static int64_t note(struct name_index *seen, const struct change *change,
                    uint32_t number)
{
	CLEANUP(free_pointer) char *what = NULL;
	size_t pool_size = strlen(change->pool);
	int size = asprintf(&what, "%s %s", change->host ? change->host : "",
	                    change->key);
	uint32_t before;

	if (size < 0) {
		what = NULL;
		return -ENOMEM;
	}
	before = name_index_find(seen, change->pool, pool_size, what,
	                         (size_t) size);
	if (before != NAME_INDEX_NONE)
		return before;
	return name_index_add(seen, change->pool, pool_size, what,
	                      (size_t) size, number);
}

static int check(const json_t *document,
                 char problem[CONFIG_STATE_PROBLEM_SIZE])
{
	const json_t *version = json_object_get(document, "version");
	const json_t *changes = json_object_get(document, "changes");
	CLEANUP(free_index) struct name_index *seen = NULL;
	struct change change;
	const json_t *row;
	int64_t before;
	size_t i;

	if (!json_is_integer(version) || !json_is_array(changes))
		return damaged(problem, "it holds no version or no changes");
	if (json_integer_value(version) != CHANGES_VERSION)
		return damaged(problem,
		               "it is of version %" JSON_INTEGER_FORMAT
		               ", allowed: %d",
		               json_integer_value(version), CHANGES_VERSION);
	seen = name_index_new((uint32_t) json_array_size(changes));
	if (!seen)
		return -ENOMEM;
	json_array_foreach((json_t *) changes, i, row)
	{
		if (!change_read(row, &change))
			return damaged(problem, "change %zu is none", i + 1);
		before = note(seen, &change, (uint32_t) i + 1);
		if (before < 0)
			return -ENOMEM;
		if (before > 0)
			return damaged(problem,
			               "changes %" PRId64 " and %zu are about "
			               "the same",
			               before, i + 1);
	}
	return 0;
}

int config_state_read(const char *dir, json_t **ret,
                      char problem[CONFIG_STATE_PROBLEM_SIZE])
{
	CLEANUP(free_pointer) char *path = NULL;
	CLEANUP(close_file) FILE *file = NULL;
	CLEANUP(unref) json_t *document = NULL;
	json_error_t error;
	int r;

	if (asprintf(&path, "%s/" NAME, dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	file = fopen(path, "re");
	if (!file && errno == ENOENT) {
		*ret = json_array();
		return *ret ? 0 : -ENOMEM;
	}
	if (!file)
		return -errno;
	document = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
	if (!document)
		return damaged(problem, "line %d: %s", error.line, error.text);
	r = check(document, problem);
	if (r == 0)
		*ret = json_incref(json_object_get(document, "changes"));
	return r;
}

static int name_aside(const char *dir, char ret_path[PATH_MAX],
                      char ret_name[PATH_MAX])
{
	if (snprintf(ret_path, PATH_MAX, "%s/" NAME, dir) >= PATH_MAX ||
	    snprintf(ret_name, PATH_MAX, "%s/" NAME ".refused-%" PRIu64, dir,
	             realtime_us()) >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

int config_state_set_aside(const char *dir, char ret_name[PATH_MAX])
{
	char path[PATH_MAX];
	int r = name_aside(dir, path, ret_name);

	return r == 0 && rename(path, ret_name) < 0 ? -errno : r;
}

int config_state_keep_copy(const char *dir, char ret_name[PATH_MAX])
{
	char path[PATH_MAX];
	int r = name_aside(dir, path, ret_name);

	return r == 0 && link(path, ret_name) < 0 ? -errno : r;
}

/* --- writing ------------------------------------------------------------ */

static int write_to(FILE *file, const json_t *changes)
{
	CLEANUP(unref)
	json_t *document = json_pack("{si sO}", "version", CHANGES_VERSION,
	                             "changes", (json_t *) changes);

	if (!document)
		return -ENOMEM;
	/* the library does not say why: what the disk said last does */
	errno = 0;
	if (json_dumpf(document, file, JSON_INDENT(1)) < 0 ||
	    fflush(file) != 0 || fsync(fileno(file)) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

int config_state_write(const char *dir, const json_t *changes)
{
	CLEANUP(close_fd)
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(close_file) FILE *file = NULL;
	int fd, r;

	if (dir_fd < 0)
		return -errno;
	fd = openat(dir_fd, NAME ".new",
	            O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
	            0600);
	if (fd < 0)
		return -errno;
	file = fdopen(fd, "w");
	if (!file) {
		close(fd);
		return -ENOMEM;
	}
	r = write_to(file, changes);
	if (r == 0 && renameat(dir_fd, NAME ".new", dir_fd, NAME) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dir_fd, NAME ".new", 0);
		return r;
	}
	return fsync(dir_fd) < 0 ? -errno : 0;
}
