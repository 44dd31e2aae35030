/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who may be looking at the file while we write it: any number of readers
 * that never wait.  So each shared word is stored atomically, records go
 * through the sequence lock of their first word, and the order of a
 * transition's stores is the one that include/health_shm.h promises.
 *
 * The lock is on a file of its own beside the segment, because the segment's
 * name moves from one file to the next.  Not taken: locking by O_EXCL on a
 * pid file, which a kill leaves behind.
 */
#include "segment_writer.h"

#include "clock.h"
#include "name_index.h"
#include "topology.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#define PATH_SIZE 4096

/* What of a host word routes; the rest changes without a new generation. */
#define ROUTING_BITS UINT64_C(0x00000000ffffffff)

struct mapping {
	struct health_header *header; /* NULL: none */
	struct health_shm shm;
};

struct segment_writer {
	char path[PATH_SIZE];
	char next_path[PATH_SIZE]; /* where a new file is made */
	mode_t mode;
	uint64_t started_at_us;
	int lock_fd;
	struct mapping current;
	struct mapping next; /* between prepare and activate */
	const char *rejected;
	uint64_t told; /* event_head as it was found */
	segment_event_fn on_event;
	void *on_event_owner;
	uint32_t *carried; /* by old index; NULL: every host kept its number */
	uint32_t carried_count;
	/* the detail being edited */
	uint32_t edited_host;
	struct health_detail edited;
};

static void mapping_clear(struct mapping *mapping)
{
	if (mapping->header)
		munmap(mapping->header, mapping->shm.size);
	*mapping = (struct mapping) { 0 };
}

static struct mapping *target(struct segment_writer *writer)
{
	return writer->next.header ? &writer->next : &writer->current;
}

/* --- stores ------------------------------------------------------------- */

