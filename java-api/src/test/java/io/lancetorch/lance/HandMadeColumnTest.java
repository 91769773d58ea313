package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.lance.ArrowArray;
import io.lancetorch.data.ColumnTensors;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Arrow arrays made here byte by byte, with the offsets, nulls and types that a producer may choose, and counted releases. */
class HandMadeColumnTest {
    private final Arena arena = Arena.ofShared();
    private final AtomicInteger released = new AtomicInteger();
    private MemorySegment release;

    @BeforeEach
    void open() {
        Lance.version();
        release = ArrowArray.release.allocate(
                array -> {
                    released.incrementAndGet();
                    ArrowArray.release(array.reinterpret(ArrowArray.sizeof()), MemorySegment.NULL);
                },
                arena);
    }

    @AfterEach
    void close() {
        arena.close();
    }

    private static Field field(String format, Field... children) {
        return new Field("x", format, true, List.of(children), Map.of());
    }

    private MemorySegment array(
            long length, long offset, long nulls, List<MemorySegment> buffers, MemorySegment... children) {
        MemorySegment array = ArrowArray.allocate(arena);
        array.fill((byte) 0);
        ArrowArray.length(array, length);
        ArrowArray.offset(array, offset);
        ArrowArray.null_count(array, nulls);
        MemorySegment pointers = arena.allocate(ADDRESS, buffers.size());
        for (int i = 0; i < buffers.size(); i++) {
            pointers.setAtIndex(ADDRESS, i, buffers.get(i));
        }
        ArrowArray.n_buffers(array, buffers.size());
        ArrowArray.buffers(array, pointers);
        if (children.length > 0) {
            MemorySegment all = arena.allocate(ADDRESS, children.length);
            for (int i = 0; i < children.length; i++) {
                all.setAtIndex(ADDRESS, i, children[i]);
            }
            ArrowArray.n_children(array, children.length);
            ArrowArray.children(array, all);
        }
        ArrowArray.release(array, release);
        return array;
    }

    /** One column of a batch, as a scan would hand it over. */
    private RecordBatch batch(Field field, MemorySegment array) {
        MemorySegment parent = array(ArrowArray.length(array), 0, 0, List.of(MemorySegment.NULL), array);
        RecordBatch batch = RecordBatch.consume(Schema.of(field), parent, arena.allocate(Status.ERROR_SIZE, 8));
        released.set(0);
        return batch;
    }

