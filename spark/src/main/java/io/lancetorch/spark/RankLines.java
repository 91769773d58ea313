package io.lancetorch.spark;

import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What a rank prints: to the executor's log, to the driver where it listens, and the last of it for the exception. */
final class RankLines implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger("io.lancetorch.spark.Rank");
    private static final int KEPT = 20;
    private static final int CONNECT_MILLIS = 10_000;

    private final int rank;
    private final Deque<String> last = new ArrayDeque<>();
    private Socket driver; // null: it does not listen, or no more

    /** {@code address}: null where the driver does not ask for lines. */
    RankLines(int rank, LogServer.Address address) {
        this.rank = rank;
        if (address == null) {
            return;
        }
        try {
            driver = new Socket();
            driver.connect(new InetSocketAddress(address.host(), address.port()), CONNECT_MILLIS);
            var output = new DataOutputStream(driver.getOutputStream());
            output.write(address.secret().getBytes(StandardCharsets.US_ASCII));
            output.writeInt(rank);
            output.flush();
        } catch (IOException e) {
            giveUp(e);
        }
    }

    /** A driver that cannot be reached costs its copy of the lines, and not the run. */
    private void giveUp(IOException reason) {
        LOG.warn("rank {}: its lines no longer go to the driver: {}", rank, reason.toString());
        close();
    }

    synchronized void add(String line) {
        LOG.info("rank {}: {}", rank, line);
        if (last.size() == KEPT) {
            last.removeFirst();
        }
        last.add(line);
        if (driver != null) {
            try {
                driver.getOutputStream().write((line + "\n").getBytes(StandardCharsets.UTF_8));
            } catch (IOException e) {
                giveUp(e);
            }
        }
    }

    synchronized String last() {
        return String.join("\n", last);
    }

    @Override
    public synchronized void close() {
        if (driver != null) {
            try {
                driver.close();
            } catch (IOException e) {
                LOG.debug("rank {}: closing the connection to the driver", rank, e);
            }
            driver = null;
        }
    }
}
