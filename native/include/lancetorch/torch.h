/* SPDX-License-Identifier: Apache-2.0
 *
 * libtorch for lancetorch: tensors, operators, autograd, optimizers, devices and collectives. error.h has the rules
 * that hold for every function here. A shim is compiled for one libtorch version and works with that one alone.
 *
 * An lt_tensor is one counted reference to an at::Tensor: two handles may name the same tensor, and each is released by
 * itself. Reading one tensor from many threads is safe, writing is not, as in libtorch.
 */
#ifndef LANCETORCH_TORCH_H
#define LANCETORCH_TORCH_H

#include <lancetorch/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The library ------------------------------------------------------------------------------------------------- */

/* TORCH_VERSION of the headers that this shim was compiled with, such as "2.10.0", for ever valid. Any thread. */
const char* lt_torch_built_version(void);

#define LT_TORCH_TENSOR 0
#define LT_TORCH_OPTIMIZER 1
#define LT_TORCH_STORE 2
#define LT_TORCH_PROCESS_GROUP 3
#define LT_TORCH_WORK 4
#define LT_TORCH_REDUCER 5
#define LT_TORCH_STREAM 6
#define LT_TORCH_EVENT 7

/* Handles of that kind that have not been released; -1 for an unknown kind. Any thread. */
int64_t lt_torch_live_handles(int32_t kind);

/* Bytes of caller's memory that lt_tensor_from_memory wrapped and whose deleter has not run yet. Any thread. */
int64_t lt_torch_live_bytes(void);

/* Threads within one operator (OpenMP), for the calling thread's process. LT_INVALID_ARGUMENT: threads < 1. */
lt_status lt_torch_set_num_threads(int32_t threads, lt_error* err);
int32_t lt_torch_num_threads(void);

/* Seeds the default generator of every device. Any thread. */
lt_status lt_torch_manual_seed(uint64_t seed, lt_error* err);

/* Operators whose results would differ from run to run take a deterministic way where there is one, and fail where there
 * is none, or with warn_only warn on stderr. cuBLAS also wants CUBLAS_WORKSPACE_CONFIG=:4096:8 in the environment. */
lt_status lt_torch_set_deterministic(int32_t enabled, int32_t warn_only, lt_error* err);
/* 0 off, 1 on, 2 on and only warns. */
int32_t lt_torch_deterministic(void);

/* Lets cuDNN try its algorithms at the first convolution of each shape, and keep the fastest. */
lt_status lt_torch_set_cudnn_benchmark(int32_t enabled, lt_error* err);
int32_t lt_torch_cudnn_benchmark(void);

/* How float32 matrix products and convolutions may be computed: "highest" in float32, "high" in TensorFloat-32 or three
 * bfloat16, "medium" in bfloat16, where the device can. LT_INVALID_ARGUMENT: another word. */
lt_status lt_torch_set_float32_precision(const char* precision, lt_error* err);

/* ---- Types ------------------------------------------------------------------------------------------------------- */

/* Values of c10::ScalarType. */
#define LT_DTYPE_UINT8 0
#define LT_DTYPE_INT8 1
#define LT_DTYPE_INT16 2
#define LT_DTYPE_INT32 3
#define LT_DTYPE_INT64 4
#define LT_DTYPE_FLOAT16 5
#define LT_DTYPE_FLOAT32 6
#define LT_DTYPE_FLOAT64 7
#define LT_DTYPE_BOOL 11
#define LT_DTYPE_BFLOAT16 15
/* Unsigned beyond 8 bits: libtorch stores, copies and converts them, but has few operators for them. */
#define LT_DTYPE_UINT16 27
#define LT_DTYPE_UINT32 28
#define LT_DTYPE_UINT64 29

/* Values of c10::DeviceType. */
#define LT_DEVICE_CPU 0
#define LT_DEVICE_CUDA 1

/* Values of c10::MemoryFormat. */
#define LT_MEMORY_CONTIGUOUS 0
#define LT_MEMORY_PRESERVE 1
#define LT_MEMORY_CHANNELS_LAST 2

typedef struct lt_device {
  int32_t type;  /* LT_DEVICE_... */
  int32_t index; /* -1: the current one */
} lt_device;

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

