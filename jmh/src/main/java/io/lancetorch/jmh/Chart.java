package io.lancetorch.jmh;

import de.erichseifert.vectorgraphics2d.VectorGraphics2D;
import de.erichseifert.vectorgraphics2d.svg.SVGProcessor;
import de.erichseifert.vectorgraphics2d.util.PageSize;
import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.awt.Paint;
import java.awt.Rectangle;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jfree.chart.JFreeChart;
import org.jfree.chart.LegendItem;
import org.jfree.chart.LegendItemCollection;
import org.jfree.chart.axis.CategoryAxis;
import org.jfree.chart.axis.NumberAxis;
import org.jfree.chart.labels.ItemLabelAnchor;
import org.jfree.chart.labels.ItemLabelPosition;
import org.jfree.chart.labels.StandardCategoryItemLabelGenerator;
import org.jfree.chart.plot.CategoryPlot;
import org.jfree.chart.plot.PlotOrientation;
import org.jfree.chart.plot.ValueMarker;
import org.jfree.chart.renderer.category.BarRenderer;
import org.jfree.chart.renderer.category.StandardBarPainter;
import org.jfree.chart.title.TextTitle;
import org.jfree.chart.ui.TextAnchor;
import org.jfree.data.category.CategoryDataset;
import org.jfree.data.category.DefaultCategoryDataset;

/**
 * Draws how fast each implementation is, as a share of lancetorch's fastest of the same group: horizontal bars, group by group.
 * Groups of lancetorch alone, and what is only there to compare, are left to the table.
 */
final class Chart {
    private static final int WIDTH = 1000;
    private static final int BAR = 19;
    private static final int FRAME = 150;
    private static final Font PLAIN = new Font(Font.SANS_SERIF, Font.PLAIN, 12);
    private static final Font BOLD = new Font(Font.SANS_SERIF, Font.BOLD, 12);
    private static final Color GRID = new Color(0xdd, 0xdd, 0xdd);
    private static final Map<Role, Color> COLOURS = new LinkedHashMap<>();

    static {
        COLOURS.put(Role.OURS, new Color(0x2f6fdf));
        COLOURS.put(Role.PEER, new Color(0xe08a3c));
        COLOURS.put(Role.LIMIT, new Color(0x8a94a0));
    }

    private Chart() {}

    /** A line of the chart, in its order: a row's bar, or a group's heading. */
    private record Line(int order, String label, Row row) implements Comparable<Line> {
        @Override
        public int compareTo(Line other) {
            return Integer.compare(order, other.order);
        }

        @Override
        public String toString() {
            return label;
        }
    }

    /** {@code machine}: what they were measured on. */
    static void write(Path file, List<Row> rows, String machine) throws IOException {
        List<Line> lines = lines(rows);
        int height = FRAME + BAR * lines.size();
        var graphics = new VectorGraphics2D();
        chart(lines, machine).draw(graphics, new Rectangle(WIDTH, height));
        var svg = new ByteArrayOutputStream();
        new SVGProcessor()
                .getDocument(graphics.getCommands(), new PageSize(WIDTH, height))
                .writeTo(svg);
        // It leaves out the size of 12 pixels, of which a browser makes 16.
        Files.writeString(file, svg.toString(StandardCharsets.UTF_8).replaceFirst("<svg ", "<svg font-size=\"12px\" "));
    }

    private static List<Line> lines(List<Row> rows) {
        Map<String, List<Row>> groups = new LinkedHashMap<>();
        for (Row row : rows) {
            if (row.ratioToOurs() != null && COLOURS.containsKey(row.role())) {
                String group = row.benchmarkCase() + (row.group().isEmpty() ? "" : ", " + row.group());
                groups.computeIfAbsent(group, _ -> new ArrayList<>()).add(row);
            }
        }
        List<Line> lines = new ArrayList<>();
        groups.forEach((group, members) -> {
            if (members.stream().anyMatch(row -> row.role() != Role.OURS)) {
                lines.add(new Line(lines.size(), group, null));
                for (Row row : members) {
                    lines.add(new Line(lines.size(), row.implementation(), row));
                }
            }
        });
        return lines;
    }

    private static JFreeChart chart(List<Line> lines, String machine) {
        var dataset = new DefaultCategoryDataset();
        var names = new CategoryAxis();
        names.setMaximumCategoryLabelWidthRatio(0.6f);
        names.setCategoryMargin(0.25);
        names.setTickLabelFont(PLAIN);
        names.setTickMarksVisible(false);
        for (Line line : lines) {
            dataset.addValue(line.row == null ? null : line.row.ratioToOurs(), "speed", line);
            if (line.row == null) {
                names.setTickLabelFont(line, BOLD);
            }
        }
        var ratios = new NumberAxis("times as fast as lancetorch");
        ratios.setTickLabelFont(PLAIN);
        ratios.setLabelFont(PLAIN);
        // Room for the figure behind the longest bar.
        ratios.setUpperMargin(0.25);
        var plot = new CategoryPlot(dataset, names, ratios, bars(lines));
        plot.setOrientation(PlotOrientation.HORIZONTAL);
        plot.setBackgroundPaint(Color.WHITE);
        plot.setOutlineVisible(false);
        plot.setRangeGridlinePaint(GRID);
        plot.addRangeMarker(new ValueMarker(1, COLOURS.get(Role.OURS), new BasicStroke(1)));
        plot.setFixedLegendItems(legend());
        var chart = new JFreeChart("How fast, beside lancetorch", BOLD.deriveFont(16f), plot, true);
        chart.addSubtitle(0, new TextTitle(machine, PLAIN));
        chart.setBackgroundPaint(Color.WHITE);
        return chart;
    }

    private static BarRenderer bars(List<Line> lines) {
        var bars = new BarRenderer() {
            private static final long serialVersionUID = 1L;

            @Override
            public Paint getItemPaint(int row, int column) {
                Row of = lines.get(column).row;
                return of == null ? Color.WHITE : COLOURS.get(of.role());
            }
        };
        bars.setBarPainter(new StandardBarPainter());
        bars.setShadowVisible(false);
        bars.setDefaultItemLabelFont(PLAIN.deriveFont(11f));
        bars.setDefaultItemLabelsVisible(true);
        bars.setDefaultPositiveItemLabelPosition(
                new ItemLabelPosition(ItemLabelAnchor.OUTSIDE3, TextAnchor.CENTER_LEFT));
        bars.setDefaultItemLabelGenerator(new StandardCategoryItemLabelGenerator() {
            private static final long serialVersionUID = 1L;

            @Override
            public String generateLabel(CategoryDataset dataset, int row, int column) {
                return figure(lines.get(column).row);
            }
        });
        return bars;
    }

    private static String figure(Row row) {
        return row == null
                ? ""
                : String.format(Locale.ROOT, "%.2f (%.4g %s)", row.ratioToOurs(), row.score(), row.unit());
    }

    private static LegendItemCollection legend() {
        var items = new LegendItemCollection();
        items.add(new LegendItem("lancetorch", COLOURS.get(Role.OURS)));
        items.add(new LegendItem("peers", COLOURS.get(Role.PEER)));
        items.add(new LegendItem("the limit: what the libraries below do alone", COLOURS.get(Role.LIMIT)));
        return items;
    }
}
