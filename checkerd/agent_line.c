/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent_line.h"

#include "util.h"

#include <strings.h>

const struct agent_state agent_state_neutral = { .percent = 100 };

static bool is_between(char byte)
{
	return byte == ' ' || byte == '\t' || byte == ',';
}

static bool is_word(const char *word, size_t size, const char *name)
{
	return strlen(name) == size && strncasecmp(word, name, size) == 0;
}

static bool take_health(struct agent_advice *advice, const char *word,
                        size_t size)
{
	static const struct {
		const char *name;
		bool down;
	} names[] = {
		{ "up", false },
		{ "down", true },
		{ "fail", true },
		{ "stopped", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!is_word(word, size, names[i].name))
			continue;
		advice->of_down = true;
		advice->state.down = names[i].down;
		return true;
	}
	return false;
}

static bool take_order(struct agent_advice *advice, const char *word,
                       size_t size)
{
	static const struct {
		const char *name;
		enum health_agent order;
	} names[] = {
		{ "ready", HEALTH_AGENT_NONE },
		{ "drain", HEALTH_AGENT_DRAIN },
		{ "maint", HEALTH_AGENT_MAINT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!is_word(word, size, names[i].name))
			continue;
		advice->of_order = true;
		advice->state.order = (uint8_t) names[i].order;
		return true;
	}
	return false;
}

/* A number without its % is none: the greeting of many a server begins with
 * one. */
static bool take_percent(struct agent_advice *advice, const char *word,
                         size_t size)
{
	unsigned percent = 0;

	if (size < 2 || word[size - 1] != '%')
		return false;
	for (size_t i = 0; i < size - 1; i++) {
		if (word[i] < '0' || word[i] > '9')
			return false;
		percent = percent * 10 + (unsigned) (word[i] - '0');
		if (percent > 100)
			percent = 100;
	}
	advice->of_percent = true;
	advice->state.percent = (uint8_t) percent;
	return true;
}

static bool is_maxconn(const char *word, size_t size)
{
	static const char prefix[] = "maxconn:";

	return size >= strlen(prefix) &&
	       strncasecmp(word, prefix, strlen(prefix)) == 0;
}

/* After what is kept of the lines before. */
static void keep_text(struct agent_advice *advice, const char *line,
                      size_t size)
{
	size_t used = strlen(advice->text);

	while (size > 0 && is_between(line[size - 1]))
		size--;
	if (used > 0 && size > 0 && used + 2 < sizeof(advice->text)) {
		advice->text[used++] = ',';
		advice->text[used++] = ' ';
	}
	for (size_t i = 0; i < size && used + 1 < sizeof(advice->text); i++)
		advice->text[used++] =
			line[i] < ' ' || line[i] > '~' ? '?' : line[i];
	advice->text[used] = '\0';
}

void agent_line_parse(struct agent_advice *advice, const char *line,
                      size_t size)
{
	const char *end = line, *word;

	if (size > AGENT_LINE_MAX)
		size = AGENT_LINE_MAX;
	while ((size_t) (end - line) < size && *end != '\r' && *end != '\n' &&
	       *end != '\0')
		end++;
	while (line < end && is_between(*line))
		line++;
	keep_text(advice, line, (size_t) (end - line));
	while (line < end && *line != '#') {
		size_t length;

		word = line;
		while (line < end && !is_between(*line))
			line++;
		length = (size_t) (line - word);
		if (take_health(advice, word, length) ||
		    take_order(advice, word, length) ||
		    take_percent(advice, word, length) ||
		    is_maxconn(word, length))
			advice->understood = true;
		while (line < end && is_between(*line))
			line++;
	}
}

struct agent_state agent_state_next(struct agent_state now,
                                    const struct agent_advice *advice)
{
	if (advice->of_percent)
		now.percent = advice->state.percent;
	if (advice->of_order)
		now.order = advice->state.order;
	if (advice->of_down)
		now.down = advice->state.down;
	return now;
}

enum health_agent agent_state_order(struct agent_state state)
{
	if (state.order == HEALTH_AGENT_MAINT)
		return HEALTH_AGENT_MAINT;
	if (state.order == HEALTH_AGENT_DRAIN || state.percent == 0)
		return HEALTH_AGENT_DRAIN;
	return state.down ? HEALTH_AGENT_DOWN : HEALTH_AGENT_NONE;
}
