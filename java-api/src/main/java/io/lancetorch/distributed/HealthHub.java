package io.lancetorch.distributed;

import io.lancetorch.error.Collective;
import java.io.IOException;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.SelectionKey;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;

/** Rank 0's end of the health channel: it notices what happens to a connection, tells all, and asks all where they are. */
final class HealthHub extends HealthChannel {
    private final ServerSocketChannel server;
    private final String token;
    private final List<HealthConnection> connections = new CopyOnWriteArrayList<>();
    private final boolean[] came;
    private final Queue<Runnable> tasks = new ConcurrentLinkedQueue<>();
    private Inquiry inquiry;

    /** The question where all ranks are, while it is open. On the health thread alone. */
    private static final class Inquiry {
        final long sequence;
        final long deadline;
        boolean timedOut;
        final Map<Integer, Collective> positions = new HashMap<>();

        Inquiry(long sequence, boolean timedOut, long deadline) {
            this.sequence = sequence;
            this.timedOut = timedOut;
            this.deadline = deadline;
        }
    }

    HealthHub(Store store, int worldSize, String interfaceHost, HealthCheck check) throws IOException {
        super(0, worldSize, check);
        came = new boolean[worldSize];
        came[0] = true;
        var random = new byte[16];
        new SecureRandom().nextBytes(random);
        token = HexFormat.of().formatHex(random);
        InetAddress address = interfaceHost == null ? addressTowards(store) : InetAddress.getByName(interfaceHost);
        server = ServerSocketChannel.open();
        try {
            server.bind(new InetSocketAddress(address, 0), worldSize);
            server.configureBlocking(false);
            server.register(selector, SelectionKey.OP_ACCEPT);
            int port = ((InetSocketAddress) server.getLocalAddress()).getPort();
            store.set(KEY, (port + " " + token + " " + address.getHostAddress()).getBytes(StandardCharsets.UTF_8));
        } catch (IOException | RuntimeException e) {
            server.close();
            selector.close();
            throw e;
        }
    }

    private static InetAddress addressTowards(Store store) throws IOException {
        try (var socket = new DatagramSocket()) {
            socket.connect(new InetSocketAddress(store.host(), store.port())); // sends nothing: it picks the route
            return socket.getLocalAddress();
        }
    }

    @Override
    void accept() throws IOException {
        SocketChannel channel = server.accept();
        if (channel != null) {
            var connection = new HealthConnection(channel, check);
            channel.register(selector, SelectionKey.OP_READ, connection);
            connections.add(connection);
        }
    }

    private void send(HealthMessage message) {
        for (HealthConnection connection : connections) {
            if (connection.rank > 0) {
                connection.send(message);
            }
        }
    }

    /** The others learn first: once this rank knows, it may leave, and its farewell must not overtake the reason. */
    @Override
    void announce(PeerFailure failure) {
        send(HealthMessage.of(failure));
        note(failure);
    }

    @Override
    void ask(Collective collective, boolean timedOut) {
        tasks.add(() -> suspect(collective.sequence(), timedOut));
        selector.wakeup();
    }

    @Override
    void unanswered() {
        // It is this rank's own thread that did not answer, which only a machine without any time to spare lets happen.
    }

    @Override
    List<PeerFailure> missing() {
        List<PeerFailure> missing = new ArrayList<>();
        for (int other = 1; other < worldSize; other++) {
            if (!came[other]) {
                missing.add(new PeerFailure(other, PeerFailure.Kind.LATE, new Collective("", 0, -1), ""));
            }
        }
        return missing;
    }

    @Override
    List<HealthConnection> connections() {
        return connections;
    }

    @Override
    void receive(HealthConnection connection, HealthMessage message) throws IOException {
        if (connection.rank < 0) {
            greet(connection, message);
            return;
        }
        switch (message.type()) {
            case FAILURE ->
                announce(new PeerFailure(
                        connection.rank,
                        message.failure().kind(),
                        message.at(),
                        message.failure().reason()));
            case SUSPECT -> suspect(message.at().sequence(), !message.text().isEmpty());
            case POSITION -> {
                if (inquiry != null) {
                    inquiry.positions.put(connection.rank, message.at());
                }
            }
            default -> throw new IOException("rank " + connection.rank + " sent " + message.type());
        }
    }