/* Owned: lt_tensor_release. */
typedef struct lt_tensor lt_tensor;

/* What a tensor is. `shape` and `strides` (in elements; `dimensions` values each) are borrowed until the tensor is
 * released or changed in place. */
typedef struct lt_tensor_info {
  int32_t dtype;
  int32_t dimensions;
  lt_device device;
  int64_t element_count;
  int64_t element_size; /* bytes */
  void* data;           /* the first element, in the device's memory */
  const int64_t* shape;
  const int64_t* strides;
} lt_tensor_info;

/* An uninitialised tensor of `shape` (`dimensions` sizes >= 0). memory_format: LT_MEMORY_CONTIGUOUS, or
 * LT_MEMORY_CHANNELS_LAST with 4 dimensions. pinned: not 0 for page-locked host memory, LT_UNSUPPORTED without an
 * accelerator. LT_INVALID_ARGUMENT, LT_OUT_OF_MEMORY. */
lt_status lt_tensor_empty(const int64_t* shape, int32_t dimensions, int32_t dtype, lt_device device,
                          int32_t memory_format, int32_t pinned, lt_tensor** tensor, lt_error* err);

typedef void (*lt_deleter)(void* context);

/* A CPU tensor over memory at `data`, which must be aligned for `dtype`; `strides` (in elements) may be NULL for a
 * dense one. `deleter(context)` runs exactly once, on whichever thread lets the last alias of the storage go; where
 * this call fails, it has not run and the memory is still the caller's. `deleter` may be NULL for memory that outlives
 * everything. */
lt_status lt_tensor_from_memory(void* data, const int64_t* shape, const int64_t* strides, int32_t dimensions,
                                int32_t dtype, lt_deleter deleter, void* context, lt_tensor** tensor, lt_error* err);

/* One reference more to the same tensor, as a handle of its own. */
lt_status lt_tensor_share(lt_tensor* tensor, lt_tensor** shared, lt_error* err);

/* Any thread. */
void lt_tensor_release(lt_tensor* tensor);

/* Releases `count` handles at once; NULLs among them are skipped. Any thread. */
void lt_tensor_release_all(lt_tensor* const* tensors, int64_t count);

lt_status lt_tensor_info_get(const lt_tensor* tensor, lt_tensor_info* info, lt_error* err);

/* Copies the values of `source` into `target`, with broadcasting, across dtypes and devices. */
lt_status lt_tensor_copy(lt_tensor* target, const lt_tensor* source, int32_t non_blocking, lt_error* err);

/* `tensor` on `device` as `dtype` (-1: as it is) in `memory_format`; the same tensor where nothing changes and
 * copy is 0. */
lt_status lt_tensor_to(const lt_tensor* tensor, lt_device device, int32_t dtype, int32_t non_blocking, int32_t copy,
                       int32_t memory_format, lt_tensor** result, lt_error* err);

/* The value of a tensor of one element, as a double (integers beyond 2^53 lose digits: see lt_tensor_item_int). Waits
 * for the device. LT_INVALID_ARGUMENT: more or fewer than one element. _int cuts a fraction off. */
lt_status lt_tensor_item(const lt_tensor* tensor, double* value, lt_error* err);
lt_status lt_tensor_item_int(const lt_tensor* tensor, int64_t* value, lt_error* err);

/* The storage's count of references, to prove aliasing in tests. */
int64_t lt_tensor_storage_use_count(const lt_tensor* tensor);

/* For other code in this process that runs with the very libtorch of this shim, and has its C++ types: a handle for the
 * tensor of `at_tensor`, a const at::Tensor*, borrowed. It is one reference more to the same tensor, history included.
 * LT_INVALID_ARGUMENT: an undefined tensor. */
lt_status lt_tensor_from_at(const void* at_tensor, lt_tensor** tensor, lt_error* err);

/* The way back: makes `at_tensor`, an at::Tensor* of the caller's that is undefined as yet, one reference more to the same
 * tensor. LT_UNSUPPORTED, with nothing changed: it is not the undefined tensor of this shim's libtorch, but names a tensor,
 * or belongs to another copy of libtorch. So the first call tells whether the two share one. */
lt_status lt_tensor_to_at(const lt_tensor* tensor, void* at_tensor, lt_error* err);

