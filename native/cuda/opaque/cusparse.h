/* SPDX-License-Identifier: Apache-2.0
 *
 * In the place of a header of CUDA's that only comes with a library of hundreds of MB: ATen's headers name these types, and
 * nothing here uses them. Where the real header is, it goes first. */
#pragma once
typedef struct cusparseContext* cusparseHandle_t;
typedef int cusparseStatus_t;
