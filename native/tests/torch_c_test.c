/* SPDX-License-Identifier: Apache-2.0
 *
 * Goes through torch.h as a C caller. Ranks are threads of this process, but where one has to die: that one is this
 * program once more, as `torch_c_test --dying-rank PORT`.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <lancetorch/torch.h>
#include <math.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof((array)[0])))

static const lt_device CPU = {LT_DEVICE_CPU, -1};
static const lt_device CUDA = {LT_DEVICE_CUDA, -1};

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- Help -------------------------------------------------------------------------------------------------------- */

static lt_value none(void) { return (lt_value){.tag = LT_VALUE_NONE}; }
static lt_value by_default(void) { return (lt_value){.tag = LT_VALUE_DEFAULT}; }
static lt_value tensor(lt_tensor* of) { return (lt_value){.tag = LT_VALUE_TENSOR, .as.tensor = of}; }
static lt_value integer(int64_t of) { return (lt_value){.tag = LT_VALUE_INT, .as.integer = of}; }
static lt_value real(double of) { return (lt_value){.tag = LT_VALUE_DOUBLE, .as.real = of}; }
static lt_value boolean(bool of) { return (lt_value){.tag = LT_VALUE_BOOL, .as.integer = of}; }
static lt_value string(const char* of) {
  return (lt_value){.tag = LT_VALUE_STRING, .length = (int32_t)strlen(of), .as.string = of};
}
static lt_value integers(const int64_t* of, int32_t length) {
  return (lt_value){.tag = LT_VALUE_INT_LIST, .length = length, .as.integers = of};
}
static lt_value list(int32_t length) { return (lt_value){.tag = LT_VALUE_LIST, .length = length}; }
static lt_value dict(int32_t length) { return (lt_value){.tag = LT_VALUE_DICT, .length = length}; }
static lt_value tensors(lt_tensor* const* of, int32_t length) {
  return (lt_value){.tag = LT_VALUE_TENSOR_LIST, .length = length, .as.tensors = of};
}

static const lt_op* find(const char* name, const char* overload) {
  lt_error err;
  const lt_op* op = NULL;
  CHECK_OK(lt_op_find(name, overload, &op, &err));
  return op;
}

/* Calls an operator that has one tensor as its result. */
static lt_tensor* call(const char* name, const char* overload, const lt_value* arguments, int32_t count) {
  lt_error err;
  lt_value result;
  int32_t results = 0;
  CHECK_OK(lt_op_call(find(name, overload), arguments, count, &result, 1, &results, &err));
  CHECK(results == 1 && result.tag == LT_VALUE_TENSOR);
  return result.as.tensor;
}
#define CALL(name, overload, ...) \
  call(name, overload, (const lt_value[]){__VA_ARGS__}, COUNT(((const lt_value[]){__VA_ARGS__})))

static lt_tensor_info info_of(const lt_tensor* of) {
  lt_error err;
  lt_tensor_info info;
  CHECK_OK(lt_tensor_info_get(of, &info, &err));
  return info;
}
static float* floats(const lt_tensor* of) {
  CHECK(info_of(of).dtype == LT_DTYPE_FLOAT32);
  return info_of(of).data;
}
static double item(const lt_tensor* of) {
  lt_error err;
  double value = 0;
  CHECK_OK(lt_tensor_item(of, &value, &err));
  return value;
}

static lt_tensor* empty(int32_t dtype, const int64_t* shape, int32_t dimensions) {
  lt_error err;
  lt_tensor* made = NULL;
  CHECK_OK(lt_tensor_empty(shape, dimensions, dtype, CPU, LT_MEMORY_CONTIGUOUS, 0, &made, &err));
  return made;
}
/* A vector of `count` floats: first, first + 1, ... */
static lt_tensor* counting(int64_t count, float first) {
  lt_tensor* made = empty(LT_DTYPE_FLOAT32, &count, 1);
  for (int64_t i = 0; i < count; i++) {
    floats(made)[i] = first + (float)i;
  }
  return made;
}

static void check_nothing_lives(void) {
  for (int32_t kind = 0; kind < 8; kind++) {
    if (lt_torch_live_handles(kind) != 0) {
      fprintf(stderr, "%d handles of the kind %d are alive\n", (int)lt_torch_live_handles(kind), (int)kind);
      exit(1);
    }
  }
  CHECK(lt_torch_live_bytes() == 0);
}

/* ---- The library ------------------------------------------------------------------------------------------------- */

static void test_library(void) {
  lt_error err;
  CHECK(strncmp(lt_torch_built_version(), "2.", 2) == 0);
  CHECK(lt_torch_live_handles(-1) == -1 && lt_torch_live_handles(8) == -1);
  CHECK_OK(lt_torch_set_num_threads(1, &err));
  CHECK(lt_torch_num_threads() == 1);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "threads", lt_torch_set_num_threads(0, &err));
  CHECK(lt_torch_set_num_threads(0, NULL) == LT_INVALID_ARGUMENT);

  int64_t shape[] = {5};
  lt_tensor* drawn[2];
  for (int i = 0; i < 2; i++) {
    CHECK_OK(lt_torch_manual_seed(42, &err));
    drawn[i] = CALL("aten::rand", "", integers(shape, 1));
  }
  CHECK(memcmp(floats(drawn[0]), floats(drawn[1]), 5 * sizeof(float)) == 0);
  lt_tensor_release_all(drawn, 2);
}

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

