package io.lancetorch.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.lancetorch.bindings.cuda.cuda_h;
import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.bindings.torch.torch_h;
import java.io.IOException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The header is what is meant, the library what is there, and jextract's class what Java calls: all three must agree. */
class HeaderAgreementTest {
    private static final Path ROOT = Path.of(System.getProperty("lancetorch.root"));
    private static final Path INCLUDE = ROOT.resolve("native/include/lancetorch");

    enum Part {
        TORCH("torch.h", "liblancetorch_torch.so", torch_h.class),
        LANCE("lance.h", "liblancetorch_lance.so", lance_h.class),
        CUDA("cuda.h", "liblancetorch_cuda.so", cuda_h.class);

        final String header;
        final String library;
        final Class<?> bindings;

        Part(String header, String library, Class<?> bindings) {
            this.header = header;
            this.library = library;
            this.bindings = bindings;
        }

        /** The header and error.h, which it includes, without comments. */
        String text() throws IOException {
            String both = Files.readString(INCLUDE.resolve("error.h")) + Files.readString(INCLUDE.resolve(header));
            return both.replaceAll("(?s)/\\*.*?\\*/", " ").replaceAll("//[^\n]*", " ");
        }

        Set<String> declaredFunctions() throws IOException {
            String declarations = text().replaceAll("(?m)^\\s*#.*(\\\\\n.*)*$", "");
            return matches("\\b(lt_\\w+)\\s*\\([^()]*(?:\\([^()]*\\)[^()]*)*\\)\\s*;", declarations);
        }

        Map<String, String> declaredConstants() throws IOException {
            Map<String, String> constants = new TreeMap<>();
            Matcher matcher = Pattern.compile("(?m)^#define\\s+(LT_\\w+)[ \t]+(\\S+)\\s*$")
                    .matcher(text());
            while (matcher.find()) {
                constants.put(matcher.group(1), matcher.group(2));
            }
            return constants;
        }

        Set<Method> boundMethods(String prefix) {
            // The class that jextract wrote may be split over a chain of superclasses.
            Set<Method> methods = new java.util.LinkedHashSet<>();
            for (Class<?> type = bindings; type != Object.class; type = type.getSuperclass()) {
                Arrays.stream(type.getDeclaredMethods())
                        .filter(method -> Modifier.isPublic(method.getModifiers())
                                && method.getName().startsWith(prefix)
                                && !method.getName().contains("$"))
                        .forEach(methods::add);
            }
            return methods;
        }
    }

    private static Set<String> matches(String expression, String text) {
        Set<String> found = new TreeSet<>();
        Matcher matcher = Pattern.compile(expression).matcher(text);
        while (matcher.find()) {
            found.add(matcher.group(1));
        }
        return found;
    }

    private static Set<String> exported(Part part) throws IOException, InterruptedException {
        Path library = Path.of(System.getProperty("lancetorch.native")).resolve(part.library);
        assumeTrue(
                part != Part.CUDA || Files.exists(library),
                "skipped: these shims were built for a libtorch without CUDA");
        Process process = new ProcessBuilder("nm", "-D", "--defined-only", library.toString())
                .redirectErrorStream(true)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        return output.lines()
                .map(line -> line.substring(line.lastIndexOf(' ') + 1))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    @ParameterizedTest
    @EnumSource
    void headerDeclaresFunctionsAndConstants(Part part) throws IOException {
        assertThat(part.declaredFunctions())
                .hasSizeGreaterThan(part == Part.CUDA ? 5 : 20)
                .contains(
                        switch (part) {
                            case TORCH -> "lt_tensor_from_memory";
                            case LANCE -> "lt_dataset_open";
                            case CUDA -> "lt_process_group_add_nccl";
                        });
        assertThat(part.declaredConstants()).hasSizeGreaterThan(10).containsEntry("LT_INTERNAL", "10");
    }

    @ParameterizedTest
    @EnumSource
    void libraryExportsWhatTheHeaderDeclaresAndNothingElse(Part part) throws Exception {
        assertThat(exported(part)).isEqualTo(part.declaredFunctions());
    }

    @ParameterizedTest
    @EnumSource
    void bindingsHaveWhatTheHeaderDeclaresAndNothingElse(Part part) throws IOException {
        Set<String> bound =
                part.boundMethods("lt_").stream().map(Method::getName).collect(Collectors.toCollection(TreeSet::new));
        assertThat(bound).isEqualTo(part.declaredFunctions());
    }

    @ParameterizedTest
    @EnumSource
    void bindingsHaveTheHeadersConstantsWithTheirValues(Part part) throws Exception {
        Map<String, String> bound = new TreeMap<>();
        for (Method method : part.boundMethods("LT_")) {
            bound.put(method.getName(), String.valueOf(method.invoke(null)));
        }
        assertThat(bound).isEqualTo(part.declaredConstants());
    }

    /** jextract writes for each function the descriptor of its C declaration: as many arguments as the header has. */
    @ParameterizedTest
    @EnumSource
    void boundFunctionsTakeAsManyArgumentsAsTheHeaderSays(Part part) throws IOException {
        Map<String, Integer> declared = new TreeMap<>();
        Matcher matcher = Pattern.compile("\\b(lt_\\w+)\\s*\\(([^()]*)\\)\\s*;").matcher(part.text());
        while (matcher.find()) {
            String arguments = matcher.group(2).strip();
            int count = arguments.equals("void") || arguments.isEmpty() ? 0 : arguments.split(",").length;
            declared.put(matcher.group(1), count);
        }
        Map<String, Integer> bound = new TreeMap<>();
        part.boundMethods("lt_").forEach(method -> bound.put(method.getName(), method.getParameterCount()));
        assertThat(bound).isEqualTo(declared);
    }
}
