/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An agent is asked: it is connected, may be sent something, and says one
 * line.  Everything else it might say is cut off with the connection.
 *
 * Not taken: a check of kind tcp with an expression for the line.  The answer
 * is wanted, not a judgement on it.
 */
#include "probe_private.h"

#include <string.h>
#include <sys/epoll.h>

static bool has_line(const struct probe *probe)
{
	const char *text = probe_buffer_text(&probe->body);

	return memchr(text, '\n', probe->body.size) != NULL ||
	       memchr(text, '\r', probe->body.size) != NULL;
}

static uint32_t talk(struct curl_transfer *transfer, CURLcode *ret_result)
{
	struct probe *probe = (struct probe *) transfer;

	*ret_result = probe_say(probe, &probe->settings->agent_send);
	if (*ret_result == CURLE_AGAIN)
		return EPOLLOUT;
	if (*ret_result != CURLE_OK)
		return 0;
	*ret_result = probe_hear(probe, AGENT_LINE_MAX);
	if (*ret_result != CURLE_AGAIN)
		return 0;
	if (!has_line(probe))
		return EPOLLIN;
	*ret_result = CURLE_OK;
	return 0;
}

static void advise(const struct probe *probe, struct agent_advice *advice)
{
	if (probe->code == CURLE_OK)
		agent_line_parse(advice, probe_buffer_text(&probe->body),
		                 probe->body.size);
}

static bool judge(const struct probe *probe, const struct settings *settings,
                  struct probe_result *result)
{
	struct agent_advice advice = { 0 };

	(void) settings;
	if (probe->code != CURLE_OK)
		return false;
	advise(probe, &advice);
	result->outcome = advice.understood ? HEALTH_L7OK : HEALTH_L7RSP;
	if (advice.text[0] == '\0')
		probe_explain(result, "it says nothing");
	else if (!advice.understood)
		probe_explain(result, "it says \"%s\"", advice.text);
	return true;
}

const struct check check_agent = {
	.prepare = probe_talk_prepare,
	.advise = advise,
	.talk = talk,
	.judge = judge,
};
