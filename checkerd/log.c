/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Log lines, one call each to where they go: sd_journal_sendv() if standard
 * error is the journal's (systemd says so with the device and inode number of
 * that stream), else write(2), so that lines never mix with another
 * process's.  A line that cannot be written is lost: there is nowhere to say
 * so, and checks must go on.
 */
/* Every record would name this file. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "log.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#define LINE_SIZE   2048 /* longer ones are cut */
#define FIELD_SIZE  512
#define FIELDS_MAX  16
#define FIELDS_OURS 3 /* MESSAGE, PRIORITY, MESSAGE_ID */

static bool to_journal;
static int max_level = LOG_INFO;

void log_open(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char ours[64];
	struct stat status;

	if (stream == NULL || fstat(STDERR_FILENO, &status) < 0)
		return;
	snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t) status.st_dev,
	         (uintmax_t) status.st_ino);
	to_journal = strcmp(stream, ours) == 0;
}

void log_set_level(int level)
{
	max_level = level;
}

/* Some of what is logged was sent by a backend: it shall neither begin a line
 * of its own nor reach for a terminal. */
static void disarm(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char) *text < ' ' || *text == 0x7f)
			*text = '?';
}

static void send_to_journal(int level, const char *message_id,
                            const struct log_field *fields,
                            unsigned field_count, const char *text)
{
	char texts[FIELDS_OURS + FIELDS_MAX][FIELD_SIZE];
	char message[LINE_SIZE + sizeof("MESSAGE=")];
	struct iovec vector[FIELDS_OURS + FIELDS_MAX];
	unsigned i, count = 0;

	snprintf(message, sizeof(message), "MESSAGE=%s", text);
	vector[count++].iov_base = message;
	snprintf(texts[count], FIELD_SIZE, "PRIORITY=%d", level);
	vector[count].iov_base = texts[count];
	count++;
	if (message_id != NULL) {
		snprintf(texts[count], FIELD_SIZE, "MESSAGE_ID=%s", message_id);
		vector[count].iov_base = texts[count];
		count++;
	}
	for (i = 0; i < field_count && i < FIELDS_MAX; i++, count++) {
		snprintf(texts[count], FIELD_SIZE, "%s=%s", fields[i].name,
		         fields[i].value);
		vector[count].iov_base = texts[count];
	}
	for (i = 0; i < count; i++)
		vector[i].iov_len = strlen(vector[i].iov_base);
	sd_journal_sendv(vector, (int) count);
}

static void send_to_stderr(const char *text)
{
	static const char prefix[] = "checkerd: ";
	struct iovec vector[] = {
		{ (void *) prefix, sizeof(prefix) - 1 },
		{ (void *) text, strlen(text) },
		{ "\n", 1 },
	};

	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };

	/* a line is lost rather than a probe late when nobody reads the pipe */
	if (poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) &&
	    writev(STDERR_FILENO, vector, ARRAY_SIZE(vector)) < 0)
		return;
}

static void PRINTF_LIKE(5, 0)
	log_arguments(int level, const char *message_id,
                      const struct log_field *fields, unsigned field_count,
                      const char *format, va_list arguments)
{
	char text[LINE_SIZE];

	if (level > max_level)
		return;
	vsnprintf(text, sizeof(text), format, arguments);
	disarm(text);
	if (to_journal)
		send_to_journal(level, message_id, fields, field_count, text);
	else
		send_to_stderr(text);
}

void log_print(int level, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_arguments(level, NULL, NULL, 0, format, arguments);
	va_end(arguments);
}

void log_fields(int level, const char *message_id,
                const struct log_field *fields, unsigned field_count,
                const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_arguments(level, message_id, fields, field_count, format,
	              arguments);
	va_end(arguments);
}
