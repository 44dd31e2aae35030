/* SPDX-License-Identifier: BSD-2-Clause
 *
 * round_robin: every host has its turns, and takes each of them in time.
 *
 * Think of a clock that makes one round while each host of weight w is picked
 * w times.  A host's turns follow each other without a gap, each 1/w of a
 * round long, from its release to its deadline, which is the next one's
 * release.  A pick takes, of the hosts whose turn has begun, the one whose
 * turn ends first, and moves the clock by 1/W, W being the sum of weights.
 *
 * Why that is exact: turns that begin after a - 1 and end by b number less
 * than (b - a + 1) * w/W for each host, so less than b - a + 1 altogether,
 * which is at most b - a: there are never more of them than picks, and then
 * taking the earliest deadline first misses none.  So a host has never had
 * more than a turn too much or too little, and of any W picks that follow
 * each other w, to within one.  That holds wherever in its turn a host
 * starts, so they start at different points, and releases come one by one.
 *
 * Why nothing drifts: the clock is no counter but the mean of the hosts'
 * positions weighed by w, a sum of integers.  A pick moves the sum by one
 * turn, and the host that is furthest behind is never ahead of the mean, so
 * somebody's turn has always begun.  What a host is owed, or has had too
 * early, stays the same number of turns, at most one, when its weight changes
 * and while it is out: no burst, and no start from scratch.
 *
 * A refusal is a turn that goes by: the host's next one comes when it would
 * have come, and the others share the requests by their weights.  A host that
 * refuses one request is not behind stock round robin, where it waits as long.
 * If all that are left wait for a host that refused, its turns go by until
 * the first of them is due.
 *
 * Positions are fractions of a round, a part of UNIT * w, and turns are sorted
 * by release in one heap, by deadline in the other.  The scheduler of Linux
 * keeps one tree ordered by both; two arrays of 16 bytes a host are smaller and
 * touch less memory.
 */


#include "ngx_http_upstream_health_shm_balance_method.h"
#include "ngx_http_upstream_health_shm_balance_heap.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT        256  /* parts of a turn */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_ROUND_SHIFT 40   /* in a key */


typedef struct {
    ngx_http_upstream_health_shm_balance_t      balance;

    /* the clock: round + passed / (UNIT * total) */
    uint64_t                                    total;
    uint64_t                                    passed;
    uint32_t                                    round;

    ngx_http_upstream_health_shm_heap_t         waiting;  /* by release */
    ngx_http_upstream_health_shm_heap_t         ready;    /* by deadline */
    ngx_http_upstream_health_shm_turns_host_t  *hosts;
    ngx_http_upstream_health_shm_turn_t        *aside;    /* by no order */

    /* while it is prepared */
    uint64_t                                    before;   /* weights */
    uint32_t                                    n;        /* that have one */
} ngx_http_upstream_health_shm_turns_t;


static ngx_http_upstream_health_shm_balance_t *
    ngx_http_upstream_health_shm_turns_create(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_plan_t *plan);
static void ngx_http_upstream_health_shm_turns_scatter(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to);
static ngx_uint_t ngx_http_upstream_health_shm_turns_scattered(
    ngx_http_upstream_health_shm_balance_t *b);
static void ngx_http_upstream_health_shm_turns_divide(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to);
static ngx_uint_t ngx_http_upstream_health_shm_turns_waiting(
    ngx_http_upstream_health_shm_balance_t *b);
static void ngx_http_upstream_health_shm_turns_order_waiting(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to);
static ngx_uint_t ngx_http_upstream_health_shm_turns_ready(
    ngx_http_upstream_health_shm_balance_t *b);
static void ngx_http_upstream_health_shm_turns_order_ready(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to);
static void ngx_http_upstream_health_shm_turns_many(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t more);
static void ngx_http_upstream_health_shm_turns_weigh(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i, uint32_t weight);
static int64_t ngx_http_upstream_health_shm_turns_take(
    ngx_http_upstream_health_shm_turns_t *t, uint32_t host);
