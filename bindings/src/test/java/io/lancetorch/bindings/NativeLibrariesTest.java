package io.lancetorch.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.lancetorch.error.UnsupportedException;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.bytedeco.javacpp.Loader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A library is opened once for a process, so each way to fail runs in a process of its own. */
class NativeLibrariesTest {
    private static final Path NATIVE = Path.of(System.getProperty("lancetorch.native"));

    @TempDir
    private Path folder;

    /** What the child runs: opens the libraries that are named, twice, and says what came of it. */
    static final class Opener {
        private Opener() {}

        public static void main(String[] args) {
            for (int attempt = 0; attempt < 2; attempt++) {
                for (String library : args) {
                    try {
                        if (library.equals("torch")) {
                            NativeLibraries.torch();
                        } else {
                            NativeLibraries.lance();
                        }
                        System.out.println("answer: " + library + " is open");
                    } catch (RuntimeException e) {
                        System.out.println("answer: " + e.getClass().getSimpleName() + ": " + e.getMessage());
                    }
                }
            }
        }
    }

    private static List<String> open(List<String> options, String... libraries) throws Exception {
        return open(System.getProperty("java.class.path"), options, libraries);
    }

    private static List<String> open(String classPath, List<String> options, String... libraries) throws Exception {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("--enable-native-access=ALL-UNNAMED");
        command.addAll(options);
        command.addAll(List.of("-cp", classPath, Opener.class.getName()));
        command.addAll(List.of(libraries));
        var builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().remove("LANCETORCH_NATIVE");
        builder.environment().remove("LANCETORCH_LIBTORCH");
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).as(output).isZero();
        List<String> lines = output.lines()
                .filter(line -> line.startsWith("answer: "))
                .map(line -> line.substring("answer: ".length()))
                .toList();
        assertThat(lines).as(output).hasSize(2 * libraries.length);
        assertThat(lines.subList(libraries.length, lines.size()))
                .as("the second attempt answers as the first")
                .isEqualTo(lines.subList(0, libraries.length));
        return lines.subList(0, libraries.length);
    }

    private String torchOption() {
        String named = System.getProperty("lancetorch.libtorch", "");
        return "-Dlancetorch.libtorch=" + named;
    }

    private Path copyOfTheShims() throws IOException {
        for (String name : List.of("liblancetorch_torch.so", "liblancetorch_torch.properties")) {
            Files.copy(NATIVE.resolve(name), folder.resolve(name));
        }
        return folder;
    }

    @Test
    void librariesOpenFromTheFolderThatIsNamed() throws Exception {
        assertThat(open(List.of("-Dlancetorch.native=" + NATIVE, torchOption()), "torch", "lance"))
                .containsExactly("torch is open", "lance is open");
    }

    @Test
    void sameVersionIsAccepted() {
        assertThatCode(() -> NativeLibraries.requireVersion("2.10.0", "2.10.0", Path.of("shim.so"), "/opt/libtorch"))
                .doesNotThrowAnyException();
    }

    @Test
    void otherVersionIsRefusedNamingBothAndBothPlaces() {
        assertThatThrownBy(
                        () -> NativeLibraries.requireVersion("2.10.0", "2.13.0", Path.of("shim.so"), "/opt/libtorch"))
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContainingAll("2.10.0", "2.13.0", "shim.so", "/opt/libtorch");
    }

    @Test
    void shimBuiltForAnotherLibtorchIsNotOpened() throws Exception {
        Path shims = copyOfTheShims();
        Files.writeString(shims.resolve("liblancetorch_torch.properties"), "torch.version=2.11.0\n");
        // What is no library shows that the refusal comes before the attempt to open it.
        Files.writeString(shims.resolve("liblancetorch_torch.so"), "not to be opened");
        assertThat(open(List.of("-Dlancetorch.native=" + shims, torchOption()), "torch"))
                .first()
                .asString()
                .startsWith("UnsupportedException")
                .contains("2.11.0")
                .contains(builtVersion());
    }

    private static String builtVersion() throws IOException {
        return Files.readString(NATIVE.resolve("liblancetorch_torch.properties"))
                .strip()
                .replace("torch.version=", "");
    }

    @Test
    void whereShimsWereLookedForIsNamedWhereThereAreNone() throws Exception {
        assertThat(open(List.of(), "torch", "lance")).allSatisfy(answer -> assertThat(answer)
                .startsWith("NotFoundException")
                .contains("-Dlancetorch.native", "LANCETORCH_NATIVE", "io/lancetorch/natives/")
                .contains("io.lancetorch:lancetorch-natives"));
    }

    @Test
    void withoutJavaCppNoJarIsLookedInto() throws Exception {
        String without = Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
                .filter(entry -> !entry.contains("javacpp-"))
                .collect(Collectors.joining(File.pathSeparator));
        assertThat(open(without, List.of(), "lance").getFirst())
                .startsWith("NotFoundException")
                .contains("org.bytedeco:javacpp");
    }

    /** As a jar of lancetorch-natives, whose libtorch is the presets' own, whatever the folder was built for. */
    @Test
    void shimsOpenFromAJarOnTheClassPathUnlessAFolderIsNamed() throws Exception {
        assumeTrue(
                System.getProperty("lancetorch.libtorch", "").isEmpty()
                        && !builtVersion().contains("torch.home"),
                "the shim here is for another libtorch than the presets'");
        Path jar = folder.resolve("natives-" + ProcessHandle.current().pid() + ".jar");
        String platform = Loader.getPlatform();
        try (var zip = new ZipOutputStream(Files.newOutputStream(jar))) {
            for (String name : List.of("liblancetorch_torch.so", "liblancetorch_torch.properties")) {
                zip.putNextEntry(new ZipEntry("io/lancetorch/natives/" + platform + "/" + name));
                Files.copy(NATIVE.resolve(name), zip);
                zip.closeEntry();
            }
        }
        String classPath = System.getProperty("java.class.path") + File.pathSeparator + jar;
        try {
            assertThat(open(classPath, List.of(), "torch", "lance"))
                    .satisfiesExactly(torch -> assertThat(torch).isEqualTo("torch is open"), lance -> assertThat(lance)
                            .startsWith("NotFoundException")
                            .contains("liblancetorch_lance.so"));
            Path nowhere = folder.resolve("nowhere");
            assertThat(open(classPath, List.of("-Dlancetorch.native=" + nowhere), "torch")
                            .getFirst())
                    .contains(nowhere.toString());
        } finally {
            delete(Loader.getCacheDir().toPath().resolve(jar.getFileName()));
            Files.deleteIfExists(Loader.getCacheDir().toPath().resolve("." + jar.getFileName() + ".lock"));
        }
    }

    /** Two builds whose files have the same names, sizes and times. */
    @Test
    void anotherBuildsFileInTheCacheIsNotTakenForTheJars() throws Exception {
        Path jar = folder.resolve("builds-" + ProcessHandle.current().pid() + ".jar");
        String resource =
                "io/lancetorch/natives/" + Loader.getPlatform() + "/" + System.mapLibraryName("lancetorch_lance");
        String classPath = System.getProperty("java.class.path") + File.pathSeparator + jar;
        Path cached = Loader.getCacheDir().toPath().resolve(jar.getFileName()).resolve(resource);
        try {
            for (String build : List.of("first", "other")) {
                try (var zip = new ZipOutputStream(Files.newOutputStream(jar))) {
                    var entry = new ZipEntry(resource);
                    entry.setTime(1_000_000_000_000L);
                    zip.putNextEntry(entry);
                    zip.write(build.getBytes(StandardCharsets.US_ASCII));
                    zip.closeEntry();
                }
                Files.setLastModifiedTime(jar, FileTime.fromMillis(1_000_000_000_000L));
                assertThat(open(classPath, List.of(), "lance").getFirst())
                        .startsWith("UnsupportedException")
                        .contains(cached.toString());
                assertThat(cached).hasContent(build);
            }
        } finally {
            delete(Loader.getCacheDir().toPath().resolve(jar.getFileName()));
            Files.deleteIfExists(Loader.getCacheDir().toPath().resolve("." + jar.getFileName() + ".lock"));
        }
    }

    private static void delete(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }

    @Test
    void folderThatIsNotThereIsNamed() throws Exception {
        Path nowhere = folder.resolve("nowhere");
        assertThat(open(List.of("-Dlancetorch.native=" + nowhere), "torch", "lance"))
                .allSatisfy(answer -> assertThat(answer)
                        .startsWith("NotFoundException")
                        .contains(nowhere.toString())
                        .contains("./lancetorch build"));
    }

    @Test
    void versionFileThatIsMissingOrEmptyIsNamed() throws Exception {
        Path shims = copyOfTheShims();
        Path properties = shims.resolve("liblancetorch_torch.properties");
        Files.delete(properties);
        List<String> options = List.of("-Dlancetorch.native=" + shims, torchOption());
        assertThat(open(options, "torch").getFirst())
                .startsWith("StorageException")
                .contains(properties.toString());
        Files.writeString(properties, "");
        assertThat(open(options, "torch").getFirst())
                .startsWith("StorageException")
                .contains("torch.version");
    }

    @Test
    void libtorchThatIsNotThereIsNamed() throws Exception {
        Path nowhere = folder.resolve("libtorch");
        assertThat(open(List.of("-Dlancetorch.native=" + NATIVE, "-Dlancetorch.libtorch=" + nowhere), "torch")
                        .getFirst())
                .startsWith("NotFoundException")
                .contains(nowhere.toString())
                .contains("lib/libtorch.so");
    }

    @Test
    void libtorchThatIsNoLibraryIsNamed() throws Exception {
        Path lib = Files.createDirectories(folder.resolve("libtorch/lib"));
        for (String name : List.of("libtorch.so", "libtorch_cpu.so", "libc10.so")) {
            Files.writeString(lib.resolve(name), "text");
        }
        assertThat(open(List.of("-Dlancetorch.native=" + NATIVE, "-Dlancetorch.libtorch=" + lib.getParent()), "torch")
                        .getFirst())
                .startsWith("UnsupportedException")
                .contains(lib.resolve("libc10.so").toString());
    }

    @Test
    void presetsThatAreNotOnTheClassPathAreNamed() throws Exception {
        String classPath = System.getProperty("java.class.path");
        String without = Arrays.stream(classPath.split(File.pathSeparator))
                .filter(entry -> !entry.contains("pytorch-"))
                .collect(Collectors.joining(File.pathSeparator));
        assertThat(without).as("the presets were on it").isNotEqualTo(classPath);
        assertThat(open(without, List.of("-Dlancetorch.native=" + NATIVE), "torch")
                        .getFirst())
                .startsWith("NotFoundException")
                .contains("org.bytedeco:pytorch")
                .contains("-Dlancetorch.libtorch=DIR");
    }
}
