/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What other nginx modules may rely on: to be told of every event of the
 * health segments that this nginx reads.
 *
 *   static void
 *   my_handler(const struct health_event *event, ngx_uint_t first, void *data)
 *
 *   static ngx_int_t
 *   my_postconfiguration(ngx_conf_t *cf)
 *   {
 *       return ngx_http_upstream_health_shm_bind(cf, my_handler, my_data);
 *   }
 *
 * A handler is bound while the configuration is read and lives as long as
 * that configuration: a reload starts with none.  It is called in every
 * worker, once for each event and in their order, from the worker's event
 * loop and never from inside a request, no later than a second after the
 * event and at once under traffic; for the last events, when the worker ends
 * with its instance.  It must not block.
 *
 * `first` is 1 in exactly one worker of the nginx instance, the one that also
 * writes the event's line to the error log, and 0 in all others.
 *
 * The event is a checked copy: its strings are terminated, but they come from
 * a file that nginx does not trust.  It is valid during the call only.
 * The functions are found at load time: a dynamic module that binds must be
 * loaded after ngx_http_upstream_health_shm_module.
 */
#ifndef _NGX_HTTP_UPSTREAM_HEALTH_SHM_H_INCLUDED_
#define _NGX_HTTP_UPSTREAM_HEALTH_SHM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "health_shm.h"


typedef void (*ngx_http_upstream_health_shm_handler_pt)(
    const struct health_event *event, ngx_uint_t first, void *data);


ngx_int_t ngx_http_upstream_health_shm_bind(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_handler_pt handler, void *data);


#endif /* _NGX_HTTP_UPSTREAM_HEALTH_SHM_H_INCLUDED_ */
