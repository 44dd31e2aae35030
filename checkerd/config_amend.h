/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A configuration from two sources: what the files say, and the changes that
 * people made since on top of it (changes.h).
 */
#ifndef CHECKERD_CONFIG_AMEND_H
#define CHECKERD_CONFIG_AMEND_H

#include "config_builder.h"

#include <jansson.h>

/* Where errors say that they are. */
#define CONFIG_RUNTIME "runtime"

/* `files` stays as it is; `changes` are rows as in changes.h.  Results are
 * those of config_builder_finish(); the section of an error names the pool or
 * host whose change does not fit. */
int config_amend(const struct config_builder *files, const json_t *changes,
                 struct config_errors *errors, struct config **ret);

#endif
