/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Snapshots: what a worker makes of the pools of an upstream without servers
 * when a segment is mapped.
 *
 * They are built, exchanged and freed outside of requests.  Until the next one
 * is there, the one before it serves, whose hosts have numbers of another
 * mapping: it is `foreign` and follows nothing.
 */


#include "ngx_http_upstream_health_shm_pool.h"


/* So much of the work, if there is any.  NGX_AGAIN: some is left. */

ngx_int_t
ngx_http_upstream_health_shm_renew_snapshot(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t *work)
{
    ngx_int_t  rc;

    if (hscf->build == NULL) {

        if (!(hscf->foreign || hscf->outdated)) {
            return NGX_OK;
        }

        /* with 32 bits, times of long ago are times to come */

        if (hscf->later
            && (ngx_msec_int_t) (hscf->later - ngx_current_msec) > 0)
        {
            return NGX_OK;
        }

        hscf->later = 0;

        /* those before it go first, or one would wait behind each that comes */

        if (ngx_http_upstream_health_shm_bury(work) != NGX_OK) {
            return NGX_AGAIN;
        }
    }

    rc = (hscf->build || ngx_http_upstream_health_shm_begin_build(hscf)
                         == NGX_OK)
         ? ngx_http_upstream_health_shm_go_on_building(hscf, work)
         : NGX_ERROR;

    if (rc == NGX_ERROR) {

        /* without the memory for it, again at the next tick */

        hscf->later = ngx_current_msec + NGX_HTTP_UPSTREAM_HEALTH_SHM_TICK;

        return NGX_OK;
    }

    return rc;
}


/*
 * What is known of a host is for the next snapshot from here on: requests that
 * are sent by the one before until all are handed on count there.  It leaves
 * out at once whoever is out in the next.
 */

void
ngx_http_upstream_health_shm_adopt(
    ngx_http_upstream_health_shm_snapshot_t *snapshot,
    ngx_http_upstream_health_shm_tier_t *tier, ngx_uint_t i)
{
    uint32_t                              weight;
    ngx_uint_t                            n;
    ngx_http_upstream_health_shm_live_t  *live;

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


/* generation: that of the host words in it, or an earlier one */

void
ngx_http_upstream_health_shm_put_in_force(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_health_shm_snapshot_t *snapshot, uint64_t generation)
{
    ngx_http_upstream_health_shm_snapshot_t  *before;

    before = hscf->snapshot;

    hscf->snapshot = snapshot;
    hscf->foreign = 0;
    hscf->outdated = 0;
    hscf->unnamed = 1;

    if (before) {
        ngx_http_upstream_health_shm_retire(before);
    }

    ngx_http_upstream_health_shm_skip_empty(snapshot);

    /* what has changed while it was built */

    if (hscf->pending
        || ngx_http_upstream_health_shm_catch_up_from(hscf->segment,
                                                      generation)
           != NGX_OK)
    {
        ngx_http_upstream_health_shm_look_again(hscf);
        return;
    }

    hscf->generation = hscf->segment->generation;
    hscf->seq = hscf->segment->seq;
}