static void ngx_http_upstream_health_shm_turns_place(
    ngx_http_upstream_health_shm_turns_t *t, uint32_t host, uint32_t weight,
    int64_t position);
static int64_t ngx_http_upstream_health_shm_turns_now(
    ngx_http_upstream_health_shm_turns_t *t, uint32_t weight);
static void ngx_http_upstream_health_shm_turns_move(
    ngx_http_upstream_health_shm_turns_t *t, int64_t parts);

static ngx_uint_t ngx_http_upstream_health_shm_turns_pick(
    ngx_http_upstream_health_shm_balance_t *b, uint32_t key,
    ngx_http_upstream_health_shm_usable_pt usable, void *data);
static void ngx_http_upstream_health_shm_turns_begin(
    ngx_http_upstream_health_shm_turns_t *t);
static uint32_t ngx_http_upstream_health_shm_turns_sift_out(
    ngx_http_upstream_health_shm_turns_t *t,
    ngx_http_upstream_health_shm_heap_t *heap, uint32_t aside,
    ngx_http_upstream_health_shm_usable_pt usable, void *data);
static void ngx_http_upstream_health_shm_turns_go_by(
    ngx_http_upstream_health_shm_turns_t *t,
    ngx_http_upstream_health_shm_turn_t *turn);
static void ngx_http_upstream_health_shm_turns_return(
    ngx_http_upstream_health_shm_turns_t *t, uint32_t aside);

static ngx_uint_t ngx_http_upstream_health_shm_turns_due(
    ngx_http_upstream_health_shm_turns_t *t,
    ngx_http_upstream_health_shm_turn_t *turn);
static void ngx_http_upstream_health_shm_turns_set(
    ngx_http_upstream_health_shm_turns_t *t,
    ngx_http_upstream_health_shm_turn_t *turn, uint32_t round, int64_t part);


static ngx_http_upstream_health_shm_step_t
    ngx_http_upstream_health_shm_turns_steps[] =
{
    { ngx_http_upstream_health_shm_balance_hosts,
      ngx_http_upstream_health_shm_turns_scatter },
    { ngx_http_upstream_health_shm_turns_scattered,
      ngx_http_upstream_health_shm_turns_divide },
    { ngx_http_upstream_health_shm_turns_waiting,
      ngx_http_upstream_health_shm_turns_order_waiting },
    { ngx_http_upstream_health_shm_turns_ready,
      ngx_http_upstream_health_shm_turns_order_ready },
    { NULL, NULL }
};


ngx_http_upstream_health_shm_method_t
    ngx_http_upstream_health_shm_turns_method =
{
    ngx_http_upstream_health_shm_turns_create,
    ngx_http_upstream_health_shm_turns_steps,
    ngx_http_upstream_health_shm_turns_weigh,
    ngx_http_upstream_health_shm_turns_many,
    ngx_http_upstream_health_shm_turns_pick,
    NULL,
    NULL,
    NULL
};


/* from this round to the key's */

static ngx_inline int32_t
ngx_http_upstream_health_shm_turns_rounds(uint64_t key, uint32_t round)
{
    return (int32_t) (((uint32_t)
                       (key >> NGX_HTTP_UPSTREAM_HEALTH_SHM_ROUND_SHIFT)
                       - round) << 8) >> 8;
}


static ngx_inline void
ngx_http_upstream_health_shm_turns_next(
    ngx_http_upstream_health_shm_turns_t *t,
    ngx_http_upstream_health_shm_turn_t *turn)
{
    uint64_t  weight, part, round;

    weight = t->hosts[turn->host].weight;
    part = (uint64_t) turn->part + NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT;
    round = turn->key >> NGX_HTTP_UPSTREAM_HEALTH_SHM_ROUND_SHIFT;

    if (part >= weight * NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT) {
        part -= weight * NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT;
        round++;
    }

    turn->part = (uint32_t) part;
    turn->key = (round << NGX_HTTP_UPSTREAM_HEALTH_SHM_ROUND_SHIFT)
                + (part << 32) / weight;
}


