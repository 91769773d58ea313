package io.lancetorch.distributed;

import java.io.IOException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import jdk.net.ExtendedSocketOptions;

/** One connection between rank 0 and another rank. Any thread sends; the health thread alone receives. */
final class HealthConnection {
    /** Messages are few and small, so the kernel takes them at once, unless the other side has not read for long. */
    private static final int SEND_TRIES = 100;

    final SocketChannel channel;
    /** Who is at the other end; -1: it has not said so yet. */
    int rank = -1;

    private final ByteBuffer received =
            ByteBuffer.allocate(HealthMessage.MAX_BYTES).limit(0);

    HealthConnection(SocketChannel channel, HealthCheck check) throws IOException {
        this.channel = channel;
        int interval = Math.toIntExact(Math.min(32_767, check.interval().toSeconds()));
        channel.configureBlocking(false);
        channel.setOption(StandardSocketOptions.TCP_NODELAY, true)
                .setOption(StandardSocketOptions.SO_KEEPALIVE, true)
                .setOption(ExtendedSocketOptions.TCP_KEEPIDLE, interval)
                .setOption(ExtendedSocketOptions.TCP_KEEPINTERVAL, interval)
                .setOption(ExtendedSocketOptions.TCP_KEEPCOUNT, Math.min(127, check.tolerated()));
    }

    /** Sends as far as the other side still listens; where it does not, the health thread finds that out by reading. */
    synchronized void send(HealthMessage message) {
        ByteBuffer bytes = message.encode();
        try {
            for (int tries = 0; bytes.hasRemaining() && tries < SEND_TRIES; tries++) {
                if (channel.write(bytes) == 0) {
                    LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(1));
                }
            }
            if (bytes.hasRemaining()) {
                channel.shutdownInput(); // half a message makes the rest unreadable: read as the end
            }
        } catch (IOException e) {
            // Read as the end of the connection.
        }
    }

    /** Takes in what has come; false at the end of the connection. */
    boolean fill() {
        try {
            received.compact();
            int count = channel.read(received);
            received.flip();
            return count >= 0;
        } catch (IOException e) {
            received.flip();
            return false;
        }
    }

    /** The next whole message of what has come; null where there is none. */
    HealthMessage next() throws IOException {
        return HealthMessage.decode(received);
    }

    /** Says that nothing more will be sent, such that what was sent still arrives. */
    void finish() {
        try {
            channel.shutdownOutput();
        } catch (IOException e) {
            close();
        }
    }

    void close() {
        try {
            channel.close();
        } catch (IOException e) {
            // It is closed as far as it can be.
        }
    }
}