/* ---- Operators --------------------------------------------------------------------------------------------------- */

#define LT_VALUE_NONE 0
#define LT_VALUE_TENSOR 1
#define LT_VALUE_INT 2
#define LT_VALUE_DOUBLE 3
#define LT_VALUE_BOOL 4        /* as.integer 0 or 1 */
#define LT_VALUE_STRING 5      /* as.string, length bytes without a NUL */
#define LT_VALUE_INT_LIST 6    /* as.integers, length of them */
#define LT_VALUE_DOUBLE_LIST 7 /* as.doubles */
#define LT_VALUE_BOOL_LIST 8   /* as.integers, each 0 or 1 */
#define LT_VALUE_TENSOR_LIST 9 /* as.tensors; NULL entries where the schema has Tensor?[] */
#define LT_VALUE_DEVICE 10     /* as.device */
#define LT_VALUE_DEFAULT 11    /* the schema's default for this argument */
#define LT_VALUE_LIST 12       /* for lt_pickle_write alone */
#define LT_VALUE_DICT 13       /* for lt_pickle_write alone */

/* An argument or a result: 16 bytes. Dtypes, layouts and memory formats are LT_VALUE_INT; a Scalar is an int, a double
 * or a bool. Arguments are borrowed for the call. */
typedef struct lt_value {
  int32_t tag;    /* LT_VALUE_... */
  int32_t length; /* of a list or a string */
  union {
    int64_t integer;
    double real;
    lt_tensor* tensor;
    const char* string;
    const int64_t* integers;
    const double* doubles;
    lt_tensor* const* tensors;
    lt_device device;
  } as;
} lt_value;

/* One overload of one ATen operator, for ever valid and never released. Any thread, many at once. */
typedef struct lt_op lt_op;

/* Finds the operator `name` ("aten::add") with `overload` ("Tensor"; "" or NULL for the one without a name). The same
 * handle comes back for the same name. LT_NOT_FOUND, with the overloads that there are. */
lt_status lt_op_find(const char* name, const char* overload, const lt_op** op, lt_error* err);

/* The schema as ATen writes it, such as "aten::relu(Tensor self) -> Tensor", for ever valid; NULL for NULL. */
const char* lt_op_schema(const lt_op* op);

/* Calls `op` with `argument_count` arguments in the schema's order; missing ones at the end take the schema's defaults.
 * Writes the results to `results` (room for result_capacity) and their number to `result_count`. A tensor among them is
 * owned, also one that is the same as an argument; a list of tensors is an array (lt_value_free frees the array, not
 * the tensors in it) of owned ones; an undefined tensor is LT_VALUE_NONE.
 * LT_INVALID_ARGUMENT: a value that does not fit the schema (named), shapes or dtypes that do not match (libtorch's
 * words). LT_OUT_OF_MEMORY. LT_UNSUPPORTED: an operator that this device has not. */
lt_status lt_op_call(const lt_op* op, const lt_value* arguments, int32_t argument_count, lt_value* results,
                     int32_t result_capacity, int32_t* result_count, lt_error* err);

/* Frees the array of a list that lt_op_call returned, and makes the value LT_VALUE_NONE. */
void lt_value_free(lt_value* value);

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* Writes one value as torch.save would, such that torch.load(path, weights_only=True) reads it: LT_VALUE_NONE, _TENSOR,
 * _INT, _DOUBLE, _BOOL, _STRING (UTF-8), or of these, in up to 64 levels, an LT_VALUE_LIST or LT_VALUE_DICT. `values`
 * are all of it in the order of reading: after a list come its `length` values, after a dict its `length` pairs of a
 * key (an int or a string) and a value. The file appears under its name only when it is whole and on the disk.
 * LT_IO. LT_INVALID_ARGUMENT: a key twice, values too few or too many, or a tag of another kind. LT_UNSUPPORTED: a
 * tensor that the format has no place for, such as one of an unsigned type beyond 8 bits. */
lt_status lt_pickle_write(const char* path, const lt_value* values, int64_t count, lt_error* err);

/* ---- Autograd ---------------------------------------------------------------------------------------------------- */

