package io.lancetorch.distributed;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.Collective;
import io.lancetorch.error.DeadlineException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.PeerFailedException;
import io.lancetorch.error.StorageException;
import io.lancetorch.tensor.GradMode;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.Supplier;

/**
 * Averages the gradients of a model over all ranks while backward still runs, by c10d's Reducer, the engine of Python's class
 * of the same name. At the start all ranks get rank 0's parameters and buffers.
 *
 * <pre>{@code
 * Tensor logits = ddp.forward(() -> model.forward(images));
 * ddp.backward(Ops.crossEntropy(logits, labels)); // gradients are averages now
 * }</pre>
 *
 * One thread at a time. The caller closes it before its group.
 */
public final class DistributedDataParallel implements AutoCloseable {
    private static final String AVERAGING = "averaging of gradients";

    private final ProcessGroup group;
    private final List<Tensor> parameters;
    private final List<Tensor> buffers;
    private final Arena arena = Arena.ofAuto();
    private final MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
    private MemorySegment handle;
    private Collective averaging; // of the last forward

    /**
     * @param parameters in the same order on all ranks; each requires a gradient, and gets one in every step
     * @param buffers what is not trained but belongs to the model, such as running means
     * @throws InvalidArgumentException for no parameters, or shapes that differ between ranks
     */
    public DistributedDataParallel(ProcessGroup group, List<Tensor> parameters, List<Tensor> buffers) {
        this(group, parameters, buffers, 0, false);
    }

    /**
     * @param bucketBytes gradients are sent in buckets of about that size; 0: PyTorch's 25 MiB, after a first one of 1 MiB
     * @param findUnusedParameters where some parameter may get no gradient in a step
     */
    public DistributedDataParallel(
            ProcessGroup group,
            List<Tensor> parameters,
            List<Tensor> buffers,
            long bucketBytes,
            boolean findUnusedParameters) {
        this.group = group;
        this.parameters = List.copyOf(parameters);
        this.buffers = List.copyOf(buffers);
        Collective verification = group.begin("comparison of the parameters");
        MemorySegment out = arena.allocate(ADDRESS);
        try (Arena temporary = Arena.ofConfined()) {
            group.check(
                    torch_h.lt_reducer_create(
                            group.handle(),
                            ProcessGroup.handles(parameters, temporary),
                            parameters.size(),
                            bucketBytes,
                            bucketBytes,
                            findUnusedParameters ? 1 : 0,
                            out,
                            error),
                    error,
                    verification);
        }
        handle = MemorySegment.ofAddress(out.get(JAVA_LONG, 0));
        try (var _ = GradMode.noGrad()) {
            for (Tensor parameter : parameters) {
                group.broadcast(parameter, 0);
            }
            broadcastBuffers();
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    private MemorySegment handle() {
        if (handle == null) {
            throw new IllegalStateException("this DistributedDataParallel is closed");
        }
        return handle;
    }

    /**
     * Runs the model such that a backward from its output averages the gradients. Where gradients are not recorded, just runs
     * it. Every rank must do the same number of forwards and backwards.
     *
     * @throws PeerFailedException naming the ranks that are gone, failed or left
     */
    public Tensor forward(Supplier<Tensor> model) {
        if (!GradMode.isEnabled()) {
            return model.get();
        }
        // After the first backward the reducer agrees with the other ranks on its buckets here.
        group.check(torch_h.lt_reducer_prepare_forward(handle(), error), error, group.upcoming(AVERAGING));
        Tensor output = model.get();
        averaging = group.begin(AVERAGING);
        group.averaging(true);
        try (Arena temporary = Arena.ofConfined()) {
            group.check(
                    torch_h.lt_reducer_prepare_backward(
                            handle(), ProcessGroup.handles(List.of(output), temporary), 1, error),
                    error,
                    averaging);
        }
        return output;
    }

    /**
     * Runs backward from {@code loss}, which came from {@link #forward}. As {@code loss.backward()}, but where another rank
     * fails, the exception names it.
     *
     * @throws PeerFailedException naming the ranks that are gone, failed or left
     * @throws DeadlineException where the group's timeout has passed, naming the ranks that did not come
     */
    public void backward(Tensor loss) {
        try {
            loss.backward();
        } catch (PeerFailedException | DeadlineException | StorageException e) {
            throw averaging == null ? e : group.explain(averaging, e);
        }
        group.averaging(false);
    }

    /**
     * As {@link #backward} where ranks have unequal numbers of rows, or none left: the gradients become those of the mean over
     * the rows of all ranks. Every rank must call it in every step.
     *
     * @param loss the mean over this rank's rows, from {@link #forward}; null where it has none: then without a forward
     * @param rows how many rows {@code loss} is the mean of
     * @return the rows of all ranks; where 0, the gradients are 0
     * @throws InvalidArgumentException for a loss without rows, or rows without a loss
     */
    public long weightedBackward(Tensor loss, long rows) {
        if (rows < 0 || rows == 0 != (loss == null)) {
            throw new InvalidArgumentException((loss == null ? "no loss" : "a loss") + " for " + rows + " rows on rank "
                    + group.rank() + ": give null for 0 rows, else their mean loss");
        }
        try (var _ = new TensorScope()) {
            // The reducer divides the sum over ranks by their number.
            Tensor mine = loss == null ? forward(this::nothing) : loss;
            Tensor all = Tensor.of(new long[] {rows});
            group.allReduce(all, ReduceOp.SUM);
            long total = all.itemLong();
            backward(Ops.mul(mine, total == 0 ? 0 : (double) rows * group.worldSize() / total));
            return total;
        }
    }

    /** A loss of 0 whose gradient for each parameter is 0, whatever its values. */
    private Tensor nothing() {
        Tensor sum = null;
        for (Tensor parameter : parameters) {
            Tensor zero = Ops.mul(Ops.sum(parameter), 0);
            sum = sum == null ? zero : Ops.add(sum, zero);
        }
        return sum;
    }

    /**
     * Gives all ranks rank 0's buffers, which each rank moves by its own batches in between. Python's class does this before
     * every forward; here the caller says when, such as before an evaluation or a checkpoint.
     */
    public void broadcastBuffers() {
        try (var _ = GradMode.noGrad()) {
            for (Tensor buffer : buffers) {
                group.broadcast(buffer, 0);
            }
        }
    }

    /** Frees the reducer; the model lives on. A second close does nothing. */
    @Override
    public void close() {
        if (handle != null) {
            torch_h.lt_reducer_release(handle);
            handle = null;
        }
    }
}
