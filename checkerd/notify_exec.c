/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A program is run for each event.
 *
 * It gets nothing of ours: no descriptor but the standard ones, no signal
 * mask, no environment.  It is started as by vfork(): a copy of a process
 * that holds a large fleet would take longer than a probe may be late.  The
 * document is a file in memory on its standard input, which needs nobody to
 * write it, is of no harm when it is not read, and can be read twice.
 *
 * Who runs is a process group.  It ends with its leader: what is left of it
 * then is killed, while the leader, not yet waited for, keeps its number from
 * being anybody else's.
 *
 * An event whose program could not even be started because checkerd was short
 * of files, memory or processes is held until it can: that is no answer of the
 * receiver's.
 */
#include "notify_private.h"

#include "clock.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#define GRACE_US    (2 * USEC_PER_SEC) /* from SIGTERM to SIGKILL */
#define ACCURACY_US (10 * USEC_PER_MSEC)
#define AGAIN_US    (200 * USEC_PER_MSEC)

/* When checkerd itself ends. */
#define FAREWELL_US      USEC_PER_SEC
#define FAREWELL_STEP_NS 10000000L

struct run {
	struct notify_exec *exec;
	pid_t pid;       /* 0: a free place; also the number of the group */
	uint64_t number; /* of the event */
	uint32_t timeout_ms;
	bool overdue;
	sd_event_source *child;
	sd_event_source *timer;
};

struct notify_exec {
	struct receiver receiver;
	sd_event *event;
	const struct notify_config *config;
	struct run runs[CONFIG_EXEC_MAX];
	struct notice *held;    /* could not be begun; NULL: none */
	uint64_t said;          /* event that was last said to be held */
	sd_event_source *again; /* enabled: to begin it */
};

/* --- what it is given --------------------------------------------------- */

static void free_list(char ***list)
{
	for (char **at = *list; at && *at; at++)
		free(*at);
	free(*list);
}

/* At least one, or NULL if memory ran out. */
static char **split(const char *command)
{
	CLEANUP(free_list)
	char **words = calloc(strlen(command) / 2 + 2, sizeof(*words));
	char **list = words;

	for (size_t i = 0; words; i++) {
		size_t size;

		command += strspn(command, CONFIG_BLANKS);
		size = strcspn(command, CONFIG_BLANKS);
		if (size == 0)
			break;
		words[i] = strndup(command, size);
		if (!words[i])
			return NULL;
		command += size;
	}
	words = NULL;
	return list;
}

/* "CHECKERD_HTTP_STATUS=503"; null is empty. */
static char *variable(const char *key, const json_t *value)
{
	char name[32], *text;
	size_t i;
	int r;

	for (i = 0; i < sizeof(name) - 1 && key[i] != '\0'; i++)
		name[i] = key[i] >= 'a' && key[i] <= 'z'
		                  ? (char) (key[i] - 'a' + 'A')
		                  : key[i];
	name[i] = '\0';
	if (json_is_integer(value))
		r = asprintf(&text, "CHECKERD_%s=%" JSON_INTEGER_FORMAT, name,
		             json_integer_value(value));
	else
		r = asprintf(&text, "CHECKERD_%s=%s", name,
		             json_is_string(value) ? json_string_value(value)
		                                   : "");
	return r < 0 ? NULL : text;
}

/* The members of the document, so that the two cannot differ. */
static char **environment(json_t *document)
{
	CLEANUP(free_list)
	char **words = calloc(json_object_size(document) + 2, sizeof(*words));
	char **list = words;
	const char *key;
	json_t *value;
	size_t used = 0;

	if (!words)
		return NULL;
	words[used] = strdup(PATH);
	if (!words[used++])
		return NULL;
	json_object_foreach(document, key, value)
	{
		words[used] = variable(key, value);
		if (!words[used++])
			return NULL;
	}
	words = NULL;
	return list;
}

