/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The heaps of round robin.  Four children to a node: half as deep as with two,
 * and a comparison of neighbours is cheaper than a step down.
 */


#include "ngx_http_upstream_health_shm_balance_heap.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_WAYS  4   /* children */


static ngx_uint_t ngx_http_upstream_health_shm_heap_exactly_before(
    ngx_http_upstream_health_shm_heap_t *heap,
    ngx_http_upstream_health_shm_turn_t *one,
    ngx_http_upstream_health_shm_turn_t *two);


static ngx_inline ngx_uint_t
ngx_http_upstream_health_shm_heap_before(
    ngx_http_upstream_health_shm_heap_t *heap,
    ngx_http_upstream_health_shm_turn_t *one,
    ngx_http_upstream_health_shm_turn_t *two)
{
    int64_t  ahead;

    ahead = (int64_t) (one->key - two->key);

    if (ahead) {
        return ahead < 0;
    }

    return ngx_http_upstream_health_shm_heap_exactly_before(heap, one, two);
}


static ngx_inline ngx_http_upstream_health_shm_turn_t *
ngx_http_upstream_health_shm_heap_first(
    ngx_http_upstream_health_shm_heap_t *heap,
    ngx_http_upstream_health_shm_turn_t *one,
    ngx_http_upstream_health_shm_turn_t *two)
{
    return ngx_http_upstream_health_shm_heap_before(heap, two, one) ? two : one;
}


static ngx_inline void
ngx_http_upstream_health_shm_heap_set(
    ngx_http_upstream_health_shm_heap_t *heap, uint32_t at,
    ngx_http_upstream_health_shm_turn_t *turn)
{
    heap->elts[at] = *turn;
    heap->hosts[turn->host].u.place = 2 * at + heap->ready;
}


/* puts the turn where it belongs, at this place or above */

static ngx_inline void
ngx_http_upstream_health_shm_heap_up(
    ngx_http_upstream_health_shm_heap_t *heap, uint32_t at,
    ngx_http_upstream_health_shm_turn_t *turn)
{
    uint32_t  parent;

    while (at) {
        parent = (at - 1) / NGX_HTTP_UPSTREAM_HEALTH_SHM_WAYS;

        if (!ngx_http_upstream_health_shm_heap_before(heap, turn,
                                                      &heap->elts[parent]))
        {
            break;
        }

        ngx_http_upstream_health_shm_heap_set(heap, at, &heap->elts[parent]);
        at = parent;
    }

    ngx_http_upstream_health_shm_heap_set(heap, at, turn);
}


/* makes room for the turn, at this place or below */

static ngx_inline uint32_t
ngx_http_upstream_health_shm_heap_down(
    ngx_http_upstream_health_shm_heap_t *heap, uint32_t at,
    ngx_http_upstream_health_shm_turn_t *turn)
{
    uint32_t                              n, child;
    ngx_http_upstream_health_shm_turn_t  *elts, *best, *other, *last;

    elts = heap->elts;
    n = heap->n;

    for ( ;; ) {
        child = at * NGX_HTTP_UPSTREAM_HEALTH_SHM_WAYS + 1;
        best = &elts[child];

        if (child + NGX_HTTP_UPSTREAM_HEALTH_SHM_WAYS <= n) {
            other = ngx_http_upstream_health_shm_heap_first(heap, best + 2,
                                                            best + 3);
            best = ngx_http_upstream_health_shm_heap_first(heap, best,
                                                           best + 1);
            best = ngx_http_upstream_health_shm_heap_first(heap, best, other);

        } else if (child < n) {
            last = &elts[n];

            for (other = best + 1; other < last; other++) {
                best = ngx_http_upstream_health_shm_heap_first(heap, best,
                                                               other);
            }

        } else {
            return at;
        }

        if (!ngx_http_upstream_health_shm_heap_before(heap, best, turn)) {
            return at;
        }

        ngx_http_upstream_health_shm_heap_set(heap, at, best);
        at = best - elts;
    }
}


void
ngx_http_upstream_health_shm_heap_remove(
    ngx_http_upstream_health_shm_heap_t *heap, uint32_t at)
{
    ngx_http_upstream_health_shm_turn_t  last;

    last = heap->elts[--heap->n];

    if (heap->loose) {
        ngx_http_upstream_health_shm_heap_set(heap, at, &last);
        return;
    }

    if (at < heap->n) {
        at = ngx_http_upstream_health_shm_heap_down(heap, at, &last);
        ngx_http_upstream_health_shm_heap_up(heap, at, &last);
    }
}


void
ngx_http_upstream_health_shm_heap_push(
    ngx_http_upstream_health_shm_heap_t *heap,
    ngx_http_upstream_health_shm_turn_t turn)
{
    if (heap->loose) {
        ngx_http_upstream_health_shm_heap_set(heap, heap->n++, &turn);
        return;
    }

    ngx_http_upstream_health_shm_heap_up(heap, heap->n++, &turn);
}


void
ngx_http_upstream_health_shm_heap_order(
    ngx_http_upstream_health_shm_heap_t *heap, uint32_t from, uint32_t to)
{
    uint32_t                             at;
    ngx_http_upstream_health_shm_turn_t  turn;

    for (at = to; at-- > from; /* void */) {
        turn = heap->elts[at];

        ngx_http_upstream_health_shm_heap_set(heap,
                     ngx_http_upstream_health_shm_heap_down(heap, at, &turn),
                     &turn);
    }
}


/* of turns with the same key */

static ngx_uint_t
ngx_http_upstream_health_shm_heap_exactly_before(
    ngx_http_upstream_health_shm_heap_t *heap,
    ngx_http_upstream_health_shm_turn_t *one,
    ngx_http_upstream_health_shm_turn_t *two)
{
    uint64_t  first, second;

    first = (uint64_t) one->part * heap->hosts[two->host].weight;
    second = (uint64_t) two->part * heap->hosts[one->host].weight;

    return first != second ? first < second : one->host < two->host;
}