static void test_empty(void) {
  lt_error err;
  int64_t shape[] = {2, 3, 4, 5};
  lt_tensor* made = NULL;
  CHECK_OK(lt_tensor_empty(shape, 4, LT_DTYPE_FLOAT32, CPU, LT_MEMORY_CHANNELS_LAST, 0, &made, &err));
  lt_tensor_info info = info_of(made);
  CHECK(info.dtype == LT_DTYPE_FLOAT32 && info.dimensions == 4 && info.element_count == 120 && info.element_size == 4);
  CHECK(info.device.type == LT_DEVICE_CPU && info.data != NULL);
  CHECK(memcmp(info.shape, shape, sizeof(shape)) == 0);
  CHECK(memcmp(info.strides, ((int64_t[]){60, 1, 15, 3}), sizeof(shape)) == 0);
  lt_tensor_release(made);

  CHECK_OK(lt_tensor_empty(NULL, 0, LT_DTYPE_INT64, CPU, LT_MEMORY_CONTIGUOUS, 0, &made, &err));
  CHECK(info_of(made).dimensions == 0 && info_of(made).element_count == 1);
  lt_tensor_release(made);

  lt_tensor* untouched = (lt_tensor*)&err;
  made = untouched;
  int64_t negative[] = {2, -1};
  int64_t huge[] = {INT64_MAX, INT64_MAX};
  int64_t too_large[] = {INT64_C(1) << 44};
  int64_t ones[65];
  for (int i = 0; i < 65; i++) {
    ones[i] = 1;
  }
#define EMPTY(shape, dimensions, dtype, device, format, pinned) \
  lt_tensor_empty(shape, dimensions, dtype, device, format, pinned, &made, &err)
  CHECK_FAILS(LT_INVALID_ARGUMENT, "shape[1]", EMPTY(negative, 2, LT_DTYPE_FLOAT32, CPU, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "", EMPTY(huge, 2, LT_DTYPE_FLOAT32, CPU, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "dimensions", EMPTY(shape, -1, LT_DTYPE_FLOAT32, CPU, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "dimensions", EMPTY(ones, 65, LT_DTYPE_FLOAT32, CPU, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "shape is NULL", EMPTY(NULL, 1, LT_DTYPE_FLOAT32, CPU, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "dtype", EMPTY(shape, 4, 99, CPU, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "dtype", EMPTY(shape, 4, -1, CPU, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "device", EMPTY(shape, 4, LT_DTYPE_FLOAT32, ((lt_device){77, 0}), 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "device", EMPTY(shape, 4, LT_DTYPE_FLOAT32, ((lt_device){-1, 0}), 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "device", EMPTY(shape, 4, LT_DTYPE_FLOAT32, ((lt_device){0, 3}), 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "memory_format", EMPTY(shape, 4, LT_DTYPE_FLOAT32, CPU, LT_MEMORY_PRESERVE, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "4 dimensions", EMPTY(shape, 3, LT_DTYPE_FLOAT32, CPU, LT_MEMORY_CHANNELS_LAST, 0));
  CHECK_FAILS(LT_OUT_OF_MEMORY, "", EMPTY(too_large, 1, LT_DTYPE_FLOAT32, CPU, 0, 0));
  if (lt_device_count(LT_DEVICE_CUDA) == 0) {
    CHECK_FAILS(LT_UNSUPPORTED, "pinned", EMPTY(shape, 4, LT_DTYPE_FLOAT32, CPU, 0, 1));
  }
#undef EMPTY
  CHECK(made == untouched);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "tensor is NULL",
              lt_tensor_empty(shape, 4, LT_DTYPE_FLOAT32, CPU, 0, 0, NULL, &err));
}

static void test_handles(void) {
  lt_error err;
  lt_tensor* first = counting(3, 1);
  lt_tensor* second = NULL;
  CHECK_OK(lt_tensor_share(first, &second, &err));
  CHECK(lt_torch_live_handles(LT_TORCH_TENSOR) == 2);
  CHECK(info_of(first).data == info_of(second).data);
  lt_tensor_release(first);
  CHECK(floats(second)[2] == 3);
  lt_tensor_release_all((lt_tensor*[]){NULL, second, NULL}, 3);
  lt_tensor_release_all(NULL, 0);
  lt_tensor_release(NULL);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "tensor is NULL", lt_tensor_share(NULL, &second, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "tensor is NULL", lt_tensor_info_get(NULL, &(lt_tensor_info){0}, &err));
  CHECK(lt_tensor_storage_use_count(NULL) == -1);
}

static void test_copies_and_items(void) {
  lt_error err;
  lt_tensor* source = counting(3, 1.5F);
  lt_tensor* target = empty(LT_DTYPE_INT64, (int64_t[]){2, 3}, 2);
  CHECK_OK(lt_tensor_copy(target, source, 0, &err));
  CHECK(memcmp(info_of(target).data, ((int64_t[]){1, 2, 3, 1, 2, 3}), 48) == 0);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "lt_tensor_copy", lt_tensor_copy(source, target, 0, &err));

  lt_tensor* same = NULL;
  lt_tensor* changed = NULL;
  CHECK_OK(lt_tensor_to(source, CPU, -1, 0, 0, LT_MEMORY_PRESERVE, &same, &err));
  CHECK(info_of(same).data == info_of(source).data);
  CHECK_OK(lt_tensor_to(source, CPU, LT_DTYPE_FLOAT64, 0, 0, LT_MEMORY_PRESERVE, &changed, &err));
  CHECK(((double*)info_of(changed).data)[1] == 2.5);
  lt_tensor* none_made = NULL;
  CHECK_FAILS(LT_INVALID_ARGUMENT, "dtype", lt_tensor_to(source, CPU, 77, 0, 0, 0, &none_made, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "format", lt_tensor_to(source, CPU, -1, 0, 0, 77, &none_made, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "", lt_tensor_to(source, CPU, -1, 0, 0, LT_MEMORY_CHANNELS_LAST, &none_made, &err));
  if (lt_device_count(LT_DEVICE_CUDA) == 0) {
    CHECK_FAILS(LT_UNSUPPORTED, "", lt_tensor_to(source, CUDA, -1, 0, 0, LT_MEMORY_PRESERVE, &none_made, &err));
  }

  lt_tensor* one = empty(LT_DTYPE_INT64, NULL, 0);
  int64_t large = (INT64_C(1) << 53) + 1;
  *(int64_t*)info_of(one).data = large;
  int64_t value = 0;
  CHECK_OK(lt_tensor_item_int(one, &value, &err));
  CHECK(value == large && item(one) == (double)(large - 1));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "", lt_tensor_item(source, &(double){0}, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "", lt_tensor_item_int(source, &value, &err));
  lt_tensor_release_all((lt_tensor*[]){source, target, same, changed, one}, 5);
}

/* A deleter's context. */
typedef struct memory {
  int64_t values[16];
  atomic_int deleted;
} memory;
static void delete_memory(void* context) { atomic_fetch_add(&((memory*)context)->deleted, 1); }
static void* release_on_thread(void* handle) {
  lt_tensor_release(handle);
  return NULL;
}

static void test_from_memory(void) {
  lt_error err;
  memory of = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, 0};
  lt_tensor* alias = NULL;
  int64_t shape[] = {4, 4};
  CHECK_OK(lt_tensor_from_memory(of.values, shape, NULL, 2, LT_DTYPE_INT64, delete_memory, &of, &alias, &err));
  CHECK(lt_torch_live_bytes() == 128 && info_of(alias).data == of.values);
  CHECK(memcmp(info_of(alias).strides, ((int64_t[]){4, 1}), 16) == 0);
  CHECK(lt_tensor_storage_use_count(alias) == 1);

  /* A view holds the storage when the tensor is gone; the last reference may go on another thread. */
  lt_tensor* view = CALL("aten::select", "int", tensor(alias), integer(0), integer(2));
  CHECK(lt_tensor_storage_use_count(alias) == 2);
  lt_tensor_release(alias);
  CHECK(of.deleted == 0 && ((int64_t*)info_of(view).data)[1] == 9);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, release_on_thread, view) == 0 && pthread_join(thread, NULL) == 0);
  CHECK(of.deleted == 1 && lt_torch_live_bytes() == 0);

  /* Strides: every second column; one row for all (a stride of 0). */
  int64_t strides[] = {4, 2};
  int64_t halves[] = {4, 2};
  CHECK_OK(lt_tensor_from_memory(of.values, halves, strides, 2, LT_DTYPE_INT64, NULL, NULL, &alias, &err));
  lt_tensor* sum = CALL("aten::sum", "", tensor(alias));
  CHECK(item(sum) == 0 + 2 + 4 + 6 + 8 + 10 + 12 + 14 && lt_torch_live_bytes() == 15 * 8);
  lt_tensor_release_all((lt_tensor*[]){alias, sum}, 2);
  CHECK_OK(lt_tensor_from_memory(of.values, shape, (int64_t[]){0, 1}, 2, LT_DTYPE_INT64, NULL, NULL, &alias, &err));
  CHECK(lt_torch_live_bytes() == 32);
  lt_tensor_release(alias);

  /* Without elements there need be no memory; the deleter runs all the same. */
  CHECK_OK(lt_tensor_from_memory(NULL, (int64_t[]){0, 7}, NULL, 2, LT_DTYPE_FLOAT32, delete_memory, &of, &alias, &err));
  CHECK(info_of(alias).element_count == 0);
  lt_tensor_release(alias);
  CHECK(of.deleted == 2);

  /* It trains like any other. */
  float weights[] = {1, 2};
  CHECK_OK(lt_tensor_from_memory(weights, (int64_t[]){2}, NULL, 1, LT_DTYPE_FLOAT32, NULL, NULL, &alias, &err));
  CHECK_OK(lt_tensor_set_requires_grad(alias, 1, &err));
  lt_tensor* product = CALL("aten::dot", "", tensor(alias), tensor(alias));
  CHECK_OK(lt_tensor_backward(product, NULL, 0, &err));
  lt_tensor* grad = NULL;
  CHECK_OK(lt_tensor_grad(alias, &grad, &err));
  CHECK(floats(grad)[1] == 4);
  lt_tensor_release_all((lt_tensor*[]){alias, product, grad}, 3);

  int64_t huge[] = {INT64_C(1) << 40, INT64_C(1) << 40};
#define FROM(data, shape, strides, dimensions, dtype) \
  lt_tensor_from_memory(data, shape, strides, dimensions, dtype, delete_memory, &of, &alias, &err)
  CHECK_FAILS(LT_INVALID_ARGUMENT, "aligned", FROM((char*)of.values + 4, shape, NULL, 2, LT_DTYPE_INT64));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "data is NULL", FROM(NULL, shape, NULL, 2, LT_DTYPE_INT64));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "strides[1]", FROM(of.values, shape, ((int64_t[]){4, -1}), 2, LT_DTYPE_INT64));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "shape[0]", FROM(of.values, ((int64_t[]){-4}), NULL, 1, LT_DTYPE_INT64));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "bytes", FROM(of.values, huge, NULL, 2, LT_DTYPE_INT64));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "bytes", FROM(of.values, huge, ((int64_t[]){1, 1 << 30}), 2, LT_DTYPE_INT64));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "dtype", FROM(of.values, shape, NULL, 2, 12));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "dimensions", FROM(of.values, shape, NULL, 65, LT_DTYPE_INT64));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "tensor is NULL",
              lt_tensor_from_memory(of.values, shape, NULL, 2, LT_DTYPE_INT64, delete_memory, &of, NULL, &err));
#undef FROM
  CHECK(of.deleted == 2 && lt_torch_live_bytes() == 0);
}

/* ---- Operators --------------------------------------------------------------------------------------------------- */

