/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The files of the dashboard's page, as dashboard/embed.cmake put them into
 * the program.
 */
#ifndef CHECKERD_DASHBOARD_H
#define CHECKERD_DASHBOARD_H

#include <stddef.h>

struct dashboard_bytes {
	const unsigned char *data;
	size_t size;
	const char *etag; /* changes with them */
};

struct dashboard_file {
	const char *path; /* "/" for the page itself */
	const char *type;
	struct dashboard_bytes plain, gzip;
};

extern const struct dashboard_file dashboard_files[];
extern const size_t dashboard_file_count;

#endif
