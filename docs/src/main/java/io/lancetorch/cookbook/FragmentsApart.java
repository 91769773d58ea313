package io.lancetorch.cookbook;

import io.lancetorch.lance.Field;
import io.lancetorch.lance.FragmentWriter;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import java.util.List;

/** A dataset that many processes write at once. */
final class FragmentsApart {
    private static final Schema SCHEMA = Schema.of(Field.int64("id"));

    private FragmentsApart() {}

    // START SNIPPET: write
    /** In each process: its share. What comes back is one line of text, for whoever commits. */
    static String writeShare(String uri, long begin, long end) {
        try (FragmentWriter writer = LanceWriter.to(uri, SCHEMA).openFragments()) {
            for (long id = begin; id < end; id++) {
                writer.append(id);
            }
            return writer.finish();
        }
    }

    /** In one of them: from now on readers see the rows of all. */
    static long commit(String uri, List<String> parts) {
        return LanceWriter.to(uri, SCHEMA).commit(parts);
    }
    // END SNIPPET: write
}
