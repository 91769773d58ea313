package io.lancetorch.examples;

import io.lancetorch.distributed.RankEnvironment;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.tensor.Autocast;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.GradScaler;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Torch;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Where and how a rank computes. */
final class ComputeOptions {
    /** What convolutions and matrix products are computed in. */
    enum Precision {
        FLOAT32,
        BF16,
        FP16
    }

    @Option(
            names = "--device",
            paramLabel = "DEVICE",
            defaultValue = "cpu",
            description =
                    "cpu, cuda (each rank its own GPU, by LOCAL_RANK), or cuda:INDEX (default: ${DEFAULT-VALUE}).")
    String device;

    @Option(
            names = "--amp",
            paramLabel = "PRECISION",
            defaultValue = "float32",
            description =
                    "Mixed precision: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}). FP16 scales the loss.")
    Precision amp;

    @Option(
            names = "--channels-last",
            negatable = true,
            defaultValue = "true",
            fallbackValue = "true",
            description = "The channels of a pixel lie side by side in memory; on unless --no-channels-last.")
    boolean channelsLast;

    @Option(
            names = "--fused",
            negatable = true,
            description = "Step with fused kernels, one for all parameters (default: on a GPU).")
    Boolean fused;

    @Option(names = "--deterministic", description = "Compute the same bits in each run, where operators can; slower.")
    boolean deterministic;

    @Option(
            names = "--synthetic",
            arity = "0..1",
            paramLabel = "STEPS",
            fallbackValue = "100",
            description =
                    "Train on one batch of noise, so many steps an epoch (default: ${FALLBACK-VALUE}), without a dataset:"
                            + " the speed that no loader exceeds.")
    Integer synthetic;

    @Option(
            names = "--profile",
            paramLabel = "FILE",
            description = "Rank 0 writes a trace of five steps of its first epoch here, which Perfetto opens.")
    Path profile;

    private Device place;

    /** What is wrong with the options; null where nothing is. Opens no library. */
    String complaint() {
        try {
            Device.parse(device);
        } catch (InvalidArgumentException e) {
            return "--device: " + e.getMessage();
        }
        return synthetic != null && synthetic < 1 ? "--synthetic takes 1 step or more" : null;
    }

    /** Refuses a device that is not there before any rank starts, and fewer GPUs than ranks. */
    void requireDevice(int ranks) {
        Device named = Device.parse(device);
        if (named.type() == Device.Type.CUDA) {
            named.require();
            int gpus = named.index() < 0 ? Device.count(Device.Type.CUDA) : 1;
            if (ranks > gpus) {
                throw new UserException("--nproc-per-node " + ranks + " with --device " + device
                        + ": each rank needs a GPU" + " of its own, and there " + (gpus == 1 ? "is 1" : "are " + gpus));
            }
        }
    }

    /** The device, ready for use; its settings are made at the first call. */
    Device device() {
        if (place == null) {
            Device named = Device.parse(device);
            boolean own = named.type() == Device.Type.CUDA && named.index() < 0;
            place = (own
                            ? Device.cuda(
                                    RankEnvironment.isSet()
                                            ? RankEnvironment.read().localRank()
                                            : 0)
                            : named)
                    .require();
            if (named.type() == Device.Type.CUDA && !deterministic) {
                Torch.cudnnBenchmark(true);
                Torch.float32Precision(Torch.Float32Precision.HIGH);
            }
            if (deterministic) {
                Torch.deterministic(true, false);
            }
        }
        return place;
    }

    boolean onGpu() {
        return device().type() == Device.Type.CUDA;
    }

    MemoryFormat format() {
        return channelsLast ? MemoryFormat.CHANNELS_LAST : MemoryFormat.CONTIGUOUS;
    }

    boolean isFused() {
        return fused == null ? onGpu() : fused;
    }

    /** Around a forward and its loss; null for float32. */
    Autocast autocast() {
        return switch (amp) {
            case FLOAT32 -> null;
            case BF16 -> Autocast.on(device().type(), DType.BFLOAT16);
            case FP16 -> Autocast.on(device().type(), DType.FLOAT16);
        };
    }

    /** For fp16, whose small gradients would be 0; else null. */
    GradScaler scaler() {
        return amp == Precision.FP16 ? new GradScaler(device()) : null;
    }
}
