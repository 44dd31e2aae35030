/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pick_cost METHOD HOSTS PICKS: what pick_cost.py counts instructions of.
 *
 * Every request asks whether the host is usable, uses it, and is done when
 * IN_FLIGHT others have come.  Weights are 1 to 10.  METHOD is a number of
 * enum health_balance, or `stock`: the loop of nginx's round robin, with the
 * same fields in the same order, as ngx_http_upstream_get_peer() of 1.22.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ngx_http_upstream_health_shm_balance.h"

#define IN_FLIGHT 64

typedef ngx_http_upstream_health_shm_balance_t balance_t;

void pick_cost(balance_t *b, ngx_uint_t picks);
void pick_cost_stock(ngx_uint_t hosts, ngx_uint_t picks);

/* what there is of nginx, for a program that ends soon */

ngx_uint_t ngx_pagesize = 4096;

void *ngx_palloc(ngx_pool_t *pool, size_t size)
{
	(void) pool;
	return malloc(size + 1);
}

void *ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
	(void) pool;
	return calloc(1, size + 1);
}

static uint32_t weight_of(ngx_uint_t i)
{
	return i * 7 % 10 + 1;
}

static ngx_uint_t usable(void *data, ngx_uint_t i)
{
	return ((const unsigned char *) data)[i];
}

static unsigned char *flags;

void __attribute__((noinline)) pick_cost(balance_t *b, ngx_uint_t picks)
{
	ngx_uint_t in_flight[IN_FLIGHT];
	ngx_uint_t i, n;
	uint32_t key = 1;

	for (n = 0; n < picks; n++) {
		key = key * 1664525 + 1013904223;
		i = ngx_http_upstream_health_shm_balance_pick(b, key, usable,
		                                              flags);
		ngx_http_upstream_health_shm_balance_use(b, i);
		if (n >= IN_FLIGHT)
			ngx_http_upstream_health_shm_balance_done(
				b, in_flight[n % IN_FLIGHT]);
		in_flight[n % IN_FLIGHT] = i;
	}
}

/* What the loop reads of ngx_http_upstream_rr_peer_t, where it is there. */
struct peer {
	char addresses[56];
	ngx_int_t current_weight, effective_weight, weight;
	ngx_uint_t conns, max_conns, fails;
	time_t accessed, checked;
	ngx_uint_t max_fails;
	time_t fail_timeout;
	ngx_msec_t slow_start, start_time;
	ngx_uint_t down;
	void *session;
	int session_len;
	struct peer *next;
};

static struct peer *get_peer(struct peer *first, uintptr_t *tried, time_t now)
{
	struct peer *peer, *best = NULL;
	ngx_int_t total = 0;
	ngx_uint_t i, n, p = 0;
	uintptr_t m;

	for (peer = first, i = 0; peer; peer = peer->next, i++) {
		n = i / (8 * sizeof(uintptr_t));
		m = (uintptr_t) 1 << i % (8 * sizeof(uintptr_t));
		if (tried[n] & m)
			continue;
		if (peer->down)
			continue;
		if (peer->max_fails && peer->fails >= peer->max_fails &&
		    now - peer->checked <= peer->fail_timeout)
			continue;
		if (peer->max_conns && peer->conns >= peer->max_conns)
			continue;
		peer->current_weight += peer->effective_weight;
		total += peer->effective_weight;
		if (peer->effective_weight < peer->weight)
			peer->effective_weight++;
		if (best == NULL ||
		    peer->current_weight > best->current_weight) {
			best = peer;
			p = i;
		}
	}
	if (best == NULL)
		return NULL;
	n = p / (8 * sizeof(uintptr_t));
	tried[n] |= (uintptr_t) 1 << p % (8 * sizeof(uintptr_t));
	best->current_weight -= total;
	if (now - best->checked > best->fail_timeout)
		best->checked = now;
	return best;
}

void __attribute__((noinline))
pick_cost_stock(ngx_uint_t hosts, ngx_uint_t picks)
{
	struct peer *peers = calloc(hosts, sizeof(*peers));
	ngx_uint_t words = hosts / (8 * sizeof(uintptr_t)) + 1;
	uintptr_t *tried = calloc(words, sizeof(*tried));
	ngx_uint_t i;

	if (peers == NULL || tried == NULL)
		exit(1);
	for (i = 0; i < hosts; i++) {
		peers[i].weight = weight_of(i);
		peers[i].effective_weight = weight_of(i);
		peers[i].max_fails = 1;
		peers[i].fail_timeout = 10;
		peers[i].next = i + 1 < hosts ? &peers[i + 1] : NULL;
	}
	while (picks--) {
		memset(tried, 0, words * sizeof(*tried));
		get_peer(peers, tried, 100);
	}
	free(tried);
	free(peers);
}

int main(int argc, char **argv)
{
	ngx_uint_t hosts, picks, work, i;
	uint32_t *weights, *configured;
	ngx_str_t *names;
	balance_t *b;

	if (argc != 4)
		return 2;
	hosts = strtoul(argv[2], NULL, 10);
	picks = strtoul(argv[3], NULL, 10);
	if (strcmp(argv[1], "stock") == 0) {
		pick_cost_stock(hosts, picks);
		return 0;
	}

	weights = calloc(hosts, sizeof(*weights));
	configured = calloc(hosts, sizeof(*configured));
	names = calloc(hosts, sizeof(*names));
	flags = malloc(hosts);
	if (!weights || !configured || !names || !flags)
		return 1;
	memset(flags, 1, hosts);
	for (i = 0; i < hosts; i++) {
		configured[i] = weight_of(i);
		weights[i] = configured[i] * HEALTH_WEIGHT_UNIT;
		names[i].data = malloc(32);
		if (names[i].data == NULL)
			return 1;
		names[i].len = (size_t) snprintf(
			(char *) names[i].data, 32, "10.0.%d.%d:80",
			(int) (i / 256), (int) (i % 256));
	}
	b = ngx_http_upstream_health_shm_balance_create(
		NULL, strtoul(argv[1], NULL, 10), hosts, names, weights,
		configured, 1);
	work = (ngx_uint_t) -1;
	if (b == NULL ||
	    ngx_http_upstream_health_shm_balance_prepare(b, &work) != NGX_OK)
		return 1;
	pick_cost(b, picks);
	return 0;
}
