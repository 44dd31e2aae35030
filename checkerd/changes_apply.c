/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What people ask for becomes rows, or is refused by the key that is wrong.
 */
#include "changes_private.h"

#include "config_value.h"
#include "parse.h"
#include "server_line.h"
#include "time_text.h"
#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One operation being applied. */
struct work {
	const struct operation *operation;
	const struct config *files, *now;
	json_t *changes; /* the new set */
	struct refusal *refusal;
};

static int PRINTF_LIKE(5, 6)
	refuse(struct work *work, unsigned status, const char *code,
               const char *key, const char *format, ...)
{
	struct refusal *refusal = work->refusal;
	va_list arguments;

	refusal->status = status;
	refusal->code = code;
	snprintf(refusal->key, sizeof(refusal->key), "%s", key ? key : "");
	va_start(arguments, format);
	vsnprintf(refusal->message, sizeof(refusal->message), format,
	          arguments);
	va_end(arguments);
	return -EINVAL;
}

/* Sets a row; one that says what the files say is none, unless it carries an
 * order's reason or end, or is about existence.  The newest comes last: hosts
 * that are added line up in that order. */
static int set(struct work *work, const char *host, const char *key,
               json_t *runtime, const char *reason, uint64_t until_us)
{
	const struct operation *operation = work->operation;
	bool existence = strcmp(key, POOL) == 0 || strcmp(key, SERVER) == 0;
	const json_t *earlier =
		changes_find(work->changes, operation->pool, host, key);
	char since[TIME_TEXT_SIZE], until[TIME_TEXT_SIZE];
	struct file_value says = { 0 };
	json_t *ini, *row;

	if (earlier) {
		ini = json_incref(json_object_get(earlier, "ini"));
	} else {
		if (!changes_is_own(work->changes, operation->pool,
		                    existence ? NULL : host))
			changes_file_value(changes_find_place(work->files,
			                                      operation->pool,
			                                      host),
			                   key, &says);
		ini = changes_text_or_null(says.text);
	}
	if (earlier && changes_drop_row(work->changes, earlier) < 0) {
		json_decref(ini);
		json_decref(runtime);
		return -ENOMEM;
	}
	if (!existence && !until_us && json_is_string(ini) &&
	    json_equal(ini, runtime) && !(reason && strcmp(key, ADMIN) == 0)) {
		json_decref(ini);
		json_decref(runtime);
		return 0;
	}
	row = json_pack(
		"{ss so ss so so ss sI so so}", "pool", operation->pool, "host",
		changes_text_or_null(host), "key", key, "ini", ini, "runtime",
		runtime, "since", time_text_utc(operation->at_us, since), "by",
		(json_int_t) operation->by, "reason",
		changes_text_or_null(reason), "until",
		changes_text_or_null(until_us ? time_text_utc(until_us, until)
	                                      : NULL));
	return json_array_append_new(work->changes, row) < 0 ? -ENOMEM : 0;
}

/* Whether there is, in force, what the operation is about. */
static int check_existence(struct work *work)
{
	const struct operation *operation = work->operation;
	const struct pool_config *pool =
		config_find_pool(work->now, operation->pool);

	if (!pool)
		return refuse(work, 404, "no_such_pool", NULL,
		              "there is no pool %s", operation->pool);
	if (operation->host && !config_find_host(pool, operation->host))
		return refuse(work, 404, "no_such_host", NULL,
		              "pool %s has no host %s", operation->pool,
		              operation->host);
	return 0;
}

/* --- values ------------------------------------------------------------- */

static int check_text(struct work *work, const char *key, const json_t *value)
{
	const char *text = json_string_value(value);

	if (strlen(text) != json_string_length(value) ||
	    !text_is_printable(text, strlen(text)) || strstr(text, " ;"))
		return refuse(work, 422, "bad_value", key,
		              "has characters that a file could not hold, "
		              "allowed: UTF-8 without control characters and "
		              "without \" ;\"");
	if (strlen(text) > 2048)
		return refuse(work, 422, "bad_value", key,
		              "is too long, allowed: 2048 bytes");
	return 0;
}