static void store(uint64_t *at, uint64_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/* The writing side of health_record_read(); `done` is the first word of the
 * finished record. */
static void record_write(void *record, const void *from, size_t size,
                         uint64_t done)
{
	health_alias64 *to = record;
	const health_alias64 *words = from;

	__atomic_store_n(to, done | 1, __ATOMIC_RELAXED);
	for (size_t i = 1; i < size / sizeof(*to); i++)
		if (to[i] != words[i])
			__atomic_store_n(&to[i], words[i], __ATOMIC_RELEASE);
	__atomic_store_n(to, done, __ATOMIC_RELEASE);
}

/* The value after the present one, whether that is odd (a kill) or even. */
static uint64_t record_next(const struct health_detail *detail)
{
	return (detail->lock + 2) & ~UINT64_C(1);
}

static uint64_t *host_word(const struct mapping *mapping, uint32_t host)
{
	return (uint64_t *) (mapping->shm.words +
	                     (uint64_t) host * HEALTH_WORD_STRIDE);
}

static uint64_t *pool_word(const struct mapping *mapping, uint32_t pool)
{
	return (uint64_t *) (mapping->shm.pool_words +
	                     (uint64_t) pool * HEALTH_WORD_STRIDE);
}

static struct health_event *event_slot(const struct mapping *mapping,
                                       uint64_t number)
{
	uint32_t mask = mapping->shm.event_capacity - 1;

	return (struct health_event *) &mapping->shm.events[number & mask];
}

/* The slot says which host, before the generation says that there is one. */
static void move_generation(struct mapping *mapping, uint32_t host)
{
	struct health_header *header = mapping->header;
	uint64_t generation = header->generation + 1;
	uint64_t *slots = (uint64_t *) mapping->shm.changes;

	store(&slots[generation & (mapping->shm.change_capacity - 1)],
	      generation << 32 | host);
	store(&header->generation, generation);
}

/* --- adoption ----------------------------------------------------------- */

/* The writer's reading of its predecessor's word: bits it could not have
 * written make it a host never seen. */
static bool word_sound(uint64_t word)
{
	return word >> 56 == 0 && health_word_verdict(word) <= HEALTH_DOWN &&
	       health_word_admin(word) <= HEALTH_ADMIN_DRAIN &&
	       health_word_outcome(word) < HEALTH_OUTCOME_COUNT &&
	       (health_word_weight(word) != 0 || !health_word_routable(word));
}

static struct health_detail *detail_of(const struct mapping *mapping,
                                       uint32_t host)
{
	return (struct health_detail *) &mapping->shm.details[host];
}

/* The place after the last host's. */
static struct health_detail *journal(const struct mapping *mapping)
{
	return detail_of(mapping, mapping->shm.host_count);
}

/* A detail that a kill left half-written is in the journal as a whole. */
static void detail_mend(const struct mapping *mapping, uint32_t host)
{
	struct health_detail *detail = detail_of(mapping, host);
	struct health_detail whole = *journal(mapping);

	if (detail->lock & 1) {
		if (whole.lock & 1 || whole.journal_host != host)
			whole = *detail;
		record_write(detail, &whole, sizeof(whole),
		             record_next(detail));
	}
	detail->check[sizeof(detail->check) - 1] = '\0';
	detail->message[sizeof(detail->message) - 1] = '\0';
	detail->reason[sizeof(detail->reason) - 1] = '\0';
	detail->agent_said[sizeof(detail->agent_said) - 1] = '\0';
	if (detail->reason_size >= sizeof(detail->reason))
		detail->reason_size = 0;
}

/* The event after the head, if its predecessor got as far as writing it. */
static void complete_transition(struct mapping *mapping)
{
	struct health_header *header = mapping->header;
	uint64_t number = header->event_head + 1;
	struct health_event event;

	if (!health_shm_event(&mapping->shm, number, &event) ||
	    event.kind == 0 || event.kind >= HEALTH_EVENT_KIND_COUNT)
		return;
	if (event.host < mapping->shm.host_count && word_sound(event.word)) {
		store(host_word(mapping, event.host), event.word);
		detail_of(mapping, event.host)->changed_at_us = event.at_us;
	}
	store(&header->event_head, number);
}

static void mend(struct mapping *mapping)
{
	struct health_header *header = mapping->header;

	for (uint32_t i = 0; i < mapping->shm.host_count; i++) {
		if (!word_sound(*host_word(mapping, i)))
			store(host_word(mapping, i), 0);
		detail_mend(mapping, i);
	}
	header->generation &= ~HEALTH_SUPERSEDED;
	complete_transition(mapping);
}

/* No process lives long enough to count so far: the numbers are not ours, and
 * would soon be more than readers take for numbers. */
static const char *implausible(const struct health_header *header)
{
	const uint64_t most = HEALTH_MAX_NUMBER / 2;

	return header->event_head >= most ||
	                       (header->generation & ~HEALTH_SUPERSEDED) >= most
	               ? "numbers out of bounds"
	               : NULL;
}

static int map_existing(struct segment_writer *writer)
{
	CLEANUP(close_fd) int fd = -1;
	struct mapping *mapping = &writer->current;
	struct stat st;
	void *base;

	fd = open(writer->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && (errno == EACCES || errno == EPERM || errno == ELOOP)) {
		writer->rejected = "not a file of ours";
		return 0;
	}
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
		writer->rejected = "not a file of ours";
		return 0;
	}
	if (st.st_size < (off_t) sizeof(struct health_header)) {
		writer->rejected = "too small";
		return 0;
	}
	base = mmap(NULL, (size_t) st.st_size, PROT_READ | PROT_WRITE,
	            MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	writer->rejected =
		health_shm_attach(&mapping->shm, base, (uint64_t) st.st_size);
	if (!writer->rejected)
		writer->rejected = implausible(base);
	if (writer->rejected) {
		munmap(base, (size_t) st.st_size);
		return 0;
	}
	mapping->header = base;
	writer->told = mapping->header->event_head;
	mend(mapping);
	return fchmod(fd, writer->mode) < 0 ? -errno : 0;
}

/* --- a new file --------------------------------------------------------- */

static int make_file(struct segment_writer *writer,
                     const struct topology *topology)
{
	CLEANUP(close_fd) int fd = -1;
	uint64_t size = topology->header.size;
	struct mapping *mapping = &writer->next;
	struct health_header *header;
	uint64_t *slots;
	void *base;
	int r;

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
	base = r ? MAP_FAILED
	         : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED) {
		r = r ? r : errno;
		unlink(writer->next_path);
		return -r;
	}

	header = base;
	*header = topology->header;
	header->magic = HEALTH_MAGIC; /* for our own attach; cleared below */
	header->generation = 1;
	header->created_at_us = realtime_us();
	memcpy((unsigned char *) base + header->pools_at, topology->constant,
	       topology->constant_size);
	slots = (void *) ((unsigned char *) base + header->changes_at);
	for (uint32_t i = 0; i < header->change_capacity; i++)
		slots[i] = UINT64_MAX;
	mapping->header = header;
	if (health_shm_attach(&mapping->shm, base, size)) {
		mapping->shm.size = size;
		mapping_clear(mapping);
		unlink(writer->next_path);
		return -EINVAL;
	}
	header->magic = 0;
	return 0;
}