/* Only a leaf may be changed. LT_INVALID_ARGUMENT: not a leaf, or a dtype without gradients. */
lt_status lt_tensor_set_requires_grad(lt_tensor* tensor, int32_t requires_grad, lt_error* err);
int32_t lt_tensor_requires_grad(const lt_tensor* tensor);

/* Adds to the gradients of all leaves below `tensor`. `gradient` may be NULL where `tensor` has one element. */
lt_status lt_tensor_backward(lt_tensor* tensor, const lt_tensor* gradient, int32_t retain_graph, lt_error* err);

/* The gradient, owned, or NULL where there is none yet. */
lt_status lt_tensor_grad(const lt_tensor* tensor, lt_tensor** grad, lt_error* err);

/* Sets the gradient; NULL takes it away. LT_INVALID_ARGUMENT: another shape. */
lt_status lt_tensor_set_grad(lt_tensor* tensor, const lt_tensor* grad, lt_error* err);

/* The same values without their history. */
lt_status lt_tensor_detach(const lt_tensor* tensor, lt_tensor** detached, lt_error* err);

/* Switches the recording of gradients on or off for the calling thread, and returns what it was. */
int32_t lt_grad_mode_set(int32_t enabled);
int32_t lt_grad_mode(void);

/* ---- Mixed precision --------------------------------------------------------------------------------------------- */

/* What autocast was for a thread and a type of devices, to go back to. */
typedef struct lt_autocast {
  int32_t device_type; /* LT_DEVICE_... */
  int32_t enabled;
  int32_t dtype; /* LT_DTYPE_... */
} lt_autocast;

/* For the calling thread, until lt_autocast_exit: operators on devices of that type take their arguments in `dtype` where
 * that is faster (convolutions, matrix products), and in float32 where they need it (losses, norms), as torch.autocast.
 * enabled: 0 for a part without it. Calls nest. LT_INVALID_ARGUMENT: a dtype that is neither float16 nor bfloat16. */
lt_status lt_autocast_enter(int32_t device_type, int32_t enabled, int32_t dtype, lt_autocast* before, lt_error* err);
/* Back to `before`, on the same thread. The outermost one lets go the copies of parameters in the other dtype. */
lt_status lt_autocast_exit(const lt_autocast* before, lt_error* err);
/* 1 where operators on devices of that type are autocast on the calling thread. */
int32_t lt_autocast_enabled(int32_t device_type);

/* ---- Optimizers -------------------------------------------------------------------------------------------------- */

/* torch::optim's own. It shares the parameters, whose handles may be released before. Owned: lt_optimizer_release. */
typedef struct lt_optimizer lt_optimizer;

lt_status lt_optimizer_sgd(lt_tensor* const* parameters, int64_t count, double learning_rate, double momentum,
                           double dampening, double weight_decay, int32_t nesterov, lt_optimizer** optimizer,
                           lt_error* err);
lt_status lt_optimizer_adamw(lt_tensor* const* parameters, int64_t count, double learning_rate, double beta1,
                             double beta2, double epsilon, double weight_decay, int32_t amsgrad,
                             lt_optimizer** optimizer, lt_error* err);
lt_status lt_optimizer_step(lt_optimizer* optimizer, lt_error* err);
/* fused: not 0 to step with ATen's fused kernels, one for many parameters, as fused=True in PyTorch; the formulas and the
 * state are the same. LT_INVALID_ARGUMENT: a parameter that is not floating point. */
lt_status lt_optimizer_set_fused(lt_optimizer* optimizer, int32_t fused, lt_error* err);
int32_t lt_optimizer_fused(const lt_optimizer* optimizer);
/* Multiplies all gradients by `inverse_scale`, a float32 tensor of one element, and sets `found_inf`, another one, to 1 where
 * one of the gradients has a value that is not finite; else it stays. Both are on the device of the gradients. */
lt_status lt_optimizer_unscale(lt_optimizer* optimizer, const lt_tensor* inverse_scale, lt_tensor* found_inf,
                               lt_error* err);
/* set_to_none: not 0 to take the gradients away instead of filling them with zeros. */
lt_status lt_optimizer_zero_grad(lt_optimizer* optimizer, int32_t set_to_none, lt_error* err);
lt_status lt_optimizer_set_learning_rate(lt_optimizer* optimizer, double learning_rate, lt_error* err);
lt_status lt_optimizer_learning_rate(const lt_optimizer* optimizer, double* learning_rate, lt_error* err);

