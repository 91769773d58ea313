/* SPDX-License-Identifier: Apache-2.0
 *
 * As much of a test framework as these programs need: a check that fails says where and what, and ends the program.
 */
#ifndef LANCETORCH_TESTS_CHECK_H
#define LANCETORCH_TESTS_CHECK_H

#include <lancetorch/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, __func__, #condition); \
      exit(1);                                                                      \
    }                                                                               \
  } while (0)

/* The call returns LT_OK, and clears the error. `err` is the name of the lt_error in scope. */
#define CHECK_OK(call)                                                                                        \
  do {                                                                                                        \
    err.code = -1;                                                                                            \
    lt_status check_status = (call);                                                                          \
    if (check_status != LT_OK) {                                                                              \
      fprintf(stderr, "%s:%d: %s: %s\n  is %d: %s\n", __FILE__, __LINE__, __func__, #call, (int)check_status, \
              err.message);                                                                                   \
      exit(1);                                                                                                \
    }                                                                                                         \
    CHECK(err.code == LT_OK && err.detail == -1 && err.message[0] == '\0');                                   \
  } while (0)

/* The call returns `expected` and says so in the error too, in words that hold `part`. */
#define CHECK_FAILS(expected, part, call)                                                                           \
  do {                                                                                                              \
    err.message[0] = '\0';                                                                                          \
    lt_status check_status = (call);                                                                                \
    if (check_status != (expected) || err.code != check_status || strstr(err.message, (part)) == NULL) {            \
      fprintf(stderr, "%s:%d: %s: %s\n  is %d (%d), not %d with \"%s\": %s\n", __FILE__, __LINE__, __func__, #call, \
              (int)check_status, (int)err.code, (int)(expected), (part), err.message);                              \
      exit(1);                                                                                                      \
    }                                                                                                               \
  } while (0)

#endif
