package io.lancetorch.jmh;

import java.io.PrintStream;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** Prints a case's rows, group by group, and what is missing with its reason. */
record Table(PrintStream out) {
    private static final String FORMAT = "  %-46s %26s %14s %15s%n";

    void print(List<Row> rows, Map<String, String> missing) {
        out.printf(Locale.ROOT, FORMAT, "", "", "ratio to peer", "ratio to limit");
        Set<String> groups = rows.stream().map(Row::group).collect(Collectors.toCollection(LinkedHashSet::new));
        for (String group : groups) {
            if (!group.isEmpty()) {
                out.println("  [" + group + "]");
            }
            rows.stream().filter(row -> row.group().equals(group)).forEach(this::print);
        }
        missing.forEach((name, reason) -> out.println("  missing: " + name + ": " + reason));
    }

    private void print(Row row) {
        String score = Double.isNaN(row.error())
                ? String.format(Locale.ROOT, "%.4g %s", row.score(), row.unit())
                : String.format(Locale.ROOT, "%.4g ± %.2g %s", row.score(), row.error(), row.unit());
        out.printf(
                Locale.ROOT, FORMAT, row.implementation(), score, ratio(row.ratioToPeer()), ratio(row.ratioToLimit()));
    }

    private static String ratio(Double ratio) {
        return ratio == null ? "-" : String.format(Locale.ROOT, "%.2f", ratio);
    }
}
