/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A heap of turns: which host of round robin is next.
 *
 * A turn's place is a fraction of a round.  `key` is one rounded down, so that
 * most comparisons take one instruction; equal keys are compared exactly.
 */


#ifndef _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_HEAP_H_INCLUDED_
#define _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_HEAP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#pragma GCC visibility push(hidden)


typedef struct {
    uint64_t  key;   /* 24 bits of rounds, the rest a fraction of a round */
    uint32_t  part;  /* the same fraction, of UNIT * weight, not rounded */
    uint32_t  host;
} ngx_http_upstream_health_shm_turn_t;


typedef struct {
    uint32_t      weight;

    union {
        uint32_t  place;     /* weight: 2 * index in its heap + heap.ready */
        int32_t   owed;      /* no weight: parts of a turn */
    } u;
} ngx_http_upstream_health_shm_turns_host_t;


typedef struct {
    ngx_http_upstream_health_shm_turn_t        *elts;
    ngx_http_upstream_health_shm_turns_host_t  *hosts;
    uint32_t                                    n;
    uint32_t                                    ready;  /* 1: by deadline */
    uint32_t                                    loose;  /* 1: in no order */
} ngx_http_upstream_health_shm_heap_t;


/* These keep hosts[].u.place.  While a heap is loose they keep no order: many
 * changes cost O(1) each, and one order, O(n), makes it a heap again. */

void ngx_http_upstream_health_shm_heap_push(
    ngx_http_upstream_health_shm_heap_t *heap,
    ngx_http_upstream_health_shm_turn_t turn);
void ngx_http_upstream_health_shm_heap_remove(
    ngx_http_upstream_health_shm_heap_t *heap, uint32_t at);

/* elts are in any order; those from here on to the last are in that of a heap
 * afterwards, if those from `to` on were before */
void ngx_http_upstream_health_shm_heap_order(
    ngx_http_upstream_health_shm_heap_t *heap, uint32_t from, uint32_t to);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_HEAP_H_INCLUDED_ */
