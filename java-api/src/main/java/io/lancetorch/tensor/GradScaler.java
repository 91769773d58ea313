package io.lancetorch.tensor;

import io.lancetorch.error.InvalidArgumentException;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Keeps small gradients of float16 from becoming 0, as {@code torch.amp.GradScaler}, by its operators and with its defaults: the
 * loss is multiplied by a scale, and the gradients are divided by it again before the optimizer's step. A step whose gradients
 * are not finite is left out, and the scale halved; after 2,000 steps in a row without one it is doubled.
 *
 * <pre>{@code
 * scaler.scale(loss).backward();
 * scaler.step(optimizer);
 * scaler.update();
 * }</pre>
 *
 * One thread at a time. The caller closes it.
 */
public final class GradScaler implements AutoCloseable {
    private static final Op UPDATE = Op.find("aten::_amp_update_scale_", "");

    private final double growthFactor;
    private final double backoffFactor;
    private final int growthInterval;
    private final Tensor scale;
    private final Tensor growthTracker;
    private final Tensor foundInf;
    private boolean unscaled;

    /** For gradients on {@code device}, with PyTorch's defaults: 65,536 at first, times 2, times ½, 2,000 steps. */
    public GradScaler(Device device) {
        this(device, 65536, 2, 0.5, 2000);
    }

    /**
     * @param initialScale at first
     * @param growthFactor by which it is multiplied after {@code growthInterval} steps that were all finite; more than 1
     * @param backoffFactor by which it is multiplied after one that was not; less than 1
     */
    public GradScaler(
            Device device, double initialScale, double growthFactor, double backoffFactor, int growthInterval) {
        if (!(initialScale > 0)
                || !(growthFactor > 1)
                || !(backoffFactor > 0 && backoffFactor < 1)
                || growthInterval < 1) {
            throw new InvalidArgumentException("a scale of " + initialScale + ", growing by " + growthFactor + " every "
                    + growthInterval + " steps, and backing off by " + backoffFactor
                    + ": they are more than 0, more than 1, 1 or more, and between 0 and 1");
        }
        this.growthFactor = growthFactor;
        this.backoffFactor = backoffFactor;
        this.growthInterval = growthInterval;
        scale = value(device, DType.FLOAT32, initialScale);
        growthTracker = value(device, DType.INT32, 0);
        foundInf = value(device, DType.FLOAT32, 0);
    }

    private static Tensor value(Device device, DType dtype, double value) {
        return TensorScope.detach(Ops.fillInPlace(Tensor.empty(dtype, device, MemoryFormat.CONTIGUOUS, false), value));
    }

    /** The loss, scaled; the current scope owns it. */
    public Tensor scale(Tensor loss) {
        return Ops.mul(loss, scale);
    }

    /**
     * Divides the gradients of the optimizer's parameters by the scale, for code that looks at them before {@link #step}, such
     * as clipping. Once between two updates.
     */
    public void unscale(Optimizer optimizer) {
        if (unscaled) {
            throw new IllegalStateException("the gradients are unscaled already since the last update()");
        }
        try (var _ = new TensorScope();
                var _ = GradMode.noGrad()) {
            Tensor inverse = Op.find("aten::reciprocal", "").call(scale);
            optimizer.unscale(inverse, foundInf);
        }
        unscaled = true;
    }

    /** Unscales the gradients where that is not done yet, and lets the optimizer step where all are finite. Waits for them. */
    public boolean step(Optimizer optimizer) {
        if (!unscaled) {
            unscale(optimizer);
        }
        boolean finite = foundInf.item() == 0;
        if (finite) {
            optimizer.step();
        }
        return finite;
    }

    /** Adjusts the scale: at the end of each step. */
    public void update() {
        if (!unscaled) {
            throw new IllegalStateException("update() comes after step(), which has not been called");
        }
        try (var _ = GradMode.noGrad()) {
            Native frame =
                    Native.get().begin().tensor(scale).tensor(growthTracker).tensor(foundInf);
            frame.real(growthFactor).real(backoffFactor).integer(growthInterval).callInPlace(UPDATE);
            Ops.fillInPlace(foundInf, 0);
        }
        unscaled = false;
    }

    /** The scale now. Waits for the device. */
    public double scale() {
        return scale.item();
    }

    /** As {@code state_dict()} of PyTorch's. */
    public Map<String, Object> stateDict() {
        Map<String, Object> state = new LinkedHashMap<>();
        state.put("scale", scale.item());
        state.put("growth_factor", growthFactor);
        state.put("backoff_factor", backoffFactor);
        state.put("growth_interval", (long) growthInterval);
        state.put("_growth_tracker", growthTracker.itemLong());
        return state;
    }

    /**
     * Goes on with the scale and the count of a {@link #stateDict}, or PyTorch's; the factors stay this scaler's.
     *
     * @throws InvalidArgumentException where it is no such state
     */
    public void loadStateDict(Map<?, ?> state) {
        if (!(state.get("scale") instanceof Number loaded) || !(state.get("_growth_tracker") instanceof Number count)) {
            throw new InvalidArgumentException("no state of a gradient scaler: it has " + state.keySet()
                    + ", and should have the numbers scale and _growth_tracker");
        }
        Ops.fillInPlace(scale, loaded.doubleValue());
        Ops.fillInPlace(growthTracker, count.longValue());
    }

    @Override
    public void close() {
        scale.close();
        growthTracker.close();
        foundInf.close();
    }
}