    private void greet(HealthConnection connection, HealthMessage message) throws IOException {
        byte[] secret = token.getBytes(StandardCharsets.UTF_8);
        if (message.type() != HealthMessage.Type.HELLO
                || !MessageDigest.isEqual(secret, message.text().getBytes(StandardCharsets.UTF_8))) {
            throw new IOException("a stranger");
        }
        int other = message.rank();
        long theirs = message.at().sequence();
        connection.rank = other;
        if (theirs != worldSize || other < 1 || other >= worldSize || came[other]) {
            String reason = theirs != worldSize
                    ? "rank " + other + " has a world size of " + theirs + ", and rank 0 of " + worldSize
                    : "there are two ranks " + other;
            connection.send(HealthMessage.of(HealthMessage.Type.REFUSED, 0, reason));
            send(HealthMessage.of(HealthMessage.Type.REFUSED, 0, reason));
            noteRefusal(reason);
            return;
        }
        came[other] = true;
        if (missing().isEmpty()) {
            send(HealthMessage.of(HealthMessage.Type.READY, 0, ""));
            noteReady();
        }
    }

    @Override
    void lost(HealthConnection connection) {
        connections.remove(connection);
        if (connection.rank > 0) {
            // Says nothing of a rank that has said why it goes.
            if (failures().stream().noneMatch(failure -> failure.rank() == connection.rank)) {
                announce(new PeerFailure(connection.rank, PeerFailure.Kind.GONE, new Collective("", 0, -1), ""));
            }
        }
    }

    // ---- asking all ranks where they are ----

    private void suspect(long sequence, boolean timedOut) {
        if (inquiry != null) {
            inquiry.timedOut |= timedOut;
            return; // the verdict goes to all
        }
        inquiry = new Inquiry(
                sequence, timedOut, System.nanoTime() + check.answer().toNanos());
        send(HealthMessage.of(HealthMessage.Type.PROBE, 0, ""));
    }

    /** Where a connection broke and all ranks answer, the reason may still be under way, up to the deadline. */
    private boolean settled() {
        return !failures(inquiry.sequence).isEmpty()
                || inquiry.timedOut
                        && connections.stream()
                                .allMatch(connection ->
                                        connection.rank < 0 || inquiry.positions.containsKey(connection.rank))
                || System.nanoTime() >= inquiry.deadline;
    }

    private void pronounce() {
        Inquiry done = inquiry;
        inquiry = null;
        if (done.timedOut && failures(done.sequence).isEmpty()) {
            List<PeerFailure> found = new ArrayList<>();
            for (HealthConnection connection : connections) {
                if (connection.rank > 0) {
                    add(found, connection.rank, done.positions.get(connection.rank), done.sequence);
                }
            }
            add(found, 0, position(), done.sequence);
            // All at once, or the rank's own thread would read the first and miss the others.
            synchronized (this) {
                found.forEach(this::announce);
            }
        }
        send(HealthMessage.of(HealthMessage.Type.VERDICT, 0, ""));
        noteVerdict();
    }

    private static void add(List<PeerFailure> found, int rank, Collective at, long sequence) {
        if (at == null) {
            found.add(new PeerFailure(rank, PeerFailure.Kind.STALLED, new Collective("", 0, -1), ""));
        } else if (at.sequence() < sequence) {
            found.add(new PeerFailure(rank, PeerFailure.Kind.LATE, at, ""));
        }
    }

    @Override
    long tick() {
        for (Runnable task; (task = tasks.poll()) != null; ) {
            task.run();
        }
        if (inquiry != null && settled()) {
            pronounce();
        }
        return inquiry == null
                ? 0
                : Math.max(1, TimeUnit.NANOSECONDS.toMillis(inquiry.deadline - System.nanoTime()) + 1);
    }

    @Override
    void closeServer() {
        try {
            server.close();
        } catch (IOException e) {
            // Nobody comes any more.
        }
    }
}