/* The value of the option `name`, as PyTorch's param_groups call it (a bool is 0 or 1): of SGD "lr", "momentum",
 * "dampening", "weight_decay", "nesterov"; of AdamW "lr", "beta1", "beta2", "eps", "weight_decay", "amsgrad". */
lt_status lt_optimizer_option(const lt_optimizer* optimizer, const char* name, double* value, lt_error* err);
/* What the optimizer keeps for its parameter of that index, as PyTorch's state_dict calls it: of SGD "momentum_buffer";
 * of AdamW "step" (a scalar), "exp_avg", "exp_avg_sq", "max_exp_avg_sq". Owned, NULL where there is none yet. All but
 * the step are the optimizer's own, which its next step changes. */
lt_status lt_optimizer_state(const lt_optimizer* optimizer, int64_t parameter, const char* name, lt_tensor** value,
                             lt_error* err);
/* Sets the named options, and puts copies of `count` values in the place of all state, each in its parameter's dtype
 * and on its device. All is done, or nothing.
 * LT_INVALID_ARGUMENT: an option, an index or a name that this optimizer has not, a value of another shape than its
 * parameter, or AdamW's values for a parameter that are not complete. */
lt_status lt_optimizer_load(lt_optimizer* optimizer, const char* const* options, const double* option_values,
                            int64_t option_count, const int64_t* parameters, const char* const* names,
                            lt_tensor* const* values, int64_t count, lt_error* err);
void lt_optimizer_release(lt_optimizer* optimizer);

/* ---- Random numbers ---------------------------------------------------------------------------------------------- */

/* The state of the device's default generator, as torch.get_rng_state() gives it: a uint8 tensor on the CPU. Owned.
 * LT_UNSUPPORTED: no such device here. */
lt_status lt_random_state(lt_device device, lt_tensor** state, lt_error* err);
/* LT_INVALID_ARGUMENT: no state of a generator of such a device. */
lt_status lt_random_set_state(lt_device device, const lt_tensor* state, lt_error* err);

/* ---- Devices ----------------------------------------------------------------------------------------------------- */

/* How many devices of that type this libtorch sees here: 1 for the CPU, 0 where the build or the driver has none. */
int32_t lt_device_count(int32_t type);
/* Makes `device` ready for use. LT_UNSUPPORTED, with the reason: this libtorch was built without it, there is no driver, or
 * no such device. */
lt_status lt_device_require(lt_device device, lt_error* err);
/* Waits until `device` has nothing left to do. LT_UNSUPPORTED: no such device here. */
lt_status lt_device_synchronize(lt_device device, lt_error* err);

/* What libtorch's caching allocator has of a device's memory, in bytes; peaks since the start or the last reset. */
typedef struct lt_memory_stats {
  int64_t allocated; /* in tensors */
  int64_t allocated_peak;
  int64_t reserved; /* taken from the device: in tensors, or kept for the next ones */
  int64_t reserved_peak;
  int64_t allocations;   /* how often memory was asked for */
  int64_t retries;       /* how often the device had none left, and what was kept had to be given back first */
  int64_t out_of_memory; /* how often that did not help */
  int64_t free;          /* of the device, for all processes; -1 where libtorch cannot tell */
  int64_t total;         /* of the device; -1 where libtorch cannot tell */
} lt_memory_stats;
/* LT_UNSUPPORTED: no such device here, or the CPU, which has no such allocator. */
lt_status lt_device_memory_stats(lt_device device, lt_memory_stats* stats, lt_error* err);
lt_status lt_device_reset_peak_memory(lt_device device, lt_error* err);
/* Gives back to the device what is kept for later tensors. */
lt_status lt_device_empty_cache(lt_device device, lt_error* err);

/* A queue of work on a device. Owned: lt_stream_release. On the CPU, where work is done when the call returns, a stream
 * is the one default stream, and an event is complete once recorded. */
