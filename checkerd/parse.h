/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Small values that people write: numbers, durations, switches, names.
 *
 * Each function takes the whole text or nothing: blanks, signs and trailing
 * characters are refused.  They return 0, -EINVAL for what is no such value,
 * or -ERANGE for one out of [min, max]; *ret is set on 0 only.
 */
#ifndef CHECKERD_PARSE_H
#define CHECKERD_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DURATION_TEXT_SIZE 32
#define SIZE_TEXT_SIZE     32

/* on off, yes no, true false, 1 0; in any case. */
int parse_bool(bool *ret, const char *text);

int parse_unsigned(uint64_t *ret, const char *text, uint64_t min, uint64_t max);

/* "0644" or "644". */
int parse_octal(uint64_t *ret, const char *text, uint64_t min, uint64_t max);

/* "10%" or "10". */
int parse_percent(uint64_t *ret, const char *text, uint64_t min, uint64_t max);

/* "250ms", "5s", "2m", "1h", "14d"; a bare number is seconds. */
int parse_duration_ms(uint64_t *ret_ms, const char *text, uint64_t min_ms,
                      uint64_t max_ms);

/* The shortest text that parse_duration_ms() reads as `ms`; `buffer` has
 * DURATION_TEXT_SIZE bytes. */
const char *duration_text(uint64_t ms, char *buffer);

/* "256k", "1m"; a bare number is bytes. */
int parse_size(uint64_t *ret, const char *text, uint64_t min, uint64_t max);

/* The shortest text that parse_size() reads as `size`; `buffer` has
 * SIZE_TEXT_SIZE bytes. */
const char *size_text(uint64_t size, char *buffer);

/* Text with the escapes \r \n \t \\ and \xNN, into `ret`, which has room for
 * as many bytes as the text. */
int parse_escaped(unsigned char *ret, size_t *ret_size, const char *text);

/* As parse_escaped() reads it, and with nothing in it that would mean
 * something else in a file: neither blanks, quotes nor semicolons. */
void escaped_print(const unsigned char *data, size_t size, FILE *stream);

/* Well-formed UTF-8 (no overlong forms, no surrogates) without control
 * characters: nothing below U+0020 nor from U+007F to U+009F. */
bool text_is_printable(const char *text, size_t size);

/* Not empty, letters, digits, and `._-` only. */
bool text_is_name(const char *text, size_t size);

/* Not empty, printable ASCII without blanks and quotes. */
bool text_is_id(const char *text, size_t size);

/* Not empty, what HTTP allows in a method or a field name. */
bool text_is_token(const char *text, size_t size);

/* http:// or https://, a host (a name, an IPv4 address, an IPv6 address in
 * brackets), maybe USER:PASSWORD@ before it and :PORT behind, and maybe a path
 * and a query: printable ASCII without blanks, quotes, backslashes and #. */
bool text_is_url(const char *text);

#endif
