/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The balance methods against naive models, without nginx: its allocator is
 * the list of blocks below.
 */
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ngx_http_upstream_health_shm_balance.h"

#define NONE    NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE
#define UNIT    HEALTH_WEIGHT_UNIT
#define MANY    65536
#define LARGEST (HEALTH_MAX_WEIGHT * UNIT)

typedef ngx_http_upstream_health_shm_balance_t balance_t;

#define pick  ngx_http_upstream_health_shm_balance_pick
#define weigh ngx_http_upstream_health_shm_balance_weigh
#define many  ngx_http_upstream_health_shm_balance_many
#define use   ngx_http_upstream_health_shm_balance_use
#define done  ngx_http_upstream_health_shm_balance_done

/* --- nginx's allocator -------------------------------------------------- */

struct block {
	struct block *next;
	max_align_t data[];
};

static struct block *blocks;
static int blocks_left = -1; /* allocations until the next fails; -1: never */

ngx_uint_t ngx_pagesize = 4096;

void *ngx_palloc(ngx_pool_t *pool, size_t size);
void *ngx_pcalloc(ngx_pool_t *pool, size_t size);

void *ngx_palloc(ngx_pool_t *pool, size_t size)
{
	struct block *block;

	(void) pool;
	if (blocks_left == 0)
		return NULL;
	blocks_left -= blocks_left > 0;
	block = malloc(sizeof(*block) + size);
	assert_non_null(block);
	memset(block->data, 0xa5, size);
	block->next = blocks;
	blocks = block;
	return block->data;
}

void *ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
	void *data = ngx_palloc(pool, size);

	return data ? memset(data, 0, size) : NULL;
}

static void release(void)
{
	while (blocks) {
		struct block *block = blocks;

		blocks = block->next;
		free(block);
	}
}

/* --- tiers -------------------------------------------------------------- */

static ngx_str_t names[MANY];
static char name_text[MANY][16];
static uint32_t weights[MANY], configured[MANY];
static uint8_t refuses[MANY]; /* asked through `usable` */
static uint32_t asked[MANY];  /* in which pick it was asked last */
static uint32_t pick_number;

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
	random_state =
		random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t) (random_state >> 33) % limit;
}

static int setup(void **state)
{
	uint32_t i;

	(void) state;
	random_state = 1;
	for (i = 0; i < MANY; i++) {
		snprintf(name_text[i], sizeof(name_text[i]), "host-%u", i);
		names[i].data = (u_char *) name_text[i];
		names[i].len = strlen(name_text[i]);
		configured[i] = 1;
		weights[i] = UNIT;
		refuses[i] = 0;
		asked[i] = 0;
	}
	pick_number = 0;
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	release();
	blocks_left = -1;
	return 0;
}

static balance_t *create_from(ngx_uint_t method, ngx_uint_t n, uint32_t seed)
{
	balance_t *b = ngx_http_upstream_health_shm_balance_create(
		NULL, method, n, names, weights, configured, seed);
	ngx_uint_t work;

	assert_non_null(b);
	do
		work = 1 + seed % 1000;
	while (ngx_http_upstream_health_shm_balance_prepare(b, &work) !=
	       NGX_OK);
	return b;
}

static void configure(ngx_uint_t i, uint32_t weight)
{
	configured[i] = weight;
	weights[i] = weight * UNIT;
}

static ngx_uint_t usable(void *data, ngx_uint_t i)
{
	assert_ptr_equal(data, refuses);
	assert_int_not_equal(asked[i], pick_number);
	asked[i] = pick_number;
	return !refuses[i];
}

static ngx_uint_t ask(balance_t *b, uint32_t key)
{
	pick_number++;
	return pick(b, key, usable, refuses);
}

/* --- round robin -------------------------------------------------------- */

/* In any `total` picks that follow each other, and in any first picks, each
 * host has had its share to within one; more or less by where in its turn it
 * began for the first. */
