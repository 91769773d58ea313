package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.ImageCodec;

/**
 * How the encoded images of a column become one tensor [batch, 3, height, width] in channels-last order: decoded, resized by
 * Pillow's antialiased bilinear filter, and, as float32, divided by 255. This is what torchvision's {@code Resize((height,
 * width))} and {@code ToTensor()} do.
 *
 * @param applyOrientation turn as a JPEG's EXIF data says; Pillow's {@code convert("RGB")} does not
 * @param maxPixels of an encoded image; a larger one is refused before it is decoded; 0: 178,956,970, Pillow's own limit
 */
public record ImageTransform(int height, int width, ImageCodec.Pixel pixel, boolean applyOrientation, long maxPixels) {
    public ImageTransform {
        if (height < 1 || width < 1 || height > 1 << 15 || width > 1 << 15) {
            throw new InvalidArgumentException(
                    "images of " + width + " x " + height + " pixels: sizes are 1 to " + (1 << 15));
        }
    }

    /** To float32, 0 to 1. */
    public static ImageTransform resize(int height, int width) {
        return new ImageTransform(height, width, ImageCodec.Pixel.FLOAT32, false, 0);
    }

    /** The same, as uint8, 0 to 255. */
    public ImageTransform uint8() {
        return new ImageTransform(height, width, ImageCodec.Pixel.UINT8, applyOrientation, maxPixels);
    }

    ImageCodec.Options options() {
        return new ImageCodec.Options(height, width, pixel, applyOrientation, maxPixels);
    }
}
