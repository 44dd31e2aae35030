/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Values of configuration keys: one row per type says how it is read, how it
 * is printed, and how a person is told what it accepts.
 */
#include "config_value.h"

#include "address.h"
#include "config_errors.h"
#include "parse.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* Functions that read a value return 0, -EINVAL, -ERANGE or -ENOMEM. */

static int read_switch(const struct config_key *key, const char *text,
                       struct arena *arena, union config_value *ret)
{
	bool on;
	int error = parse_bool(&on, text);

	(void) key;
	(void) arena;
	if (error == 0)
		ret->number = on;
	return error;
}

static int read_number(const struct config_key *key, const char *text,
                       struct arena *arena, union config_value *ret)
{
	(void) arena;
	return parse_unsigned(&ret->number, text, key->min, key->max);
}

static int read_percent(const struct config_key *key, const char *text,
                        struct arena *arena, union config_value *ret)
{
	(void) arena;
	return parse_percent(&ret->number, text, key->min, key->max);
}

static int read_duration(const struct config_key *key, const char *text,
                         struct arena *arena, union config_value *ret)
{
	(void) arena;
	return parse_duration_ms(&ret->number, text, key->min, key->max);
}

/* Readers trust that nobody but us can write or truncate what they map. */
static int read_mode(const struct config_key *key, const char *text,
                     struct arena *arena, union config_value *ret)
{
	int error = parse_octal(&ret->number, text, key->min, key->max);

	(void) arena;
	if (error == 0 && (ret->number & 0622) != 0600)
		return -ERANGE;
	return error;
}

