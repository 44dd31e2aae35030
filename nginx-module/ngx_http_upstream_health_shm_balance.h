/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Balance: which host of one tier takes the next request.
 *
 * One object is one tier in one worker: nothing is shared, nothing is locked.
 * It knows hosts by their index only and keeps weights, turns and active
 * connections; addresses, failures and limits are the caller's business,
 * which is asked through `usable`.
 *
 * All memory is taken from the pool at creation and goes with it.
 */


#ifndef _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_H_INCLUDED_
#define _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <health_shm.h>


#pragma GCC visibility push(hidden)


/* pick: there is no usable host */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE  ((ngx_uint_t) -1)


typedef struct ngx_http_upstream_health_shm_balance_s
    ngx_http_upstream_health_shm_balance_t;

/* May host i take this request?  Asked at most once per pick and host, in the
 * order in which the hosts would be picked.  It must not call back. */
typedef ngx_uint_t (*ngx_http_upstream_health_shm_usable_pt)(void *data,
    ngx_uint_t i);


/* method: enum health_balance; what is none of them is HEALTH_ROUND_ROBIN.
 * names[n]: what a host is to hash, such as the text of its address; read
 * until all is prepared, as the other arrays.
 * weights[n]: effective, in 1/256 of a unit, 24 bits; 0: the host is out.
 * configured[n]: in units; to hash, effective weights count up to the next
 * power of two of it, so that a greater change takes another object.
 * seed: different in each worker, so that they start at different hosts.
 * n may be 0.  NULL: no memory. */
ngx_http_upstream_health_shm_balance_t *
    ngx_http_upstream_health_shm_balance_create(ngx_pool_t *pool,
    ngx_uint_t method, ngx_uint_t n, ngx_str_t *names, uint32_t *weights,
    uint32_t *configured, uint32_t seed);

/* What is too much to do at once: NGX_AGAIN until it is done.  Nothing else
 * comes before that.
 * work: how much of it now, in about the time that a host takes; what is left
 * of that afterwards. */
ngx_int_t ngx_http_upstream_health_shm_balance_prepare(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t *work);

/* Before the pool goes: gives back a piece of what takes long to free.
 * NGX_AGAIN: there is more.  Nothing else comes after that. */
ngx_int_t ngx_http_upstream_health_shm_balance_shed(
    ngx_http_upstream_health_shm_balance_t *b);

/* Host i weighs this much from the next pick on; 0 takes it out. */
void ngx_http_upstream_health_shm_balance_weigh(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i, uint32_t weight);

/* more = 1: the weights of many hosts follow, which cost less together; 0:
 * those were all.  Nothing but weights in between. */
void ngx_http_upstream_health_shm_balance_many(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t more);

/* The host for a request, or NONE.  key: of the request, used by hash.
 * A pick takes the host's turn; follow it with one use.  usable may be NULL. */
ngx_uint_t ngx_http_upstream_health_shm_balance_pick(
    ngx_http_upstream_health_shm_balance_t *b, uint32_t key,
    ngx_http_upstream_health_shm_usable_pt usable, void *data);

/* A request goes to host i; it has left it. */
void ngx_http_upstream_health_shm_balance_use(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i);
void ngx_http_upstream_health_shm_balance_done(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_H_INCLUDED_ */
