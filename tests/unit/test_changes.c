/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Changes at runtime, on top of files that say: web has a (weight 3) and b,
 * api has c, taken out.
 */
#include "unit.h"

#include "changes.h"
#include "config_amend.h"
#include "config_builder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct story {
	struct config_errors errors;
	struct config_builder *files_builder;
	struct config *files;
	struct config *now;
	json_t *changes;
	struct refusal refusal;
	uint64_t now_us;
};

static const char files_text[] =
	"[defaults]\ninterval = 5s\n"
	"[pool web]\nserver = 10.0.0.1:80 id=a weight=3\n"
	"server = 10.0.0.2:80 id=b\n"
	"[pool api]\nserver = 10.0.1.1:80 id=c down\n"
	"[host web/a]\npath = /a\n";

static int no_names(void *owner, const char *name, struct address *ret,
                    const char **ret_problem)
{
	(void) owner;
	(void) name;
	(void) ret;
	*ret_problem = "no names here";
	return -ENOENT;
}

static const struct config_world world = { .resolve = no_names };

/* A line is a section or a key. */
static struct config_builder *read_files(struct story *story, const char *text)
{
	struct config_place place = { .file = "files", .line = 1 };
	struct config_section section = { 0 };
	struct config_builder *builder;
	char *copy = strdup(text), *rest = copy, *line;

	assert_int_equal(0, config_builder_new(&builder, &story->errors,
	                                       &world));
	while ((line = strsep(&rest, "\n"))) {
		char *value = strstr(line, " = ");

		if (*line == '[') {
			line[strlen(line) - 1] = '\0';
			place.section = config_builder_keep(builder, line + 1);
			config_builder_section(builder, &place, &section);
		} else if (value) {
			*value = '\0';
			config_builder_set(builder, &section, &place, line,
			                   value + 3);
		}
	}
	free(copy);
	return builder;
}

static void begin(struct story *story, const char *text)
{
	*story = (struct story) { .changes = json_array(),
		                   .now_us = 1000000000000000 };
	story->files_builder = read_files(story, text);
	assert_int_equal(0, config_amend(story->files_builder, NULL,
	                                 &story->errors, &story->files));
	story->now = config_ref(story->files);
}

static void end(struct story *story)
{
	config_unref(story->now);
	config_unref(story->files);
	config_builder_free(story->files_builder);
	config_errors_clear(&story->errors);
	json_decref(story->changes);
}

/* Tries an operation; what it makes is in force then.  Returns the status. */
static unsigned try(struct story *story, enum operation_kind kind,
                    const char *pool, const char *host, const char *body)
{
	struct operation operation = { .kind = kind,
		                       .pool = pool,
		                       .host = host,
		                       .at_us = story->now_us,
		                       .by = 7 };
	struct config *config;
	json_t *after;
	int r;

	operation.body = body ? json_loads(body, 0, NULL) : NULL;
	r = changes_apply(story->changes, story->files, story->now, &operation,
	                  &after, &story->refusal);
	json_decref(operation.body);
	if (r < 0)
		return story->refusal.status;
	config_errors_clear(&story->errors);
	r = config_amend(story->files_builder, after, &story->errors, &config);
	if (r < 0) {
		json_decref(after);
		return 422;
	}
	json_decref(story->changes);
	story->changes = after;
	config_unref(story->now);
	story->now = config;
	return 200;
}

/* "web:0 a/3 b/1; api:0 c/1-" */
static const char *shape(const struct story *story)
{
	static const char signs[][2] = { "", "-", "~" };
	static char text[1024];
	size_t used = 0;

	for (uint32_t p = 0; p < story->now->pool_count; p++) {
		const struct pool_config *pool = &story->now->pools[p];

		used += (size_t) sprintf(text + used, "%s%s:%u",
		                         p ? "; " : "", pool->name,
		                         pool->priority);
		for (uint32_t h = 0; h < pool->host_count; h++)
			used += (size_t) sprintf(text + used, " %s/%u%s",
			                         pool->hosts[h].id,
			                         pool->hosts[h].weight,
			                         signs[pool->hosts[h].admin]);
	}
	text[used] = '\0';
	return text;
}

static size_t rows(const struct story *story)
{
	return json_array_size(story->changes);
}

static size_t ended(const struct story *story)
{
	json_t *of = changes_ended(story->changes, story->now_us);
	size_t count = json_array_size(of);

	json_decref(of);
	return count;
}

