/* SPDX-License-Identifier: BSD-2-Clause
 *
 * checkerctl: what checkerd knows, for people and scripts.
 *
 * All of its commands read the segment, so that they work, and say what was
 * last known, while checkerd is stopped, stuck or overloaded.  Options and
 * commands are one table each: parsing and `-h` come from them, and a lint
 * holds the man page and the shell completion to them.
 */
#include "events.h"
#include "nearest.h"
#include "parse.h"
#include "view.h"
#include "view_json.h"
#include "watch.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>

#define DEFAULT_SEGMENT "/run/checkerd/health.shm"

enum {
	DONE = 0,
	REFUSED = 1, /* also: some hosts are not up */
	NOT_UP = 1,
	NO_ANSWER = 2, /* segment absent, damaged or (status) stale */
};

struct request {
	const char *segment;
	const char *name; /* POOL[/HOST], or NULL */
	bool json;
	bool follow;
	bool since_given;
	uint64_t since;
};

struct command {
	const char *name;
	const char *arguments;
	const char *help;
	int names_min; /* how many POOL[/HOST] it takes */
	int names_max;
	int (*run)(const struct request *request);
};

/* Values beyond any character: options without a short form. */
enum { OPTION_JSON = 256, OPTION_SINCE };

struct option_help {
	int value;
	const char *name;     /* after two dashes */
	const char *argument; /* NULL: takes none */
	const char *help;
	const char *command; /* goes with this one only; NULL: with all */
};

static int PRINTF_LIKE(2, 3) refuse(int status, const char *format, ...)
{
	va_list arguments;

	fputs("checkerctl: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return status;
}

/* The end of every command that printed something. */
static int finish(int status)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return refuse(REFUSED, "standard output: %s", strerror(errno));
	return status;
}

static int out_of_memory(void)
{
	return refuse(REFUSED, "out of memory");
}

/* The segment, and in it what the request names: both or an exit status. */
static int look_up(const struct request *request, struct segment_reader *reader,
                   struct selection *ret)
{
	char error[SEGMENT_READER_ERROR_SIZE];

	if (segment_reader_open(reader, request->segment, error) < 0)
		return refuse(NO_ANSWER, "%s", error);
	if (selection_find(ret, &reader->shm, request->name, error) < 0)
		return refuse(REFUSED, "%s", error);
	return DONE;
}

static int status(const struct request *request)
{
	struct segment_reader reader CLEANUP(segment_reader_close) = { 0 };
	struct segment_snapshot segment;
	struct selection selection;
	struct terminal terminal;
	struct tally tally;
	int result;

	result = look_up(request, &reader, &selection);
	if (result != DONE)
		return result;
	segment_snapshot(&segment, &reader);
	if (request->json) {
		if (view_json_status(stdout, &segment, &selection, &tally) < 0)
			return out_of_memory();
	} else {
		terminal_measure(&terminal, STDOUT_FILENO);
		view_segment(stdout, &terminal, &segment);
		view_table(stdout, &terminal, &selection, UINT_MAX, &tally);
	}
	if (segment.stale)
		return finish(NO_ANSWER);
	return finish(tally.up == tally.total ? DONE : NOT_UP);
}

static int run_watch(const struct request *request)
{
	int error = watch(request->segment, request->name, request->json);

	if (error < 0)
		return refuse(REFUSED, "standard output: %s", strerror(-error));
	return DONE;
}

static int why(const struct request *request)
{
	struct segment_reader reader CLEANUP(segment_reader_close) = { 0 };
	struct segment_snapshot segment;
	struct selection selection;
	struct terminal terminal;
	struct walk walk;
	int result;

	result = look_up(request, &reader, &selection);
	if (result != DONE)
		return result;
	walk_begin(&walk, &selection);
	if (!selection.host_given || !walk_next(&walk))
		return refuse(REFUSED,
		              "why: needs POOL/HOST, not a whole pool");
	if (request->json) {
		if (view_json_dump(stdout,
		                   view_json_why(&walk.pool, &walk.host)) < 0)
			return out_of_memory();
		putchar('\n');
		return finish(DONE);
	}
	segment_snapshot(&segment, &reader);
	if (segment.stale) {
		terminal_measure(&terminal, STDOUT_FILENO);
		view_segment(stdout, &terminal, &segment);
	}
	view_host(stdout, &walk.pool, &walk.host);
	return finish(DONE);
}

static int events(const struct request *request)
{
	const struct events_options how = {
		.json = request->json,
		.since_given = request->since_given,
		.since = request->since,
	};
	char error[SEGMENT_READER_ERROR_SIZE];
	int result;

	if (request->follow) {
		result = events_follow(request->segment, &how);
		return refuse(REFUSED, "standard output: %s",
		              strerror(-result));
	}
	result = events_print(request->segment, &how, error);
	if (result == -ENOMEM)
		return out_of_memory();
	if (result < 0)
		return refuse(NO_ANSWER, "%s", error);
	return finish(DONE);
}

static const struct command commands[] = {
	{ "status", "[POOL[/HOST]]", "the state of all hosts, or of some", 0, 1,
	  status },
	{ "watch", "[POOL[/HOST]]", "the same, again every second", 0, 1,
	  run_watch },
	{ "why", "POOL/HOST", "why a host is in its state, and its last probes",
	  1, 1, why },
	{ "events", "[-f] [--since SEQ]", "what happened to hosts", 0, 0,
	  events },
};

