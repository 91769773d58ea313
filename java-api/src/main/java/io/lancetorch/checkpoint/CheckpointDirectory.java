package io.lancetorch.checkpoint;

import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.PeerFailedException;
import io.lancetorch.error.StorageException;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A folder of checkpoints, of which the last few are kept. Each is a file {@code step-000000001200-9f86d081884c7d65.pt}: the
 * steps made, and the first 16 digits of the file's SHA-256, as PyTorch's hub names its files. So a checkpoint and its checksum
 * come to be in one rename, after the bytes are on the disk: a run that is killed at any moment, or whose disk is full, leaves
 * the earlier ones as they were.
 *
 * <p>Among ranks, rank 0 alone writes, and all go on from the one that rank 0 chose. The folder must be one that all ranks see.
 * One run at a time writes to a folder; any process may read from it meanwhile. One thread at a time.
 */
public final class CheckpointDirectory {
    private static final Pattern NAME = Pattern.compile("step-(\\d{12,18})-([0-9a-f]{16})\\.pt");
    private static final String UNFINISHED = ".saving-";

    private final Path folder;
    private final int keep;
    private final ProcessGroup group;
    private final Set<Path> damaged = new HashSet<>();

    private CheckpointDirectory(Path folder, int keep, ProcessGroup group) {
        if (keep < 1) {
            throw new InvalidArgumentException("at least 1 checkpoint is to be kept, and not " + keep);
        }
        this.folder = folder;
        this.keep = keep;
        this.group = group;
    }

    /** Checkpoints of a run of one process, of which the last {@code keep} are kept. The first save makes the folder. */
    public static CheckpointDirectory of(Path folder, int keep) {
        return new CheckpointDirectory(folder, keep, null);
    }

    /** As {@link #of(Path, int)}, for a run of the group's ranks; the group stays the caller's. */
    public static CheckpointDirectory of(Path folder, int keep, ProcessGroup group) {
        return new CheckpointDirectory(folder, keep, group);
    }

    /** One file of the folder. */
    private record Entry(Path file, long step, long digits) {
        static final Comparator<Entry> NEWEST_FIRST =
                Comparator.comparingLong(Entry::step).reversed().thenComparing(Entry::file);

        static Path file(Path folder, long step, long digits) {
            return folder.resolve(String.format(
                    Locale.ROOT, "step-%012d-%s.pt", step, HexFormat.of().toHexDigits(digits)));
        }
    }

    /**
     * Writes a checkpoint, and when it is safe on the disk, removes the oldest beyond those that are kept, files that an
     * earlier run left unfinished, and those that {@link #latest} has found to be damaged. On other ranks than 0 it does
     * nothing.
     *
     * @return the new file; empty on other ranks than 0
     * @throws StorageException where the disk does not take it, such as a full one; the earlier ones are as they were
     * @throws InvalidArgumentException where the folder has a checkpoint of a later step, from which no run has gone on
     */
    public Optional<Path> save(Checkpoint checkpoint) {
        if (group != null && group.rank() != 0) {
            return Optional.empty();
        }
        try {
            Files.createDirectories(folder);
            removeUnfinished();
            requireNoneLater(checkpoint.step());
            Path unfinished = folder.resolve(UNFINISHED + checkpoint.step() + ".pt");
            Path file;
            try {
                checkpoint.save(unfinished);
                file = Entry.file(folder, checkpoint.step(), digits(unfinished));
                Files.move(unfinished, file, StandardCopyOption.ATOMIC_MOVE);
            } finally {
                Files.deleteIfExists(unfinished);
            }
            damaged.remove(file);
            syncFolder();
            prune(file, checkpoint.step());
            return Optional.of(file);
        } catch (IOException e) {
            throw new StorageException("cannot save a checkpoint to " + folder + ": " + e.getMessage(), e);
        }
    }