typedef struct lt_stream lt_stream;
lt_status lt_stream_current(lt_device device, lt_stream** stream, lt_error* err);
/* One of libtorch's pool. */
lt_status lt_stream_create(lt_device device, int32_t high_priority, lt_stream** stream, lt_error* err);
/* Makes it the calling thread's current stream of its device. */
lt_status lt_stream_set_current(const lt_stream* stream, lt_error* err);
lt_status lt_stream_synchronize(const lt_stream* stream, lt_error* err);
/* done: 1 where nothing is left to do. */
lt_status lt_stream_query(const lt_stream* stream, int32_t* done, lt_error* err);
/* Keeps the tensor's memory from being reused before the work now queued on `stream` is done. */
lt_status lt_stream_record_tensor(const lt_stream* stream, const lt_tensor* tensor, lt_error* err);
void lt_stream_release(lt_stream* stream);

/* A mark in a stream. Owned: lt_event_release. */
typedef struct lt_event lt_event;
lt_status lt_event_create(lt_device device, int32_t timing, lt_event** event, lt_error* err);
lt_status lt_event_record(lt_event* event, const lt_stream* stream, lt_error* err);
/* Makes `stream` wait for the event; the calling thread goes on. */
lt_status lt_event_block(const lt_event* event, const lt_stream* stream, lt_error* err);
lt_status lt_event_query(const lt_event* event, int32_t* done, lt_error* err);
lt_status lt_event_synchronize(const lt_event* event, lt_error* err);
/* Milliseconds between two recorded events made with timing. LT_UNSUPPORTED on the CPU. */
lt_status lt_event_elapsed(const lt_event* begin, const lt_event* end, double* milliseconds, lt_error* err);
void lt_event_release(lt_event* event);

/* ---- Collectives ------------------------------------------------------------------------------------------------- */

/* A key-value store shared by all ranks (c10d::TCPStore). Owned: lt_store_release. Any thread. */
typedef struct lt_store lt_store;

/* Joins the store at host:port; is_server: not 0 for the one that also serves it, on `port` (0: a free one). world_size
 * -1: not known; wait_for_workers: not 0 lets the server wait until world_size clients are there. Where `host` is an
 * address, or localhost, the server listens on that one alone; on another name, on all addresses of the machine.
 * LT_IO: the port is in use (named), or the address is not this machine's. LT_TIMEOUT: no server there in time.
 * LT_NOT_FOUND: the host does not resolve. */
lt_status lt_store_tcp(const char* host, int32_t port, int32_t world_size, int32_t is_server, int32_t wait_for_workers,
                       int64_t timeout_milliseconds, lt_store** store, lt_error* err);
/* The same store with `prefix` before each key, as a handle of its own. */
lt_status lt_store_prefix(lt_store* store, const char* prefix, lt_store** prefixed, lt_error* err);
int32_t lt_store_port(const lt_store* store);
lt_status lt_store_set(lt_store* store, const char* key, const void* value, int64_t size, lt_error* err);
/* Waits for the key, up to the timeout (0: does not wait), without keeping other threads from the store; writes up to
 * `capacity` bytes to `value` and the whole size to `size`. LT_TIMEOUT. */
lt_status lt_store_get(lt_store* store, const char* key, int64_t timeout_milliseconds, void* value, int64_t capacity,
                       int64_t* size, lt_error* err);
/* Adds to a counter that starts at 0, and writes the sum to `sum`. */
lt_status lt_store_add(lt_store* store, const char* key, int64_t amount, int64_t* sum, lt_error* err);
/* found: 1 where the key is there. Does not wait. (Where the server is gone, these give LT_PEER_FAILED or LT_IO.) */
lt_status lt_store_check(lt_store* store, const char* key, int32_t* found, lt_error* err);
void lt_store_release(lt_store* store);

#define LT_REDUCE_SUM 0
#define LT_REDUCE_AVERAGE 1
#define LT_REDUCE_PRODUCT 2
#define LT_REDUCE_MINIMUM 3
#define LT_REDUCE_MAXIMUM 4

/* Ranks that call the same collectives in the same order. Owned: lt_process_group_release. One thread at a time. */
typedef struct lt_process_group lt_process_group;

/* A collective under way. Owned: lt_work_release, which does not wait. It keeps its tensors alive. */
typedef struct lt_work lt_work;

