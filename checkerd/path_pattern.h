/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Paths of URLs against patterns such as "/v1/pools/ * /hosts/ *" (without the
 * blanks): a star stands for one segment, which is decoded.  So an argument
 * may hold a slash, written %2F.
 */
#ifndef CHECKERD_PATH_PATTERN_H
#define CHECKERD_PATH_PATTERN_H

#include <stddef.h>

#define PATH_ARGUMENTS     2
#define PATH_ARGUMENT_SIZE 128 /* with its NUL */

struct path_arguments {
	char text[PATH_ARGUMENTS][PATH_ARGUMENT_SIZE]; /* empty: none */
};

/* Returns 1 if `path`, percent-encoded as it was sent, is of that form, 0 if
 * not, and -EINVAL if it is but for an argument that is empty, too long, badly
 * encoded or holds a NUL byte. */
int path_pattern_match(const char *pattern, const char *path,
                       struct path_arguments *ret);

#endif
