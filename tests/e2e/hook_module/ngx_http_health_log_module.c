/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The smallest module that binds to health events: writes a line for each, in
 * every worker.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_upstream_health_shm.h>


static void ngx_http_health_log_handler(const struct health_event *event,
    ngx_uint_t first, void *data);
static ngx_int_t ngx_http_health_log_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_health_log_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_health_log_init,              /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_health_log_module = {
    NGX_MODULE_V1,
    &ngx_http_health_log_module_ctx,       /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void
ngx_http_health_log_handler(const struct health_event *event, ngx_uint_t first,
    void *data)
{
    ngx_str_t  *greeting = data;

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "health_log: %V %s pool=%s host=%s first=%ui", greeting,
                  health_event_name(event->kind), event->pool, event->host_id,
                  first);
}


static ngx_int_t
ngx_http_health_log_init(ngx_conf_t *cf)
{
    ngx_str_t  *greeting;

    greeting = ngx_palloc(cf->pool, sizeof(ngx_str_t));
    if (greeting == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(greeting, "bound");

    return ngx_http_upstream_health_shm_bind(cf, ngx_http_health_log_handler,
                                             greeting);
}
