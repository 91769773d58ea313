package io.lancetorch.lance;

import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.bindings.lance.lt_image_options;
import io.lancetorch.error.InvalidArgumentException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * How an encoded image becomes the pixels of one size that a batch holds: which part of it, mirrored or not, resized by
 * Pillow's antialiased bilinear filter, and, as float32, divided by 255 and normalised. It is immutable; each method gives a
 * changed one.
 *
 * <pre>{@code
 * ImageTransform training = ImageTransform.randomResizedCrop(224, 224).flip(0.5).normalize(MEAN, DEVIATION);
 * ImageTransform evaluation = ImageTransform.centerCrop(256, 224, 224).normalize(MEAN, DEVIATION);
 * }</pre>
 *
 * The names and defaults are torchvision's: {@code Resize((height, width))}, {@code Resize(shorter)} with {@code
 * CenterCrop}, {@code RandomResizedCrop}, {@code RandomHorizontalFlip}, {@code ToTensor}, {@code Normalize}. What is random
 * follows from the loader's seed, the epoch and the row alone, so that a run can be repeated, byte for byte.
 */
public final class ImageTransform {
    private static final int MAX_SIDE = 1 << 15;

    /** The form of a decoded channel. */
    public enum Pixel {
        /** 0 to 255. */
        UINT8(1),
        /** 0 to 1, the byte divided by 255; or what it is normalised to. */
        FLOAT32(4);

        private final int size;

        Pixel(int size) {
            this.size = size;
        }

        /** Bytes of one channel of one pixel. */
        public int size() {
            return size;
        }
    }

    /** Which part of an image is used. */
    private enum Geometry {
        RESIZE,
        CENTER_CROP,
        RANDOM_CROP
    }

    private final Geometry geometry;
    private final int height;
    private final int width;
    private int shorter;
    private double minScale = 0.08;
    private double maxScale = 1;
    private double minRatio = 3.0 / 4;
    private double maxRatio = 4.0 / 3;
    private double flipProbability;
    private Pixel pixel = Pixel.FLOAT32;
    private float[] mean;
    private float[] deviation;
    private boolean oriented;
    private boolean fast;
    private long maxPixels;

    private ImageTransform(Geometry geometry, int height, int width) {
        if (height < 1 || width < 1 || height > MAX_SIDE || width > MAX_SIDE) {
            throw new InvalidArgumentException(
                    "images of " + width + " x " + height + " pixels: sizes are 1 to " + MAX_SIDE);
        }
        this.geometry = geometry;
        this.height = height;
        this.width = width;
    }

    private ImageTransform(ImageTransform other) {
        this(other.geometry, other.height, other.width);
        shorter = other.shorter;
        minScale = other.minScale;
        maxScale = other.maxScale;
        minRatio = other.minRatio;
        maxRatio = other.maxRatio;
        flipProbability = other.flipProbability;
        pixel = other.pixel;
        mean = other.mean;
        deviation = other.deviation;
        oriented = other.oriented;
        fast = other.fast;
        maxPixels = other.maxPixels;
    }

    /** The whole image, its sides scaled each by itself. Float32, 0 to 1, as all of them unless changed. */
    public static ImageTransform resize(int height, int width) {
        return new ImageTransform(Geometry.RESIZE, height, width);
    }

    /** The middle of the image after its shorter side has been scaled to {@code shorter}: for evaluation. */
    public static ImageTransform centerCrop(int shorter, int height, int width) {
        var transform = new ImageTransform(Geometry.CENTER_CROP, height, width);
        if (shorter < Math.max(height, width) || shorter > MAX_SIDE) {
            throw new InvalidArgumentException("a shorter side of " + shorter + " pixels, of which the middle " + width
                    + " x " + height + " are taken: it is at least as long, and at most " + MAX_SIDE);
        }
        transform.shorter = shorter;
        return transform;
    }

