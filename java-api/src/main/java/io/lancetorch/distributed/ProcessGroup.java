package io.lancetorch.distributed;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.DeadlineException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.PeerFailedException;
import io.lancetorch.error.StorageException;
import io.lancetorch.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;

/**
 * Ranks that call the same collectives in the same order, on dense tensors of the same shape and dtype. One thread at a time.
 * The caller closes it, before its store.
 *
 * <p>The short names, such as {@link #allReduce}, wait for the end; those that end in {@code Async} return a {@link Work}.
 * Both throw {@link PeerFailedException} where another rank is gone, and {@link DeadlineException} after the timeout.
 */
public final class ProcessGroup implements AutoCloseable {
    /** What connecting and each collective may take unless said: as c10d's default for Gloo. */
    public static final Duration DEFAULT_TIMEOUT = Duration.ofMinutes(30);

    private final int rank;
    private final int worldSize;
    private final Store ownedStore;
    private final Arena arena = Arena.ofAuto();
    private final MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
    private final MemorySegment out = arena.allocate(ADDRESS);
    private MemorySegment handle;

    private ProcessGroup(
            Store store, Store ownedStore, int rank, int worldSize, String interfaceHost, Duration timeout) {
        this.rank = rank;
        this.worldSize = worldSize;
        this.ownedStore = ownedStore;
        try (Arena temporary = Arena.ofConfined()) {
            Status.check(
                    torch_h.lt_process_group_gloo(
                            store.handle(),
                            rank,
                            worldSize,
                            interfaceHost == null ? MemorySegment.NULL : temporary.allocateFrom(interfaceHost),
                            Math.max(1, timeout.toMillis()),
                            out,
                            error),
                    error,
                    "rank " + rank + " of " + worldSize);
        }
        handle = MemorySegment.ofAddress(out.get(JAVA_LONG, 0));
    }

    /**
     * Connects the ranks by Gloo through {@code store}, which stays the caller's. {@code interfaceHost}: the address of this
     * machine on which the rank listens; null: the one that reaches the store.
     *
     * @throws InvalidArgumentException where rank is not 0 to worldSize - 1
     * @throws DeadlineException where a rank does not come in time
     */
    public static ProcessGroup gloo(Store store, int rank, int worldSize, String interfaceHost, Duration timeout) {
        return new ProcessGroup(store, null, rank, worldSize, interfaceHost, timeout);
    }

    /**
     * Connects the ranks by Gloo, as torchrun's variables say; see {@link RankEnvironment}. Rank 0 serves the store, unless
     * torchrun's agent does. Where GLOO_SOCKET_HOST is set, this rank listens on that address.
     *
     * @throws NotFoundException naming a variable that is missing
     * @throws StorageException where rank 0's port is in use
     */
    public static ProcessGroup fromEnvironment() {
        return fromEnvironment(RankEnvironment.read(), DEFAULT_TIMEOUT);
    }

    /** As {@link #fromEnvironment()}. */
    public static ProcessGroup fromEnvironment(RankEnvironment environment, Duration timeout) {
        boolean server = environment.rank() == 0 && !environment.useAgentStore();
        try (Store store = Store.tcp(
                environment.masterAddress(), environment.masterPort(), server, environment.worldSize(), timeout)) {
            // The agent's store outlives the ranks, so each start needs keys of its own: the prefix is c10d's
            // (torch/distributed/rendezvous.py).
            Store own = environment.useAgentStore()
                    ? store.withPrefix("/worker/attempt_" + environment.restartCount())
                    : store.withPrefix("default_pg");
            try {
                return new ProcessGroup(
                        own,
                        own,
                        environment.rank(),
                        environment.worldSize(),
                        System.getenv("GLOO_SOCKET_HOST"),
                        timeout);
            } catch (RuntimeException e) {
                own.close();
                throw e;
            }
        }
    }

    MemorySegment handle() {
        if (handle == null) {
            throw new IllegalStateException("the process group of rank " + rank + " is closed");
        }
        return handle;
    }

    public int rank() {
        return rank;
    }

    public int worldSize() {
        return worldSize;
    }

