/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The new file has no name that a reader knows, so it is written in any
 * order.  Of the one in force the constant part never changes, and the rest is
 * read as readers do.
 */
#include "segment_private.h"

#include "clock.h"
#include "name_index.h"
#include "topology.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

_Static_assert(NAME_INDEX_NONE == HEALTH_ALL_HOSTS, "no such host");

/* --- the file ----------------------------------------------------------- */

static int open_file(struct segment_writer *writer, uint64_t size,
                     int *ret_fd, void **ret_base)
{
	CLEANUP(close_fd) int fd = -1;
	int former = segment_take_former(writer);
	int r;

	/* there is room for two files, not for three */
	close_fd(&former);
	/* left by a killed process: we hold the lock, so it is nobody's */
	if (unlink(writer->next_path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(writer->next_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
	          0600);
	if (fd < 0)
		return -errno;
	r = posix_fallocate(fd, 0, (off_t) size);
	if (r == 0 && fchmod(fd, writer->mode) < 0)
		r = errno;
	*ret_base = r ? MAP_FAILED
	              : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	                     0);
	if (*ret_base != MAP_FAILED) {
		*ret_fd = fd;
		fd = -1;
		return 0;
	}
	r = r ? r : errno;
	unlink(writer->next_path);
	return -r;
}

static int make_file(struct segment_draft *draft,
                     const struct topology *topology)
{
	uint64_t size = topology->header.size;
	struct mapping *mapping = &draft->mapping;
	struct health_header *header;
	const char *problem;
	uint64_t *slots;
	void *base = NULL;
	int r = open_file(draft->writer, size, &mapping->fd, &base);

	if (r < 0)
		return r;
	draft->nameless = true;
	mapping->header = header = base;
	mapping->shm.size = size;
	/* NOLINTNEXTLINE: that is where it was mapped */
	*header = topology->header;
	header->generation = 1;
	header->created_at_us = realtime_us();
	memcpy((unsigned char *) base + header->pools_at, topology->constant,
	       topology->constant_size);
	slots = (void *) ((unsigned char *) base + header->changes_at);
	for (uint32_t i = 0; i < header->change_capacity; i++)
		slots[i] = UINT64_MAX;
	header->magic = HEALTH_MAGIC; /* for our own attach */
	problem = health_shm_attach(&mapping->shm, base, size);
	header->magic = 0;
	if (problem) {
		mapping->shm.size = size;
		return -EBADMSG;
	}
	mapping->touched = calloc(mapping->shm.host_count + 1, 1);
	return mapping->touched ? 0 : -ENOMEM;
}

/* --- who is who --------------------------------------------------------- */

static void host_names(const struct health_shm *shm, uint32_t host,
                       struct health_text *ret_pool, struct health_text *ret_id)
{
	*ret_pool =
		health_shm_text(shm, shm->pools[shm->hosts[host].pool].name);
	*ret_id = health_shm_text(shm, shm->hosts[host].id);
}

static int match_hosts(struct segment_draft *draft,
                       const struct health_shm *old,
                       const struct health_shm *new)
{
	struct name_index *names = name_index_new(new->host_count);
	struct health_text pool, id;
	int r = names ? 0 : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < new->host_count; i++) {
		host_names(new, i, &pool, &id);
		r = name_index_add(names, pool.data, pool.size, id.data,
		                   id.size, i);
		draft->origins[i] = HEALTH_ALL_HOSTS;
	}
	for (uint32_t i = 0; r == 0 && i < old->host_count; i++) {
		uint32_t heir;

		host_names(old, i, &pool, &id);
		heir = name_index_find(names, pool.data, pool.size, id.data,
		                       id.size);
		draft->heirs[i] = heir;
		if (heir != HEALTH_ALL_HOSTS)
			draft->origins[heir] = i;
	}
	name_index_free(names);
	return r;
}

static int match_pools(struct segment_draft *draft,
                       const struct health_shm *old,
                       const struct health_shm *new)
{
	struct name_index *names = name_index_new(old->pool_count);
	int r = names ? 0 : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < old->pool_count; i++) {
		struct health_text name =
			health_shm_text(old, old->pools[i].name);

		r = name_index_add(names, name.data, name.size, "", 0, i);
	}
	for (uint32_t i = 0; r == 0 && i < new->pool_count; i++) {
		struct health_text name =
			health_shm_text(new, new->pools[i].name);

		draft->pool_origins[i] =
			name_index_find(names, name.data, name.size, "", 0);
	}
	name_index_free(names);
	return r;
}

static int match(struct segment_draft *draft)
{
	const struct health_shm *old = &draft->writer->current.shm;
	const struct health_shm *new = &draft->mapping.shm;
	int r;

	draft->heirs = calloc(old->host_count + 1, sizeof(*draft->heirs));
	draft->origins = calloc(new->host_count + 1, sizeof(*draft->origins));
	draft->pool_origins =
		calloc(new->pool_count + 1, sizeof(*draft->pool_origins));
	if (!draft->heirs || !draft->origins || !draft->pool_origins)
		return -ENOMEM;
	r = match_hosts(draft, old, new);
	return r < 0 ? r : match_pools(draft, old, new);
}

uint32_t segment_draft_origin(const struct segment_draft *draft, uint32_t host)
{
	if (draft->fate == SEGMENT_CREATED)
		return HEALTH_ALL_HOSTS;
	return draft->origins ? draft->origins[host] : host;
}

