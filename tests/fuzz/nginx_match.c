/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A segment of hostile bytes before nginx: which host is which server of the
 * configuration, and where a host of a pool is to be connected to.  It is the
 * part of the module that follows offsets and reads texts; the rest looks at
 * words of fixed places.
 *
 * Without nginx: its allocator and the few functions below are ours.  The file
 * may change between the check and the use, as it may there.
 */
#include "hostile_segment.h"

#include "ngx_http_upstream_health_shm_pool.h"

#define NONE       NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE
#define BLOCKS_MAX 4096

typedef ngx_http_upstream_health_shm_srv_conf_t conf_t;
typedef ngx_http_upstream_health_shm_segment_t segment_t;

/* --- what is nginx's ---------------------------------------------------- */

static void *blocks[BLOCKS_MAX];
static size_t block_count;

void *ngx_palloc(ngx_pool_t *pool, size_t size)
{
	(void) pool;
	HOLDS(block_count < BLOCKS_MAX);
	blocks[block_count] = malloc(size);
	HOLDS(blocks[block_count] || size == 0);
	return blocks[block_count++];
}

void *ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
	return ngx_palloc(pool, size);
}

void *ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
	void *block = ngx_palloc(pool, size);

	return block ? memset(block, 0, size) : NULL;
}

static void free_blocks(void)
{
	while (block_count > 0)
		free(blocks[--block_count]);
}

ngx_int_t ngx_memn2cmp(u_char *a, u_char *b, size_t a_size, size_t b_size)
{
	size_t size = a_size < b_size ? a_size : b_size;
	int order = memcmp(a, b, size);

	if (order != 0 || a_size == b_size)
		return order;
	return a_size < b_size ? -1 : 1;
}

uint32_t ngx_murmur_hash2(u_char *data, size_t size)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < size; i++)
		hash = hash * 31 + data[i];
	return hash;
}

size_t ngx_sock_ntop(struct sockaddr *address, socklen_t size, u_char *text,
                     size_t text_size, ngx_uint_t port)
{
	HOLDS(size >= sizeof(sa_family_t) && text_size > 0 && port == 1);
	if (address->sa_family == AF_UNIX)
		HOLDS(memchr(((struct sockaddr_un *) address)->sun_path, '\0',
		             sizeof(((struct sockaddr_un *) 0)->sun_path)));
	memcpy(text, "address", 7);
	return 7;
}

/* Nobody shares the peers. */
void ngx_rwlock_rlock(ngx_atomic_t *lock)
{
	HOLDS(!lock);
}

void ngx_rwlock_unlock(ngx_atomic_t *lock)
{
	HOLDS(!lock);
}

/* Nobody looks at the words. */
ngx_int_t ngx_http_upstream_health_shm_refresh(conf_t *conf)
{
	(void) conf;
	return NGX_OK;
}

/* --- a configuration ---------------------------------------------------- */

#define UPSTREAMS 3
#define PEERS     3

struct configuration {
	conf_t confs[UPSTREAMS];
	conf_t *sorted[UPSTREAMS];
	ngx_http_upstream_srv_conf_t upstream;
	ngx_http_upstream_rr_peers_t peers;
	ngx_http_upstream_rr_peer_t peer[PEERS];
	ngx_sockaddr_t addresses[PEERS];
};

