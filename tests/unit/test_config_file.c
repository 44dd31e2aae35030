/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Configuration files, down to their bytes: lines that inih would cut, what
 * is no text at all, includes, and the sample files that we ship.
 */
#include "unit.h"

#include "config_file.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct fixture {
	char directory[64];
	char path[128]; /* of the main file */
	struct config_errors errors;
	struct config *config;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	*state = fixture;
	/* brackets: glob() must not take the directory for a pattern */
	strcpy(fixture->directory, "/tmp/checkerd-[test]-XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	snprintf(fixture->path, sizeof(fixture->path), "%s/main.ini",
	         fixture->directory);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	char command[200];

	config_errors_clear(&fixture->errors);
	config_unref(fixture->config);
	snprintf(command, sizeof(command), "rm -r '%s'", fixture->directory);
	free(fixture);
	return system(command);
}

static void write_bytes(struct fixture *fixture, const char *name,
                        const char *bytes, size_t size)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	fclose(file);
}

static void write_text(struct fixture *fixture, const char *name,
                       const char *text)
{
	write_bytes(fixture, name, text, strlen(text));
}

static int load_path(struct fixture *fixture, const char *path)
{
	config_errors_clear(&fixture->errors);
	config_unref(fixture->config);
	fixture->config = NULL;
	return config_load(path, &config_system, &fixture->errors,
	                   &fixture->config);
}

static const struct pool_config *load(struct fixture *fixture, const char *text)
{
	write_text(fixture, "main.ini", text);
	if (load_path(fixture, fixture->path) < 0) {
		config_errors_print(&fixture->errors, stderr);
		fail();
	}
	return fixture->config->pools;
}

/* Errors are compared without the directory: "main.ini:2: ...". */
static void assert_reported(struct fixture *fixture,
                            const char *const *expected)
{
	size_t skip = strlen(fixture->directory) + 1, i;

	assert_int_equal(load_path(fixture, fixture->path), -EINVAL);
	for (i = 0; expected[i]; i++) {
		assert_true(i < fixture->errors.kept);
		assert_string_equal(fixture->errors.texts[i] + skip,
		                    expected[i]);
	}
	assert_int_equal(fixture->errors.count, i);
}

static void an_ordinary_file(void **state)
{
	const struct pool_config *pool = load(*state,
	        "# a comment\n"
	        "; another\n"
	        "\n"
	        "[checkerd] ; behind a section too\n"
	        "segment = /tmp/health.shm\n"
	        "[pool primary]\n"
	        "upstream = web\n"
	        "server = 10.0.0.1:8080 id=a weight=10 ; and here\n"
	        "server=[2001:db8::1]:8080\n"
	        "   server : unix:/run/app.sock\n"
	        "\tpath\t=\t/healthz;v=1\n"
	        "[host primary/[2001:db8::1]:8080]\n"
	        "rise = 7\n");

	assert_string_equal(pool->upstream, "web");
	assert_int_equal(pool->host_count, 3);
	assert_int_equal(pool->hosts[0].weight, 10);
	assert_string_equal(pool->hosts[2].id, "unix:/run/app.sock");
	assert_string_equal(pool->settings->path, "/healthz;v=1");
	assert_int_equal(pool->hosts[1].settings->rise, 7);
	assert_int_equal(pool->hosts[0].settings->rise, 2);
}

static void odd_bytes_at_the_ends(void **state)
{
	static const char *const rows[] = {
		"\xef\xbb\xbf[pool p]\nrise = 9\n",
		"[pool p]\r\nrise = 9\r\n",
		"[pool p]\nrise = 9",
		"\n\n[pool p]   \n  rise   =   9   \n\n",
		"[ pool\t p ]\nrise=9\n",
		"[pool p] ; x\nrise = 9 ;x\n",
		"[pool p]\nrise = 9\r",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(load(*state, rows[i])->settings->rise, 9);
		assert_string_equal(((struct fixture *) *state)
		                            ->config->pools->name, "p");
	}
}