/* Connects `world_size` ranks by Gloo through `store` (which the group shares). `interface_host`: the address on which
 * this rank listens, NULL: the one that reaches the store's host. timeout: of connecting, and of collectives that name
 * none. It needs a store or a prefix of its own: a second group must not use the same keys.
 * LT_INVALID_ARGUMENT: rank not in 0 .. world_size-1. LT_TIMEOUT: a rank did not come. */
lt_status lt_process_group_gloo(lt_store* store, int32_t rank, int32_t world_size, const char* interface_host,
                                int64_t timeout_milliseconds, lt_process_group** group, lt_error* err);
int32_t lt_process_group_rank(const lt_process_group* group);
int32_t lt_process_group_size(const lt_process_group* group);
/* Breaks the group: the collectives under way, also those of a reducer, and all later ones end at once with LT_TIMEOUT or
 * LT_PEER_FAILED, and the other ranks lose the connections to this one. Any thread, also while another waits; not during
 * or after the release. */
lt_status lt_process_group_abort(lt_process_group* group, lt_error* err);
/* Waits until the collectives under way have ended, which takes at most their timeouts. */
void lt_process_group_release(lt_process_group* group);

/* Each collective starts, and returns a work handle; the result is there when lt_work_wait has returned LT_OK. Tensors
 * must be dense, and of one shape and dtype on all ranks; an average is of floating point. timeout_milliseconds <= 0:
 * the group's. A collective that fails breaks the group: it is to be released.
 * Tensors of the CPU go through Gloo. Those of CUDA go through NCCL where lancetorch/cuda.h's lt_process_group_add_nccl was
 * called: the collective runs on a stream of its own behind what the calling thread's current stream has queued.
 * LT_PEER_FAILED: a connection broke. LT_TIMEOUT. LT_INVALID_ARGUMENT. They come from the start or from the wait. */
lt_status lt_all_reduce(lt_process_group* group, lt_tensor* tensor, int32_t reduce_op, int64_t timeout_milliseconds,
                        lt_work** work, lt_error* err);
lt_status lt_broadcast(lt_process_group* group, lt_tensor* tensor, int32_t root_rank, int64_t timeout_milliseconds,
                       lt_work** work, lt_error* err);
/* outputs: world_size tensors shaped like `input`, in order of rank. */
lt_status lt_all_gather(lt_process_group* group, lt_tensor* const* outputs, const lt_tensor* input,
                        int64_t timeout_milliseconds, lt_work** work, lt_error* err);
/* inputs: world_size tensors shaped like `output`; rank r gets the reduction of everyone's r-th. */
lt_status lt_reduce_scatter(lt_process_group* group, lt_tensor* output, lt_tensor* const* inputs, int32_t reduce_op,
                            int64_t timeout_milliseconds, lt_work** work, lt_error* err);
/* As lt_all_reduce for each of `count` tensors of one dtype, together. */
lt_status lt_all_reduce_coalesced(lt_process_group* group, lt_tensor* const* tensors, int64_t count, int32_t reduce_op,
                                  int64_t timeout_milliseconds, lt_work** work, lt_error* err);
/* As lt_all_reduce, but root_rank's tensor alone gets the result; what the others' hold then is undefined. */
lt_status lt_reduce(lt_process_group* group, lt_tensor* tensor, int32_t root_rank, int32_t reduce_op,
                    int64_t timeout_milliseconds, lt_work** work, lt_error* err);
/* As lt_all_gather and lt_reduce_scatter, with one tensor in place of the list: contiguous, its first dimension world_size
 * times that of the other tensor. */
lt_status lt_all_gather_into(lt_process_group* group, lt_tensor* output, const lt_tensor* input,
                             int64_t timeout_milliseconds, lt_work** work, lt_error* err);
lt_status lt_reduce_scatter_from(lt_process_group* group, lt_tensor* output, const lt_tensor* input, int32_t reduce_op,
                                 int64_t timeout_milliseconds, lt_work** work, lt_error* err);
/* Root_rank's `outputs`, world_size tensors shaped like `input`, get everyone's input; on other ranks outputs is NULL. */
lt_status lt_gather(lt_process_group* group, lt_tensor* const* outputs, const lt_tensor* input, int32_t root_rank,
                    int64_t timeout_milliseconds, lt_work** work, lt_error* err);
