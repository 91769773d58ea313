package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.examples.CommandLineRun.Result;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageCodec;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import java.awt.image.BufferedImage;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A dataset is looked at, by people and by programs. */
class InspectCommandTest {
    private static final int[] COLOURS = {0xc02020, 0x20c020, 0x2020c0};

    @TempDir
    private Path folder;

    private static JsonNode json(String... arguments) throws Exception {
        String[] command = new String[arguments.length + 2];
        command[0] = "inspect";
        command[1] = "--json";
        System.arraycopy(arguments, 0, command, 2, arguments.length);
        Result result = CommandLineRun.run(command);
        assertThat(result.status()).as(result.output()).isZero();
        return new ObjectMapper().readTree(result.output());
    }

    private static List<Long> numbers(JsonNode array, String name) {
        return IntStream.range(0, array.size())
                .mapToObj(i -> array.get(i).get(name).asLong())
                .toList();
    }

    /** Seven versions, of which Python's lance wrote the last two by a delete and a merge. */
    @Test
    void programsAreToldOfDeletedRowsVersionsAndShares() throws Exception {
        Path dataset = Path.of(
                System.getProperty("lancetorch.root"), "java-api/src/test/resources/lance/python-evolved.lance");
        JsonNode told = json(dataset.toString(), "--ranks=3", "--batch-size=4", "--versions=3");
        assertThat(told.get("version").asLong()).isEqualTo(7);
        assertThat(told.get("rows").asLong()).isEqualTo(53);
        assertThat(told.get("deletedRows").asLong()).isEqualTo(6);
        assertThat(told.get("columns").toString())
                .contains("{\"name\":\"vector\",\"type\":\"fixed_size_list<float32>[4]\",\"nullable\":true}");
        JsonNode fragments = told.get("fragments");
        assertThat(numbers(fragments.get("first"), "rows")).containsExactly(16L, 20L, 16L, 1L);
        assertThat(numbers(fragments.get("first"), "deletedRows")).containsExactly(4L, 0L, 2L, 0L);
        assertThat(fragments.get("smallest").asLong()).isEqualTo(1);
        assertThat(fragments.get("median").asLong()).isEqualTo(16);
        assertThat(fragments.get("largest").asLong()).isEqualTo(20);
        assertThat(numbers(told.get("versions"), "version")).containsExactly(5L, 6L, 7L);
        assertThat(numbers(told.get("versions"), "rows")).containsExactly(60L, 53L, 53L);
        assertThat(told.get("versions").findValuesAsText("operation")).containsExactly("Append", "Delete", "Merge");
        assertThat(told.get("moreVersions").asBoolean()).isTrue();
        long bytes = 0;
        try (var files = Files.list(dataset.resolve("data"))) {
            for (Path file : files.toList()) {
                bytes += Files.size(file);
            }
        }
        assertThat(told.get("bytes").asLong()).isBetween(1L, bytes);
        assertThat(told.get("bytesPerRow").asLong()).isEqualTo(told.get("bytes").asLong() / 53);
        JsonNode shares = told.get("balance").get("samplers");
        assertThat(shares.findValuesAsText("sampler")).containsExactly("sharded_fragment", "sharded_batch", "random");
        JsonNode random = shares.get(2);
        assertThat(random.get("leastRows").asLong()).isEqualTo(17);
        assertThat(random.get("mostRows").asLong()).isEqualTo(18);
        assertThat(random.get("steps").asLong()).isEqualTo(5);
        // Four fragments for three ranks: one rank has two of them.
        JsonNode byFragment = shares.get(0);
        assertThat(byFragment.get("mostRows").asLong()
                        - byFragment.get("leastRows").asLong())
                .isEqualTo(byFragment.get("repeats").asLong())
                .isGreaterThanOrEqualTo(15);
        assertThat(told.get("contactSheet").isNull()).isTrue();
    }

    @Test
    void peopleAreToldOfManyFragmentsInAFewLinesOf80Columns() throws Exception {
        String dataset = CommandLineRun.createDataset(folder, 60, 1);
        Result overwritten =
                CommandLineRun.run("create-dataset", "--images=45", "--fragment-size=1", "--overwrite", dataset);
        assertThat(overwritten.status()).as(overwritten.output()).isZero();
        Result result = CommandLineRun.run("inspect", "--ranks=1000", dataset);
        assertThat(result.status()).as(result.output()).isZero();
        assertThat(result.output())
                .startsWith(dataset + ", version 2\n45 rows in 45 fragments, and 0 deleted ones\n")
                .contains("in 45 data files")
                .contains("  label                      int64\n")
                .contains("smallest 1, median 1, largest 1")
                .contains("  and 35 more\n")
                .contains("Shares of 1,000 ranks, in batches of 64", "(of the ranks 0, 1, 500, 998, 999)")
                .containsPattern("(?m)^ +1  \\S+Z +60 +60 .*Overwrite$")
                .containsPattern("(?m)^ +2  \\S+Z +45 +45 .*Overwrite$")
                .doesNotContain("\u001b");
        assertThat(result.output().lines().skip(1)).hasSizeLessThan(45).allSatisfy(line -> assertThat(line)
                .hasSizeLessThanOrEqualTo(80));
    }

