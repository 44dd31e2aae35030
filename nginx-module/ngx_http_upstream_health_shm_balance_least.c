/* SPDX-License-Identifier: BSD-2-Clause
 *
 * least_conn: the host with the fewest connections for its weight; among
 * equals, weighted round robin.
 *
 * A knockout tree: each node names the better of its two, the root the best
 * of all.  A change of one host is played up to the root, log2(n) matches.
 *
 * Equals are told apart by a clock as round robin has one, but rounded: a
 * pick moves the host on by 1/weight, and the clock to where it was.  A host
 * that was busy finds the clock ahead and goes on from there: what it did not
 * get then it is not owed now.
 */


#include "ngx_http_upstream_health_shm_balance_method.h"


/* what a pick moves the host of weight 1 */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_STEP  ((uint64_t) 1 << 36)


typedef struct {
    uint64_t    tag;          /* where its next turn begins, wraps around */
    uint32_t    conns;
    uint32_t    weight;       /* of a host aside: 0 */
} ngx_http_upstream_health_shm_least_host_t;


typedef struct {
    ngx_http_upstream_health_shm_balance_t      balance;
    uint64_t                                    clock;
    uint32_t                                    n;
    uint32_t                                    leaves;  /* a power of two */
    uint32_t                                   *tree;    /* 1: the root */
    ngx_http_upstream_health_shm_least_host_t  *hosts;   /* leaves of them */
    unsigned                                    loose:1; /* nothing is played */

    /* while it is prepared */
    uint64_t                                    before;  /* weights */
} ngx_http_upstream_health_shm_least_t;


static ngx_http_upstream_health_shm_balance_t *
    ngx_http_upstream_health_shm_least_create(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_plan_t *plan);
static ngx_uint_t ngx_http_upstream_health_shm_least_leaves(
    ngx_http_upstream_health_shm_balance_t *b);
static void ngx_http_upstream_health_shm_least_seat(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to);
static ngx_uint_t ngx_http_upstream_health_shm_least_nodes(
    ngx_http_upstream_health_shm_balance_t *b);
static void ngx_http_upstream_health_shm_least_play_all(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to);
static void ngx_http_upstream_health_shm_least_many(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t more);
static void ngx_http_upstream_health_shm_least_weigh(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i, uint32_t weight);
static ngx_uint_t ngx_http_upstream_health_shm_least_pick(
    ngx_http_upstream_health_shm_balance_t *b, uint32_t key,
    ngx_http_upstream_health_shm_usable_pt usable, void *data);
static ngx_uint_t ngx_http_upstream_health_shm_least_scan(
    ngx_http_upstream_health_shm_least_t *l,
    ngx_http_upstream_health_shm_usable_pt usable, void *data);
static void ngx_http_upstream_health_shm_least_use(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i);
static void ngx_http_upstream_health_shm_least_done(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i);
static void ngx_http_upstream_health_shm_least_play(
    ngx_http_upstream_health_shm_least_t *l, ngx_uint_t i);


static ngx_http_upstream_health_shm_step_t
    ngx_http_upstream_health_shm_least_steps[] =
{
    { ngx_http_upstream_health_shm_least_leaves,
      ngx_http_upstream_health_shm_least_seat },
    { ngx_http_upstream_health_shm_least_nodes,
      ngx_http_upstream_health_shm_least_play_all },
    { NULL, NULL }
};


ngx_http_upstream_health_shm_method_t
    ngx_http_upstream_health_shm_least_method =
{
    ngx_http_upstream_health_shm_least_create,
    ngx_http_upstream_health_shm_least_steps,
    ngx_http_upstream_health_shm_least_weigh,
    ngx_http_upstream_health_shm_least_many,
    ngx_http_upstream_health_shm_least_pick,
    ngx_http_upstream_health_shm_least_use,
    ngx_http_upstream_health_shm_least_done,
    NULL
};


