package io.lancetorch.testing;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/** {@code .pt} files as nobody writes them. */
public final class TorchFiles {
    private TorchFiles() {}

    /** The file's pickle. */
    public static byte[] pickle(Path source) throws IOException {
        try (ZipFile zip = new ZipFile(source.toFile())) {
            ZipEntry entry = zip.stream()
                    .filter(e -> e.getName().endsWith("/data.pkl"))
                    .findFirst()
                    .orElseThrow();
            return zip.getInputStream(entry).readAllBytes();
        }
    }

    /** The file's bytes with another data.pkl, under right checksums. */
    public static byte[] withPickle(Path source, byte[] pickle) throws IOException {
        return rewritten(source, ZipEntry.STORED, pickle);
    }

    /** The same records, compressed. */
    public static byte[] compressed(Path source) throws IOException {
        return rewritten(source, ZipEntry.DEFLATED, pickle(source));
    }

    private static byte[] rewritten(Path source, int method, byte[] pickle) throws IOException {
        var bytes = new ByteArrayOutputStream();
        try (ZipFile zip = new ZipFile(source.toFile());
                var out = new ZipOutputStream(bytes)) {
            for (ZipEntry entry : zip.stream().toList()) {
                byte[] content = entry.getName().endsWith("/data.pkl")
                        ? pickle
                        : zip.getInputStream(entry).readAllBytes();
                var copy = new ZipEntry(entry.getName());
                copy.setMethod(method);
                copy.setSize(content.length);
                copy.setCrc(checksum(content));
                out.putNextEntry(copy);
                out.write(content);
            }
        }
        return bytes.toByteArray();
    }

    private static long checksum(byte[] content) {
        var checksum = new CRC32();
        checksum.update(content);
        return checksum.getValue();
    }

    /** All tensors' records, which are the same in the source, over the same bytes of the file. */
    public static byte[] overlapping(Path source) throws IOException {
        var file = new ByteArrayOutputStream();
        var directory = new ByteArrayOutputStream();
        int records = 0;
        int shared = -1;
        try (ZipFile zip = new ZipFile(source.toFile())) {
            List<ZipEntry> entries = new ArrayList<>(zip.stream().toList());
            for (ZipEntry entry : entries) {
                byte[] content = zip.getInputStream(entry).readAllBytes();
                byte[] name = entry.getName().getBytes(UTF_8);
                boolean tensor = entry.getName().matches(".*/data/\\d+");
                int at = tensor && shared >= 0 ? shared : file.size();
                if (at == file.size()) {
                    file.write(header(0x04034b50, name, content, -1));
                    file.write(name);
                    file.write(content);
                }
                if (tensor) {
                    shared = at;
                }
                directory.write(header(0x02014b50, name, content, at));
                directory.write(name);
                records++;
            }
        }
        int begin = file.size();
        file.write(directory.toByteArray());
        file.write(ByteBuffer.allocate(22)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(0x06054b50)
                .putInt(0)
                .putShort((short) records)
                .putShort((short) records)
                .putInt(directory.size())
                .putInt(begin)
                .putShort((short) 0)
                .array());
        return file.toByteArray();
    }

    /** Of a record that is not compressed; {@code at}: where it begins, for the directory, or -1. */
    private static byte[] header(int signature, byte[] name, byte[] content, int at) {
        ByteBuffer header = ByteBuffer.allocate(at < 0 ? 30 : 46).order(ByteOrder.LITTLE_ENDIAN);
        header.putInt(signature);
        if (at >= 0) {
            header.putShort((short) 20);
        }
        header.putShort((short) 20)
                .putShort((short) 0)
                .putShort((short) ZipEntry.STORED)
                .putInt(0)
                .putInt((int) checksum(content))
                .putInt(content.length)
                .putInt(content.length)
                .putShort((short) name.length);
        if (at >= 0) {
            header.position(42);
            header.putInt(at);
        }
        return header.array();
    }
}
