package io.lancetorch.spark;

import java.io.File;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.spark.sql.SparkSession;
import scala.jdk.javaapi.CollectionConverters;

/**
 * How the JVMs of ranks are started, as the session says.
 *
 * @param javaHome null: what each executor finds
 * @param maxRestarts how often Spark starts a stage anew before it gives up
 */
record RankSettings(
        String javaHome,
        List<String> javaOptions,
        List<String> classPath,
        Map<String, String> environment,
        boolean driverLogs,
        int slotsTimeoutSeconds,
        int maxRestarts)
        implements Serializable {
    static final String PREFIX = "spark.lancetorch.";

    private static final int LEAST_JAVA = 25;
    private static final int SPARKS_ATTEMPTS = 4;

    static RankSettings of(SparkSession spark) {
        Map<String, String> all = CollectionConverters.asJava(spark.conf().getAll());
        var environment = new HashMap<String, String>();
        all.forEach((name, value) -> {
            if (name.startsWith(PREFIX + "env.")) {
                environment.put(name.substring((PREFIX + "env.").length()), value);
            }
        });
        return new RankSettings(
                all.get(PREFIX + "javaHome"),
                parts(all, "javaOptions", "\\s+"),
                parts(all, "classPath", File.pathSeparator),
                environment,
                Boolean.parseBoolean(all.getOrDefault(PREFIX + "driverLogs", "true")),
                number(all, PREFIX + "slotsTimeout", 60),
                number(all, "spark.stage.maxConsecutiveAttempts", SPARKS_ATTEMPTS) - 1);
    }

    private static List<String> parts(Map<String, String> all, String name, String separator) {
        String value = all.getOrDefault(PREFIX + name, "").strip();
        return value.isEmpty() ? List.of() : new ArrayList<>(List.of(value.split(separator)));
    }

    private static int number(Map<String, String> all, String name, int otherwise) {
        String value = all.getOrDefault(name, Integer.toString(otherwise));
        try {
            return Integer.parseInt(value.strip());
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException(name + " is \"" + value + "\", and must be a whole number", e);
        }
    }

    /** The program {@code java} of this machine that ranks run on. */
    Path java() {
        if (javaHome != null) {
            Path java = program(javaHome);
            if (!Files.isExecutable(java)) {
                throw new IllegalStateException(PREFIX + "javaHome is " + javaHome + ", where there is no bin/java");
            }
            return java;
        }
        var tried = new ArrayList<String>();
        for (String home : new String[] {System.getenv("JAVA_HOME"), System.getProperty("java.home")}) {
            if (home != null && !home.isEmpty()) {
                String version = version(home);
                if (feature(version) >= LEAST_JAVA && Files.isExecutable(program(home))) {
                    return program(home);
                }
                tried.add(home + " (" + (version == null ? "no Java" : "Java " + version) + ")");
            }
        }
        throw new IllegalStateException("ranks need Java " + LEAST_JAVA + " or later, and this executor has " + tried
                + ": let " + PREFIX + "javaHome name one that is on each worker");
    }

    private static Path program(String home) {
        return Path.of(home, "bin", "java");
    }

    /** What the JDK's own file says; null where there is none. */
    private static String version(String home) {
        var release = new Properties();
        try (var reader = Files.newBufferedReader(Path.of(home, "release"))) {
            release.load(reader);
        } catch (java.io.IOException e) {
            return null;
        }
        String version = release.getProperty("JAVA_VERSION");
        return version == null ? null : version.replace("\"", "");
    }

    private static int feature(String version) {
        try {
            return version == null ? 0 : Integer.parseInt(version.split("[.+-]")[0]);
        } catch (NumberFormatException e) {
            return 0;
        }
    }
}
