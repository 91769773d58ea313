package io.lancetorch.jmh;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;
import org.w3c.dom.NodeList;

class ChartTest {
    private static String textOf(Path file) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setFeature("http://apache.org/xml/features/nonvalidating/load-external-dtd", false);
        Document svg = factory.newDocumentBuilder().parse(file.toFile());
        assertThat(svg.getDocumentElement().getTagName()).isEqualTo("svg");
        assertThat(svg.getDocumentElement().getAttribute("font-size")).isEqualTo("12px");
        NodeList texts = svg.getElementsByTagName("text");
        var all = new StringBuilder();
        for (int i = 0; i < texts.getLength(); i++) {
            all.append(texts.item(i).getTextContent()).append('\n');
        }
        return all.toString();
    }

    @Test
    void theChartNamesTheMachineAndEachRowWithItsFigure(@TempDir Path folder) throws Exception {
        Path file = folder.resolve("chart.svg");
        List<Row> rows = Row.of(
                Case.LOADER,
                List.of(
                        new Score("lancetorch 2 threads uint8", Role.OURS, "uint8", 3000, "images/s"),
                        new Score("other loader", Role.PEER, "uint8", 1500, "images/s"),
                        new Score("bare loop", Role.LIMIT, "uint8", 3300, "images/s"),
                        new Score("baseline", Role.TO_COMPARE, "uint8", 3100, "images/s"),
                        new Score("lancetorch heap", Role.OURS, "heap", 2000, "B/batch")));
        Chart.write(file, rows, "a machine of 2 cores");
        assertThat(textOf(file))
                .contains("a machine of 2 cores", "loader, uint8", "lancetorch 2 threads uint8", "other loader")
                .contains("0.50 (1500 images/s)", "1.10 (3300 images/s)")
                .doesNotContain("baseline", "heap");
    }

    @Test
    void aChartOfNothingIsAnSvgToo(@TempDir Path folder) throws Exception {
        Path file = folder.resolve("chart.svg");
        Chart.write(file, List.of(), "a machine");
        assertThat(textOf(file)).contains("a machine");
    }
}
