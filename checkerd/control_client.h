/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One question to the daemon over its control socket, and its answer.
 *
 * What comes back is hostile until proven otherwise: it is bounded in size and
 * in time, and it is JSON or nothing.
 */
#ifndef CHECKERD_CONTROL_CLIENT_H
#define CHECKERD_CONTROL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_CLIENT_ERROR_SIZE 512

/* ROUTE[/POOL[/hosts/HOST]][ACTION]; names are given as they are and
 * percent-encoded here. */
struct control_client_question {
	const char *socket;
	uint64_t timeout_ms; /* of the whole exchange */
	const char *method;
	const char *route;
	const char *pool; /* NULL: no more of the path */
	size_t pool_size;
	const char *host;   /* NULL: the pool itself */
	const char *action; /* NULL: none */
	const json_t *body; /* NULL: none */
	/* called about once a second; NULL: nobody wants to know */
	void (*waiting)(uint64_t seconds);
};

struct control_client_answer {
	unsigned status;  /* of HTTP */
	json_t *document; /* NULL: there was no body, or `malformed` */
	bool malformed;   /* the body is no JSON */
};

/* Returns 0 for an answer of whatever status, to be released; or a negative
 * errno with a sentence in `ret_error` (CONTROL_CLIENT_ERROR_SIZE bytes). */
int control_client_ask(const struct control_client_question *question,
                       struct control_client_answer *ret, char *ret_error);

void control_client_answer_release(struct control_client_answer *answer);

#endif