    /** A random part of the image: for training. 8 % to 100 % of its area, 3:4 to 4:3, unless changed. */
    public static ImageTransform randomResizedCrop(int height, int width) {
        return new ImageTransform(Geometry.RANDOM_CROP, height, width);
    }

    /** The share of the image's area that {@link #randomResizedCrop} takes. */
    public ImageTransform scale(double min, double max) {
        if (geometry != Geometry.RANDOM_CROP || !(min > 0 && min <= max && max <= 1)) {
            throw new InvalidArgumentException("a share of " + min + " to " + max
                    + " of the area: it is of randomResizedCrop, more than 0, and at most 1");
        }
        var changed = new ImageTransform(this);
        changed.minScale = min;
        changed.maxScale = max;
        return changed;
    }

    /** Width by height of the part that {@link #randomResizedCrop} takes. */
    public ImageTransform ratio(double min, double max) {
        if (geometry != Geometry.RANDOM_CROP || !(min > 0 && min <= max && max <= 1000)) {
            throw new InvalidArgumentException(
                    "a ratio of " + min + " to " + max + ": it is of randomResizedCrop, more than 0, and at most 1000");
        }
        var changed = new ImageTransform(this);
        changed.minRatio = min;
        changed.maxRatio = max;
        return changed;
    }

    /** Mirrors images left to right, each with this probability. */
    public ImageTransform flip(double probability) {
        if (!(probability >= 0 && probability <= 1)) {
            throw new InvalidArgumentException("a probability of " + probability);
        }
        var changed = new ImageTransform(this);
        changed.flipProbability = probability;
        return changed;
    }

    /** Channels become {@code (value - mean) / deviation}, of red, green and blue on the scale 0 to 1. */
    public ImageTransform normalize(float[] mean, float[] deviation) {
        if (mean.length != 3 || deviation.length != 3 || pixel != Pixel.FLOAT32) {
            throw new InvalidArgumentException("a mean of " + mean.length + " and a deviation of " + deviation.length
                    + " values for " + pixel + ": both are of 3 channels of float32");
        }
        for (int i = 0; i < 3; i++) {
            if (!Float.isFinite(mean[i]) || !(deviation[i] > 0) || !Float.isFinite(deviation[i])) {
                throw new InvalidArgumentException("channel " + i + " has a mean of " + mean[i] + " and a deviation of "
                        + deviation[i] + ", which is more than 0");
            }
        }
        var changed = new ImageTransform(this);
        changed.mean = mean.clone();
        changed.deviation = deviation.clone();
        return changed;
    }

    /** Channels stay bytes, 0 to 255; what normalises them comes later then. */
    public ImageTransform uint8() {
        var changed = new ImageTransform(this);
        changed.pixel = Pixel.UINT8;
        changed.mean = null;
        changed.deviation = null;
        return changed;
    }

    /** Turns images as their EXIF data says; Pillow's {@code convert("RGB")} does not. */
    public ImageTransform applyOrientation() {
        var changed = new ImageTransform(this);
        changed.oriented = true;
        return changed;
    }

    /**
     * Decodes JPEGs of at least twice the size that is needed at a half, a quarter or an eighth of it, by their DCT: faster,
     * and not quite the same pixels.
     */
    public ImageTransform fast() {
        var changed = new ImageTransform(this);
        changed.fast = true;
        return changed;
    }

    /**
     * Refuses an encoded image of more pixels before it is decoded, against small files of large images; 178,956,970 unless
     * said, which is Pillow's limit.
     */
    public ImageTransform maxPixels(long pixels) {
        if (pixels < 1) {
            throw new InvalidArgumentException("images of at most " + pixels + " pixels");
        }
        var changed = new ImageTransform(this);
        changed.maxPixels = pixels;
        return changed;
    }

    /** Of the result, in pixels. */
    public int height() {
        return height;
    }

    /** Of the result, in pixels. */
    public int width() {
        return width;
    }

