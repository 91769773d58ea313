package io.lancetorch.jmh;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class RowTest {
    private static List<Row.Score> scores(Case benchmark, double... scores) {
        return java.util.stream.IntStream.range(0, scores.length)
                .mapToObj(i -> new Row.Score(benchmark.implementations.get(i), scores[i], Double.NaN))
                .toList();
    }

    private static Row row(List<Row> rows, String implementation) {
        return rows.stream()
                .filter(row -> row.implementation().equals(implementation))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void aTimeIsComparedWithTheFastestPeerAndMoreThanOneIsFaster() {
        double[] times = new double[Case.OP.implementations.size()];
        Arrays.setAll(times, i -> switch (Case.OP.implementations.get(i).name()) {
            case "lancetorch" -> 500;
            case "javacpp-presets" -> 2000;
            case "bare-downcall" -> 400;
            case "javacpp-presets-nogc" -> 100;
            default -> 3000;
        });
        Row ours = row(Row.of(Case.OP, scores(Case.OP, times)), "lancetorch");
        assertThat(ours.ratioToPeer()).isCloseTo(4, within(1e-9));
        assertThat(ours.ratioToLimit()).isCloseTo(0.8, within(1e-9));
    }

    @Test
    void aRateIsComparedTheOtherWayRound() {
        List<Row> rows = Row.of(Case.DECODE, scores(Case.DECODE, 1600, 200, 2000));
        assertThat(row(rows, "lancetorch").ratioToPeer()).isCloseTo(8, within(1e-9));
        assertThat(row(rows, "lancetorch").ratioToLimit()).isCloseTo(0.8, within(1e-9));
        assertThat(row(rows, "imageio").ratioToPeer()).isCloseTo(1, within(1e-9));
    }

    @Test
    void aRatioWithoutAPeerIsNull() {
        List<Row> rows = Row.of(Case.DECODE, scores(Case.DECODE, 1600));
        assertThat(rows.getFirst().ratioToPeer()).isNull();
        assertThat(rows.getFirst().ratioToLimit()).isNull();
    }

    @Test
    void theJsonHasTheSixKeysInOrder() throws Exception {
        String json = new ObjectMapper()
                .writeValueAsString(
                        Row.of(Case.DECODE, scores(Case.DECODE, 1600, 200)).getFirst());
        assertThat(json)
                .isEqualTo("{\"case\":\"decode\",\"implementation\":\"lancetorch\",\"score\":1600.0,"
                        + "\"unit\":\"images/s\",\"ratio_to_peer\":8.0,\"ratio_to_limit\":null}");
    }
}
