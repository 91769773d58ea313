package io.lancetorch.examples;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.lance.LanceDataset;
import java.util.List;
import java.util.Optional;

/** The names of a dataset's classes, by label, as {@code create-dataset} keeps them in the schema's metadata. */
final class ClassNames {
    private ClassNames() {}

    /** Empty where the dataset has none. */
    static Optional<List<String>> of(LanceDataset dataset) {
        String names = dataset.schema().metadata().get(DatasetCreation.CLASSES);
        if (names == null) {
            return Optional.empty();
        }
        try {
            return Optional.of(List.of(new ObjectMapper().readValue(names, String[].class)));
        } catch (JsonProcessingException e) {
            throw new UserException("the schema of " + dataset.uri() + " has classes that are no JSON list: " + names);
        }
    }
}