static void assert_exact(ngx_uint_t n, uint32_t seed, uint32_t picks)
{
	uint32_t *count = calloc(n, sizeof(*count));
	uint32_t *window = calloc(n, sizeof(*window));
	uint32_t *order = calloc(picks, sizeof(*order));
	uint32_t total = 0, unit = UNIT, t;
	balance_t *b;
	ngx_uint_t i;

	assert_true(count && window && order);
	for (i = 0; i < n; i++) {
		total += weights[i];
		while (weights[i] % unit)
			unit /= 2;
	}
	total /= unit;

	b = create_from(HEALTH_ROUND_ROBIN, n, seed);
	for (t = 0; t < picks; t++) {
		i = pick(b, 0, NULL, NULL);
		assert_true(i < n);
		order[t] = (uint32_t) i;
		count[i]++;
		window[i]++;
		assert_true(fabs(count[i] -
		                 (t + 1.0) * weights[i] / unit / total) < 2);
		if (t + 1 < total)
			continue;
		if (t >= total) {
			window[order[t - total]]--;
			assert_in_range(window[i] + 1, weights[i] / unit,
			                weights[i] / unit + 2);
			i = order[t - total];
			assert_in_range(window[i] + 1, weights[i] / unit,
			                weights[i] / unit + 2);
			continue;
		}
		for (i = 0; i < n; i++)
			assert_in_range(window[i] + 1, weights[i] / unit,
			                weights[i] / unit + 2);
	}
	free(order);
	free(window);
	free(count);
}

static void turns_are_exact(void **state)
{
	uint32_t i;

	(void) state;
	for (i = 0; i < 100; i++)
		configure(i, i + 1);
	assert_exact(100, 0, 100000);
	for (i = 0; i < 100; i++)
		configure(i, (i * 37 + 11) % 100 + 1);
	assert_exact(100, 7, 100000);
	for (i = 0; i < 1000; i++)
		configure(i, 1);
	assert_exact(1000, 3, 20000);
	configure(0, 1);
	configure(1, 65535);
	assert_exact(2, 1, 200000);
	assert_exact(2, 2, 200000);
	configure(1, 5);
	configure(2, 7);
	assert_exact(3, 4, 1000);
	assert_exact(1, 5, 10);
}

/* Weights that are no whole units: 100.5 of one against 3 of 1/256 unit. */
static void turns_of_broken_weights_are_exact(void **state)
{
	(void) state;
	weights[0] = 100 * UNIT + 128;
	weights[1] = 3;
	weights[2] = 1;
	weights[3] = 7919;
	assert_exact(4, 1, 150000);
}

/* Hosts of one weight follow each other, and every worker begins elsewhere. */
static void turns_begin_at_different_hosts(void **state)
{
	uint32_t starts = 0, seed, t;
	uint8_t begun[16] = { 0 };

	(void) state;
	for (seed = 0; seed < 64; seed++) {
		balance_t *b = create_from(HEALTH_ROUND_ROBIN, 16, seed);
		ngx_uint_t first = pick(b, 0, NULL, NULL);

		starts += begun[first] == 0;
		begun[first] = 1;
		for (t = 1; t < 40; t++)
			assert_int_equal(pick(b, 0, NULL, NULL),
			                 (first + t) % 16);
	}
	assert_in_range(starts, 12, 16);
}

/* A host that refuses for long is not owed what it refused, and the others
 * share by weight, whoever is the heavy one. */
static void refused_turns_go_by(void **state)
{
	static const uint32_t tier[] = { 65535, 1, 2, 1, 40 };
	uint32_t heavy, t, count[5];
	balance_t *b;

	(void) state;
	for (heavy = 0; heavy < 5; heavy++)
		configure(heavy, tier[heavy]);
	b = create_from(HEALTH_ROUND_ROBIN, 5, 1);
	refuses[0] = 1;
	memset(count, 0, sizeof(count));
	for (t = 0; t < 44 * 1000; t++)
		count[ask(b, 0)]++;
	assert_int_equal(count[0], 0);
	assert_in_range(count[1], 999, 1001);
	assert_in_range(count[2], 1999, 2001);
	assert_in_range(count[3], 999, 1001);
	assert_in_range(count[4], 39998, 40002);

	refuses[0] = 0;
	refuses[4] = 1;
	memset(count, 0, sizeof(count));
	for (t = 0; t < 65539; t++)
		count[ask(b, 0)]++;
	assert_in_range(count[0], 65532, 65538);
	assert_int_equal(count[4], 0);

	/* back: no burst of what was missed */
	refuses[4] = 0;
	memset(count, 0, sizeof(count));
	for (t = 0; t < 65579; t++)
		count[ask(b, 0)]++;
	assert_in_range(count[4], 38, 42);
	assert_in_range(count[1], 0, 2);
}