uint32_t segment_draft_heir(const struct segment_draft *draft, uint32_t host)
{
	return draft->heirs ? draft->heirs[host] : host;
}

/* --- what is known of them ---------------------------------------------- */

uint64_t segment_draft_recall(struct segment_draft *draft, uint32_t host,
                              struct health_detail *ret)
{
	const struct mapping *from = &draft->writer->current;
	uint32_t at = segment_draft_origin(draft, host);

	*ret = (struct health_detail) { 0 };
	if (at == HEALTH_ALL_HOSTS)
		return 0;
	__atomic_exchange_n(&from->touched[at], 0, __ATOMIC_ACQ_REL);
	health_shm_detail(&from->shm, at, ret);
	return health_shm_word(&from->shm, at);
}

uint32_t segment_draft_touched(const struct segment_draft *draft, uint32_t *at)
{
	const struct mapping *from = &draft->writer->current;

	if (draft->fate == SEGMENT_CREATED)
		return HEALTH_ALL_HOSTS;
	while (*at < from->shm.host_count) {
		uint32_t host = (*at)++;
		uint32_t heir;

		if (!__atomic_load_n(&from->touched[host], __ATOMIC_RELAXED))
			continue;
		heir = segment_draft_heir(draft, host);
		if (heir != HEALTH_ALL_HOSTS)
			return heir;
	}
	return HEALTH_ALL_HOSTS;
}

uint64_t segment_draft_recall_pool(const struct segment_draft *draft,
                                   uint32_t pool)
{
	uint32_t at = draft->pool_origins ? draft->pool_origins[pool] : pool;

	if (draft->fate == SEGMENT_CREATED || at == NAME_INDEX_NONE)
		return 0;
	return health_shm_pool_word(&draft->writer->current.shm, at);
}

void segment_draft_set(struct segment_draft *draft, uint32_t host,
                       uint64_t word, const struct health_detail *detail)
{
	segment_draft_set_word(draft, host, word);
	*mapping_detail(&draft->mapping, host) = *detail;
}

void segment_draft_set_word(struct segment_draft *draft, uint32_t host,
                            uint64_t word)
{
	*mapping_word(&draft->mapping, host) = word;
}

void segment_draft_set_pool(struct segment_draft *draft, uint32_t pool,
                            uint64_t word)
{
	*mapping_pool_word(&draft->mapping, pool) = word;
}

/* --- events and counters ------------------------------------------------ */

static void carry_events(struct segment_draft *draft)
{
	const struct health_shm *from = &draft->writer->current.shm;
	uint64_t head = health_shm_event_head(from);
	uint64_t first = health_shm_event_tail(from, head);
	uint64_t kept = health_shm_event_tail(&draft->mapping.shm, head);
	struct health_event event;

	if (first < kept)
		first = kept;
	if (first <= draft->events)
		first = draft->events + 1;
	for (uint64_t number = first; number <= head; number++) {
		if (!health_shm_event(from, number, &event))
			continue;
		event.host = event.host < from->host_count
		                     ? segment_draft_heir(draft, event.host)
		                     : HEALTH_ALL_HOSTS;
		*mapping_event(&draft->mapping, number) = event;
	}
	draft->events = head;
}

void segment_draft_complete(struct segment_draft *draft)
{
	const struct health_header *from = draft->writer->current.header;
	struct health_header *to = draft->mapping.header;

	if (!from)
		return;
	carry_events(draft);
	to->event_head = draft->events;
	to->stream = from->stream;
	to->generation = (from->generation & ~HEALTH_SUPERSEDED) + 1;
	to->heartbeat = from->heartbeat + 1;
	memcpy(&to->stats_probes, &from->stats_probes,
	       sizeof(*to) - offsetof(struct health_header, stats_probes));
}

/* --- life --------------------------------------------------------------- */

static int draft_file(struct segment_draft *draft,
                      const struct topology *topology)
{
	int r = make_file(draft, topology);

	if (r < 0 || draft->fate == SEGMENT_CREATED)
		return r;
	r = match(draft);
	if (r == 0)
		carry_events(draft);
	return r;
}

int segment_draft_new(struct segment_draft **ret,
                      struct segment_writer *writer,
                      const struct topology *topology)
{
	const struct health_header *current = writer->current.header;
	struct segment_draft *draft = calloc(1, sizeof(*draft));
	int r = 0;

	if (!draft)
		return -ENOMEM;
	draft->writer = writer;
	draft->fate = !current ? SEGMENT_CREATED
	              : topology_equal(topology, current) ? SEGMENT_ADOPTED
	                                                  : SEGMENT_REPLACED;
	if (draft->fate != SEGMENT_ADOPTED)
		r = draft_file(draft, topology);
	if (r < 0) {
		segment_draft_free(draft);
		return r;
	}
	*ret = draft;
	return 0;
}

void segment_draft_free(struct segment_draft *draft)
{
	if (!draft)
		return;
	if (draft->nameless)
		unlink(draft->writer->next_path);
	mapping_clear(&draft->mapping);
	free(draft->heirs);
	free(draft->origins);
	free(draft->pool_origins);
	free(draft);
}

enum segment_fate segment_draft_fate(const struct segment_draft *draft)
{
	return draft->fate;
}

const struct health_shm *segment_draft_shm(const struct segment_draft *draft)
{
	return draft->fate == SEGMENT_ADOPTED ? &draft->writer->current.shm
	                                      : &draft->mapping.shm;
}
