/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Configuration files: read through inih, with their includes, into a
 * finished configuration.  No globals: a reload may load off the main thread.
 */
#ifndef CHECKERD_CONFIG_FILE_H
#define CHECKERD_CONFIG_FILE_H

#include "config_builder.h"

#define CONFIG_LINE_MAX      4096 /* bytes, without the end of line */
#define CONFIG_FILE_MIB      256
#define CONFIG_INCLUDE_DEPTH 8

/* `errors` starts empty (all zero) and is the caller's to clear.  `resolve`
 * is asked for host names; it may block.  Returns 0; -EINVAL with the errors
 * of all files; -ENOMEM. */
int config_load(const char *path, config_resolve_fn resolve, void *owner,
                struct config_errors *errors, struct config **ret);

/* Asks the system, as nginx does for names in a `server` directive. */
int config_resolve_system(void *owner, const char *name, struct address *ret,
                          const char **ret_problem);

#endif
