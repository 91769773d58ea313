package io.lancetorch.distributed;

import io.lancetorch.error.InvalidArgumentException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What all ranks must have alike before they train together, such as the dataset's version, the seed and the batch size: ranks
 * that differ would see other rows than meant, or wait for each other in vain.
 */
public final class Agreement {
    private Agreement() {}

    /**
     * Compares every rank's values with rank 0's. Every rank calls it, as a collective.
     *
     * @param values by name
     * @throws InvalidArgumentException on every rank, naming each rank that differs, the name, and both values
     */
    public static void check(ProcessGroup group, Map<String, String> values) {
        List<Map<String, String>> all =
                group.allGather(encode(values)).stream().map(Agreement::decode).toList();
        List<String> differences = new ArrayList<>();
        for (int rank = 1; rank < all.size(); rank++) {
            var names = new TreeSet<>(all.get(0).keySet());
            names.addAll(all.get(rank).keySet());
            for (String name : names) {
                String first = all.get(0).get(name);
                String other = all.get(rank).get(name);
                if (!Objects.equals(first, other)) {
                    differences.add(name + " is " + quoted(other) + " on rank " + rank + " and " + quoted(first)
                            + " on rank 0");
                }
            }
        }
        if (!differences.isEmpty()) {
            throw new InvalidArgumentException("the ranks do not agree: " + String.join("; ", differences)
                    + ": start all ranks with the same options on the same data");
        }
    }

    private static String quoted(String value) {
        return value == null ? "not given" : "\"" + value + "\"";
    }

    private static byte[] encode(Map<String, String> values) {
        var bytes = new ByteArrayOutputStream();
        var out = new DataOutputStream(bytes);
        try {
            out.writeInt(values.size());
            for (var entry : new TreeMap<>(values).entrySet()) {
                for (String text : Arrays.asList(entry.getKey(), entry.getValue())) {
                    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
                    out.writeInt(utf8.length);
                    out.write(utf8);
                }
            }
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    private static Map<String, String> decode(byte[] bytes) {
        Map<String, String> values = new TreeMap<>();
        var in = new DataInputStream(new ByteArrayInputStream(bytes));
        try {
            for (int count = in.readInt(); count > 0; count--) {
                String name = new String(in.readNBytes(in.readInt()), StandardCharsets.UTF_8);
                values.put(name, new String(in.readNBytes(in.readInt()), StandardCharsets.UTF_8));
            }
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
        return values;
    }
}
