package io.lancetorch.distributed;

import io.lancetorch.error.Collective;
import io.lancetorch.error.DeadlineException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;

/** Another rank's end of the health channel. */
final class HealthSpoke extends HealthChannel {
    private final HealthConnection connection;
    private volatile boolean open = true;

    HealthSpoke(Store store, int rank, int worldSize, Duration timeout, HealthCheck check) throws IOException {
        super(rank, worldSize, check);
        try {
            String[] address;
            try {
                address = new String(store.get(KEY, timeout), StandardCharsets.UTF_8).split(" ", 3);
            } catch (DeadlineException e) {
                throw new DeadlineException(
                        "rank " + rank + " of " + worldSize + ": rank 0 has not come within " + timeout.toMillis()
                                + " ms",
                        e,
                        List.of(0),
                        null);
            }
            SocketChannel channel = SocketChannel.open();
            try {
                channel.socket()
                        .connect(
                                new InetSocketAddress(address[2], Integer.parseInt(address[0])),
                                Math.toIntExact(Math.clamp(timeout.toMillis(), 1, Integer.MAX_VALUE)));
                connection = new HealthConnection(channel, check);
                connection.rank = 0;
                channel.register(selector, SelectionKey.OP_READ, connection);
            } catch (IOException | RuntimeException e) {
                channel.close();
                throw e;
            }
            connection.send(
                    new HealthMessage(HealthMessage.Type.HELLO, rank, new Collective("", worldSize, -1), address[1]));
        } catch (IOException | RuntimeException e) {
            selector.close();
            throw e;
        }
    }

    @Override
    void announce(PeerFailure failure) {
        note(failure);
        connection.send(HealthMessage.of(failure));
    }

    @Override
    void ask(Collective collective, boolean timedOut) {
        connection.send(
                new HealthMessage(HealthMessage.Type.SUSPECT, rank, collective, timedOut ? "the deadline passed" : ""));
    }

    @Override
    void unanswered() {
        note(new PeerFailure(0, PeerFailure.Kind.STALLED, new Collective("", 0, -1), ""));
    }

    @Override
    List<PeerFailure> missing() {
        return List.of();
    }

    @Override
    List<HealthConnection> connections() {
        return open ? List.of(connection) : List.of();
    }

    @Override
    void receive(HealthConnection from, HealthMessage message) throws IOException {
        switch (message.type()) {
            case READY -> noteReady();
            case REFUSED -> noteRefusal(message.text());
            case FAILURE -> note(message.failure());
            case PROBE -> connection.send(new HealthMessage(HealthMessage.Type.POSITION, rank, position(), ""));
            case VERDICT -> noteVerdict();
            default -> throw new IOException("rank 0 sent " + message.type());
        }
    }

    @Override
    void accept() {
        throw new IllegalStateException("only rank 0 listens");
    }

    @Override
    void lost(HealthConnection lost) {
        open = false;
        // Does nothing where rank 0 has said why it goes.
        note(new PeerFailure(0, PeerFailure.Kind.GONE, new Collective("", 0, -1), ""));
    }

    @Override
    long tick() {
        return 0;
    }

    @Override
    void closeServer() {
        // There is none.
    }
}