/* `spare`, and `web` twice, once without servers. */
static void configure(struct configuration *configuration, segment_t *segment)
{
	static char *const names[] = { "spare", "web", "web" };
	ngx_sockaddr_t *address = configuration->addresses;

	memset(configuration, 0, sizeof(*configuration));
	for (int i = 0; i < UPSTREAMS; i++) {
		conf_t *conf = &configuration->confs[i];

		conf->name.data = (u_char *) names[i];
		conf->name.len = strlen(names[i]);
		conf->upstream = &configuration->upstream;
		conf->segment = segment;
		conf->pooled = i == 2;
		configuration->sorted[i] = conf;
	}
	address[0].sockaddr_in.sin_family = AF_INET;
	address[0].sockaddr_in.sin_addr.s_addr = htonl(0x7f000001);
	address[0].sockaddr_in.sin_port = htons(1000 + 'a');
	address[1].sockaddr_in6.sin6_family = AF_INET6;
	address[2].sockaddr_un.sun_family = AF_UNIX;
	strcpy(address[2].sockaddr_un.sun_path, "/run/app.sock");
	for (int i = 0; i < PEERS; i++) {
		ngx_http_upstream_rr_peer_t *peer = &configuration->peer[i];

		peer->sockaddr = &address[i].sockaddr;
		peer->socklen = sizeof(*address);
		peer->next = i + 1 < PEERS ? peer + 1 : NULL;
	}
	configuration->peers.peer = configuration->peer;
	configuration->peers.number = PEERS;
	configuration->upstream.peer.data = &configuration->peers;
	segment->upstreams.elts = configuration->sorted;
	segment->upstreams.nelts = UPSTREAMS;
}

/* --- what holds --------------------------------------------------------- */

static void check_addresses(const struct health_shm *shm, conf_t *conf)
{
	HOLDS(conf->naddresses <= shm->host_count);
	HOLDS(conf->npools <= shm->pool_count);
	for (ngx_uint_t i = 0; i < conf->npools; i++)
		HOLDS(conf->pools[i] < shm->pool_count);
	for (ngx_uint_t i = 0; i < conf->naddresses; i++) {
		const ngx_str_t *key = &conf->addresses[i].key;
		ngx_uint_t first, end;

		HOLDS(conf->addresses[i].host < shm->host_count);
		first = ngx_http_upstream_health_shm_find(conf, key->data,
		                                          key->len);
		HOLDS(first <= i);
		end = ngx_http_upstream_health_shm_find_end(conf, first);
		HOLDS(end > i && end <= conf->naddresses);
	}
}

static void check_members(conf_t *conf)
{
	const ngx_http_upstream_health_shm_list_t *list = &conf->lists[0];

	HOLDS(list->nmembers == PEERS);
	for (ngx_uint_t i = 0; i < list->nmembers; i++)
		HOLDS(list->members[i].address == NONE ||
		      list->members[i].address < conf->naddresses);
}

static void check_hosts(struct health_shm *shm)
{
	ngx_http_upstream_health_shm_place_t place;

	for (uint32_t i = 0; i < shm->host_count; i++) {
		memset(&place, 0, sizeof(place));
		ngx_http_upstream_health_shm_locate(&place, shm, i);
		HOLDS(place.socklen <= sizeof(place.sockaddr));
		HOLDS(place.name.len <= sizeof(place.text));
		HOLDS((place.socklen > 0) == (place.name.len > 0));
		HOLDS(ngx_http_upstream_health_shm_configured(shm, i) > 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = hostile_segment(data, size);
	struct configuration configuration;
	segment_t segment = { 0 };
	unsigned char *exact;

	if (!bytes.data)
		return 0;
	exact = malloc(bytes.size);
	HOLDS(exact);
	memcpy(exact, bytes.data, bytes.size);
	if (!health_shm_attach(&segment.shm, exact, bytes.size)) {
		hostile_segment_change(&bytes);
		memcpy(exact, bytes.data, bytes.size);
		configure(&configuration, &segment);
		HOLDS(ngx_http_upstream_health_shm_link_pools(&segment) ==
		      NGX_OK);
		for (int i = 0; i < UPSTREAMS; i++) {
			conf_t *conf = &configuration.confs[i];
			ngx_uint_t work = (ngx_uint_t) -1;

			if (conf->pooled)
				continue;
			HOLDS(ngx_http_upstream_health_shm_match(
				      conf, &work) == NGX_OK);
			check_addresses(&segment.shm, conf);
			check_members(conf);
		}
		check_hosts(&segment.shm);
		free_blocks();
	}
	free(exact);
	free(bytes.data);
	return 0;
}
