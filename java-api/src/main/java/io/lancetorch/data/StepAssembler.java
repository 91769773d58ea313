package io.lancetorch.data;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Column;
import io.lancetorch.lance.ImageDecoder;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.Event;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Stream;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Makes the tensors of an epoch's steps: {@link #begin}, then {@link #run} for each part, by any threads, then
 * {@link #finish}.
 */
final class StepAssembler implements AutoCloseable {
    /**
     * How a column becomes the tensor {@code name}: decoded, by a function, or, with neither, as an alias of its memory; where
     * it is packed, by the packer. {@code converted}: null, or the transform whose floats are made of the decoded bytes on the
     * device.
     */
    record Source(
            String name, String column, ImageTransform transform, ImageTransform converted, ColumnFunction function) {}

    private final List<Source> sources;
    private final String[] names;
    private final ImageDecoder[] decoders;
    private final ImageDecoder[] byteDecoders;
    private final PixelConversion[] conversions;
    private final Plan plan;
    private final BufferPool buffers;
    private final BadRows badRows;
    private final BadRowReplacement replacement;
    private final DecodeCache.Epoch cache;
    private final SequencePacker packer;
    private final Collate collate;
    private final Device device;
    private final Stream copies;
    private final int partsPerColumn;

    /**
     * {@code seed}: of what is random in the transforms. {@code cache}, {@code packer}, {@code collate}: null for none. {@code device}: where
     * the tensors go.
     */
    StepAssembler(
            List<Source> sources,
            Plan plan,
            long seed,
            BufferPool buffers,
            BadRows badRows,
            BadRowReplacement replacement,
            DecodeCache.Epoch cache,
            SequencePacker packer,
            Collate collate,
            Device device,
            int threads) {
        this.sources = sources;
        this.plan = plan;
        this.buffers = buffers;
        this.badRows = badRows;
        this.replacement = replacement;
        this.cache = cache;
        this.packer = packer;
        this.collate = collate;
        this.device = device;
        copies = device.type() == Device.Type.CPU ? null : Stream.create(device);
        partsPerColumn = threads == 1 ? 1 : 4 * threads;
        names = sources.stream().map(Source::name).toArray(String[]::new);
        decoders = new ImageDecoder[names.length];
        byteDecoders = new ImageDecoder[names.length];
        conversions = new PixelConversion[names.length];
        for (int i = 0; i < names.length; i++) {
            ImageTransform transform = sources.get(i).transform();
            if (sources.get(i).converted() != null) {
                conversions[i] = new PixelConversion(sources.get(i).converted(), device);
            }
            if (transform != null) {
                decoders[i] = new ImageDecoder(transform, seed);
                if (cache != null && transform.pixel() != ImageTransform.Pixel.UINT8) {
                    byteDecoders[i] = new ImageDecoder(transform.uint8(), seed);
                }
            }
        }
    }

    StepSlot newSlot() {
        return new StepSlot(names.length);
    }

    /** Whether a step is but aliases, and so done as soon as it is begun. */
    boolean isDirect() {
        return collate == null
                && packer == null
                && copies == null
                && sources.stream().allMatch(source -> source.transform() == null && source.function() == null);
    }

    /** Makes the calling thread's work on the device go to the loader's own stream. */
    private void enterThread() {
        if (copies != null) {
            copies.makeCurrent();
        }
    }

    /** Makes what can be made at once, and lists the parts. Takes over {@code records}, also where it throws. */
    void begin(StepSlot slot, int step, StepRecords records) {
        slot.begin(step, records);
        slot.names = names;
        slot.tensors = new Tensor[names.length];
        try {
            enterThread();
            if (packer != null) {
                packer.begin(slot, plan.packed());
                addParts(slot, 0);
                return;
            }
            for (int i = 0; i < names.length; i++) {
                Column column = records.column(sources.get(i).column());
                ImageTransform transform = sources.get(i).transform();
                if (transform != null) {
                    beginImages(slot, i, transform, column);
                } else if (sources.get(i).function() != null) {
                    slot.addPart(i, 0, slot.rows);
                } else {
                    slot.tensors[i] = TensorScope.detach(ColumnTensors.alias(column));
                }
            }
        } catch (CorruptDataException e) {
            slot.discard();
            throw named(step, e);
        } catch (RuntimeException | Error e) {
            slot.discard();
            throw e;
        }
    }

    private void beginImages(StepSlot slot, int index, ImageTransform transform, Column column) {
        boolean cached = slot.records.isCached(names[index]);
        if (cached && transform.pixel() == ImageTransform.Pixel.UINT8) {
            slot.tensors[index] = TensorScope.detach(ColumnTensors.images(column, transform));
            return;
        }
        ImageBuffer buffer = slot.buffers[index];
        if (buffer == null) {
            buffer = buffers.take(transform);
            slot.buffers[index] = buffer;
        }
        buffer.prepare(slot.rows);
        slot.tensors[index] = buffer.tensor(slot.rows);
        if (!cached) {
            if (byteDecoders[index] != null) {
                buffer.needBytes();
            }
            plan.forEachRow(slot.step, buffer::key);
        }
        addParts(slot, index);
    }

    /** Shares the rows of a column. */
    private void addParts(StepSlot slot, int index) {
        int part = Math.max(1, (slot.rows + partsPerColumn - 1) / partsPerColumn);
        for (int first = 0; first < slot.rows; first += part) {
            slot.addPart(index, first, Math.min(part, slot.rows - first));
        }
    }

    /** Does one part. */
    void run(StepSlot slot, int part) {
        long start = System.nanoTime();
        try {
            enterThread();
            int index = slot.partColumns[part];
            if (packer != null) {
                packer.run(slot, plan.packed(), slot.partFirsts[part], slot.partCounts[part]);
                return;
            }
            Column column = slot.records.column(sources.get(index).column());
            if (decoders[index] == null) {
                slot.tensors[index] =
                        apply(plan.number(slot.step), column, sources.get(index).function());
            } else if (slot.records.isCached(names[index])) {
                convert(slot, index, column, slot.partFirsts[part], slot.partCounts[part]);
            } else {
                decode(slot, index, column, slot.partFirsts[part], slot.partFirsts[part], slot.partCounts[part]);
            }
        } catch (CorruptDataException e) {
            throw named(slot.step, e);
        } catch (UnsupportedException e) {
            throw new UnsupportedException("step " + plan.number(slot.step) + ", " + e.getMessage());
        } finally {
            slot.decodeNanos.add(System.nanoTime() - start);
        }
    }

    /** Decodes rows of a column to rows of the slot, from {@code row} on. */
    private void decode(StepSlot slot, int index, Column column, long first, int row, int count) {
        ImageBuffer buffer = slot.buffers[index];
        MemorySegment codes = badRows == BadRows.FAIL ? MemorySegment.NULL : buffer.codes(row, count);
        ImageDecoder bytes = byteDecoders[index];
        boolean random = decoders[index].transform().isRandom();
        MemorySegment keys = random ? buffer.keys(row, count) : MemorySegment.NULL;
        if (bytes == null) {
            decoders[index].decode(column, first, count, keys, codes, buffer.pixels(row, count));
        } else {
            bytes.decode(column, first, count, keys, codes, buffer.bytes(row, count));
            decoders[index].toFloats(buffer.bytes(row, count), count, buffer.pixels(row, count));
            for (int at = row; badRows != BadRows.FAIL && at < row + count; at++) {
                if (buffer.isBad(at)) {
                    // A byte of 0 need not be a float of 0, which is what a decode to floats leaves.
                    buffer.pixels(at, 1).fill((byte) 0);
                }
            }
        }
    }

    private void convert(StepSlot slot, int index, Column column, int first, int count) {
        decoders[index].toFloats(
                ColumnTensors.imageBytes(column, first, count), count, slot.buffers[index].pixels(first, count));
    }

    private static Tensor apply(long number, Column column, ColumnFunction function) {
        try (var _ = new TensorScope()) {
            Tensor tensor = function.apply(column);
            if (tensor == null || tensor.shape().length == 0 || tensor.size(0) != column.length()) {
                throw new InvalidArgumentException("step " + number + ": the function for column "
                        + column.field().name() + " gave " + tensor + " for " + column.length() + " rows");
            }
            return TensorScope.detach(tensor);
        }
    }

    private CorruptDataException named(int step, CorruptDataException e) {
        return new CorruptDataException(
                "step " + plan.number(step) + ", " + e.getMessage() + plan.describe(step, e.row()), e.row());
    }

    /** Puts the batch together when all parts are done. The slot has its tensors then, and no rows any more. */
    void finish(StepSlot slot) {
        try {
            if (badRows != BadRows.FAIL) {
                treatBadRows(slot);
            }
            if (cache != null && !slot.records.isCached(cache.column())) {
                keep(slot);
            }
            slot.closeRecords();
            if (collate != null) {
                collate(slot);
            }
            for (Tensor tensor : slot.tensors) {
                slot.bytes += tensor.count() * tensor.dtype().size();
            }
            if (copies != null) {
                copy(slot);
            }
            convert(slot);
            if (copies != null) {
                slot.copied = new Event(device, false);
                slot.copied.record(copies);
            }
        } catch (RuntimeException | Error e) {
            slot.discard();
            throw e;
        }
    }

    private void treatBadRows(StepSlot slot) {
        for (int i = 0; i < names.length; i++) {
            if (decoders[i] == null || slot.records.isCached(names[i])) {
                continue;
            }
            for (int row = 0; row < slot.rows; row++) {
                if (slot.buffers[i].isBad(row)) {
                    replacement.report(slot.step, row, names[i], reason(slot, i, row), slot.markBad(row));
                }
            }
        }
        if (slot.bad != null && badRows == BadRows.SKIP) {
            replace(slot);
        }
    }

    private String reason(StepSlot slot, int index, int row) {
        try {
            decoders[index].decode(
                    slot.records.column(names[index]),
                    row,
                    1,
                    slot.buffers[index].keys(row, 1),
                    MemorySegment.NULL,
                    slot.buffers[index].pixels(row, 1));
            return "";
        } catch (CorruptDataException | UnsupportedException e) {
            return e.getMessage();
        }
    }

    /** Reads the step anew, with other rows in the bad ones' places, until each of those can be decoded. */
    private void replace(StepSlot slot) {
        long[] taken = replacement.positions(slot.step);
        boolean[] open = slot.bad.clone();
        boolean left = true;
        for (int attempt = 0; left; attempt++) {
            StepRecords other = new StepRecords(replacement.read(slot.step, taken, open, attempt, (row, key) -> {
                for (ImageBuffer buffer : slot.buffers) {
                    if (buffer != null) {
                        buffer.key(row, key);
                    }
                }
            }));
            try {
                left = false;
                for (int row = 0; row < slot.rows; row++) {
                    open[row] = open[row] && !decodeAll(slot, other, row);
                    left |= open[row];
                }
                if (!left) {
                    remake(slot, other);
                }
            } finally {
                if (slot.records != other) {
                    other.close();
                }
            }
        }
    }

    /** Decodes one row of all image columns; whether it could be. */
    private boolean decodeAll(StepSlot slot, StepRecords records, int row) {
        boolean good = true;
        for (int i = 0; i < names.length; i++) {
            if (decoders[i] != null) {
                decode(slot, i, records.column(names[i]), row, row, 1);
                good &= !slot.buffers[i].isBad(row);
            }
        }
        return good;
    }

    /** Makes the tensors that are not images anew, of other rows. */
    private void remake(StepSlot slot, StepRecords records) {
        slot.closeRecords();
        slot.records = records;
        for (int i = 0; i < names.length; i++) {
            if (decoders[i] == null) {
                slot.tensors[i].close();
                Column column = records.column(sources.get(i).column());
                ColumnFunction function = sources.get(i).function();
                slot.tensors[i] = function == null
                        ? TensorScope.detach(ColumnTensors.alias(column))
                        : apply(plan.number(slot.step), column, function);
            }
        }
    }

    private void keep(StepSlot slot) {
        MemorySegment[] pixels = new MemorySegment[names.length];
        for (int i = 0; i < names.length; i++) {
            if (decoders[i] != null) {
                pixels[i] = byteDecoders[i] == null
                        ? slot.buffers[i].pixels(0, slot.rows)
                        : slot.buffers[i].bytes(0, slot.rows);
            }
        }
        cache.keep(slot.step, slot.bad, names, pixels);
    }

    private void collate(StepSlot slot) {
        try (var scope = new TensorScope()) {
            Batch read = batch(slot);
            for (Tensor tensor : slot.tensors) {
                scope.adopt(tensor);
            }
            slot.tensors = null;
            Map<String, Tensor> result = collate.collate(read);
            if (result == null || result.isEmpty() || result.values().stream().anyMatch(Objects::isNull)) {
                throw new InvalidArgumentException("step " + plan.number(slot.step) + ": collate gave " + result);
            }
            slot.names = result.keySet().toArray(String[]::new);
            Tensor[] tensors = result.values().toArray(Tensor[]::new);
            for (int i = 0; i < tensors.length; i++) {
                // A tensor under two names is two holders of its memory.
                boolean again = Arrays.asList(tensors).subList(0, i).contains(tensors[i]);
                tensors[i] = TensorScope.detach(again ? tensors[i].share() : tensors[i]);
            }
            slot.tensors = tensors;
        }
    }

    private void copy(StepSlot slot) {
        for (int i = 0; i < slot.tensors.length; i++) {
            Tensor onHost = slot.tensors[i];
            slot.tensors[i] = onHost.to(device, null, MemoryFormat.PRESERVE, true, false);
            onHost.close();
        }
        for (ImageBuffer buffer : slot.buffers) {
            if (buffer != null) {
                buffer.copied(device).record(copies);
            }
        }
    }

    private void convert(StepSlot slot) {
        for (int i = 0; i < conversions.length; i++) {
            if (conversions[i] != null) {
                Tensor bytes = slot.tensors[i];
                slot.tensors[i] = conversions[i].convert(bytes, slot.bad);
                bytes.close();
            }
        }
    }

    /** The batch of a slot that is finished; the slot gives its tensors up. For the consumer's thread. */
    Batch handOut(StepSlot slot) {
        if (slot.copied != null) {
            try (Event copied = slot.copied;
                    Stream consumer = Stream.current(device)) {
                slot.copied = null;
                consumer.await(copied);
                for (Tensor tensor : slot.tensors) {
                    consumer.record(tensor);
                }
            }
        }
        Batch batch = batch(slot);
        slot.tensors = null;
        return batch;
    }

    private Batch batch(StepSlot slot) {
        int valid = packer == null ? plan.validRows(slot.step) : plan.packed().validSequences(slot.step);
        return new Batch(slot.names, slot.tensors, plan.number(slot.step), slot.rows, valid, slot.bad);
    }

    /** Gives a slot's buffers back, when no thread works on it any more. */
    void retire(StepSlot slot) {
        slot.discard();
        if (slot.copied != null) {
            slot.copied.close();
        }
        for (ImageBuffer buffer : slot.buffers) {
            if (buffer != null) {
                buffers.give(buffer);
            }
        }
    }

    @Override
    public void close() {
        if (copies != null) {
            copies.close();
        }
        for (PixelConversion conversion : conversions) {
            if (conversion != null) {
                conversion.close();
            }
        }
    }
}