/* Seven of eight refuse, others all the time, and then none: turns are as
 * exact as if nothing had been. */
static void turns_are_exact_after_refusals(void **state)
{
	enum { N = 200, HEAVY = 100, SHARES = HEAVY + N - 1 };
	uint32_t count[N] = { 0 }, t, i;
	balance_t *b;

	(void) state;
	configure(0, HEAVY);
	b = create_from(HEALTH_ROUND_ROBIN, N, 1);
	for (t = 0; t < 300 * SHARES; t++) {
		for (i = 0; i < N && t % 4 == 0; i++)
			refuses[i] = random_below(8) != 0;
		if (ask(b, 0) == NONE)
			t--;
	}

	memset(refuses, 0, sizeof(refuses));
	for (t = 0; t < 2 * SHARES; t++)
		ask(b, 0);
	for (t = 0; t < 10 * SHARES; t++) {
		count[ask(b, 0)]++;
		for (i = 0; i < N; i++)
			assert_true(fabs(count[i] - (t + 1.0) * configured[i] /
			                                    SHARES) < 2);
	}
}

/* While they refuse, the others share by weight. */
static void refused_requests_are_shared(void **state)
{
	enum { N = 200, SHARES = N * 11 / 2 };
	uint32_t count[N] = { 0 }, t, i;
	balance_t *b;

	(void) state;
	for (i = 0; i < N; i++)
		configure(i, i % 10 + 1);
	b = create_from(HEALTH_ROUND_ROBIN, N, 1);
	for (t = 0; t < 300 * SHARES; t++) {
		for (i = 0; i < N && t % 8 == 0; i++)
			refuses[i] = random_below(8) != 0;
		i = (uint32_t) ask(b, 0);
		assert_true(i < N);
		count[i]++;
	}
	for (i = 0; i < N; i++)
		assert_in_range(count[i], 200 * (i % 10 + 1),
		                400 * (i % 10 + 1));
}

/* After each change of a weight, from one extreme to the other, into the tier
 * and out of it: nobody is owed much. */
static void weights_change_without_burst(void **state)
{
	enum { N = 20 };
	static const uint32_t tiers[][2] = { { 1, 65535 }, { 65535, 1 },
		                             { 0, 3 },     { 5, 0 },
		                             { 7, 7 },     { 1, 1 } };
	double share[N], count[N];
	uint32_t step, t, i, j;
	balance_t *b;

	(void) state;
	b = create_from(HEALTH_ROUND_ROBIN, N, 9);
	for (step = 0; step < 2000; step++) {
		uint64_t total = 0;

		i = random_below(N);
		j = random_below(sizeof(tiers) / sizeof(tiers[0]));
		weights[i] = tiers[j][step % 2] * UNIT;
		weigh(b, i, weights[i]);
		for (i = 0; i < N; i++) {
			total += weights[i];
			count[i] = 0;
		}
		for (t = 0; t < 300 && total; t++) {
			i = (uint32_t) pick(b, 0, NULL, NULL);
			assert_true(i < N);
			count[i]++;
		}
		for (i = 0; i < N && total; i++) {
			share[i] = 300.0 * weights[i] / total;
			assert_true(count[i] > share[i] - 3.5);
			assert_true(count[i] < share[i] + 3.5);
		}
	}
}

/* A slow start in many small steps, a host that goes out and in all the time:
 * both get what their weights come to. */
static void changes_keep_what_is_owed(void **state)
{
	double due[3] = { 0, 0, 0 };
	uint32_t count[3] = { 0, 0, 0 };
	uint32_t t, i;
	balance_t *b;

	(void) state;
	configure(2, 20);
	b = create_from(HEALTH_ROUND_ROBIN, 3, 2);
	for (t = 0; t < 40000; t++) {
		if (t % 5 == 0)
			weigh(b, 0, weights[0] = t / 5 % 2560 + 1);
		if (t % 7 == 0)
			weigh(b, 1, weights[1] = weights[1] ? 0 : UNIT);
		for (i = 0; i < 3; i++)
			due[i] += (double) weights[i] /
			          (weights[0] + weights[1] + weights[2]);
		count[pick(b, 0, NULL, NULL)]++;
	}
	for (i = 0; i < 3; i++) {
		assert_true(count[i] > due[i] * 0.98 - 2);
		assert_true(count[i] < due[i] * 1.02 + 2);
	}
}

