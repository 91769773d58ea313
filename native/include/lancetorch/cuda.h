/* SPDX-License-Identifier: Apache-2.0
 *
 * What needs CUDA's own headers to compile: NCCL and CUDA graphs. All else about CUDA goes through torch.h. These functions
 * are in a library of their own, liblancetorch_cuda.so, which the build makes for a libtorch with CUDA alone, and which is
 * opened after that libtorch and liblancetorch_torch.so. error.h has the rules.
 */
#ifndef LANCETORCH_CUDA_H
#define LANCETORCH_CUDA_H

#include <lancetorch/torch.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- NCCL -------------------------------------------------------------------------------------------------------- */

/* NCCL's version, such as 22705 for 2.27.5. Any thread. */
int32_t lt_nccl_version(void);

/* Lets `group`'s collectives on tensors of `device`, CUDA's with an index, go through NCCL; those of the CPU stay with Gloo.
 * Every rank calls it, each with a device of its own, before the first such collective, which connects them through `store`,
 * with keys that no other group uses. timeout: of collectives that name none. high_priority: not 0 for streams of the higher
 * priority. c10d's watchdog ends what is late or failed, and never the process, unless TORCH_NCCL_ASYNC_ERROR_HANDLING or
 * TORCH_NCCL_ENABLE_MONITORING in the environment say otherwise.
 * LT_INVALID_ARGUMENT: the group has it already, or no such device. LT_UNSUPPORTED: a libtorch or a machine without CUDA. */
lt_status lt_process_group_add_nccl(lt_process_group* group, lt_store* store, lt_device device,
                                    int64_t timeout_milliseconds, int32_t high_priority, lt_error* err);

/* ---- CUDA graphs ------------------------------------------------------------------------------------------------- */

/* Work on a device that was recorded once and is done again by one call, on the same memory. Owned: lt_cuda_graph_release.
 * One thread at a time. */
typedef struct lt_cuda_graph lt_cuda_graph;

lt_status lt_cuda_graph_create(lt_cuda_graph** graph, lt_error* err);
/* Records what the calling thread's current stream of CUDA, which is not the default one, gets from here on, in place of
 * doing it. What waits for the device, and memory from elsewhere than libtorch's allocator, is an error meanwhile. */
lt_status lt_cuda_graph_begin(lt_cuda_graph* graph, lt_error* err);
/* Ends the recording, on the same thread and stream. */
lt_status lt_cuda_graph_end(lt_cuda_graph* graph, lt_error* err);
/* Queues what was recorded on the calling thread's current stream. Tensors that were made meanwhile keep their memory, and
 * get new values. LT_INVALID_ARGUMENT: nothing has been recorded. */
lt_status lt_cuda_graph_replay(lt_cuda_graph* graph, lt_error* err);
void lt_cuda_graph_release(lt_cuda_graph* graph);
/* Graphs that have not been released. Any thread. */
int64_t lt_cuda_graph_live(void);

#ifdef __cplusplus
}
#endif

#endif
