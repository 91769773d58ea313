package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.random.Permutation;
import java.lang.foreign.MemorySegment;
import java.util.AbstractList;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.RandomAccess;

/**
 * A set of a dataset's rows, such as those that a filter accepts: ranges, grouped by fragment, ascending in each, without
 * overlap. Immutable, 16 bytes for a range, whatever its rows; any thread may use it.
 */
public final class RowSelection {
    private static final int MAX_ARRAY = Integer.MAX_VALUE - 8;

    private final List<Fragment> fragments;
    private final Map<Long, Integer> places;
    // Of each fragment the number of its first range, and, last, the number of all ranges.
    private final int[] firstRanges;
    // Of each range its first row in the fragment.
    private final long[] begins;
    // Of each range the selected rows before it, over all fragments, and, last, all selected rows.
    private final long[] starts;

    private RowSelection(Builder builder) {
        int count = builder.fragments;
        firstRanges = Arrays.copyOf(builder.firstRanges, count + 1);
        firstRanges[count] = builder.ranges;
        begins = Arrays.copyOf(builder.begins, builder.ranges);
        starts = Arrays.copyOf(builder.starts, builder.ranges + 1);
        starts[builder.ranges] = builder.rows;
        Fragment[] counts = new Fragment[count];
        places = HashMap.newHashMap(count);
        for (int i = 0; i < count; i++) {
            counts[i] = new Fragment(builder.ids[i], starts[firstRanges[i + 1]] - starts[firstRanges[i]], 0);
            if (places.put(builder.ids[i], i) != null) {
                throw new InvalidArgumentException("fragment " + builder.ids[i] + " comes twice");
            }
        }
        fragments = List.of(counts);
    }

    /**
     * The rows of these ranges; one that is in several of them is selected once. Fragments come in the order in which they
     * come here first, which for {@link #sample} and for a filter is the dataset's.
     */
    public static RowSelection of(List<RowRange> ranges) {
        Map<Long, List<RowRange>> byFragment = new LinkedHashMap<>();
        for (RowRange range : ranges) {
            byFragment
                    .computeIfAbsent(range.fragmentId(), id -> new ArrayList<>())
                    .add(range);
        }
        var builder = new Builder(ranges.size());
        for (List<RowRange> group : byFragment.values()) {
            group.sort(Comparator.comparingLong(RowRange::begin));
            for (RowRange range : group) {
                builder.add(range.fragmentId(), range.begin(), range.end());
            }
        }
        return new RowSelection(builder);
    }

    /** Copies {@code count} structs {@code lt_row_range}, grouped by fragment and ascending in each; null pointer: none. */
    static RowSelection of(MemorySegment ranges, long count) {
        if (count > MAX_ARRAY) {
            throw new InvalidArgumentException(
                    "a selection of " + count + " ranges: " + MAX_ARRAY + " are possible; select fewer rows at a time");
        }
        var builder = new Builder((int) count);
        MemorySegment values = ranges.reinterpret(3 * count * JAVA_LONG.byteSize());
        for (long i = 0; i < count; i++) {
            builder.add(
                    values.getAtIndex(JAVA_LONG, 3 * i),
                    values.getAtIndex(JAVA_LONG, 3 * i + 1),
                    values.getAtIndex(JAVA_LONG, 3 * i + 2));
        }
        return new RowSelection(builder);
    }

    /**
     * Some {@code count} of the fragments' rows, each subset of that many as likely as another. A pure function; memory and
     * time grow with {@code count} alone, not with the rows there are.
     *
     * @throws InvalidArgumentException for more rows than there are
     */
    public static RowSelection sample(List<Fragment> fragments, long count, long seed) {
        long total = fragments.stream().mapToLong(Fragment::rows).sum();
        if (count < 0 || count > total || count > MAX_ARRAY) {
            throw new InvalidArgumentException("a sample of " + count + " rows of " + total + ": 0 to "
                    + Math.min(total, MAX_ARRAY) + " are possible");
        }
        // No epoch has this number, so the rows are drawn apart from every epoch's order by the same seed.
        var order = new Permutation(total, seed, -1);
        long[] rows = new long[(int) count];
        Arrays.setAll(rows, order::applyAsLong);
        Arrays.sort(rows);
        var builder = new Builder(rows.length);
        int next = 0;
        long begin = 0;
        for (Fragment fragment : fragments) {
            long end = begin + fragment.rows();
            for (; next < rows.length && rows[next] < end; next++) {
                builder.add(fragment.id(), rows[next] - begin, rows[next] - begin + 1);
            }
            begin = end;
        }
        return new RowSelection(builder);
    }

