package io.lancetorch.data;

import io.lancetorch.error.InternalException;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Scan;

/** Reads all of a step's columns by one scan, whose batches are the plan's steps. */
record ScanSource(Scan scan) implements StepSource {
    @Override
    public StepRecords read(int step) {
        RecordBatch records = scan.next();
        if (records == null) {
            throw new InternalException("the scan ended before step " + step);
        }
        return new StepRecords(records);
    }

    @Override
    public void cancel() {
        scan.cancel();
    }

    @Override
    public void close() {
        scan.close();
    }
}