static void empty_files_and_pools_are_fine(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, "");
	assert_int_equal(fixture->config->pool_count, 0);
	load(fixture, "[pool p]\n");
	assert_int_equal(fixture->config->pool_count, 1);
	assert_int_equal(fixture->config->host_count, 0);
}

/* Lengths around every limit that inih has, and ours. */
static void long_lines(void **state)
{
	static const unsigned lengths[] = { 40, 49, 50, 51, 191, 192, 193, 194,
		                            198, 199, 200, 201, 202, 250, 399,
		                            400, 1000, 2047, 2048 };
	char *text = malloc(8192), *path = malloc(4096);

	for (size_t i = 0; i < 2 * ARRAY_SIZE(lengths); i++) {
		memset(path, 'a', 4096);
		path[0] = '/';
		path[lengths[i / 2]] = '\0';
		sprintf(text, "[pool p]\npath = %s%s\nrise = 9\n", path,
		        i % 2 == 0 ? "" : " ; comment = x");
		load(*state, text);
		assert_string_equal(((struct fixture *) *state)
		                            ->config->pools->settings->path,
		                    path);
		assert_int_equal(((struct fixture *) *state)
		                         ->config->pools->settings->rise, 9);
	}
	free(text);
	free(path);
}

static void a_long_line_with_a_comment_keeps_its_limit(void **state)
{
	static const char *const expected[] = {
		"main.ini:3: [pool p] the line is too long, allowed: text of "
		"4096 bytes",
		"main.ini:4: [pool p] rise: \"x\" is no number, allowed: 1 to "
		"65535",
		NULL,
	};
	char *text = malloc(20000), *at = text;

	at += sprintf(at, "[pool p]\nfall = 9 ;");
	memset(at, ' ', 4096 - 10);
	at += 4096 - 10;
	at += sprintf(at, "\nfall = 9 ;");
	memset(at, ' ', 4097 - 10);
	at += 4097 - 10;
	sprintf(at, "\nrise = x\n");
	write_text(*state, "main.ini", text);
	assert_reported(*state, expected);
	free(text);
}

static void long_section_names(void **state)
{
	char text[600], pool[64], id[128];

	memset(pool, 'p', 63);
	memset(id, 'i', 127);
	pool[63] = id[127] = '\0';
	snprintf(text, sizeof(text),
	         "[pool %s]\nserver = 10.0.0.1 id=%s\n[host %s/%s] ; x\n"
	         "rise = 9\n", pool, id, pool, id);
	load(*state, text);
	assert_int_equal(((struct fixture *) *state)
	                         ->config->pools->hosts->settings->rise, 9);
	assert_string_equal(((struct fixture *) *state)->config->pools->name,
	                    pool);
}

/* What an error shows of a file is harmless to a terminal. */
static void section_names_that_are_no_text(void **state)
{
	static const char *const expected[] = {
		"main.ini:1: [h?[1m?st web/a] unknown section, allowed: "
		"[checkerd], [defaults], [pool NAME], [host POOL/ID], [notify]",
		NULL
	};

	write_text(*state, "main.ini", "[h\033[1m\377st web/a]\n");
	assert_reported(*state, expected);
}

