/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Open, fstat, mmap, attach.  The mapping keeps the inode alive, so that a
 * segment that was replaced is told from its successor by the inode number;
 * the superseded bit need not be looked at, and a segment that somebody
 * deleted and checkerd made anew is found the same way.
 */
#include "segment_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int PRINTF_LIKE(3, 4)
	fail(char *ret_error, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(ret_error, SEGMENT_READER_ERROR_SIZE, format, arguments);
	va_end(arguments);
	return error;
}

static int fail_errno(char *ret_error, const char *path, int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return fail(ret_error, -ENOENT,
		            "no segment at %s: is checkerd running?", path);
	case EACCES:
		return fail(ret_error, -error,
		            "%s: permission denied: `segment_mode` and its "
		            "directory decide who may read",
		            path);
	default:
		return fail(ret_error, -error, "%s: %s", path, strerror(error));
	}
}

int segment_reader_open(struct segment_reader *ret, const char *path,
                        char *ret_error)
{
	int fd CLEANUP(close_fd) = -1;
	struct segment_reader reader = { .path = path };
	const char *damage;
	struct stat status;

	/* O_NONBLOCK: a FIFO of that name must not hang us. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &status) < 0)
		return fail_errno(ret_error, path, errno);
	if (!S_ISREG(status.st_mode))
		return fail(ret_error, -EBADMSG, "%s: not a regular file",
		            path);
	if (status.st_size == 0)
		return fail(ret_error, -EBADMSG, "%s: empty", path);

	reader.device = status.st_dev;
	reader.inode = status.st_ino;
	reader.size = (size_t) status.st_size;
	reader.base = mmap(NULL, reader.size, PROT_READ, MAP_SHARED, fd, 0);
	if (reader.base == MAP_FAILED)
		return fail_errno(ret_error, path, errno);
	damage = health_shm_attach(&reader.shm, reader.base, reader.size);
	if (damage != NULL) {
		segment_reader_close(&reader);
		return fail(ret_error, -EBADMSG,
		            "%s: no segment of this version: %s", path, damage);
	}
	*ret = reader;
	return 0;
}

int segment_reader_refresh(struct segment_reader *reader, char *ret_error)
{
	struct segment_reader next;
	struct stat status;
	int error;

	if (stat(reader->path, &status) < 0)
		return fail_errno(ret_error, reader->path, errno);
	if (status.st_dev == reader->device && status.st_ino == reader->inode)
		return 0;
	error = segment_reader_open(&next, reader->path, ret_error);
	if (error < 0)
		return error;
	segment_reader_close(reader);
	*reader = next;
	return 1;
}

void segment_reader_close(struct segment_reader *reader)
{
	if (reader->base != NULL)
		munmap(reader->base, reader->size);
	reader->base = NULL;
}
