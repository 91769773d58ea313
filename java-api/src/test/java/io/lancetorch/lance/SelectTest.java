package io.lancetorch.lance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.testing.TestData;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Rows are selected by a filter, and read however they are scattered. The dataset has fragments of 1, 20, 20, 18 and 1 rows;
 * the ids 0, 10 to 13, 41 and 58 are deleted, so its live ids are 1 to 9, 14 to 40, 42 to 57 and 59.
 */
class SelectTest {
    private final LanceDataset dataset =
            LanceDataset.open(TestData.resource("lance/python-evolved.lance").toString());
    private final long[] live = LongStream.range(0, 60)
            .filter(id -> id != 0 && (id < 10 || id > 13) && id != 41 && id != 58)
            .toArray();

    @AfterEach
    void close() {
        dataset.close();
    }

    private List<Long> ids(Scan.Builder builder) {
        List<Long> ids = new ArrayList<>();
        try (Scan scan = builder.columns("id").open()) {
            for (RecordBatch next; (next = scan.next()) != null; ) {
                try (RecordBatch batch = next) {
                    for (int i = 0; i < batch.rows(); i++) {
                        ids.add(batch.column(0).integer(i));
                    }
                }
            }
        }
        return ids;
    }

    @Test
    void whatIsSelectedIsWhatAFilterLeaves() {
        for (String filter : List.of("id % 3 = 1", "twice > 50 AND id < 43", "true", "id = 59", "id < 0")) {
            RowSelection selection = dataset.select(filter);
            assertThat(selection.rows()).isEqualTo(dataset.countRows(filter));
            assertThat(ids(dataset.scan().ranges(selection.ranges())))
                    .isEqualTo(ids(dataset.scan().filter(filter)));
        }
    }

    @Test
    void fragmentsAreSelectedFromAlone() {
        List<Fragment> some =
                List.of(dataset.fragments().get(2), dataset.fragments().get(0));
        RowSelection selection = dataset.select("id % 2 = 1", some);
        assertThat(ids(dataset.scan().ranges(selection.ranges())))
                .isEqualTo(ids(dataset.scan().fragments(some).filter("id % 2 = 1")))
                .isNotEmpty();
        assertThat(dataset.select("true", List.of()).rows()).isZero();
    }

    @Test
    void aWrongFilterOrFragmentIsRefused() {
        assertThatThrownBy(() -> dataset.select("id >"))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("id >");
        assertThatThrownBy(() -> dataset.select("nothing = 1"))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("'twice'");
        assertThatThrownBy(() -> dataset.select("id > 1", List.of(new Fragment(77, 1, 0))))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining("fragment 77");
    }

    @ParameterizedTest
    @EnumSource(Access.class)
    void scatteredRowsComeInTheirOrderByEveryAccess(Access access) {
        var random = new Random(7);
        List<List<RowRange>> batches = new ArrayList<>();
        List<Long> expected = new ArrayList<>();
        for (int batch = 0; batch < 12; batch++) {
            List<RowRange> ranges = new ArrayList<>();
            for (int i = 0; i < batch; i++) {
                List<Fragment> fragments = dataset.fragments().stream()
                        .filter(fragment -> fragment.rows() > 0)
                        .toList();
                Fragment fragment = fragments.get(random.nextInt(fragments.size()));
                long row = random.nextLong(fragment.rows());
                ranges.add(new RowRange(fragment.id(), row, row + 1));
                long before = dataset.fragments().stream()
                        .takeWhile(other -> other.id() != fragment.id())
                        .mapToLong(Fragment::rows)
                        .sum();
                expected.add(live[(int) (before + row)]);
            }
            batches.add(ranges);
        }
        assertThat(ids(dataset.scan().batches(batches).access(access))).isEqualTo(expected);
    }

    @Test
    void takesOfOtherColumnsInTurnKeepTheirColumns() {
        long[] rows = {52, 0, 13, 0};
        Long[] expected = Arrays.stream(rows).mapToObj(row -> live[(int) row]).toArray(Long[]::new);
        for (int i = 0; i < 3; i++) {
            try (RecordBatch id = dataset.take(rows, "id");
                    RecordBatch again = dataset.take(rows, "id");
                    RecordBatch both = dataset.take(rows, List.of("twice", "id"), true);
                    RecordBatch all = dataset.take(rows)) {
                assertThat(id.schema().names()).containsExactly("id");
                assertThat(again.schema()).isSameAs(id.schema());
                assertThat(both.schema().names()).containsExactly("twice", "id", "_rowid");
                assertThat(all.schema().names()).containsExactly("id", "vector", "twice");
                for (int row = 0; row < rows.length; row++) {
                    for (RecordBatch batch : List.of(id, again, both, all)) {
                        assertThat(batch.column("id").integer(row)).isEqualTo(expected[row]);
                    }
                    assertThat(both.column("twice").integer(row)).isEqualTo(2 * expected[row]);
                }
            }
        }
    }
}
