// SPDX-License-Identifier: Apache-2.0
#ifndef LANCETORCH_TORCH_FUSED_OPTIMIZER_H
#define LANCETORCH_TORCH_FUSED_OPTIMIZER_H

#include <torch/optim/optimizer.h>

namespace lancetorch {

// A step of a torch::optim::SGD or AdamW, from and to its own state, by ATen's fused kernels.
void fused_step(torch::optim::Optimizer& optimizer, bool is_adamw);

}  // namespace lancetorch

#endif
