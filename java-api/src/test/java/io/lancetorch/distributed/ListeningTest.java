package io.lancetorch.distributed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.lancetorch.error.StorageException;
import io.lancetorch.tensor.Tensor;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What this process listens on, as the kernel tells it: nothing but what it was told. */
@Timeout(60)
class ListeningTest {
    private static final Duration LATER = Duration.ofSeconds(20);

    /** The addresses, as /proc/net/tcp and tcp6 write them, of this process's listening sockets. */
    private static List<String> listening() throws IOException {
        Set<String> own = new HashSet<>();
        try (var descriptors = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
            for (Path descriptor : descriptors) {
                try {
                    own.add(Files.readSymbolicLink(descriptor).toString());
                } catch (IOException e) {
                    // Closed meanwhile.
                }
            }
        }
        List<String> addresses = new ArrayList<>();
        for (String table : List.of("tcp", "tcp6")) {
            Path path = Path.of("/proc/self/net", table);
            if (!Files.exists(path)) {
                continue;
            }
            for (String line : Files.readAllLines(path)) {
                String[] columns = line.strip().split("\\s+");
                if (columns[3].equals("0A") && own.contains("socket:[" + columns[9] + "]")) {
                    addresses.add(columns[1].substring(0, columns[1].indexOf(':')));
                }
            }
        }
        return addresses;
    }

    private static boolean isLoopback(String address) {
        return address.endsWith("7F") && address.length() == 8
                || address.equals("00000000000000000000000001000000")
                || address.startsWith("0000000000000000FFFF0000") && address.endsWith("7F");
    }

    @Test
    void ranksOfThisMachineListenOnItsLoopbackAlone() throws Exception {
        List<String> before = listening();
        for (String host : List.of("127.0.0.1", "localhost")) {
            List<List<String>> seen = new ArrayList<>();
            try (Store server = Store.tcp(host, 0, true, 2, LATER)) {
                List<Thread> threads = new ArrayList<>();
                for (int i = 0; i < 2; i++) {
                    int rank = i;
                    threads.add(Thread.ofPlatform().start(() -> {
                        try (Store store = Store.tcp(host, server.port(), false, 2, LATER);
                                // No interface is named: it is the one that reaches the store.
                                var group = ProcessGroup.gloo(store, rank, 2, null, LATER);
                                var tensor = Tensor.of(new float[] {1})) {
                            group.allReduce(tensor, ReduceOp.SUM);
                            if (rank == 0) {
                                seen.add(listening());
                            }
                            group.barrier();
                        } catch (IOException e) {
                            throw new IllegalStateException(e);
                        }
                    }));
                }
                for (Thread thread : threads) {
                    thread.join();
                }
            }
            assertThat(seen).hasSize(1);
            List<String> ours = new ArrayList<>(seen.getFirst());
            before.forEach(ours::remove);
            // The store's, the health channel's, and at least one of Gloo's.
            assertThat(ours).as(host).hasSizeGreaterThanOrEqualTo(3).allMatch(ListeningTest::isLoopback);
        }
    }

    @Test
    void storeOnAnAddressIsNotReachedByAnother() throws Exception {
        InetAddress other = null;
        for (NetworkInterface network : NetworkInterface.networkInterfaces().toList()) {
            for (InetAddress address : network.inetAddresses().toList()) {
                if (!address.isLoopbackAddress() && !(address instanceof Inet6Address)) {
                    other = address;
                }
            }
        }
        assumeTrue(other != null, "skipped: this machine has no address but its loopback");
        try (Store server = Store.tcp("127.0.0.1", 0, true, 1, LATER);
                var socket = new Socket()) {
            var address = new InetSocketAddress(other, server.port());
            assertThatThrownBy(() -> socket.connect(address, 1000)).isInstanceOf(IOException.class);
            server.set("key", new byte[] {1});
            assertThat(server.get("key", LATER)).containsExactly(1);
        }
        try (Store server = Store.tcp(other.getHostAddress(), 0, true, 1, LATER);
                var loopback = new Socket();
                var socket = new Socket()) {
            var address = new InetSocketAddress("127.0.0.1", server.port());
            assertThatThrownBy(() -> loopback.connect(address, 1000)).isInstanceOf(IOException.class);
            socket.connect(new InetSocketAddress(other, server.port()), 1000);
            assertThat(socket.isConnected()).isTrue();
        }
    }

    @Test
    void addressOfAnotherMachineIsRefusedAndNamed() {
        assertThatThrownBy(() -> Store.tcp("192.0.2.1", 0, true, 1, LATER))
                .isInstanceOf(StorageException.class)
                .hasMessageContainingAll("192.0.2.1", "no address of this machine");
    }
}