static int read_choice(const struct config_key *key, const char *text,
                       struct arena *arena, union config_value *ret)
{
	(void) arena;
	for (size_t i = 0; key->choices[i]; i++) {
		if (strcmp(key->choices[i], text) == 0) {
			ret->number = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int read_statuses(const struct config_key *key, const char *text,
                         struct arena *arena, union config_value *ret)
{
	struct status_mask *mask = arena_alloc(arena, 1, sizeof(*mask));
	const char *at;

	(void) key;
	ret->statuses = mask;
	return mask ? status_mask_parse(mask, text, &at) : -ENOMEM;
}

static int read_size(const struct config_key *key, const char *text,
                     struct arena *arena, union config_value *ret)
{
	(void) arena;
	return parse_size(&ret->number, text, key->min, key->max);
}

static int read_bytes(const struct config_key *key, const char *text,
                      struct arena *arena, union config_value *ret)
{
	size_t length = strlen(text), size;
	struct config_bytes *bytes = arena_alloc(arena, 1, sizeof(*bytes));
	unsigned char *data = arena_alloc(arena, length, 1);
	int error;

	if (!bytes || !data)
		return -ENOMEM;
	error = text_is_printable(text, length)
	                ? parse_escaped(data, &size, text)
	                : -EINVAL;
	if (error < 0)
		return error;
	*bytes = (struct config_bytes) { data, (uint32_t) size };
	ret->bytes = bytes;
	return size > key->max ? -ERANGE : 0;
}

/* The port of an agent is never left to a default. */
static bool has_port(const char *address)
{
	const char *colon = strrchr(address, ':');

	return colon && !strchr(colon, ']');
}

/* An address that is a name stays empty, with the port: who knows how to, will
 * resolve it. */
static int read_agent(const struct config_key *key, const char *text,
                      struct arena *arena, union config_value *ret)
{
	static const char scheme[] = "tcp://";
	struct config_agent *agent = arena_alloc(arena, 1, sizeof(*agent));
	const char *where = text + strlen(scheme);
	size_t name_length;
	uint64_t port;
	int error;

	if (!agent)
		return -ENOMEM;
	ret->agent = agent;
	agent->text = text;
	if (strlen(text) > key->max)
		return -ERANGE;
	if (strcmp(text, "off") == 0)
		return 0;
	agent->kind = AGENT_HEADER;
	if (strcmp(text, "header") == 0)
		return 0;
	agent->kind = AGENT_TCP;
	if (strncmp(text, scheme, strlen(scheme)) != 0 || !has_port(where))
		return -EINVAL;
	if (*where == ':') {
		error = parse_unsigned(&port, where + 1, 1, UINT16_MAX);
		agent->port = (uint16_t) port;
		return error < 0 ? -EINVAL : 0;
	}
	error = address_parse(&agent->address, where, &name_length,
	                      &agent->port);
	if (error == -ENOENT)
		return 0;
	if (error == 0 && agent->address.any.sa_family == AF_UNIX)
		return -EINVAL;
	return error;
}

static int read_text(const struct config_key *key, const char *text,
                     struct arena *arena, union config_value *ret)
{
	size_t size = strlen(text);

	(void) arena;
	ret->text = text;
	if (!text_is_printable(text, size))
		return -EINVAL;
	return size < key->min || size > key->max ? -ERANGE : 0;
}

static int read_word(const struct config_key *key, const char *text,
                     struct arena *arena, union config_value *ret)
{
	if (!text_is_id(text, strlen(text)))
		return -EINVAL;
	return read_text(key, text, arena, ret);
}

static int read_token(const struct config_key *key, const char *text,
                      struct arena *arena, union config_value *ret)
{
	if (!text_is_token(text, strlen(text)))
		return -EINVAL;
	return read_text(key, text, arena, ret);
}

static int read_file(const struct config_key *key, const char *text,
                     struct arena *arena, union config_value *ret)
{
	if (text[0] != '/' || text[strlen(text) - 1] == '/')
		return -EINVAL;
	return read_text(key, text, arena, ret);
}

static int read_readable(const struct config_key *key, const char *text,
                         struct arena *arena, union config_value *ret)
{
	if (strcmp(text, key->default_text) == 0)
		return read_text(key, text, arena, ret);
	return read_file(key, text, arena, ret);
}

static int read_listen(const struct config_key *key, const char *text,
                       struct arena *arena, union config_value *ret)
{
	const char *port = strrchr(text, ':');
	struct address address;
	size_t name_size;
	uint16_t number;

	if (!port || port[1] == '\0' ||
	    port[1 + strspn(port + 1, "0123456789")] != '\0' ||
	    address_parse(&address, text, &name_size, &number) < 0 ||
	    address.any.sa_family == AF_UNIX)
		return -EINVAL;
	return read_text(key, text, arena, ret);
}

/* The program; what follows a blank is an argument. */
static int read_command(const struct config_key *key, const char *text,
                        struct arena *arena, union config_value *ret)
{
	size_t size = strcspn(text, CONFIG_BLANKS);

	if (text[0] != '/' || text[size - 1] == '/')
		return -EINVAL;
	return read_text(key, text, arena, ret);
}

static int read_url(const struct config_key *key, const char *text,
                    struct arena *arena, union config_value *ret)
{
	if (!text_is_url(text))
		return -EINVAL;
	return read_text(key, text, arena, ret);
}

/* Blanks would end the target early, and a # is never sent. */
static int read_request_path(const struct config_key *key, const char *text,
                             struct arena *arena, union config_value *ret)
{
	if (text[0] != '/')
		return -EINVAL;
	for (const char *at = text; *at != '\0'; at++) {
		if (*at <= ' ' || *at >= 0x7f || *at == '#')
			return -EINVAL;
	}
	return read_text(key, text, arena, ret);
}

/* Not those that frame the message or that have a key of their own. */
static int read_header(const struct config_key *key, const char *text,
                       struct arena *arena, union config_value *ret)
{
	static const char *const ours[] = { "Host", "Connection",
		                            "Content-Length",
		                            "Transfer-Encoding" };
	size_t name_size = strcspn(text, ":");
	const char *value = text + name_size;

	if (*value == ':')
		value++;
	value += strspn(value, " \t");
	if (*value == '\0' || !text_is_token(text, name_size))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		if (strlen(ours[i]) == name_size &&
		    strncasecmp(ours[i], text, name_size) == 0)
			return -EINVAL;
	}
	return read_text(key, text, arena, ret);
}

/* Its words are looked at one by one, in server_line.c. */
static int read_server(const struct config_key *key, const char *text,
                       struct arena *arena, union config_value *ret)
{
	(void) arena;
	ret->text = text;
	return strlen(text) > key->max ? -ERANGE : 0;
}

static void print_number(const struct config_key *key, uint64_t number,
                         FILE *stream)
{
	(void) key;
	fprintf(stream, "%" PRIu64, number);
}

static void print_percent(const struct config_key *key, uint64_t number,
                          FILE *stream)
{
	(void) key;
	fprintf(stream, "%" PRIu64 "%%", number);
}

static void print_duration(const struct config_key *key, uint64_t number,
                           FILE *stream)
{
	char buffer[DURATION_TEXT_SIZE];

	(void) key;
	fputs(duration_text(number, buffer), stream);
}

static void print_size(const struct config_key *key, uint64_t number,
                       FILE *stream)
{
	char buffer[SIZE_TEXT_SIZE];

	(void) key;
	fputs(size_text(number, buffer), stream);
}

static void print_mode(const struct config_key *key, uint64_t number,
                       FILE *stream)
{
	(void) key;
	fprintf(stream, "0%" PRIo64, number);
}

static void print_choice(const struct config_key *key, uint64_t number,
                         FILE *stream)
{
	fputs(key->choices[number], stream);
}

static void allow_choice(const struct config_key *key, FILE *stream)
{
	for (size_t i = 0; key->choices[i]; i++)
		fprintf(stream, "%s%s", i > 0 ? ", " : "", key->choices[i]);
}

#define UTF8_TEXT "UTF-8 without control characters"

static const struct type {
	int (*read)(const struct config_key *key, const char *text,
	            struct arena *arena, union config_value *ret);
	const char *noun;
	/* Numbers print with this, here and as the ends of their range. */
	void (*print)(const struct config_key *key, uint64_t number,
	              FILE *stream);
	const char *allowed; /* beside the range of a number */
} types[] = {
	[TYPE_SWITCH] = { read_switch, "switch", .allowed = "on or off" },
	[TYPE_NUMBER] = { read_number, "number", print_number },
	[TYPE_PERCENT] = { read_percent, "percentage", print_percent },
	[TYPE_DURATION] = { read_duration, "duration", print_duration },
	[TYPE_SIZE] = { read_size, "size", print_size },
	[TYPE_MODE] = { read_mode, "file mode", print_mode,
	                ", written by the owner alone" },
	[TYPE_CHOICE] = { read_choice, "choice", print_choice },
	[TYPE_STATUSES] = { read_statuses, "list of statuses",
	                    .allowed = "masks and ranges such as "
	                               "5xx, 40x, 403, 200-399" },
	[TYPE_BYTES] = { read_bytes, "text with escapes",
	                 .allowed = "UTF-8 without control characters, and "
	                            "\\r \\n \\t \\\\ \\xNN" },
	[TYPE_AGENT] = { read_agent, "agent",
	                 .allowed = "off, header, tcp://HOST:PORT, "
	                            "or tcp://:PORT at the host itself" },
	[TYPE_PATTERN] = { read_text, "text", .allowed = UTF8_TEXT },
	[TYPE_NEGATABLE_PATTERN] = { read_text, "text", .allowed = UTF8_TEXT },
	[TYPE_NEGATED_PATTERN] = { read_text, "text", .allowed = UTF8_TEXT },
	[TYPE_HEADER_PATTERN] = { read_text, "text", .allowed = UTF8_TEXT },
	[TYPE_TEXT] = { read_text, "text", .allowed = UTF8_TEXT },
	[TYPE_WORD] = { read_word, "word",
	                .allowed = "printable ASCII without blanks and "
	                           "quotes" },
	[TYPE_TOKEN] = { read_token, "HTTP token",
	                 .allowed = "letters, digits and !#$%&'*+-.^_`|~" },
	[TYPE_FILE] = { read_file, "absolute file name",
	                .allowed = "a name that starts with / and has no "
	                           "control characters" },
	[TYPE_READABLE] = { read_readable, "absolute file name",
	                    .allowed = "a name that starts with / and has no "
	                               "control characters" },
	[TYPE_LISTEN] = { read_listen, "address to listen at",
	                  .allowed = "IP:PORT or [IPv6]:PORT" },
	[TYPE_COMMAND] = { read_command, "command",
	                   .allowed = "a program's name that starts with /, "
	                              "and arguments after blanks; no shell "
	                              "reads it" },
	[TYPE_URL] = { read_url, "URL",
	               .allowed = "http:// or https://, a host, a port and a "
	                          "path, without blanks, quotes and #" },
	[TYPE_REQUEST_PATH] = { read_request_path, "request target",
	                        .allowed = "/ and printable ASCII without "
	                                   "blanks and #" },
	[TYPE_HEADER] = { read_header, "header to set",
	                  .allowed = "Name: value, but not Host, Connection, "
	                             "Content-Length or Transfer-Encoding" },
	[TYPE_SERVER] = { read_server, "server",
	                  .allowed = "ADDRESS and parameters" },
	[TYPE_INCLUDE] = { read_text, "file pattern", .allowed = UTF8_TEXT },
};

/* "what is wrong, what is allowed". */
static void describe_problem(const struct config_key *key, const char *text,
                             int error, char *problem)
{
	FILE *stream = fmemopen(problem, CONFIG_PROBLEM_SIZE, "w");
	const struct type *type = &types[key->type];
	char quoted[CONFIG_QUOTE_SIZE];

	snprintf(problem, CONFIG_PROBLEM_SIZE, "bad value");
	if (!stream)
		return;
	config_quote(quoted, text);
	if (error == -ERANGE)
		fprintf(stream, "%s is out of range, allowed: ", quoted);
	else
		fprintf(stream, "%s is no %s, allowed: ", quoted, type->noun);
	if (key->choices) {
		allow_choice(key, stream);
	} else if (type->print) {
		type->print(key, key->min, stream);
		fputs(" to ", stream);
		type->print(key, key->max, stream);
		if (type->allowed)
			fputs(type->allowed, stream);
	} else {
		fputs(type->allowed, stream);
		if (key->type == TYPE_READABLE && *key->default_text != '\0')
			fprintf(stream, ", or %s", key->default_text);
		if (key->max > 0)
			fprintf(stream, ", %" PRIu64 " bytes at most",
			        key->max);
	}
	fclose(stream);
}

/* What is matched, by the type of the key; of other types there is none. */
static const enum expectation_form *form_of(const struct config_key *key)
{
	static const enum expectation_form forms[] = {
		EXPECT_PLAIN, EXPECT_NEGATABLE, EXPECT_NONE_OF, EXPECT_HEADER
	};
	bool is_pattern =
		key->type >= TYPE_PATTERN && key->type <= TYPE_HEADER_PATTERN;

	return is_pattern ? &forms[key->type - TYPE_PATTERN] : NULL;
}

int config_value_parse(const struct config_key *key, const char *text,
                       struct arena *arena, union config_value *ret,
                       char *problem)
{
	const enum expectation_form *form = form_of(key);
	int error;

	memset(ret, 0, sizeof(*ret));
	if (*text == '\0' && *key->default_text == '\0' &&
	    key->type != TYPE_STATUSES) {
		if (key->type >= TYPE_TEXT)
			ret->text = text;
		return 0;
	}
	error = types[key->type].read(key, text, arena, ret);
	if (error == -EINVAL || error == -ERANGE) {
		describe_problem(key, text, error, problem);
		return -EINVAL;
	}
	if (error == 0 && form)
		return expectation_compile(&ret->expectation, text, *form,
		                           arena, problem, CONFIG_PROBLEM_SIZE);
	return error;
}

/* --- values in structures ----------------------------------------------- */

static uint64_t load_number(const struct config_key *key, const void *structure)
{
	const char *at = (const char *) structure + key->offset;
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (key->size) {
	case sizeof(u8):
		memcpy(&u8, at, sizeof(u8));
		return u8;
	case sizeof(u16):
		memcpy(&u16, at, sizeof(u16));
		return u16;
	case sizeof(u32):
		memcpy(&u32, at, sizeof(u32));
		return u32;
	default:
		memcpy(&u64, at, sizeof(u64));
		return u64;
	}
}

static void store_number(const struct config_key *key, uint64_t number,
                         void *structure)
{
	char *at = (char *) structure + key->offset;
	uint8_t u8 = (uint8_t) number;
	uint16_t u16 = (uint16_t) number;
	uint32_t u32 = (uint32_t) number;

	switch (key->size) {
	case sizeof(u8):
		memcpy(at, &u8, sizeof(u8));
		break;
	case sizeof(u16):
		memcpy(at, &u16, sizeof(u16));
		break;
	case sizeof(u32):
		memcpy(at, &u32, sizeof(u32));
		break;
	default:
		memcpy(at, &number, sizeof(number));
		break;
	}
}

void config_value_store(const struct config_key *key, union config_value value,
                        void *structure)
{
	static const struct config_bytes no_bytes;
	char *at = (char *) structure + key->offset;

	if (!key->stored)
		return;
	if (key->type == TYPE_STATUSES)
		memcpy(at, value.statuses, key->size);
	else if (key->type == TYPE_BYTES)
		memcpy(at, value.bytes ? value.bytes : &no_bytes, key->size);
	else if (key->type == TYPE_AGENT)
		memcpy(at, value.agent, key->size);
	else if (form_of(key))
		memcpy(at, &value.expectation, sizeof(value.expectation));
	else if (key->type >= TYPE_TEXT)
		memcpy(at, &value.text, sizeof(value.text));
	else
		store_number(key, value.number, structure);
}

const void *config_value_item(const struct config_key *key,
                              union config_value value)
{
	if (form_of(key))
		return value.expectation;
	return *value.text != '\0' ? value.text : NULL;
}

static const void *load_pointer(const void *at)
{
	const void *pointer;

	memcpy(&pointer, at, sizeof(pointer));
	return pointer;
}

/* As it was written.  `pointer` is a text or, of patterns, an expectation;
 * NULL is none. */
static const char *written(const struct config_key *key, const void *pointer)
{
	if (!pointer)
		return "";
	return form_of(key) ? expectation_text(pointer) : pointer;
}

static bool lists_equal(const struct config_key *key, const char *a,
                        const char *b)
{
	const void *of_a, *of_b;

	do {
		of_a = load_pointer(a);
		of_b = load_pointer(b);
		if (strcmp(written(key, of_a), written(key, of_b)) != 0)
			return false;
		a += sizeof(of_a);
		b += sizeof(of_b);
	} while (of_a && of_b);
	return of_a == of_b;
}

static bool bytes_equal(const struct config_bytes *a,
                        const struct config_bytes *b)
{
	return a->size == b->size &&
	       (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

bool config_value_equal(const struct config_key *key, const void *a,
                        const void *b)
{
	const char *at_a = (const char *) a + key->offset;
	const char *at_b = (const char *) b + key->offset;

	if (config_key_is_list(key))
		return lists_equal(key, load_pointer(at_a), load_pointer(at_b));
	if (key->type == TYPE_BYTES)
		return bytes_equal((const void *) at_a, (const void *) at_b);
	if (key->type == TYPE_AGENT)
		return config_agent_equal((const void *) at_a,
		                          (const void *) at_b);
	if (key->type >= TYPE_TEXT || form_of(key))
		return strcmp(written(key, load_pointer(at_a)),
		              written(key, load_pointer(at_b))) == 0;
	return memcmp(at_a, at_b, key->size) == 0;
}

const char *config_value_list_text(const struct config_key *key,
                                   const void *structure, size_t index)
{
	const char *list = load_pointer((const char *) structure + key->offset);
	const void *item = load_pointer(list + index * sizeof(item));

	return item ? written(key, item) : NULL;
}

void config_value_print_text(const struct config_key *key,
                             const void *structure, FILE *stream)
{
	const struct type *type = &types[key->type];
	const void *at = (const char *) structure + key->offset;
	const struct config_bytes *bytes = at;
	const struct config_agent *agent = at;
	char text[STATUS_MASK_TEXT_SIZE];
	uint64_t number;

	if (key->type >= TYPE_TEXT || form_of(key)) {
		fputs(written(key, load_pointer(at)), stream);
	} else if (key->type == TYPE_STATUSES) {
		fputs(status_mask_text(at, text), stream);
	} else if (key->type == TYPE_BYTES) {
		escaped_print(bytes->data, bytes->size, stream);
	} else if (key->type == TYPE_AGENT) {
		fputs(agent->text, stream);
	} else if (key->type == TYPE_SWITCH) {
		fputs(load_number(key, structure) ? "on" : "off", stream);
	} else {
		/* zero that nobody set prints as the empty default it is */
		number = load_number(key, structure);
		if (number > 0 || *key->default_text != '\0')
			type->print(key, number, stream);
	}
}

/* A semicolon after a blank would start a comment. */
static void print_line(const struct config_key *key, const char *text,
                       FILE *stream)
{
	fprintf(stream, "%s =%s%s\n", key->name, *text == ';' ? "" : " ", text);
}

static void print_list(const struct config_key *key, const char *list,
                       FILE *stream)
{
	const void *pointer = load_pointer(list);

	if (!pointer)
		fprintf(stream, "%s =\n", key->name);
	for (; pointer; pointer = load_pointer(list += sizeof(pointer)))
		print_line(key, written(key, pointer), stream);
}

void config_value_print(const struct config_key *key, const void *structure,
                        FILE *stream)
{
	const char *at = (const char *) structure + key->offset;

	if (config_key_is_list(key)) {
		print_list(key, load_pointer(at), stream);
	} else if (key->type >= TYPE_TEXT || form_of(key)) {
		print_line(key, written(key, load_pointer(at)), stream);
	} else {
		fprintf(stream, "%s = ", key->name);
		config_value_print_text(key, structure, stream);
		fputc('\n', stream);
	}
}
