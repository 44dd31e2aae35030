/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fixture_config.h"
#include "fleet.h"

#include <string.h>

static struct fixture_config fixture;

static struct fleet *fleet_of(const char *text)
{
	struct fleet *fleet;
	struct config *config = fixture_config(&fixture, text);

	config->references = 2; /* it is not on the heap: never freed */
	assert_int_equal(fleet_new(&fleet, config), 0);
	return fleet;
}

/* One letter for each host of the pool: U up, D down, ? unknown; small when it
 * takes no traffic. */
static const char *picture(const struct fleet *fleet, uint32_t pool)
{
	static char text[FIXTURE_HOSTS + 1];
	const struct pool *of = &fleet->pools[pool];
	uint32_t i;

	for (i = 0; i < of->config->host_count; i++) {
		uint64_t word = fleet_word(fleet, &of->hosts[i]);

		text[i] = (health_word_routable(word) ? "?UD" : "-ud")
		        [health_word_verdict(word)];
	}
	text[i] = '\0';
	return text;
}

/* Whether there is something to tell of the pool's panic; then it is told. */
static bool judge(struct fleet *fleet, uint32_t host, enum health_verdict verdict)
{
	struct pool *pool = &fleet->pools[fleet->hosts[host].pool];
	bool news = fleet_judge(fleet, &fleet->hosts[host],
	                        (struct verdict) { .verdict = (uint8_t) verdict },
	                        HEALTH_L7OK);

	pool->panic_told = pool->panic;
	return news;
}

static void a_new_fleet_trusts_its_hosts(void **state)
{
	struct fleet *fleet = fleet_of("p: a b c");

	(void) state;
	assert_string_equal(picture(fleet, 0), "???");
	judge(fleet, 1, HEALTH_UP);
	judge(fleet, 2, HEALTH_DOWN);
	assert_string_equal(picture(fleet, 0), "?Ud");
	assert_int_equal(health_pool_word_routable(fleet_pool_word(fleet, 0)), 2);
	assert_int_equal(health_pool_word_up(fleet_pool_word(fleet, 0)), 1);
	fleet_free(fleet);
}

static void who_is_checked_first_waits_for_a_pass(void **state)
{
	struct fleet *fleet = fleet_of("p: a b");

	(void) state;
	fixture.settings.initial = INITIAL_CHECKING;
	fleet_free(fleet);
	fixture.config.references = 2;
	assert_int_equal(fleet_new(&fleet, &fixture.config), 0);
	assert_string_equal(picture(fleet, 0), "--");
	assert_int_equal(health_word_state(fleet_word(fleet, &fleet->hosts[0])),
	                 HEALTH_STATE_CHECKING);
	judge(fleet, 0, HEALTH_UP);
	assert_string_equal(picture(fleet, 0), "U-");
	fleet_free(fleet);
}

static void panic_begins_below_the_share_and_ends_at_it(void **state)
{
	struct fleet *fleet = fleet_of("p: a b c d; other: e");

	(void) state;
	fixture.pools[0].panic_percent = 50;
	assert_false(judge(fleet, 0, HEALTH_DOWN));
	assert_false(judge(fleet, 1, HEALTH_DOWN));
	assert_string_equal(picture(fleet, 0), "dd??");
	assert_true(judge(fleet, 2, HEALTH_DOWN));
	assert_string_equal(picture(fleet, 0), "DDD?");
	assert_true(fleet_pool_word(fleet, 0) & HEALTH_POOL_PANIC);
	assert_int_equal(health_pool_word_routable(fleet_pool_word(fleet, 0)), 4);
	assert_string_equal(picture(fleet, 1), "?");
	assert_true(judge(fleet, 0, HEALTH_UP));
	assert_string_equal(picture(fleet, 0), "Udd?");
	fleet_free(fleet);
}

