/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Configuration files.
 *
 * inih, as packaged, cuts lines at 200 bytes and sections at 50, and says so
 * to nobody.  It also takes an indented line for the continuation of the one
 * before, reports one bad line per file, and ends a section name at the first
 * bracket, which IPv6 addresses are full of.  So it reads through a function
 * of ours: that one reads whole lines, takes care of sections, and hands inih
 * each line without its indentation.  When a line did not fit, the value is
 * taken from our copy by inih's own rules.  A line that inih had nothing to
 * say about is an error.
 */
#include "config_file.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <ini.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What isspace() holds in the C locale. */
static const char blanks[] = " \t\n\v\f\r";

struct source {
	const struct source *parent; /* the file that includes this one */
	unsigned depth;
	struct config_builder *builder;
	struct config_errors *errors;
	FILE *file;
	struct stat identity;
	uint64_t bytes;

	struct config_place place;
	struct config_section section;
	bool begun;                     /* there was a section, good or bad */
	char line[CONFIG_LINE_MAX + 1]; /* the current one, trimmed */
	bool cut;                       /* inih sees less than all of it */
	bool unanswered; /* inih should have called read_key() for it */
	int error;       /* -ENOMEM ends everything */
};

static int read_file(const struct source *parent,
                     struct config_builder *builder,
                     struct config_errors *errors, const char *path);

/* Cuts off a comment: a semicolon after a blank. */
static void cut_comment(char *text)
{
	for (char *at = text; *at != '\0' && at[1] != '\0'; at++) {
		if (strchr(blanks, *at) && at[1] == ';') {
			*at = '\0';
			return;
		}
	}
}

/* Trims in place; returns where the text begins. */
static char *trim(char *text)
{
	size_t size;

	text += strspn(text, blanks);
	for (size = strlen(text); size > 0 && strchr(blanks, text[size - 1]);)
		size--;
	text[size] = '\0';
	return text;
}

/* Reads a whole line, however long, and keeps it if it is acceptable, else an
 * empty one in its place.  Returns false at the end of the file. */
static bool read_line(struct source *source)
{
	const char *problem = NULL;
	bool has_nul = false;
	size_t size = 0;
	int c;

	while ((c = getc_unlocked(source->file)) != EOF && c != '\n') {
		if (size < CONFIG_LINE_MAX)
			source->line[size] = (char) c;
		has_nul |= c == '\0';
		if (++source->bytes > (uint64_t) CONFIG_FILE_MIB << 20)
			break;
		size++;
	}
	if (c == EOF && size == 0)
		return false;
	source->place.line++;
	if (source->bytes > (uint64_t) CONFIG_FILE_MIB << 20) {
		config_errors_add(source->errors, &source->place, NULL,
		                  "the file is too long, allowed: %d MiB",
		                  CONFIG_FILE_MIB);
		return false;
	}
	if (size > CONFIG_LINE_MAX)
		problem = "is too long";
	else if (has_nul)
		problem = "holds a NUL byte";
	if (problem) {
		config_errors_add(source->errors, &source->place, NULL,
		                  "the line %s, allowed: text of %d bytes",
		                  problem, CONFIG_LINE_MAX);
		size = 0;
	}
	source->line[size] = '\0';
	return true;
}

/* "[NAME]": the name ends at the last bracket of the line. */
static void begin_section(struct source *source, char *text)
{
	size_t size;

	source->begun = true;
	source->section = (struct config_section) { 0 };
	source->place.section = NULL;
	cut_comment(text);
	text = trim(text);
	size = strlen(text);
	if (text[size - 1] != ']') {
		config_errors_add(source->errors, &source->place, NULL,
		                  "the section has no end, allowed: [NAME] and "
		                  "nothing behind it but a comment");
		return;
	}
	text[size - 1] = '\0';
	source->place.section = config_builder_keep(source->builder, text + 1);
	if (!source->place.section)
		source->error = -ENOMEM;
	else
		source->error = config_builder_section(
			source->builder, &source->place, &source->section);
}

static void check_answer(struct source *source)
{
	if (source->unanswered)
		config_errors_add(source->errors, &source->place, NULL,
		                  "this is nothing, allowed: [SECTION], "
		                  "KEY = VALUE, and comments after ; or #");
	source->unanswered = false;
}

