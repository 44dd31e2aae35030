/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Levenshtein's distance, with words cut at 63 bytes, since nobody mistypes
 * more than that.  A word is proposed while at most a third of it differs.
 */
#include "nearest.h"

#include "util.h"

#define WORD_MAX 63

static size_t distance(const char *a, size_t a_size, const char *b,
                       size_t b_size)
{
	size_t row[WORD_MAX + 1], i, j;

	for (j = 0; j <= b_size; j++)
		row[j] = j;
	for (i = 1; i <= a_size; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (j = 1; j <= b_size; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b_size];
}

void nearest_begin(struct nearest *nearest, const char *word, size_t size)
{
	nearest->word = word;
	nearest->size = size < WORD_MAX ? size : WORD_MAX;
	nearest->distance = nearest->size / 3 + 2;
}

int nearest_offer(struct nearest *nearest, const char *known, size_t size)
{
	size_t found;

	found = distance(nearest->word, nearest->size, known,
	                 size < WORD_MAX ? size : WORD_MAX);
	if (found >= nearest->distance)
		return 0;
	nearest->distance = found;
	return 1;
}