static void lines_that_are_nothing(void **state)
{
	static const char text[] = "rise = 3\n"
	                           "[pool p]\n"
	                           "rise\n"
	                           "[pool q\n"
	                           "rise = x\n" /* in no known section */
	                           "[pool r] and more\n"
	                           "[]\n"
	                           "[\n"
	                           "[pool s]\n"
	                           "ri\0se = 3\n"
	                           "\xff\xfe = 3\n"
	                           "path = /\xff\n"
	                           "user_agent = \xff\n"
	                           "=\n"
	                           "server";
	static const char *const expected[] = {
		"main.ini:1: a key before the first section, allowed: "
		"[checkerd], [defaults], [pool NAME], ...",
		"main.ini:3: [pool p] this is nothing, allowed: [SECTION], KEY "
		"= VALUE, and comments after ; or #",
		"main.ini:4: the section has no end, allowed: [NAME] and "
		"nothing behind it but a comment",
		"main.ini:6: the section has no end, allowed: [NAME] and "
		"nothing behind it but a comment",
		"main.ini:7: [] unknown section, allowed: [checkerd], "
		"[defaults], [pool NAME], [host POOL/ID], [notify]",
		"main.ini:8: the section has no end, allowed: [NAME] and "
		"nothing behind it but a comment",
		"main.ini:10: [pool s] the line holds a NUL byte, allowed: text "
		"of 4096 bytes",
		"main.ini:11: [pool s] unknown key \"??\", see checkerd.ini(5)",
		"main.ini:12: [pool s] path: \"/?\" is no request target, "
		"allowed: / and printable ASCII without blanks and #, 2048 "
		"bytes at most",
		"main.ini:13: [pool s] user_agent: \"?\" is no text, allowed: "
		"UTF-8 without control characters, 255 bytes at most",
		"main.ini:14: [pool s] unknown key \"\", see checkerd.ini(5)",
		"main.ini:15: [pool s] this is nothing, allowed: [SECTION], KEY "
		"= VALUE, and comments after ; or #",
		NULL,
	};

	write_bytes(*state, "main.ini", text, sizeof(text) - 1);
	assert_reported(*state, expected);
}

static void includes(void **state)
{
	struct fixture *fixture = *state;
	char directory[128];

	snprintf(directory, sizeof(directory), "%s/conf.d", fixture->directory);
	assert_int_equal(mkdir(directory, 0700), 0);
	write_text(fixture, "conf.d/b.ini",
	           "[pool p]\nserver = 10.0.0.2\n[pool b]\n");
	write_text(fixture, "conf.d/a.ini",
	           "[pool a]\n[pool p]\nserver = 10.0.0.1\n");
	write_text(fixture, "conf.d/c.txt", "nonsense\n");
	load(fixture, "[checkerd]\ninclude = conf.d/*.ini\n"
	              "include = none.d/*.ini\n"
	              "max_concurrent = 7\n" /* still our own section */
	              "[pool p]\nserver = 10.0.0.3\n");
	assert_int_equal(fixture->config->max_concurrent, 7);
	assert_int_equal(fixture->config->pool_count, 3);
	assert_string_equal(fixture->config->pools[0].name, "a");
	assert_string_equal(fixture->config->pools[1].name, "p");
	assert_string_equal(fixture->config->pools[1].hosts[0].id,
	                    "10.0.0.1:80");
	assert_string_equal(fixture->config->pools[1].hosts[2].id,
	                    "10.0.0.3:80");
}

static void errors_name_the_file_they_are_in(void **state)
{
	static const char *const expected[] = {
		"more.ini:2: [pool p] rise: \"x\" is no number, allowed: 1 to "
		"65535",
		"main.ini:3: [checkerd] include: \"gone.ini\" does not exist, "
		"allowed: a file, or a pattern, which may match none",
		"main.ini:4: [checkerd] max_concurrent: \"0\" is out of range, "
		"allowed: 1 to 100000",
		NULL,
	};
	struct fixture *fixture = *state;

	write_text(fixture, "more.ini", "[pool p]\nrise = x\n");
	write_text(fixture, "main.ini",
	           "[checkerd]\ninclude = more.ini\ninclude = gone.ini\n"
	           "max_concurrent = 0\n");
	assert_reported(fixture, expected);
}

