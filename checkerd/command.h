/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What checkerctl can be told to do.
 *
 * Commands and options are one table each, in command.c: parsing and help
 * come from them, and a lint holds the man page and the shell completion to
 * them.  A command is one function; it prints, and returns the exit status.
 */
#ifndef CHECKERD_COMMAND_H
#define CHECKERD_COMMAND_H

#include "util.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEFAULT_SEGMENT    "/run/checkerd/health.shm"
#define DEFAULT_SOCKET     "/run/checkerd/control.sock"
#define DEFAULT_TIMEOUT_MS UINT64_C(30000)

/* Exit statuses. */
enum {
	DONE = 0,
	REFUSED = 1, /* by us or by checkerd */
	NOT_UP = 1,  /* status: some hosts are not */
	/* segment absent, damaged or (status) stale; nothing that checkerd
	 * would say came over the socket */
	NO_ANSWER = 2,
};

/* Options that go with some commands only. */
enum {
	OF_EVENTS = 1 << 0,
	OF_ORDERS = 1 << 1,
};

/* Values beyond any character: options without a short form. */
enum {
	OPTION_JSON = 256,
	OPTION_TIMEOUT,
	OPTION_SINCE,
	OPTION_FOR,
	OPTION_REASON,
};

struct request {
	const struct command *command;
	char **operands; /* NULL after the last */
	const char *segment;
	const char *socket;
	uint64_t timeout_ms;
	bool json;
	bool follow;
	bool since_given;
	uint64_t since;
	const char *lease; /* NULL: not given */
	const char *reason;
};

struct command {
	const char *name; /* one word or two */
	const char *operands;
	const char *help; /* the line in the list */
	const char *text; /* the sentences of `help COMMAND` */
	int operands_min;
	int operands_max;
	unsigned options; /* OF_..., beside those that go with all */
	int (*run)(const struct request *request);
};

struct command_option {
	int value;
	const char *name;     /* after two dashes */
	const char *argument; /* NULL: takes none */
	const char *help;
	unsigned with; /* OF_...; 0: goes with all commands */
};

extern const struct command_option command_options[];
#define COMMAND_OPTION_COUNT 10

/* The command that `words`, ended by NULL, begin with; how many of them are
 * its name is stored in *ret_taken.  NULL: there is none, as is then said. */
const struct command *command_find(char **words, int *ret_taken);

/* Says which commands the option goes with. */
int command_refuse_option(const struct command_option *option);

/* Says what the command takes. */
int command_refuse_usage(const struct command *command);

/* About the commands that `words` name, or begin to name; about all if there
 * are no words. */
int command_help(char **words);

/* Says it on standard error and returns `status`. */
int command_refuse(int status, const char *format, ...) PRINTF_LIKE(2, 3);
int command_out_of_memory(void);

/* The end of every command that printed something. */
int command_finish(int status);

/* command_segment.c: what works with a dead daemon */
int command_status(const struct request *request);
int command_watch(const struct request *request);
int command_why(const struct request *request);
int command_events(const struct request *request);

/* command_control.c: what asks the daemon */
int command_order(const struct request *request);
int command_weight(const struct request *request);
int command_probe(const struct request *request);
int command_add(const struct request *request);
int command_remove(const struct request *request);
int command_pool_add(const struct request *request);
int command_pool_set(const struct request *request);
int command_pool_remove(const struct request *request);
int command_reload(const struct request *request);
int command_diff(const struct request *request);
int command_revert(const struct request *request);

#endif
