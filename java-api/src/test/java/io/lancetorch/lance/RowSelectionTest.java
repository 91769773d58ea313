package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.InvalidArgumentException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;

class RowSelectionTest {
    /** Ranges in any order, of few fragments and few rows, so that they overlap and touch often; some are empty. */
    @Provide
    Arbitrary<List<RowRange>> ranges() {
        return Combinators.combine(
                        Arbitraries.of(70L, 3L, 900L, 0L),
                        Arbitraries.longs().between(0, 60),
                        Arbitraries.longs().between(0, 9))
                .as((id, begin, rows) -> new RowRange(id, begin, begin + rows))
                .list()
                .ofMaxSize(40);
    }

    private static Map<Long, BitSet> model(List<RowRange> ranges) {
        Map<Long, BitSet> rows = new LinkedHashMap<>();
        for (RowRange range : ranges) {
            rows.computeIfAbsent(range.fragmentId(), id -> new BitSet()).set((int) range.begin(), (int) range.end());
        }
        rows.values().removeIf(BitSet::isEmpty);
        return rows;
    }

    private static List<RowRange> joined(Map<Long, BitSet> rows, List<Long> order) {
        List<RowRange> joined = new ArrayList<>();
        for (long id : order) {
            BitSet set = rows.get(id);
            for (int begin = set.nextSetBit(0); begin >= 0; begin = set.nextSetBit(set.nextClearBit(begin))) {
                joined.add(new RowRange(id, begin, set.nextClearBit(begin)));
            }
        }
        return joined;
    }

    private static List<Long> ids(RowSelection selection) {
        return selection.fragments().stream().map(Fragment::id).toList();
    }

    @Property
    void isTheSetOfTheRowsOfItsRangesWithNeighboursJoined(@ForAll("ranges") List<RowRange> ranges) {
        Map<Long, BitSet> rows = model(ranges);
        RowSelection selection = RowSelection.of(ranges);
        assertThat(ids(selection)).containsExactlyInAnyOrderElementsOf(rows.keySet());
        assertThat(selection.ranges()).isEqualTo(joined(rows, ids(selection)));
        assertThat(selection.rows())
                .isEqualTo(rows.values().stream().mapToInt(BitSet::cardinality).sum());
        for (Fragment fragment : selection.fragments()) {
            assertThat(fragment.rows()).isEqualTo(rows.get(fragment.id()).cardinality());
        }
        assertThat(RowSelection.of(selection.ranges()).ranges()).isEqualTo(selection.ranges());
    }

    @Property(tries = 150)
    void selectedRowsOfAFragmentAreFoundByTheirNumbers(@ForAll("ranges") List<RowRange> ranges) {
        Map<Long, BitSet> rows = model(ranges);
        RowSelection selection = RowSelection.of(ranges);
        for (Fragment fragment : selection.fragments()) {
            long id = fragment.id();
            int[] expected = rows.get(id).stream().toArray();
            for (int from = 0; from < expected.length; from++) {
                assertThat(selection.row(id, from)).isEqualTo(expected[from]);
                for (int to = from; to <= expected.length; to++) {
                    List<RowRange> seen = new ArrayList<>();
                    selection.forEachRange(
                            id, from, to, (seenId, begin, end) -> seen.add(new RowRange(seenId, begin, end)));
                    assertThat(seen).allMatch(range -> range.fragmentId() == id && range.rows() > 0);
                    assertThat(seen.stream().flatMapToLong(range -> LongStream.range(range.begin(), range.end())))
                            .containsExactlyElementsOf(IntStream.of(expected)
                                    .skip(from)
                                    .limit(to - from)
                                    .asLongStream()
                                    .boxed()
                                    .toList());
                    assertThat(seen)
                            .as("neighbours are joined")
                            .isEqualTo(joined(model(seen), to > from ? List.of(id) : List.of()));
                }
            }
        }
    }

