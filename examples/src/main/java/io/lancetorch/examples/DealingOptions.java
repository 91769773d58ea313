package io.lancetorch.examples;

import io.lancetorch.data.Sampler;
import io.lancetorch.data.Uneven;
import picocli.CommandLine.Option;

/** How rows are dealt to the ranks. */
final class DealingOptions {
    @Option(
            names = "--sampler",
            paramLabel = "NAME",
            converter = SamplerName.Converter.class,
            description = "How rows are dealt to the ranks: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
    SamplerName name;

    @Option(
            names = "--uneven",
            paramLabel = "POLICY",
            defaultValue = "pad",
            description = "Where the rows cannot be dealt to the ranks evenly: ${COMPLETION-CANDIDATES} (default:"
                    + " ${DEFAULT-VALUE}). PAD takes some rows twice, DROP leaves some out, and with JOIN each counts once: a"
                    + " rank with fewer rows than the others, or none left, weighs less in the average.")
    Uneven uneven;

    /** {@code name}: the sampler of a command line that names none. */
    DealingOptions(SamplerName name) {
        this.name = name;
    }

    Sampler sampler() {
        return name.sampler(uneven);
    }
}