/* As a file would have it. */
static int read_text(struct work *work, const char *key, const json_t *value,
                     json_t **ret)
{
	int error = 0;

	*ret = NULL;
	if (json_is_string(value)) {
		error = check_text(work, key, value);
		*ret = error == 0 ? json_copy((json_t *) value) : NULL;
	} else if (json_is_integer(value)) {
		*ret = json_sprintf("%" JSON_INTEGER_FORMAT,
		                    json_integer_value(value));
	} else if (json_is_boolean(value)) {
		*ret = json_string(json_is_true(value) ? "on" : "off");
	} else {
		error = refuse(work, 422, "bad_type", key,
		               "is of the wrong type, allowed: a string, a "
		               "whole number, true or false");
	}
	return error == 0 && !*ret ? -ENOMEM : error;
}

static int read_value(struct work *work, const char *key, const json_t *value,
                      json_t **ret)
{
	const struct config_key *known = config_key_find(key);
	const json_t *item;
	size_t i;
	int error = 0;

	if (!json_is_array(value) || !known || !config_key_is_list(known))
		return read_text(work, key, value, ret);
	*ret = json_array();
	json_array_foreach((json_t *) value, i, item)
	{
		json_t *text = NULL;

		if (error == 0)
			error = read_text(work, key, item, &text);
		if (error == 0 && json_array_append_new(*ret, text) < 0)
			error = -ENOMEM;
	}
	if (error < 0 || !*ret) {
		json_decref(*ret);
		return error < 0 ? error : -ENOMEM;
	}
	return 0;
}

static int refuse_key(struct work *work, const char *key, const char *allowed,
                      enum config_sections sections)
{
	const char *nearest =
		sections ? config_key_nearest(key, sections) : NULL;

	if (nearest)
		return refuse(work, 422, "unknown_key", key,
		              "is no key that may be set here, did you mean "
		              "\"%s\"?",
		              nearest);
	return refuse(work, 422, "unknown_key", key,
	              "is no key that may be set here, allowed: %s", allowed);
}

/* --- pools -------------------------------------------------------------- */

static int set_pool_key(struct work *work, const char *key, const json_t *value)
{
	json_t *text;
	int error = read_value(work, key, value, &text);

	return error < 0 ? error : set(work, NULL, key, text, NULL, 0);
}

static int add_pool(struct work *work)
{
	const struct operation *operation = work->operation;
	const char *key;
	json_t *value;
	int error;

	if (config_find_pool(work->now, operation->pool))
		return refuse(work, 409, "exists", NULL,
		              "there is a pool %s already, allowed: another "
		              "name, or PATCH to change it",
		              operation->pool);
	/* what is left of one that was removed stays as its `ini` */
	error = set(work, NULL, POOL, json_string(operation->pool), NULL, 0);
	json_object_foreach(operation->body, key, value)
	{
		const struct config_key *known = config_key_find(key);

		if (error < 0)
			break;
		if (!known || !(known->sections & IN_POOL) ||
		    known->type == TYPE_SERVER)
			error = refuse_key(work, key, "the keys of [pool NAME]",
			                   IN_POOL);
		else
			error = set_pool_key(work, key, value);
	}
	return error;
}

static int set_pool(struct work *work)
{
	const char *key;
	json_t *value;
	int error = 0;

	if (json_object_size(work->operation->body) == 0)
		return refuse(work, 422, "missing_key", NULL,
		              "nothing is set, allowed: priority, balance, "
		              "panic");
	json_object_foreach(work->operation->body, key, value)
	{
		bool allowed = false;

		for (size_t i = 0; changes_pool_keys[i]; i++)
			allowed = allowed ||
			          strcmp(changes_pool_keys[i], key) == 0;
		if (error < 0)
			break;
		error = allowed ? set_pool_key(work, key, value)
		                : refuse_key(work, key,
		                             "priority, balance, panic", 0);
	}
	return error;
}

/* Whether what goes was of the files: then the row has to say so. */
static int remove_pool(struct work *work)
{
	const char *pool = work->operation->pool;
	const json_t *row = changes_find(work->changes, pool, NULL, POOL);
	bool of_files = row ? json_is_string(json_object_get(row, "ini"))
	                    : config_find_pool(work->files, pool) != NULL;
	int error = changes_drop(work->changes, pool, NULL, NULL);

	return error == 0 && of_files
	               ? set(work, NULL, POOL, json_null(), NULL, 0)
	               : error;
}

/* --- hosts -------------------------------------------------------------- */

static const struct config_key *find_parameter(const char *key)
{
	for (size_t i = 0; i < server_parameter_count; i++) {
		if (strcmp(server_parameters[i].name, key) == 0 &&
		    strcmp(key, "id") != 0)
			return &server_parameters[i];
	}
	return NULL;
}

