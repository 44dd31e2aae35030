/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Snapshots: what a worker makes of the pools of an upstream without servers
 * when a segment is mapped.
 *
 * They are built and exchanged outside of requests.  Until the next one is
 * there, the one before it serves, whose hosts have numbers of another mapping:
 * it is `foreign` and follows nothing.
 */


#include "ngx_http_upstream_health_shm_pool.h"


/* The mapping is new: so are the hosts of an upstream. */

ngx_int_t
ngx_http_upstream_health_shm_take_over(
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    hscf->foreign = 1;

    return ngx_http_upstream_health_shm_begin_build(hscf);
}


/* So much of the work for those that are new, and for those that cannot be
 * brought in line in place.  NGX_AGAIN: some is left. */

ngx_int_t
ngx_http_upstream_health_shm_renew(
    ngx_http_upstream_health_shm_segment_t *segment, ngx_uint_t *work)
{
    ngx_int_t                                  rc;
    ngx_uint_t                                 i;
    ngx_http_upstream_health_shm_srv_conf_t   *hscf, **hscfp;

    if (!segment->mapped) {
        return NGX_OK;
    }

    rc = NGX_OK;
    hscfp = segment->upstreams.elts;

    for (i = 0; i < segment->upstreams.nelts; i++) {
        hscf = hscfp[i];

        if (!hscf->pooled) {
            continue;
        }

        /* without the memory for it, again at the next tick */

        if (hscf->build == NULL
            && (!(hscf->foreign || hscf->outdated)
                || ngx_http_upstream_health_shm_begin_build(hscf) != NGX_OK))
        {
            continue;
        }

        if (ngx_http_upstream_health_shm_go_on_building(hscf, work)
            == NGX_AGAIN)
        {
            rc = NGX_AGAIN;
        }
    }

    return rc;
}


void
ngx_http_upstream_health_shm_put_in_force(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_health_shm_snapshot_t *snapshot)
{
    uint32_t                                  weight;
    ngx_uint_t                                t, i, n;
    ngx_http_upstream_health_shm_live_t      *live;
    ngx_http_upstream_health_shm_tier_t      *tier;
    ngx_http_upstream_health_shm_snapshot_t  *before;

    before = hscf->snapshot;

    for (i = 0; before && i < before->nhosts; i++) {
        live = before->hosts[i].live;

        live->balance = NULL;
        live->weight = 0;
    }

    for (t = 0; t < snapshot->ntiers; t++) {
        tier = &snapshot->tiers[t];

        for (i = 0; i < tier->nhosts; i++) {
            live = tier->hosts[i].live;
            weight = tier->hosts[i].weight;

            live->snapshot = snapshot;
            live->balance = tier->balance;
            live->index = i;
            live->weight = weight;

            tier->usable += (weight != 0);
            snapshot->usable += (weight != 0);

            for (n = 0; n < live->conns; n++) {
                ngx_http_upstream_health_shm_balance_use(tier->balance, i);
            }
        }
    }

    hscf->snapshot = snapshot;
    hscf->foreign = 0;
    hscf->outdated = 0;
    hscf->unnamed = 1;

    if (before) {
        ngx_http_upstream_health_shm_let_go(before);
    }

    /* what has changed while it was built */

    ngx_http_upstream_health_shm_weigh_all(hscf);
}


void
ngx_http_upstream_health_shm_let_go(
    ngx_http_upstream_health_shm_snapshot_t *snapshot)
{
    ngx_uint_t                            i;
    ngx_http_upstream_health_shm_live_t  *live;

    if (--snapshot->refs) {
        return;
    }

    for (i = 0; i < snapshot->nhosts; i++) {
        live = snapshot->hosts[i].live;

        if (live->snapshot == snapshot) {
            live->balance = NULL;
        }

        ngx_http_upstream_health_shm_drop_live(live);
    }

    snapshot->pool->log = ngx_cycle->log;

    ngx_destroy_pool(snapshot->pool);
}