    @Test
    void theContactSheetShowsEachImageWhereItBelongsAndCrossesOutWhatIsNone() throws Exception {
        String dataset = folder.resolve("colours.lance").toString();
        Schema schema = Schema.of(Field.binary("picture"), Field.utf8("label"));
        try (LanceWriter writer = LanceWriter.to(dataset, schema).open()) {
            for (int i = 0; i < 12; i++) {
                Object picture = i == 9 ? "no image".getBytes(StandardCharsets.UTF_8) : i == 10 ? null : jpeg(i);
                writer.append(picture, i == 3 ? null : "colour\u001b[31m " + i % 3);
            }
            writer.finish();
        }
        Path file = folder.resolve("sheet.PNG");
        JsonNode written = json(dataset, "--column=picture", "--images=11", "--contact-sheet=" + file)
                .get("contactSheet");
        assertThat(written.get("file").asText()).isEqualTo(file.toString());
        assertThat(written.get("images").asInt()).isEqualTo(11);
        assertThat(written.get("unreadableRows").toString()).isEqualTo("[9,10]");
        BufferedImage sheet = ImageIO.read(file.toFile());
        assertThat(sheet.getWidth()).isEqualTo(8 + 8 * 136);
        assertThat(sheet.getHeight()).isEqualTo(8 + 2 * 154);
        for (int i = 0; i < 16; i++) {
            int left = 8 + i % 8 * 136;
            int top = 8 + i / 8 * 154;
            for (int[] at : new int[][] {{4, 20}, {123, 20}, {20, 123}, {64, 80}}) {
                int expected = i > 10 ? 0xffffff : i > 8 ? 0xc0c0c0 : COLOURS[i % 3];
                assertThat(distance(sheet.getRGB(left + at[0], top + at[1]), expected))
                        .as("image %d at %d, %d", i, at[0], at[1])
                        .isLessThan(12);
            }
            assertThat(distance(sheet.getRGB(left + 64, top - 4), 0xffffff)).isZero();
            boolean captioned = i <= 10 && written.get("captions").asBoolean();
            assertThat(hasInk(sheet, left, top + 128)).as("caption of %d", i).isEqualTo(captioned);
        }
    }

    /** Of one colour, and wider than it is high. */
    private static byte[] jpeg(int index) {
        byte[] rgb = new byte[3 * 200 * 150];
        for (int i = 0; i < rgb.length; i++) {
            rgb[i] = (byte) (COLOURS[index % 3] >> 8 * (2 - i % 3));
        }
        return ImageCodec.encodeJpeg(rgb, 150, 200, 95);
    }

    private static int distance(int rgb, int other) {
        int most = 0;
        for (int shift = 0; shift < 24; shift += 8) {
            most = Math.max(most, Math.abs((rgb >> shift & 0xff) - (other >> shift & 0xff)));
        }
        return most;
    }

    private static boolean hasInk(BufferedImage sheet, int left, int top) {
        for (int y = 0; y < 18; y++) {
            for (int x = 0; x < 128; x++) {
                if (distance(sheet.getRGB(left + x, top + y), 0) < 100) {
                    return true;
                }
            }
        }
        return false;
    }

    @ParameterizedTest
    @CsvSource({
        "1, nothing.lance, --json, there is no Lance dataset",
        "1, shapes.lance, --contact-sheet=FOLDER/a.png --column=picture, 'no column picture: --column names one of its binary'",
        "1, shapes.lance, --contact-sheet=FOLDER/a.png --column=label, label of FOLDER/shapes.lance is int64",
        "1, shapes.lance, --contact-sheet=FOLDER/none/a.png, no folder FOLDER/none for the contact sheet",
        "2, shapes.lance, --contact-sheet=FOLDER/a.jpg, its name ends in .png",
        "2, shapes.lance, --contact-sheat=a.png, --contact-sheet",
        "2, shapes.lance, --ranks=0, --ranks and --batch-size are 1 or more",
        "2, shapes.lance, --images=1001, --images is 1 to 1000",
    })
    void aWrongUseIsToldInALineThatSaysWhatIsWrong(int status, String dataset, String options, String message)
            throws Exception {
        if (options.contains("--column")) {
            CommandLineRun.createDataset(folder, 3, 3);
        }
        String here = folder.toString();
        String[] command = ("inspect FOLDER/" + dataset + " " + options)
                .replace("FOLDER", here)
                .split(" ");
        Result result = CommandLineRun.run(command);
        assertThat(result.status()).as(result.output()).isEqualTo(status);
        assertThat(result.output())
                .contains("lancetorch: ", message.replace("FOLDER", here))
                .doesNotContain("\tat ");
        assertThat(folder.resolve("a.png")).doesNotExist();
    }
}
