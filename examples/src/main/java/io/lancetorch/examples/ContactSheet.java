package io.lancetorch.examples;

import io.lancetorch.lance.Column;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageDecoder;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RecordBatch;
import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import javax.imageio.ImageIO;

/**
 * The first images of a dataset on one PNG, eight in a line: of each the middle square, as an evaluation would see it, with its
 * row and its label below it. A row that holds no image is a crossed-out square.
 */
final class ContactSheet {
    /** Of an image's square, in pixels. */
    static final int EDGE = 128;

    /** Between squares, and around them. */
    static final int GAP = 8;

    /** Height of what is written below a square. */
    static final int CAPTION = 18;

    static final int IN_A_LINE = 8;

    private static final Font FONT = new Font(Font.SANS_SERIF, Font.PLAIN, 12);

    private final BufferedImage sheet;
    private final Graphics2D graphics;

    /**
     * What came of it.
     *
     * @param images squares on the sheet
     * @param unreadableRows those of them that hold no image
     * @param captions false where Java finds no fonts
     */
    record Written(String file, int images, List<Long> unreadableRows, boolean captions) {}

    private ContactSheet(int images) {
        int columns = Math.min(images, IN_A_LINE);
        int lines = (images + IN_A_LINE - 1) / IN_A_LINE;
        sheet = new BufferedImage(
                GAP + columns * (EDGE + GAP), GAP + lines * (EDGE + CAPTION + GAP), BufferedImage.TYPE_INT_RGB);
        graphics = sheet.createGraphics();
        graphics.setRenderingHint(RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
        graphics.setColor(Color.WHITE);
        graphics.fillRect(0, 0, sheet.getWidth(), sheet.getHeight());
    }

    /** Where the square of an image begins. */
    static int x(int index) {
        return GAP + index % IN_A_LINE * (EDGE + GAP);
    }

    static int y(int index) {
        return GAP + index / IN_A_LINE * (EDGE + CAPTION + GAP);
    }

    /** Writes up to {@code most} of the images in {@code column} to {@code file}, whose folder is there. */
    static Written write(LanceDataset dataset, String column, int most, Path file) {
        requireImages(dataset, column);
        int images = (int) Math.min(most, dataset.countRows());
        if (images == 0) {
            throw new UserException(dataset.uri() + " has no rows, and so no images for " + file);
        }
        boolean labelled = isLabel(dataset);
        List<String> columns = labelled ? List.of(column, DatasetCreation.LABEL) : List.of(column);
        var drawn = new ContactSheet(images);
        List<Long> unreadable = new ArrayList<>();
        boolean captions = hasFonts();
        try (RecordBatch batch = dataset.take(LongStream.range(0, images).toArray(), columns, false);
                Arena arena = Arena.ofConfined()) {
            var transform = ImageTransform.centerCrop(EDGE, EDGE, EDGE).uint8().applyOrientation();
            MemorySegment pixels = arena.allocate(images * transform.imageBytes());
            MemorySegment codes = arena.allocate(ValueLayout.JAVA_INT, images);
            new ImageDecoder(transform, 0).decode(batch.column(column), 0, images, MemorySegment.NULL, codes, pixels);
            List<String> classes = labelled ? classes(dataset) : List.of();
            for (int i = 0; i < images; i++) {
                if (codes.getAtIndex(ValueLayout.JAVA_INT, i) == 0) {
                    drawn.image(i, pixels.asSlice(i * transform.imageBytes(), transform.imageBytes()));
                } else {
                    drawn.crossedOut(i);
                    unreadable.add((long) i);
                }
                if (captions) {
                    String label = labelled ? label(batch.column(DatasetCreation.LABEL), i, classes) : "";
                    drawn.caption(i, i + "  " + label);
                }
            }
        }
        drawn.save(file);
        return new Written(file.toString(), images, unreadable, captions);
    }

    private static void requireImages(LanceDataset dataset, String column) {
        List<String> candidates = dataset.schema().fields().stream()
                .filter(ContactSheet::isBinary)
                .map(Field::name)
                .toList();
        String hint = candidates.isEmpty()
                ? "no column of it is binary"
                : "--column names one of its binary columns, " + candidates;
        if (!dataset.schema().contains(column)) {
            throw new UserException(dataset.uri() + " has no column " + column + ": " + hint);
        }
        Field field = dataset.schema().field(column);
        if (!isBinary(field)) {
            throw new UserException("column " + column + " of " + dataset.uri() + " is "
                    + DatasetSummary.Column.of(field).type() + ", and holds no encoded images: " + hint);
        }
    }

    private static boolean isBinary(Field field) {
        return (field.format().equals("z") || field.format().equals("Z")) && !field.isBlob();
    }

    private static boolean isLabel(LanceDataset dataset) {
        return dataset.schema().fields().stream()
                .anyMatch(
                        field -> field.name().equals(DatasetCreation.LABEL) && "bcCsSiIlLuU".contains(field.format()));
    }

    /** Names that cannot be read are no reason not to show the images. */
    private static List<String> classes(LanceDataset dataset) {
        try {
            return ClassNames.of(dataset).orElse(List.of());
        } catch (UserException e) {
            return List.of();
        }
    }

    private static String label(Column column, int row, List<String> classes) {
        if (column.isNull(row)) {
            return "null";
        }
        if (column.field().format().equalsIgnoreCase("u")) {
            return column.text(row);
        }
        long label = column.integer(row);
        return label >= 0 && label < classes.size() ? classes.get((int) label) : Long.toString(label);
    }

    /** A JDK without any font of the system throws one thing or another, by its version. */
    private static boolean hasFonts() {
        Graphics2D tried = new BufferedImage(1, 1, BufferedImage.TYPE_INT_RGB).createGraphics();
        try {
            return tried.getFontMetrics(FONT).stringWidth("label") > 0;
        } catch (RuntimeException | LinkageError | InternalError e) {
            return false;
        } finally {
            tried.dispose();
        }
    }

    private void image(int index, MemorySegment pixels) {
        int[] row = new int[EDGE];
        for (int y = 0; y < EDGE; y++) {
            for (int x = 0; x < EDGE; x++) {
                long at = 3L * (y * EDGE + x);
                row[x] = channel(pixels, at) << 16 | channel(pixels, at + 1) << 8 | channel(pixels, at + 2);
            }
            sheet.setRGB(x(index), y(index) + y, EDGE, 1, row, 0, EDGE);
        }
    }

    private static int channel(MemorySegment pixels, long at) {
        return pixels.get(ValueLayout.JAVA_BYTE, at) & 0xff;
    }

    private void crossedOut(int index) {
        graphics.setColor(Color.LIGHT_GRAY);
        graphics.fillRect(x(index), y(index), EDGE, EDGE);
        graphics.setColor(Color.RED);
        graphics.drawLine(x(index), y(index), x(index) + EDGE - 1, y(index) + EDGE - 1);
        graphics.drawLine(x(index), y(index) + EDGE - 1, x(index) + EDGE - 1, y(index));
    }

    private void caption(int index, String text) {
        graphics.setColor(Color.BLACK);
        graphics.setFont(FONT);
        graphics.setClip(x(index), y(index) + EDGE, EDGE, CAPTION);
        graphics.drawString(SummaryText.plain(text, EDGE), x(index), y(index) + EDGE + CAPTION - 4);
        graphics.setClip(null);
    }

    private void save(Path file) {
        graphics.dispose();
        try (var out = Files.newOutputStream(file)) {
            ImageIO.write(sheet, "png", out);
        } catch (IOException e) {
            throw new UserException("cannot write the contact sheet " + file + ": " + e);
        }
    }
}
