/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The value of a `server` key: "ADDRESS id=a weight=10 down".
 */
#ifndef CHECKERD_SERVER_LINE_H
#define CHECKERD_SERVER_LINE_H

#include "config_value.h"

#include "../include/health_shm.h"

#include <stddef.h>
#include <stdint.h>

struct server_line {
	const char *address; /* not looked at yet */
	const char *id;      /* empty: the address */
	uint16_t weight;
	uint32_t max_conns;
	uint32_t max_fails;
	uint32_t fail_timeout_ms;
	enum health_admin admin;
};

/* What may follow the address, beside `down` and `drain`.  Offsets are into
 * struct server_line. */
extern const struct config_key server_parameters[];
extern const size_t server_parameter_count;

/* Takes `text` apart in place; `ret` borrows from it.  Results are those of
 * config_value_parse(). */
int server_line_parse(char *text, struct arena *arena, struct server_line *ret,
                      char *problem);

void server_line_print(const struct server_line *line, FILE *stream);

#endif