static ngx_http_upstream_health_shm_balance_t *
ngx_http_upstream_health_shm_turns_create(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_plan_t *plan)
{
    size_t                                 size;
    ngx_http_upstream_health_shm_turns_t  *t;

    t = ngx_pcalloc(pool, sizeof(ngx_http_upstream_health_shm_turns_t));
    if (t == NULL) {
        return NULL;
    }

    size = plan->n * sizeof(ngx_http_upstream_health_shm_turn_t);

    t->waiting.elts = ngx_palloc(pool, size);
    t->ready.elts = ngx_palloc(pool, size);
    t->aside = ngx_palloc(pool, size);
    t->hosts = ngx_palloc(pool, plan->n
                           * sizeof(ngx_http_upstream_health_shm_turns_host_t));

    if (t->waiting.elts == NULL || t->ready.elts == NULL || t->aside == NULL
        || t->hosts == NULL)
    {
        return NULL;
    }

    t->waiting.hosts = t->hosts;
    t->ready.hosts = t->hosts;
    t->ready.ready = 1;

    return &t->balance;
}


/* The steps to the first pick: where each host is in its turn, .. */

static void
ngx_http_upstream_health_shm_turns_scatter(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_upstream_health_shm_turns_t *t =
                                     (ngx_http_upstream_health_shm_turns_t *) b;

    uint32_t                              weight, wait;
    ngx_uint_t                            i;
    ngx_http_upstream_health_shm_turn_t  *turn;

    for (i = from; i < to; i++) {
        weight = b->plan.weights[i] & NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_WEIGHT;

        t->hosts[i].weight = weight;

        if (weight == 0) {

            /* those that come in together later are not to start as one */

            t->hosts[i].u.owed = (int32_t) (i * 159 % 256) - 128;
            continue;
        }

        wait = ngx_http_upstream_health_shm_phase(&b->plan, t->before,
                                           NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT);
        t->before += weight;

        t->total += weight;
        t->passed += wait;

        turn = &t->aside[t->n++];
        turn->host = i;
        ngx_http_upstream_health_shm_turns_set(t, turn, 0, wait);
    }
}


static ngx_uint_t
ngx_http_upstream_health_shm_turns_scattered(
    ngx_http_upstream_health_shm_balance_t *b)
{
    return ((ngx_http_upstream_health_shm_turns_t *) b)->n;
}


/* .. whose turn has begun when the clock starts, which are about half: left to
 * the first pick, they would cost it O(n log n), .. */

static void
ngx_http_upstream_health_shm_turns_divide(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_upstream_health_shm_turns_t *t =
                                     (ngx_http_upstream_health_shm_turns_t *) b;

    ngx_uint_t                            i;
    ngx_http_upstream_health_shm_heap_t  *heap;
    ngx_http_upstream_health_shm_turn_t  *turn;

    for (i = from; i < to; i++) {
        turn = &t->aside[i];
        heap = &t->waiting;

        if (ngx_http_upstream_health_shm_turns_due(t, turn)) {
            ngx_http_upstream_health_shm_turns_next(t, turn);
            heap = &t->ready;
        }

        heap->elts[heap->n++] = *turn;
    }
}


/* .. and both heaps, from their ends. */

static ngx_uint_t
ngx_http_upstream_health_shm_turns_waiting(
    ngx_http_upstream_health_shm_balance_t *b)
{
    return ((ngx_http_upstream_health_shm_turns_t *) b)->waiting.n;
}


static void
ngx_http_upstream_health_shm_turns_order_waiting(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_upstream_health_shm_heap_t  *heap;

    heap = &((ngx_http_upstream_health_shm_turns_t *) b)->waiting;

    ngx_http_upstream_health_shm_heap_order(heap, heap->n - to,
                                            heap->n - from);
}


static ngx_uint_t
ngx_http_upstream_health_shm_turns_ready(
    ngx_http_upstream_health_shm_balance_t *b)
{
    return ((ngx_http_upstream_health_shm_turns_t *) b)->ready.n;
}


