/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What nginx and the segment do not know of each other: said once for each
 * file and upstream.
 */


#include "ngx_http_upstream_health_shm_pool.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_NAMES_LEN    1024


static ngx_int_t ngx_http_upstream_health_shm_say_unknown(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, uint32_t what);


/*
 * Servers that nginx has and the segment does not: a typing error, mostly.
 * Where "upstream_health_shm" in http{} merely covers an upstream that nobody
 * checks, there is nothing to say.
 */

void
ngx_http_upstream_health_shm_name_unknown(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_log_t *log)
{
    u_char                                  *p, *last;
    u_char                                   names[
                                      NGX_HTTP_UPSTREAM_HEALTH_SHM_NAMES_LEN];
    uint32_t                                 hash;
    ngx_int_t                                rc;
    ngx_uint_t                               n, more, number;
    ngx_http_upstream_rr_peer_t             *peer;
    ngx_http_upstream_rr_peers_t            *peers;
    ngx_http_upstream_health_shm_segment_t  *segment;

    if (!hscf->unnamed || hscf->foreign) {
        return;
    }

    if (hscf->complete) {
        hscf->unnamed = 0;
        return;
    }

    segment = hscf->segment;

    p = names;
    last = names + sizeof(names);
    n = 0;
    more = 0;
    number = 0;

    ngx_crc32_init(hash);

    for (peers = hscf->upstream->peer.data;
         peers && (hscf->npools || hscf->explicit);
         peers = peers->next)
    {
        ngx_http_upstream_rr_peers_rlock(peers);

        for (peer = peers->peer; peer; peer = peer->next) {
            number++;

            if (ngx_http_upstream_health_shm_find_sockaddr(hscf,
                                                peer->sockaddr, peer->socklen)
                != NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE)
            {
                continue;
            }

            n++;
            ngx_crc32_update(&hash, peer->name.data, peer->name.len);

            if ((size_t) (last - p) < peer->name.len + 2) {
                more++;
                continue;
            }

            p = ngx_slprintf(p, last, "%s%V", p == names ? "" : ", ",
                             &peer->name);
        }

        ngx_http_upstream_rr_peers_unlock(peers);
    }

    if (n == 0) {
        /* a list that is yet to be resolved has time */

        hscf->unnamed = (number == 0);
        return;
    }

    ngx_crc32_final(hash);

    rc = ngx_http_upstream_health_shm_say_unknown(hscf, hash);

    if (rc == NGX_AGAIN) {
        return;
    }

    hscf->unnamed = 0;

    if (rc == NGX_DECLINED) {
        return;
    }

    if (more) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "upstream_health: segment \"%V\" does not know these "
                      "servers of upstream \"%V\" as \"%V\", they count as up: "
                      "%*s and %ui more", &segment->path,
                      &hscf->upstream->host, &hscf->name,
                      (size_t) (p - names), names, more);
        return;
    }

    ngx_log_error(NGX_LOG_WARN, log, 0,
                  "upstream_health: segment \"%V\" does not know these "
                  "servers of upstream \"%V\" as \"%V\", they count as up: "
                  "%*s", &segment->path, &hscf->upstream->host, &hscf->name,
                  (size_t) (p - names), names);
}


/* An upstream that nobody can be sent to, or a host: said once for a file. */

void
ngx_http_upstream_health_shm_name_missing(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_log_t *log)
{
    ngx_http_upstream_health_shm_snapshot_t  *snapshot;

    snapshot = hscf->snapshot;

    if (!hscf->unnamed || snapshot == NULL || hscf->foreign) {
        return;
    }

    if (snapshot->nhosts && snapshot->unusable == 0) {
        hscf->unnamed = 0;
        return;
    }

    switch (ngx_http_upstream_health_shm_say_unknown(hscf,
                                                     snapshot->unusable)) {
    case NGX_AGAIN:
        return;

    case NGX_OK:

        if (snapshot->nhosts == 0) {
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "upstream_health: segment \"%V\" has no hosts for "
                          "upstream \"%V\" as \"%V\"",
                          &hscf->segment->path, &hscf->upstream->host,
                          &hscf->name);

        } else {
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "upstream_health: %ui hosts of upstream \"%V\" in "
                          "segment \"%V\" have no usable address",
                          snapshot->unusable, &hscf->upstream->host,
                          &hscf->segment->path);
        }
    }

    hscf->unnamed = 0;
}


/* `what` the mapped file does not know of an upstream; as say() */

static ngx_int_t
ngx_http_upstream_health_shm_say_unknown(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, uint32_t what)
{
    uint64_t    key, previous;
    ngx_str_t  *host;

    host = &hscf->upstream->host;

    key = (uint64_t) ngx_crc32_long(host->data, host->len) << 16
          | (host->len & 0xffff)
          | NGX_HTTP_UPSTREAM_HEALTH_SHM_KEY_UNKNOWN;

    return ngx_http_upstream_health_shm_say(hscf->segment, key,
                                            hscf->segment->inode << 32 ^ what,
                                            &previous);
}
