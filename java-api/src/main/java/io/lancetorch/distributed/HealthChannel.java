package io.lancetorch.distributed;

import io.lancetorch.error.CancelledException;
import io.lancetorch.error.Collective;
import io.lancetorch.error.DeadlineException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.PeerFailedException;
import io.lancetorch.error.StorageException;
import java.io.IOException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/**
 * What a rank knows of the others' failures. Each rank holds a connection to rank 0, whose address and secret are in the
 * store; its one daemon thread reads that, and rank 0's passes on what it learns. Nothing is sent while all is well.
 */
abstract sealed class HealthChannel implements AutoCloseable permits HealthHub, HealthSpoke {
    static final String KEY = "lancetorch/health";
    private static final Duration FAREWELL = Duration.ofMillis(500);
    /** Which failures are at fault, the first of these that there is. */
    private static final List<Predicate<PeerFailure>> CAUSES = List.of(
            failure -> failure.isEnd() && failure.kind() != PeerFailure.Kind.LEFT,
            PeerFailure::isEnd,
            failure -> failure.kind() == PeerFailure.Kind.STALLED);

    final int rank;
    final int worldSize;
    final HealthCheck check;
    final Selector selector;
    private final Map<Integer, PeerFailure> failures = new LinkedHashMap<>();
    private volatile boolean anyFailure;
    private volatile Collective position = new Collective("", 0, -1);
    private volatile Runnable listener = () -> {};
    private volatile boolean closing;
    private volatile long closeDeadline;
    private boolean farewell;
    private boolean ready;
    private String refusal;
    private long verdicts;
    private Thread thread;

    HealthChannel(int rank, int worldSize, HealthCheck check) throws IOException {
        this.rank = rank;
        this.worldSize = worldSize;
        this.check = check;
        selector = Selector.open();
    }

    /**
     * Meets all other ranks.
     *
     * @param interfaceHost the address on which rank 0 listens; null: the one from which packets to the store go out
     * @throws DeadlineException naming the ranks that have not come, on rank 0
     */
    static HealthChannel join(
            Store store, int rank, int worldSize, String interfaceHost, Duration timeout, HealthCheck check) {
        long deadline = System.nanoTime() + timeout.toNanos();
        HealthChannel channel;
        try {
            channel = rank == 0
                    ? new HealthHub(store, worldSize, interfaceHost, check)
                    : new HealthSpoke(store, rank, worldSize, timeout, check);
        } catch (IOException e) {
            throw new StorageException(
                    "rank " + rank + " of " + worldSize + ": the ranks' health channel cannot be opened: " + e, e);
        }
        channel.thread = Thread.ofPlatform()
                .daemon()
                .name("lancetorch-health-rank-" + rank)
                .start(channel::run);
        try {
            channel.awaitReady(deadline, timeout);
        } catch (RuntimeException e) {
            channel.close();
            throw e;
        }
        return channel;
    }

    private synchronized void awaitReady(long deadline, Duration timeout) {
        String where = "rank " + rank + " of " + worldSize + ": ";
        while (!ready) {
            if (refusal != null) {
                throw new InvalidArgumentException(where + refusal);
            }
            if (!failures.isEmpty()) {
                throw failure(where, new Collective("joining the group", 0, -1), failures(), null);
            }
            if (!waitUntil(deadline)) {
                if (Thread.currentThread().isInterrupted()) {
                    throw new CancelledException(where + "interrupted while waiting for the other ranks", null);
                }
                List<PeerFailure> missing = missing();
                missing.forEach(this::announce);
                List<Integer> ranks = missing.stream().map(PeerFailure::rank).toList();
                throw new DeadlineException(
                        where + (rank == 0 ? "ranks " + ranks + " have" : "rank 0 or another rank has")
                                + " not come within " + timeout.toMillis() + " ms",
                        null,
                        ranks,
                        null);
            }
        }
    }

    /** An exception of the type that the failures call for. */
    static LanceTorchException failure(
            String where, Collective collective, List<PeerFailure> failures, Throwable cause) {
        List<PeerFailure> ends = failures.stream().filter(PeerFailure::isEnd).toList();
        // Ranks leave because another one has failed, and are late because another one stands still.
        List<PeerFailure> told = failures;
        for (Predicate<PeerFailure> atFault : CAUSES) {
            List<PeerFailure> found = failures.stream().filter(atFault).toList();
            if (!found.isEmpty()) {
                told = found;
                break;
            }
        }
        List<Integer> ranks = told.stream().map(PeerFailure::rank).toList();
        String message = where
                + (ends.isEmpty() ? "the deadline has passed: " : "")
                + String.join("; ", told.stream().map(PeerFailure::toString).toList());
        return ends.isEmpty()
                ? new DeadlineException(message, cause, ranks, collective)
                : new PeerFailedException(message, cause, ranks, collective);
    }

