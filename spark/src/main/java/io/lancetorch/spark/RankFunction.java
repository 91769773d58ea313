package io.lancetorch.spark;

import java.io.Serializable;

/**
 * What each rank runs, in a JVM of its own: {@code io.lancetorch.distributed.RankEnvironment.read()} says there which rank it is.
 * What it captures is serialized, and its class is on the class path of the ranks. In the driver it is loaded too: where that
 * is older than the class file, name a main class instead.
 *
 * @param <T> what a rank returns to the driver; null is allowed
 */
@FunctionalInterface
public interface RankFunction<T extends Serializable> extends Serializable {
    /** Runs as this JVM's rank. What it throws fails the rank, and with it the stage. */
    T call() throws Exception;
}