static const struct option_help options[] = {
	{ 's', "segment", "SEGMENT",
	  "the segment to read (" DEFAULT_SEGMENT ")", NULL },
	{ 'S', "socket", "SOCKET",
	  "the control socket; no command of this version needs it", NULL },
	{ OPTION_JSON, "json", NULL, "print JSON", NULL },
	{ 'f', "follow", NULL, "go on with events as they come", "events" },
	{ OPTION_SINCE, "since", "SEQ", "only events after number SEQ",
	  "events" },
	{ 'V', "version", NULL, "print the version", NULL },
	{ 'h', "help", NULL, "print this help", NULL },
};

static int help(void)
{
	const struct option_help *option;
	char names[40];
	size_t i;

	printf("usage: checkerctl [-s SEGMENT] [-S SOCKET] [--json] COMMAND\n"
	       "\ncommands:\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-7s %-20s %s\n", commands[i].name,
		       commands[i].arguments, commands[i].help);
	printf("\noptions:\n");
	for (i = 0; i < ARRAY_SIZE(options); i++) {
		option = &options[i];
		snprintf(names, sizeof(names), "--%s%s%s", option->name,
		         option->argument != NULL ? " " : "",
		         option->argument != NULL ? option->argument : "");
		if (option->value < OPTION_JSON)
			printf("  -%c, %-22s %s\n", option->value, names,
			       option->help);
		else
			printf("      %-22s %s\n", names, option->help);
	}
	return finish(DONE);
}

static int unknown_command(const char *name)
{
	struct nearest nearest;
	const char *near = NULL;
	size_t i;

	nearest_begin(&nearest, name, strlen(name));
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (nearest_offer(&nearest, commands[i].name,
		                  strlen(commands[i].name)))
			near = commands[i].name;
	fprintf(stderr, "checkerctl: no command \"%s\"", name);
	if (near != NULL)
		fprintf(stderr, "; did you mean \"%s\"?", near);
	fprintf(stderr, " There are:");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(stderr, " %s", commands[i].name);
	fputc('\n', stderr);
	return REFUSED;
}

/* "s:S:fVh" and its long counterpart, from the table. */
static void getopt_tables(char *ret_short, struct option *ret_long)
{
	const struct option_help *option;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++) {
		option = &options[i];
		ret_long[i] = (struct option) {
			.name = option->name,
			.has_arg = option->argument != NULL,
			.val = option->value,
		};
		if (option->value < OPTION_JSON)
			*ret_short++ = (char) option->value;
		if (option->value < OPTION_JSON && option->argument != NULL)
			*ret_short++ = ':';
	}
	*ret_short = '\0';
	ret_long[i] = (struct option) { 0 };
}

/* Fills the request and the command's name that its options go with, if any.
 * Returns false if all is done; then *ret_status is for exit(). */
static bool parse_options(int argc, char **argv, struct request *request,
                          const struct option_help **ret_special,
                          int *ret_status)
{
	struct option long_options[ARRAY_SIZE(options) + 1];
	char short_options[2 * ARRAY_SIZE(options) + 1];
	size_t i;
	int value;

	getopt_tables(short_options, long_options);
	while ((value = getopt_long(argc, argv, short_options, long_options,
	                            NULL)) != -1) {
		switch (value) {
		case 's':
			request->segment = optarg;
			break;
		case 'S':
			break; /* scripts may give it always */
		case OPTION_JSON:
			request->json = true;
			break;
		case 'f':
			request->follow = true;
			break;
		case OPTION_SINCE:
			request->since_given = true;
			if (parse_unsigned(&request->since, optarg, 0,
			                   UINT64_MAX) == 0)
				break;
			*ret_status =
				refuse(REFUSED, "--since: \"%s\" is no number",
			               optarg);
			return false;
		case 'V':
			printf("checkerctl %s\n", CHECKERD_VERSION);
			*ret_status = finish(DONE);
			return false;
		case 'h':
			*ret_status = help();
			return false;
		default:
			*ret_status =
				refuse(REFUSED, "`checkerctl -h` lists options "
			                        "and commands");
			return false;
		}
		for (i = 0; i < ARRAY_SIZE(options); i++)
			if (options[i].value == value &&
			    options[i].command != NULL)
				*ret_special = &options[i];
	}
	return true;
}

static int run(int argc, char **argv, struct request *request,
               const struct option_help *special)
{
	const struct command *command = NULL;
	size_t i;

	if (argc == 0) {
		return refuse(REFUSED, "no command; `checkerctl -h` lists "
		                       "options and commands");
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, argv[0]) == 0)
			command = &commands[i];
	if (command == NULL)
		return unknown_command(argv[0]);
	if (special != NULL && strcmp(special->command, command->name) != 0)
		return refuse(REFUSED, "--%s goes with `%s` only",
		              special->name, special->command);
	if (argc - 1 < command->names_min || argc - 1 > command->names_max)
		return refuse(REFUSED, "usage: checkerctl %s %s", command->name,
		              command->arguments);
	request->name = argv[1];
	return command->run(request);
}

/* Pages of a file that somebody truncates under our mapping are gone; no
 * check before reading them can help. */
static void truncated(int signal)
{
	static const char text[] = "checkerctl: the segment was truncated "
				   "while it was read\n";

	(void) signal;
	watch_restore();
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(NO_ANSWER);
	_exit(NO_ANSWER);
}

int main(int argc, char **argv)
{
	const struct sigaction on_truncated = { .sa_handler = truncated };
	struct request request = { .segment = DEFAULT_SEGMENT };
	const struct option_help *special = NULL;
	int result;

	setlocale(LC_CTYPE, "");
	sigaction(SIGBUS, &on_truncated, NULL);
	if (!parse_options(argc, argv, &request, &special, &result))
		return result;
	return run(argc - optind, argv + optind, &request, special);
}
