package io.lancetorch.safety;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.checkpoint.Checkpoint;
import io.lancetorch.checkpoint.CheckpointDirectory;
import io.lancetorch.data.DataLoader;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.StorageException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.StateDict;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.testing.ChildJvm;
import io.lancetorch.testing.TestImages;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * A disk that takes no more in the middle of a file. Here it is the size of a file that is limited, which needs no rights: the
 * write fails in the same place, with EFBIG in the place of ENOSPC.
 */
@Timeout(120)
class FullDiskTest {
    /** Each file takes 1 MiB; in the units of bash, which are KiB. */
    private static final String LIMIT = "ulimit -f 1024";

    private static final Schema ROWS = Schema.of(Field.int64("id"), Field.binary("bytes"));

    @TempDir
    private Path folder;

    /** What runs under the limit: says of each write how it ended. */
    public static final class Program {
        private Program() {}

        private interface Write {
            void run() throws Exception;
        }

        private static void tell(String name, Write write) {
            try (var _ = new TensorScope()) {
                write.run();
                System.out.println(name + "|written|");
            } catch (Throwable e) {
                System.out.println(name + "|" + e.getClass().getSimpleName() + "|"
                        + e.getMessage().replace('\n', ' '));
            }
        }

        private static void append(Path path, LanceWriter.Mode mode) {
            try (var writer = LanceWriter.to(path.toString(), ROWS).mode(mode).open()) {
                byte[] bytes = new byte[100_000];
                var random = new Random(1);
                for (long i = 0; i < 100; i++) {
                    random.nextBytes(bytes);
                    writer.append(i, bytes);
                }
                writer.finish();
            }
        }

        private static Tensor large() {
            return Ops.zeros(DType.FLOAT32, 1 << 20);
        }

        public static void main(String[] arguments) {
            Path folder = Path.of(arguments[0]);
            tell("create", () -> append(folder.resolve("new.lance"), LanceWriter.Mode.CREATE));
            tell("append", () -> append(folder.resolve("old.lance"), LanceWriter.Mode.APPEND));
            tell("overwrite", () -> append(folder.resolve("old.lance"), LanceWriter.Mode.OVERWRITE));
            tell("new state", () -> StateDict.save(folder.resolve("new.pt"), Map.of("w", large())));
            tell("state", () -> StateDict.save(folder.resolve("old.pt"), Map.of("w", large())));
            tell("checkpoint", () -> CheckpointDirectory.of(folder.resolve("checkpoints"), 2)
                    .save(Checkpoint.after(20).model(Map.of("w", large())).build()));
            tell("cache", () -> {
                try (var dataset =
                                LanceDataset.open(folder.resolve("images.lance").toString());
                        var loader = DataLoader.of(dataset)
                                .image("image", ImageTransform.resize(224, 224).uint8())
                                .cache(folder.resolve("cache.lance").toString(), Map.of())
                                .open()) {
                    loader.forEach(batch -> {});
                }
            });
            tell("small", () -> StateDict.save(folder.resolve("small.pt"), Map.of("w", Tensor.of(new float[] {3}))));
        }
    }

    @Test
    void writeThatTheDiskDoesNotTakeIsNamedAndLeavesWhatWasThere() throws Exception {
        try (var writer = LanceWriter.to(folder.resolve("old.lance").toString(), ROWS)
                        .open();
                var _ = new TensorScope()) {
            writer.append(7L, new byte[] {7});
            writer.finish();
            StateDict.save(folder.resolve("old.pt"), Map.of("w", Tensor.of(new float[] {7})));
            CheckpointDirectory.of(folder.resolve("checkpoints"), 2)
                    .save(Checkpoint.after(10)
                            .model(Map.of("w", Tensor.of(new float[] {7})))
                            .build());
        }
        TestImages.grays(folder.resolve("images.lance"), 30, 30, Set.of()).close();

        List<String[]> told = ChildJvm.run(LIMIT, Program.class, folder).stream()
                .map(line -> line.split("\\|", 3))
                .toList();

        assertThat(told)
                .extracting(line -> line[0])
                .containsExactly("create", "append", "overwrite", "new state", "state", "checkpoint", "cache", "small");
        String[] small = told.getLast();
        assertThat(small[1]).as("the process goes on, and writes what fits").isEqualTo("written");
        Map<String, String> paths = Map.of(
                "create", "new.lance",
                "append", "old.lance",
                "overwrite", "old.lance",
                "new state", "new.pt",
                "state", "old.pt",
                "checkpoint", "checkpoints",
                "cache", "cache.lance");
        assertThat(told.subList(0, told.size() - 1)).allSatisfy(line -> {
            assertThat(line[1]).as(String.join("|", line)).isEqualTo(StorageException.class.getSimpleName());
            assertThat(line[2]).contains(paths.get(line[0]));
        });

        assertThatThrownBy(() -> LanceDataset.open(folder.resolve("new.lance").toString()))
                .isInstanceOf(NotFoundException.class);
        try (var old = LanceDataset.open(folder.resolve("old.lance").toString());
                var batch = old.take(new long[] {0}, "id")) {
            assertThat(old.version()).isEqualTo(1);
            assertThat(old.countRows()).isEqualTo(1);
            assertThat(batch.column("id").integer(0)).isEqualTo(7);
        }
        assertThat(folder.resolve("new.pt")).doesNotExist();
        try (var _ = new TensorScope()) {
            assertThat(StateDict.load(folder.resolve("old.pt")).get("w").item()).isEqualTo(7);
            assertThat(StateDict.load(folder.resolve("small.pt")).get("w").item())
                    .isEqualTo(3);
        }
        try (var latest =
                CheckpointDirectory.of(folder.resolve("checkpoints"), 2).latest()) {
            assertThat(latest.checkpoint().step()).isEqualTo(10);
            assertThat(latest.skipped()).isEmpty();
        }
        try (var files = Files.list(folder)) {
            assertThat(files.map(file -> file.getFileName().toString()))
                    .as("nothing is left of what was not written")
                    .allMatch(name -> name.matches("(new|old|images|cache)\\.lance|(old|small)\\.pt|checkpoints"));
        }
    }
}
