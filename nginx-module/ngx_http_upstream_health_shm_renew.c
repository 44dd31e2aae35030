/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What takes longer than a request should wait: making tables and snapshots of
 * a new mapping, looking at all hosts, freeing what was before.  It is done
 * outside of requests, in slices of so much time with a turn of the event loop
 * between them, and in an order in which requests need it.
 *
 * Whatever is left undone is seen by requests as it was before, but for hosts
 * that have changed: a request to a `pending` upstream looks at them itself.
 */


#include "ngx_http_upstream_health_shm_pool.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_PIECE  (4 << 20)  /* of a mapping */


static ngx_int_t ngx_http_upstream_health_shm_renew_some(
    ngx_http_upstream_health_shm_segment_t *segment, ngx_uint_t *work);
static ngx_int_t ngx_http_upstream_health_shm_renew_upstream(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t *work);


/* NGX_AGAIN: there is more to do than there is time, see now_us() */

ngx_int_t
ngx_http_upstream_health_shm_renew(
    ngx_http_upstream_health_shm_segment_t *segment, uint64_t until_us)
{
    ngx_int_t   rc;
    ngx_uint_t  work;

    do {
        work = NGX_HTTP_UPSTREAM_HEALTH_SHM_WORK;

        rc = ngx_http_upstream_health_shm_renew_some(segment, &work);

    } while (rc == NGX_AGAIN
             && ngx_http_upstream_health_shm_now_us() < until_us);

    return rc;
}


uint64_t
ngx_http_upstream_health_shm_now_us(void)
{
    struct timespec  now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}


static ngx_int_t
ngx_http_upstream_health_shm_renew_some(
    ngx_http_upstream_health_shm_segment_t *segment, ngx_uint_t *work)
{
    ngx_int_t                                  rc;
    ngx_uint_t                                 i;
    ngx_http_upstream_health_shm_srv_conf_t  **hscfp;

    hscfp = segment->upstreams.elts;

    for (i = 0; i < segment->upstreams.nelts; i++) {
        rc = ngx_http_upstream_health_shm_renew_upstream(hscfp[i], work);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (segment->former.size) {
        ngx_http_upstream_health_shm_unmap_former(segment,
                                         NGX_HTTP_UPSTREAM_HEALTH_SHM_PIECE);
        *work = 0;

        return NGX_AGAIN;
    }

    return ngx_http_upstream_health_shm_bury(work);
}


static ngx_int_t
ngx_http_upstream_health_shm_renew_upstream(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t *work)
{
    ngx_int_t   rc;
    ngx_uint_t  n;

    rc = NGX_OK;

    if (hscf->segment->mapped) {

        if (hscf->pooled) {
            rc = ngx_http_upstream_health_shm_renew_snapshot(hscf, work);

        } else if (hscf->foreign) {
            rc = ngx_http_upstream_health_shm_match(hscf, work);
        }
    }

    if (rc != NGX_OK || !hscf->pending) {
        return rc;
    }

    n = hscf->snapshot ? hscf->snapshot->nhosts
                       : hscf->lists[0].nmembers + hscf->lists[1].nmembers;

    if (ngx_http_upstream_health_shm_at_once(work, n) != NGX_OK) {
        return NGX_AGAIN;
    }

    return ngx_http_upstream_health_shm_refresh(hscf);
}