static void host_names(const struct health_shm *shm, uint32_t host,
                       struct health_text *ret_pool, struct health_text *ret_id)
{
	*ret_pool =
		health_shm_text(shm, shm->pools[shm->hosts[host].pool].name);
	*ret_id = health_shm_text(shm, shm->hosts[host].id);
}

_Static_assert(NAME_INDEX_NONE == HEALTH_ALL_HOSTS, "no such host");

/* For each host of `old` its index in `new`, or HEALTH_ALL_HOSTS.  NULL if
 * memory ran out. */
static uint32_t *match_hosts(const struct health_shm *old,
                             const struct health_shm *new)
{
	uint32_t *map = malloc((old->host_count + 1) * sizeof(*map));
	struct name_index *names = name_index_new(new->host_count);
	struct health_text pool, id;
	int r = map && names ? 0 : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < new->host_count; i++) {
		host_names(new, i, &pool, &id);
		r = name_index_add(names, pool.data, pool.size, id.data,
		                   id.size, i);
	}
	for (uint32_t i = 0; r == 0 && i < old->host_count; i++) {
		host_names(old, i, &pool, &id);
		map[i] = name_index_find(names, pool.data, pool.size, id.data,
		                         id.size);
	}
	name_index_free(names);
	if (r < 0) {
		free(map);
		return NULL;
	}
	return map;
}

/* Of pools only whether they are in panic is not known from their hosts. */
static int carry_pools(const struct mapping *from, struct mapping *to)
{
	struct name_index *names = name_index_new(from->shm.pool_count);
	int r = names ? 0 : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < from->shm.pool_count; i++) {
		struct health_text name =
			health_shm_text(&from->shm, from->shm.pools[i].name);

		r = name_index_add(names, name.data, name.size, "", 0, i);
	}
	for (uint32_t i = 0; r == 0 && i < to->shm.pool_count; i++) {
		struct health_text name =
			health_shm_text(&to->shm, to->shm.pools[i].name);
		uint32_t at =
			name_index_find(names, name.data, name.size, "", 0);

		if (at != NAME_INDEX_NONE)
			*pool_word(to, i) = *pool_word(from, at);
	}
	name_index_free(names);
	return r;
}

static void carry_events(const struct mapping *from, struct mapping *to,
                         const uint32_t *map)
{
	uint64_t head = from->header->event_head;
	uint64_t number = health_shm_event_tail(&from->shm, head);
	uint64_t kept = health_shm_event_tail(&to->shm, head);
	struct health_event event;

	for (number = number > kept ? number : kept; number <= head; number++) {
		if (!health_shm_event(&from->shm, number, &event))
			continue;
		event.host = event.host < from->shm.host_count
		                     ? map[event.host]
		                     : HEALTH_ALL_HOSTS;
		record_write(event_slot(to, number), &event, sizeof(event),
		             number * 2);
	}
	to->header->event_head = head;
}

static int carry_over(struct segment_writer *writer)
{
	const struct mapping *from = &writer->current;
	struct mapping *to = &writer->next;
	uint32_t *map = match_hosts(&from->shm, &to->shm);

	if (!map)
		return -ENOMEM;
	writer->carried = map;
	writer->carried_count = from->shm.host_count;
	for (uint32_t i = 0; i < from->shm.host_count; i++) {
		if (map[i] == HEALTH_ALL_HOSTS)
			continue;
		*host_word(to, map[i]) = *host_word(from, i);
		*detail_of(to, map[i]) = *detail_of(from, i);
	}
	carry_events(from, to, map);
	if (carry_pools(from, to) < 0)
		return -ENOMEM;
	to->header->stream = from->header->stream;
	to->header->generation =
		(from->header->generation & ~HEALTH_SUPERSEDED) + 1;
	to->header->heartbeat = from->header->heartbeat + 1;
	memcpy(&to->header->stats_probes, &from->header->stats_probes,
	       sizeof(*to->header) -
	               offsetof(struct health_header, stats_probes));
	return 0;
}

