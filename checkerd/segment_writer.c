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
#include "segment_private.h"

#include "clock.h"
#include "discard.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

/* Readers have looked at the name by then, and made up their tables. */
#define FORMER_US (5 * USEC_PER_SEC)

/* What of a host word routes; the rest changes without a new generation. */
#define ROUTING_BITS UINT64_C(0x00000000ffffffff)

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

/* After the change: see segment_private.h. */
static void touch(const struct mapping *mapping, uint32_t host)
{
	__atomic_store_n(&mapping->touched[host], 1, __ATOMIC_RELEASE);
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

/* The place after the last host's. */
static struct health_detail *journal(const struct mapping *mapping)
{
	return mapping_detail(mapping, mapping->shm.host_count);
}

/* A detail that a kill left half-written is in the journal as a whole. */
static void detail_mend(const struct mapping *mapping, uint32_t host)
{
	struct health_detail *detail = mapping_detail(mapping, host);
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
		store(mapping_word(mapping, event.host), event.word);
		mapping_detail(mapping, event.host)->changed_at_us = event.at_us;
	}
	store(&header->event_head, number);
}

static void mend(struct mapping *mapping)
{
	struct health_header *header = mapping->header;

	for (uint32_t i = 0; i < mapping->shm.host_count; i++) {
		if (!word_sound(*mapping_word(mapping, i)))
			store(mapping_word(mapping, i), 0);
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
	mapping->fd = fd;
	fd = -1;
	mapping->touched = calloc(mapping->shm.host_count + 1, 1);
	if (!mapping->touched)
		return -ENOMEM;
	writer->told = mapping->header->event_head;
	mend(mapping);
	return fchmod(mapping->fd, writer->mode) < 0 ? -errno : 0;
}

/* --- another file comes into force ---------------------------------------- */

static void sign(const struct segment_writer *writer,
                 struct health_header *header)
{
	header->writer_pid = (uint64_t) getpid();
	header->started_at_us = writer->started_at_us;
	snprintf(header->version, sizeof(header->version), "%s",
	         CHECKERD_VERSION);
}

/* What a reader may have missed while nobody wrote: anything. */
static void adopt(const struct segment_writer *writer, struct mapping *current)
{
	if (current->header->started_at_us == writer->started_at_us)
		return;
	sign(writer, current->header);
	move_generation(current, HEALTH_ALL_HOSTS);
}

static void close_file(void *object)
{
	close((int) (intptr_t) object);
}

static void let_go_of_former(struct segment_writer *writer)
{
	int fd = segment_take_former(writer);

	if (fd >= 0)
		discard(close_file, (void *) (intptr_t) fd);
}

static void hold_former(struct segment_writer *writer, struct mapping *before)
{
	writer->former_until_us = monotonic_us() + FORMER_US;
	__atomic_store_n(&writer->former_fd, before->fd, __ATOMIC_RELAXED);
	before->fd = -1;
}

static void begin_stream(struct health_header *header)
{
	if (getrandom(&header->stream, sizeof(header->stream), 0) !=
	    sizeof(header->stream))
		header->stream = header->created_at_us;
}

int segment_writer_activate(struct segment_writer *writer,
                            struct segment_draft *draft)
{
	struct mapping *current = &writer->current, *next = &draft->mapping;
	struct mapping before = *current;

	if (draft->fate == SEGMENT_ADOPTED) {
		adopt(writer, current);
		return 0;
	}
	begin_stream(next->header);
	segment_draft_complete(draft);
	next->shm.stream =
		next->header->stream; /* attached before it had one */
	sign(writer, next->header);
	store(&next->header->magic, HEALTH_MAGIC);
	draft->nameless = false;
	if (rename(writer->next_path, writer->path) < 0) {
		int r = -errno;

		unlink(writer->next_path);
		return r;
	}
	/* A kill right here leaves the old file unmarked; its heartbeat stands
	 * still then, which makes readers look at the name again. */
	if (before.header) {
		store(&before.header->generation,
		      before.header->generation | HEALTH_SUPERSEDED);
		hold_former(writer, &before);
	}
	*current = *next;
	*next = before;
	return 0;
}

/* --- life --------------------------------------------------------------- */

static int take_lock(struct segment_writer *writer, pid_t *ret_pid)
{
	CLEANUP(close_fd) int fd = -1;
	char path[SEGMENT_PATH_SIZE], text[32];
	ssize_t length;

	*ret_pid = 0;
	if (snprintf(path, sizeof(path), "%s.lock", writer->path) >=
	    (int) sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return -errno;
		length = pread(fd, text, sizeof(text) - 1, 0);
		text[length > 0 ? length : 0] = '\0';
		*ret_pid = (pid_t) strtol(text, NULL, 10);
		return -EBUSY;
	}
	length = snprintf(text, sizeof(text), "%ld\n", (long) getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t) length, 0) < 0)
		return -errno;
	writer->lock_fd = fd;
	fd = -1;
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
	writer->former_fd = -1;
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
	/* a draft that nobody cares for any more */
	if (writer->lock_fd >= 0)
		unlink(writer->next_path);
	mapping_clear(&writer->current);
	close_fd(&writer->former_fd);
	close_fd(&writer->lock_fd);
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
	return &writer->current.shm;
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
	const struct mapping *mapping = &writer->current;
	struct health_detail *detail = mapping_detail(mapping, writer->edited_host);

	writer->edited.journal_host = writer->edited_host;
	record_write(journal(mapping), &writer->edited, sizeof(*detail),
	             record_next(journal(mapping)));
	record_write(detail, &writer->edited, sizeof(*detail),
	             record_next(detail));
	touch(mapping, writer->edited_host);
}

uint64_t segment_writer_publish(struct segment_writer *writer,
                                const struct segment_change *change)
{
	struct mapping *mapping = &writer->current;
	struct health_header *header = mapping->header;
	uint64_t number = 0;
	bool routes = false;

	if (change->event) {
		number = header->event_head + 1;
		change->event->host = change->host;
		change->event->word = change->word;
		record_write(mapping_event(mapping, number), change->event,
		             sizeof(*change->event), number * 2);
	}
	if (change->host != HEALTH_ALL_HOSTS) {
		uint64_t *word = mapping_word(mapping, change->host);

		routes = ((*word ^ change->word) & ROUTING_BITS) != 0;
		store(word, change->word);
		store(mapping_pool_word(
			      mapping, mapping->shm.hosts[change->host].pool),
		      change->pool_word);
		touch(mapping, change->host);
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
	struct health_header *header = writer->current.header;

	store(&header->heartbeat_mono_us, mono_us);
	store(&header->heartbeat, header->heartbeat + 1);
	if (mono_us >= writer->former_until_us)
		let_go_of_former(writer);
}

static void raise_to(uint64_t *at, uint64_t value)
{
	if (value > *at)
		store(at, value);
}

void segment_writer_count_probe(struct segment_writer *writer,
                                uint64_t lateness_us)
{
	struct health_header *header = writer->current.header;
	uint64_t *bucket =
		&header->stats_lateness[health_lateness_bucket(lateness_us)];

	store(bucket, *bucket + 1);
	store(&header->stats_probes, header->stats_probes + 1);
	raise_to(&header->stats_lateness_us, lateness_us);
}

void segment_writer_count_inconclusive(struct segment_writer *writer)
{
	struct health_header *header = writer->current.header;

	store(&header->stats_inconclusive, header->stats_inconclusive + 1);
}

void segment_writer_count_lag(struct segment_writer *writer, uint64_t lag_us)
{
	raise_to(&writer->current.header->stats_loop_lag_us, lag_us);
}
