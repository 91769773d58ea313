package io.lancetorch.distributed;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.cuda.cuda_h;
import io.lancetorch.bindings.torch.lt_device;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.CancelledException;
import io.lancetorch.error.Collective;
import io.lancetorch.error.DeadlineException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.PeerFailedException;
import io.lancetorch.error.StorageException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Ranks that call the same collectives in the same order, on dense tensors of the same shape and dtype. One thread at a time.
 * The caller closes it, before its store.
 *
 * <p>The short names, such as {@link #allReduce}, wait for the end; those that end in {@code Async} return a {@link Work}.
 * Both throw {@link PeerFailedException} where another rank is gone, failed or has left, and {@link DeadlineException} after
 * the timeout; either names the ranks, the operation, its number and the {@link #step}. What failed is over: the group is
 * closed, and made anew. An interrupt of a thread that waits is a {@link CancelledException}.
 *
 * <p>Tensors of the CPU go through Gloo, those of a GPU through NCCL after {@link #useNccl}: then the short names too return once
 * the calling thread's current stream waits for the result, as its other work does.
 *
 * <p>Ranks watch each other by a connection of each to rank 0 ({@link HealthCheck}), so that the end of a process is known
 * at once, also to ranks that wait for another one. A process that is stopped is no more than late, until the timeout.
 */
public final class ProcessGroup implements AutoCloseable {
    /** What connecting and each collective may take unless said: as c10d's default for Gloo. */
    public static final Duration DEFAULT_TIMEOUT = Duration.ofMinutes(30);

    private static final Duration KEY_POLL = Duration.ofMillis(100);

    private final int rank;
    private final int worldSize;
    private final Store store;
    private final Store ownedStore;
    private final Duration timeout;
    private final HealthChannel health; // null: nobody to watch, or not asked for
    // Handles of works that were closed before they had ended.
    private final List<MemorySegment> givenUp = new ArrayList<>();
    private final Object handleLock = new Object();
    private volatile MemorySegment handle;
    private boolean aborted;
    private boolean broken;
    private boolean averaging;
    private boolean nccl;
    private long sequence;
    private long step = -1;

    private ProcessGroup(
            Store store,
            Store ownedStore,
            int rank,
            int worldSize,
            String interfaceHost,
            Duration joinTimeout,
            Duration timeout,
            HealthCheck healthCheck) {
        this.rank = rank;
        this.worldSize = worldSize;
        this.store = store;
        this.ownedStore = ownedStore;
        this.timeout = timeout;
        if (rank < 0 || rank >= worldSize) {
            throw new InvalidArgumentException("rank " + rank + " of " + worldSize + ": ranks are 0 to world size - 1");
        }
        health = worldSize == 1 || healthCheck.equals(HealthCheck.NONE)
                ? null
                : HealthChannel.join(store, rank, worldSize, interfaceHost, joinTimeout, healthCheck);
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment host = interfaceHost == null ? MemorySegment.NULL : temporary.allocateFrom(interfaceHost);
            MemorySegment error = temporary.allocate(Status.ERROR_SIZE, 8);
            MemorySegment out = temporary.allocate(ADDRESS);
            long millis = Math.max(1, timeout.toMillis());
            check(
                    store.handle()
                            .call(opened ->
                                    torch_h.lt_process_group_gloo(opened, rank, worldSize, host, millis, out, error)),
                    error,
                    new Collective("connecting", 0, -1));
            synchronized (handleLock) {
                handle = MemorySegment.ofAddress(out.get(JAVA_LONG, 0));
            }
        } catch (RuntimeException e) {
            if (health != null) {
                fail(e);
                health.close();
            }
            throw e;
        }
        if (health != null) {
            health.onFailure(this::abortIfBroken);
            abortIfBroken();
        }
    }

    /**
     * Connects the ranks by Gloo through {@code store}, which stays the caller's. {@code interfaceHost}: the address of this
     * machine on which the rank listens; null: the one that reaches the store.
     *
     * @throws InvalidArgumentException where rank is not 0 to worldSize - 1, or ranks differ in their world size
     * @throws DeadlineException where a rank does not come in time
     */
    public static ProcessGroup gloo(Store store, int rank, int worldSize, String interfaceHost, Duration timeout) {
        return gloo(store, rank, worldSize, interfaceHost, timeout, timeout, HealthCheck.DEFAULT);
    }

    /**
     * As {@link #gloo(Store, int, int, String, Duration)}, with ranks that watch each other as {@code healthCheck} says, and
     * wait for each other for {@code joinTimeout} at first.
     */
    public static ProcessGroup gloo(
            Store store,
            int rank,
            int worldSize,
            String interfaceHost,
            Duration joinTimeout,
            Duration timeout,
            HealthCheck healthCheck) {
        return new ProcessGroup(store, null, rank, worldSize, interfaceHost, joinTimeout, timeout, healthCheck);
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
        return fromEnvironment(environment, timeout, timeout, HealthCheck.DEFAULT);
    }

    /**
     * As {@link #fromEnvironment()}, with ranks that watch each other as {@code healthCheck} says, and wait for each other for
     * {@code joinTimeout} at first.
     */
    public static ProcessGroup fromEnvironment(
            RankEnvironment environment, Duration joinTimeout, Duration timeout, HealthCheck healthCheck) {
        boolean server = environment.rank() == 0 && !environment.useAgentStore();
        try (Store store = Store.tcp(
                environment.masterAddress(), environment.masterPort(), server, environment.worldSize(), joinTimeout)) {
            Store own = environment.useAgentStore()
                    ? AgentStore.part(store, environment.rank(), environment.worldSize(), joinTimeout)
                    : store.withPrefix("default_pg");
            try {
                return new ProcessGroup(
                        own,
                        own,
                        environment.rank(),
                        environment.worldSize(),
                        System.getenv("GLOO_SOCKET_HOST"),
                        joinTimeout,
                        timeout,
                        healthCheck);
            } catch (RuntimeException e) {
                own.close();
                throw e;
            }
        }
    }

    MemorySegment handle() {
        MemorySegment open = handle;
        if (open == null) {
            throw new IllegalStateException("the process group of rank " + rank + " is closed");
        }
        return open;
    }

    public int rank() {
        return rank;
    }

    public int worldSize() {
        return worldSize;
    }

    /**
     * Lets collectives on tensors of {@code device} go through NCCL, each on a stream of its own; those on the CPU's stay with
     * Gloo. Every rank calls it, each with a GPU of its own, before the first such collective. c10d's watchdog ends what is late
     * or failed and reports it, and never ends the JVM, unless TORCH_NCCL_ASYNC_ERROR_HANDLING or TORCH_NCCL_ENABLE_MONITORING
     * in the environment say otherwise. Returns this group.
     *
     * @throws UnsupportedException without a GPU, or with a shim that was built for a libtorch without CUDA
     */
    public ProcessGroup useNccl(Device device) {
        NativeLibraries.cuda();
        device.require();
        try (Arena temporary = Arena.ofConfined();
                Store own = store.withPrefix("nccl")) {
            MemorySegment error = temporary.allocate(Status.ERROR_SIZE, 8);
            MemorySegment place = lt_device.allocate(temporary);
            lt_device.type(place, torch_h.LT_DEVICE_CUDA());
            lt_device.index(place, Math.max(0, device.index()));
            synchronized (handleLock) {
                MemorySegment open = handle();
                Status.check(
                        own.handle()
                                .call(opened -> cuda_h.lt_process_group_add_nccl(
                                        open, opened, place, timeout.toMillis(), 0, error)),
                        error);
            }
        }
        nccl = true;
        return this;
    }

    // ---- failures ----

    /** Tells the training step that the collectives from here on belong to, for the messages of failures on all ranks. */
    public void step(long step) {
        this.step = step;
    }

    /**
     * Tells the other ranks that this one fails, and why: what they wait for ends with a PeerFailedException that carries the
     * exception's class and message. Breaks the group, which the caller closes yet. Does nothing where another rank's
     * failure is known, of which this one is a consequence.
     */
    public void fail(Throwable reason) {
        if (health == null || !health.failures(sequence).isEmpty()) {
            return;
        }
        health.tellEnd(PeerFailure.Kind.FAILED, reason.toString());
        abort();
    }

    /**
     * Waits for a key of the store, as {@link Store#get}, and ends where another rank fails.
     *
     * @throws DeadlineException where nobody sets it in time
     * @throws PeerFailedException naming the ranks that are gone or failed
     */
    public byte[] await(Store store, String key, Duration timeout) {
        long deadline = System.nanoTime() + timeout.toNanos();
        while (true) {
            if (health != null) {
                List<PeerFailure> failures = health.failures(sequence);
                if (!failures.isEmpty()) {
                    throw HealthChannel.failure(
                            "key " + key + " on rank " + rank + " of " + worldSize + ": ", null, failures, null);
                }
            }
            Duration left = Duration.ofNanos(Math.max(1, deadline - System.nanoTime()));
            try {
                return store.get(key, left.compareTo(KEY_POLL) < 0 ? left : KEY_POLL);
            } catch (DeadlineException e) {
                if (System.nanoTime() - deadline >= 0) {
                    throw e;
                }
            }
        }
    }

    String where(Collective collective) {
        return collective + " on rank " + rank + " of " + worldSize;
    }

    /** Begins a collective: gives it its number, unless it cannot end well. */
    Collective begin(String operation) {
        var collective = new Collective(operation, ++sequence, step);
        if (health != null) {
            health.position(collective);
            List<PeerFailure> failures = health.failures(sequence);
            if (!failures.isEmpty()) {
                throw HealthChannel.failure(where(collective) + ": ", collective, failures, null);
            }
        }
        return collective;
    }

    /** The collective that {@link #begin} gives next, while this rank prepares for it. */
    Collective upcoming(String operation) {
        return new Collective(operation, sequence + 1, step);
    }

    /** Takes the number back of a collective that was refused before it began. */
    private void takeBack() {
        sequence--;
        if (health != null) {
            health.position(new Collective("", sequence, step));
        }
    }

    /** As {@link Status#check}; a failure of the network is explained. */
    void check(int status, MemorySegment error, Collective collective) {
        if (status == torch_h.LT_OK()) {
            return;
        }
        try {
            Status.check(status, error, where(collective));
        } catch (PeerFailedException | DeadlineException | StorageException e) {
            throw explain(collective, e);
        }
    }

    /** What {@code failure} of a collective comes from, as far as it can be found out. */
    LanceTorchException explain(Collective collective, LanceTorchException failure) {
        boolean timedOut = failure instanceof DeadlineException;
        broken = true;
        List<PeerFailure> found = List.of();
        if (health != null) {
            health.inquire(collective, timedOut);
            found = health.failures(collective.sequence());
            if (found.isEmpty() && !timedOut) {
                found = health.failures();
            }
        }
        if (!found.isEmpty()) {
            return HealthChannel.failure(where(collective) + ": ", collective, found, failure);
        }
        return switch (failure) {
            case DeadlineException _ -> new DeadlineException(failure.getMessage(), failure, List.of(), collective);
            case PeerFailedException _ -> new PeerFailedException(failure.getMessage(), failure, List.of(), collective);
            default -> failure;
        };
    }

    private void abortIfBroken() {
        if (!health.failures(health.position().sequence()).isEmpty()) {
            abort();
        }
    }

    /** Ends what waits in libtorch, on whichever thread. */
    private void abort() {
        synchronized (handleLock) {
            if (handle != null && !aborted) {
                aborted = true;
                torch_h.lt_process_group_abort(handle, MemorySegment.NULL);
            }
        }
    }

    /** Whether the reducer's collectives may be under way. */
    void averaging(boolean averaging) {
        this.averaging = averaging;
    }

    /** Releases the handle of a work, or keeps it until the work has ended. */
    void giveUp(MemorySegment work) {
        synchronized (givenUp) {
            if (handle == null) {
                torch_h.lt_work_release(work);
                return;
            }
            givenUp.add(work);
            givenUp.removeIf(other -> {
                boolean done = Work.isDone(other);
                if (done) {
                    torch_h.lt_work_release(other);
                }
                return done;
            });
        }
    }

    // ---- collectives ----

    @FunctionalInterface
    private interface Start {
        int call(MemorySegment group, MemorySegment out, MemorySegment error);
    }

    /** {@code tensor}: whose device says which backend it is; null for Gloo. */
    private Work start(String operation, Tensor tensor, Start start) {
        handle();
        Collective collective = begin(operation);
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment error = temporary.allocate(Status.ERROR_SIZE, 8);
            MemorySegment out = temporary.allocate(ADDRESS);
            int status;
            // Only queues it; a close on another thread comes before or after.
            synchronized (handleLock) {
                status = start.call(handle(), out, error);
            }
            if (status == torch_h.LT_INVALID_ARGUMENT()) {
                takeBack();
            }
            check(status, error, collective);
            boolean inStream = nccl && tensor != null && tensor.device().type() == Device.Type.CUDA;
            return new Work(this, collective, MemorySegment.ofAddress(out.get(JAVA_LONG, 0)), inStream);
        }
    }

    private void finish(Work work) {
        try (work) {
            work.await();
        } catch (CancelledException e) {
            broken = true; // nobody waits for its end any more
            throw e;
        }
    }

    /** Replaces the tensor's values by the reduction over all ranks. */
    public void allReduce(Tensor tensor, ReduceOp op) {
        finish(allReduceAsync(tensor, op, Duration.ZERO));
    }

    /** As {@link #allReduce}; a timeout of 0 is the group's. */
    public Work allReduceAsync(Tensor tensor, ReduceOp op, Duration timeout) {
        MemorySegment values = tensor.nativeHandle();
        return start(
                "all-reduce",
                tensor,
                (group, out, error) ->
                        torch_h.lt_all_reduce(group, values, op.ordinal(), timeout.toMillis(), out, error));
    }

    /** Replaces the tensor's values by those of rank {@code root}. */
    public void broadcast(Tensor tensor, int root) {
        finish(broadcastAsync(tensor, root, Duration.ZERO));
    }

    /** As {@link #broadcast}; a timeout of 0 is the group's. */
    public Work broadcastAsync(Tensor tensor, int root, Duration timeout) {
        MemorySegment values = tensor.nativeHandle();
        return start(
                "broadcast",
                tensor,
                (group, out, error) -> torch_h.lt_broadcast(group, values, root, timeout.toMillis(), out, error));
    }

    /** Fills {@code outputs}, one tensor like {@code input} for each rank, with every rank's input. */
    public void allGather(List<Tensor> outputs, Tensor input) {
        finish(allGatherAsync(outputs, input, Duration.ZERO));
    }

    /** Every rank's bytes, in order of rank; each may be of another length. By Gloo, through tensors on the CPU. */
    public List<byte[]> allGather(byte[] bytes) {
        try (var _ = new TensorScope()) {
            List<Tensor> lengths = new ArrayList<>();
            for (int rank = 0; rank < worldSize; rank++) {
                lengths.add(Tensor.empty(DType.INT64, 1));
            }
            allGather(lengths, Tensor.of(new long[] {bytes.length}));
            int longest = 0;
            for (Tensor length : lengths) {
                longest = Math.max(longest, Math.toIntExact(length.itemLong()));
            }
            List<Tensor> gathered = new ArrayList<>();
            for (int rank = 0; rank < worldSize; rank++) {
                gathered.add(Tensor.empty(DType.UINT8, longest));
            }
            allGather(gathered, Tensor.of(Arrays.copyOf(bytes, longest)));
            List<byte[]> all = new ArrayList<>();
            for (int rank = 0; rank < worldSize; rank++) {
                int length = Math.toIntExact(lengths.get(rank).itemLong());
                all.add(Arrays.copyOf(gathered.get(rank).toBytes(), length));
            }
            return all;
        }
    }

    /** As {@link #allGather}; a timeout of 0 is the group's. */
    public Work allGatherAsync(List<Tensor> outputs, Tensor input, Duration timeout) {
        requireOnePerRank(outputs, "outputs");
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment targets = handles(outputs, temporary);
            MemorySegment values = input.nativeHandle();
            return start(
                    "all-gather",
                    input,
                    (group, out, error) ->
                            torch_h.lt_all_gather(group, targets, values, timeout.toMillis(), out, error));
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
            MemorySegment target = output.nativeHandle();
            MemorySegment values = handles(inputs, temporary);
            return start(
                    "reduce-scatter",
                    output,
                    (group, out, error) -> torch_h.lt_reduce_scatter(
                            group, target, values, op.ordinal(), timeout.toMillis(), out, error));
        }
    }

    /** As {@link #allReduce(Tensor, ReduceOp)} for each of several tensors of one dtype, together. */
    public void allReduce(List<Tensor> tensors, ReduceOp op) {
        finish(allReduceAsync(tensors, op, Duration.ZERO));
    }

    /** As {@link #allReduce(List, ReduceOp)}; a timeout of 0 is the group's. */
    public Work allReduceAsync(List<Tensor> tensors, ReduceOp op, Duration timeout) {
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment values = handles(tensors, temporary);
            return start(
                    "all-reduce of " + tensors.size() + " tensors",
                    tensors.isEmpty() ? null : tensors.getFirst(),
                    (group, out, error) -> torch_h.lt_all_reduce_coalesced(
                            group, values, tensors.size(), op.ordinal(), timeout.toMillis(), out, error));
        }
    }

    /** Replaces the tensor's values on rank {@code root} by the reduction over all ranks; the others' are undefined then. */
    public void reduce(Tensor tensor, int root, ReduceOp op) {
        finish(reduceAsync(tensor, root, op, Duration.ZERO));
    }

    /** As {@link #reduce}; a timeout of 0 is the group's. */
    public Work reduceAsync(Tensor tensor, int root, ReduceOp op, Duration timeout) {
        MemorySegment values = tensor.nativeHandle();
        return start(
                "reduce",
                tensor,
                (group, out, error) ->
                        torch_h.lt_reduce(group, values, root, op.ordinal(), timeout.toMillis(), out, error));
    }

    /**
     * As {@link #allGather(List, Tensor)} into one contiguous tensor, whose first dimension is that of {@code input} times the
     * number of ranks.
     */
    public void allGather(Tensor output, Tensor input) {
        finish(allGatherAsync(output, input, Duration.ZERO));
    }

    /** As {@link #allGather(Tensor, Tensor)}; a timeout of 0 is the group's. */
    public Work allGatherAsync(Tensor output, Tensor input, Duration timeout) {
        MemorySegment target = output.nativeHandle();
        MemorySegment values = input.nativeHandle();
        return start(
                "all-gather",
                input,
                (group, out, error) ->
                        torch_h.lt_all_gather_into(group, target, values, timeout.toMillis(), out, error));
    }

    /**
     * As {@link #reduceScatter(Tensor, List, ReduceOp)} from one contiguous tensor, whose first dimension is that of {@code
     * output} times the number of ranks.
     */
    public void reduceScatter(Tensor output, Tensor input, ReduceOp op) {
        finish(reduceScatterAsync(output, input, op, Duration.ZERO));
    }

    /** As {@link #reduceScatter(Tensor, Tensor, ReduceOp)}; a timeout of 0 is the group's. */
    public Work reduceScatterAsync(Tensor output, Tensor input, ReduceOp op, Duration timeout) {
        MemorySegment target = output.nativeHandle();
        MemorySegment values = input.nativeHandle();
        return start(
                "reduce-scatter",
                output,
                (group, out, error) -> torch_h.lt_reduce_scatter_from(
                        group, target, values, op.ordinal(), timeout.toMillis(), out, error));
    }

    /** Fills {@code outputs} of rank {@code root}, one tensor like {@code input} for each rank; null on the other ranks. */
    public void gather(List<Tensor> outputs, Tensor input, int root) {
        finish(gatherAsync(outputs, input, root, Duration.ZERO));
    }

    /** As {@link #gather}; a timeout of 0 is the group's. */
    public Work gatherAsync(List<Tensor> outputs, Tensor input, int root, Duration timeout) {
        requireAtRoot(outputs, "outputs", root);
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment targets = outputs == null ? MemorySegment.NULL : handles(outputs, temporary);
            MemorySegment values = input.nativeHandle();
            return start(
                    "gather",
                    input,
                    (group, out, error) ->
                            torch_h.lt_gather(group, targets, values, root, timeout.toMillis(), out, error));
        }
    }

    /** Fills {@code output} with the tensor at this rank's position in {@code inputs} of rank {@code root}; null elsewhere. */
    public void scatter(Tensor output, List<Tensor> inputs, int root) {
        finish(scatterAsync(output, inputs, root, Duration.ZERO));
    }

    /** As {@link #scatter}; a timeout of 0 is the group's. */
    public Work scatterAsync(Tensor output, List<Tensor> inputs, int root, Duration timeout) {
        requireAtRoot(inputs, "inputs", root);
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment target = output.nativeHandle();
            MemorySegment values = inputs == null ? MemorySegment.NULL : handles(inputs, temporary);
            return start(
                    "scatter",
                    output,
                    (group, out, error) ->
                            torch_h.lt_scatter(group, target, values, root, timeout.toMillis(), out, error));
        }
    }

    /**
     * Fills {@code outputs.get(r)} with what rank r has at this rank's position in its {@code inputs}. Contiguous tensors of one
     * dtype, which may differ in shape as long as both ends agree.
     */
    public void allToAll(List<Tensor> outputs, List<Tensor> inputs) {
        finish(allToAllAsync(outputs, inputs, Duration.ZERO));
    }

    /** As {@link #allToAll}; a timeout of 0 is the group's. */
    public Work allToAllAsync(List<Tensor> outputs, List<Tensor> inputs, Duration timeout) {
        requireOnePerRank(outputs, "outputs");
        requireOnePerRank(inputs, "inputs");
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment targets = handles(outputs, temporary);
            MemorySegment values = handles(inputs, temporary);
            return start(
                    "all-to-all",
                    inputs.getFirst(),
                    (group, out, error) ->
                            torch_h.lt_all_to_all(group, targets, values, timeout.toMillis(), out, error));
        }
    }

    /**
     * Sends a tensor to one rank, which calls {@link #receive} with the same tag. Not a collective: the other ranks take no part
     * in it, and a failure of one of them is not looked for.
     */
    public void send(Tensor tensor, int toRank, int tag) {
        finish(sendAsync(tensor, toRank, tag, Duration.ZERO));
    }

    /** As {@link #send}; a timeout of 0 is the group's. */
    public Work sendAsync(Tensor tensor, int toRank, int tag, Duration timeout) {
        MemorySegment values = tensor.nativeHandle();
        return start(
                "send to rank " + toRank,
                tensor,
                (group, out, error) -> torch_h.lt_send(group, values, toRank, tag, timeout.toMillis(), out, error));
    }

    /** Fills a tensor with what {@code fromRank} sends to this rank with the same tag. */
    public void receive(Tensor tensor, int fromRank, int tag) {
        finish(receiveAsync(tensor, fromRank, tag, Duration.ZERO));
    }

    /** As {@link #receive}; a timeout of 0 is the group's. */
    public Work receiveAsync(Tensor tensor, int fromRank, int tag, Duration timeout) {
        MemorySegment values = tensor.nativeHandle();
        return start(
                "receive from rank " + fromRank,
                tensor,
                (group, out, error) -> torch_h.lt_recv(group, values, fromRank, tag, timeout.toMillis(), out, error));
    }

    private void requireAtRoot(List<Tensor> tensors, String name, int root) {
        if ((tensors != null) != (rank == root)) {
            throw new InvalidArgumentException(
                    name + " are given on rank " + root + " alone, and this is rank " + rank);
        }
        if (tensors != null) {
            requireOnePerRank(tensors, name);
        }
    }

    /** Waits until every rank has come here, on the host: not for what streams have queued. */
    public void barrier() {
        finish(barrierAsync(Duration.ZERO));
    }

    /** As {@link #barrier}; a timeout of 0 is the group's. */
    public Work barrierAsync(Duration timeout) {
        return start("barrier", null, (group, out, error) -> torch_h.lt_barrier(group, timeout.toMillis(), out, error));
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

    /**
     * Leaves the group, after the collectives under way have ended; the other ranks are told. A second close does nothing.
     */
    @Override
    public void close() {
        if (handle == null) {
            return;
        }
        if (health != null) {
            health.tellEnd(PeerFailure.Kind.LEFT, "");
        }
        if (broken || averaging || health != null && !health.failures(sequence).isEmpty()) {
            abort();
        }
        synchronized (givenUp) {
            for (MemorySegment work : givenUp) {
                torch_h.lt_work_wait(work, 0, MemorySegment.NULL);
                torch_h.lt_work_release(work);
            }
            givenUp.clear();
        }
        MemorySegment released;
        synchronized (handleLock) {
            released = handle;
            handle = null;
        }
        torch_h.lt_process_group_release(released);
        if (health != null) {
            health.close();
        }
        if (ownedStore != null) {
            ownedStore.close();
        }
    }
}
