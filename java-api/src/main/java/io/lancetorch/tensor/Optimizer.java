package io.lancetorch.tensor;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;

import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;

/** One of libtorch's optimizers over a list of parameters, which it shares. The caller closes it. One thread at a time. */
public final class Optimizer implements AutoCloseable {
    private final OptimizerState.Kind kind;
    private final int parameterCount;
    private MemorySegment handle;

    private Optimizer(OptimizerState.Kind kind, int parameterCount, Native frame) {
        this.kind = kind;
        this.parameterCount = parameterCount;
        handle = MemorySegment.ofAddress(frame.outAddress());
    }

    /** Stochastic gradient descent, by the formula of {@code torch.optim.SGD}. */
    public static Optimizer sgd(List<Tensor> parameters, double learningRate, double momentum, double weightDecay) {
        return sgd(parameters, learningRate, momentum, 0, weightDecay, false);
    }

    /**
     * As {@link #sgd(List, double, double, double)}, with all of {@code torch.optim.SGD}'s options.
     *
     * @throws InvalidArgumentException for no parameters, a negative rate, or Nesterov without momentum
     */
    public static Optimizer sgd(
            List<Tensor> parameters,
            double learningRate,
            double momentum,
            double dampening,
            double weightDecay,
            boolean nesterov) {
        Native frame = Native.get();
        frame.check(torch_h.lt_optimizer_sgd(
                frame.handles(parameters),
                parameters.size(),
                learningRate,
                momentum,
                dampening,
                weightDecay,
                nesterov ? 1 : 0,
                frame.out,
                frame.error));
        return new Optimizer(OptimizerState.Kind.SGD, parameters.size(), frame);
    }

    /** AdamW by the formula and with the defaults of {@code torch.optim.AdamW}. */
    public static Optimizer adamW(List<Tensor> parameters, double learningRate, double weightDecay) {
        return adamW(parameters, learningRate, 0.9, 0.999, 1e-8, weightDecay, false);
    }

    /**
     * As {@link #adamW(List, double, double)}, with all of {@code torch.optim.AdamW}'s options.
     *
     * @throws InvalidArgumentException for no parameters, or a value out of its bounds
     */
    public static Optimizer adamW(
            List<Tensor> parameters,
            double learningRate,
            double beta1,
            double beta2,
            double epsilon,
            double weightDecay,
            boolean amsgrad) {
        Native frame = Native.get();
        frame.check(torch_h.lt_optimizer_adamw(
                frame.handles(parameters),
                parameters.size(),
                learningRate,
                beta1,
                beta2,
                epsilon,
                weightDecay,
                amsgrad ? 1 : 0,
                frame.out,
                frame.error));
        return new Optimizer(OptimizerState.Kind.ADAMW, parameters.size(), frame);
    }

    MemorySegment handle() {
        if (handle == null) {
            throw new IllegalStateException("this Optimizer is closed");
        }
        return handle;
    }

    /**
     * Steps with ATen's fused kernels from now on, or not: one kernel for many parameters in place of several for each, as
     * {@code fused=True} in PyTorch. The formulas and the state are the same; the results may differ in the last bit. Returns
     * this optimizer.
     *
     * @throws InvalidArgumentException where a parameter is not floating point
     */
    public synchronized Optimizer fused(boolean fused) {
        Native frame = Native.get();
        frame.check(torch_h.lt_optimizer_set_fused(handle(), fused ? 1 : 0, frame.error));
        return this;
    }

    /** Whether it steps with fused kernels. */
    public synchronized boolean isFused() {
        return torch_h.lt_optimizer_fused(handle()) != 0;
    }

    /** Multiplies all gradients, and sets {@code foundInf} to 1 where one is not finite. */
    synchronized void unscale(Tensor inverseScale, Tensor foundInf) {
        Native frame = Native.get();
        frame.check(torch_h.lt_optimizer_unscale(handle(), inverseScale.pointer(), foundInf.pointer(), frame.error));
    }

    /** Changes the parameters by their gradients; those without one stay. */
    public synchronized void step() {
        Native frame = Native.get();
        frame.check(torch_h.lt_optimizer_step(handle(), frame.error));
    }

    /** Takes the gradients away, so that the next backward starts from nothing. */
    public void zeroGrad() {
        zeroGrad(true);
    }

    /** Takes the gradients away, or, where not {@code setToNone}, fills them with zeros. */
    public synchronized void zeroGrad(boolean setToNone) {
        Native frame = Native.get();
        frame.check(torch_h.lt_optimizer_zero_grad(handle(), setToNone ? 1 : 0, frame.error));
    }

    public synchronized double learningRate() {
        Native frame = Native.get();
        frame.check(torch_h.lt_optimizer_learning_rate(handle(), frame.out, frame.error));
        return frame.out.get(JAVA_DOUBLE, 0);
    }

    public synchronized void learningRate(double learningRate) {
        Native frame = Native.get();
        frame.check(torch_h.lt_optimizer_set_learning_rate(handle(), learningRate, frame.error));
    }

    /**
     * The options, and what is kept for each parameter, as {@code state_dict()} of {@code torch.optim} gives them: {@code
     * {"state": {0: {"momentum_buffer": ...}, ...}, "param_groups": [{"lr": 0.1, ..., "params": [0, ...]}]}}. The tensors
     * belong to the current scope, and alias the optimizer's own: its next step changes them.
     */
    public synchronized Map<String, Object> stateDict() {
        return OptimizerState.of(this, kind, parameterCount);
    }

    /**
     * Puts options and state in the place of this optimizer's, as {@code load_state_dict} of {@code torch.optim} does with its
     * own. The tensors are copied, to each parameter's dtype and device. All is done, or nothing.
     *
     * @throws InvalidArgumentException where it is no such state, is another optimizer's, or does not fit the parameters
     * @throws UnsupportedException for more than one group of parameters, or an option that libtorch has not in C++
     */
    public synchronized void loadStateDict(Map<?, ?> state) {
        OptimizerState.load(this, kind, parameterCount, state);
    }

    /** Frees the optimizer and its state; a second close does nothing. */
    @Override
    public synchronized void close() {
        if (handle != null) {
            torch_h.lt_optimizer_release(handle);
            handle = null;
        }
    }
}
