/**
 * Lance fragments in, libtorch training batches out, without a copy on the way.
 *
 * <p>{@link io.lancetorch.lance} reads and writes Lance datasets, {@link io.lancetorch.tensor} is libtorch,
 * {@link io.lancetorch.data} plans and loads training batches, {@link io.lancetorch.distributed} joins ranks,
 * and {@link io.lancetorch.checkpoint} keeps what a run goes on from.
 */
module io.lancetorch {
    requires transitive io.lancetorch.bindings;
    requires com.fasterxml.jackson.core;
    requires jdk.jfr;
    requires jdk.net;
    requires pickle;

    exports io.lancetorch.checkpoint;
    exports io.lancetorch.data;
    exports io.lancetorch.distributed;
    exports io.lancetorch.lance;
    exports io.lancetorch.tensor;
}
