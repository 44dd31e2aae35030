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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