static int read_word(struct work *work, const char *key, const json_t *value,
                     json_t **ret)
{
	int error = read_text(work, key, value, ret);
	const char *word = error == 0 ? json_string_value(*ret) : "";

	if (error < 0 ||
	    (*word != '\0' && word[strcspn(word, " \t\"'")] == '\0'))
		return error;
	json_decref(*ret);
	return refuse(work, 422, "bad_value", key,
	              "is empty or has blanks or quotes, allowed: one word");
}

/* No names: one may have many addresses, and then there would be many hosts;
 * and one that does not resolve at some later start would take its host away
 * for good. */
static int check_address(struct work *work, const char *text)
{
	struct address address;
	size_t name_length;
	uint16_t port;

	if (address_parse(&address, text, &name_length, &port) == 0)
		return 0;
	return refuse(work, 422, "bad_value", "address",
	              "is no address, allowed: IP:PORT, [IPv6]:PORT or "
	              "unix:/PATH; a name only in the files");
}

static int check_parameter(struct work *work,
                           const struct config_key *parameter, const char *text)
{
	char problem[CONFIG_PROBLEM_SIZE];
	struct arena *arena = arena_new(NULL);
	union config_value value;
	int error = -ENOMEM;

	if (arena)
		error = config_value_parse(parameter, text, arena, &value,
		                           problem);
	if (error == -EINVAL)
		refuse(work, 422, "bad_value", parameter->name, "%s", problem);
	arena_free(arena);
	return error;
}

/* "ADDRESS id=a weight=5 down", as in a file. */
static int write_server(struct work *work, FILE *line)
{
	const struct operation *operation = work->operation;
	json_t *value, *word;
	const char *key;
	int error;

	error = read_word(work, "address",
	                  json_object_get(operation->body, "address"), &word);
	if (error < 0)
		return error;
	error = check_address(work, json_string_value(word));
	fprintf(line, "%s id=%s", json_string_value(word), operation->host);
	json_decref(word);
	json_object_foreach(operation->body, key, value)
	{
		const struct config_key *parameter = find_parameter(key);
		bool admin = strcmp(key, ADMIN) == 0;

		if (error < 0)
			break;
		if (!admin && !parameter)
			continue;
		error = read_word(work, key, value, &word);
		if (error < 0)
			break;
		if (parameter)
			error = check_parameter(work, parameter,
			                        json_string_value(word));
		if (parameter)
			fprintf(line, " %s=%s", key, json_string_value(word));
		else if (strcmp(json_string_value(word), "auto") != 0)
			fprintf(line, " %s", json_string_value(word));
		json_decref(word);
	}
	return error;
}

static int add_server(struct work *work)
{
	CLEANUP(free_pointer) char *text = NULL;
	size_t size;
	FILE *line = open_memstream(&text, &size);
	int error;

	if (!line)
		return -ENOMEM;
	error = write_server(work, line);
	if (fclose(line) != 0)
		return -ENOMEM;
	if (error < 0)
		return error;
	return set(work, work->operation->host, SERVER, json_string(text), NULL,
	           0);
}

static int check_admin(struct work *work, const json_t *value, bool set_only,
                       const char **ret)
{
	static const char *const allowed[] = { "auto", "down", "drain", "up" };
	const char *text = json_string_value(value);

	for (size_t i = 0; text && i < ARRAY_SIZE(allowed) - set_only; i++) {
		if (strcmp(allowed[i], text) == 0) {
			*ret = allowed[i];
			return 0;
		}
	}
	return refuse(work, 422, "bad_value", ADMIN,
	              "allowed: auto, %sdown, drain", set_only ? "" : "up, ");
}

