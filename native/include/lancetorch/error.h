/* SPDX-License-Identifier: Apache-2.0
 *
 * How every function of torch.h and lance.h fails.
 *
 * Rules that hold for each function of both headers, and that its own entry does not repeat:
 *  - A function that can fail returns an lt_status and takes `lt_error* err` last. It returns LT_OK and clears `err`,
 *    or returns another code, fills `err`, and leaves its other out-parameters untouched. `err` may be NULL.
 *  - A handle or an out-parameter that is NULL where the entry does not say "may be NULL" is LT_INVALID_ARGUMENT.
 *    A release or close function takes NULL and does nothing.
 *  - *owned*:    the receiver of the handle frees it, once, with the release function that the entry names.
 *    *borrowed*: the pointer is read during the call only, or for as long as the entry says; its owner goes on owning it.
 *    *consumed*: the callee owns it from the moment of the call, also when the call fails.
 *  - No C++ exception and no Rust panic leaves a function: either becomes LT_INTERNAL or a better fitting code.
 *  - A handle may be used by one thread at a time unless the entry says "any thread"; different handles are independent.
 *  - Strings are UTF-8 and end with a NUL byte.
 */
#ifndef LANCETORCH_ERROR_H
#define LANCETORCH_ERROR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a caller can act on. The values are fixed for ever. */
typedef int32_t lt_status;
#define LT_OK 0
#define LT_INVALID_ARGUMENT 1 /* the call is wrong: correct it */
#define LT_NOT_FOUND 2        /* a path, column, version, tag, operator or key that is not there */
#define LT_IO 3               /* the disk, the network or the object store failed: may work again */
#define LT_CORRUPT_DATA 4     /* bytes that are not what they should be: a file cut short, an image that is none */
#define LT_OUT_OF_MEMORY 5    /* host or device memory: make batches smaller */
#define LT_TIMEOUT 6          /* a deadline has passed */
#define LT_PEER_FAILED 7      /* another rank is gone or broke off */
#define LT_CANCELLED 8        /* the caller asked for it */
#define LT_UNSUPPORTED 9      /* this build or this device cannot */
#define LT_INTERNAL 10        /* a fault of ours: report it */

#define LT_ERROR_MESSAGE_SIZE 2040

/* Owned by the caller, who may reuse it for any number of calls from one thread at a time. */
typedef struct lt_error {
  lt_status code;
  int32_t detail;                      /* a row, where a function says so; else -1 */
  char message[LT_ERROR_MESSAGE_SIZE]; /* ends with NUL, cut at a character where too long */
} lt_error;

#ifdef __cplusplus
}
#endif

#endif