    private MemorySegment floats(int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = i;
        }
        MemorySegment segment = arena.allocate(4L * count, 64);
        return segment.copyFrom(MemorySegment.ofArray(values));
    }

    private MemorySegment bits(int... bytes) {
        MemorySegment segment = arena.allocate(64, 64);
        for (int i = 0; i < bytes.length; i++) {
            segment.set(JAVA_BYTE, i, (byte) bytes[i]);
        }
        return segment;
    }

    private MemorySegment numbers(long length, long offset, long nulls, MemorySegment validity, MemorySegment values) {
        return array(length, offset, nulls, List.of(validity, values));
    }

    @Test
    void releaseRunsOnceAfterTheLastHolderWhicheverItIs() {
        MemorySegment values = floats(16);
        for (int order = 0; order < 6; order++) {
            RecordBatch batch = batch(Field.float32("x"), numbers(16, 0, 0, MemorySegment.NULL, values));
            Tensor tensor = ColumnTensors.alias(batch.column("x"));
            Column held = batch.column("x").retain();
            assertThat(tensor.dataPointer()).isEqualTo(values.address());
            List<Runnable> closes = new ArrayList<>(List.of(batch::close, tensor::close, held::close));
            closes.add(closes.remove(order % 3));
            if (order >= 3) {
                closes.add(closes.remove(1));
            }
            closes.get(0).run();
            closes.get(1).run();
            assertThat(released).as("order %d", order).hasValue(0);
            closes.get(2).run();
            assertThat(released).as("order %d", order).hasValue(1);
            closes.forEach(Runnable::run);
            assertThat(released).as("closed twice, in order %d", order).hasValue(1);
        }
    }

    @Test
    void sliceIsAliasedAtItsOffset() {
        MemorySegment values = floats(100);
        try (RecordBatch batch = batch(Field.float32("x"), numbers(10, 37, 0, MemorySegment.NULL, values));
                Tensor tensor = ColumnTensors.alias(batch.column("x"))) {
            assertThat(tensor.dataPointer()).isEqualTo(values.address() + 4 * 37);
            assertThat(tensor.toFloats()).startsWith(37, 38).hasSize(10).endsWith(46);
        }
    }

    @Test
    void offsetsOfAListAndItsItemsAddUp() {
        MemorySegment values = floats(100);
        MemorySegment items = numbers(60, 5, 0, MemorySegment.NULL, values);
        MemorySegment lists = array(4, 2, 0, List.of(MemorySegment.NULL), items);
        Field field = field("+w:3", Field.float32("item"));
        try (RecordBatch batch = batch(field, lists);
                Tensor tensor = ColumnTensors.alias(batch.column("x"))) {
            assertThat(tensor.shape()).containsExactly(4, 3);
            assertThat(tensor.dataPointer()).isEqualTo(values.address() + 4 * (5 + 2 * 3));
            assertThat(tensor.toFloats()).startsWith(11, 12, 13).endsWith(22);
        }
    }

    @Test
    void listsInListsHaveADimensionEach() {
        MemorySegment values = floats(200);
        MemorySegment items = numbers(120, 1, 0, MemorySegment.NULL, values);
        MemorySegment inner = array(30, 3, 0, List.of(MemorySegment.NULL), items);
        MemorySegment outer = array(5, 1, 0, List.of(MemorySegment.NULL), inner);
        Field field = field("+w:2", new Field("inner", "+w:4", true, List.of(Field.float32("item")), Map.of()));
        Tensor tensor;
        try (RecordBatch batch = batch(field, outer)) {
            tensor = ColumnTensors.alias(batch.column("x"));
            assertThat(batch.column("x").field().typeName())
                    .isEqualTo("fixed_size_list<fixed_size_list<float32>[4]>[2]");
        }
        try (tensor) {
            assertThat(tensor.shape()).containsExactly(5, 2, 4);
            assertThat(tensor.dataPointer()).isEqualTo(values.address() + 4 * (1 + 4 * (3 + 2)));
            assertThat(released).hasValue(0);
        }
        assertThat(released).hasValue(1);
    }

    @Test
    void bitsAreUnpackedFromAnyOffset() {
        int[] bytes = {0b1011_0010, 0b0000_1111, 0b1100_0101, 0b1111_0000};
        for (int offset = 0; offset < 20; offset++) {
            for (int length : new int[] {0, 1, 7, 8, 9, 12}) {
                try (RecordBatch batch =
                                batch(Field.bool("x"), numbers(length, offset, 0, MemorySegment.NULL, bits(bytes)));
                        Tensor tensor = ColumnTensors.alias(batch.column("x"))) {
                    long[] values = tensor.toLongs();
                    assertThat(values).hasSize(length);
                    for (int i = 0; i < length; i++) {
                        int at = offset + i;
                        assertThat(values[i]).isEqualTo(bytes[at / 8] >> (at % 8) & 1);
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "c, INT8",
        "C, UINT8",
        "s, INT16",
        "S, UINT16",
        "i, INT32",
        "I, UINT32",
        "l, INT64",
        "L, UINT64",
        "e, FLOAT16",
        "f, FLOAT32",
        "g, FLOAT64"
    })
    void everyFixedWidthTypeHasItsDType(String format, DType dtype) {
        MemorySegment values = arena.allocate(1024, 64);
        try (RecordBatch batch = batch(field(format), numbers(6, 3, 0, MemorySegment.NULL, values));
                Tensor tensor = ColumnTensors.alias(batch.column("x"))) {
            assertThat(tensor.dtype()).isEqualTo(dtype);
            assertThat(tensor.dataPointer()).isEqualTo(values.address() + 3L * dtype.size());
            assertThat(tensor.toDoubles()).containsOnly(0).hasSize(6);
        }
    }

    @ParameterizedTest
    @CsvSource({"n, null", "z, binary", "U, large_utf8", "+s, struct", "tdD, Arrow format tdD", "d:10,Arrow format d:10"
    })
    void typesWithoutATensorFormAreNamed(String format, String name) {
        try (RecordBatch batch = batch(field(format), numbers(1, 0, 0, MemorySegment.NULL, floats(8)))) {
            assertThatThrownBy(() -> ColumnTensors.alias(batch.column("x")))
                    .isInstanceOf(UnsupportedException.class)
                    .hasMessageContainingAll("column x", name);
        }
        assertThat(released).hasValue(1);
    }

    @Test
    void rowsOfASliceAreReadAtItsOffset() {
        MemorySegment longs = arena.allocateFrom(java.lang.foreign.ValueLayout.JAVA_LONG, 10, 11, 12, -13, 14);
        try (RecordBatch numbers = batch(Field.int64("x"), numbers(3, 2, 1, bits(0b1_0111), longs));
                RecordBatch reals = batch(Field.float32("x"), numbers(3, 5, 0, MemorySegment.NULL, floats(9)));
                RecordBatch flags = batch(Field.bool("x"), numbers(3, 7, 0, MemorySegment.NULL, bits(0x80, 2)))) {
            Column x = numbers.column("x");
            assertThat(x.integer(0)).isEqualTo(12);
            assertThat(x.integer(2)).isEqualTo(14);
            assertThat(x.isNull(0)).isFalse();
            assertThat(x.isNull(1)).isTrue();
            assertThat(reals.column("x").real(1)).isEqualTo(6);
            assertThat(flags.column("x").integer(0)).isEqualTo(1);
            assertThat(flags.column("x").integer(1)).isZero();
            assertThat(flags.column("x").integer(2)).isEqualTo(1);
        }
        MemorySegment text = arena.allocateFrom("onetwothree");
        MemorySegment ends = arena.allocateFrom(java.lang.foreign.ValueLayout.JAVA_INT, 0, 3, 6, 11);
        MemorySegment longEnds = arena.allocateFrom(java.lang.foreign.ValueLayout.JAVA_LONG, 0, 3, 6, 11);
        for (boolean large : new boolean[] {false, true}) {
            List<MemorySegment> buffers = List.of(MemorySegment.NULL, large ? longEnds : ends, text);
            try (RecordBatch batch = batch(field(large ? "U" : "u"), array(2, 1, 0, buffers))) {
                assertThat(batch.column("x").text(0)).isEqualTo("two");
                assertThat(batch.column("x").text(1)).isEqualTo("three");
            }
        }
    }

    @Test
    void memoryThatIsNotAlignedIsRefusedAndStillReleasedOnce() {
        MemorySegment values = floats(16).asSlice(2);
        try (RecordBatch batch = batch(Field.float32("x"), numbers(4, 0, 0, MemorySegment.NULL, values))) {
            assertThatThrownBy(() -> ColumnTensors.alias(batch.column("x")))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("align");
            assertThat(released).hasValue(0);
        }
        assertThat(released).hasValue(1);
    }

    @Test
    void nullIsNamedByItsRowInTheSlice() {
        // Rows 0 .. 15 are valid but for 5 and 12; the slice begins at 4.
        MemorySegment validity = bits(0b1101_1111, 0b1110_1111);
        for (long nulls : new long[] {2, -1}) {
            try (RecordBatch batch = batch(Field.float32("x"), numbers(10, 4, nulls, validity, floats(20)))) {
                assertThat(batch.column("x").nullCount()).isEqualTo(2);
                assertThatThrownBy(() -> ColumnTensors.alias(batch.column("x")))
                        .isInstanceOf(CorruptDataException.class)
                        .hasMessageContainingAll("column x", "2 nulls", "row 1 ")
                        .extracting(e -> ((CorruptDataException) e).row())
                        .isEqualTo(1L);
            }
        }
    }

    @Test
    void nullCountThatIsNotKnownDoesNotMatterWhereNoneIsNull() {
        try (RecordBatch batch = batch(Field.float32("x"), numbers(8, 0, -1, bits(0xff), floats(8)));
                Tensor tensor = ColumnTensors.alias(batch.column("x"))) {
            assertThat(tensor.toFloats()).containsExactly(0, 1, 2, 3, 4, 5, 6, 7);
        }
    }

    @Test
    void nullAmongAListsItemsIsNamedByTheListsRow() {
        // Item 13 is null: of lists of 3 from the second on, that is row 4 - 1 = 3, its second value.
        MemorySegment items = numbers(30, 0, 1, bits(0xff, 0b1101_1111, 0xff, 0xff), floats(30));
        MemorySegment lists = array(6, 1, 0, List.of(MemorySegment.NULL), items);
        try (RecordBatch batch = batch(field("+w:3", Field.float32("item")), lists)) {
            assertThatThrownBy(() -> ColumnTensors.alias(batch.column("x")))
                    .isInstanceOf(CorruptDataException.class)
                    .hasMessageContainingAll("column x", "row 3")
                    .extracting(e -> ((CorruptDataException) e).row())
                    .isEqualTo(3L);
        }
    }

    @Test
    void nullAmongItemsOutsideTheSliceDoesNotMatter() {
        MemorySegment items = numbers(30, 0, 1, bits(0xff, 0b1101_1111, 0xff, 0xff), floats(30));
        MemorySegment lists = array(4, 5, 0, List.of(MemorySegment.NULL), items);
        try (RecordBatch batch = batch(field("+w:3", Field.float32("item")), lists);
                Tensor tensor = ColumnTensors.alias(batch.column("x"))) {
            assertThat(tensor.data().get(JAVA_FLOAT, 0)).isEqualTo(15);
        }
    }
}
