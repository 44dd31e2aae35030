/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Prints the table of metrics for metrics.py, one row a line: name, type,
 * labels, sentence.
 */
#include "metric.h"

int main(void)
{
	for (int i = 0; i < METRIC_COUNT; i++)
		printf("%s\t%s\t%s\t%s\n", metrics[i].name,
		       metric_type_name(metrics[i].type), metrics[i].labels,
		       metrics[i].help);
	return 0;
}