/* --- least connections -------------------------------------------------- */

static void least_conn_is_least(void **state)
{
	enum { N = 50, FLIGHT = 400 };
	static ngx_uint_t flight[FLIGHT];
	uint32_t conns[N] = { 0 }, n = 0, t, j;
	ngx_uint_t i;
	balance_t *b;

	(void) state;
	for (i = 0; i < N; i++)
		configure(i, random_below(100) + 1);
	b = create_from(HEALTH_LEAST_CONN, N, 1);
	for (t = 0; t < 50000; t++) {
		i = random_below(N);
		switch (random_below(8)) {
		case 0:
			weights[i] =
				random_below(4) ? random_below(100 * UNIT) : 0;
			weigh(b, i, weights[i]);
			break;
		case 1:
			refuses[i] = random_below(4) != 0;
			break;
		default:
			break;
		}
		if (n == FLIGHT || (n && random_below(2))) {
			j = random_below(n);
			done(b, flight[j]);
			conns[flight[j]]--;
			flight[j] = flight[--n];
			continue;
		}
		i = ask(b, 0);
		for (j = 0; j < N; j++) {
			if (weights[j] == 0 || refuses[j])
				continue;
			assert_int_not_equal(i, NONE);
			assert_true((uint64_t) conns[i] * weights[j] <=
			            (uint64_t) conns[j] * weights[i]);
		}
		if (i == NONE)
			continue;
		assert_true(weights[i] && !refuses[i]);
		use(b, i);
		conns[i]++;
		flight[n++] = i;
	}
}

static void least_conn_breaks_ties_by_turns(void **state)
{
	uint32_t count[3] = { 0, 0, 0 };
	uint32_t t;
	balance_t *b;

	(void) state;
	configure(1, 3);
	configure(2, 6);
	b = create_from(HEALTH_LEAST_CONN, 3, 1);

	/* one has a long request: the others take turns; it is owed nothing */
	use(b, 2);
	for (t = 0; t < 100000; t++)
		assert_int_not_equal(pick(b, 0, NULL, NULL), 2);
	done(b, 2);
	for (t = 0; t < 1000; t++) {
		ngx_uint_t i = pick(b, 0, NULL, NULL);

		use(b, i);
		done(b, i);
		count[i]++;
	}
	assert_in_range(count[0], 98, 102);
	assert_in_range(count[1], 298, 302);
	assert_in_range(count[2], 598, 602);
}

/* --- random ------------------------------------------------------------- */

static void random_goes_by_weight(void **state)
{
	uint32_t count[10] = { 0 }, t, i;
	balance_t *b;

	(void) state;
	for (i = 0; i < 10; i++)
		configure(i, i + 1);
	b = create_from(HEALTH_RANDOM, 10, 1);
	for (t = 0; t < 55000; t++)
		count[pick(b, 0, NULL, NULL)]++;
	for (i = 0; i < 10; i++)
		assert_in_range(count[i], 1000 * (i + 1) - 250,
		                1000 * (i + 1) + 250);
}

/* Of two hosts, both are drawn, and the one with less to do gets it. */
static void random_prefers_the_idle(void **state)
{
	uint32_t t;
	balance_t *b;

	(void) state;
	configure(0, 10);
	b = create_from(HEALTH_RANDOM, 2, 1);
	for (t = 0; t < 10; t++)
		use(b, 0);
	for (t = 0; t < 1000; t++)
		assert_int_equal(pick(b, 0, NULL, NULL), 1);
	use(b, 1);
	use(b, 1);
	for (t = 0; t < 1000; t++)
		assert_int_equal(pick(b, 0, NULL, NULL), 0);
}

static void workers_draw_differently(void **state)
{
	balance_t *one = create_from(HEALTH_RANDOM, 1000, 1);
	balance_t *two = create_from(HEALTH_RANDOM, 1000, 5);
	ngx_uint_t first[100], second[100];
	uint32_t t, shift, same = 0;

	(void) state;
	for (t = 0; t < 100; t++) {
		first[t] = pick(one, 0, NULL, NULL);
		second[t] = pick(two, 0, NULL, NULL);
	}
	for (shift = 0; shift < 5; shift++)
		for (t = shift; t < 100; t++)
			same += first[t] == second[t - shift];
	assert_in_range(same, 0, 10);
}