/* What inih calls for a line: fgets() with our line in it. */
static char *next_line(char *buffer, int size, void *stream)
{
	struct source *source = stream;
	char *text;

	check_answer(source);
	if (source->error < 0 || !read_line(source))
		return NULL;
	text = source->line;
	if (source->place.line == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3;
	text = trim(text);
	memmove(source->line, text, strlen(text) + 1);
	buffer[0] = '\0';
	if (source->line[0] == '[') {
		begin_section(source, source->line);
	} else if (source->line[0] != '\0' && !strchr(";#", source->line[0])) {
		source->unanswered = true;
		source->cut = snprintf(buffer, (size_t) size, "%s",
		                       source->line) >= size;
	}
	return buffer;
}

/* Patterns are relative to the file they stand in, whose own directory may
 * well hold characters that glob() would take for a pattern. */
static char *make_pattern(const char *file, const char *text)
{
	const char *slash = strrchr(file, '/');
	size_t directory =
		slash && text[0] != '/' ? (size_t) (slash - file) + 1 : 0;
	char *pattern = malloc(directory * 2 + strlen(text) + 1), *at = pattern;

	if (!pattern)
		return NULL;
	for (size_t i = 0; i < directory; i++) {
		if (strchr("*?[\\", file[i]))
			*at++ = '\\';
		*at++ = file[i];
	}
	strcpy(at, text);
	return pattern;
}

static int include(struct source *source, const char *text)
{
	CLEANUP(free_pointer) char *pattern = NULL;
	char quoted[CONFIG_QUOTE_SIZE];
	glob_t found = { 0 };
	int error = 0;

	if (source->depth == CONFIG_INCLUDE_DEPTH) {
		config_errors_add(source->errors, &source->place, "include",
		                  "includes are nested too deeply, allowed: %d",
		                  CONFIG_INCLUDE_DEPTH);
		return 0;
	}
	pattern = make_pattern(source->place.file, text);
	if (!pattern)
		return -ENOMEM;
	switch (glob(pattern, 0, NULL, &found)) {
	case 0:
		break;
	case GLOB_NOMATCH:
		if (!strpbrk(text, "*?["))
			config_errors_add(source->errors, &source->place,
			                  "include",
			                  "%s does not exist, allowed: a file, "
			                  "or a pattern, which may match none",
			                  config_quote(quoted, text));
		break;
	case GLOB_NOSPACE:
		error = -ENOMEM;
		break;
	default:
		config_errors_add(source->errors, &source->place, "include",
		                  "%s cannot be searched (%s), allowed: "
		                  "readable directories",
		                  config_quote(quoted, text),
		                  strerrordesc_np(errno));
		break;
	}
	for (size_t i = 0; error == 0 && i < found.gl_pathc; i++)
		error = read_file(source, source->builder, source->errors,
		                  found.gl_pathv[i]);
	globfree(&found);
	return error;
}

/* What inih calls for a key. */
static int read_key(void *user, const char *section, const char *name,
                    const char *value)
{
	struct source *source = user;
	char *whole = source->line;

	(void) section;
	source->unanswered = false;
	if (source->cut) {
		whole += strcspn(whole, "=:") + 1;
		cut_comment(whole);
		value = trim(whole);
	}
	if (!source->begun) {
		config_errors_add(source->errors, &source->place, NULL,
		                  "a key before the first section, allowed: "
		                  "[checkerd], [defaults], [pool NAME], ...");
		return 1;
	}
	source->error = config_builder_set(source->builder, &source->section,
	                                   &source->place, name, value);
	if (source->error == 0 && source->section.in == IN_CHECKERD &&
	    strcmp(name, "include") == 0 && *value != '\0')
		source->error = include(source, value);
	return 1;
}

/* Whether the file just opened is being read already, further up. */
static bool is_cycle(const struct source *source)
{
	const struct source *above;

	for (above = source->parent; above; above = above->parent) {
		if (above->identity.st_dev == source->identity.st_dev &&
		    above->identity.st_ino == source->identity.st_ino)
			return true;
	}
	return false;
}

static void refuse_file(struct source *source, const char *path,
                        const char *problem)
{
	char quoted[CONFIG_QUOTE_SIZE];

	if (source->parent)
		config_errors_add(source->errors, &source->parent->place,
		                  "include",
		                  "%s %s, allowed: another readable file",
		                  config_quote(quoted, path), problem);
	else
		config_errors_add(source->errors, &source->place, NULL,
		                  "the file %s", problem);
}

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

static int read_file(const struct source *parent,
                     struct config_builder *builder,
                     struct config_errors *errors, const char *path)
{
	CLEANUP(close_file) FILE *file = fopen(path, "re");
	CLEANUP(free_pointer) struct source *source = NULL;
	char problem[128];

	source = calloc(1, sizeof(*source));
	if (!source)
		return -ENOMEM;
	source->parent = parent;
	source->depth = parent ? parent->depth + 1 : 0;
	source->builder = builder;
	source->errors = errors;
	source->place.file = config_builder_keep(builder, path);
	if (!source->place.file)
		return -ENOMEM;
	source->file = file;
	if (!file || fstat(fileno(file), &source->identity) < 0) {
		snprintf(problem, sizeof(problem), "cannot be opened (%s)",
		         strerrordesc_np(errno));
		refuse_file(source, path, problem);
		return 0;
	}
	if (is_cycle(source)) {
		refuse_file(source, path, "includes itself");
		return 0;
	}
	ini_parse_stream(next_line, source, read_key, source);
	check_answer(source);
	if (source->error == 0 && ferror(file)) {
		snprintf(problem, sizeof(problem), "cannot be read (%s)",
		         strerrordesc_np(errno));
		refuse_file(source, path, problem);
	}
	return source->error;
}

static void free_builder(struct config_builder **builder)
{
	config_builder_free(*builder);
}

int config_read(const char *path, const struct config_world *world,
                struct config_errors *errors, struct config_builder **ret)
{
	CLEANUP(free_builder) struct config_builder *builder = NULL;
	int error;

	error = config_builder_new(&builder, errors, world);
	if (error == 0)
		error = read_file(NULL, builder, errors, path);
	if (error < 0)
		return error;
	*ret = builder;
	builder = NULL;
	return 0;
}

int config_load(const char *path, const struct config_world *world,
                struct config_errors *errors, struct config **ret)
{
	CLEANUP(free_builder) struct config_builder *builder = NULL;
	int error = config_read(path, world, errors, &builder);

	return error == 0 ? config_builder_finish(builder, ret) : error;
}

static int resolve(void *owner, const char *name, struct address *ret,
                   const char **ret_problem)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_ADDRCONFIG,
	};
	struct addrinfo *found, *at;
	int error, count = 0;

	(void) owner;
	error = getaddrinfo(name, NULL, &hints, &found);
	if (error == EAI_MEMORY)
		return -ENOMEM;
	if (error != 0) {
		*ret_problem = error == EAI_SYSTEM ? strerrordesc_np(errno)
		                                   : gai_strerror(error);
		return -ENOENT;
	}
	for (at = found; at; at = at->ai_next) {
		if (count == CONFIG_MAX_ADDRESSES) {
			freeaddrinfo(found);
			*ret_problem = "too many addresses";
			return -E2BIG;
		}
		address_from_ip(&ret[count++], at->ai_addr, 0);
	}
	freeaddrinfo(found);
	return count;
}

/* Opened without waiting, lest it be a pipe. */
static int find_file(void *owner, const char *path, const char **ret_problem)
{
	CLEANUP(close_fd)
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat identity;

	(void) owner;
	if (fd < 0 || fstat(fd, &identity) < 0) {
		*ret_problem = strerrordesc_np(errno);
		return -errno;
	}
	if (!S_ISREG(identity.st_mode)) {
		*ret_problem = "it is no regular file";
		return -EINVAL;
	}
	return 0;
}

static int find_program(void *owner, const char *path, const char **ret_problem)
{
	struct stat identity;

	(void) owner;
	if (stat(path, &identity) < 0 ||
	    faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0) {
		*ret_problem = strerrordesc_np(errno);
		return -errno;
	}
	if (!S_ISREG(identity.st_mode)) {
		*ret_problem = "it is no regular file";
		return -EINVAL;
	}
	return 0;
}

const struct config_world config_system = {
	.resolve = resolve,
	.find_file = find_file,
	.find_program = find_program,
};
