package io.lancetorch.examples;

import io.lancetorch.data.PlanRequest;
import io.lancetorch.data.Uneven;
import io.lancetorch.lance.DatasetVersion;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.LanceDataset;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * What a dataset holds, without a look at its rows. Its JSON is the record's.
 *
 * @param rows those that are not deleted
 * @param files data files of this version
 * @param bytes of those files, deleted rows included; null where not known, as Lance's first file format keeps no sizes
 * @param bytesPerRow null where {@code bytes} is, or where there are no rows
 * @param metadata of the schema
 * @param versions the newest ones, in the order of their numbers
 * @param moreVersions whether there are older ones
 * @param contactSheet null where none was asked for
 */
record DatasetSummary(
        String dataset,
        long version,
        long rows,
        long deletedRows,
        Long files,
        Long bytes,
        Long bytesPerRow,
        List<Column> columns,
        Map<String, String> metadata,
        Fragments fragments,
        Balance balance,
        List<Version> versions,
        boolean moreVersions,
        ContactSheet.Written contactSheet) {

    /** Fragments that are told of one by one; of the rest, how many there are. */
    private static final int FRAGMENTS_TOLD = 10;

    /** Up to so many ranks, the shares of all of them are planned; of more, those of {@link EpochShare#someRanks}. */
    private static final int RANKS_PLANNED = 16;

    /** Rows of a rank: a plan row by row allocates more than 100 bytes for each. */
    private static final long ROWS_PLANNED = 1_000_000;

    private static final List<SamplerName> SAMPLERS =
            List.of(SamplerName.SHARDED_FRAGMENT, SamplerName.SHARDED_BATCH, SamplerName.RANDOM);

    record Column(String name, String type, boolean nullable) {
        static Column of(Field field) {
            String type = field.isBlob() ? "blob" : field.typeName();
            long[] shape = field.isBlob() ? null : field.tensorShape();
            return new Column(
                    field.name(),
                    shape == null ? type : "tensor " + Arrays.toString(shape) + " in " + type,
                    field.nullable());
        }
    }

    /**
     * Their rows, without deleted ones.
     *
     * @param first the first of them, in their order
     */
    record Fragments(int count, long smallest, long median, long largest, List<Fragment> first) {
        static Fragments of(List<Fragment> all) {
            long[] rows = all.stream().mapToLong(Fragment::rows).sorted().toArray();
            List<Fragment> first = all.stream().limit(FRAGMENTS_TOLD).toList();
            return rows.length == 0
                    ? new Fragments(0, 0, 0, 0, first)
                    : new Fragments(rows.length, rows[0], rows[rows.length / 2], rows[rows.length - 1], first);
        }
    }

    /** @param planned the ranks whose shares are compared */
    record Balance(int ranks, int batchSize, int[] planned, List<Shares> samplers) {}

    /**
     * The ranks' shares of an epoch by a sampler that fills up with repeats, so that all have the same steps.
     *
     * @param leastRows without repeats, on the rank that has the fewest
     * @param repeats on the rank that has the most
     * @param reads ranges of neighbouring rows, on the rank that has the most
     */
    record Shares(String sampler, int steps, long leastRows, long mostRows, long repeats, long reads) {
        static Shares of(SamplerName sampler, PlanRequest request, int[] ranks) {
            List<EpochShare> shares = Arrays.stream(ranks)
                    .mapToObj(rank -> EpochShare.plan(sampler.sampler(Uneven.PAD), request.withRank(rank)))
                    .toList();
            return new Shares(
                    sampler.toString(),
                    shares.stream().mapToInt(EpochShare::steps).max().orElse(0),
                    shares.stream().mapToLong(EpochShare::validRows).min().orElse(0),
                    shares.stream().mapToLong(EpochShare::validRows).max().orElse(0),
                    shares.stream()
                            .mapToLong(share -> share.rows() - share.validRows())
                            .max()
                            .orElse(0),
                    shares.stream().mapToLong(EpochShare::reads).max().orElse(0));
        }
    }

    /** @param time when it was committed, as ISO 8601 has it, in UTC */
    record Version(long version, String time, long rows, long fragments, long files, Long bytes, String operation) {
        static Version of(DatasetVersion version) {
            return new Version(
                    version.version(),
                    version.time().truncatedTo(ChronoUnit.SECONDS).toString(),
                    version.rows(),
                    version.fragments(),
                    version.files(),
                    version.bytes() == 0 && version.files() > 0 ? null : version.bytes(),
                    version.operation());
        }
    }

    static DatasetSummary of(
            LanceDataset dataset, int ranks, int batchSize, int versionLimit, ContactSheet.Written contactSheet) {
        List<Fragment> fragments = dataset.fragments();
        // One more than is told of, to know whether there are more.
        List<Version> versions =
                dataset.versions(versionLimit + 1).stream().map(Version::of).toList();
        Version shown = versions.stream()
                .filter(version -> version.version() == dataset.version())
                .findFirst()
                .orElse(null);
        Long bytes = shown == null ? null : shown.bytes();
        long rows = dataset.countRows();
        boolean more = versions.size() > versionLimit;
        return new DatasetSummary(
                dataset.uri(),
                dataset.version(),
                rows,
                fragments.stream().mapToLong(Fragment::deletedRows).sum(),
                shown == null ? null : shown.files(),
                bytes,
                bytes == null || rows == 0 ? null : bytes / rows,
                dataset.schema().fields().stream().map(Column::of).toList(),
                dataset.schema().metadata(),
                Fragments.of(fragments),
                balance(fragments, rows, ranks, batchSize),
                more ? versions.subList(1, versions.size()) : versions,
                more,
                contactSheet);
    }

    private static Balance balance(List<Fragment> fragments, long rows, int ranks, int batchSize) {
        int[] planned = ranks <= RANKS_PLANNED ? IntStream.range(0, ranks).toArray() : EpochShare.someRanks(ranks);
        var request = new PlanRequest(fragments, ranks, 0, 0, 0, batchSize, false);
        List<Shares> shares = new ArrayList<>();
        for (SamplerName sampler : SAMPLERS) {
            if (sampler != SamplerName.RANDOM || rows / ranks <= ROWS_PLANNED) {
                shares.add(Shares.of(sampler, request, planned));
            }
        }
        return new Balance(ranks, batchSize, planned, shares);
    }
}