static void
ngx_http_upstream_health_shm_turns_order_ready(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_upstream_health_shm_heap_t  *heap;

    heap = &((ngx_http_upstream_health_shm_turns_t *) b)->ready;

    ngx_http_upstream_health_shm_heap_order(heap, heap->n - to,
                                            heap->n - from);
}


static void
ngx_http_upstream_health_shm_turns_many(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t more)
{
    ngx_http_upstream_health_shm_turns_t *t =
                                     (ngx_http_upstream_health_shm_turns_t *) b;

    t->waiting.loose = more;
    t->ready.loose = more;

    if (!more) {
        ngx_http_upstream_health_shm_heap_order(&t->waiting, 0, t->waiting.n);
        ngx_http_upstream_health_shm_heap_order(&t->ready, 0, t->ready.n);
    }
}


static void
ngx_http_upstream_health_shm_turns_weigh(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i, uint32_t weight)
{
    ngx_http_upstream_health_shm_turns_t *t =
                                     (ngx_http_upstream_health_shm_turns_t *) b;

    int64_t                                     owed, now, next;
    ngx_http_upstream_health_shm_turns_host_t  *host;

    host = &t->hosts[i];

    if (host->weight == weight) {
        return;
    }

    now = ngx_http_upstream_health_shm_turns_now(t, host->weight);
    next = ngx_http_upstream_health_shm_turns_now(t, weight);

    if (host->weight) {
        owed = now - ngx_http_upstream_health_shm_turns_take(t, i);
        owed = ngx_min(owed, NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT);
        owed = ngx_max(owed, -NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT);

        next -= owed;

    } else {
        owed = host->u.owed;
        next -= owed;

        if (t->total) {

            /* its coming moves the clock, as its going did */

            next -= owed * weight / (int64_t) t->total;
        }
    }

    if (weight) {
        ngx_http_upstream_health_shm_turns_place(t, i, weight, next);
        return;
    }

    host->weight = 0;
    host->u.owed = (int32_t) owed;

    ngx_http_upstream_health_shm_turns_move(t, 0);
}


/* out of its heap and of the sums; where its next turn begins, or began, in
 * the clock's round, which remains until the next move */

static int64_t
ngx_http_upstream_health_shm_turns_take(
    ngx_http_upstream_health_shm_turns_t *t, uint32_t host)
{
    int64_t                               position;
    uint32_t                              at, weight;
    ngx_http_upstream_health_shm_heap_t  *heap;
    ngx_http_upstream_health_shm_turn_t  *turn;

    weight = t->hosts[host].weight;
    heap = (t->hosts[host].u.place & 1) ? &t->ready : &t->waiting;
    at = t->hosts[host].u.place >> 1;
    turn = &heap->elts[at];

    position = (int64_t) ngx_http_upstream_health_shm_turns_rounds(turn->key,
                                                                   t->round)
               * NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT * weight
               + turn->part;

    if (heap->ready) {
        position -= NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT;
    }

    ngx_http_upstream_health_shm_heap_remove(heap, at);

    t->total -= weight;
    t->passed -= position;

    return position;
}


static void
ngx_http_upstream_health_shm_turns_place(
    ngx_http_upstream_health_shm_turns_t *t, uint32_t host, uint32_t weight,
    int64_t position)
{
    ngx_http_upstream_health_shm_turn_t  turn;

    t->hosts[host].weight = weight;

    turn.host = host;
    ngx_http_upstream_health_shm_turns_set(t, &turn, t->round, position);
    ngx_http_upstream_health_shm_heap_push(&t->waiting, turn);

    t->total += weight;
    ngx_http_upstream_health_shm_turns_move(t, position);
}


/* where in the clock's round a host of this weight is, if it is owed nothing;
 * the clock has 52 bits at most and loses what is below the first 40 */

static int64_t
ngx_http_upstream_health_shm_turns_now(
    ngx_http_upstream_health_shm_turns_t *t, uint32_t weight)
{
    uint64_t  passed, total;

    passed = t->passed;
    total = t->total;

    if (total == 0) {
        return 0;
    }

    while (passed >> 40) {
        passed >>= 1;
        total >>= 1;
    }

    return passed * weight / total;
}