static ngx_inline ngx_uint_t
ngx_http_upstream_health_shm_least_better(
    ngx_http_upstream_health_shm_least_t *l, uint32_t one, uint32_t two)
{
    uint64_t                                    first, second;
    ngx_http_upstream_health_shm_least_host_t  *a, *b;

    a = &l->hosts[one];
    b = &l->hosts[two];

    if (a->weight == 0 || b->weight == 0) {
        return a->weight != 0;
    }

    first = (uint64_t) a->conns * b->weight;
    second = (uint64_t) b->conns * a->weight;

    if (first != second) {
        return first < second;
    }

    if (a->tag != b->tag) {
        return (int64_t) (a->tag - b->tag) < 0;
    }

    return one < two;
}


static ngx_inline void
ngx_http_upstream_health_shm_least_match(
    ngx_http_upstream_health_shm_least_t *l, ngx_uint_t node)
{
    uint32_t  one, two;

    one = l->tree[2 * node];
    two = l->tree[2 * node + 1];
    l->tree[node] = ngx_http_upstream_health_shm_least_better(l, one, two)
                    ? one : two;
}


/* ahead of the clock by one turn at most, else it is behind */

static ngx_inline void
ngx_http_upstream_health_shm_least_catch_up(
    ngx_http_upstream_health_shm_least_t *l, ngx_uint_t i)
{
    if (l->hosts[i].tag - l->clock > NGX_HTTP_UPSTREAM_HEALTH_SHM_STEP) {
        l->hosts[i].tag = l->clock;
    }
}


static ngx_http_upstream_health_shm_balance_t *
ngx_http_upstream_health_shm_least_create(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_plan_t *plan)
{
    ngx_http_upstream_health_shm_least_t  *l;

    l = ngx_pcalloc(pool, sizeof(ngx_http_upstream_health_shm_least_t));
    if (l == NULL) {
        return NULL;
    }

    l->n = plan->n;
    l->leaves = 1;

    while (l->leaves < plan->n) {
        l->leaves *= 2;
    }

    l->tree = ngx_palloc(pool, 2 * l->leaves * sizeof(uint32_t));
    l->hosts = ngx_palloc(pool, l->leaves
                           * sizeof(ngx_http_upstream_health_shm_least_host_t));

    if (l->tree == NULL || l->hosts == NULL) {
        return NULL;
    }

    return &l->balance;
}


static ngx_uint_t
ngx_http_upstream_health_shm_least_leaves(
    ngx_http_upstream_health_shm_balance_t *b)
{
    return ((ngx_http_upstream_health_shm_least_t *) b)->leaves;
}


/* every leaf, also those without a host */

static void
ngx_http_upstream_health_shm_least_seat(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_upstream_health_shm_least_t *l =
                                     (ngx_http_upstream_health_shm_least_t *) b;

    uint32_t                                    weight;
    ngx_uint_t                                  i;
    ngx_http_upstream_health_shm_least_host_t  *host;

    for (i = from; i < to; i++) {
        l->tree[l->leaves + i] = i;

        host = &l->hosts[i];
        ngx_memzero(host, sizeof(ngx_http_upstream_health_shm_least_host_t));

        weight = (i < l->n) ? b->plan.weights[i]
                              & NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_WEIGHT
                            : 0;

        if (weight == 0) {
            continue;
        }

        host->weight = weight;
        host->tag = (NGX_HTTP_UPSTREAM_HEALTH_SHM_STEP / weight
                     * ngx_http_upstream_health_shm_phase(&b->plan, l->before,
                                                          65536))
                    >> 16;
        l->before += weight;
    }
}


static ngx_uint_t
ngx_http_upstream_health_shm_least_nodes(
    ngx_http_upstream_health_shm_balance_t *b)
{
    return ((ngx_http_upstream_health_shm_least_t *) b)->leaves - 1;
}


/* those far from the root come first */

static void
ngx_http_upstream_health_shm_least_play_all(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_upstream_health_shm_least_t *l =
                                     (ngx_http_upstream_health_shm_least_t *) b;

    ngx_uint_t  i;

    for (i = from; i < to; i++) {
        ngx_http_upstream_health_shm_least_match(l, l->leaves - 1 - i);
    }
}


