/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The value of a `server` key.  Its parameters are rows like those of the
 * configuration keys, so that they are read, limited and explained alike.
 */
#include "server_line.h"

#include "config_errors.h"
#include "nearest.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define DAY_MS UINT64_C(86400000)
#define STORED(field)                                                          \
	.stored = true, .offset = offsetof(struct server_line, field),         \
	.size = sizeof(((struct server_line *) NULL)->field)

const struct config_key server_parameters[] = {
	{ "id", IN_POOL, TYPE_WORD, "", 1, CONFIG_HOST_ID_MAX, STORED(id),
	  .text = "name of the host within its pool" },
	{ "weight", IN_POOL, TYPE_NUMBER, "1", 1, HEALTH_MAX_WEIGHT,
	  STORED(weight), .text = "share of the traffic" },
	{ "max_conns", IN_POOL, TYPE_NUMBER, "0", 0, UINT32_MAX,
	  STORED(max_conns),
	  .text = "connections at a time, 0 for any number" },
	{ "max_fails", IN_POOL, TYPE_NUMBER, "1", 0, UINT32_MAX,
	  STORED(max_fails), .text = "failed tries that nginx forgives" },
	{ "fail_timeout", IN_POOL, TYPE_DURATION, "10s", 0, DAY_MS,
	  STORED(fail_timeout_ms),
	  .text = "within this time, and for so long" },
};

const size_t server_parameter_count = ARRAY_SIZE(server_parameters);

/* Parameters of nginx's server line that people will try here. */
static const struct {
	const char *name, *advice;
} advices[] = {
	{ "backup", "is no parameter here, use a pool with a higher priority" },
	{ "resolve", "is no parameter here, names are resolved at load" },
	{ "slow_start", "is no parameter here but a key of [pool] and [host]" },
	{ "port", "is no parameter here but a key of [pool] and [host]" },
};

static const struct config_key *find(const char *name)
{
	for (size_t i = 0; i < server_parameter_count; i++) {
		if (strcmp(server_parameters[i].name, name) == 0)
			return &server_parameters[i];
	}
	return NULL;
}

static int refuse_unknown(const char *name, char *problem)
{
	char quoted[CONFIG_QUOTE_SIZE];
	const char *meant = NULL;
	struct nearest nearest;
	FILE *stream;

	config_quote(quoted, name);
	for (size_t i = 0; i < ARRAY_SIZE(advices); i++) {
		if (strcmp(advices[i].name, name) == 0) {
			snprintf(problem, CONFIG_PROBLEM_SIZE, "%s %s", quoted,
			         advices[i].advice);
			return -EINVAL;
		}
	}
	stream = fmemopen(problem, CONFIG_PROBLEM_SIZE, "w");
	if (!stream)
		return -ENOMEM;
	nearest_begin(&nearest, name, strlen(name));
	for (size_t i = 0; i < server_parameter_count; i++) {
		const char *known = server_parameters[i].name;

		if (nearest_offer(&nearest, known, strlen(known)))
			meant = known;
	}
	fprintf(stream, "unknown parameter %s", quoted);
	if (meant)
		fprintf(stream, ", did you mean %s=?", meant);
	fputs(" Allowed:", stream);
	for (size_t i = 0; i < server_parameter_count; i++)
		fprintf(stream, " %s=", server_parameters[i].name);
	fputs(" down drain", stream);
	fclose(stream);
	return -EINVAL;
}

static int parse_flag(const char *word, struct server_line *line, char *problem)
{
	enum health_admin admin;

	if (strcmp(word, "down") == 0)
		admin = HEALTH_ADMIN_DOWN;
	else if (strcmp(word, "drain") == 0)
		admin = HEALTH_ADMIN_DRAIN;
	else if (find(word)) {
		snprintf(problem, CONFIG_PROBLEM_SIZE,
		         "%s has no value, write %s=VALUE", word, word);
		return -EINVAL;
	} else {
		return refuse_unknown(word, problem);
	}
	if (line->admin != HEALTH_AUTO) {
		snprintf(problem, CONFIG_PROBLEM_SIZE,
		         "down and drain, allowed: one of them, once");
		return -EINVAL;
	}
	line->admin = admin;
	return 0;
}

static int parse_parameter(char *word, struct arena *arena,
                           struct server_line *line, unsigned *seen,
                           char *problem)
{
	char *text = strchr(word, '='), what[CONFIG_PROBLEM_SIZE];
	const struct config_key *key;
	union config_value value;
	int error;

	if (!text)
		return parse_flag(word, line, problem);
	*text++ = '\0';
	key = find(word);
	if (!key)
		return refuse_unknown(word, problem);
	if ((*seen & 1u << (key - server_parameters)) != 0) {
		snprintf(problem, CONFIG_PROBLEM_SIZE,
		         "%s= is given twice, allowed: once", key->name);
		return -EINVAL;
	}
	*seen |= 1u << (key - server_parameters);
	error = config_value_parse(key, text, arena, &value, what);
	if (error == 0)
		config_value_store(key, value, line);
	else if (error == -EINVAL)
		snprintf(problem, CONFIG_PROBLEM_SIZE, "%s=: %.*s", key->name,
		         CONFIG_PROBLEM_SIZE - 32, what);
	return error;
}

int server_line_parse(char *text, struct arena *arena, struct server_line *ret,
                      char *problem)
{
	static const char blanks[] = " \t";
	struct server_line line = { 0 };
	char *word, *save = NULL;
	unsigned seen = 0;
	int error;

	for (size_t i = 0; i < server_parameter_count; i++) {
		const struct config_key *key = &server_parameters[i];
		union config_value value;

		error = config_value_parse(key, key->default_text, arena,
		                           &value, problem);
		if (error < 0)
			return error;
		config_value_store(key, value, &line);
	}
	line.address = strtok_r(text, blanks, &save);
	if (!line.address) {
		snprintf(problem, CONFIG_PROBLEM_SIZE,
		         "no address, allowed: IP:PORT, [IPv6]:PORT, "
		         "NAME:PORT or unix:/PATH");
		return -EINVAL;
	}
	while ((word = strtok_r(NULL, blanks, &save)) != NULL) {
		error = parse_parameter(word, arena, &line, &seen, problem);
		if (error < 0)
			return error;
	}
	*ret = line;
	return 0;
}

void server_line_print(const struct server_line *line, FILE *stream)
{
	static const char *const flags[] = {
		[HEALTH_AUTO] = "",
		[HEALTH_ADMIN_DOWN] = " down",
		[HEALTH_ADMIN_DRAIN] = " drain",
	};

	fputs(line->address, stream);
	for (size_t i = 0; i < server_parameter_count; i++) {
		const struct config_key *key = &server_parameters[i];

		fprintf(stream, " %s=", key->name);
		config_value_print_text(key, line, stream);
	}
	fputs(flags[line->admin], stream);
}
