package io.lancetorch.spark;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * The main class of a rank's JVM. Its input says what to run, and lasts as long as the executor that holds the other end: when
 * that is gone, however it went, so is the rank.
 */
final class RankProcess {
    /** As a process that a signal asked to end. */
    private static final int TERMINATED = 128 + 15;

    private RankProcess() {}

    /** What the function returned, or why it failed. */
    record Outcome(byte[] result, String failure) implements Serializable {}

    /** For the other end: what the rank is to run, and where its outcome is to be. */
    static void tell(OutputStream rank, byte[] function, Path outcome) throws IOException {
        var output = new DataOutputStream(rank);
        output.writeUTF(outcome.toString());
        output.writeInt(function.length);
        output.write(function);
        output.flush();
    }

    /** The outcome at {@code file}; null where the rank has ended without one. */
    static Outcome outcome(Path file) throws IOException, ClassNotFoundException {
        return Files.exists(file) ? (Outcome) Serialization.read(Files.readAllBytes(file)) : null;
    }

    public static void main(String[] arguments) throws Exception {
        var input = new DataInputStream(System.in);
        Path outcome = Path.of(input.readUTF());
        byte[] function = input.readNBytes(input.readInt());
        System.setIn(InputStream.nullInputStream());
        endWith(input);
        boolean isProgram;
        try {
            var rank = (RankFunction<?>) Serialization.read(function);
            isProgram = rank instanceof MainClass;
            write(outcome, new Outcome(Serialization.write(rank.call()), null));
        } catch (Throwable e) {
            e.printStackTrace();
            write(outcome, new Outcome(null, e.toString()));
            System.exit(1);
            return;
        }
        if (!isProgram) {
            System.exit(0); // a program ends with the last of its threads
        }
    }

    private static void endWith(InputStream input) {
        var watch = new Thread(
                () -> {
                    try {
                        input.transferTo(OutputStream.nullOutputStream());
                    } catch (IOException e) {
                        // As at its end.
                    }
                    Runtime.getRuntime().halt(TERMINATED);
                },
                "lancetorch-executor-watch");
        watch.setDaemon(true);
        watch.start();
    }

    /** Whole, or not at all. */
    private static void write(Path file, Outcome outcome) throws IOException {
        Path part = file.resolveSibling(file.getFileName() + ".part");
        Files.write(part, Serialization.write(outcome));
        Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
    }
}
