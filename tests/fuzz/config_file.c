/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Configuration files, from their bytes to a configuration or to errors.  An
 * input is up to three files, main.ini, b.ini and c.ini, divided by lines of
 * "%%".
 *
 * What is accepted prints as a file that reads as the same, and a copy of its
 * builder comes to the same.  What is refused says why, in text.
 *
 * Only names without a slash are included: the machine's other files are no
 * business of a fuzzer's, and some of them never end.
 */
#include "scratch.h"

#include "config_file.h"
#include "parse.h"

#define MARK "\n%%\n"

static const char *const names[] = { "main.ini", "b.ini", "c.ini" };
#define NAMES (sizeof(names) / sizeof(*names))

static bool includes_elsewhere(const char *text)
{
	while ((text = strstr(text, "include")) != NULL) {
		size_t line = strcspn(text, "\n");

		if (memchr(text, '/', line))
			return true;
		text += line;
	}
	return false;
}

/* Writes what there is.  Returns false for what is not to be read. */
static bool write_files(const uint8_t *data, size_t size)
{
	char path[SCRATCH_PATH_SIZE];
	char *text = fuzz_text(data, size), *next;
	bool fit;

	/* strstr() stops at a NUL, which ends no line */
	for (size_t i = 0; i < size; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	fit = !includes_elsewhere(text);
	free(text);
	for (size_t i = 0; fit && i < NAMES; i++) {
		size_t length = size;

		next = size > 0 ? memmem(data, size, MARK, strlen(MARK)) : NULL;
		if (next)
			length = (size_t) ((const uint8_t *) next - data);
		scratch_write(scratch_path(path, names[i]), data, length);
		if (next)
			length += strlen(MARK);
		data += length;
		size -= length;
	}
	return fit;
}

static char *print(const struct config *config)
{
	char *text;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	HOLDS(stream);
	config_print(config, stream);
	fclose(stream);
	return text;
}

static void check_errors(const struct config_errors *errors)
{
	HOLDS(errors->count > 0 && errors->kept > 0);
	HOLDS(errors->kept <= errors->count);
	for (size_t i = 0; i < errors->kept; i++)
		HOLDS(text_is_printable(errors->texts[i],
		                        strlen(errors->texts[i])));
}

static void check_printed(const struct config *config)
{
	struct config_errors errors = { 0 };
	char path[SCRATCH_PATH_SIZE];
	char *text = print(config), *again;
	struct config *same;
	int r;

	scratch_write(scratch_path(path, "printed.ini"), text, strlen(text));
	r = config_load(path, &scratch_world, &errors, &same);
	config_errors_print(&errors, stderr);
	HOLDS(r == 0);
	HOLDS(same->host_count == config->host_count);
	again = print(same);
	HOLDS(strcmp(text, again) == 0);
	config_unref(same);
	free(text);
	free(again);
}

/* A copy of what was read comes to what that came to. */
static void check_copy(const char *path, const struct config *config)
{
	struct config_errors errors = { 0 };
	struct config_builder *builder, *copy;
	struct config *same;
	char *text, *again;
	int r;

	HOLDS(config_read(path, &scratch_world, &errors, &builder) == 0);
	HOLDS(config_builder_copy(&copy, builder, &errors) == 0);
	r = config_builder_finish(copy, &same);
	HOLDS((r == 0) == (config != NULL));
	config_builder_free(builder);
	if (r == 0) {
		text = print(config);
		again = print(same);
		HOLDS(strcmp(text, again) == 0);
		free(text);
		free(again);
		config_unref(same);
	}
	config_builder_free(copy);
	config_errors_clear(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_errors errors = { 0 };
	char path[SCRATCH_PATH_SIZE];
	struct config *config = NULL;
	int r;

	if (!write_files(data, size))
		return 0;
	scratch_path(path, names[0]);
	r = config_load(path, &scratch_world, &errors, &config);
	HOLDS(r == 0 || r == -EINVAL);
	if (r < 0)
		check_errors(&errors);
	else
		check_printed(config);
	check_copy(path, config);
	config_unref(config);
	config_errors_clear(&errors);
	return 0;
}
