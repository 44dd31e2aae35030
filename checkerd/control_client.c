/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The control socket's client: one transfer of libcurl, start to end.
 *
 * The daemon decides what a request is worth; all that is judged here is
 * whether an answer came.  If none did, the sentence says which file, what is
 * wrong with it, and who can help: a socket that is missing, deaf or not ours
 * to open are three different walks to three different people.
 */
#include "control_client.h"

#include "parse.h"
#include "terminal.h"
#include "util.h"

#include <curl/curl.h>
#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

/* What differs in a large fleet is a few megabytes. */
#define ANSWER_MAX ((size_t) 64 << 20)

struct transfer {
	CURL *curl;
	struct curl_slist *headers;
	char *request_body;
	char *url;
	FILE *answer;
	char *answer_data;
	size_t answer_size;
	size_t received;
	bool head_ended; /* libcurl is content with half a head */
	void (*waiting)(uint64_t seconds);
	char curl_error[CURL_ERROR_SIZE];
};

static void transfer_release(struct transfer *transfer)
{
	curl_easy_cleanup(transfer->curl);
	curl_slist_free_all(transfer->headers);
	free(transfer->request_body);
	free(transfer->url);
	if (transfer->answer != NULL)
		fclose(transfer->answer);
	free(transfer->answer_data);
}

static bool take(struct transfer *transfer, size_t size)
{
	transfer->received += size;
	return transfer->received <= ANSWER_MAX;
}

static size_t on_header(char *data, size_t one, size_t size, void *context)
{
	struct transfer *transfer = context;

	(void) one;
	if (size > 0 && (data[0] == '\r' || data[0] == '\n'))
		transfer->head_ended = true;
	return take(transfer, size) ? size : 0;
}

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
	struct transfer *transfer = context;

	(void) one;
	return take(transfer, size) ? fwrite(data, 1, size, transfer->answer)
	                            : 0;
}

static int on_progress(void *context, curl_off_t down_total, curl_off_t down,
                       curl_off_t up_total, curl_off_t up)
{
	const struct transfer *transfer = context;
	curl_off_t us = 0;

	(void) down_total;
	(void) down;
	(void) up_total;
	(void) up;
	curl_easy_getinfo(transfer->curl, CURLINFO_TOTAL_TIME_T, &us);
	transfer->waiting((uint64_t) us / USEC_PER_SEC);
	return 0;
}

static int append_encoded(FILE *url, CURL *curl, const char *before,
                          const char *name, size_t size)
{
	char *encoded = curl_easy_escape(curl, name, (int) size);

	if (encoded == NULL)
		return -ENOMEM;
	fprintf(url, "%s%s", before, encoded);
	curl_free(encoded);
	return 0;
}

static int write_url(struct transfer *transfer,
                     const struct control_client_question *question)
{
	size_t size;
	FILE *url = open_memstream(&transfer->url, &size);
	int error = 0;

	if (url == NULL)
		return -ENOMEM;
	fprintf(url, "http://localhost%s", question->route);
	if (question->pool != NULL)
		error = append_encoded(url, transfer->curl, "/", question->pool,
		                       question->pool_size);
	if (error == 0 && question->host != NULL)
		error = append_encoded(url, transfer->curl, "/hosts/",
		                       question->host, strlen(question->host));
	if (question->action != NULL)
		fputs(question->action, url);
	if (fclose(url) != 0)
		return -ENOMEM;
	return error;
}

static int write_body(struct transfer *transfer, const json_t *body)
{
	/* A header without a value is one that curl shall not add. */
	const char *type = "Content-Type:";

	if (body != NULL) {
		transfer->request_body = json_dumps(body, JSON_COMPACT);
		if (transfer->request_body == NULL)
			return -ENOMEM;
		type = "Content-Type: application/json";
	}
	transfer->headers = curl_slist_append(NULL, type);
	return transfer->headers != NULL ? 0 : -ENOMEM;
}

static int prepare(struct transfer *transfer,
                   const struct control_client_question *question)
{
	int error;

	transfer->curl = curl_easy_init();
	transfer->answer =
		open_memstream(&transfer->answer_data, &transfer->answer_size);
	if (transfer->curl == NULL || transfer->answer == NULL)
		return -ENOMEM;
	error = write_url(transfer, question);
	if (error == 0)
		error = write_body(transfer, question->body);
	return error;
}

static void set_options(struct transfer *transfer,
                        const struct control_client_question *question)
{
	CURL *curl = transfer->curl;

	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, question->socket);
	curl_easy_setopt(curl, CURLOPT_URL, transfer->url);
	/* A host may be called "..". */
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_USERAGENT,
	                 "checkerctl/" CHECKERD_VERSION);
	if (strcmp(question->method, "GET") != 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
		                 transfer->request_body != NULL
		                         ? transfer->request_body
		                         : "");
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, question->method);
	}
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, transfer->headers);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) question->timeout_ms);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->curl_error);
	if (question->waiting != NULL) {
		transfer->waiting = question->waiting;
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
	}
}

