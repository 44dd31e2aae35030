/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The tables of commands and options, and all that is said about them.
 */
#include "command.h"

#include "nearest.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 34

static int help(const struct request *request);

static const struct command commands[] = {
	{ "status", "[POOL[/HOST]]", "the state of all hosts, or of some",
	  "Exits with 0 if all of them are up, with 1 if some are not, and\n"
	  "with 2 if the segment is absent, damaged or stale.",
	  0, 1, 0, command_status },
	{ "watch", "[POOL[/HOST]]", "the same table, again every second",
	  "Goes on until interrupted, and waits for a segment that does not\n"
	  "exist yet.",
	  0, 1, 0, command_watch },
	{ "why", "POOL/HOST", "why a host is in its state, and its last probes",
	  "Shows the rule that decided, a person's order with its reason and\n"
	  "end, and the last 8 probes with their phase times.",
	  1, 1, 0, command_why },
	{ "events", "", "what happened to hosts",
	  "Oldest first, as far back as the segment holds it.", 0, 0, OF_EVENTS,
	  command_events },
	{ "up", "POOL/HOST", "lift the order on a host and mark it up",
	  "Its count of failures starts at 0, and checks go on to decide.", 1,
	  1, OF_ORDERS, command_order },
	{ "down", "POOL/HOST", "take a host out, whatever its checks say",
	  "Stays until `up` or `auto` lifts the order, or until --for is "
	  "over;\n"
	  "no check undoes it.",
	  1, 1, OF_ORDERS, command_order },
	{ "drain", "POOL/HOST", "give a host no new requests",
	  "Requests in flight finish.  Stays until `up` or `auto` lifts the\n"
	  "order, or until --for is over.",
	  1, 1, OF_ORDERS, command_order },
	{ "auto", "POOL/HOST", "lift the order on a host: checks decide",
	  "The host is what its checks have found meanwhile.", 1, 1, OF_ORDERS,
	  command_order },
	{ "weight", "POOL/HOST N", "set a host's share of the requests",
	  "A host of weight 2 gets twice the requests of one of weight 1.", 2,
	  2, 0, command_weight },
	{ "probe", "POOL/HOST", "probe a host now",
	  "Shows what the probe saw and how long each phase took.", 1, 1, 0,
	  command_probe },
	{ "add", "POOL[/HOST] ADDRESS [KEY=VALUE ...]", "add a host to a pool",
	  "ADDRESS is IP:PORT, NAME:PORT or unix:PATH; without HOST it is the\n"
	  "host's id too.  KEY is weight, max_conns, max_fails, fail_timeout "
	  "or\n"
	  "admin, or a key of a [host] section in checkerd.ini(5); one that "
	  "may\n"
	  "repeat there may repeat here.",
	  2, INT_MAX, 0, command_add },
	{ "remove", "POOL/HOST", "remove a host from its pool",
	  "Requests in flight finish.", 1, 1, 0, command_remove },
	{ "pool add", "POOL [KEY=VALUE ...]", "create a pool",
	  "KEY is a key of a [pool] section in checkerd.ini(5), such as\n"
	  "upstream, priority or balance.",
	  1, INT_MAX, 0, command_pool_add },
	{ "pool set", "POOL KEY=VALUE ...", "change settings of a pool",
	  "KEY is priority, balance or panic.", 2, INT_MAX, 0,
	  command_pool_set },
	{ "pool remove", "POOL", "remove a pool and its hosts",
	  "Requests in flight finish.", 1, 1, 0, command_pool_remove },
	{ "reload", "", "have checkerd read its configuration again",
	  "Returns when that is done.  If the file has errors all of them are\n"
	  "shown, and the configuration stays as it was.",
	  0, 0, 0, command_reload },
	{ "diff", "", "how the running state differs from checkerd.ini",
	  "One line per difference: the value in the files, the one in force,\n"
	  "since when, and who set it; - stands for what is not there.",
	  0, 0, 0, command_diff },
	{ "revert", "POOL[/HOST]", "go back to what checkerd.ini says",
	  "Drops what was changed in a pool with its hosts, or in one host.", 1,
	  1, 0, command_revert },
	{ "help", "[COMMAND]", "about a command, or this list",
	  "`checkerctl COMMAND --help` says the same.", 0, 2, 0, help },
};

const struct command_option command_options[] = {
	{ 's', "segment", "SEGMENT",
	  "the segment to read (" DEFAULT_SEGMENT ")", 0 },
	{ 'S', "socket", "SOCKET", "checkerd's socket (" DEFAULT_SOCKET ")",
	  0 },
	{ OPTION_TIMEOUT, "timeout", "TIME",
	  "how long to wait for its answer (30s)", 0 },
	{ OPTION_JSON, "json", NULL, "print JSON", 0 },
	{ 'f', "follow", NULL, "go on with events as they come", OF_EVENTS },
	{ OPTION_SINCE, "since", "SEQ", "only events after number SEQ",
	  OF_EVENTS },
	{ OPTION_FOR, "for", "TIME",
	  "the order ends by itself after so long, as in 10m", OF_ORDERS },
	{ OPTION_REASON, "reason", "TEXT", "why, for those who look later",
	  OF_ORDERS },
	{ 'V', "version", NULL, "print the version", 0 },
	{ 'h', "help", NULL, "print this help, or that of a command", 0 },
};
_Static_assert(ARRAY_SIZE(command_options) == COMMAND_OPTION_COUNT, "");