/* --- hash --------------------------------------------------------------- */

enum { KEYS = 20000 };
static uint32_t before[KEYS], after[KEYS];

static uint32_t key_of(uint32_t k)
{
	return k * 2654435761u;
}

static void map(balance_t *b, uint32_t *to)
{
	uint32_t k;

	for (k = 0; k < KEYS; k++)
		to[k] = (uint32_t) ask(b, key_of(k));
}

static void random_weights(uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		configure(i, random_below(100) + 1);
}

/* Each of 100 hosts out and in again: its keys move, to many others, and
 * come back; whether it is weighed 0 or refuses makes no difference. */
static void keys_move_while_their_host_is_out(void **state)
{
	balance_t *b;
	uint32_t i, k, to[100], targets, moved;

	(void) state;
	random_weights(100);
	b = create_from(HEALTH_HASH, 100, 1);
	map(b, before);
	for (i = 0; i < 100; i += 9) {
		memset(to, 0, sizeof(to));
		targets = moved = 0;
		weigh(b, i, 0);
		map(b, after);
		for (k = 0; k < KEYS; k++) {
			assert_int_not_equal(after[k], i);
			if (before[k] != i) {
				assert_int_equal(after[k], before[k]);
				continue;
			}
			moved++;
			targets += to[after[k]]++ == 0;
		}
		for (k = 0; k < 100 && moved > 100; k++)
			assert_true(to[k] < moved / 4);
		assert_true(moved < 100 || targets > 25);

		weigh(b, i, weights[i]);
		refuses[i] = 1;
		for (k = 0; k < KEYS; k++)
			assert_int_equal(ask(b, key_of(k)), after[k]);
		refuses[i] = 0;
		map(b, after);
		assert_memory_equal(before, after, sizeof(before));
	}
}

/* Another object without host 30, whose followers move up by one. */
static void keys_move_with_the_host_that_is_removed(void **state)
{
	static uint32_t out[KEYS];
	balance_t *b;
	uint32_t k;

	(void) state;
	random_weights(100);
	b = create_from(HEALTH_HASH, 100, 1);
	map(b, before);
	weigh(b, 30, 0);
	map(b, out);

	memmove(&names[30], &names[31], 69 * sizeof(names[0]));
	memmove(&weights[30], &weights[31], 69 * sizeof(weights[0]));
	memmove(&configured[30], &configured[31], 69 * sizeof(configured[0]));
	b = create_from(HEALTH_HASH, 99, 2);
	map(b, after);
	for (k = 0; k < KEYS; k++) {
		after[k] += after[k] >= 30;
		if (before[k] != 30)
			assert_int_equal(after[k], before[k]);
		/* and those that a down host gave away do not move again */
		assert_int_equal(after[k], out[k]);
	}
}

static void keys_move_to_the_host_that_is_added(void **state)
{
	balance_t *b;
	uint32_t n, k;

	(void) state;
	random_weights(140);
	configure(128, 9999);
	map(create_from(HEALTH_HASH, 120, 1), before);
	for (n = 121; n < 140; n += 3) {
		b = create_from(HEALTH_HASH, n, 1);
		map(b, after);
		for (k = 0; k < KEYS; k++)
			assert_true(after[k] == before[k] || after[k] >= n - 3);
		memcpy(before, after, sizeof(before));
		release();
	}
}

/* Is `count` of KEYS what a host with this share has?  A host has 48 points, a
 * key four probes, which makes for a variance of 1 / (48 * (2 * 4 - 1)); keys
 * that are drawn add their own.  Five standard deviations. */
static void assert_share(uint32_t count, double share)
{
	double due = KEYS * share;

	assert_true(fabs(count - due) <=
	            5 * sqrt(due * due * (1 - share) / (48 * 7) + due) + 1);
}

static void assert_shares(balance_t *b, uint32_t n)
{
	uint32_t *count = calloc(n, sizeof(*count));
	double total = 0;
	uint32_t i;

	assert_non_null(count);
	map(b, after);
	for (i = 0; i < KEYS; i++)
		count[after[i]]++;
	for (i = 0; i < n; i++)
		total += weights[i];
	for (i = 0; i < n; i++)
		assert_share(count[i], weights[i] / total);
	free(count);
}

