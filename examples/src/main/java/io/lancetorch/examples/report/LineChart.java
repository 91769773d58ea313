package io.lancetorch.examples.report;

import de.erichseifert.vectorgraphics2d.VectorGraphics2D;
import de.erichseifert.vectorgraphics2d.svg.SVGProcessor;
import de.erichseifert.vectorgraphics2d.util.PageSize;
import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.awt.Rectangle;
import java.awt.geom.Ellipse2D;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.jfree.chart.JFreeChart;
import org.jfree.chart.axis.NumberAxis;
import org.jfree.chart.block.BlockBorder;
import org.jfree.chart.plot.XYPlot;
import org.jfree.chart.renderer.xy.XYLineAndShapeRenderer;
import org.jfree.chart.text.TextUtils;
import org.jfree.chart.ui.RectangleInsets;
import org.jfree.data.xy.XYSeries;
import org.jfree.data.xy.XYSeriesCollection;

/** Lines over steps or time, as an SVG whose text and grid follow the viewer's choice of light or dark. */
final class LineChart {
    static final int WIDTH = 500;
    static final int HEIGHT = 290;

    static {
        // Upright text would be drawn as outlines otherwise, which no reader can search.
        TextUtils.setUseDrawRotatedStringWorkaround(false);
    }

    private static final int MOST_POINTS = 500;
    private static final int FEW_POINTS = 30;
    // Colours of the drawing that a style of the SVG replaces.
    private static final Color INK = new Color(1, 2, 3);
    private static final Color GRID = new Color(4, 5, 6);
    private static final String STYLE = """
            <style>
            svg { --ink: #333b47; --grid: #c9ced6; font-size: 12px }
            @media (prefers-color-scheme: dark) { svg { --ink: #d5dae2; --grid: #4a5261 } }
            </style>
            """;
    private static final Font FONT = new Font(Font.SANS_SERIF, Font.PLAIN, 12);
    // Told apart on white and on dark gray, also by most who see fewer colours.
    private static final List<Color> COLOURS = List.of(
            new Color(0x3b82f6),
            new Color(0xf08030),
            new Color(0x14a37f),
            new Color(0xb45cf0),
            new Color(0xe0485a),
            new Color(0xb59a10),
            new Color(0x0ea5b7),
            new Color(0xe05aa8));

    /** One line of points; {@code faint}: what another one sums up. */
    record Line(String name, int colour, boolean faint, double[] x, double[] y) {}

    private final String xLabel;
    private final String yLabel;
    private final boolean fromZero;
    private final boolean wholeX;
    private final List<Line> lines;

    /**
     * @param fromZero whether the values' axis begins at 0
     * @param wholeX whether there is nothing between two whole x
     */
    LineChart(String xLabel, String yLabel, boolean fromZero, boolean wholeX, List<Line> lines) {
        this.xLabel = xLabel;
        this.yLabel = yLabel;
        this.fromZero = fromZero;
        this.wholeX = wholeX;
        this.lines = lines.stream().filter(line -> line.x.length > 0).toList();
    }

    boolean isEmpty() {
        return lines.isEmpty();
    }

    List<Line> lines() {
        return lines;
    }

    String svg() {
        var graphics = new VectorGraphics2D();
        chart().draw(graphics, new Rectangle(WIDTH, HEIGHT));
        var bytes = new ByteArrayOutputStream();
        try {
            new SVGProcessor()
                    .getDocument(graphics.getCommands(), new PageSize(WIDTH, HEIGHT))
                    .writeTo(bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        String svg = bytes.toString(StandardCharsets.UTF_8);
        int inside = svg.indexOf('>', svg.indexOf("<svg")) + 1;
        return svg.substring(0, inside)
                + STYLE
                + svg.substring(inside)
                        .replace(rgb(INK), "var(--ink)")
                        .replace(rgb(GRID), "var(--grid)")
                        .replaceAll("font-family:[^;]*;", "font-family:'DejaVu Sans',Verdana,sans-serif;");
    }

    private static String rgb(Color colour) {
        return "rgb(" + colour.getRed() + "," + colour.getGreen() + "," + colour.getBlue() + ")";
    }

    private JFreeChart chart() {
        var dataset = new XYSeriesCollection();
        var renderer = new XYLineAndShapeRenderer();
        renderer.setDefaultLegendTextFont(FONT);
        renderer.setDefaultLegendTextPaint(INK);
        for (int i = 0; i < lines.size(); i++) {
            Line line = lines.get(i);
            var series = new XYSeries(i, false, true);
            fill(series, line);
            dataset.addSeries(series);
            Color colour = COLOURS.get(line.colour % COLOURS.size());
            renderer.setSeriesPaint(i, line.faint ? faint(colour) : colour);
            renderer.setSeriesStroke(
                    i, new BasicStroke(line.faint ? 1.2f : 2.2f, BasicStroke.CAP_ROUND, BasicStroke.JOIN_ROUND));
            renderer.setSeriesShape(i, new Ellipse2D.Double(-2.5, -2.5, 5, 5));
            renderer.setSeriesShapesVisible(i, !line.faint && line.x.length <= FEW_POINTS || line.x.length == 1);
            renderer.setDrawSeriesLineAsPath(true);
        }
        renderer.setLegendItemLabelGenerator((_, series) -> Page.clean(lines.get(series).name));
        var plot = new XYPlot(dataset, axis(xLabel), axis(yLabel), renderer);
        var x = (NumberAxis) plot.getDomainAxis();
        x.setAutoRangeIncludesZero(false);
        if (wholeX) {
            x.setStandardTickUnits(NumberAxis.createIntegerTickUnits());
        }
        ((NumberAxis) plot.getRangeAxis()).setAutoRangeIncludesZero(fromZero);
        plot.setBackgroundPaint(null);
        plot.setOutlineVisible(false);
        plot.setDomainGridlinePaint(GRID);
        plot.setRangeGridlinePaint(GRID);
        plot.setAxisOffset(new RectangleInsets(0, 0, 0, 0));
        var chart = new JFreeChart(null, FONT, plot, true);
        chart.setBackgroundPaint(null);
        chart.setPadding(new RectangleInsets(4, 2, 2, 10));
        chart.getLegend().setBackgroundPaint(null);
        chart.getLegend().setFrame(BlockBorder.NONE);
        return chart;
    }

    private static Color faint(Color colour) {
        return new Color((colour.getRed() + 160) / 2, (colour.getGreen() + 160) / 2, (colour.getBlue() + 160) / 2);
    }

    private static NumberAxis axis(String label) {
        var axis = new NumberAxis(label);
        axis.setLabelFont(FONT);
        axis.setTickLabelFont(FONT.deriveFont(11f));
        axis.setLabelPaint(INK);
        axis.setTickLabelPaint(INK);
        axis.setAxisLinePaint(GRID);
        axis.setTickMarkPaint(GRID);
        return axis;
    }

    /** Of more points than a screen shows, the means of neighbours. */
    private static void fill(XYSeries series, Line line) {
        int together = Math.ceilDiv(line.x.length, MOST_POINTS);
        for (int from = 0; from < line.x.length; from += together) {
            int to = Math.min(line.x.length, from + together);
            double x = 0;
            double y = 0;
            for (int i = from; i < to; i++) {
                x += line.x[i] / (to - from);
                y += line.y[i] / (to - from);
            }
            series.add(x, y, false);
        }
    }
}
