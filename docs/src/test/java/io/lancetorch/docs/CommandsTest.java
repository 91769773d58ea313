package io.lancetorch.docs;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.docs.Documents.Piece;
import io.lancetorch.docs.Shell.Result;
import io.lancetorch.lance.ImageCodec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * Each command of the README and the site. All are parsed by the real script, so that a wrong name or option fails; those that
 * are cheap are run as they stand, in a folder that has the photos and the dataset of which the documents speak.
 */
class CommandsTest {
    /** Which commands are only parsed, and why. */
    private static final Map<Pattern, String> NOT_RUN = new LinkedHashMap<>();

    static {
        notRun("\\./lancetorch train(?!.*\\.lance)", "trains on the 5,000 drawings; TrainingTest does on fewer");
        notRun("\\./lancetorch test\\b", "is what runs this test");
        notRun("\\./lancetorch build\\b", "has run before this test");
        notRun("\\./lancetorch site\\b", "has run before this test: SiteTest looks at what it made");
        notRun("\\./lancetorch bench\\b", "takes minutes and 8 GB of peers; BenchTest runs its parts");
        notRun("\\./lancetorch launch$", "is spoken of; it needs another command");
        notRun(".*--device cuda", "wants a GPU");
        notRun("native/gpu-checks/", "wants a GPU, or packs for one");
        notRun("torchrun\\b", "wants a Python with torch; KilledTrainingTest runs it where there is one");
        notRun("mvn\\b", "samples/test.sh installs; the bindings are committed");
        notRun("(sbatch|srun|scancel|squeue|kubectl|docker|helm|spark-submit)\\b", "wants a cluster");
        notRun("(sudo|apt-get|pip|curl|git)\\b", "changes the machine, or wants the network");
    }

    /** What stands for something of the user's. */
    private static final Map<String, String> PLACEHOLDERS = Map.of(
            "\\bDIR\\b", "photos",
            "\\bN\\b", "2",
            "\\bFILE\\.svg\\b", "chart.svg",
            "\\bFILE\\b", "out.json",
            "\\bDATASET\\b", "photos.lance",
            "\\bCOMMAND\\b", "train",
            "\\bRUN…", "photos",
            "\\bSECONDS\\b", "10",
            "…", "");

    /** What a command needs that another one of the same document makes. */
    private static final Map<String, String> BEFORE =
            Map.of(" report runs/1", "./lancetorch train photos.lance --run-dir runs/1 --epochs 1 --image-size 32");

    private static final Pattern OURS = Pattern.compile("\\./lancetorch\\b[^|>)#]*");

    @TempDir
    private static Path folder;

    private static Path photos;
    private static int folders;

    private static void notRun(String pattern, String reason) {
        NOT_RUN.put(Pattern.compile(pattern), reason);
    }

    @BeforeAll
    static void makePhotos() throws Exception {
        Path first = Files.createDirectory(folder.resolve("first"));
        for (String name : List.of("bowls", "cups", "forks")) {
            Path ofClass = Files.createDirectories(first.resolve("photos").resolve(name));
            for (int i = 0; i < 4; i++) {
                byte[] pixels = new byte[40 * 48 * 3];
                Arrays.fill(pixels, (byte) (40 * i + name.length()));
                Files.write(ofClass.resolve(i + ".jpg"), ImageCodec.encodeJpeg(pixels, 40, 48, 90));
            }
        }
        photos = first.resolve("photos");
        script(first);
        Result made = Shell.run(first, Map.of(), "./lancetorch create-dataset photos/ photos.lance");
        assertThat(made.status()).as(made.output()).isZero();
    }

    /** In the folder, {@code ./lancetorch} is the clone's. */
    private static void script(Path where) throws IOException {
        Path script = Files.writeString(
                where.resolve("lancetorch"), "#!/bin/sh\nexec '" + Documents.ROOT.resolve("lancetorch") + "' \"$@\"\n");
        assertThat(script.toFile().setExecutable(true)).isTrue();
    }

    private static Path freshFolder(boolean withDataset) throws Exception {
        Path fresh = Files.createDirectory(folder.resolve("run-" + folders++));
        script(fresh);
        List<String> copied = new ArrayList<>(List.of("cp", "-r", photos.toString()));
        if (withDataset) {
            copied.add(photos.resolveSibling("photos.lance").toString());
        }
        copied.add(fresh.toString());
        assertThat(new ProcessBuilder(copied).inheritIO().start().waitFor()).isZero();
        return fresh;
    }

