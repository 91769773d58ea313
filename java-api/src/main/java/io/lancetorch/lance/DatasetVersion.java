package io.lancetorch.lance;

import java.time.Instant;

/**
 * What one version of a dataset holds, and how it came about.
 *
 * @param version its number, from 1 on
 * @param time when it was committed
 * @param rows those that are not deleted
 * @param fragments how many hold them
 * @param files data files of the fragments
 * @param bytes of those files, as far as their sizes are known: Lance's first file format keeps none
 * @param operation what made it, by Lance's name, such as {@code Append}; empty where that is unknown
 */
public record DatasetVersion(
        long version, Instant time, long rows, long fragments, long files, long bytes, String operation) {}
