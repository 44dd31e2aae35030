/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Events: one line each in the error log of the instance, and the hook for
 * other modules in every worker.
 *
 * Each worker reads the whole ring at its own pace, a batch at a time, and
 * claims in the shared zone those that nobody has logged.  Text from the
 * segment is not trusted: what could forge a line is escaped.
 */


#include "ngx_http_upstream_health_shm_module.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_LINE_LEN  1536

#define NGX_HTTP_UPSTREAM_HEALTH_SHM_HOST      1  /* what a line is about */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_OUTCOME   2


static void ngx_http_upstream_health_shm_log_event(uint64_t number,
    struct health_event *event, ngx_log_t *log);
static u_char *ngx_http_upstream_health_shm_escape(u_char *p, u_char *last,
    const char *label, const char *text, const char *quote);


static struct {
    ngx_uint_t  level;
    ngx_uint_t  fields;
} ngx_http_upstream_health_shm_kinds[HEALTH_EVENT_KIND_COUNT] = {
    { 0, 0 },
    { NGX_LOG_NOTICE, NGX_HTTP_UPSTREAM_HEALTH_SHM_HOST
                      |NGX_HTTP_UPSTREAM_HEALTH_SHM_OUTCOME },
    { NGX_LOG_WARN, NGX_HTTP_UPSTREAM_HEALTH_SHM_HOST
                    |NGX_HTTP_UPSTREAM_HEALTH_SHM_OUTCOME },
    { NGX_LOG_NOTICE, NGX_HTTP_UPSTREAM_HEALTH_SHM_HOST
                      |NGX_HTTP_UPSTREAM_HEALTH_SHM_OUTCOME },
    { NGX_LOG_WARN, NGX_HTTP_UPSTREAM_HEALTH_SHM_HOST },
    { NGX_LOG_WARN, 0 },
    { NGX_LOG_NOTICE, 0 }
};


/* NGX_AGAIN: there are more, come back soon */

ngx_int_t
ngx_http_upstream_health_shm_events(
    ngx_http_upstream_health_shm_main_conf_t *hmcf,
    ngx_http_upstream_health_shm_segment_t *segment, ngx_log_t *log)
{
    uint64_t                              n, head, tail, last, first;
    ngx_uint_t                            i, own;
    struct health_event                   event;
    ngx_http_upstream_health_shm_hook_t  *hook;

    head = health_shm_event_head(&segment->shm);

    if (segment->seen >= head) {
        segment->seen = head;
        return NGX_OK;
    }

    last = head;

    if (head - segment->seen > NGX_HTTP_UPSTREAM_HEALTH_SHM_BATCH) {
        last = segment->seen + NGX_HTTP_UPSTREAM_HEALTH_SHM_BATCH;
    }

    tail = health_shm_event_tail(&segment->shm, head);

    if (last < tail - 1) {

        /* overtaken by the ring */

        last = tail - 1;
    }

    if (ngx_http_upstream_health_shm_claim(segment, last, &first) != NGX_OK) {
        return NGX_AGAIN;
    }

    hook = hmcf->hooks.elts;

    n = segment->seen;

    while (n != last) {
        n++;

        if (n < tail) {
            if (first < tail) {
                segment->lost += tail - ngx_max(n, first);
            }

            n = tail - 1;
            continue;
        }

        own = (n >= first);

        if (!health_shm_event(&segment->shm, n, &event)
            || event.kind == 0 || event.kind >= HEALTH_EVENT_KIND_COUNT)
        {
            segment->lost += own;
            continue;
        }

        if (own) {
            ngx_http_upstream_health_shm_log_event(n, &event, log);
        }

        for (i = 0; i < hmcf->hooks.nelts; i++) {
            hook[i].handler(&event, own, hook[i].data);
        }
    }

    segment->seen = last;

    if (last < head) {
        return NGX_AGAIN;
    }

    if (segment->lost) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "upstream_health: %uL events of segment \"%V\" are lost",
                      segment->lost, &segment->path);
        segment->lost = 0;
    }

    return NGX_OK;
}


static void
ngx_http_upstream_health_shm_log_event(uint64_t number,
    struct health_event *event, ngx_log_t *log)
{
    u_char      *p, *last;
    u_char       line[NGX_HTTP_UPSTREAM_HEALTH_SHM_LINE_LEN];
    ngx_uint_t   level, fields;

    level = ngx_http_upstream_health_shm_kinds[event->kind].level;
    fields = ngx_http_upstream_health_shm_kinds[event->kind].fields;

    p = line;
    last = line + sizeof(line);

    p = ngx_http_upstream_health_shm_escape(p, last, " upstream=",
                                            event->upstream, "\"");
    p = ngx_http_upstream_health_shm_escape(p, last, " pool=", event->pool,
                                            "\"");

    if (fields & NGX_HTTP_UPSTREAM_HEALTH_SHM_HOST) {
        p = ngx_http_upstream_health_shm_escape(p, last, " host=",
                                                event->host_id, "\"");
        p = ngx_http_upstream_health_shm_escape(p, last, " addr=",
                                                event->address, "");
    }

    if (fields & NGX_HTTP_UPSTREAM_HEALTH_SHM_OUTCOME) {
        p = ngx_slprintf(p, last, " failcount=%uD outcome=%s",
                         event->failcount,
                         health_outcome_name(event->outcome));

        if (event->http_status) {
            p = ngx_slprintf(p, last, " status=%ud",
                             (ngx_uint_t) event->http_status);
        }
    }

    ngx_log_error(level, log, 0, "upstream_health: %s%*s seq=%uL",
                  health_event_name(event->kind),
                  (size_t) (p - line), line, number);
}


static u_char *
ngx_http_upstream_health_shm_escape(u_char *p, u_char *last,
    const char *label, const char *text, const char *quote)
{
    u_char  ch;

    p = ngx_slprintf(p, last, "%s%s", label, quote);

    while (*text && last - p > 4) {
        ch = (u_char) *text++;

        if (ch < 0x20 || ch >= 0x7f || ch == '"' || ch == '\\'
            || (ch == ' ' && *quote == '\0'))
        {
            p = ngx_slprintf(p, last, "\\x%02Xd", (ngx_uint_t) ch);

        } else {
            *p++ = ch;
        }
    }

    return ngx_slprintf(p, last, "%s", quote);
}


ngx_int_t
ngx_http_upstream_health_shm_bind(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_handler_pt handler, void *data)
{
    ngx_http_upstream_health_shm_hook_t       *hook;
    ngx_http_upstream_health_shm_main_conf_t  *hmcf;

    hmcf = ngx_http_conf_get_module_main_conf(cf,
                                          ngx_http_upstream_health_shm_module);

    hook = ngx_array_push(&hmcf->hooks);
    if (hook == NULL) {
        return NGX_ERROR;
    }

    hook->handler = handler;
    hook->data = data;

    return NGX_OK;
}
