/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One value of one key, "KEY=TEXT", for every key that there is, as a file or
 * a change at runtime may give it; or "server=TEXT".  What is accepted prints
 * as a text that comes to the same value.
 */
#include "scratch.h"

#include "arena.h"
#include "config_value.h"
#include "server_line.h"

union structure {
	struct config config;
	struct config_values values;
	const void *aligned;
};

/* One value of a key, where it belongs. */
struct holder {
	union structure structure;
	const void *list[2];
};

static int hold(struct holder *ret, struct arena *arena,
                const struct config_key *key, const char *text)
{
	char problem[CONFIG_PROBLEM_SIZE] = "";
	union config_value value;
	const void **list = ret->list;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = config_value_parse(key, arena_text(arena, text, strlen(text)),
	                       arena, &value, problem);
	HOLDS(r == 0 || r == -EINVAL);
	HOLDS(r == 0 || *problem != '\0');
	HOLDS(strnlen(problem, sizeof(problem)) < sizeof(problem));
	if (r < 0)
		return r;
	if (config_key_is_list(key)) {
		ret->list[0] = config_value_item(key, value);
		memcpy((char *) &ret->structure + key->offset, &list,
		       sizeof(list));
	} else {
		config_value_store(key, value, &ret->structure);
	}
	return 0;
}

static char *print(const struct config_key *key, const struct holder *holder)
{
	const char *item;
	char *text;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	HOLDS(stream);
	if (config_key_is_list(key)) {
		item = config_value_list_text(key, &holder->structure, 0);
		fputs(item ? item : "", stream);
	} else {
		config_value_print_text(key, &holder->structure, stream);
	}
	fclose(stream);
	return text;
}

static void check_key(const struct config_key *key, const char *text)
{
	struct arena *arena = arena_new(NULL);
	struct holder holder, again;
	char *printed;

	HOLDS(arena);
	if (hold(&holder, arena, key, text) == 0 && key->stored) {
		printed = print(key, &holder);
		HOLDS(!strpbrk(printed, "\n\r"));
		HOLDS(hold(&again, arena, key, printed) == 0);
		HOLDS(config_value_equal(key, &holder.structure,
		                         &again.structure));
		free(printed);
	}
	arena_free(arena);
}

static int read_server(struct server_line *ret, struct arena *arena,
                       const char *text)
{
	char problem[CONFIG_PROBLEM_SIZE] = "";
	int r = server_line_parse(arena_text(arena, text, strlen(text)), arena,
	                          ret, problem);

	HOLDS(r == 0 || r == -EINVAL);
	HOLDS(r == 0 || *problem != '\0');
	HOLDS(strnlen(problem, sizeof(problem)) < sizeof(problem));
	return r;
}

static char *print_server(const struct server_line *line)
{
	char *text;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	HOLDS(stream);
	server_line_print(line, stream);
	fclose(stream);
	return text;
}

static void check_server(const char *text)
{
	struct arena *arena = arena_new(NULL);
	struct server_line line, again;
	char *printed, *printed_again;

	HOLDS(arena);
	if (read_server(&line, arena, text) == 0) {
		printed = print_server(&line);
		HOLDS(read_server(&again, arena, printed) == 0);
		printed_again = print_server(&again);
		HOLDS(strcmp(printed, printed_again) == 0);
		free(printed);
		free(printed_again);
	}
	arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *name = fuzz_text(data, size), *text = strchr(name, '=');
	const struct config_key *key;

	if (text) {
		*text++ = '\0';
		key = config_key_find(name);
		if (strcmp(name, "server") == 0)
			check_server(text);
		else if (key)
			check_key(key, text);
	}
	free(name);
	return 0;
}
