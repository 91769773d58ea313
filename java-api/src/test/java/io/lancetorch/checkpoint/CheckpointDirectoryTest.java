package io.lancetorch.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.distributed.Ranks;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.PeerFailedException;
import io.lancetorch.error.StorageException;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointDirectoryTest {
    @TempDir
    private Path temporary;

    private Path folder() {
        return temporary.resolve("run/checkpoints");
    }

    private static Path save(CheckpointDirectory directory, long step) {
        return save(directory, step, step);
    }

    private static Path save(CheckpointDirectory directory, long step, double value) {
        try (Tensor weight = Tensor.of(new double[] {value, step});
                Checkpoint checkpoint =
                        Checkpoint.after(step).model(Map.of("weight", weight)).build()) {
            return directory.save(checkpoint).orElseThrow();
        }
    }

    /** The step of the latest one, and -1 where there is none. */
    private static long latest(CheckpointDirectory directory) {
        try (CheckpointDirectory.Latest latest = directory.latest()) {
            return latest.isPresent() ? latest.checkpoint().step() : -1;
        }
    }

    private static List<Long> steps(Path folder) {
        return CheckpointDirectory.of(folder, 1).files().stream()
                .map(file -> Long.parseLong(file.getFileName().toString().split("-")[1]))
                .toList();
    }

    @Test
    void lastFewAreKeptAndTheLatestIsRead() throws Exception {
        var directory = CheckpointDirectory.of(folder(), 3);
        assertThat(latest(directory)).as("no folder yet").isEqualTo(-1);
        for (long step = 10; step <= 60; step += 10) {
            Path file = save(directory, step);
            assertThat(latest(CheckpointDirectory.of(folder(), 1))).isEqualTo(step);
            String digits = HexFormat.of()
                    .formatHex(
                            java.security.MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file)))
                    .substring(0, 16);
            assertThat(file.getFileName()).hasToString("step-0000000000" + step + "-" + digits + ".pt");
        }
        assertThat(steps(folder())).containsExactly(60L, 50L, 40L);
        try (var all = Files.list(folder())) {
            assertThat(all).hasSize(3);
        }
        assertThatThrownBy(() -> CheckpointDirectory.of(folder(), 0)).isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void oneThatIsCutShortOrDamagedIsSkippedForTheOneBeforeAndGoneAfterTheNext() throws Exception {
        var directory = CheckpointDirectory.of(folder(), 3);
        Path first = save(directory, 1);
        Path second = save(directory, 2);
        Path third = save(directory, 3);
        byte[] whole = Files.readAllBytes(third);
        Files.write(third, Arrays.copyOf(whole, whole.length - 1));
        byte[] flipped = Files.readAllBytes(second);
        flipped[flipped.length / 2] ^= 1;
        Files.write(second, flipped);
        try (CheckpointDirectory.Latest latest = directory.latest()) {
            assertThat(latest.file()).isEqualTo(first);
            assertThat(latest.checkpoint().step()).isEqualTo(1);
            assertThat(latest.skipped())
                    .extracting(CheckpointDirectory.Skipped::file)
                    .containsExactly(third, second);
            assertThat(latest.skipped()).allSatisfy(skipped -> assertThat(skipped.reason())
                    .isInstanceOf(CorruptDataException.class)
                    .hasMessageContaining(skipped.file().toString())
                    .hasMessageContaining("SHA-256"));
        }
        save(directory, 2);
        assertThat(steps(folder())).containsExactly(2L, 1L);
        assertThat(latest(directory)).isEqualTo(2);
    }

    @Test
    void everyLengthAndEveryDamageIsFound() throws Exception {
        var directory = CheckpointDirectory.of(folder(), 2);
        save(directory, 1);
        Path file = save(directory, 2);
        byte[] whole = Files.readAllBytes(file);
        var random = new Random(20261123);
        for (int i = 0; i < 250; i++) {
            byte[] damaged = Arrays.copyOf(whole, i % 2 == 0 ? random.nextInt(whole.length) : whole.length);
            if (i % 2 == 1) {
                damaged[random.nextInt(whole.length)] ^= (byte) (1 << random.nextInt(8));
            }
            Files.write(file, damaged);
            assertThat(latest(directory)).isEqualTo(1);
        }
        Files.write(file, whole);
        assertThat(latest(directory)).isEqualTo(2);
    }

    @Test
    void folderOfDamagedOnesHasNoneAndSaysWhy() throws Exception {
        var directory = CheckpointDirectory.of(folder(), 2);
        Files.write(save(directory, 1), new byte[0]);
        try (CheckpointDirectory.Latest latest = directory.latest()) {
            assertThat(latest.isPresent()).isFalse();
            assertThat(latest.skipped()).hasSize(1);
        }
    }

    @Test
    void sameStepSavedAgainReplacesTheOneThatWasThere() {
        var directory = CheckpointDirectory.of(folder(), 2);
        save(directory, 1);
        save(directory, 2, 5);
        save(directory, 2, 6);
        assertThat(steps(folder())).containsExactly(2L, 1L);
        try (CheckpointDirectory.Latest latest = directory.latest()) {
            assertThat(latest.checkpoint().model().get("weight").toDoubles()).containsExactly(6, 2);
        }
        save(directory, 2, 6);
        assertThat(steps(folder())).as("the same bytes again").containsExactly(2L, 1L);
    }

    @Test
    void earlierStepThanTheLatestIsNotSavedOverIt() {
        var directory = CheckpointDirectory.of(folder(), 1);
        save(directory, 100);
        assertThatThrownBy(() -> save(CheckpointDirectory.of(folder(), 1), 10))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("10 steps", "step-000000000100");
        assertThat(steps(folder())).containsExactly(100L);
    }

    @Test
    void whatAKilledRunLeftIsRemovedByTheNextSaveAndOtherFilesStay() throws Exception {
        Files.createDirectories(folder());
        Path left = Files.writeString(folder().resolve(".saving-7.pt.tmp-123-0"), "half");
        Path also = Files.writeString(folder().resolve(".saving-7.pt"), "whole, without its name");
        Path notes = Files.writeString(folder().resolve("notes.txt"), "mine");
        Path copy = Files.writeString(folder().resolve("step-5.pt"), "mine too");
        var directory = CheckpointDirectory.of(folder(), 1);
        assertThat(latest(directory)).isEqualTo(-1);
        assertThat(left).exists();
        save(directory, 1);
        save(directory, 2);
        assertThat(left).doesNotExist();
        assertThat(also).doesNotExist();
        assertThat(notes).exists();
        assertThat(copy).exists();
    }

    @Test
    void placeThatCannotBeWrittenIsATypedError() throws Exception {
        Path inTheWay = Files.writeString(temporary.resolve("file"), "");
        var directory = CheckpointDirectory.of(inTheWay.resolve("checkpoints"), 1);
        assertThatThrownBy(() -> save(directory, 1))
                .isInstanceOf(StorageException.class)
                .hasMessageContaining("checkpoints");
    }

    /** In a process of its own, whose files may be no larger than 1 MiB: the kernel refuses the write as on a full disk. */
    public static final class Writer {
        private Writer() {}

        public static void main(String[] arguments) {
            var directory = CheckpointDirectory.of(Path.of(arguments[0]), 1);
            save(directory, 1);
            try (var _ = new TensorScope();
                    Checkpoint large = Checkpoint.after(2)
                            .model(Map.of("weight", Ops.zeros(DType.FLOAT32, 1 << 20)))
                            .build()) {
                directory.save(large);
                System.out.println("saved");
            } catch (StorageException e) {
                System.out.println("refused: " + e.getMessage());
            }
        }
    }

    @Test
    void diskThatIsFullLeavesTheEarlierOnesAsTheyWere() throws Exception {
        String java = Path.of(System.getProperty("java.home"), "bin/java").toString();
        List<String> command = new ArrayList<>(List.of("sh", "-c", "ulimit -f 2048 && exec \"$@\"", "sh", java));
        command.add("--enable-native-access=ALL-UNNAMED");
        command.add("-XX:-UsePerfData");
        for (String name : List.of("lancetorch.native", "lancetorch.libtorch")) {
            command.add("-D" + name + "=" + System.getProperty(name, ""));
        }
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), Writer.class.getName()));
        command.add(folder().toString());
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        assertThat(output).contains("refused: ", "too large").doesNotContain("saved");
        assertThat(latest(CheckpointDirectory.of(folder(), 1))).isEqualTo(1);
        try (var files = Files.list(folder())) {
            assertThat(files).as("nothing else is left").hasSize(1);
        }
    }

    @Test
    void readersSeeWholeOnesWhileARunWrites() throws Exception {
        var directory = CheckpointDirectory.of(folder(), 1);
        save(directory, 1);
        var problems = new ArrayList<Throwable>();
        var reader = Thread.ofPlatform().start(() -> {
            try {
                long last = 0;
                while (last < 60) {
                    try (CheckpointDirectory.Latest latest =
                            CheckpointDirectory.of(folder(), 1).latest()) {
                        assertThat(latest.skipped()).isEmpty();
                        assertThat(latest.checkpoint().step()).isGreaterThanOrEqualTo(last);
                        last = latest.checkpoint().step();
                        assertThat(latest.checkpoint().model().get("weight").toDoubles())
                                .containsExactly(last, last);
                    }
                }
            } catch (Throwable e) {
                problems.add(e);
            }
        });
        for (int step = 2; step <= 60; step++) {
            save(directory, step);
        }
        reader.join();
        assertThat(problems).isEmpty();
    }

    // ---- ranks ----

    private interface Body {
        Object run(CheckpointDirectory directory, int rank) throws IOException;
    }

    /** What each rank's body returned or threw. */
    private static List<Object> ranks(int worldSize, Path[] folders, Body body) throws InterruptedException {
        return Ranks.outcomes(worldSize, Duration.ofSeconds(60), group -> {
            int rank = group.rank();
            return body.run(CheckpointDirectory.of(folders[rank % folders.length], 2, group), rank);
        });
    }

    @Test
    void rankZeroAloneWritesAndAllRanksReadTheSame() throws Exception {
        List<Object> outcomes = ranks(3, new Path[] {folder()}, (directory, rank) -> {
            assertThat(latest(directory)).isEqualTo(-1);
            for (long step = 1; step <= 2; step++) {
                try (Tensor weight = Tensor.of(new double[] {rank});
                        Checkpoint checkpoint = Checkpoint.after(step)
                                .model(Map.of("weight", weight))
                                .build()) {
                    assertThat(directory.save(checkpoint).isPresent()).isEqualTo(rank == 0);
                }
            }
            if (rank == 0) {
                Files.write(directory.files().getFirst(), new byte[100]);
            }
            try (CheckpointDirectory.Latest latest = directory.latest()) {
                return latest.checkpoint().step() + " of rank "
                        + latest.checkpoint().model().get("weight").item() + ", skipped "
                        + latest.skipped().size();
            }
        });
        assertThat(outcomes)
                .containsExactly("1 of rank 0.0, skipped 1", "1 of rank 0.0, skipped 0", "1 of rank 0.0, skipped 0");
    }

    @Test
    void rankThatDoesNotSeeTheFileIsNamedByTheOthers() throws Exception {
        save(CheckpointDirectory.of(folder(), 1), 7);
        Path[] folders = {folder(), folder(), temporary.resolve("elsewhere")};
        List<Object> outcomes = ranks(3, folders, (directory, rank) -> latest(directory));
        assertThat(outcomes.subList(0, 2)).allSatisfy(outcome -> assertThat((Throwable) outcome)
                .isInstanceOf(PeerFailedException.class)
                .hasMessageContaining("ranks [2]"));
        assertThat((Throwable) outcomes.get(2))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining("elsewhere");
    }
}
