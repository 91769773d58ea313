package io.lancetorch.examples;

import io.lancetorch.data.DistributedSampler;
import io.lancetorch.data.FullScanSampler;
import io.lancetorch.data.RandomSampler;
import io.lancetorch.data.Sampler;
import io.lancetorch.data.ShardedBatchSampler;
import io.lancetorch.data.ShardedFragmentSampler;
import io.lancetorch.data.Uneven;
import java.util.Arrays;
import picocli.CommandLine;

/** Which sampler deals the rows, as an option says it. */
enum SamplerName {
    SHARDED_BATCH("sharded_batch"),
    SHARDED_FRAGMENT("sharded_fragment"),
    FULL_SCAN("full_scan"),
    RANDOM("random");

    private final String text;

    SamplerName(String text) {
        this.text = text;
    }

    /** Takes sharded_batch, sharded-batch and ShardedBatch alike. */
    static final class Converter implements CommandLine.ITypeConverter<SamplerName> {
        @Override
        public SamplerName convert(String value) {
            String letters = value.replaceAll("[-_]", "");
            for (SamplerName name : values()) {
                if (name.text.replace("_", "").equalsIgnoreCase(letters)) {
                    return name;
                }
            }
            throw new CommandLine.TypeConversionException(
                    "no sampler '" + value + "'; there are " + Arrays.toString(values()));
        }
    }

    /** In an order that the seed and the epoch give. */
    Sampler sampler(Uneven uneven) {
        return switch (this) {
            case SHARDED_BATCH -> new ShardedBatchSampler(true, uneven);
            case SHARDED_FRAGMENT -> new ShardedFragmentSampler(true, uneven);
            case FULL_SCAN -> new FullScanSampler(true);
            case RANDOM -> new DistributedSampler(new RandomSampler(), uneven);
        };
    }

    @Override
    public String toString() {
        return text;
    }
}