static void test_find(void) {
  lt_error err;
  const lt_op* op = NULL;
  CHECK_OK(lt_op_find("aten::relu", NULL, &op, &err));
  CHECK(op == find("aten::relu", ""));
  CHECK(strcmp(lt_op_schema(op), "aten::relu(Tensor self) -> Tensor") == 0);
  CHECK(lt_op_schema(NULL) == NULL);
  const lt_op* before = op;
  CHECK_FAILS(LT_NOT_FOUND, "\"Tensor\"", lt_op_find("aten::add", "Nonsense", &op, &err));
  CHECK_FAILS(LT_NOT_FOUND, "aten::nonsense", lt_op_find("aten::nonsense", "", &op, &err));
  CHECK_FAILS(LT_NOT_FOUND, "", lt_op_find("", "", &op, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "name is NULL", lt_op_find(NULL, "", &op, &err));
  CHECK(op == before);
}

static void test_values(void) {
  lt_error err;
  lt_tensor* a = counting(6, 0);
  lt_tensor* b = CALL("aten::add", "Tensor", tensor(a), tensor(a), integer(2)); /* alpha = 2 */
  CHECK(floats(b)[5] == 15);
  lt_tensor* c = CALL("aten::add", "Scalar", tensor(a), real(0.5));
  CHECK(floats(c)[0] == 0.5F);
  lt_tensor* d = CALL("aten::add", "Tensor", tensor(a), tensor(a), by_default());
  CHECK(floats(d)[5] == 10);
  lt_tensor* e = CALL("aten::add", "Scalar", tensor(a), boolean(true));
  CHECK(floats(e)[0] == 1);
  lt_tensor_release_all((lt_tensor*[]){b, c, d, e}, 4);

  /* An in-place operator returns its argument, as a handle of its own. */
  b = CALL("aten::mul_", "Scalar", tensor(a), integer(1));
  CHECK(b == a && lt_torch_live_handles(LT_TORCH_TENSOR) == 2);
  lt_tensor_release(b);

  /* Options: dtype, layout, device, pin_memory, memory_format. */
  int64_t shape[] = {1, 2, 3, 4};
  b = CALL("aten::empty", "memory_format", integers(shape, 4), integer(LT_DTYPE_INT16), none(),
           ((lt_value){.tag = LT_VALUE_DEVICE, .as.device = CPU}), boolean(false), integer(LT_MEMORY_CHANNELS_LAST));
  CHECK(info_of(b).dtype == LT_DTYPE_INT16 && info_of(b).strides[1] == 1);
  lt_tensor_release(b);

  /* An int where the schema has float, a list of ints where it has floats, one int for int[2], a string. */
  b = CALL("aten::dropout", "", tensor(a), integer(0), boolean(false));
  CHECK(floats(b)[3] == 3);
  lt_tensor_release(b);
  lt_tensor* image = CALL("aten::reshape", "", tensor(a), integers((int64_t[]){1, 1, 2, 3}, 4));
  b = CALL("aten::max_pool2d", "", tensor(image), integer(2));
  CHECK(info_of(b).element_count == 1 && item(b) == 4);
  lt_tensor_release(b);
  b = CALL("aten::upsample_nearest2d", "vec", tensor(image), none(), integers((int64_t[]){2, 2}, 2));
  CHECK(info_of(b).element_count == 24);
  lt_tensor_release_all((lt_tensor*[]){b, image}, 2);
  b = CALL("aten::einsum", "", string("i,i->"), tensors((lt_tensor*[]){a, a}, 2));
  CHECK(item(b) == 0 + 1 + 4 + 9 + 16 + 25);
  lt_tensor_release(b);
  b = CALL("aten::div", "Tensor_mode", tensor(a), tensor(a), string("floor"));
  CHECK(floats(b)[5] == 1);
  lt_tensor_release(b);

  /* Tensor?[] with NULLs: m[:, [1]]. */
  lt_tensor* matrix = CALL("aten::reshape", "", tensor(a), integers((int64_t[]){2, 3}, 2));
  lt_tensor* column = empty(LT_DTYPE_INT64, (int64_t[]){1}, 1);
  *(int64_t*)info_of(column).data = 1;
  b = CALL("aten::index", "Tensor", tensor(matrix), tensors((lt_tensor*[]){NULL, column}, 2));
  CHECK(info_of(b).element_count == 2 && floats(b)[1] == 4);
  lt_tensor_release_all((lt_tensor*[]){b, column, matrix}, 3);

  /* Results: two tensors, a list, a bool, an int, a list of ints, none. */
  lt_value results[3];
  int32_t count = 0;
  CHECK_OK(lt_op_call(find("aten::max", "dim"), (lt_value[]){tensor(a), integer(0)}, 2, results, 3, &count, &err));
  CHECK(count == 2 && item(results[0].as.tensor) == 5 && item(results[1].as.tensor) == 5);
  lt_tensor_release(results[0].as.tensor);
  lt_tensor_release(results[1].as.tensor);
  CHECK_OK(lt_op_call(find("aten::split", "Tensor"), (lt_value[]){tensor(a), integer(4)}, 2, results, 3, &count, &err));
  CHECK(count == 1 && results[0].tag == LT_VALUE_TENSOR_LIST && results[0].length == 2);
  CHECK(info_of(results[0].as.tensors[1]).element_count == 2);
  lt_tensor_release_all(results[0].as.tensors, results[0].length);
  lt_value_free(&results[0]);
  CHECK(results[0].tag == LT_VALUE_NONE);
  lt_value_free(&results[0]);
  lt_value_free(NULL);
  CHECK_OK(lt_op_call(find("aten::equal", ""), (lt_value[]){tensor(a), tensor(a)}, 2, results, 3, &count, &err));
  CHECK(count == 1 && results[0].tag == LT_VALUE_BOOL && results[0].as.integer == 1);
  CHECK_OK(lt_op_call(find("aten::size", "int"), (lt_value[]){tensor(a), integer(0)}, 2, results, 3, &count, &err));
  CHECK(count == 1 && results[0].tag == LT_VALUE_INT && results[0].as.integer == 6);
  lt_tensor* last = CALL("aten::select", "int", tensor(a), integer(0), integer(-1));
  CHECK_OK(lt_op_call(find("aten::item", ""), (lt_value[]){tensor(last)}, 1, results, 3, &count, &err));
  CHECK(count == 1 && results[0].tag == LT_VALUE_DOUBLE && results[0].as.real == 5);
  lt_tensor_release_all((lt_tensor*[]){a, last}, 2);
}

/* What an operator with two results of which one is undefined gives. */
static void test_undefined_result(void) {
  lt_error err;
  lt_tensor* input = CALL("aten::ones", "", integers((int64_t[]){1, 1, 3, 3}, 4));
  lt_tensor* weight = CALL("aten::ones", "", integers((int64_t[]){1, 1, 1, 1}, 4));
  int64_t yes_no_no[] = {1, 0, 0};
  int64_t one[] = {1, 1};
  int64_t zero[] = {0, 0};
  lt_value arguments[] = {tensor(input),
                          tensor(input),
                          tensor(weight),
                          none(),
                          integers(one, 2),
                          integers(zero, 2),
                          integers(one, 2),
                          boolean(false),
                          integers(zero, 2),
                          integer(1),
                          {.tag = LT_VALUE_BOOL_LIST, .length = 3, .as.integers = yes_no_no}};
  lt_value results[3];
  int32_t count = 0;
  CHECK_OK(lt_op_call(find("aten::convolution_backward", ""), arguments, 11, results, 3, &count, &err));
  CHECK(count == 3 && results[0].tag == LT_VALUE_TENSOR);
  CHECK(results[1].tag == LT_VALUE_NONE && results[2].tag == LT_VALUE_NONE);
  lt_tensor_release_all((lt_tensor*[]){results[0].as.tensor, input, weight}, 3);
}

static void test_refused_values(void) {
  lt_error err;
  lt_tensor* a = counting(3, 0);
  lt_tensor* wide = counting(4, 0);
  const lt_op* add = find("aten::add", "Tensor");
  lt_value result = integer(77);
  int32_t count = 77;
#define REFUSED(part, op, ...)                                                                                      \
  CHECK_FAILS(LT_INVALID_ARGUMENT, part,                                                                            \
              lt_op_call(op, (const lt_value[]){__VA_ARGS__}, COUNT(((const lt_value[]){__VA_ARGS__})), &result, 1, \
                         &count, &err))
  REFUSED("argument 1 (other) must be TENSOR, not INT", add, tensor(a), integer(1));
  REFUSED("argument 1 (other) must be TENSOR, not NONE", add, tensor(a), none());
  REFUSED("argument 1 (other) is a NULL tensor", add, tensor(a), tensor(NULL));
  REFUSED("argument 1 (other) is missing", add, tensor(a));
  REFUSED("argument 1 (other) has no default", add, tensor(a), by_default());
  REFUSED("argument 3 is one too many", add, tensor(a), tensor(a), integer(1), integer(1));
  REFUSED("argument 2 (alpha)", add, tensor(a), tensor(a), string("1"));
  REFUSED("unknown tag 12", add, tensor(a), ((lt_value){.tag = 12}));
  REFUSED("unknown tag -1", add, tensor(a), ((lt_value){.tag = -1}));
  REFUSED("unknown tag 44", add, tensor(a), ((lt_value){.tag = 44})); /* 44 & 31 is a known one */
  REFUSED("must match", add, tensor(a), tensor(wide));
  CHECK(strncmp(err.message, "aten::add.Tensor: ", 18) == 0);
  const lt_op* to = find("aten::to", "dtype");
  REFUSED("argument 1 (dtype) is no dtype: 500", to, tensor(a), integer(500));
  REFUSED("argument 1 (dtype) is no dtype: -3", to, tensor(a), integer(-3));
  REFUSED("argument 4 (memory_format) is no memory format", to, tensor(a), integer(6), by_default(), by_default(),
          integer(9));
  const lt_op* reshape = find("aten::reshape", "");
  REFUSED("negative length", reshape, tensor(a), integers((int64_t[]){3}, -1));
  REFUSED("argument 1 (shape) is NULL", reshape, tensor(a), integers(NULL, 2));
  REFUSED("must be INT_LIST, not INT", reshape, tensor(a), integer(3));
  REFUSED("invalid", reshape, tensor(a), integers((int64_t[]){5}, 1));
  REFUSED("has a NULL at 1", find("aten::cat", ""), tensors((lt_tensor*[]){a, NULL}, 2));
  const lt_op* zeros = find("aten::zeros", "");
  REFUSED("argument 2 (layout)", zeros, integers((int64_t[]){1}, 1), by_default(), integer(99));
  REFUSED("no device", zeros, integers((int64_t[]){1}, 1), none(), none(),
          ((lt_value){.tag = LT_VALUE_DEVICE, .as.device = {99, 0}}));
  /* A generator has no tag: none and the default alone. */
  const lt_op* bernoulli = find("aten::bernoulli", "");
  REFUSED("argument 1 (generator) must be NONE", bernoulli, tensor(a), integer(1));
#undef REFUSED
  CHECK_FAILS(LT_INVALID_ARGUMENT, "op is NULL", lt_op_call(NULL, NULL, 0, &result, 1, &count, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "room",
              lt_op_call(add, (lt_value[]){tensor(a), tensor(a)}, 2, &result, 0, &count, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "arguments", lt_op_call(add, NULL, 2, &result, 1, &count, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "arguments", lt_op_call(add, NULL, -2, &result, 1, &count, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "result_count", lt_op_call(add, NULL, 0, &result, 1, NULL, &err));
  CHECK_FAILS(LT_OUT_OF_MEMORY, "",
              lt_op_call(zeros, (lt_value[]){integers((int64_t[]){INT64_C(1) << 44}, 1)}, 1, &result, 1, &count, &err));
  if (lt_device_count(LT_DEVICE_CUDA) == 0) {
    lt_value cuda = {.tag = LT_VALUE_DEVICE, .as.device = CUDA};
    lt_value arguments[] = {integers((int64_t[]){1}, 1), none(), none(), cuda};
    CHECK_FAILS(LT_UNSUPPORTED, "", lt_op_call(zeros, arguments, 4, &result, 1, &count, &err));
  }
  CHECK(result.tag == LT_VALUE_INT && result.as.integer == 77 && count == 77);
  CHECK(lt_torch_live_handles(LT_TORCH_TENSOR) == 2);
  lt_tensor_release_all((lt_tensor*[]){a, wide}, 2);
}

/* Every tag for every argument of operators of many kinds: an answer, and never a crash. */
static void test_every_tag(void) {
  static const char* const names[][2] = {
      {"aten::add", "Tensor"},
      {"aten::add", "Scalar"},
      {"aten::sum", "dim_IntList"},
      {"aten::empty", "memory_format"},
      {"aten::to", "device"},
      {"aten::cat", ""},
      {"aten::index", "Tensor"},
      {"aten::conv2d", ""},
      {"aten::einsum", ""},
      {"aten::bernoulli", ""},
      {"aten::convolution_backward", ""},
      {"aten::norm", "ScalarOpt_dim"},
      {"aten::upsample_bilinear2d", "vec"},
      {"aten::_foreach_add", "ScalarList"},
      {"aten::scaled_dot_product_attention", ""},
  };
  lt_error err;
  lt_tensor* a = counting(4, 0);
  int64_t ints[] = {1, 1};
  double reals[] = {1, 1};
  lt_value values[] = {none(),
                       tensor(a),
                       integer(1),
                       real(0.5),
                       boolean(true),
                       string("mean"),
                       integers(ints, 2),
                       {.tag = LT_VALUE_DOUBLE_LIST, .length = 2, .as.doubles = reals},
                       {.tag = LT_VALUE_BOOL_LIST, .length = 2, .as.integers = ints},
                       tensors((lt_tensor*[]){a, a}, 2),
                       {.tag = LT_VALUE_DEVICE, .as.device = CPU},
                       by_default()};
  int answered = 0;
  for (int32_t n = 0; n < COUNT(names); n++) {
    const lt_op* op = find(names[n][0], names[n][1]);
    for (int32_t given = 0; given <= 12; given++) {
      for (int32_t first = 0; first < COUNT(values); first++) {
        for (int32_t rest = 0; rest < COUNT(values); rest++) {
          lt_value arguments[12];
          for (int32_t i = 0; i < given; i++) {
            arguments[i] = values[i == 0 ? first : rest];
          }
          lt_value results[4];
          int32_t count = 0;
          lt_status status = lt_op_call(op, arguments, given, results, 4, &count, &err);
          CHECK(status >= LT_OK && status <= LT_INTERNAL && status == err.code);
          for (int32_t i = 0; status == LT_OK && i < count; i++) {
            if (results[i].tag == LT_VALUE_TENSOR) {
              lt_tensor_release(results[i].as.tensor);
            } else if (results[i].tag == LT_VALUE_TENSOR_LIST) {
              lt_tensor_release_all(results[i].as.tensors, results[i].length);
            }
            lt_value_free(&results[i]);
          }
          answered++;
        }
      }
    }
  }
  CHECK(answered > 20000 && lt_torch_live_handles(LT_TORCH_TENSOR) == 1);
  lt_tensor_release(a);
}

static void* call_many(void* shared) {
  for (int i = 0; i < 2000; i++) {
    lt_tensor* sum = CALL("aten::add", "Tensor", tensor(shared), tensor(shared));
    CHECK(floats(sum)[3] == 6);
    lt_tensor_release(sum);
  }
  return NULL;
}

static void test_threads(void) {
  lt_tensor* shared = counting(4, 0);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) {
    CHECK(pthread_create(&threads[i], NULL, call_many, shared) == 0);
  }
  for (int i = 0; i < 4; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  lt_tensor_release(shared);
}

/* A deleter that calls operators itself, while an operator runs. */
static void compute_and_delete(void* context) {
  lt_tensor* made = CALL("aten::ones", "", integers((int64_t[]){3}, 1));
  CHECK(floats(made)[0] == 1);
  lt_tensor_release(made);
  delete_memory(context);
}

static void test_reentrance(void) {
  lt_error err;
  memory of = {{0}, 0};
  lt_tensor* alias = NULL;
  CHECK_OK(
      lt_tensor_from_memory(of.values, (int64_t[]){4}, NULL, 1, LT_DTYPE_INT64, compute_and_delete, &of, &alias, &err));
  /* set_ lets the old storage go while it runs. */
  lt_tensor* emptied = CALL("aten::set_", "", tensor(alias));
  CHECK(emptied == alias && info_of(alias).element_count == 0 && of.deleted == 1);
  lt_tensor_release_all((lt_tensor*[]){alias, emptied}, 2);
}

/* ---- Autograd ---------------------------------------------------------------------------------------------------- */

static void test_autograd(void) {
  lt_error err;
  lt_tensor* w = counting(3, 1);
  CHECK(lt_tensor_requires_grad(w) == 0 && lt_tensor_requires_grad(NULL) == 0);
  CHECK_OK(lt_tensor_set_requires_grad(w, 1, &err));
  CHECK(lt_tensor_requires_grad(w) == 1);
  lt_tensor* grad = (lt_tensor*)&err;
  CHECK_OK(lt_tensor_grad(w, &grad, &err));
  CHECK(grad == NULL);

  lt_tensor* square = CALL("aten::mul", "Tensor", tensor(w), tensor(w));
  lt_tensor* sum = CALL("aten::sum", "", tensor(square));
  CHECK_OK(lt_tensor_backward(sum, NULL, 1, &err));
  CHECK_OK(lt_tensor_backward(sum, NULL, 0, &err)); /* adds */
  CHECK_OK(lt_tensor_grad(w, &grad, &err));
  CHECK(floats(grad)[0] == 4 && floats(grad)[2] == 12);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "second time", lt_tensor_backward(sum, NULL, 0, &err));
  lt_tensor_release_all((lt_tensor*[]){sum, grad}, 2);

  /* With a gradient of the output. */
  CHECK_OK(lt_tensor_set_grad(w, NULL, &err));
  CHECK_OK(lt_tensor_grad(w, &grad, &err));
  CHECK(grad == NULL);
  lt_tensor* cube = CALL("aten::mul", "Tensor", tensor(w), tensor(w));
  lt_tensor* weight = counting(3, 1);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "scalar outputs", lt_tensor_backward(cube, NULL, 0, &err));
  lt_tensor* wrong = counting(4, 0);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "", lt_tensor_backward(cube, wrong, 0, &err));
  CHECK_OK(lt_tensor_backward(cube, weight, 0, &err));
  CHECK_OK(lt_tensor_grad(w, &grad, &err));
  CHECK(floats(grad)[2] == 18);
  lt_tensor_release_all((lt_tensor*[]){grad, cube}, 2);

  CHECK_OK(lt_tensor_set_grad(w, weight, &err));
  CHECK_OK(lt_tensor_grad(w, &grad, &err));
  CHECK(grad == weight);
  lt_tensor* whole = empty(LT_DTYPE_INT64, (int64_t[]){3}, 1);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "shape", lt_tensor_set_grad(w, wrong, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "dtype", lt_tensor_set_grad(w, whole, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "own gradient", lt_tensor_set_grad(w, w, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "floating", lt_tensor_set_requires_grad(whole, 1, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "leaf", lt_tensor_set_requires_grad(square, 0, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "require", lt_tensor_backward(whole, NULL, 0, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "tensor is NULL", lt_tensor_backward(NULL, NULL, 0, &err));

  lt_tensor* detached = NULL;
  CHECK_OK(lt_tensor_detach(square, &detached, &err));
  CHECK(lt_tensor_requires_grad(square) == 1 && lt_tensor_requires_grad(detached) == 0);
  CHECK(info_of(detached).data == info_of(square).data);

  CHECK(lt_grad_mode() == 1 && lt_grad_mode_set(0) == 1 && lt_grad_mode() == 0);
  lt_tensor* silent = CALL("aten::mul", "Tensor", tensor(w), tensor(w));
  CHECK(lt_tensor_requires_grad(silent) == 0);
  CHECK(lt_grad_mode_set(1) == 0);
  /* In place on a leaf that wants its gradient: libtorch refuses. */
  lt_value result;
  int32_t count;
  CHECK_FAILS(
      LT_INVALID_ARGUMENT, "leaf",
      lt_op_call(find("aten::mul_", "Scalar"), (lt_value[]){tensor(w), integer(2)}, 2, &result, 1, &count, &err));
  lt_tensor_release_all((lt_tensor*[]){w, square, weight, grad, wrong, whole, detached, silent}, 8);
}

/* ---- Optimizers -------------------------------------------------------------------------------------------------- */

static lt_tensor* parameter(int64_t count) {
  lt_error err;
  lt_tensor* made = counting(count, 1);
  CHECK_OK(lt_tensor_set_requires_grad(made, 1, &err));
  return made;
}

static double one_step(lt_optimizer* optimizer, lt_tensor* w, int32_t set_to_none) {
  lt_error err;
  CHECK_OK(lt_optimizer_zero_grad(optimizer, set_to_none, &err));
  lt_tensor* square = CALL("aten::mul", "Tensor", tensor(w), tensor(w));
  lt_tensor* loss = CALL("aten::sum", "", tensor(square));
  double value = item(loss);
  CHECK_OK(lt_tensor_backward(loss, NULL, 0, &err));
  CHECK_OK(lt_optimizer_step(optimizer, &err));
  lt_tensor_release_all((lt_tensor*[]){square, loss}, 2);
  return value;
}

static void test_optimizers(void) {
  lt_error err;
  lt_tensor* w = parameter(2);
  lt_optimizer* sgd = NULL;
  CHECK_OK(lt_optimizer_sgd(&w, 1, 0.25, 0, 0, 0, 0, &sgd, &err));
  CHECK(one_step(sgd, w, 1) == 5);
  CHECK(floats(w)[0] == 0.5F && floats(w)[1] == 1);
  double rate = 0;
  CHECK_OK(lt_optimizer_set_learning_rate(sgd, 0.5, &err));
  CHECK_OK(lt_optimizer_learning_rate(sgd, &rate, &err));
  CHECK(rate == 0.5);
  CHECK(one_step(sgd, w, 0) == 1.25 && floats(w)[0] == 0);
  lt_tensor* grad = NULL;
  CHECK_OK(lt_optimizer_zero_grad(sgd, 0, &err));
  CHECK_OK(lt_tensor_grad(w, &grad, &err));
  CHECK(grad != NULL && floats(grad)[1] == 0);
  lt_tensor_release(grad);
  CHECK_OK(lt_optimizer_zero_grad(sgd, 1, &err));
  CHECK_OK(lt_tensor_grad(w, &grad, &err));
  CHECK(grad == NULL);
  lt_tensor_release(w); /* the optimizer keeps its parameters */
  CHECK_OK(lt_optimizer_step(sgd, &err));
  lt_optimizer_release(sgd);
  lt_optimizer_release(NULL);

  w = parameter(3);
  lt_optimizer* adamw = NULL;
  CHECK_OK(lt_optimizer_adamw(&w, 1, 0.1, 0.9, 0.999, 1e-8, 0.01, 0, &adamw, &err));
  double first = one_step(adamw, w, 1);
  double last = first;
  for (int i = 0; i < 60; i++) {
    last = one_step(adamw, w, i % 2);
  }
  CHECK(last < 0.05 * first);
  lt_optimizer_release(adamw);

  lt_optimizer* untouched = (lt_optimizer*)&err;
  lt_optimizer* made = untouched;
  lt_tensor* twice[] = {w, w};
  lt_tensor* product = CALL("aten::mul", "Tensor", tensor(w), tensor(w));
#define SGD(parameters, count, rate, momentum, dampening, nesterov) \
  lt_optimizer_sgd(parameters, count, rate, momentum, dampening, 0, nesterov, &made, &err)
  CHECK_FAILS(LT_INVALID_ARGUMENT, "needs parameters", SGD(&w, 0, 0.1, 0, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "needs parameters", SGD(&w, -1, 0.1, 0, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "parameters is NULL", SGD(NULL, 1, 0.1, 0, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "parameters[0] is NULL", SGD(&(lt_tensor*){NULL}, 1, 0.1, 0, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "learning_rate", SGD(&w, 1, -0.1, 0, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "learning_rate", SGD(&w, 1, NAN, 0, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "nesterov", SGD(&w, 1, 0.1, 0, 0, 1));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "omentum", SGD(&w, 1, 0.1, -1, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "leaf", SGD(&product, 1, 0.1, 0, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "parameters[1] is there twice", SGD(twice, 2, 0.1, 0, 0, 0));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "eta", lt_optimizer_adamw(&w, 1, 0.1, 1.5, 0.9, 1e-8, 0, 0, &made, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "optimizer is NULL", lt_optimizer_step(NULL, &err));
#undef SGD
  CHECK(made == untouched);
  lt_tensor_release_all((lt_tensor*[]){w, product}, 2);
}

static lt_tensor* state_of(const lt_optimizer* optimizer, int64_t parameter, const char* name) {
  lt_error err;
  lt_tensor* value = NULL;
  CHECK_OK(lt_optimizer_state(optimizer, parameter, name, &value, &err));
  return value;
}

static void test_optimizer_state(void) {
  lt_error err;
  /* Two that go on from the same state take the same way, to the bit. */
  lt_tensor* pair[] = {parameter(3), parameter(3)};
  lt_tensor* other[] = {parameter(3), parameter(3)};
  lt_optimizer* from = NULL;
  lt_optimizer* to = NULL;
  CHECK_OK(lt_optimizer_adamw(pair, 2, 0.1, 0.8, 0.9, 1e-7, 0.02, 1, &from, &err));
  CHECK_OK(lt_optimizer_adamw(other, 2, 0.5, 0.9, 0.999, 1e-8, 0, 0, &to, &err));
  CHECK(state_of(from, 0, "exp_avg") == NULL && state_of(from, 0, "step") == NULL);
  one_step(from, pair[0], 1);
  one_step(from, pair[0], 1);
  CHECK(state_of(from, 1, "exp_avg") == NULL); /* it had no gradient */
  const char* names[] = {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  lt_tensor* values[4];
  for (int i = 0; i < 4; i++) {
    values[i] = state_of(from, 0, names[i]);
    CHECK(values[i] != NULL);
  }
  CHECK(item(values[0]) == 2 && info_of(values[0]).dtype == LT_DTYPE_FLOAT32);
  const char* options[] = {"lr", "beta1", "beta2", "eps", "weight_decay", "amsgrad"};
  const double expected[] = {0.1, 0.8, 0.9, 1e-7, 0.02, 1};
  double read[6];
  for (int i = 0; i < 6; i++) {
    CHECK_OK(lt_optimizer_option(from, options[i], &read[i], &err));
    CHECK(read[i] == expected[i]);
  }
  lt_grad_mode_set(0);
  CHECK_OK(lt_tensor_copy(other[0], pair[0], 0, &err));
  lt_grad_mode_set(1);
  const int64_t zeros[] = {0, 0, 0, 0};
  CHECK_OK(lt_optimizer_load(to, options, read, 6, zeros, names, values, 4, &err));
  for (int i = 0; i < 3; i++) {
    one_step(from, pair[0], 1);
    one_step(to, other[0], 1);
    CHECK(memcmp(floats(pair[0]), floats(other[0]), 12) == 0);
  }
  lt_tensor* step = state_of(to, 0, "step");
  CHECK(item(step) == 5 && item(values[0]) == 2); /* copies */
  lt_tensor_release(step);

  /* All or nothing. */
#define LOAD(option_count, parameters, count) \
  lt_optimizer_load(to, options, read, option_count, parameters, names, values, count, &err)
  const int64_t beyond[] = {0, 0, 0, 2};
  read[0] = 77;
  CHECK_FAILS(LT_INVALID_ARGUMENT, "state 2.max_exp_avg_sq is of no parameter", LOAD(6, beyond, 4));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "state 0 lacks", LOAD(6, zeros, 3));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "NULL", lt_optimizer_load(to, NULL, read, 1, zeros, names, values, 4, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "NULL", lt_optimizer_load(to, options, read, 6, NULL, names, values, 4, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "negative", LOAD(-1, zeros, 4));
  names[3] = "exp_avg";
  CHECK_FAILS(LT_INVALID_ARGUMENT, "state 0.exp_avg is there twice", LOAD(6, zeros, 4));
  names[3] = "momentum_buffer";
  CHECK_FAILS(LT_INVALID_ARGUMENT, "AdamW has no state \"momentum_buffer\"", LOAD(6, zeros, 4));
  names[3] = "step";
  CHECK_FAILS(LT_INVALID_ARGUMENT, "state 0.step is no number of steps", LOAD(6, zeros, 4));
  names[3] = "max_exp_avg_sq";
  lt_tensor* scalar = values[0];
  values[0] = values[1];
  values[1] = scalar;
  CHECK_FAILS(LT_INVALID_ARGUMENT, "step is no number of steps", LOAD(6, zeros, 4));
  names[0] = "exp_avg";
  names[1] = "step";
  CHECK_OK(LOAD(0, zeros, 4)); /* in any order */
  names[2] = "max_exp_avg_sq";
  names[3] = "exp_avg_sq";
  lt_tensor* long_one = parameter(4);
  lt_tensor* fitting = values[3];
  values[3] = long_one;
  CHECK_FAILS(LT_INVALID_ARGUMENT, "state 0.exp_avg_sq has not the shape", LOAD(6, zeros, 4));
  values[3] = fitting;
  options[5] = "momentum";
  CHECK_FAILS(LT_INVALID_ARGUMENT, "AdamW has no option \"momentum\"", LOAD(6, zeros, 4));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "no option", lt_optimizer_option(to, "momentum", read, &err));
  read[1] = 1.5;
  CHECK_FAILS(LT_INVALID_ARGUMENT, "eta", LOAD(2, zeros, 4));
  read[0] = NAN;
  CHECK_FAILS(LT_INVALID_ARGUMENT, "lr is not finite", LOAD(1, zeros, 4));
#undef LOAD
  double rate;
  CHECK_OK(lt_optimizer_learning_rate(to, &rate, &err));
  CHECK(rate == 0.1);
  lt_tensor* untouched = (lt_tensor*)&err;
  lt_tensor* value = untouched;
  CHECK_FAILS(LT_INVALID_ARGUMENT, "no such parameter", lt_optimizer_state(to, 2, "step", &value, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "no such parameter", lt_optimizer_state(to, -1, "step", &value, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "no state", lt_optimizer_state(to, 0, "velocity", &value, &err));
  CHECK(value == untouched);
  CHECK_OK(lt_optimizer_load(to, NULL, NULL, 0, NULL, NULL, NULL, 0, &err)); /* as at the start */
  CHECK(state_of(to, 0, "step") == NULL);
  lt_optimizer_release(from);
  lt_optimizer_release(to);
  lt_tensor_release_all(values, 4);

  CHECK_OK(lt_optimizer_sgd(pair, 1, 0.1, 0.9, 0, 0, 0, &from, &err));
  CHECK_OK(lt_optimizer_sgd(other, 1, 0.1, 0.9, 0, 0, 0, &to, &err));
  one_step(from, pair[0], 1);
  lt_tensor* buffer = state_of(from, 0, "momentum_buffer");
  const char* momentum[] = {"momentum_buffer"};
  CHECK_OK(lt_optimizer_load(to, NULL, NULL, 0, zeros, momentum, &buffer, 1, &err));
  lt_tensor* loaded = state_of(to, 0, "momentum_buffer");
  CHECK(memcmp(floats(loaded), floats(buffer), 12) == 0 && info_of(loaded).data != info_of(buffer).data);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "SGD has no state", lt_optimizer_state(to, 0, "step", &value, &err));
  lt_optimizer_release(from);
  lt_optimizer_release(to);
  lt_tensor_release_all((lt_tensor*[]){buffer, loaded, long_one, pair[0], pair[1], other[0], other[1]}, 7);
}

/* ---- Devices ----------------------------------------------------------------------------------------------------- */

static void test_device(lt_device device) {
  lt_error err;
  CHECK_OK(lt_device_synchronize(device, &err));
  lt_stream* current = NULL;
  lt_stream* other = NULL;
  CHECK_OK(lt_stream_current(device, &current, &err));
  CHECK_OK(lt_stream_create(device, 0, &other, &err));
  CHECK_OK(lt_stream_set_current(other, &err));
  lt_event* begin = NULL;
  lt_event* end = NULL;
  CHECK_OK(lt_event_create(device, 1, &begin, &err));
  CHECK_OK(lt_event_create(device, 1, &end, &err));
  CHECK_OK(lt_event_record(begin, other, &err));
  lt_tensor* made = NULL;
  CHECK_OK(lt_tensor_empty((int64_t[]){64, 64}, 2, LT_DTYPE_FLOAT32, device, 0, 0, &made, &err));
  lt_tensor* product = CALL("aten::mm", "", tensor(made), tensor(made));
  CHECK_OK(lt_stream_record_tensor(current, product, &err));
  CHECK_OK(lt_event_record(end, other, &err));
  CHECK_OK(lt_event_block(end, current, &err));
  CHECK_OK(lt_stream_set_current(current, &err));
  CHECK_OK(lt_event_synchronize(end, &err));
  CHECK_OK(lt_stream_synchronize(current, &err));
  int32_t done = 0;
  CHECK_OK(lt_event_query(end, &done, &err));
  CHECK(done == 1);
  CHECK_OK(lt_stream_query(other, &done, &err));
  CHECK(done == 1);
  double milliseconds = -1;
  if (device.type == LT_DEVICE_CPU) {
    CHECK_FAILS(LT_UNSUPPORTED, "CPU", lt_event_elapsed(begin, end, &milliseconds, &err));
  } else {
    CHECK_OK(lt_event_elapsed(begin, end, &milliseconds, &err));
    CHECK(milliseconds >= 0);
  }
  lt_event_release(begin);
  lt_event_release(end);
  lt_stream_release(current);
  lt_stream_release(other);
  lt_tensor_release_all((lt_tensor*[]){made, product}, 2);
}

static void test_devices(void) {
  lt_error err;
  CHECK(lt_device_count(LT_DEVICE_CPU) == 1 && lt_device_count(-1) == 0 && lt_device_count(99) == 0);
  test_device(CPU);
  if (lt_device_count(LT_DEVICE_CUDA) > 0) {
    test_device(CUDA);
  } else {
    lt_stream* stream = NULL;
    CHECK_FAILS(LT_UNSUPPORTED, "cuda", lt_device_synchronize(CUDA, &err));
    CHECK_FAILS(LT_UNSUPPORTED, "cuda", lt_stream_create(CUDA, 0, &stream, &err));
  }
  lt_stream_release(NULL);
  lt_event_release(NULL);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "stream is NULL", lt_stream_synchronize(NULL, &err));
}

/* ---- State dicts ------------------------------------------------------------------------------------------------- */

static int files_in(const char* folder) {
  int count = 0;
  DIR* entries = opendir(folder);
  CHECK(entries != NULL);
  for (struct dirent* entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
    count += entry->d_name[0] != '.';
  }
  closedir(entries);
  return count;
}

static void test_pickle(void) {
  lt_error err;
  const char* kept = getenv("LANCETORCH_TEST_KEEP"); /* a folder: for Python to read what is written here */
  char made[] = "/tmp/torch_c_test-XXXXXX";
  const char* folder = kept != NULL ? kept : mkdtemp(made);
  CHECK(folder != NULL);
  int before = files_in(folder);
  char path[512];
  snprintf(path, sizeof(path), "%s/state.pt", folder);

  int64_t shape[] = {2, 3, 4, 5};
  lt_tensor* last = NULL;
  CHECK_OK(lt_tensor_empty(shape, 4, LT_DTYPE_FLOAT32, CPU, LT_MEMORY_CHANNELS_LAST, 0, &last, &err));
  for (int i = 0; i < 120; i++) {
    floats(last)[i] = (float)i;
  }
  lt_tensor* matrix = CALL("aten::reshape", "", tensor(last), integers((int64_t[]){6, 20}, 2));
  lt_tensor* transposed = CALL("aten::t", "", tensor(matrix));
  lt_tensor* row = CALL("aten::select", "int", tensor(matrix), integer(0), integer(2));
  lt_tensor* whole = empty(LT_DTYPE_INT64, (int64_t[]){3}, 1);
  memcpy(info_of(whole).data, (int64_t[]){1, INT64_MIN, INT64_MAX}, 24);
  lt_tensor* flags = CALL("aten::gt", "Scalar", tensor(row), integer(50));
  lt_tensor* nothing = empty(LT_DTYPE_FLOAT64, (int64_t[]){0, 2}, 2);
  lt_tensor* half = CALL("aten::to", "dtype", tensor(row), integer(LT_DTYPE_BFLOAT16));
  lt_tensor* scalar = CALL("aten::sum", "", tensor(row));
  lt_tensor* trained = parameter(3);
  lt_tensor* bits = CALL("aten::view", "dtype", tensor(row), integer(LT_DTYPE_INT32)); /* one storage, two dtypes */
  lt_value values[] = {
      dict(8),
      string("tensors"),
      dict(11),
      string("channels_last"),
      tensor(last),
      string("matrix"),
      tensor(matrix),
      string("transposed"),
      tensor(transposed),
      string("row"),
      tensor(row),
      string("int64.\xC3\xA4"),
      tensor(whole),
      string("bool"),
      tensor(flags),
      string("empty"),
      tensor(nothing),
      string("bfloat16"),
      tensor(half),
      string("trained"),
      tensor(trained),
      string("scalar"),
      tensor(scalar),
      string("bits"),
      tensor(bits),
      string("list"),
      list(4),
      string("a"),
      integer(1),
      list(0),
      tensor(row),
      string("empty"),
      dict(0),
      integer(7),
      integer(INT64_MIN),
      integer(-7),
      integer(INT64_MAX),
      string("real"),
      real(-0.1),
      string("none"),
      none(),
      string("flags"),
      list(2),
      boolean(true),
      boolean(false),
  };
  int64_t count = sizeof(values) / sizeof(values[0]);
  CHECK_OK(lt_pickle_write(path, values, count, &err));
  CHECK(files_in(folder) - before <= 1);
  struct stat status;
  CHECK(stat(path, &status) == 0 && status.st_size > 1000);
  CHECK_OK(lt_pickle_write(path, values, count, &err)); /* over the old one */

#define WRITE(...) \
  lt_pickle_write(path, (lt_value[]){__VA_ARGS__}, sizeof((lt_value[]){__VA_ARGS__}) / sizeof(lt_value), &err)
  lt_value one = integer(1);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "\"a\" is there twice", WRITE(dict(2), string("a"), one, string("a"), one));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "\"a.1\" is there twice", WRITE(dict(1), string("a"), dict(2), one, one, one, one));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "UTF-8", WRITE(string("\xFF")));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "UTF-8", WRITE(dict(1), string("\xFF"), one));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "a is NULL",
              WRITE(dict(1), string("a"), (lt_value){.tag = LT_VALUE_STRING, .length = 1}));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "a is NULL", WRITE(dict(1), string("a"), tensor(NULL)));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "negative length", WRITE(list(-1)));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "negative length", WRITE((lt_value){.tag = LT_VALUE_STRING, .length = -1}));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "end before a.b[1]",
              WRITE(dict(1), string("a"), dict(1), string("b"), list(2), one));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "end before a key", WRITE(dict(1)));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "the first 1", WRITE(one, one));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "no string and no int", WRITE(dict(1), real(1), one));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "tag 99", WRITE((lt_value){.tag = 99}));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "tag 6", WRITE(integers((int64_t[]){1}, 1)));
  lt_value deep[100];
  for (int i = 0; i < 100; i++) {
    deep[i] = list(i < 99);
  }
  CHECK_FAILS(LT_INVALID_ARGUMENT, "64 levels", lt_pickle_write(path, deep, 100, &err));
  CHECK_OK(lt_pickle_write(path, &deep[36], 64, &err));
  CHECK_OK(lt_pickle_write(path, values, count, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "NULL", lt_pickle_write(NULL, values, 1, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "NULL", lt_pickle_write(path, NULL, 1, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "", lt_pickle_write(path, values, -1, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "", lt_pickle_write("", values, count, &err));
  CHECK_FAILS(LT_IO, "No such file", lt_pickle_write("/nowhere/at/all.pt", values, count, &err));
  CHECK_FAILS(LT_IO, folder, lt_pickle_write(folder, values, count, &err)); /* a folder is in the way */
  char beside[600];
  snprintf(beside, sizeof(beside), "%s/nothing.pt", folder);
  lt_value nothing_at_all = none();
  CHECK_OK(lt_pickle_write(beside, &nothing_at_all, 1, &err));
  CHECK(files_in(folder) <= before + 2);
  if (kept == NULL) {
    CHECK(unlink(path) == 0 && unlink(beside) == 0 && rmdir(folder) == 0); /* nothing else is left in it */
  }
  lt_tensor_release_all(
      (lt_tensor*[]){last, matrix, transposed, row, whole, flags, nothing, half, trained, scalar, bits}, 11);
#undef WRITE
}

/* ---- Random numbers ---------------------------------------------------------------------------------------------- */

static void test_random_state(void) {
  lt_error err;
  lt_tensor* state = NULL;
  CHECK_OK(lt_torch_manual_seed(7, &err));
  CHECK_OK(lt_random_state(CPU, &state, &err));
  CHECK(info_of(state).dtype == LT_DTYPE_UINT8 && info_of(state).dimensions == 1);
  lt_tensor* first = CALL("aten::rand", "", integers((int64_t[]){5}, 1));
  lt_tensor* second = CALL("aten::rand", "", integers((int64_t[]){5}, 1));
  CHECK(memcmp(floats(first), floats(second), 20) != 0);
  CHECK_OK(lt_random_set_state(CPU, state, &err));
  lt_tensor* again = CALL("aten::rand", "", integers((int64_t[]){5}, 1));
  CHECK(memcmp(floats(first), floats(again), 20) == 0);
  lt_tensor* wrong = empty(LT_DTYPE_UINT8, (int64_t[]){3}, 1);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "", lt_random_set_state(CPU, wrong, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "", lt_random_set_state(CPU, first, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "state is NULL", lt_random_set_state(CPU, NULL, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "state is NULL", lt_random_state(CPU, NULL, &err));
  lt_tensor* none = NULL;
  lt_device bad = {77, 0};
  CHECK_FAILS(LT_INVALID_ARGUMENT, "77", lt_random_state(bad, &none, &err));
  if (lt_device_count(LT_DEVICE_CUDA) == 0) {
    CHECK_FAILS(LT_UNSUPPORTED, "", lt_random_state((lt_device){LT_DEVICE_CUDA, 0}, &none, &err));
    CHECK_FAILS(LT_UNSUPPORTED, "", lt_random_set_state((lt_device){LT_DEVICE_CUDA, 0}, state, &err));
  } else {
    CHECK_OK(lt_random_state((lt_device){LT_DEVICE_CUDA, 0}, &none, &err));
    CHECK_OK(lt_random_set_state((lt_device){LT_DEVICE_CUDA, 0}, none, &err));
    lt_tensor_release(none);
    none = NULL;
  }
  CHECK(none == NULL);
  lt_tensor_release_all((lt_tensor*[]){state, first, second, again, wrong}, 5);
}

/* ---- Collectives ------------------------------------------------------------------------------------------------- */

static lt_store* serve(void) {
  lt_error err;
  lt_store* store = NULL;
  CHECK_OK(lt_store_tcp("127.0.0.1", 0, -1, 1, 0, 20000, &store, &err));
  CHECK(lt_store_port(store) > 0);
  return store;
}
static lt_store* join(int32_t port) {
  lt_error err;
  lt_store* store = NULL;
  CHECK_OK(lt_store_tcp("127.0.0.1", port, -1, 0, 0, 20000, &store, &err));
  CHECK(lt_store_port(store) == port);
  return store;
}

static void* set_later(void* store) {
  lt_error err;
  usleep(100 * 1000);
  CHECK_OK(lt_store_set(store, "late", "now", 3, &err));
  return NULL;
}

static void* serve_two(void* port) {
  lt_error err;
  lt_store* store = NULL;
  CHECK_OK(lt_store_tcp("127.0.0.1", *(int32_t*)port, 2, 1, 1, 20000, &store, &err));
  return store;
}

static void test_waiting_for_workers(void) {
  lt_error err;
  lt_store* store = serve(); /* for a port that is free */
  int32_t port = lt_store_port(store);
  lt_store_release(store);
  store = NULL;
  CHECK_FAILS(LT_TIMEOUT, "", lt_store_tcp("127.0.0.1", port, 2, 1, 1, 300, &store, &err));
  CHECK(store == NULL);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, serve_two, &port) == 0);
  lt_store* client = NULL;
  CHECK_OK(lt_store_tcp("127.0.0.1", port, 2, 0, 1, 20000, &client, &err));
  void* server = NULL;
  CHECK(pthread_join(thread, &server) == 0);
  lt_store_release(server);
  /* The server is gone, and that is no crash. */
  lt_status status = lt_store_set(client, "key", "x", 1, &err);
  status = status == LT_OK ? lt_store_set(client, "key", "x", 1, &err) : status;
  status = status == LT_OK ? lt_store_check(client, "key", &(int32_t){0}, &err) : status;
  CHECK(status == LT_PEER_FAILED || status == LT_IO);
  lt_store_release(client);
}

static void test_store(void) {
  lt_error err;
  lt_store* server = serve();
  int32_t port = lt_store_port(server);
  lt_store* client = join(port);
  char value[16] = {0};
  int64_t size = 0;
  CHECK_OK(lt_store_set(server, "key", "value", 5, &err));
  CHECK_OK(lt_store_get(client, "key", 1000, value, 16, &size, &err));
  CHECK(size == 5 && memcmp(value, "value", 6) == 0);
  memset(value, 0, sizeof(value));
  CHECK_OK(lt_store_get(client, "key", 0, value, 2, &size, &err)); /* as much as there is room for */
  CHECK(size == 5 && memcmp(value, "va", 3) == 0);
  CHECK_OK(lt_store_get(client, "key", 0, NULL, 0, &size, &err));
  CHECK_OK(lt_store_set(server, "empty", NULL, 0, &err));
  CHECK_OK(lt_store_get(client, "empty", 1000, NULL, 0, &size, &err));
  CHECK(size == 0);
  int64_t sum = 0;
  CHECK_OK(lt_store_add(server, "count", 5, &sum, &err));
  CHECK_OK(lt_store_add(client, "count", -2, &sum, &err));
  CHECK(sum == 3);
  int32_t found = -1;
  CHECK_OK(lt_store_check(client, "key", &found, &err));
  CHECK(found == 1);
  CHECK_OK(lt_store_check(client, "absent", &found, &err));
  CHECK(found == 0);

  double begin = seconds();
  CHECK_FAILS(LT_TIMEOUT, "\"absent\"", lt_store_get(client, "absent", 150, value, 16, &size, &err));
  CHECK(seconds() - begin > 0.1 && seconds() - begin < 5);
  /* A thread that waits does not keep another from setting what it waits for, through the same handle. */
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, set_later, client) == 0);
  CHECK_OK(lt_store_get(client, "late", 10000, value, 16, &size, &err));
  CHECK(pthread_join(thread, NULL) == 0 && size == 3);

  lt_store* inner = NULL;
  CHECK_OK(lt_store_prefix(client, "inner", &inner, &err));
  CHECK(lt_store_port(inner) == port);
  CHECK_OK(lt_store_check(inner, "key", &found, &err));
  CHECK(found == 0);
  lt_store_release(client);
  CHECK_OK(lt_store_set(inner, "key", "x", 1, &err)); /* it holds its store */
  CHECK_OK(lt_store_get(server, "inner/key", 1000, value, 16, &size, &err));
  CHECK(size == 1);
  lt_store_release(inner);

  lt_store* none_made = NULL;
  char port_text[16];
  snprintf(port_text, sizeof(port_text), "%d", (int)port);
  CHECK_FAILS(LT_IO, port_text, lt_store_tcp("127.0.0.1", port, -1, 1, 0, 3000, &none_made, &err));
  CHECK_FAILS(LT_NOT_FOUND, "no-such-host.invalid",
              lt_store_tcp("no-such-host.invalid", 1234, -1, 0, 0, 3000, &none_made, &err));
  CHECK_FAILS(LT_TIMEOUT, "", lt_store_tcp("127.0.0.1", 1, -1, 0, 0, 300, &none_made, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "port", lt_store_tcp("127.0.0.1", 70000, -1, 1, 0, 300, &none_made, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "timeout", lt_store_tcp("127.0.0.1", 0, -1, 1, 0, 0, &none_made, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "host", lt_store_tcp(NULL, 0, -1, 1, 0, 100, &none_made, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "store is NULL", lt_store_set(NULL, "key", "", 0, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "key is NULL", lt_store_set(server, NULL, "", 0, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "size", lt_store_set(server, "key", "", -1, &err));
  CHECK(lt_store_port(NULL) == -1);
  lt_store_release(server);
  lt_store_release(NULL);
}

typedef struct rank {
  lt_store* store;
  int32_t number;
  void (*body)(lt_process_group* group, int32_t rank);
} rank;

static lt_process_group* connect(lt_store* store, int32_t number, int64_t timeout) {
  lt_error err;
  lt_process_group* group = NULL;
  CHECK_OK(lt_process_group_gloo(store, number, 2, "127.0.0.1", timeout, &group, &err));
  CHECK(lt_process_group_rank(group) == number && lt_process_group_size(group) == 2);
  return group;
}

static void* run_rank(void* of) {
  rank* self = of;
  lt_process_group* group = connect(self->store, self->number, 20000);
  self->body(group, self->number);
  lt_process_group_release(group);
  return NULL;
}

/* Two ranks as threads, through one store handle. */
static void run_two_ranks(void (*body)(lt_process_group* group, int32_t rank)) {
  lt_store* store = serve();
  rank ranks[2] = {{store, 0, body}, {store, 1, body}};
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) {
    CHECK(pthread_create(&threads[i], NULL, run_rank, &ranks[i]) == 0);
  }
  for (int i = 0; i < 2; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  lt_store_release(store);
}

static void finish(lt_work* work) {
  lt_error err;
  CHECK_OK(lt_work_wait(work, 0, &err));
  CHECK_OK(lt_work_wait(work, 1000, &err)); /* a second wait changes nothing */
  int32_t done = 0;
  CHECK_OK(lt_work_query(work, &done, &err));
  CHECK(done == 1);
  lt_work_release(work);
}

static void use_collectives(lt_process_group* group, int32_t rank) {
  lt_error err;
  lt_work* work = NULL;
  static const int32_t ops[] = {LT_REDUCE_SUM, LT_REDUCE_AVERAGE, LT_REDUCE_PRODUCT, LT_REDUCE_MINIMUM,
                                LT_REDUCE_MAXIMUM};
  static const float expected[] = {3 + 4, 3.5F, 3 * 4, 3, 4};
  for (int i = 0; i < 5; i++) {
    lt_tensor* values = counting(4, (float)rank);
    CHECK_OK(lt_all_reduce(group, values, ops[i], 0, &work, &err));
    finish(work);
    CHECK(floats(values)[3] == expected[i]);
    lt_tensor_release(values);
  }
  /* The work keeps its tensor. */
  lt_tensor* dropped = counting(1 << 16, 1);
  CHECK_OK(lt_all_reduce(group, dropped, LT_REDUCE_SUM, 0, &work, &err));
  lt_tensor_release(dropped);
  finish(work);
  dropped = counting(1 << 16, 1);
  CHECK_OK(lt_all_reduce(group, dropped, LT_REDUCE_SUM, 0, &work, &err));
  lt_work_release(work); /* does not wait */
  lt_tensor_release(dropped);

  /* Dense, but not in order: channels last. */
  lt_tensor* image = NULL;
  CHECK_OK(
      lt_tensor_empty((int64_t[]){1, 2, 2, 2}, 4, LT_DTYPE_FLOAT32, CPU, LT_MEMORY_CHANNELS_LAST, 0, &image, &err));
  for (int i = 0; i < 8; i++) {
    floats(image)[i] = (float)(rank * 10 + i);
  }
  lt_tensor* gathered[2] = {empty(LT_DTYPE_FLOAT32, (int64_t[]){1, 2, 2, 2}, 4),
                            empty(LT_DTYPE_FLOAT32, (int64_t[]){1, 2, 2, 2}, 4)};
  CHECK_OK(lt_all_gather(group, gathered, image, 0, &work, &err));
  finish(work);
  for (int i = 0; i < 2; i++) {
    /* Pixel (0, 1) of channel 0 is the third value in channels-last memory, the second in the dense order. */
    CHECK(floats(gathered[i])[1] == (float)(i * 10 + 2) && floats(gathered[i])[4] == (float)(i * 10 + 1));
  }
  CHECK_OK(lt_broadcast(group, image, 1, 0, &work, &err));
  finish(work);
  CHECK(floats(image)[3] == 13);
  lt_tensor_release_all((lt_tensor*[]){image, gathered[0], gathered[1]}, 3);

  static const int32_t moved[] = {LT_DTYPE_BOOL,   LT_DTYPE_INT16,  LT_DTYPE_UINT8,  LT_DTYPE_INT64,
                                  LT_DTYPE_UINT16, LT_DTYPE_UINT32, LT_DTYPE_UINT64, LT_DTYPE_BFLOAT16};
  for (int i = 0; i < COUNT(moved); i++) {
    int64_t three[] = {3};
    lt_tensor* values = empty(moved[i], three, 1);
    lt_tensor* both[2] = {empty(moved[i], three, 1), empty(moved[i], three, 1)};
    size_t bytes = (size_t)(3 * info_of(values).element_size);
    memset(info_of(values).data, rank, bytes);
    CHECK_OK(lt_all_gather(group, both, values, 0, &work, &err));
    finish(work);
    CHECK(*(char*)info_of(both[0]).data == 0 && *(char*)info_of(both[1]).data == 1);
    CHECK_OK(lt_broadcast(group, values, 1, 0, &work, &err));
    finish(work);
    CHECK(*(char*)info_of(values).data == 1);
    lt_tensor_release_all((lt_tensor*[]){values, both[0], both[1]}, 3);
  }

  lt_tensor* parts[2] = {counting(2, (float)rank), counting(2, (float)rank + 10)};
  lt_tensor* part = counting(2, 0);
  CHECK_OK(lt_reduce_scatter(group, part, parts, LT_REDUCE_SUM, 0, &work, &err));
  finish(work);
  CHECK(floats(part)[0] == (rank == 0 ? 1 : 21) && floats(part)[1] == (rank == 0 ? 3 : 23));
  CHECK_OK(lt_reduce_scatter(group, part, parts, LT_REDUCE_AVERAGE, 0, &work, &err));
  finish(work);
  CHECK(floats(part)[0] == (rank == 0 ? 0.5F : 10.5F));

  /* Refused before anything is sent, so that the ranks stay in step. */
  lt_tensor* wide = CALL("aten::unsqueeze", "", tensor(part), integer(1));
  lt_tensor* gaps = CALL("aten::slice", "Tensor", tensor(wide), integer(0), none(), none(), integer(2));
  lt_tensor* sparse = NULL;
  lt_tensor* four = counting(4, 0);
  sparse = CALL("aten::slice", "Tensor", tensor(four), integer(0), none(), none(), integer(2));
  lt_tensor* whole = empty(LT_DTYPE_INT64, (int64_t[]){2}, 1);
  lt_work* none_made = NULL;
  CHECK_FAILS(LT_INVALID_ARGUMENT, "dense", lt_all_reduce(group, sparse, LT_REDUCE_SUM, 0, &none_made, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "dense", lt_broadcast(group, sparse, 0, 0, &none_made, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "reduction", lt_all_reduce(group, part, 5, 0, &none_made, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "averaged", lt_all_reduce(group, whole, LT_REDUCE_AVERAGE, 0, &none_made, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "root_rank", lt_broadcast(group, part, 2, 0, &none_made, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "differs",
              lt_all_gather(group, (lt_tensor*[]){part, four}, part, 0, &none_made, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "outputs[1]",
              lt_all_gather(group, (lt_tensor*[]){part, NULL}, part, 0, &none_made, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "differs",
              lt_reduce_scatter(group, part, (lt_tensor*[]){part, whole}, LT_REDUCE_SUM, 0, &none_made, &err));
  CHECK(none_made == NULL);
  lt_tensor_release_all((lt_tensor*[]){parts[0], parts[1], part, wide, gaps, sparse, four, whole}, 8);

  CHECK_OK(lt_barrier(group, 0, &work, &err));
  finish(work);

  /* Rank 0 is alone for a while: its wait ends, the collective does not. */
  lt_tensor* values = counting(2, 0);
  if (rank == 0) {
    CHECK_OK(lt_all_reduce(group, values, LT_REDUCE_SUM, 0, &work, &err));
    int32_t done = 1;
    CHECK_OK(lt_work_query(work, &done, &err));
    CHECK(done == 0);
    CHECK_FAILS(LT_TIMEOUT, "under way", lt_work_wait(work, 100, &err));
    finish(work);
  } else {
    usleep(600 * 1000);
    CHECK_OK(lt_all_reduce(group, values, LT_REDUCE_SUM, 0, &work, &err));
    finish(work);
  }
  CHECK(floats(values)[1] == 2);
  lt_tensor_release(values);
}

/* The last thing that a group does: a collective that runs into its own timeout breaks the connections. */
static void run_into_timeout(lt_process_group* group, int32_t rank) {
  lt_error err;
  lt_work* work = NULL;
  lt_tensor* values = counting(2, 0);
  if (rank == 0) {
    CHECK_OK(lt_all_reduce(group, values, LT_REDUCE_SUM, 300, &work, &err));
    CHECK_FAILS(LT_TIMEOUT, "", lt_work_wait(work, 0, &err));
    lt_work_release(work);
  } else {
    usleep(1500 * 1000);
    lt_status status = lt_all_reduce(group, values, LT_REDUCE_SUM, 300, &work, &err);
    if (status == LT_OK) {
      status = lt_work_wait(work, 0, &err);
      lt_work_release(work);
    }
    CHECK(status == LT_PEER_FAILED || status == LT_TIMEOUT);
  }
  lt_tensor_release(values);
}

typedef struct abortion {
  lt_process_group* group;
  lt_status status;
} abortion;

static void* abort_soon(void* of) {
  abortion* self = of;
  lt_error err;
  usleep(200 * 1000);
  self->status = lt_process_group_abort(self->group, &err);
  return NULL;
}

/* What waits for a rank that does not come ends when another thread says so, long before its deadline. */
static void run_into_abort(lt_process_group* group, int32_t rank) {
  lt_error err;
  if (rank == 1) {
    usleep(1000 * 1000);
    return;
  }
  pthread_t thread;
  abortion other = {group, LT_INTERNAL};
  double begin = seconds();
  CHECK(pthread_create(&thread, NULL, abort_soon, &other) == 0);
  lt_tensor* values = counting(2, 0);
  for (int i = 0; i < 2; i++) { /* and a collective that begins later fails too */
    lt_work* work = NULL;
    lt_status status = lt_all_reduce(group, values, LT_REDUCE_SUM, 0, &work, &err);
    if (status == LT_OK) {
      status = lt_work_wait(work, 0, &err);
      lt_work_release(work);
    }
    CHECK(status == LT_TIMEOUT || status == LT_PEER_FAILED);
  }
  CHECK(seconds() - begin < 10);
  CHECK(pthread_join(thread, NULL) == 0 && other.status == LT_OK);
  CHECK_OK(lt_process_group_abort(group, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "group", lt_process_group_abort(NULL, &err));
  lt_tensor_release(values);
}

static void test_collectives(void) {
  run_two_ranks(use_collectives);
  run_two_ranks(run_into_timeout);
  run_two_ranks(run_into_abort);

  lt_error err;
  lt_store* store = serve();
  lt_process_group* group = NULL;
  CHECK_FAILS(LT_INVALID_ARGUMENT, "rank", lt_process_group_gloo(store, 2, 2, NULL, 1000, &group, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "rank", lt_process_group_gloo(store, -1, 2, NULL, 1000, &group, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "world_size", lt_process_group_gloo(store, 0, 0, NULL, 1000, &group, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "timeout", lt_process_group_gloo(store, 0, 1, NULL, 0, &group, &err));
  double begin = seconds();
  CHECK_FAILS(LT_TIMEOUT, "", lt_process_group_gloo(store, 0, 2, "127.0.0.1", 700, &group, &err));
  CHECK(seconds() - begin < 20);
  CHECK(group == NULL && lt_process_group_rank(NULL) == -1 && lt_process_group_size(NULL) == -1);
  lt_process_group_release(NULL);
  lt_work_release(NULL);
  /* A group of one, by the address that this machine gives itself. */
  lt_store* alone = NULL;
  CHECK_OK(lt_store_prefix(store, "alone", &alone, &err));
  CHECK_OK(lt_process_group_gloo(alone, 0, 1, NULL, 5000, &group, &err));
  lt_work* work = NULL;
  CHECK_OK(lt_barrier(group, 0, &work, &err));
  finish(work);
  lt_process_group_release(group);
  lt_store_release(alone);
  lt_store_release(store);
}

static lt_status step_together(lt_reducer* reducer, lt_tensor* weights, lt_error* err) {
  lt_status status = lt_reducer_prepare_forward(reducer, err);
  lt_tensor* loss = CALL("aten::sum", "", tensor(weights));
  if (status == LT_OK) {
    status = lt_reducer_prepare_backward(reducer, &loss, 1, err);
  }
  if (status == LT_OK) {
    status = lt_tensor_backward(loss, NULL, 0, err);
  }
  lt_tensor_release(loss);
  return status;
}

/* This program once more: joins as rank 1, takes part once, and is gone in the middle. */
static int dying_rank(int32_t port) {
  lt_error err;
  lt_store* store = join(port);
  lt_process_group* group = connect(store, 1, 20000);
  lt_tensor* values = counting(2, 1);
  lt_work* work = NULL;
  CHECK_OK(lt_all_reduce(group, values, LT_REDUCE_SUM, 0, &work, &err));
  finish(work);
  lt_reducer* reducer = NULL;
  CHECK_OK(lt_tensor_set_requires_grad(values, 1, &err));
  CHECK_OK(lt_reducer_create(group, &values, 1, 0, 0, 1, &reducer, &err));
  CHECK_OK(step_together(reducer, values, &err));
  _exit(0);
}

extern char** environ;

static void test_dying_peer(void) {
  lt_error err;
  lt_store* store = serve();
  char port[16];
  snprintf(port, sizeof(port), "%d", (int)lt_store_port(store));
  char* arguments[] = {"torch_c_test", "--dying-rank", port, NULL};
  pid_t child = 0;
  CHECK(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
  lt_process_group* group = connect(store, 0, 20000);
  lt_tensor* values = counting(2, 1);
  lt_work* work = NULL;
  CHECK_OK(lt_all_reduce(group, values, LT_REDUCE_SUM, 0, &work, &err));
  finish(work);
  lt_reducer* reducer = NULL;
  lt_tensor* weights = parameter(2);
  CHECK_OK(lt_reducer_create(group, &weights, 1, 0, 0, 1, &reducer, &err));
  CHECK_OK(step_together(reducer, weights, &err));
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  double begin = seconds();
  CHECK_FAILS(LT_PEER_FAILED, "", step_together(reducer, weights, &err));
  lt_reducer_release(reducer);
  lt_tensor_release(weights);
  lt_status failure = lt_all_reduce(group, values, LT_REDUCE_SUM, 0, &work, &err);
  if (failure == LT_OK) {
    failure = lt_work_wait(work, 0, &err);
    lt_work_release(work);
  }
  CHECK(failure == LT_PEER_FAILED && err.code == failure && strlen(err.message) > 20);
  lt_process_group_release(group);
  CHECK(seconds() - begin < 10);
  lt_tensor_release(values);
  lt_store_release(store);
}

/* ---- Averaging of gradients -------------------------------------------------------------------------------------- */

#define INPUTS 3
#define HIDDEN 300
#define STEPS 6
static float weights_alone[INPUTS * HIDDEN];

static lt_tensor* layer(int64_t rows, int64_t columns) {
  lt_error err;
  lt_tensor* made = empty(LT_DTYPE_FLOAT32, (int64_t[]){rows, columns}, 2);
  for (int64_t i = 0; i < rows * columns; i++) {
    floats(made)[i] = sinf((float)i) * 0.1F;
  }
  CHECK_OK(lt_tensor_set_requires_grad(made, 1, &err));
  return made;
}

/* Rows first .. first+count-1 of an endless matrix of inputs. */
static lt_tensor* input_rows(int first, int count) {
  lt_tensor* made = empty(LT_DTYPE_FLOAT32, (int64_t[]){count, INPUTS}, 2);
  for (int i = 0; i < count * INPUTS; i++) {
    floats(made)[i] = cosf((float)(first * INPUTS + i));
  }
  return made;
}

/* Trains two layers on `count` rows from `first` for some steps; with a reducer where there is a group. */
static void train(lt_process_group* group, int first, int count, float* weights) {
  lt_error err;
  lt_tensor* layers[2] = {layer(INPUTS, HIDDEN), layer(HIDDEN, 1)};
  lt_reducer* reducer = NULL;
  if (group != NULL) {
    CHECK_OK(lt_reducer_create(group, layers, 2, 0, 0, 0, &reducer, &err));
  }
  lt_optimizer* optimizer = NULL;
  CHECK_OK(lt_optimizer_sgd(layers, 2, 0.05, 0.9, 0, 0, 0, &optimizer, &err));
  for (int step = 0; step < STEPS; step++) {
    lt_tensor* input = input_rows(first, count);
    if (reducer != NULL) {
      CHECK_OK(lt_reducer_prepare_forward(reducer, &err));
    }
    lt_tensor* hidden = CALL("aten::mm", "", tensor(input), tensor(layers[0]));
    lt_tensor* active = CALL("aten::relu", "", tensor(hidden));
    lt_tensor* output = CALL("aten::mm", "", tensor(active), tensor(layers[1]));
    lt_tensor* square = CALL("aten::mul", "Tensor", tensor(output), tensor(output));
    lt_tensor* loss = CALL("aten::mean", "", tensor(square));
    if (reducer != NULL) {
      CHECK_OK(lt_reducer_prepare_backward(reducer, &loss, 1, &err));
    }
    CHECK_OK(lt_optimizer_zero_grad(optimizer, step % 2, &err)); /* both ways, in turn */
    CHECK_OK(lt_tensor_backward(loss, NULL, 0, &err));
    CHECK_OK(lt_optimizer_step(optimizer, &err));
    lt_tensor_release_all((lt_tensor*[]){input, hidden, active, output, square, loss}, 6);
  }
  memcpy(weights, floats(layers[0]), sizeof(weights_alone));
  lt_reducer_release(reducer);
  lt_optimizer_release(optimizer);
  lt_tensor_release_all(layers, 2);
}

static void train_rank(lt_process_group* group, int32_t rank) {
  lt_error err;
  float weights[INPUTS * HIDDEN];
  train(group, rank * 4, 4, weights);
  for (int i = 0; i < INPUTS * HIDDEN; i++) {
    CHECK(fabsf(weights[i] - weights_alone[i]) < 1e-6F);
  }

  lt_reducer* reducer = NULL;
  lt_tensor* right = layer(2, 2);
  lt_tensor* frozen = counting(2, 0);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "needs parameters", lt_reducer_create(group, &right, 0, 0, 0, 0, &reducer, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "requires_grad", lt_reducer_create(group, &frozen, 1, 0, 0, 0, &reducer, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "negative", lt_reducer_create(group, &right, 1, -1, 0, 0, &reducer, &err));
  /* Shapes that differ: both ranks are told. */
  lt_tensor* differs = layer(2, rank + 1);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "", lt_reducer_create(group, &differs, 1, 0, 0, 0, &reducer, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "",
              lt_reducer_create(group, (lt_tensor*[]){right, differs}, rank + 1, 0, 0, 0, &reducer, &err));
  CHECK(reducer == NULL);

  /* A parameter that the other rank alone uses, with find_unused_parameters. */
  lt_tensor* two[2] = {layer(2, 2), layer(2, 2)};
  CHECK_OK(lt_reducer_create(group, two, 2, 0, 0, 1, &reducer, &err));
  for (int step = 0; step < 3; step++) {
    CHECK_OK(lt_reducer_prepare_forward(reducer, &err));
    lt_tensor* loss = CALL("aten::sum", "", tensor(two[rank]));
    CHECK_OK(lt_reducer_prepare_backward(reducer, &loss, 1, &err));
    CHECK_OK(lt_tensor_backward(loss, NULL, 0, &err));
    for (int i = 0; i < 2; i++) {
      lt_tensor* grad = NULL;
      CHECK_OK(lt_tensor_grad(two[i], &grad, &err));
      CHECK(grad != NULL && floats(grad)[3] == 0.5F);
      lt_tensor_release(grad);
      CHECK_OK(lt_tensor_set_grad(two[i], NULL, &err));
    }
    lt_tensor_release(loss);
  }
  lt_reducer_release(reducer);
  lt_reducer_release(NULL);
  lt_tensor_release_all((lt_tensor*[]){right, frozen, differs, two[0], two[1]}, 5);
}

static void test_reducer(void) {
  train(NULL, 0, 8, weights_alone);
  run_two_ranks(train_rank);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static const struct {
  const char* name;
  void (*run)(void);
} tests[] = {
    {"library", test_library},
    {"empty", test_empty},
    {"handles", test_handles},
    {"copies and items", test_copies_and_items},
    {"from memory", test_from_memory},
    {"find", test_find},
    {"values", test_values},
    {"an undefined result", test_undefined_result},
    {"refused values", test_refused_values},
    {"every tag", test_every_tag},
    {"threads", test_threads},
    {"reentrance", test_reentrance},
    {"autograd", test_autograd},
    {"optimizers", test_optimizers},
    {"devices", test_devices},
    {"pickle", test_pickle},
    {"random state", test_random_state},
    {"optimizer state", test_optimizer_state},
    {"store", test_store},
    {"waiting for workers", test_waiting_for_workers},
    {"collectives", test_collectives},
    {"a dying peer", test_dying_peer},
    {"reducer", test_reducer},
};

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "--dying-rank") == 0) {
    return dying_rank(atoi(argv[2]));
  }
  for (int32_t i = 0; i < COUNT(tests); i++) {
    if (argc > 1 && strcmp(argv[1], tests[i].name) != 0) {
      continue;
    }
    double begin = seconds();
    tests[i].run();
    check_nothing_lives();
    printf("%-20s %.2f s\n", tests[i].name, seconds() - begin);
    fflush(stdout);
  }
  return 0;
}