static void panic_counts_and_frees_nobody_whom_a_person_took_out(void **state)
{
	struct fleet *fleet = fleet_of("p: a b c");

	(void) state;
	fixture.pools[0].panic_percent = 60;
	fixture.hosts[0].admin = HEALTH_ADMIN_DOWN;
	fixture.hosts[1].admin = HEALTH_ADMIN_DRAIN;
	fleet_free(fleet);
	fixture.config.references = 2;
	assert_int_equal(fleet_new(&fleet, &fixture.config), 0);
	/* the one that is left is all there is: no panic */
	assert_string_equal(picture(fleet, 0), "--?");
	assert_true(judge(fleet, 2, HEALTH_DOWN));
	assert_string_equal(picture(fleet, 0), "--D");
	assert_int_equal(health_word_state(fleet_word(fleet, &fleet->hosts[0])),
	                 HEALTH_STATE_DOWN);
	assert_int_equal(health_word_state(fleet_word(fleet, &fleet->hosts[1])),
	                 HEALTH_STATE_DRAIN);
	fleet_free(fleet);
}

static void a_word_recalled_is_the_word_that_was(void **state)
{
	struct fleet *fleet = fleet_of("p: a");
	uint64_t word = health_word_make(HEALTH_DOWN, HEALTH_AUTO, 0, 0, 256, 7,
	                                 HEALTH_L7TOUT);

	(void) state;
	/* a kill between the word and the detail leaves an old passcount */
	fleet_recall(fleet, &fleet->hosts[0], word, 1);
	assert_int_equal(fleet_word(fleet, &fleet->hosts[0]), word);
	assert_int_equal(fleet->hosts[0].verdict.passcount, 0);
	word = health_word_make(HEALTH_DOWN, HEALTH_AUTO, 0, 0, 256, 0,
	                        HEALTH_L7OK);
	fleet_recall(fleet, &fleet->hosts[0], word, 1);
	assert_int_equal(fleet_word(fleet, &fleet->hosts[0]), word);
	assert_int_equal(fleet->hosts[0].verdict.passcount, 1);
	fleet_free(fleet);
}

static void panic_does_not_hurry_who_was_never_checked(void **state)
{
	struct fleet *fleet = fleet_of("p: a b c");

	(void) state;
	fleet_free(fleet);
	fixture.settings.initial = INITIAL_CHECKING;
	fixture.pools[0].panic_percent = 100;
	fixture.config.references = 2;
	assert_int_equal(fleet_new(&fleet, &fixture.config), 0);
	assert_string_equal(picture(fleet, 0), "---");
	assert_false(judge(fleet, 0, HEALTH_UP));
	assert_string_equal(picture(fleet, 0), "U--");
	assert_true(judge(fleet, 1, HEALTH_DOWN));
	assert_string_equal(picture(fleet, 0), "UD-");
	fleet_free(fleet);
}

/* In the fixture an id's first letter is its port. */
static void the_same_request_to_the_same_address_is_one_target(void **state)
{
	struct fleet *fleet = fleet_of("p: a b; q: a1 c; r: a2 b1");

	(void) state;
	assert_int_equal(fleet->target_count, 3);
	assert_ptr_equal(fleet->hosts[0].target, fleet->hosts[2].target);
	assert_ptr_equal(fleet->hosts[0].target, fleet->hosts[4].target);
	assert_ptr_equal(fleet->hosts[1].target, fleet->hosts[5].target);
	assert_int_equal(fleet->hosts[0].target->host_count, 3);
	assert_int_equal(fleet->hosts[3].target->host_count, 1);
	assert_int_equal(fleet->hosts[4].target->index, 0);
	fleet_free(fleet);
}

static void hosts_without_probes_share_nothing(void **state)
{
	struct fleet *fleet = fleet_of("p: a; q: a1");

	(void) state;
	fleet_free(fleet);
	fixture.settings.check = CHECK_NONE;
	fixture.config.references = 2;
	assert_int_equal(fleet_new(&fleet, &fixture.config), 0);
	assert_int_equal(fleet->target_count, 2);
	assert_string_equal(picture(fleet, 0), "U");
	fleet_free(fleet);
}

/* What the agent of a host says. */
static bool advise(struct fleet *fleet, uint32_t host, const char *line)
{
	struct pool *pool = &fleet->pools[fleet->hosts[host].pool];
	struct agent_advice advice = { 0 };
	bool news;

	agent_line_parse(&advice, line, strlen(line));
	news = fleet_advise(fleet, &fleet->hosts[host],
	                    agent_state_next(fleet->hosts[host].agent_state,
	                                     &advice));
	pool->panic_told = pool->panic;
	return news;
}

