package io.lancetorch.jmh.peers;

import ai.djl.basicdataset.cv.classification.ImageFolder;
import ai.djl.modality.cv.BufferedImageFactory;
import ai.djl.modality.cv.ImageFactory;
import ai.djl.modality.cv.transform.Resize;
import ai.djl.modality.cv.transform.ToTensor;
import ai.djl.repository.Repository;
import ai.djl.translate.TranslateException;
import java.io.IOException;
import java.nio.file.Path;

/** DJL's pipeline for an image classifier: an ImageFolder, resized, as float pixels. */
final class DjlImages {
    private DjlImages() {}

    /** {@code factory}: opencv, which DJL takes where it is on the class path, or buffered, javax.imageio's. */
    static void use(String factory) {
        if (factory.equals("buffered")) {
            ImageFactory.setImageFactory(new BufferedImageFactory());
        } else if (!ImageFactory.getInstance().getClass().getSimpleName().startsWith("OpenCV")) {
            throw new IllegalStateException("DJL has no OpenCV: " + ImageFactory.getInstance());
        }
    }

    static ImageFolder folder(Path files, int size, int batchSize, boolean random, int threads)
            throws IOException, TranslateException {
        ImageFolder folder = ImageFolder.builder()
                .setRepository(Repository.newInstance("images", files))
                .addTransform(new Resize(size, size))
                .addTransform(new ToTensor())
                .setSampling(batchSize, random, true)
                .optPrefetchNumber(2 * threads)
                .build();
        folder.prepare();
        return folder;
    }
}
