package io.lancetorch.data;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;

/** One batch handed out; its duration is the time that the consumer waited for it. */
@Name("io.lancetorch.Batch")
@Label("Batch")
@Category("lancetorch")
@Description("A training batch was handed out; the duration is the time that its consumer waited")
@StackTrace(false)
final class BatchEvent extends Event {
    @Label("Rank")
    int rank;

    @Label("Epoch")
    long epoch;

    @Label("Step")
    int step;

    @Label("Rows")
    int rows;

    @Label("Bytes")
    @DataAmount
    long bytes;

    @Label("Decode Time")
    @Description("Over all threads")
    @Timespan
    long decodeTime;

    @Label("Queue Depth")
    @Description("Batches that are ready behind this one")
    int queueDepth;
}