/* How many of `words` are words of `name`, from its beginning; what is left of
 * the name is stored in *ret_rest. */
static int common_words(const char *name, char **words, const char **ret_rest)
{
	int count = 0;
	size_t size;

	while (*name != '\0' && words[count] != NULL) {
		size = strcspn(name, " ");
		if (strncmp(words[count], name, size) != 0 ||
		    words[count][size] != '\0')
			break;
		name += size + (name[size] == ' ');
		count++;
	}
	*ret_rest = name;
	return count;
}

/* Whether `words` name the command, or stop before its name does. */
static bool begin_to_name(char **words, const struct command *command)
{
	const char *rest;
	int count = common_words(command->name, words, &rest);

	return *rest == '\0' || (count > 0 && words[count] == NULL);
}

static void refuse_unknown(char **words)
{
	const char *near = NULL, *rest;
	struct nearest nearest;
	char name[64];
	bool two = false;
	size_t i;

	/* The second word belongs to the name if the first begins one. */
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (common_words(commands[i].name, words, &rest) == 1)
			two = words[1] != NULL;
	snprintf(name, sizeof(name), "%s%s%s", words[0], two ? " " : "",
	         two ? words[1] : "");
	nearest_begin(&nearest, name, strlen(name));
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (nearest_offer(&nearest, commands[i].name,
		                  strlen(commands[i].name)))
			near = commands[i].name;
	command_refuse(REFUSED,
	               "no command \"%s\"%s%s%s `checkerctl help` "
	               "lists them",
	               name, near != NULL ? "; did you mean \"" : ";",
	               near != NULL ? near : "", near != NULL ? "\"?" : "");
}

const struct command *command_find(char **words, int *ret_taken)
{
	const char *rest;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		*ret_taken = common_words(commands[i].name, words, &rest);
		if (*rest == '\0')
			return &commands[i];
	}
	refuse_unknown(words);
	return NULL;
}

int command_refuse_option(const struct command_option *option)
{
	const char *before = "";
	size_t i;

	fprintf(stderr, "checkerctl: --%s goes with ", option->name);
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if ((commands[i].options & option->with) == 0)
			continue;
		fprintf(stderr, "%s`%s`", before, commands[i].name);
		before = ", ";
	}
	fputs(" only\n", stderr);
	return REFUSED;
}

/* The name, its operands, and the options that go with it alone. */
static void print_usage(FILE *out, const struct command *command)
{
	const struct command_option *option;
	size_t i;

	fprintf(out, "usage: checkerctl %s%s%s", command->name,
	        command->operands[0] != '\0' ? " " : "", command->operands);
	for (i = 0; i < ARRAY_SIZE(command_options); i++) {
		option = &command_options[i];
		if ((option->with & command->options) == 0)
			continue;
		if (option->value < OPTION_JSON)
			fprintf(out, " [-%c", option->value);
		else
			fprintf(out, " [--%s", option->name);
		fprintf(out, "%s%s]", option->argument != NULL ? " " : "",
		        option->argument != NULL ? option->argument : "");
	}
	fputc('\n', out);
}

int command_refuse_usage(const struct command *command)
{
	fputs("checkerctl: ", stderr);
	print_usage(stderr, command);
	return REFUSED;
}

/* Those that go with all commands, and those of `with`. */
static void print_options(unsigned with)
{
	const struct command_option *option;
	char names[40];
	size_t i;

	printf("\noptions:\n");
	for (i = 0; i < ARRAY_SIZE(command_options); i++) {
		option = &command_options[i];
		if (option->with != 0 && (option->with & with) == 0)
			continue;
		snprintf(names, sizeof(names), "--%s%s%s", option->name,
		         option->argument != NULL ? " " : "",
		         option->argument != NULL ? option->argument : "");
		if (option->value < OPTION_JSON)
			printf("  -%c, %-22s %s\n", option->value, names,
			       option->help);
		else
			printf("      %-22s %s\n", names, option->help);
	}
}

static void print_all(void)
{
	const struct command *command;
	size_t i;
	int used;

	printf("usage: checkerctl [-s SEGMENT] [-S SOCKET] [--json] COMMAND\n"
	       "\ncommands:\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		command = &commands[i];
		used = printf("  %s %s", command->name, command->operands);
		if (used >= HELP_COLUMN)
			used = printf("\n") - 1;
		printf("%*s%s\n", HELP_COLUMN - used, "", command->help);
	}
	print_options(~0u);
}

int command_help(char **words)
{
	const struct command *command;
	bool found = false;
	size_t i;

	if (words[0] == NULL) {
		print_all();
		return command_finish(DONE);
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		command = &commands[i];
		if (!begin_to_name(words, command))
			continue;
		if (found)
			putchar('\n');
		found = true;
		print_usage(stdout, command);
		printf("\n%c%s.\n%s\n", toupper(command->help[0]),
		       command->help + 1, command->text);
		print_options(command->options);
	}
	if (found)
		return command_finish(DONE);
	refuse_unknown(words);
	return REFUSED;
}

static int help(const struct request *request)
{
	return command_help(request->operands);
}

int command_refuse(int status, const char *format, ...)
{
	va_list arguments;

	fputs("checkerctl: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return status;
}

int command_out_of_memory(void)
{
	return command_refuse(REFUSED, "out of memory");
}

int command_finish(int status)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return command_refuse(REFUSED, "standard output: %s",
		                      strerror(errno));
	return status;
}
