/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Settings that are right each by itself and make no sense together.
 *
 * What a section says of its own must be of use to its kind of check; what it
 * inherits need not, so that [defaults] may speak to all kinds at once.
 */
#ifndef CHECKERD_CONFIG_CONFLICTS_H
#define CHECKERD_CONFIG_CONFLICTS_H

#include "config.h"
#include "config_errors.h"

struct layer;

/* `layer` is what the [pool] or [host] says of its own, `settings` what has
 * become of it. */
void config_conflicts_find(struct config_errors *errors,
                           const struct layer *layer,
                           const struct settings *settings);

/* `layer` is what [checkerd] says: no two of its files may be the same. */
void config_conflicts_find_files(struct config_errors *errors,
                                 const struct layer *layer,
                                 const struct config *config);

#endif
