package io.lancetorch.examples;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.data.Batch;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** Which rows a rank trains on: a file {@code rank-R.jsonl} with a line for each step, there when the step ends or fails. */
final class RowLog implements AutoCloseable {
    /** The loader's column of row ids. */
    private static final String ROW_ID = "_rowid";

    /**
     * A step of one rank.
     *
     * @param step counted from the start of the run, over all times that it was resumed
     * @param loss the mean over {@code rows}
     * @param rows Lance's row ids of the batch's valid rows, in its order
     */
    private record Line(
            @JsonProperty("step") long step,
            @JsonProperty("epoch") int epoch,
            @JsonProperty("rank") int rank,
            @JsonProperty("world_size") int worldSize,
            @JsonProperty("loss") double loss,
            @JsonProperty("rows") long[] rows) {}

    private final ObjectMapper mapper = new ObjectMapper();
    private final OutputStream file;
    private final int rank;
    private final int worldSize;

    /** {@code append}: goes on with the file of the run that is resumed. */
    RowLog(Path folder, int rank, int worldSize, boolean append) {
        this.rank = rank;
        this.worldSize = worldSize;
        try {
            Files.createDirectories(folder);
            file = Files.newOutputStream(
                    folder.resolve("rank-" + rank + ".jsonl"),
                    StandardOpenOption.CREATE,
                    StandardOpenOption.WRITE,
                    append ? StandardOpenOption.APPEND : StandardOpenOption.TRUNCATE_EXISTING);
        } catch (IOException e) {
            throw new UserException("--log-rows: cannot write to " + folder + ": " + e);
        }
    }

    void append(int epoch, long step, double loss, Batch batch) {
        long[] ids = batch.get(ROW_ID).toLongs();
        long[] valid = new long[batch.validRows()];
        for (int row = 0, found = 0; row < ids.length; row++) {
            if (batch.isValid(row)) {
                valid[found++] = ids[row];
            }
        }
        try {
            String line = mapper.writeValueAsString(new Line(step, epoch, rank, worldSize, loss, valid));
            // In one write, so that a rank that is killed leaves whole lines.
            file.write((line + "\n").getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
