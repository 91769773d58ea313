package io.lancetorch.jmh;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.distributed.ReduceOp;
import io.lancetorch.distributed.Store;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What a GPU's work costs from here: copies to it, small operators, and sums over the ranks of NCCL. A process of its own, which
 * prints a line of JSON for each figure, as the Python peers do. {@code native/gpu-checks/run} starts it also where there is no
 * build, on a machine that has a GPU and little else.
 */
public final class GpuFigures {
    /** A batch of the reference: 128 images of 224 pixels, as bytes. */
    static final long BATCH_BYTES = 128L * 3 * 224 * 224;

    private static final int CALLS = 1000;

    private GpuFigures() {}

    /** {@code arguments}: {@code --quick} for one short run. Ends with 1 and one line where there is no GPU. */
    public static void main(String[] arguments) throws JsonProcessingException {
        Device gpu = Device.cuda(0);
        try {
            gpu.require();
        } catch (LanceTorchException e) {
            System.err.println("bench: " + e.getMessage());
            System.exit(1);
        }
        boolean quick = Arrays.asList(arguments).contains("--quick");
        copies(gpu, quick);
        operators(gpu, quick);
        sums(gpu, quick);
    }

    @FunctionalInterface
    private interface Work {
        /** Queues some work. */
        void queue();
    }

    /** Times a second of the median of some runs, each of which ends when the device is done. */
    private static double rate(Device gpu, boolean quick, int times, Work work) {
        double seconds = quick ? 0.3 : 1;
        double[] rates = new double[quick ? 1 : 5];
        for (int run = -1; run < rates.length; run++) {
            long begin = System.nanoTime();
            long done = 0;
            double passed = 0;
            while (passed < seconds) {
                for (int i = 0; i < times; i++) {
                    work.queue();
                }
                gpu.synchronize();
                done += times;
                passed = (System.nanoTime() - begin) / 1e9;
            }
            if (run >= 0) {
                rates[run] = done / passed;
            }
        }
        Arrays.sort(rates);
        return rates[rates.length / 2];
    }

    private static void report(String group, double score, String unit) throws JsonProcessingException {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("implementation", "lancetorch");
        line.put("role", Role.OURS.name());
        line.put("group", group);
        line.put("score", score);
        line.put("unit", unit);
        System.out.println(new ObjectMapper().writeValueAsString(line));
    }

    private static void copies(Device gpu, boolean quick) throws JsonProcessingException {
        for (int batches : new int[] {1, 4}) {
            try (var _ = new TensorScope()) {
                long bytes = batches * BATCH_BYTES;
                Tensor host = Tensor.empty(DType.UINT8, Device.CPU, MemoryFormat.CONTIGUOUS, true, bytes);
                Ops.fillInPlace(host, 1);
                Tensor there = Tensor.empty(DType.UINT8, gpu, MemoryFormat.CONTIGUOUS, false, bytes);
                double rate = rate(gpu, quick, 20, () -> there.copyFrom(host, true));
                report("copy of " + bytes / 1_000_000 + " MB to the GPU", rate * bytes / 1e9, "GB/s");
            }
        }
    }

    private static void operators(Device gpu, boolean quick) throws JsonProcessingException {
        try (var _ = new TensorScope()) {
            Tensor a = Ops.ones(DType.FLOAT32, 1).to(gpu);
            Tensor b = Ops.ones(DType.FLOAT32, 1).to(gpu);
            double rate = rate(gpu, quick, CALLS, () -> Ops.add(a, b).close());
            report("add of 1 element on the GPU", rate, "calls/s");
        }
    }

    private static void sums(Device gpu, boolean quick) throws JsonProcessingException {
        Duration timeout = Duration.ofMinutes(1);
        try (Store store = Store.tcp("127.0.0.1", 0, true, 1, timeout);
                ProcessGroup group =
                        ProcessGroup.gloo(store, 0, 1, "127.0.0.1", timeout).useNccl(gpu)) {
            for (long megabytes : new long[] {1, 16, 256, 1024}) {
                try (var _ = new TensorScope()) {
                    Tensor values = Ops.zeros(DType.FLOAT32, megabytes << 18).to(gpu);
                    double rate = rate(gpu, quick, 20, () -> group.allReduce(values, ReduceOp.SUM));
                    report("NCCL all-reduce of " + megabytes + " MB", 1e6 / rate, "us/op");
                }
            }
        }
    }
}
