package io.lancetorch.distributed;

import io.lancetorch.error.Collective;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;

/** What ranks tell each other on the {@link HealthChannel}: a length in 4 bytes, then the fields. */
record HealthMessage(Type type, int rank, Collective at, String text) {
    static final int MAX_BYTES = 32_768;
    private static final int MAX_CHARACTERS = 4_096;

    /** The ordinals are the wire's. */
    enum Type {
        /** From a rank: here I am; {@code at.sequence}: its world size, {@code text}: the token. */
        HELLO,
        /** To all ranks: all have come. */
        READY,
        /** To all ranks: {@code text} makes this group impossible. */
        REFUSED,
        /** A {@link PeerFailure}; {@code text}: its kind, and its reason after that. */
        FAILURE,
        /** From a rank: my collective {@code at} failed, and I do not know why. */
        SUSPECT,
        /** To all ranks: say where you are. */
        PROBE,
        /** From a rank: the last collective that it began. */
        POSITION,
        /** To all ranks: everyone has been asked, and what came out has been told. */
        VERDICT
    }

    private static final Type[] TYPES = Type.values();
    private static final Collective NOWHERE = new Collective("", 0, -1);

    static HealthMessage of(Type type, int rank, String text) {
        return new HealthMessage(type, rank, NOWHERE, text);
    }

    static HealthMessage of(PeerFailure failure) {
        return new HealthMessage(Type.FAILURE, failure.rank(), failure.at(), failure.kind() + " " + failure.reason());
    }

    /** The failure in a {@link Type#FAILURE}. */
    PeerFailure failure() throws IOException {
        int end = text.indexOf(' ');
        try {
            return new PeerFailure(
                    rank, PeerFailure.Kind.valueOf(text.substring(0, Math.max(0, end))), at, text.substring(end + 1));
        } catch (IllegalArgumentException e) {
            throw new IOException("no such failure: " + text, e);
        }
    }

    ByteBuffer encode() {
        var bytes = new ByteArrayOutputStream();
        var out = new DataOutputStream(bytes);
        try {
            out.writeByte(type.ordinal());
            out.writeInt(rank);
            out.writeUTF(at.operation());
            out.writeLong(at.sequence());
            out.writeLong(at.step());
            out.writeUTF(text.length() <= MAX_CHARACTERS ? text : text.substring(0, MAX_CHARACTERS) + " ...");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return ByteBuffer.allocate(4 + bytes.size())
                .putInt(bytes.size())
                .put(bytes.toByteArray())
                .flip();
    }

    /** Takes a whole message out of {@code buffer}, which is ready to be read; null where it is not whole yet. */
    static HealthMessage decode(ByteBuffer buffer) throws IOException {
        if (buffer.remaining() < 4) {
            return null;
        }
        int size = buffer.getInt(buffer.position());
        if (size < 0 || size > MAX_BYTES - 4) {
            throw new IOException("a message of " + size + " bytes");
        }
        if (buffer.remaining() < 4 + size) {
            return null;
        }
        byte[] bytes = new byte[size];
        buffer.getInt();
        buffer.get(bytes);
        var in = new DataInputStream(new ByteArrayInputStream(bytes));
        int type = in.readUnsignedByte();
        if (type >= TYPES.length) {
            throw new IOException("a message of type " + type);
        }
        return new HealthMessage(
                TYPES[type], in.readInt(), new Collective(in.readUTF(), in.readLong(), in.readLong()), in.readUTF());
    }
}
