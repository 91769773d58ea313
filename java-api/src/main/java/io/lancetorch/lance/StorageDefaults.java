package io.lancetorch.lance;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * When requests to an object store are made again, and when they are given up, where the user has said nothing. Lance's own
 * defaults multiply (a request is made up to 64 times, of which each may take 30 s), so that a store that is gone would be told
 * after half an hour.
 */
final class StorageDefaults {
    /** As {@link LanceDataset#open(String, Map)} says; Lance begins a request to read anew, 3 to 5 times. */
    private static final Map<String, String> READING = Map.of(
            "connect_timeout", "5s",
            "read_timeout", "10s",
            "timeout", "120s",
            "client_max_retries", "50",
            "client_retry_timeout", "3",
            // It takes every failure that was tried again for a plea to slow down, and goes on at 1 request a second.
            "lance_aimd_max_retries", "0");

    /** The answer to an upload comes when all of it has been sent, and Lance does not begin it anew. */
    private static final Map<String, String> WRITING = Map.of("read_timeout", "30s", "client_retry_timeout", "10");

    private static final Set<String> OF_CLIENT = Set.of("connect_timeout", "read_timeout", "timeout");

    private StorageDefaults() {}

    /** {@code said}, with defaults for what is not said; {@code said} itself for files of this machine. */
    static Map<String, String> with(String uri, Map<String, String> said, boolean writing) {
        if (!isRemote(uri)) {
            return said;
        }
        Map<String, String> options = new HashMap<>(said);
        READING.forEach((key, value) -> {
            if (!isSaid(key, said)) {
                options.put(key, writing ? WRITING.getOrDefault(key, value) : value);
            }
        });
        return options;
    }

    private static boolean isRemote(String uri) {
        int end = uri.indexOf("://");
        if (end < 0) {
            return false;
        }
        String scheme = uri.substring(0, end).toLowerCase(Locale.ROOT);
        return !scheme.startsWith("file") && !scheme.equals("memory");
    }

    /** As Lance looks for a key, whatever its case; for one of its HTTP client's also with Amazon's prefix. */
    private static boolean isSaid(String key, Map<String, String> said) {
        String alias = OF_CLIENT.contains(key) ? "aws_" + key : key;
        return said.keySet().stream().anyMatch(name -> name.equalsIgnoreCase(key) || name.equalsIgnoreCase(alias))
                || System.getenv(alias.toUpperCase(Locale.ROOT)) != null;
    }
}
