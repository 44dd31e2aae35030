/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Pool mode: what an upstream without servers has instead.  Who owns what:
 *
 *   snapshot    one topology as this worker took it over: tiers of hosts, in a
 *               pool of its own.  It never changes but for weights.  The
 *               upstream has the newest; each pick is of that.
 *   live        a host: its address, and what this worker's traffic tells of
 *               it, which are connections, failures, the TLS session.  One that
 *               is in the next topology, too, is the same there.  Snapshots
 *               hold theirs, requests those that they were sent to, until
 *               nothing can ask for $upstream_addr any more; the last to let go
 *               frees it.
 *
 * Nothing in here points into the segment.
 */


#ifndef _NGX_HTTP_UPSTREAM_HEALTH_SHM_POOL_H_INCLUDED_
#define _NGX_HTTP_UPSTREAM_HEALTH_SHM_POOL_H_INCLUDED_


#include "ngx_http_upstream_health_shm_module.h"
#include "ngx_http_upstream_health_shm_balance.h"


#pragma GCC visibility push(hidden)


/* a host of the segment, as nginx has it */

typedef struct {
    uint64_t                                  identity;
    ngx_sockaddr_t                            sockaddr;
    socklen_t                                 socklen;  /* 0: unusable */
    ngx_str_t                                 name;
    u_char                                    text[NGX_SOCKADDR_STRLEN];
} ngx_http_upstream_health_shm_place_t;


typedef struct {
    ngx_uint_t                                refs;
    ngx_uint_t                                taken;    /* by build number */
    ngx_uint_t                                tried;    /* by requests */

    uint64_t                                  identity;
    struct sockaddr                          *sockaddr; /* NULL: unusable */
    socklen_t                                 socklen;
    ngx_str_t                                 name;

    /* in the newest of them; weight 0: gets no requests */

    ngx_http_upstream_health_shm_snapshot_t  *snapshot;
    ngx_http_upstream_health_shm_balance_t   *balance;
    ngx_uint_t                                index;
    uint32_t                                  weight;

    ngx_uint_t                                conns;
    ngx_uint_t                                fails;
    ngx_msec_t                                accessed;
    ngx_msec_t                                checked;

#if (NGX_HTTP_SSL)
    ngx_ssl_session_t                        *ssl_session;
#endif
} ngx_http_upstream_health_shm_live_t;


typedef struct {
    uint32_t                                  max_conns;
    uint32_t                                  max_fails;
    uint32_t                                  fail_timeout;
    uint32_t                                  configured; /* weight */
    uint32_t                                  weight;    /* to begin with */
    uint64_t                                  word;      /* as last seen */
    ngx_http_upstream_health_shm_live_t      *live;
} ngx_http_upstream_health_shm_host_t;


typedef struct {
    ngx_http_upstream_health_shm_balance_t   *balance;
    ngx_http_upstream_health_shm_host_t      *hosts;
    ngx_uint_t                                nhosts;
    ngx_uint_t                                usable;
    uint32_t                                  first;    /* in the segment */
    uint32_t                                  method;
} ngx_http_upstream_health_shm_tier_t;


struct ngx_http_upstream_health_shm_snapshot_s {
    ngx_uint_t                                number;   /* of its build */
    ngx_pool_t                               *pool;

    ngx_http_upstream_health_shm_tier_t      *tiers;
    ngx_uint_t                                ntiers;
    ngx_uint_t                                first;    /* not empty */

    ngx_http_upstream_health_shm_host_t      *hosts;
    ngx_uint_t                                nhosts;
    ngx_uint_t                                usable;
    ngx_uint_t                                unusable; /* no address */

    /* while it goes, see retire.c */
    ngx_queue_t                               queue;
    ngx_uint_t                                done;     /* hosts */

    unsigned                                  hash:1;   /* needs a key */
};


/* lives of the snapshot before; a power of two places */

typedef struct {
    ngx_http_upstream_health_shm_live_t     **lives;
    ngx_uint_t                                places;
    ngx_uint_t                                done;     /* of that snapshot */
    ngx_uint_t                                number;   /* of the build */
} ngx_http_upstream_health_shm_known_t;


/* work: hosts that may be dealt with now, and what is left of that after */

/* snapshot.c */

ngx_int_t ngx_http_upstream_health_shm_renew_snapshot(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t *work);
void ngx_http_upstream_health_shm_adopt(
    ngx_http_upstream_health_shm_snapshot_t *snapshot,
    ngx_http_upstream_health_shm_tier_t *tier, ngx_uint_t i);
void ngx_http_upstream_health_shm_put_in_force(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_health_shm_snapshot_t *snapshot, uint64_t generation);

/* retire.c */

void ngx_http_upstream_health_shm_retire(
    ngx_http_upstream_health_shm_snapshot_t *snapshot);
ngx_int_t ngx_http_upstream_health_shm_bury(ngx_uint_t *work);

/* build.c */

ngx_int_t ngx_http_upstream_health_shm_begin_build(
    ngx_http_upstream_health_shm_srv_conf_t *hscf);
ngx_int_t ngx_http_upstream_health_shm_go_on_building(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t *work);
void ngx_http_upstream_health_shm_give_up_build(
    ngx_http_upstream_health_shm_srv_conf_t *hscf);

/* host.c */

void ngx_http_upstream_health_shm_locate(
    ngx_http_upstream_health_shm_place_t *place, struct health_shm *shm,
    uint32_t number);

uint32_t ngx_http_upstream_health_shm_configured(struct health_shm *shm,
    uint32_t host);

/* live.c */

ngx_int_t ngx_http_upstream_health_shm_know(
    ngx_http_upstream_health_shm_known_t *known,
    ngx_http_upstream_health_shm_snapshot_t *before, ngx_pool_t *temp,
    ngx_uint_t *work);
ngx_http_upstream_health_shm_live_t *ngx_http_upstream_health_shm_get_live(
    ngx_http_upstream_health_shm_known_t *known,
    ngx_http_upstream_health_shm_place_t *place);
void ngx_http_upstream_health_shm_drop_live(
    ngx_http_upstream_health_shm_live_t *live);

/* weights.c */

uint32_t ngx_http_upstream_health_shm_weight(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_health_shm_host_t *host);
ngx_int_t ngx_http_upstream_health_shm_weigh_all(
    ngx_http_upstream_health_shm_srv_conf_t *hscf);
void ngx_http_upstream_health_shm_skip_empty(
    ngx_http_upstream_health_shm_snapshot_t *snapshot);
void ngx_http_upstream_health_shm_weigh_host(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t tier,
    uint32_t host);

/* pool.c */

ngx_int_t ngx_http_upstream_health_shm_init_pool_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_UPSTREAM_HEALTH_SHM_POOL_H_INCLUDED_ */
