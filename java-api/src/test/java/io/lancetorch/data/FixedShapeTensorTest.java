package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Scan;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.testing.TestData;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Columns of Arrow's type arrow.fixed_shape_tensor become tensors of that shape, without a copy. */
class FixedShapeTensorTest {
    private static final Field FLOAT = Field.float32("item");

    @TempDir
    private Path folder;

    private static Field field(Field item, int size, String json) {
        return new Field(
                "x",
                "+w:" + size,
                true,
                List.of(item),
                Map.of("ARROW:extension:name", "arrow.fixed_shape_tensor", "ARROW:extension:metadata", json));
    }

    @Test
    void pythonsTensorsKeepTheirShapeAndOrder() {
        try (var dataset = LanceDataset.open(
                        TestData.resource("lance/python-tensors.lance").toString());
                Scan scan = dataset.scan().open();
                RecordBatch batch = scan.next();
                Tensor plain = ColumnTensors.alias(batch.column("plain"));
                Tensor permuted = ColumnTensors.alias(batch.column("permuted"))) {
            assertThat(dataset.schema().field("plain").tensorShape()).containsExactly(2, 3);
            assertThat(dataset.schema().field("permuted").tensorShape()).containsExactly(2, 3);
            assertThat(dataset.schema().field("permuted").tensorStrides()).containsExactly(1, 2);
            assertThat(plain.shape()).containsExactly(5, 2, 3);
            assertThat(permuted.shape()).containsExactly(5, 2, 3);
            float[] rowMajor = new float[30];
            float[] transposed = new float[30];
            for (int i = 0; i < 30; i++) {
                rowMajor[i] = i;
                int row = i % 6 / 3;
                int column = i % 3;
                transposed[i] = i / 6 * 6 + column * 2 + row;
            }
            assertThat(plain.toFloats()).containsExactly(rowMajor);
            assertThat(permuted.toFloats()).containsExactly(transposed);
            assertThat(plain.data().address())
                    .isEqualTo(batch.column("plain").child(0).buffer(1).address());
        }
    }

    @Test
    void tensorsAreWrittenAndLoadedInTheirShape() {
        String uri = folder.resolve("tensors.lance").toString();
        Schema schema = Schema.of(
                Field.fixedShapeTensor("x", FLOAT, 2, 1, 3), Field.fixedShapeTensor("bytes", Field.uint8("item"), 4));
        try (var writer = LanceWriter.to(uri, schema).open()) {
            for (int i = 0; i < 10; i++) {
                writer.append(new float[] {i, 1, 2, 3, 4, 5}, new byte[] {1, 2, 3, (byte) i});
            }
            writer.finish();
        }
        try (var dataset = LanceDataset.open(uri);
                var loader = DataLoader.of(dataset).batchSize(4).open()) {
            assertThat(dataset.schema()).isEqualTo(schema);
            long rows = 0;
            for (Batch batch : loader) {
                Tensor x = batch.get("x");
                assertThat(x.shape()).containsExactly(batch.rows(), 2, 1, 3);
                assertThat(x.toFloats()[6 * (batch.rows() - 1)]).isEqualTo(rows + batch.rows() - 1);
                assertThat(batch.get("bytes").dtype()).isEqualTo(DType.UINT8);
                assertThat(batch.get("bytes").shape()).containsExactly(batch.rows(), 4);
                rows += batch.rows();
            }
            assertThat(rows).isEqualTo(10);
        }
    }

    @Test
    void otherColumnsHaveNoTensorShape() {
        assertThat(FLOAT.tensorShape()).isNull();
        assertThat(Field.fixedSizeList("x", FLOAT, 6).tensorShape()).isNull();
        assertThat(Field.fixedSizeList("x", FLOAT, 6).tensorStrides()).isNull();
        assertThat(field(FLOAT, 6, "{\"dim_names\":[\"a\",\"b\"],\"shape\":[2,3],\"permutation\":null}")
                        .tensorStrides())
                .containsExactly(3, 1);
        assertThat(field(FLOAT, 24, "{\"permutation\":[2,0,1],\"shape\":[2,3,4]}")
                        .tensorShape())
                .containsExactly(4, 2, 3);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "[2,3]",
                "{}",
                "{\"shape\":[2,3",
                "{\"shape\":6}",
                "{\"shape\":[2,-3]}",
                "{\"shape\":[2,2.5]}",
                "{\"shape\":[2,4]}",
                "{\"shape\":[4294967296,4294967296]}",
                "{\"shape\":[2,3],\"permutation\":[0]}",
                "{\"shape\":[2,3],\"permutation\":[1,1]}",
                "{\"shape\":[2,3],\"permutation\":[1,2]}"
            })
    void metadataThatCannotBeIsCorruptData(String json) {
        assertThatThrownBy(() -> field(FLOAT, 6, json).tensorShape())
                .isInstanceOf(CorruptDataException.class)
                .hasMessageContaining("column x");
    }

    @Test
    void shapesThatCannotBeAreRefused() {
        for (long[] shape : new long[][] {{0}, {2, -1}, {1L << 31}, {1L << 32, 1L << 32}}) {
            assertThatThrownBy(() -> Field.fixedShapeTensor("x", FLOAT, shape))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("column x");
        }
    }

    @Test
    void nestedListsOfAnyLengthAreRefusedByNameAndType() {
        Field list = new Field("words", "+l", true, List.of(Field.int32("item")), Map.of());
        Field inner = Field.fixedSizeList("x", list, 2);
        for (Field field : List.of(list, inner)) {
            assertThatThrownBy(() -> ColumnTensors.requireTensorForm(field))
                    .isInstanceOf(UnsupportedException.class)
                    .hasMessageContaining("column " + field.name())
                    .hasMessageContaining("list<int32>")
                    .hasMessageContaining("leave it out of columns(...)");
        }
    }
}
