package io.lancetorch.distributed;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.DeadlineException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.StorageException;
import io.lancetorch.tensor.Torch;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class StoreTest {
    private static final Duration SOON = Duration.ofMillis(300);
    private static final Duration LATER = Duration.ofSeconds(20);

    private static Store server() {
        return Store.tcp("127.0.0.1", 0, true, 2, LATER);
    }

    private static Store client(Store server) {
        return Store.tcp("127.0.0.1", server.port(), false, 2, LATER);
    }

    @Test
    void valueThatOneRankSetsAnotherGets() {
        try (Store server = server();
                Store client = client(server)) {
            assertThat(server.port()).isPositive().isEqualTo(client.port());
            assertThat(client.contains("key")).isFalse();
            server.set("key", "größe".getBytes(UTF_8));
            // set does not wait for the server, so only after a get, which waits for the key, is it sure to be there.
            assertThat(new String(client.get("key", LATER), UTF_8)).isEqualTo("größe");
            assertThat(client.contains("key")).isTrue();
            client.set("empty", new byte[0]);
            assertThat(server.get("empty", LATER)).isEmpty();
            byte[] large = new byte[100_000];
            new java.util.Random(1).nextBytes(large);
            client.set("large", large);
            assertThat(server.get("large", LATER)).isEqualTo(large);
        }
    }

    @Test
    void counterStartsAtZeroAndIsShared() {
        try (Store server = server();
                Store client = client(server)) {
            assertThat(server.add("counter", 5)).isEqualTo(5);
            assertThat(client.add("counter", -7)).isEqualTo(-2);
            assertThat(client.add("other", 0)).isZero();
        }
    }

    @Test
    void prefixKeepsKeysApart() {
        try (Store server = server();
                Store a = server.withPrefix("a");
                Store b = server.withPrefix("b")) {
            a.set("key", new byte[] {1});
            assertThat(b.contains("key")).isFalse();
            assertThat(server.contains("key")).isFalse();
            assertThat(a.get("key", LATER)).containsExactly(1);
            assertThat(Torch.liveHandles(Torch.Kind.STORE)).isEqualTo(3);
        }
    }

    @Test
    void keyThatNobodySetsIsWaitedForAndNamed() {
        try (Store server = server()) {
            long start = System.nanoTime();
            assertThatThrownBy(() -> server.get("never", SOON))
                    .isInstanceOf(DeadlineException.class)
                    .hasMessageContaining("never");
            assertThat(Duration.ofNanos(System.nanoTime() - start)).isBetween(SOON, Duration.ofSeconds(10));
            server.set("now", new byte[] {1});
            assertThat(server.get("now", SOON)).as("the store goes on").containsExactly(1);
        }
    }

    @Test
    void keyIsWaitedForUntilItIsSet() throws Exception {
        try (Store server = server();
                Store client = client(server)) {
            Thread setter = Thread.ofPlatform().start(() -> {
                try {
                    Thread.sleep(100);
                } catch (InterruptedException e) {
                    throw new AssertionError(e);
                }
                server.set("late", new byte[] {9});
            });
            assertThat(client.get("late", LATER)).containsExactly(9);
            setter.join();
        }
    }

    @Test
    void portInUseIsNamed() throws Exception {
        try (var socket = new ServerSocket(0, 1, InetAddress.getByName("0.0.0.0"))) {
            int port = socket.getLocalPort();
            assertThatThrownBy(() -> Store.tcp("127.0.0.1", port, true, 1, LATER))
                    .isInstanceOf(StorageException.class)
                    .hasMessageContaining(String.valueOf(port));
        }
        try (Store server = server()) {
            assertThatThrownBy(() -> Store.tcp("127.0.0.1", server.port(), true, 1, LATER))
                    .as("by another store")
                    .isInstanceOf(StorageException.class)
                    .hasMessageContaining(String.valueOf(server.port()));
        }
    }

    @Test
    void storeThatNobodyServesIsWaitedForAndNamed() throws Exception {
        int port = Ranks.freePort();
        long start = System.nanoTime();
        assertThatThrownBy(() -> Store.tcp("127.0.0.1", port, false, 2, Duration.ofSeconds(1)))
                .isInstanceOf(DeadlineException.class)
                .hasMessageContaining(String.valueOf(port));
        assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(15));
    }

    @Test
    void hostThatIsNoneIsNamed() {
        assertThatThrownBy(() -> Store.tcp("no-such-host.invalid", 29500, false, 2, Duration.ofSeconds(1)))
                .isInstanceOf(LanceTorchException.class)
                .hasMessageContaining("no-such-host.invalid");
    }

    @Test
    void useAfterCloseIsSaidAndClosingTwiceDoesNothing() {
        Store store = server();
        store.close();
        store.close();
        assertThatThrownBy(() -> store.set("key", new byte[0]))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("Store");
        assertThatThrownBy(store::port).isInstanceOf(IllegalStateException.class);
    }
}
