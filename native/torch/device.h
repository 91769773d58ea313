// SPDX-License-Identifier: Apache-2.0
#ifndef LANCETORCH_TORCH_DEVICE_H
#define LANCETORCH_TORCH_DEVICE_H

#include "handle.h"

namespace lancetorch {

// A device that is there and ready, with an index of its own in place of -1; throws LT_UNSUPPORTED, with the reason.
c10::Device available(lt_device named);

}  // namespace lancetorch

#endif
