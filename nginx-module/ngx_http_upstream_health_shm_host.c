/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A host of the segment as nginx has it: where to connect to, what
 * $upstream_addr says, and which host of the topology before it is.
 *
 * The file is not trusted: texts are bounded, and addresses are spelled anew
 * from their binary form, since they end up in logs and in headers.  A host
 * that has no address nginx could connect to keeps its place and never gets a
 * request.
 *
 * A host is the same one in the next topology if pool, id and address are.
 * Pool and id are compared by hash: should two of one address ever be mistaken
 * for each other, one inherits the failures of the other.
 */


#include "ngx_http_upstream_health_shm_pool.h"


static ngx_int_t ngx_http_upstream_health_shm_set_sockaddr(
    ngx_sockaddr_t *sa, socklen_t *socklen, struct health_shm *shm,
    uint32_t number);
static uint64_t ngx_http_upstream_health_shm_identity(struct health_shm *shm,
    uint32_t number, ngx_str_t *name);


/* Without an address that could be connected to, it has none. */

void
ngx_http_upstream_health_shm_locate(
    ngx_http_upstream_health_shm_place_t *place, struct health_shm *shm,
    uint32_t number)
{
    ngx_memzero(&place->sockaddr, sizeof(ngx_sockaddr_t));

    place->name.data = place->text;
    place->name.len = 0;

    if (ngx_http_upstream_health_shm_set_sockaddr(&place->sockaddr,
                                                  &place->socklen, shm, number)
        == NGX_OK)
    {
        place->name.len = ngx_sock_ntop(&place->sockaddr.sockaddr,
                                        place->socklen, place->text,
                                        NGX_SOCKADDR_STRLEN, 1);

    } else {
        place->socklen = 0;
    }

    place->identity = ngx_http_upstream_health_shm_identity(shm, number,
                                                            &place->name);
}


static ngx_int_t
ngx_http_upstream_health_shm_set_sockaddr(ngx_sockaddr_t *sa,
    socklen_t *socklen, struct health_shm *shm, uint32_t number)
{
    size_t   len;
    u_char  *p, *last;
    u_char   key[NGX_HTTP_UPSTREAM_HEALTH_SHM_KEY_LEN];

    len = ngx_http_upstream_health_shm_host_key(shm, number, key);

    if (len == 0) {
        return NGX_DECLINED;
    }

    /* family, port, address */

    switch (key[0]) {

    case HEALTH_IPV4:
        *socklen = sizeof(struct sockaddr_in);
        sa->sockaddr_in.sin_family = AF_INET;
        ngx_memcpy(&sa->sockaddr_in.sin_port, &key[1], 2);
        ngx_memcpy(&sa->sockaddr_in.sin_addr, &key[3], 4);
        return NGX_OK;

#if (NGX_HAVE_INET6)
    case HEALTH_IPV6:
        *socklen = sizeof(struct sockaddr_in6);
        sa->sockaddr_in6.sin6_family = AF_INET6;
        ngx_memcpy(&sa->sockaddr_in6.sin6_port, &key[1], 2);
        ngx_memcpy(&sa->sockaddr_in6.sin6_addr, &key[3], 16);
        return NGX_OK;
#endif

#if (NGX_HAVE_UNIX_DOMAIN)
    case HEALTH_UNIX:
        last = key + len;

        if (len - 3 >= sizeof(sa->sockaddr_un.sun_path)) {
            return NGX_DECLINED;
        }

        for (p = &key[3]; p < last; p++) {
            if (*p < 0x20 || *p == 0x7f) {
                return NGX_DECLINED;
            }
        }

        *socklen = sizeof(struct sockaddr_un);
        sa->sockaddr_un.sun_family = AF_UNIX;
        ngx_memcpy(sa->sockaddr_un.sun_path, &key[3], len - 3);
        return NGX_OK;
#endif

    default:
        return NGX_DECLINED;
    }
}


uint32_t
ngx_http_upstream_health_shm_configured(struct health_shm *shm, uint32_t host)
{
    uint32_t  weight;

    weight = *(const volatile uint16_t *) &shm->details[host].weight;

    return ngx_max(weight, 1);
}


static uint64_t
ngx_http_upstream_health_shm_identity(struct health_shm *shm, uint32_t number,
    ngx_str_t *name)
{
    uint32_t    at[2], hash[2], rest;
    ngx_uint_t  i;

    at[0] = ngx_http_upstream_health_shm_get32(&shm->hosts[number].id);
    at[1] = ngx_http_upstream_health_shm_get32(&shm->hosts[number].pool);
    at[1] = (at[1] < shm->pool_count)
            ? ngx_http_upstream_health_shm_get32(&shm->pools[at[1]].name)
            : 0;

    for (i = 0; i < 2; i++) {
        if (at[i] >= shm->strings_size) {
            at[i] = 0;
        }

        rest = ngx_min(shm->strings_size - at[i], HEALTH_NAME_SIZE);

        hash[i] = ngx_murmur_hash2((u_char *) shm->strings + at[i],
                                   strnlen(shm->strings + at[i], rest));
    }

    return (uint64_t) hash[0] << 32
           ^ (uint64_t) hash[1] << 16
           ^ ngx_murmur_hash2(name->data, name->len);
}
