package io.lancetorch.examples;

import java.util.Map;
import picocli.CommandLine.Option;

/** How the datasets of a command are opened. */
final class StorageOptions {
    @Option(
            names = "--storage-option",
            paramLabel = "KEY=VALUE",
            description =
                    "For datasets in an object store: an option such as region or endpoint; may come again. What is secret is"
                            + " better set in the environment, as AWS_SECRET_ACCESS_KEY and such.")
    Map<String, String> options = Map.of();
}