static void hash_goes_by_weight(void **state)
{
	static const uint32_t tiers[][10] = {
		{ 1, 1, 2, 3, 4, 5, 8, 10, 16, 50 },
		{ 50, 3, 3, 3 },
		{ 300, 3, 3, 3 },
		{ 65535, 1 },
		{ 1, 33, 32, 65, 64, 129 },
		{ 33, 33, 17, 9 },
		{ 65535, 32769, 32768, 1, 1, 2, 3, 600, 600, 16385 },
		{ 9999, 100, 100, 100, 1, 1 },
	};
	uint32_t i, n;

	(void) state;
	for (i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
		for (n = 0; n < 10 && tiers[i][n]; n++)
			configure(n, tiers[i][n]);
		assert_shares(create_from(HEALTH_HASH, n, 1), n);
	}
}

/* Weights of all magnitudes, and effective ones anywhere below. */
static void hash_goes_by_any_weights(void **state)
{
	uint32_t round, n, i;
	balance_t *b;

	(void) state;
	for (round = 0; round < 40; round++) {
		n = 2 + random_below(60);
		for (i = 0; i < n; i++)
			configure(i, 1 + random_below(65535) %
			                             (1u << random_below(17)));
		b = create_from(HEALTH_HASH, n, 1);
		assert_shares(b, n);
		for (i = 0; i < n; i++) {
			if (random_below(2))
				weights[i] =
					1 + random_below(weights[i]) /
						    (1 + random_below(100));
			weigh(b, i, weights[i]);
		}
		assert_shares(b, n);
		release();
	}
}

/* All of one weight begin to come back together: nobody's keys move. */
static void hosts_that_weigh_less_together_keep_their_keys(void **state)
{
	uint32_t i, w;
	balance_t *b;

	(void) state;
	for (i = 0; i < 500; i++)
		configure(i, 100);
	b = create_from(HEALTH_HASH, 500, 1);
	map(b, before);
	for (w = 1; w < 100 * UNIT; w *= 4) {
		for (i = 0; i < 500; i++)
			weigh(b, i, w);
		map(b, after);
		assert_memory_equal(before, after, sizeof(before));
	}
}

/* A slow start: each step takes keys from others and gives none away. */
static void a_lighter_host_has_some_of_its_keys(void **state)
{
	balance_t *b;
	uint32_t count, w, k;
	double total;

	(void) state;
	random_weights(20);
	configure(5, 10);
	b = create_from(HEALTH_HASH, 20, 1);
	map(b, before);

	weigh(b, 5, 0);
	map(b, after);
	for (w = 0; w <= 10 * UNIT; w += UNIT) {
		count = 0;
		weigh(b, 5, w);
		for (k = 0; k < KEYS; k++) {
			uint32_t to = (uint32_t) ask(b, key_of(k));

			assert_true(to == after[k] ||
			            (to == 5 && before[k] == 5));
			after[k] = to;
			count += to == 5;
		}
		weights[5] = w;
		total = 0;
		for (k = 0; k < 20; k++)
			total += weights[k];
		assert_share(count, w / total);
	}
	assert_memory_equal(before, after, sizeof(before));
}

/* Most hosts out, most refusing: what is left has the keys by weight, and
 * the promises hold. */
static void few_hosts_left_have_the_keys(void **state)
{
	uint32_t count[1000], i, k;
	balance_t *b;

	(void) state;
	memset(count, 0, sizeof(count));
	for (i = 0; i < 1000; i++) {
		configure(i, i % 500 == 1 ? 2 : 1);
		if (i % 500 > 1 && i % 2)
			weights[i] = 0;
		refuses[i] = i % 500 > 1;
	}
	b = create_from(HEALTH_HASH, 1000, 1);
	map(b, before);
	for (k = 0; k < KEYS; k++) {
		assert_true(before[k] % 500 < 2);
		count[before[k]]++;
	}
	for (i = 0; i < 1000; i++)
		if (i % 500 < 2)
			assert_in_range(count[i], 2700 * (i % 500 + 1),
			                4000 * (i % 500 + 1));
	refuses[500] = 1;
	map(b, after);
	for (k = 0; k < KEYS; k++)
		assert_true(before[k] == 500 ? after[k] != 500
		                             : after[k] == before[k]);
}

