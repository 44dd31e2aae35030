/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The commands that ask the daemon.
 *
 * Each is one request of the REST interface: its words become a route and a
 * document, and the answer is shown as it came (--json) or for people.  What
 * is checked here is the form that a request needs to be one; what a name, a
 * key or a value may be is decided in one place, by the daemon, which knows
 * the whole fleet.
 */
#include "command.h"

#include "control_client.h"
#include "parse.h"
#include "terminal.h"
#include "view_answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define POOLS   "/v1/pools"
#define CHANGES "/v1/changes"

/* What the first operand names. */
enum target {
	TARGET_NONE,
	TARGET_POOL,
	TARGET_HOST,
	TARGET_ANY,
};

/* A command as a request. */
struct plan {
	const char *method;
	const char *route;
	enum target target;
	bool address_is_id; /* the second operand is, if no host is named */
	const char *action; /* what the path ends with, or NULL */
	view_answer *view;  /* NULL: `done` says it all */
	const char *done;   /* said where there is nothing to show */
};

static void drop_json(json_t **value)
{
	json_decref(*value);
}

/* Splits the first operand at its first slash. */
static int read_target(const struct request *request, const struct plan *plan,
                       struct control_client_question *question)
{
	const char *name = request->operands[0];
	const char *slash = strchr(name, '/');

	question->pool = name;
	question->pool_size = strcspn(name, "/");
	if (slash != NULL)
		question->host = slash + 1;
	else if (plan->address_is_id)
		question->host = request->operands[1];
	if (question->pool_size == 0)
		return command_refuse(REFUSED, "\"%s\" names no pool", name);
	if (slash != NULL && slash[1] == '\0')
		return command_refuse(
			REFUSED, "\"%s\" names no host after the slash", name);
	if (plan->target == TARGET_POOL && question->host != NULL)
		return command_refuse(REFUSED,
		                      "%s: needs a POOL, not a host of it",
		                      request->command->name);
	if (plan->target == TARGET_HOST && question->host == NULL)
		return command_refuse(REFUSED,
		                      "%s: needs POOL/HOST, not a whole pool",
		                      request->command->name);
	return DONE;
}

/* What we cannot understand did not come from the daemon that we know. */
static int foreign(const struct request *request)
{
	return command_refuse(
		NO_ANSWER,
		"%s: the answer is none that this version of "
		"checkerctl knows: is that checkerd's socket, and "
		"of the same version?",
		request->socket);
}

