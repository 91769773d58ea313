package io.lancetorch.distributed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.lancetorch.error.Collective;
import io.lancetorch.error.DeadlineException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.PeerFailedException;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.io.BufferedReader;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the other ranks learn when one dies, stops, throws, sleeps or leaves: ranks as processes, in the midst of training. */
@Timeout(value = 10, unit = TimeUnit.MINUTES)
class FailureTest {
    private static final long DEADLINE_MILLIS = 3_000;
    private static final long SOON_MILLIS = 5_000;
    /** Asks for the figures that an idle machine has, and for many rounds. */
    private static final boolean LONG = Boolean.getBoolean("lancetorch.long");

    // ---- a rank ----

    /** Trains until something ends it; the rank {@code args[1]} does {@code args[0]} at the step {@code args[2]}. */
    static final class Rank {
        private Rank() {}

        public static void main(String[] args) throws Exception {
            int status = 0;
            try {
                train(args[0], Integer.parseInt(args[1]), Integer.parseInt(args[2]));
            } catch (IllegalStateException e) {
                System.out.println("threw " + e.getMessage());
                status = 4;
            }
            System.out.flush();
            System.exit(status);
        }

        private static void train(String what, int who, int when) throws Exception {
            long start = 0;
            try (var group = ProcessGroup.fromEnvironment(
                            RankEnvironment.read(),
                            Duration.ofMinutes(2),
                            Duration.ofMillis(DEADLINE_MILLIS),
                            HealthCheck.DEFAULT);
                    var _ = new TensorScope();
                    Tensor weight = Ops.ones(DType.FLOAT32, 1000, 300).requiresGrad(true);
                    Tensor bias = Ops.ones(DType.FLOAT32, 1000).requiresGrad(true);
                    var ddp = new DistributedDataParallel(group, List.of(weight, bias), List.of(), 4096, false);
                    var sgd = Optimizer.sgd(List.of(weight, bias), 1e-9, 0, 0)) {
                Tensor input = Ops.ones(DType.FLOAT32, 4, 300);
                try {
                    for (int step = 0; ; step++) {
                        start = System.nanoTime();
                        group.step(step);
                        if (group.rank() == who && step == when) {
                            switch (what) {
                                case "throw" -> throw new IllegalStateException("out of cheese");
                                case "sleep" -> Thread.sleep(60_000);
                                case "leave" -> {
                                    return;
                                }
                                default -> {}
                            }
                        }
                        try (var _ = new TensorScope()) {
                            Tensor loss = Ops.sum(ddp.forward(() -> Ops.linear(input, weight, bias)));
                            ddp.backward(loss);
                            sgd.step();
                            sgd.zeroGrad();
                            Tensor sum = Ops.mul(loss.detach(), 1);
                            group.allReduce(sum, ReduceOp.SUM);
                        }
                        if (step < 40) {
                            System.out.println("step " + step);
                        }
                        Thread.sleep(5);
                    }
                } catch (PeerFailedException e) {
                    tell(e, e.ranks(), e.collective(), start);
                } catch (DeadlineException e) {
                    tell(e, e.ranks(), e.collective(), start);
                } catch (IllegalStateException e) {
                    group.fail(e);
                    throw e;
                }
            }
        }

        private static void tell(LanceTorchException e, List<Integer> ranks, Collective at, long start) {
            System.out.println(String.join(
                    "|",
                    "answer",
                    e.getClass().getSimpleName(),
                    ranks.toString(),
                    at.operation(),
                    "" + at.step(),
                    "" + at.sequence(),
                    "" + (System.nanoTime() - start) / 1_000_000,
                    e.getMessage()));
        }
    }

    /** What a rank told of a failure. */
    private record Answer(
            int rank,
            String type,
            String ranks,
            String operation,
            long step,
            long sequence,
            long millis,
            String text) {}

    /** Ranks that run. */
    private static final class World implements AutoCloseable {
        final List<Process> processes = new ArrayList<>();
        final List<List<String>> output = new ArrayList<>();
        private final List<Thread> readers = new ArrayList<>();