/* the sum of positions grows by so much */

static void
ngx_http_upstream_health_shm_turns_move(
    ngx_http_upstream_health_shm_turns_t *t, int64_t parts)
{
    int64_t  passed, round;

    round = t->total * NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT;

    if (round == 0) {
        t->passed = 0;
        return;
    }

    passed = t->passed + parts;

    if (passed < 0 || passed >= round) {
        t->round += passed / round;
        passed %= round;

        if (passed < 0) {
            passed += round;
            t->round--;
        }
    }

    t->passed = passed;
}


static ngx_uint_t
ngx_http_upstream_health_shm_turns_pick(
    ngx_http_upstream_health_shm_balance_t *b, uint32_t key,
    ngx_http_upstream_health_shm_usable_pt usable, void *data)
{
    ngx_http_upstream_health_shm_turns_t *t =
                                     (ngx_http_upstream_health_shm_turns_t *) b;

    uint32_t                             i, aside;
    ngx_uint_t                           host;
    ngx_http_upstream_health_shm_turn_t  turn;

    aside = 0;
    host = NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE;

    while (t->waiting.n + t->ready.n) {

        while (t->waiting.n
               && ngx_http_upstream_health_shm_turns_due(t,
                                                         &t->waiting.elts[0]))
        {
            ngx_http_upstream_health_shm_turns_begin(t);
        }

        if (t->ready.n == 0) {

            /* the clock is held back by those aside; with none of them
             * behind the first that waits, that one is due */

            for (i = 0; i < aside; i++) {
                ngx_http_upstream_health_shm_turns_go_by(t, &t->aside[i]);
            }

            ngx_http_upstream_health_shm_turns_begin(t);

            continue;
        }

        /* its deadline is the release of its next turn */

        turn = t->ready.elts[0];

        ngx_http_upstream_health_shm_heap_remove(&t->ready, 0);
        ngx_http_upstream_health_shm_turns_move(t,
                                           NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT);

        if (usable == NULL || usable(data, turn.host)) {
            host = turn.host;
            ngx_http_upstream_health_shm_heap_push(&t->waiting, turn);
            break;
        }

        t->aside[aside++] = turn;

        if (aside == NGX_HTTP_UPSTREAM_HEALTH_SHM_ASIDE) {
            aside = ngx_http_upstream_health_shm_turns_sift_out(t, &t->ready,
                                                        aside, usable, data);
            aside = ngx_http_upstream_health_shm_turns_sift_out(t,
                                            &t->waiting, aside, usable, data);
            usable = NULL;
        }
    }

    if (aside) {
        ngx_http_upstream_health_shm_turns_return(t, aside);
    }

    return host;
}


/* the first that waits has its turn: ready until the next one's release */

static void
ngx_http_upstream_health_shm_turns_begin(
    ngx_http_upstream_health_shm_turns_t *t)
{
    ngx_http_upstream_health_shm_turn_t  turn;

    turn = t->waiting.elts[0];

    ngx_http_upstream_health_shm_turns_next(t, &turn);
    ngx_http_upstream_health_shm_heap_remove(&t->waiting, 0);
    ngx_http_upstream_health_shm_heap_push(&t->ready, turn);
}


/* all that refuse, at once; the number of those aside */

static uint32_t
ngx_http_upstream_health_shm_turns_sift_out(
    ngx_http_upstream_health_shm_turns_t *t,
    ngx_http_upstream_health_shm_heap_t *heap, uint32_t aside,
    ngx_http_upstream_health_shm_usable_pt usable, void *data)
{
    uint32_t                             i, n;
    ngx_http_upstream_health_shm_turn_t  turn;

    n = 0;

    for (i = 0; i < heap->n; i++) {

        if (usable(data, heap->elts[i].host)) {
            heap->elts[n++] = heap->elts[i];
            continue;
        }

        turn = heap->elts[i];

        if (heap->ready) {

            /* it was not its turn: back to the release */

            ngx_http_upstream_health_shm_turns_set(t, &turn,
                        turn.key >> NGX_HTTP_UPSTREAM_HEALTH_SHM_ROUND_SHIFT,
                        (int64_t) turn.part
                        - NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT);
        }

        t->aside[aside++] = turn;
    }

    heap->n = n;
    ngx_http_upstream_health_shm_heap_order(heap, 0, n);

    return aside;
}