static void equal_names_share(void **state)
{
	uint32_t count[4] = { 0 }, k, i;

	(void) state;
	names[1] = names[2] = names[3] = names[0];
	map(create_from(HEALTH_HASH, 4, 1), before);
	for (k = 0; k < KEYS; k++)
		count[before[k]]++;
	for (i = 0; i < 4; i++)
		assert_in_range(count[i], KEYS / 4 * 3 / 4, KEYS / 4 * 5 / 4);
}

/* --- all of them -------------------------------------------------------- */

static long resident_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
	fclose(file);
	return pages;
}

static void a_large_ring_is_given_back_in_pieces(void **state)
{
	const long piece = (4 << 20) / 4096;
	balance_t *b = create_from(HEALTH_HASH, MANY, 1);
	long pages = resident_pages(), left;
	int count = 0;

	(void) state;
	while (ngx_http_upstream_health_shm_balance_shed(b) == NGX_AGAIN) {
		left = resident_pages();
		assert_in_range(pages - left, piece / 2, piece + piece / 2);
		pages = left;
		count++;
	}
	assert_in_range(count, 6, 10);
	assert_int_equal(ngx_http_upstream_health_shm_balance_shed(b), NGX_OK);
	for (int method = 0; method < HEALTH_BALANCE_COUNT; method++)
		assert_int_equal(ngx_http_upstream_health_shm_balance_shed(
			                 create_from(method, 9, 1)),
		                 NGX_OK);
}

static void nothing_to_pick(void **state)
{
	ngx_uint_t method, i;
	balance_t *b;

	(void) state;
	for (method = 0; method <= HEALTH_BALANCE_COUNT; method++) {
		b = create_from(method, 0, 1);
		assert_int_equal(ask(b, 7), NONE);

		memset(weights, 0, 40 * sizeof(weights[0]));
		b = create_from(method, 40, 1);
		assert_int_equal(ask(b, 7), NONE);
		assert_int_equal(pick(b, 7, NULL, NULL), NONE);

		/* one comes, refuses, goes */
		weigh(b, 39, 1);
		for (i = 0; i < 5; i++)
			assert_int_equal(ask(b, (uint32_t) i), 39);
		refuses[39] = 1;
		assert_int_equal(ask(b, 7), NONE);
		assert_int_equal(pick(b, 7, NULL, NULL), 39);
		weigh(b, 39, 0);
		assert_int_equal(pick(b, 7, NULL, NULL), NONE);
		setup(NULL);

		b = create_from(method, 1, 1);
		for (i = 0; i < 5; i++) {
			assert_int_equal(ask(b, (uint32_t) i), 0);
			use(b, 0);
		}
		release();
	}
}

/* Whoever refuses, and whatever weighs what: one that can be picked is. */
static void whoever_is_usable_is_found(void **state)
{
	enum { N = 60 };
	ngx_uint_t method, i, t, left;
	balance_t *b;

	(void) state;
	for (method = 0; method < HEALTH_BALANCE_COUNT; method++) {
		uint32_t conns[N] = { 0 };

		b = create_from(method, N, 1);
		for (t = 0; t < 20000; t++) {
			i = random_below(N);
			if (random_below(3) == 0) {
				weights[i] = random_below(3) ? 0
				             : random_below(2)
				                     ? LARGEST
				                     : random_below(512);
				weigh(b, i, weights[i]);
			}
			i = random_below(N);
			refuses[i] = random_below(20) != 0;
			left = 0;
			for (i = 0; i < N; i++)
				left += weights[i] && !refuses[i];
			i = ask(b, random_below(1000));
			assert_int_equal(i != NONE, left != 0);
			if (i == NONE)
				continue;
			assert_true(weights[i] && !refuses[i]);
			use(b, i);
			conns[i]++;
			i = random_below(N);
			if (conns[i]) {
				done(b, i);
				conns[i]--;
			}
		}
		setup(NULL);
		release();
	}
}

