/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Where HTTP is listened for.  A socket file outlives the process that a
 * kill -9 ended, so one is in the way at many a start; it is removed only when
 * it is ours and dead.
 */
#include "http_private.h"

#include "util.h"

#include <errno.h>
#include <string.h>

#define BACKLOG 512

/* Whether a process listens behind it. */
static bool is_alive(const struct sockaddr_un *file)
{
	CLEANUP(close_fd)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ||
	       connect(fd, (const struct sockaddr *) file, sizeof(*file)) ==
	               0 ||
	       errno != ECONNREFUSED;
}

static int make_room(const struct sockaddr_un *file)
{
	struct stat st;

	if (lstat(file->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return -EEXIST;
	if (is_alive(file))
		return -EADDRINUSE;
	return unlink(file->sun_path) < 0 ? -errno : 0;
}

/* Nobody can connect before listen(): by then the mode is what it shall be,
 * and before that it was never wider. */
static int bind_file(struct http_socket *http, const struct sockaddr_un *file,
                     mode_t mode)
{
	struct stat st;
	int r;

	http->fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (http->fd < 0 || fchmod(http->fd, mode) < 0)
		return -errno;
	r = make_room(file);
	if (r < 0)
		return r;
	if (bind(http->fd, (const struct sockaddr *) file, sizeof(*file)) < 0)
		return -errno;
	http->file = *file;
	if (lstat(file->sun_path, &st) < 0)
		return -errno;
	http->device = st.st_dev;
	http->inode = st.st_ino;
	if (chmod(file->sun_path, mode) < 0 || listen(http->fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

int http_socket_unix(struct http_socket *http, const char *path, mode_t mode)
{
	struct sockaddr_un file = { .sun_family = AF_UNIX };

	http->fd = -1;
	if (strlen(path) >= sizeof(file.sun_path))
		return -ENAMETOOLONG;
	strcpy(file.sun_path, path);
	return bind_file(http, &file, mode);
}

int http_socket_tcp(struct http_socket *http, const struct address *address)
{
	int on = 1;

	http->fd = socket(address->any.sa_family,
	                  SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (http->fd < 0 ||
	    setsockopt(http->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) <
	            0 ||
	    bind(http->fd, &address->any, address->length) < 0 ||
	    listen(http->fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

/* A file that took the place of ours is not ours to remove. */
void http_socket_close(struct http_socket *http)
{
	struct stat st;

	if (http->inode && lstat(http->file.sun_path, &st) == 0 &&
	    st.st_dev == http->device && st.st_ino == http->inode)
		unlink(http->file.sun_path);
	close_fd(&http->fd);
}