/* Who may open the socket, or that one does not even get to it. */
static void explain_permission(const char *socket, char *ret_error)
{
	const struct group *group;
	char number[24];
	struct stat status;

	if (stat(socket, &status) < 0) {
		snprintf(ret_error, CONTROL_CLIENT_ERROR_SIZE,
		         "%s: permission denied: a folder on the way to it is "
		         "not open to you",
		         socket);
		return;
	}
	group = getgrgid(status.st_gid);
	snprintf(number, sizeof(number), "%u", (unsigned) status.st_gid);
	snprintf(ret_error, CONTROL_CLIENT_ERROR_SIZE,
	         "%s: permission denied: members of group %s may (its mode is "
	         "%04o), and root",
	         socket, group != NULL ? group->gr_name : number,
	         (unsigned) status.st_mode & 07777);
}

static int explain_connect(const struct control_client_question *question,
                           int error, char *ret_error)
{
	const char *socket = question->socket;

	switch (error) {
	case ENOENT:
		snprintf(ret_error, CONTROL_CLIENT_ERROR_SIZE,
		         "%s: no such socket: checkerd is not running, or its "
		         "`control` names another one (give that with -S)",
		         socket);
		break;
	case ECONNREFUSED:
		snprintf(ret_error, CONTROL_CLIENT_ERROR_SIZE,
		         "%s: nobody listens there: checkerd is not running",
		         socket);
		break;
	case EACCES:
		explain_permission(socket, ret_error);
		break;
	default:
		snprintf(ret_error, CONTROL_CLIENT_ERROR_SIZE, "%.128s: %s",
		         socket, strerror(error));
	}
	return -error;
}

static int explain(const struct transfer *transfer,
                   const struct control_client_question *question,
                   CURLcode code, char *ret_error)
{
	const char *maybe = strcmp(question->method, "GET") == 0
	                            ? ""
	                            : "; it may have been done nevertheless";
	char text[TERMINAL_ESCAPED_SIZE(60)];
	char time[DURATION_TEXT_SIZE];
	const char *why;
	long error = 0;

	curl_easy_getinfo(transfer->curl, CURLINFO_OS_ERRNO, &error);
	if (code == CURLE_COULDNT_CONNECT && error != 0)
		return explain_connect(question, (int) error, ret_error);
	if (code == CURLE_OPERATION_TIMEDOUT) {
		snprintf(ret_error, CONTROL_CLIENT_ERROR_SIZE,
		         "%s: no answer within %s%s (--timeout waits longer)",
		         question->socket,
		         duration_text(question->timeout_ms, time), maybe);
		return -ETIMEDOUT;
	}
	if (transfer->received > ANSWER_MAX) {
		snprintf(ret_error, CONTROL_CLIENT_ERROR_SIZE,
		         "%s: the answer is longer than %zu MB: is that "
		         "checkerd?",
		         question->socket, ANSWER_MAX >> 20);
		return -EFBIG;
	}
	why = transfer->curl_error[0] != '\0' ? transfer->curl_error
	                                      : curl_easy_strerror(code);
	terminal_escape(text, sizeof(text), why, strlen(why));
	snprintf(ret_error, CONTROL_CLIENT_ERROR_SIZE,
	         "%s: no whole answer (%s)%s", question->socket, text, maybe);
	return -EPROTO;
}

static int read_answer(struct transfer *transfer,
                       struct control_client_answer *ret)
{
	long status = 0;
	json_error_t error;

	if (fflush(transfer->answer) != 0)
		return -ENOMEM;
	curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
	ret->status = (unsigned) status;
	if (transfer->answer_size == 0)
		return 0;
	ret->document = json_loadb(transfer->answer_data, transfer->answer_size,
	                           JSON_DECODE_ANY, &error);
	ret->malformed = ret->document == NULL;
	return 0;
}

int control_client_ask(const struct control_client_question *question,
                       struct control_client_answer *ret, char *ret_error)
{
	struct transfer transfer CLEANUP(transfer_release) = { 0 };
	CURLcode code;
	int error;

	*ret = (struct control_client_answer) { 0 };
	/* libcurl would cut it, or take it for another kind of mistake. */
	if (strlen(question->socket) >=
	    sizeof(((struct sockaddr_un *) NULL)->sun_path))
		return explain_connect(question, ENAMETOOLONG, ret_error);
	snprintf(ret_error, CONTROL_CLIENT_ERROR_SIZE, "out of memory");
	error = prepare(&transfer, question);
	if (error < 0)
		return error;
	set_options(&transfer, question);
	code = curl_easy_perform(transfer.curl);
	if (code == CURLE_OK && !transfer.head_ended)
		code = CURLE_PARTIAL_FILE;
	if (code != CURLE_OK)
		return explain(&transfer, question, code, ret_error);
	return read_answer(&transfer, ret);
}

void control_client_answer_release(struct control_client_answer *answer)
{
	json_decref(answer->document);
}
