package io.lancetorch.examples;

import io.lancetorch.data.PlanRequest;
import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.LanceDataset;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Plans an epoch of a world that need not be there, and says what that costs and how even it is. */
@Command(
        name = "plan",
        mixinStandardHelpOptions = true,
        description =
                "Plans an epoch for a dataset, or for one of so many rows and fragments, and prints for some of the"
                        + " ranks how long that takes, the memory, the steps and the reads, and how far their shares differ.")
final class PlanCommand implements Runnable {
    /** Takes 1000000000, 1_000_000_000 and 1e9 alike. */
    private static final class CountConverter implements CommandLine.ITypeConverter<Long> {
        @Override
        public Long convert(String value) {
            try {
                return new BigDecimal(value.replace("_", "")).longValueExact();
            } catch (ArithmeticException | NumberFormatException e) {
                throw new CommandLine.TypeConversionException(
                        "'" + value + "' is no whole number, such as 1000 or 1e9");
            }
        }
    }

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Parameters(
            paramLabel = "DATASET",
            arity = "0..1",
            description = "Plan for its fragments, instead of made-up ones.")
    private String dataset;

    @Mixin
    private final StorageOptions storage = new StorageOptions();

    @Option(
            names = "--rows",
            paramLabel = "N",
            defaultValue = "1e9",
            converter = CountConverter.class,
            description = "Rows of the dataset (default: ${DEFAULT-VALUE}).")
    private long rows;

    @Option(
            names = "--fragments",
            paramLabel = "N",
            defaultValue = "1e5",
            converter = CountConverter.class,
            description = "Its fragments, of the same size (default: ${DEFAULT-VALUE}).")
    private long fragments;

    @Option(
            names = "--ranks",
            paramLabel = "N",
            defaultValue = "1024",
            description = "The world size (default: ${DEFAULT-VALUE}).")
    private int ranks;

    @Option(
            names = "--batch-size",
            paramLabel = "ROWS",
            defaultValue = "64",
            description = "Rows of a step on each rank (default: ${DEFAULT-VALUE}).")
    private int batchSize;

    @Mixin
    private final DealingOptions dealing = new DealingOptions(SamplerName.RANDOM);

    @Option(names = "--seed", defaultValue = "0", description = "Of the order (default: ${DEFAULT-VALUE}).")
    private long seed;

    @Option(names = "--all-ranks", description = "Plan for each rank, not just for five of them.")
    private boolean allRanks;

    @Override
    public void run() {
        if (rows < 0 || fragments < 1 || fragments > Integer.MAX_VALUE - 8 || ranks < 1 || batchSize < 1) {
            throw new CommandLine.ParameterException(
                    spec.commandLine(), "--fragments, --ranks and --batch-size are 1 or more, --rows 0 or more");
        }
        List<Fragment> all = fragments();
        long total = all.stream().mapToLong(Fragment::rows).sum();
        System.out.printf(
                Locale.ROOT,
                "%,d rows in %,d fragments, %,d ranks, batches of %,d, %s, %s%n",
                total,
                all.size(),
                ranks,
                batchSize,
                dealing.name,
                dealing.uneven.toString().toLowerCase(Locale.ROOT));
        System.out.printf(
                "%8s %12s %14s %10s %14s %12s %12s%n",
                "rank", "steps", "rows", "repeats", "reads", "allocated", "planned in");
        List<EpochShare> shares = new ArrayList<>();
        int[] wanted = allRanks ? IntStream.range(0, ranks).toArray() : EpochShare.someRanks(ranks);
        for (int rank : wanted) {
            EpochShare share =
                    EpochShare.plan(dealing.sampler(), new PlanRequest(all, ranks, rank, seed, 0, batchSize, false));
            shares.add(share);
            System.out.printf(
                    Locale.ROOT,
                    "%,8d %,12d %,14d %,10d %,14d %9.1f MB %10.3f s%n",
                    share.rank(),
                    share.steps(),
                    share.rows(),
                    share.rows() - share.validRows(),
                    share.reads(),
                    share.allocated() / 1e6,
                    share.seconds());
        }
        long most = shares.stream().mapToLong(EpochShare::validRows).max().orElse(0);
        long least = shares.stream().mapToLong(EpochShare::validRows).min().orElse(0);
        System.out.printf(
                Locale.ROOT,
                "shares differ by %,d rows at most, %s a batch; all of these ranks have the same steps: %s%n",
                most - least,
                most - least < batchSize ? "less than" : most - least == batchSize ? "just" : "more than",
                shares.stream().mapToInt(EpochShare::steps).distinct().count() == 1 ? "yes" : "no");
    }

    private List<Fragment> fragments() {
        if (dataset != null) {
            try (LanceDataset opened = LanceDataset.open(dataset, storage.options)) {
                return opened.fragments();
            }
        }
        return LongStream.range(0, fragments)
                .mapToObj(id -> new Fragment(id, rows / fragments + (id < rows % fragments ? 1 : 0), 0))
                .toList();
    }
}