        World(int size, String what, int who, int when) throws Exception {
            int port = Ranks.freePort();
            for (int rank = 0; rank < size; rank++) {
                var builder = new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java")
                                        .toString(),
                                "--enable-native-access=ALL-UNNAMED",
                                "-XX:+UseSerialGC",
                                "-XX:TieredStopAtLevel=1",
                                "-Xmx256m",
                                "-Dlancetorch.native=" + System.getProperty("lancetorch.native"),
                                "-Dlancetorch.libtorch=" + System.getProperty("lancetorch.libtorch", ""),
                                "-cp",
                                System.getProperty("java.class.path"),
                                Rank.class.getName(),
                                what,
                                "" + who,
                                "" + when)
                        .redirectErrorStream(true);
                builder.environment()
                        .putAll(Map.of(
                                "RANK",
                                "" + rank,
                                "LOCAL_RANK",
                                "" + rank,
                                "WORLD_SIZE",
                                "" + size,
                                "MASTER_ADDR",
                                "127.0.0.1",
                                "MASTER_PORT",
                                "" + port,
                                "GLOO_SOCKET_HOST",
                                "127.0.0.1",
                                "OMP_NUM_THREADS",
                                "1",
                                "TORCH_CPP_LOG_LEVEL",
                                "ERROR"));
                Process process = builder.start();
                processes.add(process);
                List<String> lines = new CopyOnWriteArrayList<>();
                output.add(lines);
                readers.add(Thread.ofPlatform().daemon().start(() -> {
                    try (BufferedReader reader = process.inputReader()) {
                        reader.lines().forEach(lines::add);
                    } catch (Exception e) {
                        lines.add(e.toString());
                    }
                }));
            }
        }

        void awaitStep(int step) throws InterruptedException {
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(120);
            for (List<String> lines : output) {
                while (!lines.contains("step " + step)) {
                    assertThat(System.nanoTime())
                            .as("step %d of %s", step, output)
                            .isLessThan(deadline);
                    assertThat(lines).noneMatch(line -> line.startsWith("answer"));
                    Thread.sleep(2);
                }
            }
        }

        void signal(int rank, String name) throws Exception {
            assertThat(new ProcessBuilder(
                                    "kill", "-" + name, "" + processes.get(rank).pid())
                            .start()
                            .waitFor())
                    .isZero();
        }

