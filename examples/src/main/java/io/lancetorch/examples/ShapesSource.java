package io.lancetorch.examples;

import io.lancetorch.lance.ImageCodec;
import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.Polygon;
import java.awt.RenderingHints;
import java.awt.geom.Ellipse2D;
import java.awt.image.BufferedImage;
import java.util.List;
import java.util.Random;

/**
 * The default dataset: drawings of ten kinds, JPEGs of 96 x 96 pixels, each from its index alone. Place, size, turn, colours
 * and noise are random, so only the shape tells the class.
 */
record ShapesSource(int size, long seed) implements ImageSource {
    private static final int EDGE = 96;
    private static final List<String> CLASSES =
            List.of("disc", "square", "triangle", "ring", "cross", "stripes", "checker", "star", "bars", "frame");

    @Override
    public List<String> classes() {
        return CLASSES;
    }

    @Override
    public int label(int index) {
        return Math.floorMod(random(index).nextInt(), CLASSES.size());
    }

    private Random random(int index) {
        var random = new Random(seed * 1_000_003L + index);
        // The first values of neighbouring seeds are alike.
        random.nextLong();
        return random;
    }

    @Override
    public byte[] image(int index) {
        Random random = random(index);
        int label = Math.floorMod(random.nextInt(), CLASSES.size());
        var image = new BufferedImage(EDGE, EDGE, BufferedImage.TYPE_INT_RGB);
        Graphics2D graphics = image.createGraphics();
        graphics.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
        boolean dark = random.nextBoolean();
        graphics.setColor(color(random, dark ? 0.05f : 0.75f));
        graphics.fillRect(0, 0, EDGE, EDGE);
        graphics.setColor(color(random, dark ? 0.75f : 0.05f));
        graphics.translate(EDGE / 2 + random.nextInt(21) - 10, EDGE / 2 + random.nextInt(21) - 10);
        graphics.rotate((random.nextDouble() - 0.5) * 0.7);
        double scale = 0.7 + 0.5 * random.nextDouble();
        graphics.scale(scale, scale);
        draw(graphics, CLASSES.get(label));
        graphics.dispose();
        return ImageCodec.encodeJpeg(noisy(image, random), EDGE, EDGE, 90);
    }

    private static Color color(Random random, float low) {
        return new Color(
                low + 0.2f * random.nextFloat(), low + 0.2f * random.nextFloat(), low + 0.2f * random.nextFloat());
    }

    private static void draw(Graphics2D graphics, String shape) {
        switch (shape) {
            case "disc" -> graphics.fill(new Ellipse2D.Double(-26, -26, 52, 52));
            case "square" -> graphics.fillRect(-24, -24, 48, 48);
            case "triangle" -> graphics.fillPolygon(new int[] {-28, 28, 0}, new int[] {24, 24, -28}, 3);
            case "ring" -> {
                graphics.setStroke(new BasicStroke(9));
                graphics.draw(new Ellipse2D.Double(-24, -24, 48, 48));
            }
            case "cross" -> {
                graphics.fillRect(-28, -7, 56, 14);
                graphics.fillRect(-7, -28, 14, 56);
            }
            case "stripes" -> {
                for (int y = -28; y < 28; y += 16) {
                    graphics.fillRect(-28, y, 56, 8);
                }
            }
            case "checker" -> {
                for (int i = 0; i < 16; i++) {
                    if ((i / 4 + i % 4) % 2 == 0) {
                        graphics.fillRect(-28 + 14 * (i % 4), -28 + 14 * (i / 4), 14, 14);
                    }
                }
            }
            case "star" -> {
                var star = new Polygon();
                for (int i = 0; i < 10; i++) {
                    double radius = i % 2 == 0 ? 30 : 12;
                    double angle = Math.PI * (i / 5.0 - 0.5);
                    star.addPoint((int) (radius * Math.cos(angle)), (int) (radius * Math.sin(angle)));
                }
                graphics.fillPolygon(star);
            }
            case "bars" -> {
                graphics.fillRect(-26, -28, 14, 56);
                graphics.fillRect(12, -28, 14, 56);
            }
            default -> {
                graphics.setStroke(new BasicStroke(9));
                graphics.drawRect(-23, -23, 46, 46);
            }
        }
    }

    private static byte[] noisy(BufferedImage image, Random random) {
        byte[] rgb = new byte[3 * EDGE * EDGE];
        for (int i = 0; i < EDGE * EDGE; i++) {
            int pixel = image.getRGB(i % EDGE, i / EDGE);
            for (int channel = 0; channel < 3; channel++) {
                int value = (pixel >> (16 - 8 * channel) & 0xff) + random.nextInt(41) - 20;
                rgb[3 * i + channel] = (byte) Math.clamp(value, 0, 255);
            }
        }
        return rgb;
    }
}