static void test_hosts_come_and_go(void **state)
{
	struct story story;

	(void) state;
	begin(&story, files_text);
	assert_string_equal("web:0 a/3 b/1; api:0 c/1-", shape(&story));
	assert_int_equal(200, try(&story, OPERATION_ADD_HOST, "web", "n",
	                          "{\"address\":\"10.0.0.3:80\",\"weight\":7,"
	                          "\"path\":\"/n\",\"interval\":\"1s\"}"));
	assert_string_equal("web:0 a/3 b/1 n/7; api:0 c/1-", shape(&story));
	assert_string_equal("/n", story.now->pools[0].hosts[2].settings->path);
	assert_int_equal(1000,
	                 story.now->pools[0].hosts[2].settings->interval_ms);
	/* what derives from it follows */
	assert_int_equal(
		1000,
		story.now->pools[0].hosts[2].settings->fast_interval_ms);
	assert_int_equal(409, try(&story, OPERATION_ADD_HOST, "web", "n",
	                          "{\"address\":\"10.0.0.4:80\"}"));
	assert_int_equal(200,
	                 try(&story, OPERATION_REMOVE_HOST, "web", "a", NULL));
	assert_string_equal("web:0 b/1 n/7; api:0 c/1-", shape(&story));
	/* it comes back as somebody else says, not as the file did */
	assert_int_equal(200, try(&story, OPERATION_ADD_HOST, "web", "a",
	                          "{\"address\":\"10.0.0.9:80\"}"));
	assert_string_equal("web:0 b/1 n/7 a/1; api:0 c/1-", shape(&story));
	assert_string_equal("/", story.now->pools[0].hosts[2].settings->path);
	assert_int_equal(200, try(&story, OPERATION_REVERT, "web", "a", NULL));
	assert_int_equal(200,
	                 try(&story, OPERATION_REMOVE_HOST, "web", "n", NULL));
	assert_string_equal("web:0 a/3 b/1; api:0 c/1-", shape(&story));
	assert_int_equal(0, rows(&story));
	end(&story);
}

static void test_pools_come_and_go(void **state)
{
	struct story story;

	(void) state;
	begin(&story, files_text);
	assert_int_equal(200, try(&story, OPERATION_ADD_POOL, "spare", NULL,
	                          "{\"upstream\":\"web\",\"priority\":5,"
	                          "\"interval\":\"9s\"}"));
	assert_int_equal(200, try(&story, OPERATION_ADD_HOST, "spare", "s",
	                          "{\"address\":\"unix:/run/s\","
	                          "\"admin\":\"drain\"}"));
	assert_string_equal("web:0 a/3 b/1; api:0 c/1-; spare:5 s/1~",
	                    shape(&story));
	assert_int_equal(9000, story.now->pools[2].settings->interval_ms);
	assert_int_equal(200, try(&story, OPERATION_SET_POOL, "spare", NULL,
	                          "{\"priority\":0,\"balance\":\"hash\"}"));
	assert_int_equal(HEALTH_HASH, story.now->pools[2].balance);
	assert_int_equal(200, try(&story, OPERATION_SET_POOL, "web", NULL,
	                          "{\"priority\":9}"));
	assert_string_equal("api:0 c/1-; spare:0 s/1~; web:9 a/3 b/1",
	                    shape(&story));
	assert_int_equal(200,
	                 try(&story, OPERATION_REMOVE_POOL, "web", NULL, NULL));
	assert_int_equal(200, try(&story, OPERATION_REMOVE_POOL, "spare", NULL,
	                          NULL));
	assert_string_equal("api:0 c/1-", shape(&story));
	assert_int_equal(1, rows(&story)); /* that web is gone */
	/* an empty pool of the same name, nothing of the file's */
	assert_int_equal(200, try(&story, OPERATION_ADD_POOL, "web", NULL,
	                          "{}"));
	assert_string_equal("web:0; api:0 c/1-", shape(&story));
	assert_int_equal(200, try(&story, OPERATION_REVERT, "web", NULL, NULL));
	assert_string_equal("web:0 a/3 b/1; api:0 c/1-", shape(&story));
	end(&story);
}

static void test_an_empty_list_inherits_nothing(void **state)
{
	struct story story;

	(void) state;
	begin(&story, "[pool web]\nheader = X-A: 1\n");
	assert_int_equal(200, try(&story, OPERATION_ADD_HOST, "web", "n",
	                          "{\"address\":\"10.0.0.3:80\","
	                          "\"header\":[]}"));
	assert_null(story.now->pools[0].hosts[0].settings->headers[0]);
	end(&story);
}

