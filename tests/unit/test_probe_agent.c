/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Agents that are asked, and answers to checks that say how their host is to
 * be used.
 */
#include "fixture_probe.h"

#include "agent_line.h"

struct heard {
	const struct settings *settings;
	struct probe_result result;
	struct agent_advice advice;
	unsigned calls;
};

static void on_heard(void *owner, const struct probe *probe)
{
	struct heard *heard = owner;

	probe_judge(probe, heard->settings, &heard->result);
	probe_advice(probe, &heard->advice);
	heard->calls++;
}

static struct heard ask(struct fixture *fixture, const struct address *address,
                        const struct settings *settings)
{
	struct heard heard = { .settings = settings };
	struct probe *probe;

	assert_int_equal(probe_ask(fixture->prober, address, settings, on_heard,
	                           &heard, &probe),
	                 0);
	run_until(fixture, &heard.calls, 1);
	return heard;
}

/* --- scripts --------------------------------------------------------------- */

static void script_line(struct backend *backend, int fd)
{
	backend_say(fd, backend->text, strlen(backend->text));
	backend_wait_for_end(fd);
}

static void script_line_and_close(struct backend *backend, int fd)
{
	backend_say(fd, backend->text, strlen(backend->text));
	shutdown(fd, SHUT_WR);
	backend_wait_for_end(fd);
}

/* A byte at a time, and longer than anybody waits. */
static void script_drip(struct backend *backend, int fd)
{
	struct pollfd gone = { .fd = fd, .events = POLLRDHUP };

	while (backend_say(fd, backend->text, 1) && poll(&gone, 1, 10) == 0)
		;
	backend_wait_for_end(fd);
}

/* --- agents ---------------------------------------------------------------- */

static const struct story {
	const char *name;
	backend_script script;
	const char *text;
	const char *send;
	enum health_outcome outcome;
	const char *message;
	const char *heard;
} stories[] = {
	{ "a line", script_line, "75%\n", "", HEALTH_L7OK, "", "75%" },
	{ "a line of another kind", script_line, "up\r", "", HEALTH_L7OK, "",
	  "up" },
	{ "a line and more", script_line, "up\ndown\n", "", HEALTH_L7OK, "",
	  "up" },
	{ "a line without an end", script_line_and_close, "drain", "",
	  HEALTH_L7OK, "", "drain" },
	{ "what was sent", script_echo, "", "maint #x\n", HEALTH_L7OK, "",
	  "maint #x" },
	{ "sent to one who does not listen", script_line, "up\n", "maint\n",
	  HEALTH_L7OK, "", "up" },
	{ "an empty line", script_line, "\r\n", "", HEALTH_L7RSP,
	  "it says nothing", "" },
	{ "nothing", script_close, "", "", HEALTH_L7RSP, "it says nothing", "" },
	{ "something else", script_line, "SSH-2.0-x\r\n", "", HEALTH_L7RSP,
	  "it says \"SSH-2.0-x\"", "SSH-2.0-x" },
	{ "no end and no close", script_line, "up", "", HEALTH_L7TOUT,
	  "no complete answer within 300 ms", "" },
	{ "silence", script_silent, "", "", HEALTH_L7TOUT,
	  "no complete answer within 300 ms", "" },
	{ "a drip", script_drip, " ", "", HEALTH_L7TOUT,
	  "no complete answer within 300 ms", "" },
	{ "a flood", script_flood, "up ", "", HEALTH_L7OK, "", NULL },
	{ "a flood of nothing", script_flood, "0123456789", "", HEALTH_L7RSP,
	  NULL, NULL },
};