static void sign(const struct segment_writer *writer,
                 struct health_header *header)
{
	header->writer_pid = (uint64_t) getpid();
	header->started_at_us = writer->started_at_us;
	snprintf(header->version, sizeof(header->version), "%s",
	         CHECKERD_VERSION);
}

int segment_writer_prepare(struct segment_writer *writer,
                           const struct topology *topology)
{
	struct mapping *current = &writer->current, *next = &writer->next;
	int r;

	/* one that was prepared and never activated */
	mapping_clear(next);
	free(writer->carried);
	writer->carried = NULL;
	if (current->header && topology_equal(topology, current->header)) {
		if (current->header->started_at_us != writer->started_at_us) {
			sign(writer, current->header);
			/* what a reader may have missed: anything */
			move_generation(current, HEALTH_ALL_HOSTS);
		}
		return SEGMENT_ADOPTED;
	}
	r = make_file(writer, topology);
	if (r < 0)
		return r;
	sign(writer, next->header);
	if (current->header)
		r = carry_over(writer);
	else if (getrandom(&next->header->stream, sizeof(uint64_t), 0) !=
	         sizeof(uint64_t))
		next->header->stream = next->header->created_at_us;
	if (r < 0) {
		mapping_clear(next);
		unlink(writer->next_path);
		return r;
	}
	next->shm.stream =
		next->header->stream; /* attached before it had one */
	return current->header ? SEGMENT_REPLACED : SEGMENT_CREATED;
}

uint32_t segment_writer_carried(const struct segment_writer *writer,
                                uint32_t host)
{
	if (!writer->carried)
		return host;
	return host < writer->carried_count ? writer->carried[host]
	                                    : HEALTH_ALL_HOSTS;
}

int segment_writer_activate(struct segment_writer *writer)
{
	struct mapping *current = &writer->current, *next = &writer->next;

	if (!next->header)
		return 0;
	store(&next->header->magic, HEALTH_MAGIC);
	if (rename(writer->next_path, writer->path) < 0) {
		int r = -errno;

		mapping_clear(next);
		unlink(writer->next_path);
		return r;
	}
	/* A kill right here leaves the old file unmarked; its heartbeat stands
	 * still then, which makes readers look at the name again. */
	if (current->header)
		store(&current->header->generation,
		      current->header->generation | HEALTH_SUPERSEDED);
	mapping_clear(current);
	*current = *next;
	*next = (struct mapping) { 0 };
	return 0;
}

/* --- life --------------------------------------------------------------- */

