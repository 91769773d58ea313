package io.lancetorch.jmh;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import java.util.List;
import java.util.OptionalDouble;

/**
 * One implementation's figure. A ratio says how many times as fast it is, so more than 1 is faster, whatever the unit:
 * {@code ratioToPeer} as the fastest peer, {@code ratioToLimit} as the limit; null where there is none. {@code ratioToOurs}:
 * as lancetorch's fastest.
 */
@JsonPropertyOrder({"case", "implementation", "score", "unit", "ratio_to_peer", "ratio_to_limit"})
record Row(
        @JsonProperty("case") String benchmarkCase,
        @JsonProperty("implementation") String implementation,
        @JsonProperty("score") double score,
        @JsonIgnore double error,
        @JsonProperty("unit") String unit,
        @JsonProperty("ratio_to_peer") Double ratioToPeer,
        @JsonProperty("ratio_to_limit") Double ratioToLimit,
        @JsonIgnore Double ratioToOurs,
        @JsonIgnore Role role,
        @JsonIgnore String group) {

    /** All figures of a case with their ratios, each within its own group. */
    static List<Row> of(Case benchmark, List<Score> scores) {
        return scores.stream()
                .map(score -> new Row(
                        benchmark.id,
                        score.implementation(),
                        score.score(),
                        score.error(),
                        score.unit(),
                        ratio(score, scores, Role.PEER),
                        ratio(score, scores, Role.LIMIT),
                        ratio(score, scores, Role.OURS),
                        score.role(),
                        score.group()))
                .toList();
    }

    private static Double ratio(Score score, List<Score> scores, Role role) {
        OptionalDouble fastest = scores.stream()
                .filter(other -> other.role() == role && other.comparesWith(score))
                .mapToDouble(Score::speed)
                .max();
        return fastest.isPresent() ? score.speed() / fastest.getAsDouble() : null;
    }
}
