package io.lancetorch.examples;

import java.io.PrintStream;
import java.util.Arrays;
import java.util.Locale;

/** A dataset's summary for a terminal of 80 columns without colours. */
final class SummaryText {
    private static final int WIDTH = 80;
    private static final int NAME_WIDTH = 26;

    private final DatasetSummary summary;
    private final PrintStream out;

    private SummaryText(DatasetSummary summary, PrintStream out) {
        this.summary = summary;
        this.out = out;
    }

    static void print(DatasetSummary summary, PrintStream out) {
        var text = new SummaryText(summary, out);
        text.overview();
        text.columns();
        text.fragments();
        text.balance();
        text.versions();
        text.contactSheet();
    }

    private void line(String format, Object... arguments) {
        out.printf(Locale.ROOT, format + "%n", arguments);
    }

    private void overview() {
        line("%s, version %d", plain(summary.dataset(), Integer.MAX_VALUE), summary.version());
        line(
                "%,d rows in %,d fragments, and %,d deleted ones",
                summary.rows(), summary.fragments().count(), summary.deletedRows());
        if (summary.bytes() == null) {
            line("size on disk not known");
        } else {
            line(
                    "%s in %,d data files%s",
                    size(summary.bytes()),
                    summary.files(),
                    summary.bytesPerRow() == null ? "" : ", " + size(summary.bytesPerRow()) + " a row");
        }
    }

    private void columns() {
        line("%nColumns");
        for (DatasetSummary.Column column : summary.columns()) {
            pair(column.name(), column.type() + (column.nullable() ? "" : ", never null"));
        }
        if (!summary.metadata().isEmpty()) {
            line("%nMetadata of the schema");
            summary.metadata().forEach(this::pair);
        }
    }

    private void pair(String name, String value) {
        String shown = plain(name, WIDTH - 2);
        if (shown.length() > NAME_WIDTH) {
            line("  %s", shown);
            shown = "";
        }
        line("  %-" + NAME_WIDTH + "s %s", shown, plain(value, WIDTH - NAME_WIDTH - 3));
    }

    private void fragments() {
        DatasetSummary.Fragments fragments = summary.fragments();
        line("%nFragments");
        if (fragments.count() == 0) {
            line("  none");
            return;
        }
        line(
                "  rows of one: smallest %,d, median %,d, largest %,d",
                fragments.smallest(), fragments.median(), fragments.largest());
        line("  %12s %16s %16s", "id", "rows", "deleted");
        fragments
                .first()
                .forEach(
                        fragment -> line("  %12d %,16d %,16d", fragment.id(), fragment.rows(), fragment.deletedRows()));
        if (fragments.count() > fragments.first().size()) {
            line("  and %,d more", fragments.count() - fragments.first().size());
        }
    }

    private void balance() {
        DatasetSummary.Balance balance = summary.balance();
        line("%nShares of %,d ranks, in batches of %,d, filled up with repeats", balance.ranks(), balance.batchSize());
        if (balance.planned().length < balance.ranks()) {
            line("  (of the ranks %s)", Arrays.toString(balance.planned()).replaceAll("[\\[\\]]", ""));
        }
        line("  %-17s %9s %13s %13s %9s %11s", "sampler", "steps", "least rows", "most rows", "repeats", "reads");
        for (DatasetSummary.Shares shares : balance.samplers()) {
            line(
                    "  %-17s %,9d %,13d %,13d %,9d %,11d",
                    shares.sampler(),
                    shares.steps(),
                    shares.leastRows(),
                    shares.mostRows(),
                    shares.repeats(),
                    shares.reads());
        }
        if (balance.samplers().stream().noneMatch(shares -> shares.sampler().equals(SamplerName.RANDOM.toString()))) {
            line("  %s: too many rows a rank to plan one by one here; see the command plan", SamplerName.RANDOM);
        }
    }

    private void versions() {
        line("%nVersions%s", summary.moreVersions() ? ", the newest" : "");
        line("  %7s  %-20s %13s %10s %9s  %s", "version", "time", "rows", "fragments", "size", "made by");
        for (DatasetSummary.Version version : summary.versions()) {
            line(
                    "  %7d  %-20s %,13d %,10d %9s  %s",
                    version.version(),
                    version.time(),
                    version.rows(),
                    version.fragments(),
                    version.bytes() == null ? "-" : size(version.bytes()),
                    plain(version.operation(), 11));
        }
    }

    private void contactSheet() {
        ContactSheet.Written sheet = summary.contactSheet();
        if (sheet != null) {
            line("%nThe first %,d images are in %s", sheet.images(), plain(sheet.file(), Integer.MAX_VALUE));
            if (!sheet.unreadableRows().isEmpty()) {
                line(
                        "  no images are in the rows %s",
                        sheet.unreadableRows().toString().replaceAll("[\\[\\]]", ""));
            }
            if (!sheet.captions()) {
                line("  without captions, as Java finds no fonts; fonts-dejavu-core has some");
            }
        }
    }

    static String size(long bytes) {
        if (bytes < 1000) {
            return bytes + " B";
        }
        double value = bytes;
        int unit = -1;
        while (value >= 999.95 && unit < 4) {
            value /= 1000;
            unit++;
        }
        return String.format(Locale.ROOT, "%.1f %cB", value, "kMGTP".charAt(unit));
    }

    /** What others wrote, as one line of so many characters at most; control characters could steer a terminal. */
    static String plain(String text, int width) {
        String line = text.replaceAll("[\\p{Cntrl}\\p{Cf}\\u2028\\u2029]", "?");
        return line.length() <= width ? line : line.substring(0, width - 3) + "...";
    }
}
