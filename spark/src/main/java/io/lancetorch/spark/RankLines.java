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

/** What a rank, or another child, prints: to the executor's log, to the driver where it listens, and the last of it for the exception. */
final class RankLines implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger("io.lancetorch.spark.Rank");
    private static final int KEPT = 20;
    private static final int CONNECT_MILLIS = 10_000;

    private final String name;
    private final Deque<String> last = new ArrayDeque<>();
    private Socket driver; // null: it does not listen, or no more

    /** {@code name}: before each line, such as "rank 1"; {@code address}: null where the driver does not ask for lines. */
    RankLines(String name, LogServer.Address address) {
        this.name = name;
        if (address == null) {
            return;
        }
        try {
            driver = new Socket();
            driver.connect(new InetSocketAddress(address.host(), address.port()), CONNECT_MILLIS);
            var output = new DataOutputStream(driver.getOutputStream());
            output.write(address.secret().getBytes(StandardCharsets.US_ASCII));
            output.writeUTF(name);
            output.flush();
        } catch (IOException e) {
            giveUp(e);
        }
    }

    /** A driver that cannot be reached costs its copy of the lines, and not the run. */
    private void giveUp(IOException reason) {
        LOG.warn("{}: its lines no longer go to the driver: {}", name, reason.toString());
        close();
    }

    synchronized void add(String line) {
        LOG.info("{}: {}", name, line);
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
                LOG.debug("{}: closing the connection to the driver", name, e);
            }
            driver = null;
        }
    }
}