/* Rank r's `output` gets the r-th of root_rank's `inputs`, world_size tensors; on other ranks inputs is NULL. */
lt_status lt_scatter(lt_process_group* group, lt_tensor* output, lt_tensor* const* inputs, int32_t root_rank,
                     int64_t timeout_milliseconds, lt_work** work, lt_error* err);
/* outputs[r] gets rank r's inputs[this rank]; world_size of each, of one dtype and device. They may differ in shape, as long
 * as both ends of a pair agree. */
lt_status lt_all_to_all(lt_process_group* group, lt_tensor* const* outputs, lt_tensor* const* inputs,
                        int64_t timeout_milliseconds, lt_work** work, lt_error* err);
/* From one rank to another: each lt_send goes with one lt_recv of the same tag on the other end, tag >= 0. */
lt_status lt_send(lt_process_group* group, const lt_tensor* tensor, int32_t to_rank, int32_t tag,
                  int64_t timeout_milliseconds, lt_work** work, lt_error* err);
lt_status lt_recv(lt_process_group* group, lt_tensor* tensor, int32_t from_rank, int32_t tag,
                  int64_t timeout_milliseconds, lt_work** work, lt_error* err);
/* Done when every rank has called it. Through Gloo: it does not wait for what streams have queued. */
lt_status lt_barrier(lt_process_group* group, int64_t timeout_milliseconds, lt_work** work, lt_error* err);

/* Waits for the work; timeout_milliseconds <= 0: as long as the collective itself may take. For NCCL's, that makes the
 * calling thread's current stream wait and returns at once; with a timeout the thread itself waits for the end. */
lt_status lt_work_wait(lt_work* work, int64_t timeout_milliseconds, lt_error* err);
/* done: 1 where the work has ended, well or not. */
lt_status lt_work_query(const lt_work* work, int32_t* done, lt_error* err);
void lt_work_release(lt_work* work);

/* ---- Traces ------------------------------------------------------------------------------------------------------ */

/* Starts libtorch's profiler: every operator from here on, of the calling thread and of the backwards that it runs, and all
 * that is done on CUDA where there is one. shapes: not 0 to record those of the arguments. One at a time in a process.
 * LT_INVALID_ARGUMENT: one is running. */
lt_status lt_profiler_start(int32_t shapes, lt_error* err);
/* Stops it, on the same thread, and writes the trace to `path` as JSON of Chrome's trace events, which Perfetto opens; NULL:
 * writes nothing. LT_IO: the file cannot be written. LT_INVALID_ARGUMENT: none is running on this thread. */
lt_status lt_profiler_stop(const char* path, lt_error* err);

/* ---- Averaging of gradients -------------------------------------------------------------------------------------- */

/* c10d::Reducer: averages the gradients of `parameters` over all ranks in buckets, while backward still runs. After
 * that the gradients are views of the buckets: the next backward writes over one that has been kept. It does not make
 * the parameters equal at first: lt_broadcast does. Owned: lt_reducer_release, before the group's. */
typedef struct lt_reducer lt_reducer;

/* Parameters in the same order on all ranks (checked). bucket_bytes: of each bucket, first_bucket_bytes: of the one
 * that is ready first; 0: PyTorch's 25 MiB and 1 MiB. find_unused_parameters: not 0 where some parameter may get no
 * gradient in a step.
 * LT_INVALID_ARGUMENT: no parameter, one without requires_grad, or shapes that differ between ranks (all are told). */
lt_status lt_reducer_create(lt_process_group* group, lt_tensor* const* parameters, int64_t count, int64_t bucket_bytes,
                            int64_t first_bucket_bytes, int32_t find_unused_parameters, lt_reducer** reducer,
                            lt_error* err);
/* Before each forward pass that is to be averaged; does nothing while the grad mode is off. */
lt_status lt_reducer_prepare_forward(lt_reducer* reducer, lt_error* err);
/* After the forward pass, with its outputs, before lt_tensor_backward, which then ends with averaged gradients. */
lt_status lt_reducer_prepare_backward(lt_reducer* reducer, lt_tensor* const* outputs, int64_t count, lt_error* err);
void lt_reducer_release(lt_reducer* reducer);

#ifdef __cplusplus
}
#endif

#endif