static void test_agents(void **state)
{
	struct settings settings = some_settings();
	unsigned fds = open_fds();

	for (size_t i = 0; i < ARRAY_SIZE(stories); i++) {
		const struct story *story = &stories[i];
		struct backend backend;
		struct heard heard;

		/* of the check: none of the agent's business */
		settings.port = 1;
		settings.agent_send = (struct config_bytes) {
			(const unsigned char *) story->send,
			(uint32_t) strlen(story->send)
		};
		backend_start(&backend, "127.0.0.1", story->script,
		              story->text);
		heard = ask(*state, &backend.address, &settings);
		backend_stop(&backend);
		if (heard.result.outcome != story->outcome ||
		    (story->message != NULL &&
		     strcmp(heard.result.message, story->message) != 0) ||
		    (story->heard != NULL &&
		     strcmp(heard.advice.text, story->heard) != 0))
			fail_msg("%s: %s \"%s\", heard \"%s\"", story->name,
			         health_outcome_name(heard.result.outcome),
			         heard.result.message, heard.advice.text);
		assert_int_equal(heard.advice.understood,
		                 story->outcome == HEALTH_L7OK);
		assert_int_equal(open_fds(), fds);
	}
}

static void test_nobody_listens(void **state)
{
	struct settings settings = some_settings();
	struct backend backend;
	struct heard heard;

	backend_listen(&backend, "127.0.0.1", 1);
	close(backend.fd);
	heard = ask(*state, &backend.address, &settings);
	assert_int_equal(heard.result.outcome, HEALTH_L4CON);
	assert_false(heard.advice.understood);
}

/* --- answers to checks ----------------------------------------------------- */

#define HEAD(fields) "HTTP/1.1 " fields "Content-Length: 0\r\n\r\n"

static const struct {
	const char *name;
	const char *answer;
	enum agent_kind agent;
	const char *heard;
	bool understood;
} answers[] = {
	{ "no field", HEAD("200 OK\r\n"), AGENT_HEADER, "", false },
	{ "a field", HEAD("200 OK\r\nX-Health-Weight: 40%\r\n"), AGENT_HEADER,
	  "40%", true },
	{ "a field in other words",
	  HEAD("200 OK\r\nx-health-weight:DRAIN, 40%\r\n"), AGENT_HEADER,
	  "DRAIN, 40%", true },
	{ "two fields", HEAD("200 OK\r\nX-Health-Weight: 40%\r\nA: b\r\n"
	                     "X-Health-Weight: drain\r\n"),
	  AGENT_HEADER, "40%, drain", true },
	{ "an empty field", HEAD("200 OK\r\nX-Health-Weight:\r\n"),
	  AGENT_HEADER, "", false },
	{ "a field like it", HEAD("200 OK\r\nX-Health-Weights: drain\r\n"),
	  AGENT_HEADER, "", false },
	{ "garbage", HEAD("200 OK\r\nX-Health-Weight: what?\r\n"), AGENT_HEADER,
	  "what?", false },
	{ "of an answer that fails",
	  HEAD("503 No\r\nX-Health-Weight: maint\r\n"), AGENT_HEADER, "maint",
	  true },
	{ "of an interim answer",
	  "HTTP/1.1 103 Early Hints\r\nX-Health-Weight: maint\r\n\r\n"
	  HEAD("200 OK\r\n"), AGENT_HEADER, "", false },
	{ "that nobody wants", HEAD("200 OK\r\nX-Health-Weight: maint\r\n"),
	  AGENT_OFF, "", false },
};

static void test_answers(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct settings settings = some_settings();
		struct heard heard = { .settings = &settings };
		struct backend backend;
		struct probe *probe;

		settings.agent.kind = answers[i].agent;
		backend_start(&backend, "127.0.0.1", script_answer,
		              answers[i].answer);
		assert_int_equal(probe_start(fixture->prober, NULL,
		                             &backend.address, &settings, NULL,
		                             on_heard, &heard, &probe),
		                 0);
		run_until(fixture, &heard.calls, 1);
		backend_stop(&backend);
		if (heard.advice.understood != answers[i].understood ||
		    strcmp(heard.advice.text, answers[i].heard) != 0)
			fail_msg("%s: heard \"%s\"", answers[i].name,
			         heard.advice.text);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_agents),
		TEST(test_nobody_listens),
		TEST(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
