package io.lancetorch.jmh;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.lang.reflect.Method;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.openjdk.jmh.annotations.Benchmark;

class CaseTest {
    private static Settings settings(int threads) {
        Path folder = Path.of("bench");
        return new Settings(
                Path.of("."), folder, "images.lance", folder.resolve("files"), "image", threads, 224, 64, false);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 8})
    void everyImplementationOfACaseHasANameOfItsOwn(int threads) {
        for (Case benchmark : Case.values()) {
            assertThat(benchmark.implementations(settings(threads)))
                    .filteredOn(implementation -> !(implementation instanceof FirstEpochRun))
                    .extracting(Implementation::name)
                    .doesNotHaveDuplicates();
        }
    }

    @ParameterizedTest
    @EnumSource
    void everyCaseHasOursAndAPeer(Case benchmark) {
        assertThat(benchmark.implementations(settings(2)))
                .extracting(Implementation::role)
                .contains(Role.OURS, Role.PEER);
    }

    @Test
    void everyBenchmarkMethodOfOursIsRunAndEveryOneThatIsRunIsThere() throws Exception {
        List<JmhRun> runs = Arrays.stream(Case.values())
                .flatMap(benchmark -> benchmark.implementations(settings(2)).stream())
                .flatMap(run -> run instanceof JmhRun jmh ? Stream.of(jmh) : Stream.empty())
                .filter(run -> run.classPath() == JmhRun.ClassPath.OURS)
                .toList();
        for (String name : runs.stream().map(JmhRun::benchmark).distinct().toList()) {
            List<String> methods = Arrays.stream(Class.forName(name).getMethods())
                    .filter(method -> method.isAnnotationPresent(Benchmark.class))
                    .map(Method::getName)
                    .toList();
            assertThat(runs)
                    .filteredOn(run -> run.benchmark().equals(name))
                    .extracting(JmhRun::method)
                    .containsAll(methods)
                    .isSubsetOf(methods);
        }
    }

    @Test
    void theThreadsAreThePowersOfTwoAndTheMost() {
        assertThat(settings(1).threadCounts()).containsExactly(1);
        assertThat(settings(2).threadCounts()).containsExactly(1, 2);
        assertThat(settings(6).threadCounts()).containsExactly(1, 2, 4, 6);
    }

    @Test
    void aResultOfJmhBecomesItsFigures() throws Exception {
        JmhRun run = Case.LOADER.implementations(settings(2)).stream()
                .flatMap(each -> each instanceof JmhRun jmh ? Stream.of(jmh) : Stream.empty())
                .filter(each -> each.name().equals("lancetorch 1 thread float"))
                .findFirst()
                .orElseThrow();
        String json = "{\"primaryMetric\": {\"score\": 10.0, \"scoreError\": \"NaN\", \"scoreUnit\": \"ops/s\"},"
                + " \"secondaryMetrics\": {\"gc.alloc.rate.norm\": {\"score\": 3000.0}, \"cpu.norm\": {\"score\": 1.0E8}}}";
        List<Score> scores = run.scores(new ObjectMapper().readTree(json));
        assertThat(scores)
                .extracting(Score::implementation)
                .containsExactlyInAnyOrder(
                        "lancetorch 1 thread float",
                        "lancetorch 1 thread float per core",
                        "lancetorch 1 thread float heap");
        assertThat(scores).extracting(Score::score).containsExactlyInAnyOrder(640.0, 640.0, 3000.0);
        assertThat(scores.getFirst().error()).isNaN();
    }
}
