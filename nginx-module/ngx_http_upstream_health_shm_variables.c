/* SPDX-License-Identifier: BSD-2-Clause
 *
 * $upstream_health_up_NAME   how many hosts of upstream{} NAME take traffic,
 *                            by the segment; how many servers are not
 *                            configured `down`, or hosts no person took out,
 *                            while health is ignored; empty if NAME is no
 *                            covered upstream
 * $upstream_health_seq       the last event acted on when this request's peer
 *                            was picked; empty if none was
 *
 * A variable's name has letters, digits and underscores only and nginx makes
 * it lower case, so NAME is compared without case, and any other character of
 * an upstream's name is written as an underscore.  Two names that become one
 * by that are warned of.
 */


#include "ngx_http_upstream_health_shm_pool.h"


static ngx_int_t ngx_http_upstream_health_shm_up_variable(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_upstream_health_shm_seq_variable(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static int ngx_libc_cdecl ngx_http_upstream_health_shm_cmp_variables(
    const void *one, const void *two);
static ngx_http_upstream_health_shm_srv_conf_t *
    ngx_http_upstream_health_shm_by_variable(
    ngx_http_upstream_health_shm_main_conf_t *hmcf, u_char *name, size_t len);


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_UP_PREFIX  "upstream_health_up_"


static ngx_http_variable_t  ngx_http_upstream_health_shm_vars[] = {

    { ngx_string(NGX_HTTP_UPSTREAM_HEALTH_SHM_UP_PREFIX), NULL,
      ngx_http_upstream_health_shm_up_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

    { ngx_string("upstream_health_seq"), NULL,
      ngx_http_upstream_health_shm_seq_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_upstream_health_shm_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_upstream_health_shm_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_upstream_health_shm_up_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t  *name = (ngx_str_t *) data;

    size_t                                     len;
    u_char                                    *p;
    uint64_t                                   up;
    ngx_uint_t                                 i;
    ngx_http_upstream_rr_peers_t              *peers;
    ngx_http_upstream_health_shm_srv_conf_t   *hscf;
    ngx_http_upstream_health_shm_main_conf_t  *hmcf;

    hmcf = ngx_http_get_module_main_conf(r,
                                         ngx_http_upstream_health_shm_module);

    len = sizeof(NGX_HTTP_UPSTREAM_HEALTH_SHM_UP_PREFIX) - 1;

    hscf = ngx_http_upstream_health_shm_by_variable(hmcf, name->data + len,
                                                    name->len - len);

    if (hscf == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    up = 0;

    if (hscf->active && hscf->npools) {

        for (i = 0; i < hscf->npools; i++) {
            up += health_pool_word_routable(
                             health_shm_pool_word(&hscf->segment->shm,
                                                  hscf->pools[i]));
        }

    } else if (hscf->pooled) {
        up = hscf->snapshot ? hscf->snapshot->usable : 0;

    } else {

        for (peers = hscf->upstream->peer.data; peers; peers = peers->next) {
            up += peers->tries;
        }
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(p, "%uL", up) - p;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;
    v->data = p;

    return NGX_OK;
}


/* Names as variables have them, in their order. */

ngx_int_t
ngx_http_upstream_health_shm_name_variables(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_main_conf_t *hmcf)
{
    u_char                                     ch;
    size_t                                     n;
    ngx_str_t                                 *host, *name;
    ngx_uint_t                                 i;
    ngx_http_upstream_health_shm_srv_conf_t  **hscfp;

    hscfp = hmcf->upstreams.elts;

    for (i = 0; i < hmcf->upstreams.nelts; i++) {
        host = &hscfp[i]->upstream->host;
        name = &hscfp[i]->variable;

        name->len = host->len;
        name->data = ngx_pnalloc(cf->pool, host->len);
        if (name->data == NULL) {
            return NGX_ERROR;
        }

        for (n = 0; n < host->len; n++) {
            ch = ngx_tolower(host->data[n]);

            name->data[n] = ((ch < 'a' || ch > 'z') && (ch < '0' || ch > '9'))
                            ? '_' : ch;
        }
    }

    ngx_qsort(hscfp, hmcf->upstreams.nelts,
              sizeof(ngx_http_upstream_health_shm_srv_conf_t *),
              ngx_http_upstream_health_shm_cmp_variables);

    for (i = 1; i < hmcf->upstreams.nelts; i++) {

        if (ngx_http_upstream_health_shm_cmp_variables(&hscfp[i - 1],
                                                       &hscfp[i])
            == 0)
        {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "upstreams \"%V\" and \"%V\" share the variable "
                          "$" NGX_HTTP_UPSTREAM_HEALTH_SHM_UP_PREFIX "%V, "
                          "which is that of one of them",
                          &hscfp[i - 1]->upstream->host,
                          &hscfp[i]->upstream->host, &hscfp[i]->variable);
        }
    }

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_http_upstream_health_shm_cmp_variables(const void *one, const void *two)
{
    ngx_str_t  *first, *second;

    first = &(*(ngx_http_upstream_health_shm_srv_conf_t **) one)->variable;
    second = &(*(ngx_http_upstream_health_shm_srv_conf_t **) two)->variable;

    return (int) ngx_memn2cmp(first->data, second->data,
                              first->len, second->len);
}


static ngx_http_upstream_health_shm_srv_conf_t *
ngx_http_upstream_health_shm_by_variable(
    ngx_http_upstream_health_shm_main_conf_t *hmcf, u_char *name, size_t len)
{
    ngx_int_t                                  rc;
    ngx_uint_t                                 i, lo, hi;
    ngx_http_upstream_health_shm_srv_conf_t  **hscfp;

    hscfp = hmcf->upstreams.elts;

    lo = 0;
    hi = hmcf->upstreams.nelts;

    while (lo < hi) {
        i = (lo + hi) / 2;

        rc = ngx_memn2cmp(hscfp[i]->variable.data, name,
                          hscfp[i]->variable.len, len);
        if (rc == 0) {
            return hscfp[i];
        }

        if (rc < 0) {
            lo = i + 1;

        } else {
            hi = i;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_upstream_health_shm_seq_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                                    *p;
    ngx_http_upstream_health_shm_peer_data_t  *hp;

    hp = ngx_http_get_module_ctx(r, ngx_http_upstream_health_shm_module);

    if (hp == NULL || hp->seq == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(p, "%uL", hp->seq) - p;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;
    v->data = p;

    return NGX_OK;
}
