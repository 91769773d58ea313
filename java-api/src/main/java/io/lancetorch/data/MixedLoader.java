package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;

/**
 * Takes batches from several loaders in a declared ratio: of any number of neighbouring steps, each loader gives its share, give or
 * take two batches. Which loader gives which step depends on the weights alone, so it is the same on all ranks, in every run. A
 * loader that has come to the end of its epoch goes on with its next one.
 *
 * <pre>{@code
 * var mix = MixedLoader.builder().add("photos", photos, 3).add("drawings", drawings, 1).build();
 * for (MixedBatch mixed : mix.steps(10_000)) {
 *     Tensor images = mixed.batch().get("image");
 *     ...
 * }
 * }</pre>
 *
 * The loaders stay the caller's, who leaves their epochs and iterators alone meanwhile. One thread at a time.
 */
public final class MixedLoader {
    private final List<Part> parts;
    private long step;

    private MixedLoader(List<Part> parts) {
        this.parts = parts;
    }

    /** Which loaders, in which ratio. */
    public static final class Builder {
        private final List<Part> parts = new ArrayList<>();
        private double total;

        private Builder() {}

        /**
         * Adds a loader.
         *
         * @param name tells it apart, also in a state that is kept
         * @param weight its share of the steps, by the sum of all weights
         * @throws InvalidArgumentException for a name that is taken, a weight that is not more than 0, and a loader without
         *     steps
         */
        public Builder add(String name, DataLoader loader, double weight) {
            if (!(weight > 0) || weight == Double.POSITIVE_INFINITY) {
                throw new InvalidArgumentException("a weight of " + weight + " for " + name + ": it is more than 0");
            }
            if (parts.stream().anyMatch(part -> part.name.equals(name))) {
                throw new InvalidArgumentException("there are two loaders " + name + " in a mix");
            }
            if (loader.steps() == 0) {
                throw new InvalidArgumentException("loader " + name + " has no steps to mix in");
            }
            parts.add(new Part(name, loader, weight));
            total += weight;
            return this;
        }

        /** @throws InvalidArgumentException where no loader was added */
        public MixedLoader build() {
            if (parts.isEmpty()) {
                throw new InvalidArgumentException("a mix of no loaders");
            }
            return new MixedLoader(parts.stream()
                    .map(part -> new Part(part.name, part.loader, part.share / total))
                    .toList());
        }
    }

    /** A loader, and how far it is. */
    private static final class Part {
        private final String name;
        private final DataLoader loader;
        private final double share;
        private Iterator<Batch> iterator;
        private long batches;

        Part(String name, DataLoader loader, double share) {
            this.name = name;
            this.loader = loader;
            this.share = share;
        }

        Batch next() {
            if (iterator != null && !iterator.hasNext()) {
                nextEpoch();
            }
            if (iterator == null) {
                iterator = loader.iterator();
            }
            Batch batch = iterator.next();
            batches++;
            return batch;
        }

        private void nextEpoch() {
            loader.setEpoch(loader.state().epoch() + 1);
            iterator = null;
        }

        MixState.Source state() {
            return new MixState.Source(batches, loader.state());
        }

        void resume(MixState.Source state) {
            loader.resume(state.loader());
            iterator = null;
            batches = state.batches();
            if (state.loader().isAtEnd()) {
                nextEpoch();
            }
        }
    }

    /** Sets up a mix. */
    public static Builder builder() {
        return new Builder();
    }

    /** The next steps, so many of them, from where the mix is; an iteration that is left midway goes on in the next one. */
    public Iterable<MixedBatch> steps(long count) {
        return () -> new Iterator<>() {
            private long left = count;

            @Override
            public boolean hasNext() {
                return left > 0;
            }

            @Override
            public MixedBatch next() {
                if (left <= 0) {
                    throw new NoSuchElementException();
                }
                Part part = parts.get(source());
                Batch batch = part.next();
                step++;
                left--;
                return new MixedBatch(part.name, batch);
            }
        };
    }

    /**
     * Whose turn it is. No loader is ever ahead of or behind its share by a batch or more: R. Tijdeman, "The chairman assignment
     * problem", Discrete Mathematics 32 (1980).
     */
    private int source() {
        double slack = parts.size() == 1 ? 0 : 1.0 / (2 * parts.size() - 2);
        int chosen = -1;
        double earliest = Double.POSITIVE_INFINITY;
        for (int i = 0; i < parts.size(); i++) {
            Part part = parts.get(i);
            double behind = part.share * (step + 1) - part.batches;
            double due = (1 - slack - behind) / part.share;
            // Rounding must not leave a step to nobody.
            if (behind >= slack - 1e-6 && due < earliest) {
                earliest = due;
                chosen = i;
            }
        }
        return chosen;
    }

    /** Where the mix is, behind the batch that it handed out last. */
    public MixState state() {
        Map<String, MixState.Source> sources = new LinkedHashMap<>();
        parts.forEach(part -> sources.put(part.name, part.state()));
        return new MixState(sources);
    }

    /**
     * Goes on at the very next batch after {@code state}; with the same weights, as the mix of the state would have.
     *
     * @throws InvalidArgumentException where the state is of loaders with other names, and as {@link DataLoader#resume}
     */
    public void resume(MixState state) {
        List<String> names = parts.stream().map(part -> part.name).toList();
        if (!state.sources().keySet().equals(Set.copyOf(names))) {
            throw new InvalidArgumentException(
                    "the state is of a mix of " + state.sources().keySet() + ", and this one is of " + names);
        }
        step = 0;
        for (Part part : parts) {
            part.resume(state.sources().get(part.name));
            step += part.batches;
        }
    }
}