static void print_document(const json_t *document)
{
	if (document == NULL)
		return;
	json_dumpf(document, stdout,
	           JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
	putchar('\n');
}

static int show(const struct request *request, const struct plan *plan,
                const struct control_client_answer *answer)
{
	const char *name = request->operands[0];

	if (answer->status >= 400 && answer->status <= 599) {
		setlinebuf(stderr); /* errors may be many */
		view_answer_error(stderr, answer->status, answer->document);
		if (request->json)
			print_document(answer->document);
		return command_finish(REFUSED);
	}
	if (answer->status < 200 || answer->status > 299 || answer->malformed)
		return foreign(request);
	if (request->json) {
		print_document(answer->document);
	} else if (plan->view == NULL || answer->document == NULL) {
		if (plan->target != TARGET_NONE) {
			terminal_print(stdout, name, strlen(name));
			fputs(": ", stdout);
		}
		printf("%s\n", plan->done);
	} else if (plan->view(stdout, name, answer->document) < 0) {
		return foreign(request);
	}
	return command_finish(DONE);
}

/* On a terminal, over itself: what takes longer than a second is not stuck. */
static bool waiting_shown;

static void show_waiting(uint64_t seconds)
{
	if (seconds == 0)
		return;
	fprintf(stderr, "\rwaiting for checkerd, %" PRIu64 " s\033[K", seconds);
	waiting_shown = true;
}

static int ask(const struct control_client_question *question,
               struct control_client_answer *ret, char *ret_error)
{
	struct control_client_question watched = *question;
	struct terminal terminal;
	int error;

	terminal_measure(&terminal, STDERR_FILENO);
	if (!terminal.draws)
		return control_client_ask(question, ret, ret_error);
	watched.waiting = show_waiting;
	error = control_client_ask(&watched, ret, ret_error);
	if (waiting_shown)
		fputs("\r\033[K", stderr);
	return error;
}

/* `body` may be NULL: none. */
static int carry_out(const struct request *request, const struct plan *plan,
                     const json_t *body)
{
	struct control_client_answer answer CLEANUP(
		control_client_answer_release) = { 0 };
	struct control_client_question question = {
		.socket = request->socket,
		.timeout_ms = request->timeout_ms,
		.method = plan->method,
		.route = plan->route,
		.action = plan->action,
		.body = body,
	};
	char error[CONTROL_CLIENT_ERROR_SIZE];

	if (plan->target != TARGET_NONE &&
	    read_target(request, plan, &question) != DONE)
		return REFUSED;
	if (ask(&question, &answer, error) < 0)
		return command_refuse(NO_ANSWER, "%s", error);
	return show(request, plan, &answer);
}

/* A number where the interface has one; what is none is left for the daemon
 * to refuse, with all that it knows about the key.  NULL: not UTF-8. */
static json_t *value_of(const char *key, const char *text)
{
	static const char *const numbers[] = { "weight", "priority" };
	uint64_t number;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		if (strcmp(numbers[i], key) == 0 &&
		    parse_unsigned(&number, text, 0, INT64_MAX) == 0)
			return json_integer((json_int_t) number);
	return json_string(text);
}

/* A key that comes again, as `header` may, has an array of values.  Takes over
 * `value`; returns less than 0 if it, or the key, is not UTF-8. */
static int put(json_t *body, const char *key, json_t *value)
{
	json_t *before = json_object_get(body, key), *both;

	if (before == NULL)
		return json_object_set_new(body, key, value);
	if (json_is_array(before))
		return json_array_append_new(before, value);
	both = json_pack("[O,o]", before, value);
	return json_object_set_new(body, key, both);
}

/* `option` is what people call it. */
static int put_text(json_t *body, const char *key, const char *text,
                    const char *option)
{
	if (text == NULL || put(body, key, json_string(text)) == 0)
		return DONE;
	return command_refuse(REFUSED, "%s: the text is not UTF-8", option);
}

/* KEY=VALUE ... */
static int put_pairs(json_t *body, char **pairs)
{
	for (; *pairs != NULL; pairs++) {
		const char *equals = strchr(*pairs, '=');
		char *key CLEANUP(free_pointer) = NULL;

		if (equals == NULL || equals == *pairs)
			return command_refuse(
				REFUSED, "\"%s\" is not KEY=VALUE", *pairs);
		key = strndup(*pairs, (size_t) (equals - *pairs));
		if (key == NULL)
			return command_out_of_memory();
		if (put(body, key, value_of(key, equals + 1)) < 0)
			return command_refuse(REFUSED, "%s: is not UTF-8", key);
	}
	return DONE;
}

int command_order(const struct request *request)
{
	static const struct plan plan = {
		.method = "PATCH",
		.route = POOLS,
		.target = TARGET_HOST,
		.view = view_answer_host,
		.done = "done",
	};
	json_t *body CLEANUP(drop_json) = json_object();

	if (put_text(body, "admin", request->command->name, "") != DONE ||
	    put_text(body, "for", request->lease, "--for") != DONE ||
	    put_text(body, "reason", request->reason, "--reason") != DONE)
		return REFUSED;
	return carry_out(request, &plan, body);
}

int command_weight(const struct request *request)
{
	static const struct plan plan = {
		.method = "PATCH",
		.route = POOLS,
		.target = TARGET_HOST,
		.view = view_answer_host,
		.done = "done",
	};
	json_t *body CLEANUP(drop_json) = json_object();

	if (put(body, "weight", value_of("weight", request->operands[1])) < 0)
		return command_refuse(REFUSED, "weight: is not UTF-8");
	return carry_out(request, &plan, body);
}

int command_probe(const struct request *request)
{
	static const struct plan plan = {
		.method = "POST",
		.route = POOLS,
		.target = TARGET_HOST,
		.action = "/probe",
		.view = view_answer_probe,
		.done = "probed",
	};

	return carry_out(request, &plan, NULL);
}

int command_add(const struct request *request)
{
	static const struct plan plan = {
		.method = "PUT",
		.route = POOLS,
		.target = TARGET_HOST,
		.address_is_id = true,
		.view = view_answer_host,
		.done = "added",
	};
	json_t *body CLEANUP(drop_json) = json_object();

	if (put_text(body, "address", request->operands[1], "ADDRESS") !=
	            DONE ||
	    put_pairs(body, request->operands + 2) != DONE)
		return REFUSED;
	return carry_out(request, &plan, body);
}

int command_remove(const struct request *request)
{
	static const struct plan plan = {
		.method = "DELETE",
		.route = POOLS,
		.target = TARGET_HOST,
		.done = "removed",
	};

	return carry_out(request, &plan, NULL);
}

/* With the KEY=VALUE operands behind the name as the body. */
static int carry_out_pairs(const struct request *request,
                           const struct plan *plan)
{
	json_t *body CLEANUP(drop_json) = json_object();

	if (put_pairs(body, request->operands + 1) != DONE)
		return REFUSED;
	return carry_out(request, plan, body);
}

int command_pool_add(const struct request *request)
{
	static const struct plan plan = {
		.method = "PUT",
		.route = POOLS,
		.target = TARGET_POOL,
		.view = view_answer_pool,
		.done = "added",
	};

	return carry_out_pairs(request, &plan);
}

int command_pool_set(const struct request *request)
{
	static const struct plan plan = {
		.method = "PATCH",
		.route = POOLS,
		.target = TARGET_POOL,
		.view = view_answer_pool,
		.done = "done",
	};

	return carry_out_pairs(request, &plan);
}

int command_pool_remove(const struct request *request)
{
	static const struct plan plan = {
		.method = "DELETE",
		.route = POOLS,
		.target = TARGET_POOL,
		.done = "removed",
	};

	return carry_out(request, &plan, NULL);
}

int command_reload(const struct request *request)
{
	static const struct plan plan = {
		.method = "POST",
		.route = "/v1/reload",
		.view = view_answer_reload,
		.done = "reloaded",
	};

	return carry_out(request, &plan, NULL);
}

int command_diff(const struct request *request)
{
	static const struct plan plan = {
		.method = "GET",
		.route = CHANGES,
		.view = view_answer_changes,
		.done = "no differences",
	};

	return carry_out(request, &plan, NULL);
}

int command_revert(const struct request *request)
{
	static const struct plan plan = {
		.method = "DELETE",
		.route = CHANGES,
		.target = TARGET_ANY,
		.done = "as in the configuration again",
	};

	return carry_out(request, &plan, NULL);
}