/* Whoever ordered: the state, and whether new requests go there. */
static void agents_and_persons_and_checks(void **state)
{
	static const struct {
		const char *line;
		enum health_admin admin;
		enum health_verdict verdict;
		enum health_state state;
		bool routable;
		double weight; /* of 3 */
	} rows[] = {
		{ "up", HEALTH_AUTO, HEALTH_UP, HEALTH_STATE_UP, true, 3 },
		{ "50%", HEALTH_AUTO, HEALTH_UP, HEALTH_STATE_UP, true, 1.5 },
		{ "1%", HEALTH_AUTO, HEALTH_UP, HEALTH_STATE_UP, true,
		  7 / 256.0 },
		{ "0%", HEALTH_AUTO, HEALTH_UP, HEALTH_STATE_DRAIN, false, 0 },
		{ "drain", HEALTH_AUTO, HEALTH_UP, HEALTH_STATE_DRAIN, false,
		  3 },
		{ "maint", HEALTH_AUTO, HEALTH_UP, HEALTH_STATE_DOWN, false,
		  3 },
		{ "down", HEALTH_AUTO, HEALTH_UP, HEALTH_STATE_DOWN, false, 3 },
		{ "down drain", HEALTH_AUTO, HEALTH_UP, HEALTH_STATE_DRAIN,
		  false, 3 },
		{ "up 50%", HEALTH_AUTO, HEALTH_DOWN, HEALTH_STATE_DOWN, false,
		  1.5 },
		{ "drain", HEALTH_AUTO, HEALTH_DOWN, HEALTH_STATE_DRAIN, false,
		  3 },
		{ "up ready", HEALTH_ADMIN_DOWN, HEALTH_UP, HEALTH_STATE_DOWN,
		  false, 3 },
		{ "up ready", HEALTH_ADMIN_DRAIN, HEALTH_UP,
		  HEALTH_STATE_DRAIN, false, 3 },
		{ "maint", HEALTH_ADMIN_DRAIN, HEALTH_UP, HEALTH_STATE_DRAIN,
		  false, 3 },
		{ "drain", HEALTH_ADMIN_DOWN, HEALTH_UP, HEALTH_STATE_DOWN,
		  false, 3 },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fleet *fleet = fleet_of("p: a");
		uint64_t word;

		fleet_free(fleet);
		fixture.hosts[0].admin = rows[i].admin;
		fixture.hosts[0].weight = 3;
		fixture.config.references = 2;
		assert_int_equal(fleet_new(&fleet, &fixture.config), 0);
		judge(fleet, 0, rows[i].verdict);
		advise(fleet, 0, rows[i].line);
		word = fleet_word(fleet, &fleet->hosts[0]);
		if (health_word_state(word) != rows[i].state ||
		    health_word_routable(word) != rows[i].routable ||
		    health_word_admin(word) != rows[i].admin ||
		    health_word_verdict(word) != rows[i].verdict ||
		    health_word_weight(word) !=
		            (uint32_t) (rows[i].weight * HEALTH_WEIGHT_UNIT))
			fail_msg("row %zu, \"%s\": %s, weight %u", i,
			         rows[i].line,
			         health_state_name(health_word_state(word)),
			         health_word_weight(word));
		fleet_free(fleet);
	}
}

static void the_greatest_weight_fits(void **state)
{
	struct fleet *fleet = fleet_of("p: a");

	(void) state;
	fleet->hosts[0].weight = HEALTH_MAX_WEIGHT;
	assert_int_equal(health_word_weight(fleet_word(fleet, fleet->hosts)),
	                 HEALTH_MAX_WEIGHT * HEALTH_WEIGHT_UNIT);
	advise(fleet, 0, "99%");
	assert_int_equal(health_word_weight(fleet_word(fleet, fleet->hosts)),
	                 HEALTH_MAX_WEIGHT * HEALTH_WEIGHT_UNIT / 100 * 99 +
	                         HEALTH_MAX_WEIGHT * HEALTH_WEIGHT_UNIT % 100 *
	                                 99 / 100);
	fleet_free(fleet);
}