    /** How many rows. */
    public long rows() {
        return starts[begins.length];
    }

    /** For each fragment that has any selected rows their number, as its {@code rows}; {@code deletedRows} is 0. */
    public List<Fragment> fragments() {
        return fragments;
    }

    /** The ranges, neighbours joined; a view, whose elements are made when they are asked for. */
    public List<RowRange> ranges() {
        return new RangeList();
    }

    private final class RangeList extends AbstractList<RowRange> implements RandomAccess {
        @Override
        public RowRange get(int index) {
            Objects.checkIndex(index, begins.length);
            int found = Arrays.binarySearch(firstRanges, index);
            int place = found >= 0 ? found : -found - 2;
            return new RowRange(fragments.get(place).id(), begins[index], end(index));
        }

        @Override
        public int size() {
            return begins.length;
        }
    }

    /**
     * The row of a fragment that is its {@code index}-th selected one, counted from 0.
     *
     * @throws InvalidArgumentException where the fragment has no selected row of that number
     */
    public long row(long fragmentId, long index) {
        int place = place(fragmentId, index, index + 1);
        long start = starts[firstRanges[place]] + index;
        int range = range(place, start);
        return begins[range] + start - starts[range];
    }

    /** What {@link #forEachRange} calls. */
    @FunctionalInterface
    public interface RangeVisitor {
        /** Rows {@code begin} to {@code end} - 1 of a fragment. */
        void range(long fragmentId, long begin, long end);
    }

    /**
     * Calls {@code visitor} with the ranges that hold a fragment's {@code from}-th to {@code to} - 1-th selected rows, counted
     * from 0, in order. The first is found by binary search.
     *
     * @throws InvalidArgumentException where the fragment has no selected rows of these numbers
     */
    public void forEachRange(long fragmentId, long from, long to, RangeVisitor visitor) {
        if (from == to) {
            return;
        }
        int place = place(fragmentId, from, to);
        long at = starts[firstRanges[place]] + from;
        long stop = at + to - from;
        for (int range = range(place, at); at < stop; range++) {
            long next = Math.min(stop, starts[range + 1]);
            visitor.range(fragmentId, begins[range] + at - starts[range], begins[range] + next - starts[range]);
            at = next;
        }
    }

    private int place(long fragmentId, long from, long to) {
        Integer place = places.get(fragmentId);
        long rows = place == null ? 0 : fragments.get(place).rows();
        if (from < 0 || to < from || to > rows) {
            throw new InvalidArgumentException("the selected rows " + from + " to " + (to - 1) + " of fragment "
                    + fragmentId + ", which has " + rows + " selected rows");
        }
        return place;
    }

    private int range(int place, long start) {
        int found = Arrays.binarySearch(starts, firstRanges[place], firstRanges[place + 1], start);
        return found >= 0 ? found : -found - 2;
    }

    private long end(int range) {
        return begins[range] + starts[range + 1] - starts[range];
    }

    @Override
    public String toString() {
        return "RowSelection[" + rows() + " rows in " + begins.length + " ranges of " + fragments.size()
                + " fragments]";
    }

    /** Takes ranges that are grouped by fragment and ascend in each by their begins. */
    private static final class Builder {
        private long[] ids = new long[4];
        private int[] firstRanges = new int[5];
        private final long[] begins;
        private final long[] starts;
        private int fragments;
        private int ranges;
        private long rows;
        private long end;

        Builder(int capacity) {
            begins = new long[capacity];
            starts = new long[capacity + 1];
        }

        void add(long fragmentId, long begin, long end) {
            if (begin < 0 || end < begin) {
                throw new InvalidArgumentException(
                        "rows " + begin + " to " + end + " of fragment " + fragmentId + " are no range");
            }
            boolean sameFragment = fragments > 0 && ids[fragments - 1] == fragmentId;
            if (sameFragment && begin <= this.end) {
                rows += Math.max(0, end - this.end);
                this.end = Math.max(end, this.end);
                return;
            }
            if (begin == end) {
                return;
            }
            if (!sameFragment) {
                if (fragments == ids.length) {
                    ids = Arrays.copyOf(ids, 2 * fragments);
                    firstRanges = Arrays.copyOf(firstRanges, 2 * fragments + 1);
                }
                ids[fragments] = fragmentId;
                firstRanges[fragments++] = ranges;
            }
            begins[ranges] = begin;
            starts[ranges++] = rows;
            rows += end - begin;
            this.end = end;
        }
    }
}