/* "At the host itself" is no place for an agent of a unix socket: said once,
 * and not of a pool that is gone. */
static void test_a_pool_that_is_gone_has_no_agents(void **state)
{
	struct story story;

	(void) state;
	begin(&story, files_text);
	assert_int_equal(200,
	                 try(&story, OPERATION_REMOVE_POOL, "web", NULL, NULL));
	assert_int_equal(422, try(&story, OPERATION_ADD_HOST, "api", "n",
	                          "{\"address\":\"unix:/run/n\","
	                          "\"agent\":\"tcp://:99\"}"));
	assert_int_equal(1, story.errors.count);
	assert_string_equal("host api/n", story.errors.sections[0]);
	end(&story);
}

static void test_orders_that_say_what_the_files_say_are_none(void **state)
{
	struct story story;
	struct order order;

	(void) state;
	begin(&story, files_text);
	try(&story, OPERATION_ORDER, "web", "a", "{\"weight\":9}");
	assert_string_equal("web:0 a/9 b/1; api:0 c/1-", shape(&story));
	try(&story, OPERATION_ORDER, "web", "a", "{\"weight\":3}");
	assert_int_equal(0, rows(&story));
	try(&story, OPERATION_ORDER, "api", "c", "{\"admin\":\"up\"}");
	assert_string_equal("web:0 a/3 b/1; api:0 c/1", shape(&story));
	try(&story, OPERATION_ORDER, "api", "c",
	    "{\"admin\":\"down\",\"reason\":\"disk\",\"for\":\"10m\"}");
	assert_int_equal(0, changes_order(story.changes, story.files, "api",
	                                  "c", &order));
	assert_int_equal(HEALTH_ADMIN_DOWN, order.admin);
	assert_string_equal("disk", order.reason);
	assert_int_equal(1000000600000000, order.until_us);
	try(&story, OPERATION_ORDER, "web", "a",
	    "{\"admin\":\"down\",\"for\":\"10m\"}");
	try(&story, OPERATION_ORDER, "web", "b",
	    "{\"admin\":\"down\",\"for\":\"11m\"}");
	assert_int_equal(1000000600000000, changes_next_end_us(story.changes));
	assert_int_equal(0, ended(&story));
	assert_int_equal(200, try(&story, OPERATION_EXPIRE, NULL, NULL, NULL));
	assert_int_equal(3, rows(&story)); /* too early */
	/* two end: back to the files' */
	story.now_us = 1000000600000000;
	assert_int_equal(2, ended(&story));
	assert_int_equal(200, try(&story, OPERATION_EXPIRE, NULL, NULL, NULL));
	assert_int_equal(1, rows(&story));
	assert_int_equal(0, changes_order(story.changes, story.files, "api",
	                                  "c", &order));
	assert_int_equal(HEALTH_ADMIN_DOWN, order.admin);
	assert_null(order.reason);
	assert_int_equal(0, order.until_us);
	assert_int_equal(1000000660000000, changes_next_end_us(story.changes));
	end(&story);
}