    /** Waits for a notification; false where {@code deadline} has passed, and after an interrupt, which stays set. */
    private boolean waitUntil(long deadline) {
        long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
        if (left <= 0) {
            return false;
        }
        try {
            wait(left);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
        return true;
    }

    // ---- what the rank's thread says and asks ----

    /** Called on the health thread whenever a failure becomes known. */
    final void onFailure(Runnable listener) {
        this.listener = listener;
    }

    final void position(Collective position) {
        this.position = position;
    }

    final Collective position() {
        return position;
    }

    /** The failures for which a rank in the collective number {@code sequence} waits in vain. */
    final List<PeerFailure> failures(long sequence) {
        if (!anyFailure) {
            return List.of();
        }
        return failures().stream().filter(failure -> failure.breaks(sequence)).toList();
    }

    final synchronized List<PeerFailure> failures() {
        return List.copyOf(failures.values());
    }

    /**
     * Finds out why {@code collective} failed on this rank: returns when a failure is known, or when rank 0 has asked all
     * ranks, or after the time that an answer may take.
     *
     * @param timedOut it failed at its deadline, so that a rank that is late is at fault
     */
    final void inquire(Collective collective, boolean timedOut) {
        // Rank 0 takes as long to ask the others.
        long deadline = System.nanoTime() + check.answer().toNanos() * 8 / 5;
        synchronized (this) {
            if (!failures(collective.sequence()).isEmpty()) {
                return;
            }
            long seen = verdicts;
            ask(collective, timedOut);
            while (verdicts == seen && failures(collective.sequence()).isEmpty()) {
                if (!waitUntil(deadline)) {
                    break;
                }
            }
            if (verdicts != seen || !failures(collective.sequence()).isEmpty()) {
                return;
            }
        }
        unanswered();
    }

    /** Tells the others why this rank goes; at most once. */
    final void tellEnd(PeerFailure.Kind kind, String reason) {
        synchronized (this) {
            if (farewell) {
                return;
            }
            farewell = true;
        }
        announce(new PeerFailure(rank, kind, position, reason));
    }

    // ---- what differs between rank 0 and the others ----

    /** Tells all other ranks of a failure. */
    abstract void announce(PeerFailure failure);

    /** Has all ranks asked where they are. */
    abstract void ask(Collective collective, boolean timedOut);

    /** Rank 0 has not answered. */
    abstract void unanswered();

    /** The ranks that have not come yet, as far as this rank sees. */
    abstract List<PeerFailure> missing();

    abstract List<HealthConnection> connections();

    abstract void receive(HealthConnection connection, HealthMessage message) throws IOException;

    abstract void accept() throws IOException;

    /** A connection has ended, and is closed. */
    abstract void lost(HealthConnection connection);

    /** Does what is due by now, and returns in how many ms it is to be called again; 0: at the next event. */
    abstract long tick();

    abstract void closeServer();

    // ---- on the health thread ----

    private void run() {
        try {
            while (!closing || System.nanoTime() < closeDeadline && isHeard()) {
                long due = tick();
                selector.select(closing ? 20 : due);
                for (SelectionKey key : new ArrayList<>(selector.selectedKeys())) {
                    handle(key);
                }
                selector.selectedKeys().clear();
            }
        } catch (IOException e) {
            // Without its selector this rank hears nothing more, and its connections end, which the others notice.
        } finally {
            connections().forEach(HealthConnection::close);
            closeServer();
            try {
                selector.close();
            } catch (IOException e) {
                // Nobody waits for it any more.
            }
        }
    }

    /** Whether there is another side that can close its end. */
    private synchronized boolean isHeard() {
        return connections().stream().anyMatch(connection -> {
            PeerFailure failure = failures.get(connection.rank);
            return failure == null || failure.kind() != PeerFailure.Kind.STALLED;
        });
    }

    private void handle(SelectionKey key) {
        if (!(key.attachment() instanceof HealthConnection connection)) {
            try {
                accept();
            } catch (IOException e) {
                // A connection that ended before it began.
            }
            return;
        }
        boolean open = connection.fill();
        try {
            for (HealthMessage message; (message = connection.next()) != null; ) {
                receive(connection, message);
            }
        } catch (IOException e) {
            open = false; // not our language
        }
        if (!open) {
            connection.close();
            lost(connection);
        }
    }

    /** Takes note of a failure, unless the rank is already known to have failed. */
    final void note(PeerFailure failure) {
        synchronized (this) {
            if (failure.rank() == rank || failures.putIfAbsent(failure.rank(), failure) != null) {
                return;
            }
            anyFailure = true;
            notifyAll();
        }
        listener.run();
    }

    final synchronized void noteReady() {
        ready = true;
        notifyAll();
    }

    final synchronized void noteRefusal(String reason) {
        refusal = reason;
        notifyAll();
    }

    final synchronized void noteVerdict() {
        verdicts++;
        notifyAll();
    }

    /** Says that this rank leaves, where it has not said why it fails, and ends the thread. */
    @Override
    public void close() {
        tellEnd(PeerFailure.Kind.LEFT, "");
        closeDeadline = System.nanoTime() + FAREWELL.toNanos();
        closing = true;
        // What has been sent arrives only where the other side closes first.
        connections().forEach(HealthConnection::finish);
        selector.wakeup();
        try {
            thread.join(Duration.ofSeconds(2));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
