/**
 * libtorch: tensors in scopes, operators, autograd, optimizers, devices and state dicts.
 *
 * <p>A tensor lives in the innermost {@link io.lancetorch.tensor.TensorScope} that its thread has open, and is freed with
 * it; made where none is open, it belongs to the caller, who closes it.
 */
package io.lancetorch.tensor;
