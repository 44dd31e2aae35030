/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An upstream without servers.  nginx refuses one, so the directive puts a
 * placeholder into the list of servers.  Once all is read, but before nginx
 * and its balancers make anything of that list, the placeholder either leaves
 * it, because there are servers after all, or becomes the only peer of stock
 * round robin.
 *
 * That peer never serves: it is the slot by which pool mode hands out the host
 * that it has picked.  What wraps the balancer, such as keepalive, is thus
 * left in its place and need not know.  A balancer of our own, below keepalive
 * as the others are, was not possible: before 1.29.7 keepalive remembers while
 * it is read whom it wraps, when it is not known yet whether servers follow,
 * and to register one in case would make nginx warn of the next balancer.
 *
 * This is why the module is in the list of modules before nginx's own
 * "upstream" module, see `config`.
 *
 * Balancers write uscf->flags anew, all of them.  A bit of ours in there tells
 * whether one has come after us.
 */


#include "ngx_http_upstream_health_shm_module.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_MARK  0x40000000


static ngx_int_t ngx_http_upstream_health_shm_check_pooled(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf,
    ngx_http_upstream_health_shm_srv_conf_t *hscf);


static struct sockaddr  ngx_http_upstream_health_shm_nowhere = {
    .sa_family = AF_UNSPEC
};


/* The directive was read in upstream{}. */

char *
ngx_http_upstream_health_shm_place(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    ngx_http_upstream_server_t    *server;
    ngx_http_upstream_srv_conf_t  *uscf;

    uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

    if (uscf->servers->nelts) {
        return NGX_CONF_OK;
    }

    server = ngx_array_push(uscf->servers);
    if (server == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(server, sizeof(ngx_http_upstream_server_t));

    hscf->placed = 1;
    hscf->late = (uscf->peer.init_upstream != NULL);

    uscf->flags |= NGX_HTTP_UPSTREAM_HEALTH_SHM_MARK;

    return NGX_CONF_OK;
}


char *
ngx_http_upstream_health_shm_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_uint_t                                i;
    ngx_addr_t                               *addr;
    ngx_http_upstream_server_t               *server;
    ngx_http_upstream_srv_conf_t             *uscf, **uscfp;
    ngx_http_upstream_main_conf_t            *umcf;
    ngx_http_upstream_health_shm_srv_conf_t  *hscf;

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {
        uscf = uscfp[i];

        /* skip implicit upstreams */
        if (uscf->srv_conf == NULL) {
            continue;
        }

        hscf = ngx_http_conf_upstream_srv_conf(uscf,
                                          ngx_http_upstream_health_shm_module);

        if (!hscf->placed) {
            continue;
        }

        server = uscf->servers->elts;

        if (uscf->servers->nelts > 1) {
            uscf->servers->nelts--;

            ngx_memmove(&server[0], &server[1],
                        uscf->servers->nelts
                        * sizeof(ngx_http_upstream_server_t));
            continue;
        }

        if (ngx_http_upstream_health_shm_check_pooled(cf, uscf, hscf)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        addr = ngx_palloc(cf->pool, sizeof(ngx_addr_t));
        if (addr == NULL) {
            return NGX_CONF_ERROR;
        }

        addr->sockaddr = &ngx_http_upstream_health_shm_nowhere;
        addr->socklen = sizeof(struct sockaddr);
        ngx_str_set(&addr->name, "upstream_health_shm");

        server->name = addr->name;
        server->addrs = addr;
        server->naddrs = 1;
        server->weight = 1;

        hscf->pooled = 1;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_upstream_health_shm_check_pooled(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf,
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    ngx_uint_t  other;

    other = hscf->late || !(uscf->flags & NGX_HTTP_UPSTREAM_HEALTH_SHM_MARK);

#if (nginx_version >= 1029007)

    /* keepalive does without it; "sticky", which needs servers, does not */

    other |= (uscf->peer.init_upstream != NULL);

#endif

    if (other) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "upstream \"%V\" in %s:%ui has no servers, so "
                      "\"upstream_health_shm\" balances by itself: use "
                      "\"balance\" in checkerd.ini in place of other load "
                      "balancing methods, and \"keepalive\" after "
                      "\"upstream_health_shm\" only",
                      &uscf->host, uscf->file_name, uscf->line);
        return NGX_ERROR;
    }

#if (NGX_HTTP_UPSTREAM_ZONE)

    if (uscf->shm_zone) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "upstream \"%V\" in %s:%ui has no servers to keep in a "
                      "zone, its hosts are shared by \"upstream_health_shm\": "
                      "remove \"zone\"",
                      &uscf->host, uscf->file_name, uscf->line);
        return NGX_ERROR;
    }

#endif

    return NGX_OK;
}