static int add_host(struct work *work)
{
	const struct operation *operation = work->operation;
	const struct pool_config *pool =
		config_find_pool(work->now, operation->pool);
	const json_t *admin = json_object_get(operation->body, ADMIN);
	const char *key, *order;
	json_t *value;
	int error;

	if (!pool)
		return refuse(work, 404, "no_such_pool", NULL,
		              "there is no pool %s", operation->pool);
	if (config_find_host(pool, operation->host))
		return refuse(work, 409, "exists", NULL,
		              "pool %s has a host %s already, allowed: "
		              "another id, or PATCH to change it",
		              operation->pool, operation->host);
	if (!json_is_string(json_object_get(operation->body, "address")))
		return refuse(work, 422, "missing_key", "address",
		              "is missing, allowed: IP:PORT, [IPv6]:PORT or "
		              "unix:/PATH");
	if (admin && check_admin(work, admin, true, &order) < 0)
		return -EINVAL;
	error = add_server(work);
	json_object_foreach(operation->body, key, value)
	{
		const struct config_key *known = config_key_find(key);
		json_t *text;

		if (error < 0)
			break;
		if (strcmp(key, "address") == 0 || strcmp(key, ADMIN) == 0 ||
		    find_parameter(key))
			continue;
		if (!known || !(known->sections & IN_HOST)) {
			error = refuse_key(work, key,
			                   "address, weight, max_conns, "
			                   "max_fails, fail_timeout, admin and "
			                   "the keys of [host POOL/ID]",
			                   IN_HOST);
			break;
		}
		error = read_value(work, key, value, &text);
		if (error == 0)
			error = set(work, operation->host, key, text, NULL, 0);
	}
	return error;
}

static int remove_host(struct work *work)
{
	const struct operation *operation = work->operation;
	const char *pool = operation->pool, *host = operation->host;
	const json_t *row = changes_find(work->changes, pool, host, SERVER);
	struct file_value says = { 0 };
	json_t *ini;
	int error;

	if (row)
		ini = json_incref(json_object_get(row, "ini"));
	else if (changes_is_own(work->changes, pool, NULL))
		ini = json_null();
	else
		ini = changes_text_or_null(
			changes_file_value(
				changes_find_place(work->files, pool, host),
				SERVER, &says)
				->text);
	error = changes_drop(work->changes, pool, host, NULL);
	if (error == 0 && json_is_string(ini))
		error = set(work, host, SERVER, json_null(), NULL, 0);
	json_decref(ini);
	return error;
}

/* --- orders ------------------------------------------------------------- */

static int check_reason(struct work *work, const json_t *reason)
{
	const char *text = json_string_value(reason);
	size_t size = json_string_length(reason);

	if (!reason || json_is_null(reason))
		return 0;
	if (!text)
		return refuse(work, 422, "bad_type", "reason",
		              "is of the wrong type, allowed: a string");
	if (size > CHANGES_REASON_MAX || strlen(text) != size ||
	    !text_is_printable(text, size))
		return refuse(work, 422, "bad_value", "reason",
		              "allowed: UTF-8 without control characters, %d "
		              "bytes at most",
		              CHANGES_REASON_MAX);
	return 0;
}

static int set_order(struct work *work)
{
	const struct operation *operation = work->operation;
	const json_t *lasts = json_object_get(operation->body, "for");
	const json_t *reason = json_object_get(operation->body, "reason");
	uint64_t until_us = 0, ms;
	const char *admin = "";
	bool open;

	if (check_admin(work, json_object_get(operation->body, ADMIN), false,
	                &admin) < 0)
		return -EINVAL;
	open = strcmp(admin, "auto") == 0 || strcmp(admin, "up") == 0;
	if (lasts && !json_is_null(lasts)) {
		json_t *text = NULL;
		int error;

		if (open)
			return refuse(work, 422, "bad_value", "for",
			              "does not go with %s, allowed with down "
			              "and drain",
			              admin);
		error = read_text(work, "for", lasts, &text);
		if (error < 0)
			return error;
		error = parse_duration_ms(&ms, json_string_value(text), 1000,
		                          CHANGES_LEASE_MAX_MS);
		json_decref(text);
		if (error < 0)
			return refuse(work, 422, "bad_value", "for",
			              "allowed: a duration such as 10m, "
			              "from 1s to 365d");
		until_us = operation->at_us + ms * USEC_PER_MSEC;
	}
	return set(work, operation->host, ADMIN,
	           json_string(open ? "auto" : admin),
	           open ? NULL : json_string_value(reason), until_us);
}

static int set_weight(struct work *work, const json_t *value)
{
	json_int_t weight = json_integer_value(value);

	if (!json_is_integer(value) || weight < 1 ||
	    weight > (json_int_t) HEALTH_MAX_WEIGHT)
		return refuse(work, 422, "bad_value", WEIGHT,
		              "allowed: a whole number from 1 to %u",
		              HEALTH_MAX_WEIGHT);
	return set(work, work->operation->host, WEIGHT,
	           json_sprintf("%" JSON_INTEGER_FORMAT, weight),
	           json_string_value(json_object_get(work->operation->body,
	                                             "reason")),
	           0);
}