    public Pixel pixel() {
        return pixel;
    }

    /** What {@link #normalize} was given as the mean, of red, green and blue; null where nothing is normalised. */
    public float[] mean() {
        return mean == null ? null : mean.clone();
    }

    /** What {@link #normalize} was given as the deviation; null where nothing is normalised. */
    public float[] deviation() {
        return deviation == null ? null : deviation.clone();
    }

    /** Whether the pixels of a row are others in each epoch. */
    public boolean isRandom() {
        return geometry == Geometry.RANDOM_CROP || flipProbability > 0 && flipProbability < 1;
    }

    /** Bytes of one result. */
    public long imageBytes() {
        return 3L * height * width * pixel.size();
    }

    /** An {@code lt_image_options}. */
    MemorySegment options(Arena arena, long seed) {
        MemorySegment options = lt_image_options.allocate(arena);
        options.fill((byte) 0);
        lt_image_options.height(options, height);
        lt_image_options.width(options, width);
        lt_image_options.dtype(options, pixel == Pixel.UINT8 ? lance_h.LT_IMAGE_UINT8() : lance_h.LT_IMAGE_FLOAT32());
        lt_image_options.apply_orientation(options, oriented ? 1 : 0);
        lt_image_options.max_pixels(options, maxPixels);
        lt_image_options.geometry(
                options,
                switch (geometry) {
                    case RESIZE -> lance_h.LT_IMAGE_RESIZE();
                    case CENTER_CROP -> lance_h.LT_IMAGE_CENTER_CROP();
                    case RANDOM_CROP -> lance_h.LT_IMAGE_RANDOM_CROP();
                });
        lt_image_options.resize_shorter(options, shorter);
        lt_image_options.scale_min(options, minScale);
        lt_image_options.scale_max(options, maxScale);
        lt_image_options.ratio_min(options, minRatio);
        lt_image_options.ratio_max(options, maxRatio);
        lt_image_options.flip_probability(options, flipProbability);
        lt_image_options.seed(options, seed);
        lt_image_options.fast(options, fast ? 1 : 0);
        if (mean != null) {
            lt_image_options.normalize(options, 1);
            MemorySegment.copy(mean, 0, lt_image_options.mean(options), ValueLayout.JAVA_FLOAT, 0, 3);
            MemorySegment.copy(deviation, 0, lt_image_options.deviation(options), ValueLayout.JAVA_FLOAT, 0, 3);
        }
        return options;
    }

    /** All that the pixels depend on, in words; two transforms of the same words give the same pixels. */
    @Override
    public String toString() {
        var text = new StringBuilder();
        switch (geometry) {
            case RESIZE -> text.append("resize(").append(height).append(", ").append(width);
            case CENTER_CROP ->
                text.append("centerCrop(")
                        .append(shorter)
                        .append(", ")
                        .append(height)
                        .append(", ")
                        .append(width);
            case RANDOM_CROP ->
                text.append("randomResizedCrop(")
                        .append(height)
                        .append(", ")
                        .append(width)
                        .append(").scale(")
                        .append(minScale)
                        .append(", ")
                        .append(maxScale)
                        .append(").ratio(")
                        .append(minRatio)
                        .append(", ")
                        .append(maxRatio);
        }
        text.append(')');
        if (flipProbability > 0) {
            text.append(".flip(").append(flipProbability).append(')');
        }
        if (mean != null) {
            text.append(".normalize(")
                    .append(Arrays.toString(mean))
                    .append(", ")
                    .append(Arrays.toString(deviation))
                    .append(')');
        }
        if (pixel == Pixel.UINT8) {
            text.append(".uint8()");
        }
        if (oriented) {
            text.append(".applyOrientation()");
        }
        if (fast) {
            text.append(".fast()");
        }
        if (maxPixels > 0) {
            text.append(".maxPixels(").append(maxPixels).append(')');
        }
        return text.toString();
    }
}
