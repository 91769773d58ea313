/**
 * Lance fragments in, libtorch training batches out, without a copy on the way.
 *
 * <p>{@link io.lancetorch.lance} reads and writes Lance datasets, {@link io.lancetorch.tensor} is libtorch,
 * {@link io.lancetorch.data} plans and loads training batches, and {@link io.lancetorch.distributed} joins ranks.
 */
module io.lancetorch {
    requires transitive io.lancetorch.bindings;
    requires com.fasterxml.jackson.core;
    requires jdk.jfr;
    requires pickle;

    exports io.lancetorch.data;
    exports io.lancetorch.distributed;
    exports io.lancetorch.lance;
    exports io.lancetorch.tensor;
}
