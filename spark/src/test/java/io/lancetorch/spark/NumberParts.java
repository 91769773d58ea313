package io.lancetorch.spark;

import io.lancetorch.lance.Field;
import io.lancetorch.lance.FragmentWriter;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Scan;
import io.lancetorch.lance.Schema;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.List;

/** A column of numbers: a source is "URI BEGIN END". */
public final class NumberParts implements DatasetParts<String> {
    private static final long serialVersionUID = 1;

    /** Where there is a file beside the dataset with this name and the first number, that part fails once it is written. */
    static final String FAILS_AT = "fails-at-";

    // START SNIPPET: parts
    private static LanceWriter.Builder to(String uri) {
        return LanceWriter.to(uri, Schema.of(Field.int64("number")))
                .maxRowsPerFile(400)
                .mode(Files.exists(Path.of(uri, "_versions")) ? LanceWriter.Mode.APPEND : LanceWriter.Mode.CREATE);
    }

    @Override
    public String write(String source) throws IOException {
        String[] parts = source.split(" ");
        try (FragmentWriter writer = to(parts[0]).openFragments()) {
            for (long number = Long.parseLong(parts[1]); number < Long.parseLong(parts[2]); number++) {
                writer.append(number);
            }
            String written = writer.finish();
            dieWhereToldTo(parts[0], parts[1]);
            // With the dataset's place, as the commit is told of nothing else.
            return parts[0] + " " + written;
        }
    }

    @Override
    public long commit(List<String> parts) {
        String uri = parts.getFirst().substring(0, parts.getFirst().indexOf(' '));
        return to(uri).commit(parts.stream()
                .map(part -> part.substring(uri.length() + 1))
                .toList());
    }

    // END SNIPPET: parts

    private static void dieWhereToldTo(String uri, String begin) throws IOException {
        if (Files.deleteIfExists(Path.of(uri).resolveSibling(FAILS_AT + begin))) {
            System.out.println("all is written, and this process dies");
            Runtime.getRuntime().halt(9);
        }
    }

    /** Prints how many rows the dataset has, and how many different numbers. */
    public static void main(String[] arguments) {
        var numbers = new BitSet();
        long rows = 0;
        try (var dataset = LanceDataset.open(arguments[0]);
                Scan scan = dataset.scan().open()) {
            for (RecordBatch next; (next = scan.next()) != null; ) {
                try (RecordBatch batch = next) {
                    for (long row = 0; row < batch.rows(); row++, rows++) {
                        numbers.set(Math.toIntExact(batch.column("number").integer(row)));
                    }
                }
            }
            System.out.println(
                    "version " + dataset.version() + ": " + rows + " rows, " + numbers.cardinality() + " numbers below "
                            + numbers.length() + ", " + dataset.fragments().size() + " fragments");
        }
    }
}