static void test_what_is_refused(void **state)
{
	static const struct {
		enum operation_kind kind;
		const char *pool, *host, *body;
		unsigned status;
		const char *key;
	} table[] = {
		{ OPERATION_ORDER, "web", "x", "{\"weight\":1}", 404, "" },
		{ OPERATION_ORDER, "nix", "a", "{\"weight\":1}", 404, "" },
		{ OPERATION_ORDER, "web", "a", "{\"weight\":0}", 422, "weight" },
		{ OPERATION_ORDER, "web", "a", "{\"weight\":65536}", 422,
		  "weight" },
		{ OPERATION_ORDER, "web", "a", "{\"weight\":\"2\"}", 422,
		  "weight" },
		{ OPERATION_ORDER, "web", "a", "{}", 422, "admin" },
		{ OPERATION_ORDER, "web", "a", "{\"admin\":\"gone\"}", 422,
		  "admin" },
		{ OPERATION_ORDER, "web", "a", "{\"for\":\"5m\"}", 422,
		  "admin" },
		{ OPERATION_ORDER, "web", "a",
		  "{\"admin\":\"up\",\"for\":\"5m\"}", 422, "for" },
		{ OPERATION_ORDER, "web", "a",
		  "{\"admin\":\"down\",\"for\":\"0s\"}", 422, "for" },
		{ OPERATION_ORDER, "web", "a",
		  "{\"admin\":\"down\",\"reason\":\"a\\nb\"}", 422, "reason" },
		{ OPERATION_ORDER, "web", "a", "{\"wieght\":1}", 422,
		  "wieght" },
		{ OPERATION_ADD_HOST, "web", "n", "{}", 422, "address" },
		{ OPERATION_ADD_HOST, "web", "n",
		  "{\"address\":\"10.0.0.1:80 down\"}", 422, "address" },
		{ OPERATION_ADD_HOST, "web", "n",
		  "{\"address\":\"10.0.0.1:80\",\"server\":\"x\"}", 422,
		  "server" },
		{ OPERATION_ADD_HOST, "web", "n",
		  "{\"address\":\"10.0.0.1:80\",\"path\":\"/ ;\"}", 422,
		  "path" },
		{ OPERATION_ADD_HOST, "web", "n",
		  "{\"address\":\"10.0.0.1:80\",\"path\":[\"/\"]}", 422,
		  "path" },
		{ OPERATION_ADD_HOST, "web", "n",
		  "{\"address\":\"10.0.0.1:80\",\"admin\":\"up\"}", 422,
		  "admin" },
		{ OPERATION_ADD_HOST, "web", "a b",
		  "{\"address\":\"10.0.0.1:80\"}", 422, "host" },
		{ OPERATION_ADD_POOL, "web", NULL, "{}", 409, "" },
		{ OPERATION_ADD_POOL, "w b", NULL, "{}", 422, "pool" },
		{ OPERATION_ADD_POOL, "n", NULL, "{\"server\":\"x\"}", 422,
		  "server" },
		{ OPERATION_SET_POOL, "web", NULL, "{\"upstream\":\"x\"}", 422,
		  "upstream" },
		{ OPERATION_SET_POOL, "web", NULL, "{}", 422, "" },
		{ OPERATION_ADD_HOST, "nix", "n",
		  "{\"address\":\"10.0.0.1:80\"}", 404, "" },
		{ OPERATION_ADD_HOST, "web", "n", "{\"address\":\"nowhere\"}",
		  422, "address" },
		{ OPERATION_ADD_HOST, "web", "n",
		  "{\"address\":\"10.0.0.1:80\",\"weight\":70000}", 422,
		  "weight" },
		{ OPERATION_ADD_HOST, "web", "n",
		  "{\"address\":\"10.0.0.1:80\",\"fail_timeout\":\"x\"}",
		  422, "fail_timeout" },
		{ OPERATION_REMOVE_POOL, "nix", NULL, NULL, 404, "" },
		{ OPERATION_REVERT, "nix", NULL, NULL, 404, "" },
		{ OPERATION_REVERT, "nix", "a", NULL, 404, "" },
		{ OPERATION_REVERT, "web", "x", NULL, 404, "" },
	};
	struct story story;

	(void) state;
	begin(&story, files_text);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		assert_int_equal(table[i].status,
		                 try(&story, table[i].kind, table[i].pool,
		                     table[i].host, table[i].body));
		assert_string_equal(table[i].key, story.refusal.key);
	}
	/* what only the configuration's own rules can tell */
	assert_int_equal(422, try(&story, OPERATION_ADD_HOST, "web", "n",
	                          "{\"address\":\"10.0.0.1:80\","
	                          "\"interval\":\"soon\"}"));
	assert_string_equal("interval", story.errors.key);
	assert_string_equal("host web/n", story.errors.sections[0]);
	assert_int_equal(422, try(&story, OPERATION_SET_POOL, "web", NULL,
	                          "{\"priority\":70000}"));
	assert_int_equal(0, rows(&story));
	end(&story);
}

static void count_told(void *owner, const struct change *change,
                       const char *file_value)
{
	(void) change;
	(void) file_value;
	++*(unsigned *) owner;
}

/* The files change under the changes; what is left of these is told by
 * (pool, host, key). */
