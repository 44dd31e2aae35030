/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The daemon's answers, for people.
 *
 * They come as documents from whoever listens on a socket: all text is
 * escaped, and a value that is missing or not of its type is shown as "-".
 * A document that is not even an object is -EPROTO, and nothing is printed.
 */
#ifndef CHECKERD_VIEW_ANSWER_H
#define CHECKERD_VIEW_ANSWER_H

#include <jansson.h>
#include <stdio.h>

/* `name` is POOL or POOL/HOST as the person gave it, if the command has one. */
typedef int view_answer(FILE *out, const char *name, const json_t *document);

/* A host as in "hosts" of the status, on one line. */
view_answer view_answer_host;

/* A pool as in "pools" of the status, without its hosts, on one line. */
view_answer view_answer_pool;

/* A host again: what its last probe came to, and that one's phases. */
view_answer view_answer_probe;

/* {"pools","hosts"}: how many there are now. */
view_answer view_answer_reload;

/* {"changes":[...]} with rows as in GET /v1/changes, one on a line. */
view_answer view_answer_changes;

/* What {"error":{...}} says, with the key that it is about and the errors of a
 * file, one on a line.  `document` may be anything, also NULL. */
void view_answer_error(FILE *out, unsigned status, const json_t *document);

#endif
