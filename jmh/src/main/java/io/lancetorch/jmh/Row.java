package io.lancetorch.jmh;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;

/**
 * One implementation's figure. A ratio says how many times as fast it is, so more than 1 is faster, whatever the unit:
 * {@code ratioToPeer} as the case's fastest peer, {@code ratioToLimit} as its limit; null where the case has none.
 */
@JsonPropertyOrder({"case", "implementation", "score", "unit", "ratio_to_peer", "ratio_to_limit"})
record Row(
        @JsonProperty("case") String benchmarkCase,
        @JsonProperty("implementation") String implementation,
        @JsonProperty("score") double score,
        @JsonIgnore double error,
        @JsonProperty("unit") String unit,
        @JsonProperty("ratio_to_peer") Double ratioToPeer,
        @JsonProperty("ratio_to_limit") Double ratioToLimit) {

    /** {@code error}: half the width of the score's 99.9 % confidence interval; NaN where there are too few samples. */
    record Score(Case.Implementation implementation, double score, double error) {}

    /** All scores of a case with their ratios. */
    static List<Row> of(Case benchmark, List<Score> scores) {
        OptionalDouble peer = fastest(benchmark, scores, Case.Role.PEER);
        OptionalDouble limit = fastest(benchmark, scores, Case.Role.LIMIT);
        List<Row> rows = new ArrayList<>();
        for (Score score : scores) {
            double speed = benchmark.speed(score.score());
            rows.add(new Row(
                    benchmark.id,
                    score.implementation().name(),
                    score.score(),
                    score.error(),
                    benchmark.unit,
                    peer.isPresent() ? speed / peer.getAsDouble() : null,
                    limit.isPresent() ? speed / limit.getAsDouble() : null));
        }
        return rows;
    }

    private static OptionalDouble fastest(Case benchmark, List<Score> scores, Case.Role role) {
        return scores.stream()
                .filter(score -> score.implementation().role() == role)
                .mapToDouble(score -> benchmark.speed(score.score()))
                .max();
    }
}
