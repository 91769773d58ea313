package io.lancetorch.spark;

import java.io.BufferedReader;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Serializable;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.apache.spark.SparkContext;

/** Takes the lines that ranks print, on the driver, from whoever knows its secret. */
final class LogServer implements AutoCloseable {
    private static final int GREETING_MILLIS = 10_000;
    private static final long LAST_LINES_SECONDS = 5;

    /** Where the tasks send their lines, and the secret that they begin with. */
    record Address(String host, int port, String secret) implements Serializable {}

    private final ServerSocket socket;
    private final Address address;
    private final Consumer<String> lines;
    private final List<Thread> readers = new ArrayList<>();
    private final List<Socket> connections = new ArrayList<>();

    /** {@code host}: this driver as the executors reach it; {@code bindHost}: the address that it listens on. */
    LogServer(String host, String bindHost, Consumer<String> lines) throws IOException {
        this.lines = lines;
        var random = new byte[16];
        new SecureRandom().nextBytes(random);
        socket = new ServerSocket(0, 0, InetAddress.getByName(bindHost));
        address = new Address(host, socket.getLocalPort(), HexFormat.of().formatHex(random));
        start(this::accept);
    }

    /** On the driver of {@code context}, where it prints; null where the settings ask for no lines. */
    static LogServer of(SparkContext context, RankSettings settings) throws IOException {
        if (!settings.driverLogs()) {
            return null;
        }
        String host = context.getConf().get("spark.driver.host");
        return new LogServer(host, context.getConf().get("spark.driver.bindAddress", host), System.out::println);
    }

    Address address() {
        return address;
    }

    private static Thread start(Runnable work) {
        var thread = new Thread(work, "lancetorch-rank-lines");
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private void accept() {
        while (true) {
            try {
                Socket connection = socket.accept();
                synchronized (this) {
                    connections.add(connection);
                    readers.add(start(() -> read(connection)));
                }
            } catch (IOException e) {
                return; // closed
            }
        }
    }

    private void read(Socket connection) {
        try (connection) {
            connection.setSoTimeout(GREETING_MILLIS);
            var input = new DataInputStream(connection.getInputStream());
            byte[] secret = address.secret().getBytes(StandardCharsets.US_ASCII);
            if (!MessageDigest.isEqual(secret, input.readNBytes(secret.length))) {
                return;
            }
            String name = input.readUTF() + ": ";
            connection.setSoTimeout(0);
            var reader = new BufferedReader(new InputStreamReader(input, StandardCharsets.UTF_8));
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                lines.accept(name + line);
            }
        } catch (IOException e) {
            // The executor is gone, or was no executor of ours.
        }
    }

    /** Waits for the lines that are on their way, but not for long. */
    @Override
    public void close() throws IOException {
        socket.close();
        List<Thread> last;
        synchronized (this) {
            last = List.copyOf(readers);
        }
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(LAST_LINES_SECONDS);
        try {
            for (Thread reader : last) {
                reader.join(Math.max(1, TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime())));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        synchronized (this) {
            for (Socket connection : connections) {
                connection.close();
            }
        }
    }
}