    private static List<Piece> commands() throws IOException {
        List<Piece> commands = new ArrayList<>();
        for (Path document : Documents.all()) {
            for (Piece block : Documents.blocks(document, "sh")) {
                String[] lines = block.text().split("\n");
                for (int i = 0; i < lines.length; i++) {
                    int line = block.line() + i;
                    var command = new StringBuilder(lines[i]);
                    while (lines[i].endsWith("\\")) {
                        command.setLength(command.length() - 1);
                        command.append(lines[++i].strip());
                    }
                    if (!command.toString().isBlank() && !command.toString().startsWith("#")) {
                        commands.add(new Piece(document, line, command.toString()));
                    }
                }
            }
            Documents.inlineCode(document).stream()
                    .filter(code -> code.text().contains("./lancetorch ")
                            && !code.text().matches(".*(run|with) \\./lancetorch.*"))
                    .forEach(commands::add);
        }
        // Several documents say the same: once is enough.
        Map<String, Piece> different = new LinkedHashMap<>();
        commands.forEach(command ->
                different.putIfAbsent(command.text().replaceFirst("\\s+#.*", "").strip(), command));
        return List.copyOf(different.values());
    }

    private static String filled(String command) {
        String filled = command;
        for (var placeholder : PLACEHOLDERS.entrySet()) {
            filled = filled.replaceAll(placeholder.getKey(), placeholder.getValue());
        }
        return filled;
    }

    private static String reasonNotToRun(String command) {
        String program = command.replaceFirst("^(?:\\w+=\\S+ )+", "");
        return NOT_RUN.entrySet().stream()
                .filter(rule -> rule.getKey().matcher(program).lookingAt())
                .map(Map.Entry::getValue)
                .findFirst()
                .orElse(null);
    }

    @Test
    void thereAreCommandsInTheReadmeAndOnTheSite() throws Exception {
        List<Piece> commands = commands();
        assertThat(commands).hasSizeGreaterThan(30);
        assertThat(commands.stream().map(Piece::document).distinct()).hasSizeGreaterThan(5);
        assertThat(commands.stream().filter(command -> reasonNotToRun(command.text()) == null))
                .hasSizeGreaterThan(8);
    }

    @TestFactory
    Stream<DynamicTest> theirOptionsAreUnderstood() throws Exception {
        return commands().stream()
                .map(command -> DynamicTest.dynamicTest(command.toString(), () -> {
                    Matcher ours = OURS.matcher(filled(command.text()));
                    while (ours.find()) {
                        // Behind "--" is another program; a command by its name alone is only spoken of.
                        String parsed = ours.group()
                                .strip()
                                .replaceFirst(" -- .*", " -- true")
                                .replaceFirst("^\\./lancetorch ([a-z-]+)$", "./lancetorch help $1");
                        Result result = Shell.run(photos.getParent(), Map.of("LANCETORCH_PARSE_ONLY", "1"), parsed);
                        assertThat(result.status())
                                .as(parsed + "\n" + result.output())
                                .isIn(0, 3);
                    }
                }));
    }

    @TestFactory
    Stream<DynamicTest> theyRun() throws Exception {
        return commands().stream()
                .filter(command -> reasonNotToRun(command.text()) == null
                        && filled(command.text()).equals(command.text()))
                .map(command -> DynamicTest.dynamicTest(command.toString(), () -> {
                    Path where = freshFolder(!command.text().contains(" create-dataset "));
                    for (var before : BEFORE.entrySet()) {
                        if (command.text().contains(before.getKey())) {
                            Result made = Shell.run(where, Map.of(), before.getValue());
                            assertThat(made.status()).as(made.output()).isZero();
                        }
                    }
                    Result result = Shell.run(where, Map.of(), command.text());
                    assertThat(result.status()).as(result.output()).isZero();
                }));
    }

    @Test
    void aWrongOptionAndAWrongNameAreNotUnderstood() throws Exception {
        for (String command : List.of(
                "./lancetorch train photos.lance --epoch-count 3",
                "./lancetorch trian",
                "./lancetorch bench loder",
                "./lancetorch bench loader --with-pyton",
                "./lancetorch test --soack",
                "./lancetorch build --libtroch photos",
                "./lancetorch site --fast")) {
            Result result = Shell.run(photos.getParent(), Map.of("LANCETORCH_PARSE_ONLY", "1"), command);
            assertThat(result.status()).as(command + "\n" + result.output()).isEqualTo(2);
        }
    }
}
