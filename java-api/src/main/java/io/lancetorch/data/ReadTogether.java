package io.lancetorch.data;

import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.error.PeerFailedException;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;

/** Reads what all ranks need to know, a share on each. */
final class ReadTogether {
    private ReadTogether() {}

    /**
     * What each rank has read, in order of rank. Every rank calls it, as a collective.
     *
     * @param what the ranks do, for the message
     * @throws PeerFailedException where another rank's {@code share} threw; this rank's own exception is thrown as it is
     */
    static List<long[]> read(ProcessGroup group, String what, Supplier<long[]> share) {
        long[] mine = {};
        RuntimeException failure = null;
        try {
            mine = share.get();
        } catch (RuntimeException e) {
            // Told to the others first, who would wait for this rank else.
            failure = e;
        }
        List<long[]> counts = gather(group, new long[] {failure == null ? mine.length : -1});
        if (failure != null) {
            throw failure;
        }
        int most = 0;
        for (int rank = 0; rank < counts.size(); rank++) {
            if (counts.get(rank)[0] < 0) {
                throw new PeerFailedException("rank " + rank + " could not " + what + "; its own log says why");
            }
            most = Math.max(most, Math.toIntExact(counts.get(rank)[0]));
        }
        if (most == 0) {
            return List.of();
        }
        List<long[]> all = gather(group, Arrays.copyOf(mine, most));
        for (int rank = 0; rank < all.size(); rank++) {
            all.set(rank, Arrays.copyOf(all.get(rank), (int) counts.get(rank)[0]));
        }
        return all;
    }

    private static List<long[]> gather(ProcessGroup group, long[] values) {
        try (var _ = new TensorScope()) {
            List<Tensor> outputs = new ArrayList<>();
            for (int rank = 0; rank < group.worldSize(); rank++) {
                outputs.add(Tensor.empty(DType.INT64, values.length));
            }
            group.allGather(outputs, Tensor.of(values));
            List<long[]> all = new ArrayList<>();
            outputs.forEach(output -> all.add(output.toLongs()));
            return all;
        }
    }
}
