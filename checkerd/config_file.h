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

/* `errors` starts empty (all zero) and is the caller's to clear.  May block,
 * as what it asks of `world` may.  Returns 0; -EINVAL with the errors of all
 * files; -ENOMEM. */
int config_load(const char *path, const struct config_world *world,
                struct config_errors *errors, struct config **ret);

/* The same, but for the last step: what was wrong is in `errors` only, until
 * somebody finishes the builder or a copy of it. */
int config_read(const char *path, const struct config_world *world,
                struct config_errors *errors, struct config_builder **ret);

/* The world as the system shows it.  Names are resolved as nginx does for
 * those in a `server` directive. */
extern const struct config_world config_system;

#endif