/* The document as a file of one line.  Returns a negative errno or the file. */
static int input(const struct notice *notice)
{
	CLEANUP(close_fd) int fd = memfd_create("event", MFD_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	errno = ENOSPC; /* what a short write does not say */
	if (write(fd, notice->text, notice->size) != (ssize_t) notice->size ||
	    write(fd, "\n", 1) != 1 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	ret = fd;
	fd = -1;
	return ret;
}

/* --- how it is started -------------------------------------------------- */

static int spawn(pid_t *ret, char **words, char **variables, int stdin_fd)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r;

	r = posix_spawn_file_actions_init(&files);
	if (r)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r) {
		posix_spawn_file_actions_destroy(&files);
		return -r;
	}
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK |
	                                              POSIX_SPAWN_SETSIGDEF |
	                                              POSIX_SPAWN_SETPGROUP);
	r = posix_spawn_file_actions_adddup2(&files, stdin_fd, STDIN_FILENO);
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(&files,
		                                             STDERR_FILENO + 1);
	if (!r)
		/* NOLINTNEXTLINE: a program has a name */
		r = posix_spawn(ret, words[0], &files, &attributes, words,
		                variables);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return -r;
}

static int run_program(struct run *run, const struct notice *notice)
{
	CLEANUP(free_list) char **words = split(run->exec->config->exec);
	CLEANUP(free_list) char **variables = environment(notice->document);
	CLEANUP(close_fd) int fd = input(notice);

	if (!words || !variables)
		return -ENOMEM;
	if (fd < 0)
		return fd;
	return spawn(&run->pid, words, variables, fd);
}

/* --- how it ends -------------------------------------------------------- */

static void run_clear(struct run *run)
{
	run->child = sd_event_source_disable_unref(run->child);
	run->timer = sd_event_source_disable_unref(run->timer);
	run->pid = 0;
	run->overdue = false;
}

/* Says what came of it; `status` is of siginfo_t. */
static void say_end(const struct run *run, int code, int status)
{
	if (run->overdue)
		log_warning("exec: event %" PRIu64 ": still ran after %u ms, "
		            "and was ended",
		            run->number, run->timeout_ms);
	else if (code != CLD_EXITED)
		log_warning("exec: event %" PRIu64 ": died of SIG%s",
		            run->number, sigabbrev_np(status) ?: "?");
	else if (status != 0)
		log_warning("exec: event %" PRIu64 ": ended with status %d",
		            run->number, status);
}

static int on_end(sd_event_source *source, const siginfo_t *info,
                  void *userdata)
{
	struct run *run = userdata;
	struct receiver *receiver = &run->exec->receiver;
	bool good = info->si_code == CLD_EXITED && info->si_status == 0 &&
	            !run->overdue;

	(void) source;
	say_end(run, info->si_code, info->si_status);
	kill(-run->pid, SIGKILL);
	run_clear(run);
	receiver->counters.delivered += good;
	receiver->counters.failed += !good;
	receiver_done(receiver);
	return 0;
}