static void includes_end(void **state)
{
	struct fixture *fixture = *state;
	char name[32], text[64];

	write_text(fixture, "main.ini", "[checkerd]\ninclude = a.ini\n");
	write_text(fixture, "a.ini", "[checkerd]\ninclude = main.ini\n");
	assert_int_equal(load_path(fixture, fixture->path), -EINVAL);
	assert_int_equal(fixture->errors.count, 1);
	assert_non_null(strstr(fixture->errors.texts[0],
	                       "a.ini:2: [checkerd] include: "));
	assert_non_null(strstr(fixture->errors.texts[0], "includes itself"));

	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "%u.ini", i);
		snprintf(text, sizeof(text), "[checkerd]\ninclude = %u.ini\n",
		         i + 1);
		write_text(fixture, name, text);
	}
	write_text(fixture, "main.ini", "[checkerd]\ninclude = 0.ini\n");
	assert_int_equal(load_path(fixture, fixture->path), -EINVAL);
	assert_int_equal(fixture->errors.count, 1);
	assert_non_null(strstr(fixture->errors.texts[0],
	                       "/7.ini:2: [checkerd] include: includes are "
	                       "nested too deeply, allowed: 8"));
}

static void files_that_cannot_be_read(void **state)
{
	struct fixture *fixture = *state;
	char expected[200];

	snprintf(expected, sizeof(expected), "%s: the file cannot be opened "
	         "(No such file or directory)", fixture->path);
	assert_int_equal(load_path(fixture, fixture->path), -EINVAL);
	assert_string_equal(fixture->errors.texts[0], expected);

	snprintf(expected, sizeof(expected), "%s: the file cannot be read (Is "
	         "a directory)", fixture->directory);
	assert_int_equal(load_path(fixture, fixture->directory), -EINVAL);
	assert_string_equal(fixture->errors.texts[0], expected);
}

static void names_are_looked_up(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, "[pool p]\nserver = localhost:81\n");
	assert_true(fixture->config->host_count >= 1);
	assert_int_equal(address_port(fixture->config->pools->hosts->address),
	                 81);

	write_text(fixture, "main.ini", "[pool p]\nserver = a.invalid:81\n");
	assert_int_equal(load_path(fixture, fixture->path), -EINVAL);
	assert_non_null(strstr(fixture->errors.texts[0],
	                       "\"a.invalid\" does not resolve ("));
}

/* The sample shows each key behind a semicolon, at its default.  Taken out of
 * the comment, it must load and mean the same. */
static void samples_load(void **state)
{
	struct fixture *fixture = *state;
	char *line = NULL, *before, *after;
	size_t room = 0, size;
	FILE *sample, *copy, *text;

	assert_int_equal(load_path(fixture, ETC "/checkerd-minimal.ini"), 0);
	assert_true(fixture->config->host_count > 0);
	assert_int_equal(load_path(fixture, ETC "/checkerd.ini"), 0);
	text = open_memstream(&before, &size);
	config_print(fixture->config, text);
	fclose(text);

	sample = fopen(ETC "/checkerd.ini", "r");
	copy = fopen(fixture->path, "w");
	while (getline(&line, &room, sample) > 0)
		fputs(line + (line[0] == ';'), copy);
	free(line);
	fclose(sample);
	fclose(copy);
	if (load_path(fixture, fixture->path) < 0) {
		config_errors_print(&fixture->errors, stderr);
		fail();
	}
	text = open_memstream(&after, &size);
	config_print(fixture->config, text);
	fclose(text);
	assert_non_null(strstr(after, before)); /* and an example of a pool */
	free(before);
	free(after);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_ordinary_file),
		TEST(odd_bytes_at_the_ends),
		TEST(empty_files_and_pools_are_fine),
		TEST(long_lines),
		TEST(a_long_line_with_a_comment_keeps_its_limit),
		TEST(long_section_names),
		TEST(section_names_that_are_no_text),
		TEST(lines_that_are_nothing),
		TEST(includes),
		TEST(errors_name_the_file_they_are_in),
		TEST(includes_end),
		TEST(files_that_cannot_be_read),
		TEST(names_are_looked_up),
		TEST(samples_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
