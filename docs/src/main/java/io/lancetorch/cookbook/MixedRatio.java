package io.lancetorch.cookbook;

import io.lancetorch.data.DataLoader;
import io.lancetorch.data.MixState;
import io.lancetorch.data.MixedBatch;
import io.lancetorch.data.MixedLoader;
import java.util.Map;
import java.util.TreeMap;

/** Batches of two datasets, three of the first for each of the second. */
final class MixedRatio {
    private MixedRatio() {}

    // START SNIPPET: mix
    /** Takes so many steps of a mix, and goes on with another one where it was. Returns the steps of each dataset. */
    static Map<String, Integer> steps(DataLoader photos, DataLoader drawings, int steps) {
        Map<String, Integer> seen = new TreeMap<>();
        var mix = MixedLoader.builder()
                .add("photos", photos, 3)
                .add("drawings", drawings, 1)
                .build();
        for (MixedBatch mixed : mix.steps(steps / 2)) {
            seen.merge(mixed.source(), mixed.batch().rows() == 0 ? 0 : 1, Integer::sum);
        }
        MixState position = mix.state(); // toMap() of it goes into a checkpoint
        var resumed = MixedLoader.builder()
                .add("photos", photos, 3)
                .add("drawings", drawings, 1)
                .build();
        resumed.resume(position);
        for (MixedBatch mixed : resumed.steps(steps - steps / 2)) {
            seen.merge(mixed.source(), 1, Integer::sum);
        }
        return seen;
    }
    // END SNIPPET: mix
}
