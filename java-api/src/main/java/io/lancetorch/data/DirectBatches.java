package io.lancetorch.data;

import io.lancetorch.error.CancelledException;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Batches that are but aliases of what is read: made by the thread that takes them, since another thread could only hand them
 * over. Lance reads ahead.
 */
final class DirectBatches implements BatchStream {
    private final Plan plan;
    private final StepSource source;
    private final StepAssembler assembler;
    private final StepSlot slot;
    private final AtomicBoolean closed = new AtomicBoolean();
    private int taken;

    DirectBatches(Plan plan, StepSource source, StepAssembler assembler) {
        this.plan = plan;
        this.source = source;
        this.assembler = assembler;
        slot = assembler.newSlot();
    }

    @Override
    public boolean hasNext() {
        return taken < plan.steps();
    }

    @Override
    public Batch next() {
        StepRecords records;
        try {
            records = source.read(taken);
        } catch (CancelledException | IllegalStateException e) {
            if (closed.get()) {
                throw new CancelledException(
                        "the loader was closed while step " + plan.number(taken) + " was waited for", e);
            }
            throw e;
        }
        assembler.begin(slot, taken, records);
        assembler.finish(slot);
        taken++;
        return assembler.handOut(slot);
    }

    @Override
    public long decodeNanos() {
        return 0;
    }

    @Override
    public long bytes() {
        return slot.bytes;
    }

    @Override
    public int ready() {
        return 0;
    }

    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            source.cancel();
            source.close();
            assembler.close();
        }
    }
}
