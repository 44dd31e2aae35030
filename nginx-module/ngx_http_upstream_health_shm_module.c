/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Active health for nginx's upstreams: peers that checkerd holds down get no
 * requests.  This file is what nginx sees of the module: its directive and
 * which upstreams it covers.
 *
 *   upstream_health_shm [FILE] [upstream=NAME] [key=EXPRESSION] [stale=TIME]
 *                       | off;
 *   context: http, upstream
 *
 * Live failures go to "report.sock" in the folder of FILE, see report.c.
 *
 * All upstreams are covered at postconfiguration, when balancers, keepalive
 * and their like have put their own handlers in place: ours wrap whatever is
 * there, in any order of directives.
 */


#include "ngx_http_upstream_health_shm_pool.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_PATH       "/run/checkerd/health.shm"
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_STALE      30000
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_MIN_STALE  1000
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_STALE  86400000


static char *ngx_http_upstream_health_shm(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_upstream_health_shm_set_file(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_str_t *value);
static char *ngx_http_upstream_health_shm_set_upstream(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_str_t *value);
static char *ngx_http_upstream_health_shm_set_stale(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_str_t *value);
static char *ngx_http_upstream_health_shm_set_key(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_str_t *value);

static void *ngx_http_upstream_health_shm_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_upstream_health_shm_create_srv_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_upstream_health_shm_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_upstream_health_shm_cover(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf,
    ngx_http_upstream_health_shm_srv_conf_t *hscf);
static ngx_http_upstream_health_shm_segment_t *
    ngx_http_upstream_health_shm_get_segment(ngx_conf_t *cf, ngx_str_t *path);
static int ngx_libc_cdecl ngx_http_upstream_health_shm_cmp_upstreams(
    const void *one, const void *two);
static ngx_int_t ngx_http_upstream_health_shm_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_upstream_health_shm_init_process(ngx_cycle_t *cycle);
static void ngx_http_upstream_health_shm_exit_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_upstream_health_shm_commands[] = {

    { ngx_string("upstream_health_shm"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_UPS_CONF|NGX_CONF_ANY,
      ngx_http_upstream_health_shm,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static struct {
    ngx_str_t   name;
    char     *(*set)(ngx_conf_t *cf,
                     ngx_http_upstream_health_shm_srv_conf_t *hscf,
                     ngx_str_t *value);
} ngx_http_upstream_health_shm_parameters[] = {
    { ngx_string("upstream="), ngx_http_upstream_health_shm_set_upstream },
    { ngx_string("stale="), ngx_http_upstream_health_shm_set_stale },
    { ngx_string("key="), ngx_http_upstream_health_shm_set_key },
    { ngx_string(""), ngx_http_upstream_health_shm_set_file }
};


static ngx_http_module_t  ngx_http_upstream_health_shm_module_ctx = {
    ngx_http_upstream_health_shm_add_variables, /* preconfiguration */
    ngx_http_upstream_health_shm_init,     /* postconfiguration */

    ngx_http_upstream_health_shm_create_main_conf, /* create main
                                                      configuration */
    ngx_http_upstream_health_shm_init_main_conf, /* init main configuration */

    ngx_http_upstream_health_shm_create_srv_conf, /* create server
                                                     configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_upstream_health_shm_module = {
    NGX_MODULE_V1,
    &ngx_http_upstream_health_shm_module_ctx, /* module context */
    ngx_http_upstream_health_shm_commands, /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_upstream_health_shm_init_module, /* init module */
    ngx_http_upstream_health_shm_init_process, /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_upstream_health_shm_exit_process, /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_upstream_health_shm(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_upstream_health_shm_srv_conf_t  *hscf = conf;

    char       *rc;
    ngx_str_t  *value, name, rest;
    ngx_uint_t  i, n;

    if (hscf->enable != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        hscf->enable = 0;
        return NGX_CONF_OK;
    }

    hscf->enable = 1;

    for (i = 1; i < cf->args->nelts; i++) {

        for (n = 0; /* void */ ; n++) {
            name = ngx_http_upstream_health_shm_parameters[n].name;

            if (value[i].len >= name.len
                && ngx_strncmp(value[i].data, name.data, name.len) == 0)
            {
                break;
            }
        }

        rest.data = value[i].data + name.len;
        rest.len = value[i].len - name.len;

        if (rest.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "empty value in parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        rc = ngx_http_upstream_health_shm_parameters[n].set(cf, hscf, &rest);

        if (rc == NGX_CONF_OK) {
            continue;
        }

        if (rc != NGX_CONF_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "parameter \"%V\" %s", &value[i], rc);
        }

        return NGX_CONF_ERROR;
    }

    if (cf->cmd_type == NGX_HTTP_UPS_CONF) {
        return ngx_http_upstream_health_shm_place(cf, hscf);
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_upstream_health_shm_set_file(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_str_t *value)
{
    if (ngx_strcmp(value->data, "off") == 0) {
        return "must stand alone";
    }

    if (ngx_strlchr(value->data, value->data + value->len, '=')) {
        return "is unknown, allowed are a file, \"upstream=\", \"key=\" and "
               "\"stale=\"";
    }

    if (hscf->path.data) {
        return "is a second file";
    }

    hscf->path = *value;

    if (ngx_conf_full_name(cf->cycle, &hscf->path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_upstream_health_shm_set_upstream(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_str_t *value)
{
    if (hscf->name.data) {
        return "is duplicate";
    }

    if (cf->cmd_type == NGX_HTTP_MAIN_CONF) {
        return "is allowed in \"upstream\" only";
    }

    hscf->name = *value;

    return NGX_CONF_OK;
}


static char *
ngx_http_upstream_health_shm_set_stale(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_str_t *value)
{
    ngx_int_t  stale;

    if (hscf->stale != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    stale = ngx_parse_time(value, 0);

    if (stale < NGX_HTTP_UPSTREAM_HEALTH_SHM_MIN_STALE
        || stale > NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_STALE)
    {
        return "must be a time from 1s to 1d";
    }

    hscf->stale = stale;

    return NGX_CONF_OK;
}


static char *
ngx_http_upstream_health_shm_set_key(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_str_t *value)
{
    ngx_http_compile_complex_value_t  ccv;

    if (hscf->key) {
        return "is duplicate";
    }

    if (cf->cmd_type == NGX_HTTP_MAIN_CONF) {
        return "is allowed in \"upstream\" only";
    }

    hscf->key = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (hscf->key == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = hscf->key;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_upstream_health_shm_create_main_conf(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t                        *cln;
    ngx_http_upstream_health_shm_main_conf_t  *hmcf;

    hmcf = ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_upstream_health_shm_main_conf_t));
    if (hmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&hmcf->segments, cf->pool, 1,
                       sizeof(ngx_http_upstream_health_shm_segment_t *))
        != NGX_OK
        || ngx_array_init(&hmcf->upstreams, cf->pool, 4,
                          sizeof(ngx_http_upstream_health_shm_srv_conf_t *))
           != NGX_OK
        || ngx_array_init(&hmcf->hooks, cf->pool, 1,
                          sizeof(ngx_http_upstream_health_shm_hook_t))
           != NGX_OK)
    {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_upstream_health_shm_stop;
    cln->data = hmcf;

    return hmcf;
}


static void *
ngx_http_upstream_health_shm_create_srv_conf(ngx_conf_t *cf)
{
    ngx_http_upstream_health_shm_srv_conf_t  *hscf;

    hscf = ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_upstream_health_shm_srv_conf_t));
    if (hscf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     hscf->path = { 0, NULL };
     *     hscf->name = { 0, NULL };
     *     hscf->key = NULL;
     *     and all that is for covered upstreams
     */

    hscf->enable = NGX_CONF_UNSET;
    hscf->stale = NGX_CONF_UNSET_MSEC;

    return hscf;
}


static ngx_int_t
ngx_http_upstream_health_shm_init(ngx_conf_t *cf)
{
    ngx_uint_t                                 i;
    ngx_http_upstream_srv_conf_t             **uscfp;
    ngx_http_upstream_main_conf_t             *umcf;
    ngx_http_upstream_health_shm_segment_t   **segment;
    ngx_http_upstream_health_shm_srv_conf_t   *hscf, *parent;
    ngx_http_upstream_health_shm_main_conf_t  *hmcf;

    hmcf = ngx_http_conf_get_module_main_conf(cf,
                                          ngx_http_upstream_health_shm_module);
    parent = ngx_http_conf_get_module_srv_conf(cf,
                                          ngx_http_upstream_health_shm_module);

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        /* skip implicit upstreams */
        if (uscfp[i]->srv_conf == NULL) {
            continue;
        }

        hscf = ngx_http_conf_upstream_srv_conf(uscfp[i],
                                          ngx_http_upstream_health_shm_module);

        hscf->explicit = (hscf->enable == 1);

        ngx_conf_merge_value(hscf->enable, parent->enable, 0);
        ngx_conf_merge_str_value(hscf->path, parent->path, "");
        ngx_conf_merge_msec_value(hscf->stale, parent->stale,
                                  NGX_HTTP_UPSTREAM_HEALTH_SHM_STALE);

        if (!hscf->enable) {
            continue;
        }

        if (hscf->path.len == 0) {
            ngx_str_set(&hscf->path, NGX_HTTP_UPSTREAM_HEALTH_SHM_PATH);
        }

        if (hscf->name.len == 0) {
            hscf->name = uscfp[i]->host;
        }

        if (ngx_http_upstream_health_shm_cover(cf, uscfp[i], hscf)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    segment = hmcf->segments.elts;

    for (i = 0; i < hmcf->segments.nelts; i++) {
        ngx_qsort(segment[i]->upstreams.elts, segment[i]->upstreams.nelts,
                  sizeof(ngx_http_upstream_health_shm_srv_conf_t *),
                  ngx_http_upstream_health_shm_cmp_upstreams);
    }

    return ngx_http_upstream_health_shm_name_variables(cf, hmcf);
}


static ngx_int_t
ngx_http_upstream_health_shm_cover(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf,
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    ngx_uint_t                                  level;
    ngx_http_upstream_rr_peers_t               *peers;
    ngx_http_upstream_health_shm_srv_conf_t   **hscfp;
    ngx_http_upstream_health_shm_main_conf_t   *hmcf;

    /*
     * Balancers build on round robin's list of peers.  One that has a list
     * of its own has no `down` that we could set.
     */

    peers = uscf->peer.data;

    if (peers == NULL || peers->name != &uscf->host) {
        level = hscf->explicit ? NGX_LOG_EMERG : NGX_LOG_WARN;

        ngx_log_error(level, cf->log, 0,
                      "\"upstream_health_shm\" does not go with the load "
                      "balancing method of upstream \"%V\" in %s:%ui",
                      &uscf->host, uscf->file_name, uscf->line);

        return hscf->explicit ? NGX_ERROR : NGX_OK;
    }

    if (hscf->key && !hscf->pooled) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "parameter \"key=\" of \"upstream_health_shm\" is for "
                      "upstreams without servers: use \"hash\" in upstream "
                      "\"%V\" in %s:%ui",
                      &uscf->host, uscf->file_name, uscf->line);
        return NGX_ERROR;
    }

    hscf->segment = ngx_http_upstream_health_shm_get_segment(cf, &hscf->path);
    if (hscf->segment == NULL) {
        return NGX_ERROR;
    }

    hmcf = ngx_http_conf_get_module_main_conf(cf,
                                          ngx_http_upstream_health_shm_module);

    hscfp = ngx_array_push(&hmcf->upstreams);
    if (hscfp == NULL) {
        return NGX_ERROR;
    }

    *hscfp = hscf;

    hscfp = ngx_array_push(&hscf->segment->upstreams);
    if (hscfp == NULL) {
        return NGX_ERROR;
    }

    *hscfp = hscf;

    hscf->upstream = uscf;
    hscf->word = hscf->segment->word;
    hscf->generation = hscf->segment->generation;

    hscf->original_init_peer = uscf->peer.init;

    if (hscf->pooled) {
        hscf->slot = peers->peer;
        uscf->peer.init = ngx_http_upstream_health_shm_init_pool_peer;

    } else {
        uscf->peer.init = ngx_http_upstream_health_shm_init_peer;
    }

    return NGX_OK;
}


static ngx_http_upstream_health_shm_segment_t *
ngx_http_upstream_health_shm_get_segment(ngx_conf_t *cf, ngx_str_t *path)
{
    ngx_uint_t                                 i;
    ngx_http_upstream_health_shm_segment_t    *segment, **segments;
    ngx_http_upstream_health_shm_main_conf_t  *hmcf;

    hmcf = ngx_http_conf_get_module_main_conf(cf,
                                          ngx_http_upstream_health_shm_module);
    segments = hmcf->segments.elts;

    for (i = 0; i < hmcf->segments.nelts; i++) {

        if (segments[i]->path.len == path->len
            && ngx_strncmp(segments[i]->path.data, path->data, path->len) == 0)
        {
            return segments[i];
        }
    }

    segment = ngx_pcalloc(cf->pool,
                          sizeof(ngx_http_upstream_health_shm_segment_t));
    if (segment == NULL) {
        return NULL;
    }

    segment->path = *path;
    segment->event = &hmcf->event;

    ngx_http_upstream_health_shm_unmapped(segment);
    ngx_http_upstream_health_shm_set_report(cf, segment);

    if (ngx_array_init(&segment->upstreams, cf->pool, 4,
                       sizeof(ngx_http_upstream_health_shm_srv_conf_t *))
        != NGX_OK
        || ngx_http_upstream_health_shm_add_zone(cf, segment) != NGX_OK)
    {
        return NULL;
    }

    segments = ngx_array_push(&hmcf->segments);
    if (segments == NULL) {
        return NULL;
    }

    *segments = segment;

    return segment;
}


static int ngx_libc_cdecl
ngx_http_upstream_health_shm_cmp_upstreams(const void *one, const void *two)
{
    ngx_str_t  *first, *second;

    first = &(*(ngx_http_upstream_health_shm_srv_conf_t **) one)->name;
    second = &(*(ngx_http_upstream_health_shm_srv_conf_t **) two)->name;

    return (int) ngx_memn2cmp(first->data, second->data,
                              first->len, second->len);
}


/*
 * A reload without a master process calls no init_process.  The old cycle's
 * zones are unmapped right after this, so its timer must be gone by then.
 */

static ngx_int_t
ngx_http_upstream_health_shm_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                                 i;
    ngx_http_upstream_health_shm_segment_t   **segment;
    ngx_http_upstream_health_shm_main_conf_t  *hmcf;

    hmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                          ngx_http_upstream_health_shm_module);

    if (hmcf) {
        segment = hmcf->segments.elts;

        for (i = 0; i < hmcf->segments.nelts; i++) {
            ngx_http_upstream_health_shm_begin_cycle(segment[i]);
        }
    }

    if (ngx_process == NGX_PROCESS_SINGLE
        && !ngx_is_init_cycle(cycle->old_cycle))
    {
        return ngx_http_upstream_health_shm_init_process(cycle);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_upstream_health_shm_init_process(ngx_cycle_t *cycle)
{
    ngx_http_upstream_health_shm_main_conf_t  *hmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    hmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                          ngx_http_upstream_health_shm_module);

    ngx_http_upstream_health_shm_start(hmcf, cycle);

    return NGX_OK;
}


static void
ngx_http_upstream_health_shm_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_upstream_health_shm_leave();
}