static void
ngx_http_upstream_health_shm_least_many(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t more)
{
    ngx_http_upstream_health_shm_least_t *l =
                                     (ngx_http_upstream_health_shm_least_t *) b;

    l->loose = more;

    if (!more) {
        ngx_http_upstream_health_shm_least_play_all(b, 0, l->leaves - 1);
    }
}


static void
ngx_http_upstream_health_shm_least_weigh(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i, uint32_t weight)
{
    ngx_http_upstream_health_shm_least_t *l =
                                     (ngx_http_upstream_health_shm_least_t *) b;

    l->hosts[i].weight = weight;

    ngx_http_upstream_health_shm_least_catch_up(l, i);

    if (!l->loose) {
        ngx_http_upstream_health_shm_least_play(l, i);
    }
}


static ngx_uint_t
ngx_http_upstream_health_shm_least_pick(
    ngx_http_upstream_health_shm_balance_t *b, uint32_t key,
    ngx_http_upstream_health_shm_usable_pt usable, void *data)
{
    ngx_http_upstream_health_shm_least_t *l =
                                     (ngx_http_upstream_health_shm_least_t *) b;

    ngx_uint_t                                  i, host;
    ngx_http_upstream_health_shm_least_host_t  *picked;
    struct {
        uint32_t                                host;
        uint32_t                                weight;
    } aside[NGX_HTTP_UPSTREAM_HEALTH_SHM_ASIDE];

    i = 0;

    for ( ;; ) {
        host = l->tree[1];

        if (l->hosts[host].weight == 0) {
            host = NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE;
            break;
        }

        if (usable == NULL || usable(data, host)) {
            break;
        }

        aside[i].host = host;
        aside[i].weight = l->hosts[host].weight;
        i++;

        l->hosts[host].weight = 0;

        if (i == NGX_HTTP_UPSTREAM_HEALTH_SHM_ASIDE) {
            host = ngx_http_upstream_health_shm_least_scan(l, usable, data);
            break;
        }

        ngx_http_upstream_health_shm_least_play(l, host);
    }

    while (i--) {
        l->hosts[aside[i].host].weight = aside[i].weight;
        ngx_http_upstream_health_shm_least_play(l, aside[i].host);
    }

    if (host == NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE) {
        return host;
    }

    picked = &l->hosts[host];

    ngx_http_upstream_health_shm_least_catch_up(l, host);

    l->clock = picked->tag;
    picked->tag += NGX_HTTP_UPSTREAM_HEALTH_SHM_STEP / picked->weight;

    ngx_http_upstream_health_shm_least_play(l, host);

    return host;
}


static ngx_uint_t
ngx_http_upstream_health_shm_least_scan(
    ngx_http_upstream_health_shm_least_t *l,
    ngx_http_upstream_health_shm_usable_pt usable, void *data)
{
    ngx_uint_t  i, host;

    host = NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE;

    for (i = 0; i < l->n; i++) {

        if (l->hosts[i].weight
            && (host == NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE
                || ngx_http_upstream_health_shm_least_better(l, i, host))
            && usable(data, i))
        {
            host = i;
        }
    }

    return host;
}


static void
ngx_http_upstream_health_shm_least_use(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i)
{
    ngx_http_upstream_health_shm_least_t *l =
                                     (ngx_http_upstream_health_shm_least_t *) b;

    l->hosts[i].conns++;

    ngx_http_upstream_health_shm_least_catch_up(l, i);
    ngx_http_upstream_health_shm_least_play(l, i);
}


static void
ngx_http_upstream_health_shm_least_done(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i)
{
    ngx_http_upstream_health_shm_least_t *l =
                                     (ngx_http_upstream_health_shm_least_t *) b;

    l->hosts[i].conns--;

    ngx_http_upstream_health_shm_least_catch_up(l, i);
    ngx_http_upstream_health_shm_least_play(l, i);
}


/* the matches of host i, up to the root */

static void
ngx_http_upstream_health_shm_least_play(
    ngx_http_upstream_health_shm_least_t *l, ngx_uint_t i)
{
    ngx_uint_t  node;

    for (node = (l->leaves + i) / 2; node; node /= 2) {
        ngx_http_upstream_health_shm_least_match(l, node);
    }
}
