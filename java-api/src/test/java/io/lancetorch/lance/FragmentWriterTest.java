package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.testing.ChildJvm;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Datasets that many processes write at once, and one commits. */
@Timeout(300)
class FragmentWriterTest {
    private static final Schema SCHEMA = Schema.of(Field.int64("id"), Field.binary("bytes"));
    private static final int PROCESSES = 4;
    private static final int ROWS = 3000;
    private static final String NO_LIMIT = "true";

    @TempDir
    private Path folder;

    private String uri() {
        return folder.resolve("data.lance").toString();
    }

    private static LanceWriter.Builder to(String uri, LanceWriter.Mode mode) {
        return LanceWriter.to(uri, SCHEMA).mode(mode).maxRowsPerFile(1000);
    }

    private static void append(RowWriter writer, long begin, long end) {
        for (long id = begin; id < end; id++) {
            writer.append(id, bytes(id));
        }
    }

    /** 1 KB that depend on the id. */
    private static byte[] bytes(long id) {
        byte[] bytes = new byte[1024];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) (id * 31 + i);
        }
        return bytes;
    }

    private String part(LanceWriter.Mode mode, long begin, long end) {
        try (var writer = to(uri(), mode).openFragments()) {
            append(writer, begin, end);
            return writer.finish();
        }
    }

    /** Checks every row's bytes, and returns the ids in order. */
    private static List<Long> ids(LanceDataset dataset) {
        List<Long> ids = new ArrayList<>();
        try (Scan scan = dataset.scan().open()) {
            for (RecordBatch next; (next = scan.next()) != null; ) {
                try (RecordBatch batch = next) {
                    for (long row = 0; row < batch.rows(); row++) {
                        long id = batch.column("id").integer(row);
                        assertThat(batch.column("bytes").bytes(row).toArray(JAVA_BYTE))
                                .isEqualTo(bytes(id));
                        ids.add(id);
                    }
                }
            }
        }
        return ids;
    }

    private List<Long> ids() {
        try (var dataset = LanceDataset.open(uri())) {
            return ids(dataset);
        }
    }

    private static List<Long> range(long begin, long end) {
        return LongStream.range(begin, end).boxed().toList();
    }

    private int dataFiles() throws IOException {
        Path data = folder.resolve("data.lance/data");
        if (!Files.exists(data)) {
            return 0;
        }
        try (Stream<Path> files = Files.list(data)) {
            return (int) files.count();
        }
    }

    // ---- processes ----

    /** Writes a share once all the others have begun, prints what was written, and waits where it is told to. */
    static final class Writing {
        public static void main(String[] arguments) throws Exception {
            Path folder = Path.of(arguments[0]);
            LanceWriter.Mode mode = LanceWriter.Mode.valueOf(arguments[1]);
            int share = Integer.parseInt(arguments[2]);
            int shares = Integer.parseInt(arguments[3]);
            long begin = Long.parseLong(arguments[4]) + (long) share * ROWS;
            try (var writer = to(folder.resolve("data.lance").toString(), mode).openFragments()) {
                writer.append(begin, bytes(begin));
                Files.createFile(folder.resolve("begun-" + share));
                for (int other = 0; other < shares; other++) {
                    while (!Files.exists(folder.resolve("begun-" + other))) {
                        Thread.sleep(10);
                    }
                }
                append(writer, begin + 1, begin + ROWS);
                String part = writer.finish();
                System.out.println(part);
            }
        }
    }

    /** Writes on and on, and says so; or is done, and waits. */
    static final class WritingUntilKilled {
        public static void main(String[] arguments) throws Exception {
            boolean finishes = Boolean.parseBoolean(arguments[1]);
            try (var writer = to(arguments[0], LanceWriter.Mode.APPEND).openFragments()) {
                append(writer, 0, 2500);
                if (finishes) {
                    writer.finish();
                }
                System.out.println("written");
                for (long id = 2500; !finishes; id++) {
                    writer.append(id, bytes(id));
                }
                Thread.sleep(Long.MAX_VALUE);
            }
        }
    }

    private List<String> partsOfProcesses(LanceWriter.Mode mode, long first) throws Exception {
        List<Callable<String>> processes = new ArrayList<>();
        for (int share = 0; share < PROCESSES; share++) {
            int own = share;
            processes.add(() -> ChildJvm.run(NO_LIMIT, Writing.class, folder, mode, own, PROCESSES, first)
                    .getLast());
        }
        List<String> parts = new ArrayList<>();
        try (var threads = Executors.newFixedThreadPool(PROCESSES)) {
            for (var part : threads.invokeAll(processes)) {
                parts.add(part.get());
            }
        }
        for (int share = 0; share < PROCESSES; share++) {
            Files.delete(folder.resolve("begun-" + share));
        }
        return parts;
    }

    @Test
    void whatFourProcessesWriteAtOnceIsThereOnceAndInTheOrderOfTheParts() throws Exception {
        List<String> parts = partsOfProcesses(LanceWriter.Mode.CREATE, 0);
        assertThatThrownBy(() -> LanceDataset.open(uri()))
                .as("before the commit")
                .isInstanceOf(NotFoundException.class);
        assertThat(to(uri(), LanceWriter.Mode.CREATE).commit(parts)).isEqualTo(1);
        assertThat(ids()).isEqualTo(range(0, PROCESSES * ROWS));

        List<String> more = partsOfProcesses(LanceWriter.Mode.APPEND, PROCESSES * ROWS);
        try (var before = LanceDataset.open(uri())) {
            assertThat(to(uri(), LanceWriter.Mode.APPEND).commit(more)).isEqualTo(2);
            assertThat(before.countRows()).isEqualTo(PROCESSES * ROWS);
        }
        assertThat(ids()).isEqualTo(range(0, 2 * PROCESSES * ROWS));
        try (var dataset = LanceDataset.open(uri())) {
            assertThat(dataset.fragments())
                    .extracting(Fragment::rows)
                    .containsOnly(1000L)
                    .hasSize(24);
            assertThat(dataset.fragments()).extracting(Fragment::id).isEqualTo(range(0, 24));
        }
    }

    @Test
    void processThatIsKilledBeforeTheCommitLeavesTheOldVersion() throws Exception {
        to(uri(), LanceWriter.Mode.CREATE).commit(List.of(part(LanceWriter.Mode.CREATE, 0, 1500)));
        for (boolean finishes : new boolean[] {false, true}) {
            int before = dataFiles();
            Process child = ChildJvm.start(NO_LIMIT, WritingUntilKilled.class, uri(), finishes);
            try (BufferedReader output = child.inputReader(UTF_8)) {
                List<String> told = new ArrayList<>();
                for (String line; (line = output.readLine()) != null && !line.equals("written"); ) {
                    told.add(line);
                }
                assertThat(told).isEmpty();
                // The queue's rows reach the disk on threads of Lance's.
                while (child.isAlive() && dataFiles() == before) {
                    Thread.sleep(10);
                }
                child.destroyForcibly();
                assertThat(child.waitFor()).isEqualTo(128 + 9);
            }
            assertThat(dataFiles()).as("files that are in no version").isGreaterThan(before);
            try (var dataset = LanceDataset.open(uri())) {
                assertThat(dataset.version()).isEqualTo(1);
                assertThat(ids(dataset)).isEqualTo(range(0, 1500));
            }
        }
        // Its share is written anew, beside what it has left.
        String again = part(LanceWriter.Mode.APPEND, 1500, 4000);
        assertThat(to(uri(), LanceWriter.Mode.APPEND).commit(List.of(again))).isEqualTo(2);
        assertThat(ids()).isEqualTo(range(0, 4000));
    }

    // ---- one process ----

    @Test
    void partsAreCheckedBeforeTheyAreCommitted() {
        LanceWriter.Builder create = to(uri(), LanceWriter.Mode.CREATE);
        String part = part(LanceWriter.Mode.CREATE, 0, 10);
        assertThat(part).doesNotContain("\n").hasSizeLessThan(1000);
        assertThatThrownBy(() -> create.commit(List.of(part, part)))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("part 1", "part 0", uri());
        assertThatThrownBy(() -> create.commit(List.of(part, part.replace("int64", "int32"))))
                .isInstanceOf(CorruptDataException.class)
                .hasMessageContainingAll("part 1", "checksum");
        assertThatThrownBy(() -> to(uri(), LanceWriter.Mode.APPEND).commit(List.of(part)))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining(uri());
        Schema other = Schema.of(Field.int64("id"), Field.utf8("bytes"));
        String text;
        try (var writer = LanceWriter.to(uri(), other).openFragments()) {
            writer.append(1, "one");
            text = writer.finish();
        }
        assertThatThrownBy(() -> create.commit(List.of(part, text)))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("part 1", "'bytes'", "string", "binary");
        assertThat(create.commit(List.of(part))).isEqualTo(1);
        assertThatThrownBy(() -> create.commit(List.of()))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("already");
        assertThatThrownBy(() -> to(uri(), LanceWriter.Mode.APPEND).commit(List.of(part)))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("committed before");
        assertThat(ids()).isEqualTo(range(0, 10));
    }

    @Test
    void writerThatIsClosedWithoutAnEndLeavesNothing() throws IOException {
        try (var writer = to(uri(), LanceWriter.Mode.CREATE).openFragments()) {
            append(writer, 0, 2500);
        }
        assertThat(dataFiles()).isZero();
        var writer = to(uri(), LanceWriter.Mode.CREATE).openFragments();
        writer.finish();
        writer.close();
        assertThatThrownBy(writer::finish).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> writer.append(1, bytes(1))).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void metadataIsThatOfTheCommit() {
        String part = part(LanceWriter.Mode.CREATE, 0, 3);
        Schema named = SCHEMA.withMetadata(Map.of("made by", "many"));
        LanceWriter.to(uri(), named).commit(List.of(part));
        try (var dataset = LanceDataset.open(uri())) {
            assertThat(dataset.schema().metadata()).containsEntry("made by", "many");
        }
    }

    @Test
    void versionsTellWhatMadeThem() {
        Instant start = Instant.now().minusSeconds(1);
        to(uri(), LanceWriter.Mode.CREATE).commit(List.of(part(LanceWriter.Mode.CREATE, 0, 1500)));
        List<String> parts = new ArrayList<>(
                List.of(part(LanceWriter.Mode.APPEND, 1500, 1510), part(LanceWriter.Mode.APPEND, 1510, 1520)));
        Collections.reverse(parts);
        to(uri(), LanceWriter.Mode.APPEND).commit(parts);
        to(uri(), LanceWriter.Mode.OVERWRITE).commit(List.of(part(LanceWriter.Mode.OVERWRITE, 0, 5)));
        try (var dataset = LanceDataset.open(uri())) {
            List<DatasetVersion> versions = dataset.versions(10);
            assertThat(versions).extracting(DatasetVersion::version).containsExactly(1L, 2L, 3L);
            assertThat(versions).extracting(DatasetVersion::rows).containsExactly(1500L, 1520L, 5L);
            assertThat(versions).extracting(DatasetVersion::fragments).containsExactly(2L, 4L, 1L);
            assertThat(versions)
                    .extracting(DatasetVersion::operation)
                    .containsExactly("Overwrite", "Append", "Overwrite");
            assertThat(versions.get(1).bytes()).isGreaterThan(100_000);
            assertThat(versions).allSatisfy(version -> assertThat(version.time())
                    .isBetween(start, Instant.now().plusSeconds(1)));
            assertThat(dataset.versions(1)).containsExactly(versions.getLast());
            assertThatThrownBy(() -> dataset.versions(-1)).isInstanceOf(InvalidArgumentException.class);
        }
        try (var first = LanceDataset.openVersion(uri(), Map.of(), 1)) {
            assertThat(ids(first)).isEqualTo(range(0, 1500));
        }
    }
}
