/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The condition of a segment: usable, stale, absent or damaged.  A change of it
 * is one line in the log of the instance, however many workers see it.
 */


#include "ngx_http_upstream_health_shm_module.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_USABLE    1
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_STALE     2
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_ABSENT    3
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_DAMAGED   4


static const char *ngx_http_upstream_health_shm_consequence(
    ngx_http_upstream_health_shm_segment_t *segment);


void
ngx_http_upstream_health_shm_say_usable(
    ngx_http_upstream_health_shm_segment_t *segment, ngx_log_t *log)
{
    uint64_t   condition, previous;
    ngx_int_t  rc;

    if (segment->reason == NULL) {
        condition = NGX_HTTP_UPSTREAM_HEALTH_SHM_USABLE;

    } else if (segment->err) {
        condition = NGX_HTTP_UPSTREAM_HEALTH_SHM_ABSENT
                    | (uint64_t) segment->err << 8;

    } else {
        condition = NGX_HTTP_UPSTREAM_HEALTH_SHM_DAMAGED
                    | (uint64_t) ngx_crc32_short((u_char *) segment->reason,
                                              ngx_strlen(segment->reason)) << 8;
    }

    if (condition == segment->said) {
        return;
    }

    rc = ngx_http_upstream_health_shm_say(segment,
                                       NGX_HTTP_UPSTREAM_HEALTH_SHM_KEY_USABLE,
                                       condition, &previous);
    if (rc == NGX_AGAIN) {
        return;
    }

    segment->said = condition;

    if (rc == NGX_DECLINED) {
        return;
    }

    if (segment->reason) {
        ngx_log_error(NGX_LOG_ERR, log, segment->err,
                      "upstream_health: segment \"%V\" %s%s, %s",
                      &segment->path,
                      segment->err ? "" : "is not usable: ", segment->reason,
                      ngx_http_upstream_health_shm_consequence(segment));

    } else if (previous) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "upstream_health: segment \"%V\" is in use, "
                      "health is enforced", &segment->path);
    }
}


static const char *
ngx_http_upstream_health_shm_consequence(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    ngx_uint_t                                 i;
    ngx_http_upstream_health_shm_srv_conf_t  **hscfp;

    if (segment->mapped) {
        return "the one before it is in use";
    }

    hscfp = segment->upstreams.elts;

    for (i = 0; i < segment->upstreams.nelts; i++) {

        if (hscfp[i]->pooled && hscfp[i]->snapshot == NULL) {
            return "health is ignored, upstreams without servers have no hosts";
        }
    }

    return "health is ignored";
}


void
ngx_http_upstream_health_shm_say_stale(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_log_t *log)
{
    uint64_t                                 condition, previous;
    ngx_int_t                                rc;
    ngx_http_upstream_health_shm_segment_t  *segment;

    condition = hscf->active ? NGX_HTTP_UPSTREAM_HEALTH_SHM_USABLE
                             : NGX_HTTP_UPSTREAM_HEALTH_SHM_STALE;

    if (condition == hscf->said) {
        return;
    }

    segment = hscf->segment;

    rc = ngx_http_upstream_health_shm_say(segment,
                                    NGX_HTTP_UPSTREAM_HEALTH_SHM_KEY_STALE
                                    | hscf->stale, condition, &previous);
    if (rc == NGX_AGAIN) {
        return;
    }

    hscf->said = condition;

    if (rc == NGX_DECLINED) {
        return;
    }

    if (!hscf->active) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "upstream_health: segment \"%V\" is stale, "
                      "no heartbeat for %Mms, health is ignored",
                      &segment->path, hscf->stale);

    } else if (previous) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "upstream_health: segment \"%V\" is alive again, "
                      "health is enforced", &segment->path);
    }
}
