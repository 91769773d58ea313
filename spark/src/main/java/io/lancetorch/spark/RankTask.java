package io.lancetorch.spark;

import java.io.IOException;
import java.io.Serializable;
import java.net.ServerSocket;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.BarrierTaskContext;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskKilledException;
import scala.Tuple2;
import scala.collection.Iterator;
import scala.jdk.javaapi.CollectionConverters;
import scala.runtime.AbstractFunction1;

/** One task of the barrier stage: finds out which rank it is, lives as long as that rank's JVM, and gives the rank's result. */
final class RankTask extends AbstractFunction1<Iterator<Integer>, Iterator<Tuple2<Integer, byte[]>>>
        implements Serializable {
    private static final long serialVersionUID = 1;

    private final RankSettings settings;
    private final byte[] function;
    private final boolean isProgram;
    private final LogServer.Address driver;

    /** {@code isProgram}: it may end by itself, without a result; {@code driver}: null where that wants no lines. */
    RankTask(RankSettings settings, byte[] function, boolean isProgram, LogServer.Address driver) {
        this.settings = settings;
        this.function = function;
        this.isProgram = isProgram;
        this.driver = driver;
    }

    @Override
    public Iterator<Tuple2<Integer, byte[]>> apply(Iterator<Integer> ignored) {
        try {
            BarrierTaskContext context = BarrierTaskContext.get();
            return CollectionConverters.asScala(
                    List.of(new Tuple2<>(context.partitionId(), run(context))).iterator());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new TaskKilledException("interrupted");
        } catch (IOException | ClassNotFoundException e) {
            throw new RankFailedException("rank " + BarrierTaskContext.get().partitionId() + ": " + e, e);
        }
    }

    private byte[] run(BarrierTaskContext context) throws IOException, InterruptedException, ClassNotFoundException {
        int rank = context.partitionId();
        // By the name that executors have for each other: the context's own is where the driver sees a connection come
        // from.
        String host = SparkEnv.get().blockManager().blockManagerId().host();
        // Only rank 0's machine knows which of its ports is free.
        String[] told = context.allGather(host + " " + (rank == 0 ? freePort() : ""));
        String[] hosts = Arrays.stream(told)
                .map(text -> text.substring(0, text.indexOf(' ')))
                .toArray(String[]::new);
        String port = told[0].substring(hosts[0].length() + 1);
        try (var child = new RankChild(
                settings, environment(context, hosts, port), function, new RankLines("rank " + rank, driver))) {
            return child.await(
                    "rank " + rank + " of " + hosts.length + " on " + host, isProgram, context::isInterrupted);
        }
    }

    private static int freePort() throws IOException {
        try (var socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    private Map<String, String> environment(BarrierTaskContext context, String[] hosts, String port) {
        int rank = context.partitionId();
        String host = hosts[rank];
        List<String> machines = Arrays.stream(hosts).distinct().toList();
        Map<String, String> environment = new HashMap<>();
        // As ./lancetorch does: torch's own traces beside the exception, and glibc that hands batches back to the
        // kernel.
        putIfAbsent(environment, "TORCH_CPP_LOG_LEVEL", "ERROR");
        putIfAbsent(
                environment,
                "GLIBC_TUNABLES",
                "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=4294967296");
        putIfAbsent(environment, "OMP_NUM_THREADS", Integer.toString(context.cpus()));
        putIfAbsent(environment, "GLOO_SOCKET_HOST", host);
        environment.putAll(settings.environment());
        environment.put("RANK", Integer.toString(rank));
        environment.put("WORLD_SIZE", Integer.toString(hosts.length));
        environment.put(
                "LOCAL_RANK",
                Long.toString(
                        Arrays.stream(hosts).limit(rank).filter(host::equals).count()));
        environment.put(
                "LOCAL_WORLD_SIZE",
                Long.toString(Arrays.stream(hosts).filter(host::equals).count()));
        environment.put("GROUP_RANK", Integer.toString(machines.indexOf(host)));
        environment.put("MASTER_ADDR", hosts[0]);
        environment.put("MASTER_PORT", port);
        environment.put("TORCHELASTIC_RESTART_COUNT", Integer.toString(context.stageAttemptNumber()));
        environment.put("TORCHELASTIC_MAX_RESTARTS", Integer.toString(settings.maxRestarts()));
        environment.put("TORCHELASTIC_USE_AGENT_STORE", null);
        return environment;
    }

    private static void putIfAbsent(Map<String, String> environment, String name, String value) {
        if (System.getenv(name) == null) {
            environment.put(name, value);
        }
    }
}