static int on_timeout(sd_event_source *source, uint64_t due_us, void *userdata)
{
	struct run *run = userdata;

	(void) due_us;
	kill(-run->pid, run->overdue ? SIGKILL : SIGTERM);
	if (run->overdue)
		return 0;
	run->overdue = true;
	sd_event_source_set_time(source, monotonic_us() + GRACE_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int watch(struct run *run)
{
	sd_event *event = run->exec->event;
	uint64_t due_us = monotonic_us() + run->timeout_ms * USEC_PER_MSEC;
	int r;

	r = sd_event_add_child(event, &run->child, run->pid, WEXITED, on_end,
	                       run);
	if (r >= 0)
		r = sd_event_add_time(event, &run->timer, CLOCK_MONOTONIC,
		                      due_us, ACCURACY_US, on_timeout, run);
	return r;
}

/* --- a receiver --------------------------------------------------------- */

/* Short here and now, whatever the program is. */
static bool is_short(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM ||
	       error == -EAGAIN;
}

/* The program's name alone: its arguments may be secrets. */
static void say_not_run(const struct notify_exec *exec, uint64_t number,
                        int error, const char *then)
{
	log_warning("exec: event %" PRIu64 ": %.*s cannot be run: %s%s", number,
	            (int) strcspn(exec->config->exec, CONFIG_BLANKS),
	            exec->config->exec, strerror(-error), then);
}

static void hold(struct notify_exec *exec, struct notice *notice, int error)
{
	if (exec->said != notice->number)
		say_not_run(exec, notice->number, error,
		            "; it is tried again, later events wait");
	exec->said = notice->number;
	exec->held = notice;
	exec->receiver.resting = true;
	sd_event_source_set_time(exec->again, monotonic_us() + AGAIN_US);
	sd_event_source_set_enabled(exec->again, SD_EVENT_ONESHOT);
}

static void deliver(struct receiver *receiver, struct notice *notice)
{
	struct notify_exec *exec = (struct notify_exec *) receiver;
	struct run *run = exec->runs;
	int r;

	while (run->pid != 0)
		run++;
	run->number = notice->number;
	run->timeout_ms = exec->config->exec_timeout_ms;
	r = run_program(run, notice);
	if (is_short(r)) {
		hold(exec, notice, r);
		return;
	}
	if (r >= 0) {
		r = watch(run);
		if (r < 0) {
			kill(-run->pid, SIGKILL);
			waitpid(run->pid, NULL, 0);
		}
	}
	if (r < 0) {
		say_not_run(exec, notice->number, r, "");
		run_clear(run);
		receiver->counters.failed++;
		receiver_done(receiver);
	}
	notice_free(notice);
}

static int on_again(sd_event_source *source, uint64_t due_us, void *userdata)
{
	struct notify_exec *exec = userdata;
	struct notice *notice = exec->held;

	(void) source;
	(void) due_us;
	exec->held = NULL;
	receiver_wake(&exec->receiver);
	if (exec->receiver.places > 0) {
		deliver(&exec->receiver, notice);
	} else {
		notice_free(notice);
		receiver_done(&exec->receiver);
	}
	return 0;
}

/* Whoever runs stays with what was said when it began. */
static void configure(struct receiver *receiver,
                      const struct notify_config *config)
{
	struct notify_exec *exec = (struct notify_exec *) receiver;

	exec->config = config;
	receiver->places = *config->exec != '\0' ? config->exec_max : 0;
}

static bool has_ended(const struct run *run)
{
	siginfo_t info = { 0 };

	return run->pid == 0 ||
	       waitid(P_PID, (id_t) run->pid, &info,
	              WEXITED | WNOHANG | WNOWAIT) < 0 ||
	       info.si_pid != 0;
}

static bool all_ended(const struct notify_exec *exec)
{
	for (size_t i = 0; i < ARRAY_SIZE(exec->runs); i++)
		if (!has_ended(&exec->runs[i]))
			return false;
	return true;
}

static void release(struct receiver *receiver)
{
	static const struct timespec step = { .tv_nsec = FAREWELL_STEP_NS };
	struct notify_exec *exec = (struct notify_exec *) receiver;
	uint64_t until_us = monotonic_us() + FAREWELL_US;

	for (size_t i = 0; i < ARRAY_SIZE(exec->runs); i++)
		if (exec->runs[i].pid != 0)
			kill(-exec->runs[i].pid, SIGTERM);
	while (!all_ended(exec) && monotonic_us() < until_us)
		nanosleep(&step, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(exec->runs); i++) {
		struct run *run = &exec->runs[i];

		if (run->pid != 0) {
			kill(-run->pid, SIGKILL);
			waitpid(run->pid, NULL, 0);
		}
		run_clear(run);
	}
	notice_free(exec->held);
	sd_event_source_disable_unref(exec->again);
	sd_event_unref(exec->event);
	free(exec);
}

int notify_exec_new(struct receiver **ret, sd_event *event)
{
	struct notify_exec *exec = calloc(1, sizeof(*exec));
	sigset_t children;
	int r;

	if (!exec)
		return -ENOMEM;
	r = sd_event_add_time(event, &exec->again, CLOCK_MONOTONIC, 0,
	                      ACCURACY_US, on_again, exec);
	if (r >= 0)
		r = sd_event_source_set_enabled(exec->again, SD_EVENT_OFF);
	if (r < 0) {
		sd_event_source_unref(exec->again);
		free(exec);
		return r;
	}
	/* what sd_event_add_child() wants */
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	exec->receiver = (struct receiver) {
		.name = "exec",
		.configure = configure,
		.deliver = deliver,
		.free = release,
	};
	exec->event = sd_event_ref(event);
	for (size_t i = 0; i < ARRAY_SIZE(exec->runs); i++)
		exec->runs[i].exec = exec;
	*ret = &exec->receiver;
	return 0;
}
