/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `checkerd --once`: probes every host once, prints what came back and leaves
 * segment and daemon alone.
 */
#ifndef CHECKERD_ONCE_H
#define CHECKERD_ONCE_H

struct config;

/* Returns the number of hosts that did not pass, or a negative errno. */
int once_run(struct config *config);

#endif