/* all its turns that begin before the first that is waited for */

static void
ngx_http_upstream_health_shm_turns_go_by(
    ngx_http_upstream_health_shm_turns_t *t,
    ngx_http_upstream_health_shm_turn_t *turn)
{
    int64_t                               position, first, parts;
    uint32_t                              weight, first_weight;
    ngx_http_upstream_health_shm_turn_t  *head;

    head = &t->waiting.elts[0];

    weight = t->hosts[turn->host].weight;
    first_weight = t->hosts[head->host].weight;

    first = ((uint64_t) head->part * weight + first_weight - 1) / first_weight;

    position = (int64_t) ngx_http_upstream_health_shm_turns_rounds(turn->key,
                      head->key >> NGX_HTTP_UPSTREAM_HEALTH_SHM_ROUND_SHIFT)
               * NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT * weight
               + turn->part;

    if (position >= first) {
        return;
    }

    parts = first - position + NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT - 1;
    parts -= parts % NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT;

    ngx_http_upstream_health_shm_turns_set(t, turn,
                      turn->key >> NGX_HTTP_UPSTREAM_HEALTH_SHM_ROUND_SHIFT,
                      turn->part + parts);
    ngx_http_upstream_health_shm_turns_move(t, parts);
}


static void
ngx_http_upstream_health_shm_turns_return(
    ngx_http_upstream_health_shm_turns_t *t, uint32_t aside)
{
    uint32_t  i;

    if (aside < NGX_HTTP_UPSTREAM_HEALTH_SHM_ASIDE) {

        for (i = 0; i < aside; i++) {
            ngx_http_upstream_health_shm_heap_push(&t->waiting,
                                                   t->aside[i]);
        }

        return;
    }

    for (i = 0; i < aside; i++) {
        t->waiting.elts[t->waiting.n++] = t->aside[i];
    }

    ngx_http_upstream_health_shm_heap_order(&t->waiting, 0, t->waiting.n);
}


/* has the clock come to this release? */

static ngx_uint_t
ngx_http_upstream_health_shm_turns_due(
    ngx_http_upstream_health_shm_turns_t *t,
    ngx_http_upstream_health_shm_turn_t *turn)
{
    int32_t   rounds;
    uint32_t  weight;
    uint64_t  turn_high, turn_low, clock_high, clock_low;

    rounds = ngx_http_upstream_health_shm_turns_rounds(turn->key, t->round);

    if (rounds) {
        return rounds < 0;
    }

    /* part / weight <= passed / total: products of up to 76 bits */

    weight = t->hosts[turn->host].weight;

    turn_low = turn->part * (t->total & 0xffffffff);
    turn_high = turn->part * (t->total >> 32) + (turn_low >> 32);

    clock_low = weight * (t->passed & 0xffffffff);
    clock_high = weight * (t->passed >> 32) + (clock_low >> 32);

    if (turn_high != clock_high) {
        return turn_high < clock_high;
    }

    return (uint32_t) turn_low <= (uint32_t) clock_low;
}


static void
ngx_http_upstream_health_shm_turns_set(
    ngx_http_upstream_health_shm_turns_t *t,
    ngx_http_upstream_health_shm_turn_t *turn, uint32_t round, int64_t part)
{
    int64_t   size;
    uint32_t  weight;

    weight = t->hosts[turn->host].weight;
    size = (int64_t) weight * NGX_HTTP_UPSTREAM_HEALTH_SHM_UNIT;

    while (part < 0) {
        part += size;
        round--;
    }

    while (part >= size) {
        part -= size;
        round++;
    }

    turn->part = part;
    turn->key = ((uint64_t) round << NGX_HTTP_UPSTREAM_HEALTH_SHM_ROUND_SHIFT)
                + ((uint64_t) part << 32) / weight;
}