    private Work work(String operation, int status) {
        String name = operation + " on rank " + rank + " of " + worldSize;
        Status.check(status, error, name);
        return new Work(name, MemorySegment.ofAddress(out.get(JAVA_LONG, 0)));
    }

    private static void finish(Work work) {
        try (work) {
            work.await();
        }
    }

    /** Replaces the tensor's values by the reduction over all ranks. */
    public void allReduce(Tensor tensor, ReduceOp op) {
        finish(allReduceAsync(tensor, op, Duration.ZERO));
    }

    /** As {@link #allReduce}; a timeout of 0 is the group's. */
    public Work allReduceAsync(Tensor tensor, ReduceOp op, Duration timeout) {
        return work(
                "all-reduce",
                torch_h.lt_all_reduce(handle(), tensor.nativeHandle(), op.ordinal(), timeout.toMillis(), out, error));
    }

    /** Replaces the tensor's values by those of rank {@code root}. */
    public void broadcast(Tensor tensor, int root) {
        finish(broadcastAsync(tensor, root, Duration.ZERO));
    }

    /** As {@link #broadcast}; a timeout of 0 is the group's. */
    public Work broadcastAsync(Tensor tensor, int root, Duration timeout) {
        return work(
                "broadcast",
                torch_h.lt_broadcast(handle(), tensor.nativeHandle(), root, timeout.toMillis(), out, error));
    }

    /** Fills {@code outputs}, one tensor like {@code input} for each rank, with every rank's input. */
    public void allGather(List<Tensor> outputs, Tensor input) {
        finish(allGatherAsync(outputs, input, Duration.ZERO));
    }

    /** As {@link #allGather}; a timeout of 0 is the group's. */
    public Work allGatherAsync(List<Tensor> outputs, Tensor input, Duration timeout) {
        requireOnePerRank(outputs, "outputs");
        try (Arena temporary = Arena.ofConfined()) {
            return work(
                    "all-gather",
                    torch_h.lt_all_gather(
                            handle(),
                            handles(outputs, temporary),
                            input.nativeHandle(),
                            timeout.toMillis(),
                            out,
                            error));
        }
    }

    /** Fills {@code output} with the reduction of every rank's input at this rank's position. */
    public void reduceScatter(Tensor output, List<Tensor> inputs, ReduceOp op) {
        finish(reduceScatterAsync(output, inputs, op, Duration.ZERO));
    }

    /** As {@link #reduceScatter}; a timeout of 0 is the group's. */
    public Work reduceScatterAsync(Tensor output, List<Tensor> inputs, ReduceOp op, Duration timeout) {
        requireOnePerRank(inputs, "inputs");
        try (Arena temporary = Arena.ofConfined()) {
            return work(
                    "reduce-scatter",
                    torch_h.lt_reduce_scatter(
                            handle(),
                            output.nativeHandle(),
                            handles(inputs, temporary),
                            op.ordinal(),
                            timeout.toMillis(),
                            out,
                            error));
        }
    }

    /** Waits until every rank has come here. */
    public void barrier() {
        finish(barrierAsync(Duration.ZERO));
    }

    /** As {@link #barrier}; a timeout of 0 is the group's. */
    public Work barrierAsync(Duration timeout) {
        return work("barrier", torch_h.lt_barrier(handle(), timeout.toMillis(), out, error));
    }

    private void requireOnePerRank(List<Tensor> tensors, String name) {
        if (tensors.size() != worldSize) {
            throw new InvalidArgumentException(
                    tensors.size() + " " + name + " for " + worldSize + " ranks: one for each is needed");
        }
    }

    static MemorySegment handles(List<Tensor> tensors, Arena arena) {
        MemorySegment array = arena.allocate(ADDRESS, Math.max(1, tensors.size()));
        for (int i = 0; i < tensors.size(); i++) {
            array.setAtIndex(ADDRESS, i, tensors.get(i).nativeHandle());
        }
        return array;
    }

    /** Leaves the group; a second close does nothing. */
    @Override
    public void close() {
        if (handle != null) {
            torch_h.lt_process_group_release(handle);
            handle = null;
            if (ownedStore != null) {
                ownedStore.close();
            }
        }
    }
}
