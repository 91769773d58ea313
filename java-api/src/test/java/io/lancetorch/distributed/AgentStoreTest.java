package io.lancetorch.distributed;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.CancelledException;
import io.lancetorch.error.DeadlineException;
import io.lancetorch.tensor.Torch;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Starts of ranks, one after the other, by one store that outlives them all. */
@Timeout(120)
class AgentStoreTest {
    private static final Duration SOON = Duration.ofMillis(500);
    private static final Duration LATER = Duration.ofSeconds(30);

    private final ExecutorService ranks = Executors.newCachedThreadPool();
    private Store agent;

    @BeforeEach
    void serve() {
        agent = Store.tcp("127.0.0.1", 0, true, 1, LATER);
    }

    @AfterEach
    void end() {
        ranks.close();
        agent.close();
        assertThat(Torch.liveHandles(Torch.Kind.STORE)).isZero();
    }

    /** What rank 0 tells the others of its start, as this rank reads it after {@code delay} ms. */
    private Future<String> rank(int rank, int worldSize, String start, int delay, Duration timeout) {
        return ranks.submit(() -> {
            Thread.sleep(delay);
            try (Store store = Store.tcp("127.0.0.1", agent.port(), false, worldSize, LATER);
                    Store part = AgentStore.part(store, rank, worldSize, timeout)) {
                if (rank == 0) {
                    part.set("start", start.getBytes(UTF_8));
                }
                return new String(part.get("start", LATER), UTF_8);
            }
        });
    }

    @Test
    void ranksOfEachStartMeetInAPartOfTheirOwn() throws Exception {
        var random = new Random(1);
        for (int start = 0; start < 12; start++) {
            int world = 1 + random.nextInt(5);
            List<Future<String>> told = new ArrayList<>();
            for (int rank = 0; rank < world; rank++) {
                told.add(rank(rank, world, "start " + start, random.nextInt(3) * 150, LATER));
            }
            Set<String> read = new HashSet<>();
            for (Future<String> one : told) {
                read.add(one.get());
            }
            assertThat(read).containsExactly("start " + start);
        }
    }

    @Test
    void startThatNeverWasCompleteMisleadsNobody() throws Exception {
        Future<String> lonely = rank(0, 3, "first", 0, SOON);
        Future<String> second = rank(1, 3, "first", 0, SOON);
        assertThatThrownBy(lonely::get)
                .cause()
                .isInstanceOf(DeadlineException.class)
                .hasMessage("rank 0 of 3: ranks [2] have not come within 500 ms")
                .satisfies(failure ->
                        assertThat(((DeadlineException) failure).ranks()).containsExactly(2));
        assertThatThrownBy(second::get)
                .cause()
                .isInstanceOf(DeadlineException.class)
                .hasMessageContaining("rank 1 of 3: rank 0 or another rank has not come");
        // Rank 1 comes before rank 0, and finds the part of before; then that of now.
        Future<String> one = rank(1, 2, "second", 0, LATER);
        Future<String> zero = rank(0, 2, "second", 400, LATER);
        assertThat(List.of(zero.get(), one.get())).containsOnly("second");
    }

    @Test
    void interruptEndsTheWait() throws Exception {
        Thread waiting = Thread.currentThread();
        Future<?> interrupter = ranks.submit(() -> {
            Thread.sleep(200);
            waiting.interrupt();
            return null;
        });
        assertThatThrownBy(() -> AgentStore.part(agent, 1, 2, LATER)).isInstanceOf(CancelledException.class);
        assertThat(Thread.interrupted()).isTrue();
        interrupter.get();
    }
}
