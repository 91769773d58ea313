package io.lancetorch.distributed;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;

/**
 * Why a rank fails, for whoever started it: the file that TORCHELASTIC_ERROR_FILE names, in
 * <a href="https://docs.pytorch.org/docs/stable/elastic/errors.html">torchrun's format</a>. torchrun shows what the rank that
 * failed first wrote there.
 */
public final class ErrorFile {
    private static final String VARIABLE = "TORCHELASTIC_ERROR_FILE";

    private ErrorFile() {}

    /** Writes {@code failure} to the file that torchrun has named; does nothing where it has named none, or cannot. */
    public static void write(Throwable failure) {
        String file = System.getenv(VARIABLE);
        if (file != null && !file.isEmpty()) {
            try {
                write(Path.of(file), failure);
            } catch (IOException e) {
                System.err.println("lancetorch: cannot write " + VARIABLE + " " + file + ": " + e);
            }
        }
    }

    /** Writes {@code failure} to {@code file}. */
    public static void write(Path file, Throwable failure) throws IOException {
        var trace = new StringWriter();
        failure.printStackTrace(new PrintWriter(trace));
        Files.writeString(
                file,
                "{\"message\": {\"message\": " + quoted(failure.toString()) + ", \"extraInfo\": {\"py_callstack\": "
                        + quoted(trace.toString()) + ", \"timestamp\": \""
                        + Instant.now().getEpochSecond() + "\"}}}");
    }

    /** A string of JSON, in ASCII. */
    private static String quoted(String text) {
        var json = new StringBuilder("\"");
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                json.append('\\').append(c);
            } else if (c == '\n') {
                json.append("\\n");
            } else if (c < ' ' || c > '~') {
                json.append(String.format("\\u%04x", (int) c));
            } else {
                json.append(c);
            }
        }
        return json.append('"').toString();
    }
}