        /** What all ranks but {@code who} have told when they have ended, at most {@code millis} from now. */
        List<Answer> answers(int who, long millis) throws Exception {
            long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
            List<Answer> answers = new ArrayList<>();
            for (int rank = 0; rank < processes.size(); rank++) {
                if (rank == who) {
                    continue;
                }
                boolean ended =
                        processes.get(rank).waitFor(Math.max(1, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
                assertThat(ended).as("rank %d has ended: %s", rank, output).isTrue();
                readers.get(rank).join(10_000);
                assertThat(processes.get(rank).exitValue())
                        .as("%s", output.get(rank))
                        .isZero();
                String[] told = output.get(rank).stream()
                        .filter(line -> line.startsWith("answer"))
                        .findFirst()
                        .orElseThrow(() -> new AssertionError("no answer of: " + output))
                        .split("\\|", 8);
                answers.add(new Answer(
                        rank,
                        told[1],
                        told[2],
                        told[3],
                        Long.parseLong(told[4]),
                        Long.parseLong(told[5]),
                        Long.parseLong(told[6]),
                        told[7]));
            }
            return answers;
        }

        @Override
        public void close() {
            processes.forEach(Process::destroyForcibly);
        }
    }

    private static void assertNamed(List<Answer> answers, Class<?> type, int who, String... text) {
        assertThat(answers).allSatisfy(answer -> {
            assertThat(answer.type()).as("%s", answer).isEqualTo(type.getSimpleName());
            assertThat(answer.ranks()).as("%s", answer).isEqualTo("[" + who + "]");
            assertThat(answer.operation()).isIn("averaging of gradients", "all-reduce");
            assertThat(answer.step()).isNotNegative();
            // Two in a step, after the three of the start.
            assertThat(answer.sequence())
                    .isEqualTo(2 * answer.step() + (answer.operation().startsWith("averaging") ? 4 : 5));
            assertThat(answer.text())
                    .contains(
                            answer.operation() + " #" + answer.sequence() + " (step " + answer.step() + ") on rank "
                                    + answer.rank(),
                            "rank " + who)
                    .contains(text);
        });
    }

    // ---- what they learn ----

    private static long kill(int world, Random random) throws Exception {
        int who = random.nextInt(world);
        try (var ranks = new World(world, "nothing", -1, -1)) {
            ranks.awaitStep(random.nextInt(30));
            Thread.sleep(random.nextInt(30));
            long start = System.nanoTime();
            ranks.processes.get(who).destroyForcibly();
            List<Answer> answers = ranks.answers(who, SOON_MILLIS);
            long millis = (System.nanoTime() - start) / 1_000_000;
            assertThat(answers).hasSize(world - 1);
            assertNamed(answers, PeerFailedException.class, who, "is gone");
            return millis;
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 4})
    void rankThatIsKilledIsNamedByAllOthersWithinSeconds(int world) throws Exception {
        var random = new Random();
        for (int i = 0; i < 2; i++) {
            kill(world, random);
        }
    }

    @Test
    @Timeout(value = 60, unit = TimeUnit.MINUTES)
    void fiftyKillsAtRandomStepsAreNamedWithinSeconds() throws Exception {
        assumeTrue(LONG, "skipped: it takes minutes; -Dlancetorch.long=true runs it");
        var random = new Random();
        for (int world : new int[] {2, 4}) {
            long[] millis = new long[50];
            for (int i = 0; i < millis.length; i++) {
                millis[i] = kill(world, random);
            }
            System.out.printf(
                    "%d kills of one of %d ranks: the others have ended after %s ms%n",
                    millis.length, world, java.util.Arrays.stream(millis).summaryStatistics());
        }
    }

    /** Rank 0 has the store and watches the others. */
    @ParameterizedTest
    @CsvSource({"3, 0", "3, 2"})
    void rankThatIsStoppedIsNamedAtTheDeadline(int world, int who) throws Exception {
        try (var ranks = new World(world, "nothing", -1, -1)) {
            ranks.awaitStep(5);
            ranks.signal(who, "STOP");
            List<Answer> answers = ranks.answers(who, DEADLINE_MILLIS + 4 * SOON_MILLIS);
            assertNamed(answers, DeadlineException.class, who, "does not answer");
            assertThat(answers).allSatisfy(answer -> assertThat(answer.millis())
                    .as("%s", answers)
                    .isBetween(DEADLINE_MILLIS - 1_000, DEADLINE_MILLIS + (LONG ? 1_000 : SOON_MILLIS)));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1})
    void rankThatThrowsIsNamedWithWhatItThrew(int who) throws Exception {
        try (var ranks = new World(3, "throw", who, 7)) {
            List<Answer> answers = ranks.answers(who, 60_000);
            assertNamed(
                    answers, PeerFailedException.class, who, "failed: java.lang.IllegalStateException: out of cheese");
            assertThat(answers).allSatisfy(answer -> assertThat(answer.step()).isIn(6L, 7L));
            assertThat(ranks.processes.get(who).waitFor(10, TimeUnit.SECONDS)).isTrue();
            assertThat(ranks.processes.get(who).exitValue()).isEqualTo(4);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1})
    void rankThatLeavesEarlyIsNamed(int who) throws Exception {
        try (var ranks = new World(3, "leave", who, 7)) {
            List<Answer> answers = ranks.answers(who, 60_000);
            assertNamed(answers, PeerFailedException.class, who, "has left the group after all-reduce #17 (step 6)");
            assertThat(answers).allSatisfy(answer -> {
                assertThat(answer.step()).isEqualTo(7);
                assertThat(answer.millis()).isLessThan(DEADLINE_MILLIS - 500);
            });
            assertThat(ranks.processes.get(who).waitFor(10, TimeUnit.SECONDS)).isTrue();
            assertThat(ranks.processes.get(who).exitValue()).isZero();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 2})
    void rankThatIsBusyElsewhereIsNamedWithWhereItIs(int who) throws Exception {
        try (var ranks = new World(3, "sleep", who, 7)) {
            List<Answer> answers = ranks.answers(who, 60_000);
            assertNamed(
                    answers,
                    DeadlineException.class,
                    who,
                    "has not come: the last that it began is all-reduce #17 (step 6)");
            assertThat(IntStream.range(0, 3).filter(rank -> rank != who).mapToObj(ranks.output::get))
                    .allSatisfy(lines -> assertThat(lines).contains("step 6").doesNotContain("step 7"));
        }
    }
}