static int take_lock(struct segment_writer *writer, pid_t *ret_pid)
{
	char path[PATH_SIZE], text[32];
	ssize_t length;

	*ret_pid = 0;
	if (snprintf(path, sizeof(path), "%s.lock", writer->path) >=
	    (int) sizeof(path))
		return -ENAMETOOLONG;
	writer->lock_fd =
		open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (writer->lock_fd < 0)
		return -errno;
	if (flock(writer->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return -errno;
		length = pread(writer->lock_fd, text, sizeof(text) - 1, 0);
		text[length > 0 ? length : 0] = '\0';
		*ret_pid = (pid_t) strtol(text, NULL, 10);
		return -EBUSY;
	}
	length = snprintf(text, sizeof(text), "%ld\n", (long) getpid());
	if (ftruncate(writer->lock_fd, 0) < 0 ||
	    pwrite(writer->lock_fd, text, (size_t) length, 0) < 0)
		return -errno;
	return 0;
}

int segment_writer_new(struct segment_writer **ret, const char *path,
                       mode_t mode, pid_t *ret_pid)
{
	struct segment_writer *writer = calloc(1, sizeof(*writer));
	int r;

	if (!writer)
		return -ENOMEM;
	writer->lock_fd = -1;
	writer->mode = mode;
	writer->started_at_us = realtime_us();
	if (snprintf(writer->path, sizeof(writer->path), "%s", path) >=
	            (int) sizeof(writer->path) ||
	    snprintf(writer->next_path, sizeof(writer->next_path), "%s.new",
	             path) >= (int) sizeof(writer->next_path))
		r = -ENAMETOOLONG;
	else
		r = take_lock(writer, ret_pid);
	if (r == 0)
		r = map_existing(writer);
	if (r < 0) {
		segment_writer_free(writer);
		return r;
	}
	*ret = writer;
	return 0;
}

void segment_writer_free(struct segment_writer *writer)
{
	if (!writer)
		return;
	if (writer->next.header)
		unlink(writer->next_path);
	mapping_clear(&writer->next);
	mapping_clear(&writer->current);
	close_fd(&writer->lock_fd);
	free(writer->carried);
	free(writer);
}

const char *segment_writer_rejected(const struct segment_writer *writer)
{
	return writer->rejected;
}

uint64_t segment_writer_told(const struct segment_writer *writer)
{
	return writer->told;
}

const struct health_shm *segment_writer_shm(const struct segment_writer *writer)
{
	return &target((struct segment_writer *) writer)->shm;
}

/* --- what the daemon says ----------------------------------------------- */

const struct health_detail *
segment_writer_detail(const struct segment_writer *writer, uint32_t host)
{
	return &segment_writer_shm(writer)->details[host];
}

struct health_detail *segment_writer_edit(struct segment_writer *writer,
                                          uint32_t host)
{
	writer->edited_host = host;
	writer->edited = *segment_writer_detail(writer, host);
	return &writer->edited;
}

void segment_writer_commit(struct segment_writer *writer)
{
	const struct mapping *mapping = target(writer);
	struct health_detail *detail = detail_of(mapping, writer->edited_host);

	writer->edited.journal_host = writer->edited_host;
	record_write(journal(mapping), &writer->edited, sizeof(*detail),
	             record_next(journal(mapping)));
	record_write(detail, &writer->edited, sizeof(*detail),
	             record_next(detail));
}

uint64_t segment_writer_publish(struct segment_writer *writer,
                                const struct segment_change *change)
{
	struct mapping *mapping = target(writer);
	struct health_header *header = mapping->header;
	uint64_t number = 0;
	bool routes = false;

	if (change->event) {
		number = header->event_head + 1;
		change->event->host = change->host;
		change->event->word = change->word;
		record_write(event_slot(mapping, number), change->event,
		             sizeof(*change->event), number * 2);
	}
	if (change->host != HEALTH_ALL_HOSTS) {
		uint64_t *word = host_word(mapping, change->host);

		routes = ((*word ^ change->word) & ROUTING_BITS) != 0;
		store(word, change->word);
		store(pool_word(mapping, mapping->shm.hosts[change->host].pool),
		      change->pool_word);
	}
	if (change->event)
		store(&header->event_head, number);
	if (routes)
		move_generation(mapping, change->host);
	if (change->event && writer->on_event)
		writer->on_event(writer->on_event_owner);
	return number;
}

void segment_writer_on_event(struct segment_writer *writer,
                             segment_event_fn on_event, void *owner)
{
	writer->on_event = on_event;
	writer->on_event_owner = owner;
}

void segment_writer_beat(struct segment_writer *writer, uint64_t mono_us)
{
	struct health_header *header = target(writer)->header;

	store(&header->heartbeat_mono_us, mono_us);
	store(&header->heartbeat, header->heartbeat + 1);
}

static void raise_to(uint64_t *at, uint64_t value)
{
	if (value > *at)
		store(at, value);
}

void segment_writer_count_probe(struct segment_writer *writer,
                                uint64_t lateness_us)
{
	struct health_header *header = target(writer)->header;
	uint64_t *bucket =
		&header->stats_lateness[health_lateness_bucket(lateness_us)];

	store(bucket, *bucket + 1);
	store(&header->stats_probes, header->stats_probes + 1);
	raise_to(&header->stats_lateness_us, lateness_us);
}

void segment_writer_count_inconclusive(struct segment_writer *writer)
{
	struct health_header *header = target(writer)->header;

	store(&header->stats_inconclusive, header->stats_inconclusive + 1);
}

void segment_writer_count_lag(struct segment_writer *writer, uint64_t lag_us)
{
	raise_to(&target(writer)->header->stats_loop_lag_us, lag_us);
}
