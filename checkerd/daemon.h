/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The daemon: one process, one loop, from the start to SIGTERM.
 */
#ifndef CHECKERD_DAEMON_H
#define CHECKERD_DAEMON_H

/* Runs with the configuration at `path` until it is told to stop.  Says what
 * is wrong itself.  Returns 0, or a negative errno. */
int daemon_run(const char *path);

#endif
