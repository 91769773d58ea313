package io.lancetorch.jmh;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.lance.Column;
import io.lancetorch.lance.ImageDecoder;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RecordBatch;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.awt.image.DataBufferByte;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import javax.imageio.ImageIO;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Images a second on one thread: {@value Inputs#PHOTOS} JPEGs whose longer side is {@value Inputs#LONGER_SIDE} pixels, of
 * quality {@value Inputs#QUALITY}, to float pixels of {@value #SIDE} x {@value #SIDE}, as a training batch has them; and of half
 * that side, for which pixels may be decoded in half their size.
 *
 * <ul>
 *   <li>{@code lancetorch}: {@link ImageCodec#decode} from the Arrow column into the batch.
 *   <li>A peer, {@code imageio}: {@link ImageIO} and Graphics2D's bilinear filter, to an array in the same order. That
 *       filter is not antialiased, so it does less work than ours, for a worse image.
 *   <li>To compare, {@code decode-only}: libjpeg-turbo at the images' own size, to bytes, without resizing.
 * </ul>
 *
 * Run it with {@code ./lancetorch bench decode}, which makes the JPEGs first where they are not there: of photographs
 * ({@code --photos DIR}), or generated ones.
 */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class DecodeBenchmark {
    static final int SIDE = 224;

    /** The JPEGs as a column and as arrays, and room for what they become. */
    @State(Scope.Thread)
    public static class Input {
        private final Arena arena = Arena.ofConfined();

        @Param("224")
        public int side;

        /** What {@code lancetorch} does: resize, fast (resize from DCT-scaled pixels) or crop (random crop and flip). */
        @Param("resize")
        public String transform;

        private ImageDecoder decoder;
        private LanceDataset dataset;
        private RecordBatch records;
        private Column column;
        private final byte[][] jpegs = new byte[Inputs.PHOTOS][];
        private final ImageDecoder[] ownSizes = new ImageDecoder[Inputs.PHOTOS];
        private MemorySegment keys;
        private MemorySegment batch;
        private MemorySegment image;
        private float[] heapBatch;

        @Setup
        public void open() throws IOException {
            ImageIO.setUseCache(false);
            ImageTransform resize = ImageTransform.resize(side, side);
            decoder = new ImageDecoder(
                    switch (transform) {
                        case "fast" -> resize.fast();
                        case "crop" ->
                            ImageTransform.randomResizedCrop(side, side).flip(0.5);
                        default -> resize;
                    },
                    0);
            dataset = Inputs.photos();
            long[] rows = new long[Inputs.PHOTOS];
            for (int i = 0; i < rows.length; i++) {
                rows[i] = i;
            }
            records = dataset.take(rows, Inputs.IMAGE);
            column = records.column(Inputs.IMAGE);
            long largest = 0;
            for (int i = 0; i < Inputs.PHOTOS; i++) {
                jpegs[i] = column.bytes(i).toArray(JAVA_BYTE);
                BufferedImage decoded = ImageIO.read(new ByteArrayInputStream(jpegs[i]));
                ownSizes[i] = new ImageDecoder(
                        ImageTransform.resize(decoded.getHeight(), decoded.getWidth())
                                .uint8(),
                        0);
                largest = Math.max(largest, ownSizes[i].transform().imageBytes());
            }
            keys = arena.allocateFrom(JAVA_LONG, rows);
            batch = arena.allocate(Inputs.PHOTOS * decoder.transform().imageBytes(), 64);
            image = arena.allocate(largest, 64);
            heapBatch = new float[Inputs.PHOTOS * 3 * SIDE * SIDE];
        }

        @TearDown
        public void close() {
            records.close();
            dataset.close();
            arena.close();
        }
    }

    @Benchmark
    @OperationsPerInvocation(Inputs.PHOTOS)
    public void lancetorch(Input input) {
        input.decoder.decode(input.column, 0, Inputs.PHOTOS, input.keys, MemorySegment.NULL, input.batch);
    }

    @Benchmark
    @OperationsPerInvocation(Inputs.PHOTOS)
    public float[] imageio(Input input) throws IOException {
        int at = 0;
        for (byte[] jpeg : input.jpegs) {
            BufferedImage decoded = ImageIO.read(new ByteArrayInputStream(jpeg));
            var resized = new BufferedImage(SIDE, SIDE, BufferedImage.TYPE_3BYTE_BGR);
            Graphics2D graphics = resized.createGraphics();
            graphics.setRenderingHint(RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BILINEAR);
            graphics.drawImage(decoded, 0, 0, SIDE, SIDE, null);
            graphics.dispose();
            byte[] bgr = ((DataBufferByte) resized.getRaster().getDataBuffer()).getData();
            for (int i = 0; i < bgr.length; i += 3) {
                input.heapBatch[at++] = (bgr[i + 2] & 0xff) / 255f;
                input.heapBatch[at++] = (bgr[i + 1] & 0xff) / 255f;
                input.heapBatch[at++] = (bgr[i] & 0xff) / 255f;
            }
        }
        return input.heapBatch;
    }

    @Benchmark
    @OperationsPerInvocation(Inputs.PHOTOS)
    public void decodeOnly(Input input) {
        for (int i = 0; i < Inputs.PHOTOS; i++) {
            input.ownSizes[i].decode(input.column, i, 1, input.image);
        }
    }
}
