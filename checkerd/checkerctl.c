/* SPDX-License-Identifier: BSD-2-Clause
 *
 * checkerctl: what checkerd knows and can be told, for people and scripts.
 *
 * Commands that show read the segment; those that change something ask the
 * daemon over its control socket, and leave to it what is valid.  Here is
 * what all of them share: the line that was typed, and the exit.
 */
#include "command.h"
#include "parse.h"
#include "watch.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MAX_MS UINT64_C(3600000)

/* "s:S:fVh" and its long counterpart, from the table. */
static void getopt_tables(char *ret_short, struct option *ret_long)
{
	const struct command_option *option;
	size_t i;

	for (i = 0; i < COMMAND_OPTION_COUNT; i++) {
		option = &command_options[i];
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

static int read_timeout(struct request *request, const char *text)
{
	if (parse_duration_ms(&request->timeout_ms, text, 1, TIMEOUT_MAX_MS) ==
	    0)
		return DONE;
	return command_refuse(REFUSED,
	                      "--timeout: \"%s\" is no time from 1ms to 1h, "
	                      "such as 500ms, 30s or 2m",
	                      text);
}

/* How long it may be is the daemon's affair, what a duration is not. */
static int read_lease(struct request *request, const char *text)
{
	uint64_t ms;

	request->lease = text;
	if (parse_duration_ms(&ms, text, 0, UINT64_MAX) != -EINVAL)
		return DONE;
	return command_refuse(REFUSED,
	                      "--for: \"%s\" is no time, such as 30s, 10m, 2h "
	                      "or 1d",
	                      text);
}

static int read_since(struct request *request, const char *text)
{
	request->since_given = true;
	if (parse_unsigned(&request->since, text, 0, INT64_MAX) == 0)
		return DONE;
	return command_refuse(REFUSED,
	                      "--since: \"%s\" is no number of an event", text);
}

static int read_option(struct request *request, int value, bool *ret_help,
                       bool *ret_version)
{
	switch (value) {
	case 's':
		request->segment = optarg;
		return DONE;
	case 'S':
		request->socket = optarg;
		return DONE;
	case OPTION_TIMEOUT:
		return read_timeout(request, optarg);
	case OPTION_JSON:
		request->json = true;
		return DONE;
	case 'f':
		request->follow = true;
		return DONE;
	case OPTION_SINCE:
		return read_since(request, optarg);
	case OPTION_FOR:
		return read_lease(request, optarg);
	case OPTION_REASON:
		request->reason = optarg;
		return DONE;
	case 'V':
		*ret_version = true;
		return DONE;
	case 'h':
		*ret_help = true;
		return DONE;
	default:
		return command_refuse(REFUSED, "`checkerctl help` lists "
		                               "options and commands");
	}
}

static int run(struct request *request, char **words, unsigned options_given)
{
	const struct command_option *option;
	int taken, count = 0;
	size_t i;

	if (words[0] == NULL)
		return command_refuse(REFUSED,
		                      "no command; `checkerctl help` lists "
		                      "options and commands");
	request->command = command_find(words, &taken);
	if (request->command == NULL)
		return REFUSED;
	for (i = 0; i < COMMAND_OPTION_COUNT; i++) {
		option = &command_options[i];
		if ((options_given >> i & 1) != 0 && option->with != 0 &&
		    (option->with & request->command->options) == 0)
			return command_refuse_option(option);
	}
	request->operands = words + taken;
	while (request->operands[count] != NULL)
		count++;
	if (count < request->command->operands_min ||
	    count > request->command->operands_max)
		return command_refuse_usage(request->command);
	return request->command->run(request);
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
	struct option long_options[COMMAND_OPTION_COUNT + 1];
	char short_options[2 * COMMAND_OPTION_COUNT + 1];
	struct request request = {
		.segment = DEFAULT_SEGMENT,
		.socket = DEFAULT_SOCKET,
		.timeout_ms = DEFAULT_TIMEOUT_MS,
	};
	bool help = false, version = false;
	unsigned given = 0;
	int value, i;

	setlocale(LC_CTYPE, "");
	sigaction(SIGBUS, &on_truncated, NULL);
	getopt_tables(short_options, long_options);
	while ((value = getopt_long(argc, argv, short_options, long_options,
	                            NULL)) != -1) {
		if (read_option(&request, value, &help, &version) != DONE)
			return REFUSED;
		for (i = 0; i < COMMAND_OPTION_COUNT; i++)
			if (command_options[i].value == value)
				given |= 1u << i;
	}
	if (version) {
		printf("checkerctl %s\n", CHECKERD_VERSION);
		return command_finish(DONE);
	}
	if (help)
		return command_help(argv + optind);
	return run(&request, argv + optind, given);
}
