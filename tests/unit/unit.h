/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What every unit test includes, in the order that cmocka wants.
 */
#ifndef CHECKERD_TESTS_UNIT_H
#define CHECKERD_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