    private void requireNoneLater(long step) throws IOException {
        for (Entry entry : entries()) {
            if (entry.step > step && !damaged.contains(entry.file)) {
                throw new InvalidArgumentException(
                        "the checkpoint after " + step + " steps would not be the latest one: " + entry.file
                                + " is there; go on from that one, or name another folder");
            }
        }
    }

    private void removeUnfinished() throws IOException {
        for (Path file : list(UNFINISHED + "*")) {
            Files.deleteIfExists(file);
        }
    }

    private List<Path> list(String glob) throws IOException {
        List<Path> found = new ArrayList<>();
        if (Files.isDirectory(folder)) {
            try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, glob)) {
                files.forEach(found::add);
            } catch (DirectoryIteratorException e) {
                throw e.getCause();
            }
        }
        return found;
    }

    private void prune(Path newest, long step) throws IOException {
        int kept = 1;
        for (Entry entry : entries()) {
            if (!entry.file.equals(newest) && (damaged.contains(entry.file) || entry.step == step || ++kept > keep)) {
                Files.deleteIfExists(entry.file);
                damaged.remove(entry.file);
            }
        }
    }

    /** So that the name too outlives a power cut. Not every file system can. */
    private void syncFolder() {
        try (FileChannel channel = FileChannel.open(folder)) {
            channel.force(true);
        } catch (IOException e) {
            // The file's bytes are safe; its name is as safe as this file system makes it.
        }
    }

    /** Files that have the name of a checkpoint, the latest first. Nothing of them is read. */
    public List<Path> files() {
        try {
            return entries().stream().map(Entry::file).toList();
        } catch (IOException e) {
            throw new StorageException("cannot list " + folder + ": " + e.getMessage(), e);
        }
    }

    private List<Entry> entries() throws IOException {
        List<Entry> entries = new ArrayList<>();
        for (Path file : list("step-*.pt")) {
            Matcher name = NAME.matcher(file.getFileName().toString());
            if (name.matches()) {
                entries.add(new Entry(file, Long.parseLong(name.group(1)), Long.parseUnsignedLong(name.group(2), 16)));
            }
        }
        entries.sort(Entry.NEWEST_FIRST);
        return entries;
    }

    /** A file that could not be used, and why. */
    public record Skipped(Path file, LanceTorchException reason) {}

    /**
     * The latest whole checkpoint and its file, both null where there is none, and the later files that had to be skipped. The
     * caller closes it.
     */
    public record Latest(Path file, Checkpoint checkpoint, List<Skipped> skipped) implements AutoCloseable {
        /** Whether there is a checkpoint. */
        public boolean isPresent() {
            return checkpoint != null;
        }

        @Override
        public void close() {
            if (checkpoint != null) {
                checkpoint.close();
            }
        }
    }

    /**
     * Reads the latest checkpoint that is whole: one that is cut short, or whose checksum is another, is skipped for the one
     * before it. Among ranks, all call this; they get the one that rank 0 found, and the list of skipped files is rank 0's.
     *
     * @throws StorageException where the folder cannot be read
     * @throws NotFoundException on a rank that does not see the file that rank 0 found
     * @throws PeerFailedException on the other ranks where one fails, naming it
     */
    public Latest latest() {
        if (group == null) {
            return find();
        }
        return group.rank() == 0 ? leadRanks() : followRankZero();
    }

    private Latest leadRanks() {
        Latest latest;
        try {
            latest = find();
        } catch (RuntimeException | Error e) {
            broadcast(-1, 0, 0);
            throw e;
        }
        try {
            if (!latest.isPresent()) {
                broadcast(0, 0, 0);
            } else {
                Matcher name = NAME.matcher(latest.file.getFileName().toString());
                if (!name.matches()) {
                    throw new AssertionError(latest.file);
                }
                broadcast(1, latest.checkpoint.step(), Long.parseUnsignedLong(name.group(2), 16));
            }
            requireAllRanks(true);
            return latest;
        } catch (RuntimeException | Error e) {
            latest.close();
            throw e;
        }
    }

    private Latest followRankZero() {
        long[] choice = broadcast(0, 0, 0);
        if (choice[0] < 0) {
            throw new PeerFailedException("rank 0 failed to find the latest checkpoint in " + folder);
        }
        if (choice[0] == 0) {
            requireAllRanks(true);
            return new Latest(null, null, List.of());
        }
        Path file = Entry.file(folder, choice[1], choice[2]);
        Checkpoint checkpoint;
        try {
            checkpoint = Checkpoint.load(file);
        } catch (RuntimeException | Error e) {
            requireAllRanks(false);
            throw e;
        }
        try {
            requireAllRanks(true);
            return new Latest(file, checkpoint, List.of());
        } catch (RuntimeException | Error e) {
            checkpoint.close();
            throw e;
        }
    }

    private long[] broadcast(long... values) {
        try (var _ = new TensorScope()) {
            Tensor tensor = Tensor.of(values);
            group.broadcast(tensor, 0);
            return tensor.toLongs();
        }
    }

    /** Tells the others whether this rank has read the checkpoint. One that has not throws its own exception after this. */
    private void requireAllRanks(boolean succeeded) {
        List<Integer> failed = new ArrayList<>();
        try (var _ = new TensorScope()) {
            List<Tensor> outcomes = new ArrayList<>();
            for (int rank = 0; rank < group.worldSize(); rank++) {
                outcomes.add(Tensor.of(new long[1]));
            }
            group.allGather(outcomes, Tensor.of(new long[] {succeeded ? 1 : 0}));
            for (int rank = 0; rank < outcomes.size(); rank++) {
                if (outcomes.get(rank).itemLong() == 0) {
                    failed.add(rank);
                }
            }
        }
        if (succeeded && !failed.isEmpty()) {
            throw new PeerFailedException(
                    "ranks " + failed + " cannot read the checkpoint that rank 0 found in " + folder);
        }
    }

    private Latest find() {
        // A run that writes meanwhile removes the oldest, but never the only one, and a list of the folder may miss
        // what changes as it is made: so another look finds more.
        for (int look = 1; ; look++) {
            List<Skipped> skipped = new ArrayList<>();
            try {
                List<Entry> entries = entries();
                boolean complete = !entries.isEmpty();
                for (Entry entry : entries) {
                    try {
                        requireDigits(entry);
                        Checkpoint checkpoint = Checkpoint.load(entry.file);
                        damaged.remove(entry.file);
                        return new Latest(entry.file, checkpoint, List.copyOf(skipped));
                    } catch (NoSuchFileException | NotFoundException e) {
                        complete = false;
                    } catch (StorageException e) {
                        if (Files.exists(entry.file)) {
                            throw e;
                        }
                        complete = false;
                    } catch (CorruptDataException e) {
                        damaged.add(entry.file);
                        skipped.add(new Skipped(entry.file, e));
                    }
                }
                if (complete || look == (entries.isEmpty() ? 3 : 100)) {
                    return new Latest(null, null, List.copyOf(skipped));
                }
            } catch (IOException e) {
                throw new StorageException("cannot read the checkpoints in " + folder + ": " + e.getMessage(), e);
            }
        }
    }

    private static void requireDigits(Entry entry) throws IOException {
        long found = digits(entry.file);
        if (found != entry.digits) {
            throw new CorruptDataException(entry.file + " is cut short or damaged: its SHA-256 begins with "
                    + HexFormat.of().toHexDigits(found));
        }
    }

    /** The first 64 bits of the file's SHA-256. */
    private static long digits(Path file) throws IOException {
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every JDK has SHA-256", e);
        }
        try (InputStream stream = Files.newInputStream(file)) {
            byte[] buffer = new byte[1 << 20];
            for (int read; (read = stream.read(buffer)) > 0; ) {
                digest.update(buffer, 0, read);
            }
        }
        return ByteBuffer.wrap(digest.digest()).getLong();
    }
}