    @Property
    void structsOfNativeMemoryAreTheSameSelection(@ForAll("ranges") List<RowRange> ranges) {
        List<RowRange> expected = RowSelection.of(ranges).ranges();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment structs = arena.allocate(JAVA_LONG, 3L * expected.size());
            for (int i = 0; i < expected.size(); i++) {
                structs.setAtIndex(JAVA_LONG, 3L * i, expected.get(i).fragmentId());
                structs.setAtIndex(JAVA_LONG, 3L * i + 1, expected.get(i).begin());
                structs.setAtIndex(JAVA_LONG, 3L * i + 2, expected.get(i).end());
            }
            RowSelection selection = RowSelection.of(MemorySegment.ofAddress(structs.address()), expected.size());
            assertThat(selection.ranges()).isEqualTo(expected);
        }
    }

    @Property
    void sampleHasSoManyRowsOfTheFragmentsInTheirOrder(
            @ForAll List<@net.jqwik.api.constraints.LongRange(min = 0, max = 30) Long> sizes,
            @ForAll @IntRange(min = 0, max = 100) int percent,
            @ForAll long seed) {
        List<Fragment> fragments = IntStream.range(0, sizes.size())
                .mapToObj(i -> new Fragment(1000L - i, sizes.get(i), 0))
                .toList();
        long total = sizes.stream().mapToLong(Long::longValue).sum();
        long count = total * percent / 100;
        RowSelection sample = RowSelection.sample(fragments, count, seed);
        assertThat(sample.rows()).isEqualTo(count);
        assertThat(ids(sample)).isSubsetOf(fragments.stream().map(Fragment::id).toList());
        assertThat(ids(sample)).isSortedAccordingTo((a, b) -> Long.compare(b, a));
        for (Fragment fragment : sample.fragments()) {
            assertThat(sample.row(fragment.id(), fragment.rows() - 1))
                    .isLessThan(sizes.get((int) (1000 - fragment.id())));
        }
        assertThat(RowSelection.sample(fragments, count, seed).ranges()).isEqualTo(sample.ranges());
    }

    @Example
    void everySubsetOfASizeIsAsLikelyAsAnother() {
        List<Fragment> fragments = List.of(new Fragment(0, 2, 0), new Fragment(1, 4, 0));
        Map<List<RowRange>, Integer> counts = new java.util.HashMap<>();
        for (long seed = 0; seed < 15_000; seed++) {
            counts.merge(RowSelection.sample(fragments, 2, seed).ranges(), 1, Integer::sum);
        }
        // 15 pairs, each expected 1,000 times with a standard deviation of 31.
        assertThat(counts).hasSize(15).allSatisfy((pair, count) -> assertThat(count)
                .isBetween(870, 1130));
    }

    @Example
    void sampleOfABillionRowsNeedsMemoryForTheSampleAlone() {
        List<Fragment> fragments = IntStream.range(0, 1000)
                .mapToObj(i -> new Fragment(i, 1_000_000, 0))
                .toList();
        RowSelection sample = RowSelection.sample(fragments, 10_000, 4);
        assertThat(sample.rows()).isEqualTo(10_000);
        assertThat(sample.fragments()).hasSizeGreaterThan(990);
    }

    @Example
    void selectionWithoutRowsHasNoFragments() {
        RowSelection none = RowSelection.of(List.of(new RowRange(4, 3, 3)));
        assertThat(none.rows()).isZero();
        assertThat(none.fragments()).isEmpty();
        assertThat(none.ranges()).isEmpty();
        assertThat(RowSelection.of(MemorySegment.NULL, 0).rows()).isZero();
        assertThat(RowSelection.sample(List.of(), 0, 1).rows()).isZero();
    }

    @Example
    void whatIsNoSelectionIsRefusedNamingIt() {
        assertThatThrownBy(() -> RowSelection.of(List.of(new RowRange(7, 5, 3))))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("rows 5 to 3", "fragment 7");
        assertThatThrownBy(() -> RowSelection.sample(List.of(new Fragment(0, 10, 0)), 11, 0))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("11 rows of 10");
        assertThatThrownBy(() -> RowSelection.sample(
                        List.of(new Fragment(5, 1, 0), new Fragment(6, 1, 0), new Fragment(5, 1, 0)), 3, 0))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("fragment 5 comes twice");
        RowSelection selection = RowSelection.of(List.of(new RowRange(7, 5, 8)));
        assertThatThrownBy(() -> selection.row(7, 3))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("fragment 7", "3 selected rows");
        assertThatThrownBy(() -> selection.forEachRange(8, 0, 1, (id, begin, end) -> {}))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("fragment 8", "0 selected rows");
    }
}
