/* SPDX-License-Identifier: BSD-2-Clause */
#include "metric.h"

#include "utf8.h"

#include <inttypes.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* A double holds whole numbers of so many digits. */
#define DIGITS 15

const struct metric metrics[METRIC_COUNT] = {
#define X(id, name, type, labels, help)                                        \
	[METRIC_##id] = { name, METRIC_##type, labels, help },
	METRICS(X)
#undef X
};

const char *metric_type_name(enum metric_type type)
{
	static const char *const names[] = {
		[METRIC_COUNTER] = "counter",
		[METRIC_GAUGE] = "gauge",
		[METRIC_HISTOGRAM] = "histogram",
	};

	return names[type];
}

void metric_heading(FILE *out, enum metric_id id)
{
	const struct metric *metric = &metrics[id];

	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
	        metric->name, metric_type_name(metric->type));
}

static void write_escaped(FILE *out, struct health_text text)
{
	uint32_t character;
	size_t length;

	for (; text.size > 0; text.data += length, text.size -= length) {
		length = utf8_next(text.data, text.size, &character);
		if (length == 0) {
			fputs(REPLACEMENT, out);
			length = 1;
		} else if (character == '\n') {
			fputs("\\n", out);
		} else {
			if (character == '\\' || character == '"')
				fputc('\\', out);
			fwrite(text.data, 1, length, out);
		}
	}
}

/* `le` is one more label; NULL: there is none. */
static void write_series(FILE *out, const struct metric *metric,
                         const char *suffix, const struct metric_values *values,
                         const char *le)
{
	const struct health_text *value = values ? values->text : NULL;
	const char *name = metric->labels, *before = "{";
	size_t size;

	fprintf(out, "%s%s", metric->name, suffix);
	for (; *name; name += size + (name[size] == ' ')) {
		size = strcspn(name, " ");
		fprintf(out, "%s%.*s=\"", before, (int) size, name);
		write_escaped(out, *value++); /* NOLINT: one for each label */
		fputc('"', out);
		before = ",";
	}
	if (le) {
		fprintf(out, "%sle=\"%s\"", before, le);
		before = ",";
	}
	fputs(*before == ',' ? "} " : " ", out);
}

void metric_sample(FILE *out, enum metric_id id,
                   const struct metric_values *values, double value)
{
	write_series(out, &metrics[id], "", values, NULL);
	fprintf(out, "%.*g\n", DIGITS, value);
}

void metric_histogram(FILE *out, enum metric_id id,
                      const struct metric_values *values,
                      const struct histogram *histogram)
{
	const struct metric *metric = &metrics[id];
	uint64_t count = 0;
	char le[32];

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		count += histogram->buckets[i];
		if (i < HISTOGRAM_BUCKETS - 1)
			snprintf(le, sizeof(le), "%g",
			         (double) histogram_bounds_us[i] / 1e6);
		else
			snprintf(le, sizeof(le), "+Inf");
		write_series(out, metric, "_bucket", values, le);
		fprintf(out, "%" PRIu64 "\n", count);
	}
	write_series(out, metric, "_sum", values, NULL);
	fprintf(out, "%.*g\n", DIGITS, (double) histogram->sum_us / 1e6);
	write_series(out, metric, "_count", values, NULL);
	fprintf(out, "%" PRIu64 "\n", count);
}
