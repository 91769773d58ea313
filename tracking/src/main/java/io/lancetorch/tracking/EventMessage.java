package io.lancetorch.tracking;

import com.google.protobuf.CodedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Map;

/**
 * TensorBoard's message {@code Event}, of whose fields few are needed here; their numbers are those of its {@code event.proto},
 * {@code summary.proto} and {@code tensor.proto}.
 */
final class EventMessage {
    /** What says that steps which are tracked anew replace those before. */
    private static final String VERSION = "brain.Event:2";

    private static final int SESSION_START = 1;
    private static final int DT_STRING = 7;
    private static final int RGB = 3;

    private EventMessage() {}

    /** Writes the fields of a message. */
    private interface Fields {
        void write(CodedOutputStream out) throws IOException;
    }

    private static byte[] message(Fields fields) {
        var bytes = new ByteArrayOutputStream();
        try {
            CodedOutputStream out = CodedOutputStream.newInstance(bytes);
            fields.write(out);
            out.flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    private static byte[] event(Instant time, long step, Fields what) {
        return message(out -> {
            out.writeDouble(1, time.getEpochSecond() + time.getNano() / 1e9);
            out.writeInt64(2, step);
            what.write(out);
        });
    }

    /** What each file begins with. */
    static byte[] version(Instant time) {
        return event(time, 0, out -> out.writeString(3, VERSION));
    }

    /** From here on {@code step} and later ones replace what the files before this one have of them. */
    static byte[] sessionStart(Instant time, long step) {
        return event(time, step, out -> out.writeByteArray(7, message(log -> log.writeEnum(1, SESSION_START))));
    }

    static byte[] scalars(Instant time, long step, Map<String, Double> values) {
        return summary(time, step, summary -> {
            for (Map.Entry<String, Double> scalar : values.entrySet()) {
                summary.writeByteArray(1, message(value -> {
                    value.writeString(1, scalar.getKey());
                    value.writeFloat(2, scalar.getValue().floatValue());
                }));
            }
        });
    }

    /** Markdown, under {@code tag}. */
    static byte[] text(Instant time, long step, String tag, String markdown) {
        byte[] plugin = message(data -> data.writeString(1, "text"));
        byte[] shape = message(one -> one.writeByteArray(2, message(dimension -> dimension.writeInt64(1, 1))));
        return summary(
                time,
                step,
                summary -> summary.writeByteArray(1, message(value -> {
                    value.writeString(1, tag);
                    value.writeByteArray(8, message(tensor -> {
                        tensor.writeEnum(1, DT_STRING);
                        tensor.writeByteArray(2, shape);
                        tensor.writeByteArray(8, markdown.getBytes(StandardCharsets.UTF_8));
                    }));
                    value.writeByteArray(9, message(metadata -> metadata.writeByteArray(1, plugin)));
                })));
    }

    /** A PNG of that size. */
    static byte[] image(Instant time, long step, String tag, int width, int height, byte[] encoded) {
        return summary(
                time,
                step,
                summary -> summary.writeByteArray(1, message(value -> {
                    value.writeString(1, tag);
                    value.writeByteArray(4, message(image -> {
                        image.writeInt32(1, height);
                        image.writeInt32(2, width);
                        image.writeInt32(3, RGB);
                        image.writeByteArray(4, encoded);
                    }));
                })));
    }

    private static byte[] summary(Instant time, long step, Fields values) {
        return event(time, step, out -> out.writeByteArray(5, message(values)));
    }
}
