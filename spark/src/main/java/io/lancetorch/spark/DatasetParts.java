package io.lancetorch.spark;

import java.io.Serializable;
import java.util.List;

/**
 * How {@link LanceDatasetWriter} writes a dataset: what both methods do is up to {@code io.lancetorch.lance.LanceWriter}, with the
 * same URI, schema and mode in each.
 *
 * <pre>{@code
 * public final class Photos implements DatasetParts<String> {
 *     private LanceWriter.Builder to() {
 *         return LanceWriter.to("s3://bucket/photos.lance", SCHEMA);
 *     }
 *
 *     public String write(String folder) throws Exception {
 *         try (FragmentWriter writer = to().openFragments()) {
 *             ...                                          // writer.append(jpeg, label)
 *             return writer.finish();
 *         }
 *     }
 *
 *     public long commit(List<String> parts) {
 *         return to().commit(parts);
 *     }
 * }
 * }</pre>
 *
 * <p>Where an object of it is given, its class and what its signatures name are on the driver's class path too, as by
 * {@code --jars}; a class that is given by its name is on that of the tasks alone.
 *
 * @param <S> what one task reads, such as a folder or a range of rows
 */
public interface DatasetParts<S extends Serializable> extends Serializable {
    /**
     * Writes the rows of {@code source} as fragments that are no part of the dataset yet, and returns what the commit needs of
     * them. In a JVM of an executor's, and once more where that fails.
     */
    String write(S source) throws Exception;

    /** Adds all parts to the dataset at once, and returns its version. In a JVM of the driver's, once. */
    long commit(List<String> parts) throws Exception;
}