static void panic_ignores_an_agents_down_but_not_its_orders(void **state)
{
	struct fleet *fleet = fleet_of("p: a b c d");

	(void) state;
	fixture.pools[0].panic_percent = 50;
	assert_false(advise(fleet, 0, "drain"));
	assert_false(advise(fleet, 1, "maint"));
	assert_string_equal(picture(fleet, 0), "--??");
	assert_int_equal(fleet->pools[0].eligible, 2);
	assert_false(advise(fleet, 2, "down"));
	assert_string_equal(picture(fleet, 0), "---?");
	assert_true(judge(fleet, 3, HEALTH_DOWN));
	assert_string_equal(picture(fleet, 0), "--?D");
	assert_true(advise(fleet, 2, "up"));
	assert_string_equal(picture(fleet, 0), "--?d");
	assert_false(advise(fleet, 0, "ready"));
	assert_string_equal(picture(fleet, 0), "?-?d");
	assert_int_equal(health_pool_word_routable(fleet_pool_word(fleet, 0)), 2);
	fleet_free(fleet);
}

static void the_same_question_to_the_same_agent_is_one(void **state)
{
	static struct settings own, elsewhere, often;
	struct fleet *fleet = fleet_of("p: a b c d; q: a1 e; r: b1 f");

	(void) state;
	fleet_free(fleet);
	fixture.settings.check = CHECK_NONE;
	/* at the host itself, ... */
	own = fixture.settings;
	own.agent = (struct config_agent) { .kind = AGENT_TCP, .port = 9 };
	/* ... which is the same place for all hosts of the fixture */
	elsewhere = own;
	elsewhere.agent.port = 0;
	elsewhere.agent.address = *fixture.hosts[0].address;
	often = own;
	often.agent_interval_ms = 10;
	for (uint32_t i = 0; i < 4; i++)
		fixture.hosts[i].settings = &own;
	fixture.hosts[4].settings = fixture.hosts[5].settings = &elsewhere;
	fixture.hosts[6].settings = &often;
	fixture.config.references = 2;
	assert_int_equal(fleet_new(&fleet, &fixture.config), 0);
	assert_int_equal(fleet->agent_count, 3);
	assert_ptr_equal(fleet->hosts[0].agent, fleet->hosts[3].agent);
	assert_int_equal(fleet->hosts[0].agent->index, 0);
	assert_int_equal(address_port(&fleet->hosts[0].agent->address), 9);
	assert_ptr_equal(fleet->hosts[4].agent, fleet->hosts[5].agent);
	assert_int_equal(address_port(&fleet->hosts[4].agent->address),
	                 address_port(fixture.hosts[0].address));
	assert_ptr_not_equal(fleet->hosts[6].agent, fleet->hosts[0].agent);
	assert_null(fleet->hosts[7].agent);
	fleet_free(fleet);
}

static void pools_go_on_counting_by_name(void **state)
{
	struct fixture_config before;
	struct fleet *old, *fleet = fleet_of("new: a; q: b; p: c");

	(void) state;
	fixture_config(&before, "p: a; gone: x; q: a b")->references = 2;
	assert_int_equal(fleet_new(&old, &before.config), 0);
	for (uint32_t i = 0; i < old->pool_count; i++)
		counts_probe(&old->pools[i].counts, HEALTH_L7OK, 1000 + i);
	fleet_inherit_counts(fleet, old);
	fleet_free(old);
	assert_int_equal(fleet->pools[0].counts.outcomes[HEALTH_L7OK], 0);
	assert_int_equal(fleet->pools[1].counts.durations.sum_us, 1002);
	assert_int_equal(fleet->pools[2].counts.durations.sum_us, 1000);
	fleet_free(fleet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_fleet_trusts_its_hosts),
		cmocka_unit_test(who_is_checked_first_waits_for_a_pass),
		cmocka_unit_test(panic_begins_below_the_share_and_ends_at_it),
		cmocka_unit_test(
		        panic_counts_and_frees_nobody_whom_a_person_took_out),
		cmocka_unit_test(a_word_recalled_is_the_word_that_was),
		cmocka_unit_test(panic_does_not_hurry_who_was_never_checked),
		cmocka_unit_test(
		        the_same_request_to_the_same_address_is_one_target),
		cmocka_unit_test(hosts_without_probes_share_nothing),
		cmocka_unit_test(agents_and_persons_and_checks),
		cmocka_unit_test(the_greatest_weight_fits),
		cmocka_unit_test(
		        panic_ignores_an_agents_down_but_not_its_orders),
		cmocka_unit_test(the_same_question_to_the_same_agent_is_one),
		cmocka_unit_test(pools_go_on_counting_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
