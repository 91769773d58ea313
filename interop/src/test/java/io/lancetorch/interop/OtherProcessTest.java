package io.lancetorch.interop;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import java.io.File;
import java.io.IOException;
import java.lang.module.ModuleDescriptor;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.apache.arrow.memory.RootAllocator;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What depends on the class path, and on who opens libtorch first: each in a JVM of its own. */
@Timeout(120)
class OtherProcessTest {
    private static String run(Class<?> main, Predicate<String> entry, List<String> options)
            throws IOException, InterruptedException {
        String classPath = Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
                .filter(entry)
                .collect(Collectors.joining(File.pathSeparator));
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "--add-opens=java.base/java.nio=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-Dlancetorch.native=" + System.getProperty("lancetorch.native")));
        command.addAll(options);
        command.addAll(List.of("-classpath", classPath, main.getName()));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        return output;
    }

    private static boolean isArrow(String entry) {
        return entry.contains("/org/apache/arrow/");
    }

    private static boolean isPresetsApi(String entry) {
        return entry.matches(".*/pytorch-[0-9.-]+\\.jar");
    }

    /** What the presets' classes depend on beside JavaCPP. */
    private static boolean isOpenBlasApi(String entry) {
        return entry.matches(".*/openblas-[0-9.-]+\\.jar");
    }

    /** Arrow Java alone. */
    public static final class ArrowMain {
        private ArrowMain() {}

        public static void main(String[] arguments) {
            try (var allocator = new RootAllocator();
                    Tensor tensor = Tensor.of(new long[] {1, 2, 3});
                    var root = ArrowInterop.toVectorSchemaRoot(allocator, Map.of("x", tensor));
                    Tensor back = ArrowInterop.tensors(allocator, root).get("x")) {
                System.out.println("sum " + Ops.sum(back).itemLong());
            }
        }
    }

    /** The presets alone, opened second. */
    public static final class JavaCppMain {
        private JavaCppMain() {}

        public static void main(String[] arguments) {
            try (Tensor tensor = Tensor.of(new long[] {1, 2, 3});
                    var theirs = JavaCppInterop.toJavaCpp(tensor)) {
                System.out.println("sum " + theirs.sum().item_long());
            }
        }
    }

    /** The presets, opened first. */
    public static final class JavaCppFirstMain {
        private JavaCppFirstMain() {}

        public static void main(String[] arguments) {
            Loader.load(torch.class);
            try (var theirs = torch.ones(2, 3);
                    Tensor ours = JavaCppInterop.fromJavaCpp(theirs)) {
                System.out.println("sum " + Ops.sum(ours).itemLong());
            }
        }
    }

    /** Says at each of two calls what is thrown. */
    public static final class RefusedMain {
        private RefusedMain() {}

        public static void main(String[] arguments) {
            for (int call = 0; call < 2; call++) {
                try {
                    JavaCppInterop.toJavaCpp(null);
                } catch (Throwable e) {
                    System.out.println(e);
                }
            }
        }
    }

    @Test
    void arrowNeedsNothingOfThePresetsApi() throws Exception {
        String output = run(ArrowMain.class, entry -> !isPresetsApi(entry) && !isOpenBlasApi(entry), List.of());
        assertThat(output).contains("sum 6");
    }

    @Test
    void thePresetsNeedNothingOfArrow() throws Exception {
        assertThat(run(JavaCppMain.class, entry -> !isArrow(entry), List.of())).contains("sum 6");
    }

    @Test
    void thePresetsMayOpenLibtorchFirst() throws Exception {
        assertThat(run(JavaCppFirstMain.class, _ -> true, List.of())).contains("sum 6");
    }

    @Test
    void anotherLibtorchThanThePresetsIsRefusedBeforeItIsOpened(@TempDir Path other) throws Exception {
        String output = run(RefusedMain.class, _ -> true, List.of("-Dlancetorch.libtorch=" + other));
        assertThat(output.lines()).hasSize(2).allSatisfy(line -> assertThat(line)
                .startsWith("io.lancetorch.error.UnsupportedException")
                .contains(other.toString())
                .contains("two copies of libtorch"));
    }

    @Test
    void presetsWithoutWhatTheyDependOnAreRefused() throws Exception {
        String output = run(RefusedMain.class, entry -> !isOpenBlasApi(entry), List.of());
        assertThat(output.lines()).hasSize(2).allSatisfy(line -> assertThat(line)
                .startsWith("io.lancetorch.error.NotFoundException")
                .contains("add org.bytedeco:pytorch"));
    }

    @Test
    void bothPeersAreOptionalInTheModule() throws Exception {
        Path classes = Path.of(ArrowInterop.class
                .getProtectionDomain()
                .getCodeSource()
                .getLocation()
                .toURI());
        ModuleDescriptor module;
        try (var stream = Files.newInputStream(classes.resolve("module-info.class"))) {
            module = ModuleDescriptor.read(stream);
        }
        assertThat(module.requires())
                .filteredOn(required -> !required.modifiers().contains(ModuleDescriptor.Requires.Modifier.STATIC))
                .extracting(ModuleDescriptor.Requires::name)
                .containsExactlyInAnyOrder("java.base", "io.lancetorch", "io.lancetorch.bindings");
        assertThat(module.exports())
                .extracting(ModuleDescriptor.Exports::source)
                .containsExactly("io.lancetorch.interop");
    }
}
