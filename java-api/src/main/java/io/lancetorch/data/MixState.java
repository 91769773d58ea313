package io.lancetorch.data;

import io.lancetorch.error.CorruptDataException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** Where a {@link MixedLoader} is, the same on all ranks. */
public record MixState(Map<String, Source> sources) {
    private static final String BATCHES = "batches";
    private static final String LOADER = "loader";

    /**
     * Where one of its loaders is.
     *
     * @param batches of this loader that the mix has handed out, on each rank, over all of its epochs
     * @param loader its position in its own epoch
     */
    public record Source(long batches, LoaderState loader) {}

    public MixState {
        sources = Collections.unmodifiableMap(new LinkedHashMap<>(sources));
    }

    /** Numbers by name, and maps of such, for a checkpoint. */
    public Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        sources.forEach(
                (name, source) -> map.put(name, Map.of(BATCHES, source.batches, LOADER, source.loader.toMap())));
        return map;
    }

    /**
     * What {@link #toMap} made, possibly written and read in between.
     *
     * @throws CorruptDataException where an entry is missing, or not what it is to be
     */
    public static MixState fromMap(Map<?, ?> map) {
        Map<String, Source> sources = new LinkedHashMap<>();
        map.forEach((name, entry) -> {
            if (!(entry instanceof Map<?, ?> source)
                    || !(source.get(BATCHES) instanceof Number batches)
                    || !(source.get(LOADER) instanceof Map<?, ?> loader)) {
                throw new CorruptDataException("the state of a mix has no position of " + name + ", but " + entry, -1);
            }
            sources.put(name.toString(), new Source(batches.longValue(), LoaderState.fromMap(loader)));
        });
        return new MixState(sources);
    }
}
