package io.lancetorch.tracking;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * Which run of which server: all that is needed to find it, or to make it where it is missing. No secret is part of it.
 *
 * @param uri of the server
 * @param experiment by name
 * @param name of the run; null: the server makes one up
 * @param key a tag of the run, by which it is found again
 * @param id the server's own; null as long as it has none
 */
record MlflowRun(
        @JsonProperty("uri") String uri,
        @JsonProperty("experiment") String experiment,
        @JsonProperty("name") String name,
        @JsonProperty("key") String key,
        @JsonProperty("id") String id) {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final String STATE = "mlflow-run.json";

    MlflowRun withId(String found) {
        return new MlflowRun(uri, experiment, name, key, found);
    }

    MlflowRun at(String server) {
        return new MlflowRun(server, experiment, name, key, server.equals(uri) ? id : null);
    }

    String json() throws IOException {
        return MAPPER.writeValueAsString(this);
    }

    static MlflowRun parse(String json) throws IOException {
        MlflowRun run = MAPPER.readValue(json, MlflowRun.class);
        if (run == null || run.uri == null || run.experiment == null || run.key == null) {
            throw new IOException("it does not say whose run it is of");
        }
        return run;
    }

    /** The run that a folder remembers; null where it remembers none. */
    static MlflowRun read(Path folder) throws IOException {
        Path file = folder.resolve(STATE);
        if (!Files.exists(file)) {
            return null;
        }
        try {
            return parse(Files.readString(file));
        } catch (IOException e) {
            throw new IOException(file + " cannot be read: " + e.getMessage(), e);
        }
    }

    void write(Path folder) throws IOException {
        Files.createDirectories(folder);
        Path unfinished = folder.resolve(STATE + ".tmp");
        Files.writeString(unfinished, json());
        Files.move(
                unfinished, folder.resolve(STATE), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    /** Where in a folder that is kept which the server has not taken yet. */
    Path spool(Path folder) {
        String server = uri.replaceFirst("^[a-z]+://", "").replaceAll("[^A-Za-z0-9.]+", "-");
        return folder.resolve("mlflow-unsent-" + key.substring(0, Math.min(8, key.length())) + "-" + server + ".jsonl");
    }
}
