/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The one table of configuration keys: what each is called, where it may
 * stand, what it accepts, what it is when nobody sets it, and what it is for.
 */
#ifndef CHECKERD_CONFIG_KEYS_H
#define CHECKERD_CONFIG_KEYS_H

#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_MAX_HEADERS  EXPECTATION_MAX_HEADERS
#define CONFIG_UPSTREAM_MAX 127
#define CONFIG_SERVER_MAX   1024

enum config_sections {
	IN_CHECKERD = 1,
	IN_DEFAULTS = 2,
	IN_POOL = 4,
	IN_HOST = 8,
	IN_NOTIFY = 16,
	IN_SETTINGS = IN_DEFAULTS | IN_POOL | IN_HOST
};

enum config_type {
	TYPE_SWITCH, /* stored as bool */
	TYPE_NUMBER,
	TYPE_PERCENT,
	TYPE_DURATION, /* milliseconds */
	TYPE_SIZE,     /* bytes */
	TYPE_MODE,     /* of a file */
	TYPE_CHOICE,   /* the index in `choices` */
	TYPE_STATUSES, /* struct status_mask */
	TYPE_BYTES,    /* struct config_bytes, written with escapes */
	TYPE_AGENT,    /* struct config_agent */
	TYPE_PATTERN,  /* this and the following: const struct expectation * */
	TYPE_NEGATABLE_PATTERN,
	TYPE_NEGATED_PATTERN,
	TYPE_HEADER_PATTERN, /* repeatable: a list of them */
	TYPE_TEXT,           /* this and the following: const char * */
	TYPE_WORD,
	TYPE_TOKEN,
	TYPE_FILE,
	TYPE_READABLE, /* a file that must be there, or the default's word */
	TYPE_LISTEN, /* IP:PORT */
	TYPE_COMMAND,  /* a program that must be there, and its arguments */
	TYPE_URL,      /* http or https */
	TYPE_REQUEST_PATH,
	TYPE_HEADER,  /* repeatable: a list of texts */
	TYPE_SERVER,  /* repeatable, see server_line.h */
	TYPE_INCLUDE, /* repeatable, for who reads files */
};

struct config_key {
	const char *name;
	enum config_sections sections;
	enum config_type type;
	const char *default_text;
	/* Of a number, of milliseconds, or of the bytes of a text.  A key whose
	 * default is empty accepts the empty value beside this range. */
	uint64_t min, max;
	const char *const *choices; /* NULL at the end */
	bool at_start; /* decided once: a reload does not change it */
	uint16_t checks; /* one bit per check_kind it is for; 0: all of them */
	bool secret;     /* may hold a password: not shown by the api */
	bool request;    /* decides what goes over the wire, or how patiently */
	bool stored;     /* below; else it is for who reads the sections */
	uint16_t offset, size; /* in struct config or in config_values */
	const char *text;      /* what it is for, one line */
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;

/* What [defaults], [pool] and [host] fill in: settings before anything is
 * derived from anything (an interval of 0 is "= interval", an empty mask was
 * not set, pass_status is expect_status), and what is the pool's alone. */
struct config_values {
	struct settings settings;
	const char *upstream; /* empty: the pool's name */
	uint16_t priority;
	enum health_balance balance;
	uint8_t panic_percent;
};

/* What a pool, or with `settings` one of its hosts, has. */
struct config_values config_values_of(const struct pool_config *pool,
                                      const struct settings *settings);

/* Whether that kind of check has a use for the key. */
bool config_key_applies(const struct config_key *key, enum check_kind check);

/* Lists are repeatable, and inherited as a whole. */
bool config_key_is_list(const struct config_key *key);

/* NULL if there is none of that name. */
const struct config_key *config_key_find(const char *name);

/* The known name that was probably meant; NULL if none is near.  Looks at the
 * keys that may stand in `sections`. */
const char *config_key_nearest(const char *name, enum config_sections sections);

#endif