static int order_host(struct work *work)
{
	static const char *const keys[] = { ADMIN, "for", "reason", WEIGHT };
	const json_t *body = work->operation->body;
	const json_t *weight = json_object_get(body, WEIGHT);
	const char *key;
	json_t *value;
	int error = 0;

	json_object_foreach((json_t *) body, key, value)
	{
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
			known = known || strcmp(keys[i], key) == 0;
		if (!known)
			return refuse_key(work, key,
			                  "admin, for, reason, weight", 0);
	}
	if (json_object_size(body) == 0)
		return refuse(work, 422, "missing_key", ADMIN,
		              "nothing is ordered, allowed: admin, for, "
		              "reason, weight");
	error = check_reason(work, json_object_get(body, "reason"));
	if (error == 0 && json_object_get(body, ADMIN))
		error = set_order(work);
	else if (error == 0 && (json_object_get(body, "for") || !weight))
		error = refuse(work, 422, "missing_key", ADMIN,
		               "is missing, allowed: auto, up, down, drain");
	if (error == 0 && weight)
		error = set_weight(work, weight);
	return error;
}

static int expire(struct work *work)
{
	json_t *ended = json_array(), *left = json_array();
	int error = ended && left
	                    ? changes_part(work->changes,
	                                   work->operation->at_us, ended, left)
	                    : -ENOMEM;

	json_decref(ended);
	if (error < 0) {
		json_decref(left);
		return error;
	}
	json_decref(work->changes);
	work->changes = left;
	return 0;
}

/* What is as the files have it already is there to be reverted, too. */
static int revert(struct work *work)
{
	const struct operation *operation = work->operation;
	size_t before = json_array_size(work->changes);
	int error = changes_drop(work->changes, operation->pool,
	                         operation->host, NULL);

	if (error == 0 && json_array_size(work->changes) == before)
		error = check_existence(work);
	return error;
}

/* --- all ---------------------------------------------------------------- */

static const struct {
	int (*apply)(struct work *work);
	bool exists; /* the pool, or the host, must */
} kinds[] = {
	[OPERATION_ADD_POOL] = { add_pool, false },
	[OPERATION_SET_POOL] = { set_pool, true },
	[OPERATION_REMOVE_POOL] = { remove_pool, true },
	[OPERATION_ADD_HOST] = { add_host, false },
	[OPERATION_ORDER] = { order_host, true },
	[OPERATION_REMOVE_HOST] = { remove_host, true },
	[OPERATION_REVERT] = { revert, false },
	[OPERATION_EXPIRE] = { expire, false },
};

static int check_names(struct work *work)
{
	const struct operation *operation = work->operation;

	if (!operation->pool)
		return 0;
	if (strlen(operation->pool) > CONFIG_POOL_NAME_MAX ||
	    !text_is_name(operation->pool, strlen(operation->pool)))
		return refuse(work, 422, "bad_name", "pool",
		              "allowed: letters, digits and ._-, %d at most",
		              CONFIG_POOL_NAME_MAX);
	if (operation->host &&
	    (strlen(operation->host) > CONFIG_HOST_ID_MAX ||
	     !text_is_id(operation->host, strlen(operation->host))))
		return refuse(work, 422, "bad_name", "host",
		              "allowed: printable ASCII without blanks and "
		              "quotes, %d at most",
		              CONFIG_HOST_ID_MAX);
	return 0;
}

int changes_apply(json_t *changes, const struct config *files,
                  const struct config *now, const struct operation *operation,
                  json_t **ret, struct refusal *refusal)
{
	struct work work = {
		.operation = operation,
		.files = files,
		.now = now,
		.changes = json_copy(changes),
		.refusal = refusal,
	};
	int error;

	*refusal = (struct refusal) { 0 };
	error = work.changes ? check_names(&work) : -ENOMEM;
	if (error == 0 && kinds[operation->kind].exists)
		error = check_existence(&work);
	if (error == 0)
		error = kinds[operation->kind].apply(&work);
	if (error == 0 && json_array_size(work.changes) > CHANGES_MAX)
		error = refuse(&work, 422, "too_many", NULL,
		               "too many changes, allowed: %d", CHANGES_MAX);
	if (error < 0)
		json_decref(work.changes);
	else
		*ret = work.changes;
	return error;
}
