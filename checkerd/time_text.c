/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Times as text.  Nothing here depends on the time zone or the locale: what
 * is printed is compared with logs of other machines.
 */
#include "time_text.h"

#include "util.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

const char *time_text_utc(uint64_t realtime_us, char *buffer)
{
	time_t seconds = (time_t) (realtime_us / USEC_PER_SEC);
	char day[TIME_TEXT_SIZE / 2 + 8];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	if (strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		day[0] = '\0';
	snprintf(buffer, TIME_TEXT_SIZE, "%s.%03uZ", day,
	         (unsigned) (realtime_us % USEC_PER_SEC / USEC_PER_MSEC));
	return buffer;
}

bool time_text_read_utc(const char *text, uint64_t *ret_realtime_us)
{
	unsigned milliseconds;
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int length = 0;
	time_t seconds;

	if (!rest || sscanf(rest, ".%3uZ%n", &milliseconds, &length) != 1 ||
	    length != 5 || rest[length] != '\0')
		return false;
	seconds = timegm(&tm);
	if (seconds < 0)
		return false;
	*ret_realtime_us = (uint64_t) seconds * USEC_PER_SEC +
	                   milliseconds * USEC_PER_MSEC;
	return true;
}

const char *time_text_age(uint64_t age_us, char *buffer)
{
	uint64_t seconds = age_us / USEC_PER_SEC;

	if (seconds < 60)
		snprintf(buffer, TIME_TEXT_SIZE, "%" PRIu64 "s", seconds);
	else if (seconds < 3600)
		snprintf(buffer, TIME_TEXT_SIZE, "%" PRIu64 "m%02us",
		         seconds / 60, (unsigned) (seconds % 60));
	else if (seconds < 86400)
		snprintf(buffer, TIME_TEXT_SIZE, "%" PRIu64 "h%02um",
		         seconds / 3600, (unsigned) (seconds % 3600 / 60));
	else
		snprintf(buffer, TIME_TEXT_SIZE, "%" PRIu64 "d%uh",
		         seconds / 86400, (unsigned) (seconds % 86400 / 3600));
	return buffer;
}

const char *time_text_latency(uint64_t latency_us, char *buffer)
{
	/* %.3g would turn to exponents from 1000 on: each unit ends before. */
	if (latency_us < 1000)
		snprintf(buffer, TIME_TEXT_SIZE, "%" PRIu64 "us", latency_us);
	else if (latency_us < 999500)
		snprintf(buffer, TIME_TEXT_SIZE, "%.3gms",
		         (double) latency_us / 1e3);
	else if (latency_us < 999 * USEC_PER_SEC)
		snprintf(buffer, TIME_TEXT_SIZE, "%.3gs",
		         (double) latency_us / 1e6);
	else
		time_text_age(latency_us, buffer);
	return buffer;
}
