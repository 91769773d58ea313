package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.ADDRESS;

import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.lance.lance_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Writes rows as fragments that are no part of a dataset yet. Many processes, on any machines that reach the URI, each write
 * their share so, at the same time and with the same schema, mode and URI; one of them, or another process, gets what
 * {@link #finish} gave to each, and commits once. Readers see all of the rows from then on, or none.
 *
 * <pre>{@code
 * LanceWriter.Builder photos = LanceWriter.to("s3://bucket/photos.lance", schema);
 * String part;                                    // in each process
 * try (FragmentWriter writer = photos.openFragments()) {
 *     writer.append(jpeg, 3L);
 *     part = writer.finish();
 * }
 * long version = photos.commit(parts);            // in one of them
 * }</pre>
 *
 * <p>A process that ends before the commit costs nothing but the files that it has begun, which nobody reads, and which Lance's
 * clean-up removes. Its share may be written anew by another one. One thread at a time.
 */
public final class FragmentWriter extends RowWriter {
    FragmentWriter(LanceWriter.Builder builder) {
        super(builder, lance_h::lt_fragment_writer_open);
    }

    /**
     * Writes what is left, closes this writer, and returns what {@link LanceWriter.Builder#commit} has to know: one line of
     * text, some 300 characters for each fragment, which may go by any way from process to process, and holds no credentials.
     */
    public synchronized String finish() {
        MemorySegment writer = takeFlushed();
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment out = temporary.allocate(ADDRESS);
            Status.check(lance_h.lt_fragment_writer_finish(writer, out, error), error, uri);
            MemorySegment text = out.get(ADDRESS, 0);
            try {
                return text.reinterpret(Long.MAX_VALUE).getString(0);
            } finally {
                lance_h.lt_text_free(text);
            }
        }
    }
}
