/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A picture a second.  On a terminal it is drawn over the last one, on the
 * alternate screen, with line wrap off; elsewhere one follows the other.
 * Whoever ends it, stops it (Ctrl-Z) or puts it into the background has the
 * terminal back as it was.
 *
 * Nothing ends it but a signal: a segment that is absent, or a host that is
 * not known, may come.  While there is no segment any more, the last one is
 * shown on, with what is wrong above it.
 *
 * curses would do the drawing; three escape sequences that every terminal of
 * the last forty years knows do not need it.
 */
#include "watch.h"

#include "view.h"
#include "view_json.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>

#define SCREEN_ENTER "\033[?1049h\033[?25l\033[?7l"
#define SCREEN_LEAVE "\033[?7h\033[?25h\033[?1049l"
#define FRAME_LINES  6 /* what a frame has besides hosts, at most */

static volatile sig_atomic_t stopped;
static volatile sig_atomic_t suspended;
static volatile sig_atomic_t on_screen;

static void stop(int signal)
{
	stopped = signal;
}

static void suspend(int signal)
{
	suspended = signal;
}

static void wake(int signal)
{
	(void) signal; /* it has ended ppoll(), which is all it is for */
}

static const struct {
	int signal;
	void (*handler)(int signal);
	int flags;
} signals[] = {
	/* not even a terminal that takes no byte outlives the second one */
	{ SIGINT, stop, SA_RESETHAND },     { SIGTERM, stop, SA_RESETHAND },
	{ SIGHUP, stop, SA_RESETHAND },     { SIGQUIT, stop, SA_RESETHAND },
	{ SIGTSTP, suspend, SA_RESTART },   { SIGCONT, wake, SA_RESTART },
	{ SIGWINCH, wake, SA_RESTART },
};

void watch_restore(void)
{
	if (on_screen &&
	    write(STDOUT_FILENO, SCREEN_LEAVE, sizeof(SCREEN_LEAVE) - 1) > 0)
		on_screen = 0;
}

static void catch_signals(sigset_t *ret_caught)
{
	size_t i;

	sigemptyset(ret_caught);
	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction action = { .sa_handler = signals[i].handler,
			                    .sa_flags = signals[i].flags };

		sigaction(signals[i].signal, &action, NULL);
		sigaddset(ret_caught, signals[i].signal);
	}
}

/* As if nobody had caught it: the kernel does not stop a process that no
 * shell would wake. */
static void stand_still(void)
{
	static const struct sigaction plain = { .sa_handler = SIG_DFL };
	struct sigaction ours;

	suspended = 0;
	watch_restore();
	sigaction(SIGTSTP, &plain, &ours);
	raise(SIGTSTP);
	sigaction(SIGTSTP, &ours, NULL);
}

/* A second, or until a signal: none is missed that came since the caller
 * looked. */
static void rest(const sigset_t *caught)
{
	static const struct timespec second = { .tv_sec = 1 };
	sigset_t open_signals;

	sigprocmask(SIG_BLOCK, caught, &open_signals);
	if (!stopped && !suspended)
		ppoll(NULL, 0, &second, &open_signals);
	sigprocmask(SIG_SETMASK, &open_signals, NULL);
}

/* The terminal is somebody else's while we are in the background. */
static bool in_background(void)
{
	pid_t group = tcgetpgrp(STDOUT_FILENO);

	return group >= 0 && group != getpgrp();
}

static int draw(FILE *out, const struct terminal *terminal,
                struct segment_reader *reader, const char *name, bool json)
{
	char error[SEGMENT_READER_ERROR_SIZE];
	struct segment_snapshot segment;
	struct selection selection;
	struct tally tally;
	int result;

	result = reader->base == NULL
	                 ? segment_reader_open(reader, reader->path, error)
	                 : segment_reader_refresh(reader, error);
	if (result < 0)
		fprintf(json ? stderr : out, "waiting: %s\n", error);
	if (reader->base == NULL)
		return 0;
	segment_snapshot(&segment, reader);
	if (!json)
		view_segment(out, terminal, &segment);
	if (selection_find(&selection, &reader->shm, name, error) < 0) {
		fprintf(json ? stderr : out, "waiting: %s\n", error);
		return 0;
	}
	if (json)
		return view_json_status(out, &segment, &selection, &tally);
	view_table(out, terminal, &selection,
	           !terminal->tty                 ? UINT_MAX
	           : terminal->rows > FRAME_LINES ? terminal->rows - FRAME_LINES
	                                          : 1,
	           &tally);
	return 0;
}

/* Over the last one: each line clears what it leaves, the end the rest. */
static void show_on_screen(const char *frame)
{
	fputs("\033[H", stdout);
	for (; *frame != '\0'; frame++) {
		if (*frame == '\n')
			fputs("\033[K", stdout);
		fputc(*frame, stdout);
	}
	fputs("\033[J", stdout);
}

static int turn(struct segment_reader *reader, const char *name, bool json)
{
	char *frame CLEANUP(free_pointer) = NULL;
	struct terminal terminal;
	size_t size;
	FILE *out;
	int error;

	if (in_background())
		return 0;
	terminal_measure(&terminal, STDOUT_FILENO);
	if (terminal.draws && !json && !on_screen) {
		on_screen = 1;
		fputs(SCREEN_ENTER, stdout);
	}
	out = open_memstream(&frame, &size);
	if (out == NULL)
		return -errno;
	error = draw(out, &terminal, reader, name, json);
	if (fclose(out) != 0)
		error = -errno;
	if (error < 0)
		return error;
	if (on_screen)
		show_on_screen(frame);
	else
		printf("%s%s", frame, json ? "" : "\n");
	/* only what ends us interrupts it */
	return fflush(stdout) == 0 || errno == EINTR ? 0 : -errno;
}

int watch(const char *path, const char *name, bool json)
{
	struct segment_reader reader = { .path = path };
	sigset_t caught;
	int error = 0;

	catch_signals(&caught);
	while (!stopped && error == 0) {
		if (suspended)
			stand_still();
		error = turn(&reader, name, json);
		if (error == 0)
			rest(&caught);
	}
	watch_restore();
	segment_reader_close(&reader);
	return error;
}
