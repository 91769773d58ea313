package io.lancetorch.cookbook;

import io.lancetorch.lance.ImageTransform;

/** Random parts of images to train on, and their middle to measure on. */
final class Augmentation {
    private Augmentation() {}

    // START SNIPPET: transforms
    private static final float[] MEAN = {0.485f, 0.456f, 0.406f};
    private static final float[] DEVIATION = {0.229f, 0.224f, 0.225f};

    /** Torchvision's training preset: 8 % to 100 % of the image, mirrored every other time. */
    static ImageTransform training() {
        return ImageTransform.randomResizedCrop(224, 224)
                .scale(0.08, 1)
                .flip(0.5)
                .normalize(MEAN, DEVIATION);
    }

    /** And its evaluation preset: the shorter side to 256 pixels, the middle 224 of it. */
    static ImageTransform evaluation() {
        return ImageTransform.centerCrop(256, 224, 224).normalize(MEAN, DEVIATION);
    }
    // END SNIPPET: transforms
}