static void as_many_hosts_as_there_can_be(void **state)
{
	ngx_uint_t method, i, t;
	balance_t *b;

	(void) state;
	for (method = 0; method < HEALTH_BALANCE_COUNT; method++) {
		for (i = 0; i < MANY; i++)
			configure(i, i % 3 ? 65535 : i % 2 * 9999);
		b = create_from(method, MANY, (uint32_t) method);
		for (t = 0; t < 20000; t++) {
			i = ask(b, (uint32_t) t);
			assert_true(i < MANY && weights[i]);
			use(b, i);
		}
		/* all but one refuse, then all of them */
		memset(refuses, 1, sizeof(refuses));
		refuses[4711] = 0;
		for (t = 0; t < 3; t++)
			assert_int_equal(ask(b, (uint32_t) t), 4711);
		refuses[4711] = 1;
		assert_int_equal(ask(b, 1), NONE);

		/* all but one out */
		memset(refuses, 0, sizeof(refuses));
		for (i = 1; i < MANY; i++)
			weigh(b, i, 0);
		weigh(b, 0, 1);
		for (t = 0; t < 3; t++)
			assert_int_equal(ask(b, (uint32_t) t), 0);
		release();
	}
}

static void no_memory(void **state)
{
	ngx_uint_t method;
	int left;

	(void) state;
	for (method = 0; method < HEALTH_BALANCE_COUNT; method++) {
		for (left = 0; left < 20; left++) {
			blocks_left = left;
			if (ngx_http_upstream_health_shm_balance_create(
				    NULL, method, 10, names, weights,
				    configured, 1))
				break;
		}
		assert_in_range(left, 3, 10);
		blocks_left = -1;
	}
}

/* --- many weights at once ----------------------------------------------- */

static uint32_t halve(uint32_t i)
{
	return weights[i] / 2 + 1;
}

static uint32_t none(uint32_t i)
{
	(void) i;
	return 0;
}

static uint32_t some(uint32_t i)
{
	return i % 3 ? 0 : (i % 10 + 1) * UNIT;
}

static uint32_t twice(uint32_t i)
{
	return i % 2 ? weights[i] * 2 : UNIT;
}

/* All weigh half, all go down, some come back, others weigh something else: told one by one or
 * together, it comes to the same picks. */
static void weights_together_are_as_one_by_one(void **state)
{
	enum { N = 300 };
	static uint32_t (*const changes[])(uint32_t) = { halve, none, some,
		                                         twice };
	balance_t *one, *two;
	uint32_t method, c, t, i;
	ngx_uint_t host;

	(void) state;
	for (method = 0; method < HEALTH_BALANCE_COUNT; method++) {
		random_weights(N);
		one = create_from(method, N, 5);
		two = create_from(method, N, 5);
		for (c = 0; c < sizeof(changes) / sizeof(changes[0]); c++) {
			many(two, 1);
			for (i = 0; i < N; i++) {
				weights[i] = changes[c](i);
				weigh(one, i, weights[i]);
				weigh(two, i, weights[i]);
			}
			many(two, 0);
			for (t = 0; t < 1000; t++) {
				host = pick(one, t, NULL, NULL);
				assert_int_equal(host,
				                 pick(two, t, NULL, NULL));
				if (host == NONE)
					break;
				use(one, host);
				use(two, host);
			}
		}
		release();
	}
}

#define story(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(turns_are_exact),
		story(turns_of_broken_weights_are_exact),
		story(turns_begin_at_different_hosts),
		story(refused_turns_go_by),
		story(turns_are_exact_after_refusals),
		story(refused_requests_are_shared),
		story(weights_change_without_burst),
		story(changes_keep_what_is_owed),
		story(least_conn_is_least),
		story(least_conn_breaks_ties_by_turns),
		story(random_goes_by_weight),
		story(random_prefers_the_idle),
		story(workers_draw_differently),
		story(keys_move_while_their_host_is_out),
		story(keys_move_with_the_host_that_is_removed),
		story(keys_move_to_the_host_that_is_added),
		story(hash_goes_by_weight),
		story(hash_goes_by_any_weights),
		story(hosts_that_weigh_less_together_keep_their_keys),
		story(a_lighter_host_has_some_of_its_keys),
		story(few_hosts_left_have_the_keys),
		story(equal_names_share),
		story(weights_together_are_as_one_by_one),
		story(a_large_ring_is_given_back_in_pieces),
		story(nothing_to_pick),
		story(whoever_is_usable_is_found),
		story(as_many_hosts_as_there_can_be),
		story(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
