package io.lancetorch.data;

import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.RowRange;
import io.lancetorch.lance.RowSelection;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * One cell of the table of samplers: which rows an epoch has, how they are dealt to the ranks, and whether over all the dataset
 * or over a selection.
 *
 * @param rows of an epoch
 * @param deal to the ranks
 * @param subset over every other row of each fragment only
 */
record SamplerCase(Rows rows, Deal deal, boolean subset) {
    /** What becomes of rows that cannot be dealt evenly ({@code null}: there are none), and the sampler of row samplers. */
    record Deal(String name, Uneven uneven, Function<RowSampler, Sampler> of) {}

    /** The row sampler for fragments, or null where the deal takes all rows by itself. */
    record Rows(String name, boolean shuffled, Function<List<Fragment>, RowSampler> of) {}

    private static final List<Rows> ROWS = List.of(
            new Rows("all in order", false, fragments -> new SequentialSampler()),
            new Rows("all at random", true, fragments -> new RandomSampler()),
            new Rows("some at random", true, fragments -> new RandomSampler(false, total(fragments) / 2 + 1)),
            new Rows("all twice and three more", true, fragments -> new RandomSampler(false, 2 * total(fragments) + 3)),
            new Rows("in clumps of three", true, fragments -> RandomSampler.inClumps(3)),
            new Rows("drawn with replacement", true, fragments -> new RandomSampler(true, 0)),
            new Rows("drawn by weights", true, fragments -> weighted(fragments, true)),
            new Rows("drawn by weights, none twice", true, fragments -> weighted(fragments, false)),
            new Rows("a list at random", true, SamplerCase::listed),
            new Rows("a selection at random", true, fragments -> new SubsetRandomSampler(everyOther(fragments))));

    /** Every sampler, with every {@link Uneven}, shuffled and not, over all rows and over a selection. */
    static List<SamplerCase> all() {
        List<SamplerCase> cases = new ArrayList<>();
        for (boolean subset : new boolean[] {false, true}) {
            for (boolean shuffle : new boolean[] {false, true}) {
                Rows own = new Rows(shuffle ? "shuffled" : "in order", shuffle, fragments -> null);
                cases.add(new SamplerCase(
                        own, new Deal("full scan", null, rows -> new FullScanSampler(shuffle)), subset));
                for (Uneven uneven : Uneven.values()) {
                    cases.add(new SamplerCase(
                            own,
                            new Deal("fragments", uneven, rows -> new ShardedFragmentSampler(shuffle, uneven)),
                            subset));
                    cases.add(new SamplerCase(
                            own,
                            new Deal("batches", uneven, rows -> new ShardedBatchSampler(shuffle, uneven)),
                            subset));
                }
            }
            for (Rows rows : ROWS) {
                cases.add(new SamplerCase(rows, new Deal("as it is", Uneven.PAD, sampler -> sampler), subset));
                for (Uneven uneven : Uneven.values()) {
                    cases.add(new SamplerCase(
                            rows,
                            new Deal("row by row", uneven, sampler -> new DistributedSampler(sampler, uneven)),
                            subset));
                    cases.add(new SamplerCase(
                            rows,
                            new Deal("batches of rows", uneven, sampler -> new BatchSampler(sampler, uneven)),
                            subset));
                }
            }
        }
        return cases;
    }

    /** The same cell with another answer to unevenness. */
    SamplerCase with(Uneven uneven) {
        return all().stream()
                .filter(other -> other.toString().equals(name() + " " + uneven))
                .findFirst()
                .orElseThrow();
    }

    /** Whether the ranks' rows come in turn in the epoch's order; else a rank's rows of a step are neighbours there. */
    boolean isInterleaved() {
        return deal.name.equals("fragments") || deal.name.equals("row by row") || deal.name.equals("as it is");
    }

    /** Whether each rank goes through the epoch by itself. */
    boolean isAlone() {
        return deal.uneven == null;
    }

    Sampler sampler(List<Fragment> fragments) {
        Sampler inner = deal.of.apply(rows.of.apply(visible(fragments)));
        return subset ? new SubsetSampler(everyOther(fragments), inner) : inner;
    }

    /** How often each row of each fragment comes in the epoch that is dealt. */
    Map<Long, int[]> declared(PlanRequest request) {
        List<Fragment> fragments = request.fragments();
        List<long[]> visible = new ArrayList<>();
        for (Fragment fragment : fragments) {
            for (long row = 0; row < fragment.rows(); row++) {
                if (!subset || isSelected(fragment, row)) {
                    visible.add(new long[] {fragment.id(), row});
                }
            }
        }
        RowSampler sampler = rows.of.apply(visible(fragments));
        RowSequence sequence = sampler == null
                ? new RowSequence(visible.size(), i -> i)
                : sampler.rows(request.withFragments(visible(fragments)));
        Map<Long, int[]> counts = none(fragments);
        for (long i = 0; i < sequence.size(); i++) {
            long[] row = visible.get((int) sequence.at(i));
            counts.get(row[0])[(int) row[1]]++;
        }
        return counts;
    }

    /** No row of any of the fragments. */
    static Map<Long, int[]> none(List<Fragment> fragments) {
        Map<Long, int[]> counts = new HashMap<>();
        fragments.forEach(fragment -> counts.put(fragment.id(), new int[(int) fragment.rows()]));
        return counts;
    }

    private List<Fragment> visible(List<Fragment> fragments) {
        return subset ? everyOther(fragments).fragments() : fragments;
    }

    private static boolean isSelected(Fragment fragment, long row) {
        return (row + fragment.id()) % 2 == 0;
    }

    private static RowSelection everyOther(List<Fragment> fragments) {
        List<RowRange> ranges = new ArrayList<>();
        for (Fragment fragment : fragments) {
            for (long row = 0; row < fragment.rows(); row++) {
                if (isSelected(fragment, row)) {
                    ranges.add(new RowRange(fragment.id(), row, row + 1));
                }
            }
        }
        return RowSelection.of(ranges);
    }

    private static long total(List<Fragment> fragments) {
        return fragments.stream().mapToLong(Fragment::rows).sum();
    }

    private static RowSampler listed(List<Fragment> fragments) {
        return new SubsetRandomSampler(LongStream.range(0, total(fragments))
                .filter(row -> row % 3 != 1)
                .toArray());
    }

    /** Where no weight is positive, since there are no rows or one, the sampler of all rows. */
    private static RowSampler weighted(List<Fragment> fragments, boolean replacement) {
        int count = (int) total(fragments);
        double[] weights = IntStream.range(0, count).mapToDouble(i -> i % 5).toArray();
        long positive = DoubleStream.of(weights).filter(weight -> weight > 0).count();
        return positive == 0
                ? new SequentialSampler()
                : new WeightedRandomSampler(weights, replacement ? count + 2 : (positive + 1) / 2, replacement);
    }

    private String name() {
        return deal.name + ", " + rows.name + (subset ? ", of every other row" : "");
    }

    @Override
    public String toString() {
        return name() + " " + deal.uneven;
    }
}
