package io.lancetorch.jmh;

/**
 * One figure. Only figures of the same group and unit are compared: a case whose figures all compare has the one group "".
 * {@code error}: half the width of the 99.9 % confidence interval; NaN where there are too few samples.
 */
record Score(String implementation, Role role, String group, double score, double error, String unit) {
    Score(String implementation, Role role, String group, double score, String unit) {
        this(implementation, role, group, score, Double.NaN, unit);
    }

    /** How fast, in a unit that only figures of the same group and unit share: more is faster. */
    double speed() {
        return unit.endsWith("/s") ? score : 1 / score;
    }

    boolean comparesWith(Score other) {
        return group.equals(other.group) && unit.equals(other.unit);
    }
}