static void test_the_last_word_wins(void **state)
{
	static const struct {
		const char *files;
		size_t left;
		unsigned told;
	} table[] = {
		{ files_text, 5, 0 },
		/* another weight for a */
		{ "[pool web]\nserver = 10.0.0.1:80 id=a weight=4\n"
		  "server = 10.0.0.2:80 id=b\n[pool api]\n",
		  4, 1 },
		/* the same that the change says */
		{ "[pool web]\nserver = 10.0.0.1:80 id=a weight=9\n"
		  "server = 10.0.0.2:80 id=b\n[pool api]\n",
		  4, 0 },
		/* b, which was removed, is gone from the files as well, and
		 * n, which was added, has come to them */
		{ "[pool web]\nserver = 10.0.0.1:80 id=a weight=3\n"
		  "server = 10.0.0.3:80 id=n\n[pool api]\n",
		  2, 1 },
		/* a pool that is gone takes along what was added to it */
		{ "", 0, 3 },
	};
	struct story story;

	(void) state;
	begin(&story, files_text);
	try(&story, OPERATION_ORDER, "web", "a", "{\"weight\":9}");
	try(&story, OPERATION_REMOVE_HOST, "web", "b", NULL);
	try(&story, OPERATION_ADD_HOST, "web", "n",
	    "{\"address\":\"10.0.0.3:80\",\"path\":\"/n\"}");
	try(&story, OPERATION_SET_POOL, "api", NULL, "{\"priority\":1}");
	assert_int_equal(5, rows(&story));
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct story later;
		unsigned told = 0;
		json_t *left;

		begin(&later, table[i].files);
		left = changes_reconcile(story.changes, later.files, 0,
		                         count_told, &told);
		assert_int_equal(table[i].left, json_array_size(left));
		assert_int_equal(table[i].told, told);
		json_decref(left);
		end(&later);
	}
	end(&story);
}

static void test_a_lease_that_ended_is_over(void **state)
{
	struct story story;
	json_t *left;

	(void) state;
	begin(&story, files_text);
	try(&story, OPERATION_ORDER, "web", "b",
	    "{\"admin\":\"drain\",\"for\":\"1h\"}");
	try(&story, OPERATION_ORDER, "web", "a",
	    "{\"admin\":\"drain\",\"for\":\"10m\"}");
	assert_int_equal(1000000600000000,
	                 changes_next_end_us(story.changes));
	left = changes_reconcile(story.changes, story.files, 1000000600000000,
	                         NULL, NULL);
	assert_int_equal(1, json_array_size(left));
	json_decref(left);
	end(&story);
}

static void test_damaged_rows_are_none(void **state)
{
	static const char *const table[] = {
		"null",
		"{}",
		"{\"pool\":\"p\",\"host\":null,\"key\":\"pool\",\"ini\":null}",
		"{\"pool\":\"p q\",\"host\":null,\"key\":\"pool\",\"ini\":null,"
		"\"runtime\":\"p\"}",
		"{\"pool\":\"p\",\"host\":3,\"key\":\"pool\",\"ini\":null,"
		"\"runtime\":\"p\"}",
		"{\"pool\":\"p\",\"host\":\"h\",\"key\":\"pool\",\"ini\":null,"
		"\"runtime\":\"p\"}",
		"{\"pool\":\"p\",\"host\":null,\"key\":\"server\",\"ini\":null,"
		"\"runtime\":\"p\"}",
		"{\"pool\":\"p\",\"host\":\"h\",\"key\":\"admin\",\"ini\":null,"
		"\"runtime\":null}",
		"{\"pool\":\"p\",\"host\":\"h\",\"key\":\"weight\",\"ini\":null,"
		"\"runtime\":[\"1\"]}",
		"{\"pool\":\"p\",\"host\":\"h\",\"key\":\"weight\",\"ini\":null,"
		"\"runtime\":\"0\"}",
		"{\"pool\":\"p\",\"host\":\"h\",\"key\":\"weight\",\"ini\":null,"
		"\"runtime\":\"70000\"}",
		"{\"pool\":\"p\",\"host\":\"h\",\"key\":\"admin\",\"ini\":null,"
		"\"runtime\":\"dwon\"}",
		"{\"pool\":\"p\",\"host\":\"h\",\"key\":\"admin\",\"ini\":null,"
		"\"runtime\":\"down\",\"until\":\"soon\"}",
	};
	struct change change;

	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		json_t *row = json_loads(table[i], JSON_DECODE_ANY, NULL);

		assert_non_null(row);
		assert_false(change_read(row, &change));
		json_decref(row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts_come_and_go),
		cmocka_unit_test(test_pools_come_and_go),
		cmocka_unit_test(test_an_empty_list_inherits_nothing),
		cmocka_unit_test(test_a_pool_that_is_gone_has_no_agents),
		cmocka_unit_test(
			test_orders_that_say_what_the_files_say_are_none),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_the_last_word_wins),
		cmocka_unit_test(test_a_lease_that_ended_is_over),
		cmocka_unit_test(test_damaged_rows_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
