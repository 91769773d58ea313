package io.lancetorch.docs;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.docs.Documents.Piece;
import java.io.StringWriter;
import java.net.URI;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The Java of the README and of the pages that do not take it from the cookbook's sources. */
class JavaBlocksTest {
    private static final List<String> PACKAGES = List.of(
            "io.lancetorch.checkpoint",
            "io.lancetorch.data",
            "io.lancetorch.distributed",
            "io.lancetorch.examples.model",
            "io.lancetorch.lance",
            "io.lancetorch.tensor",
            "java.util");

    @TempDir
    private Path classes;

    private static final class Source extends SimpleJavaFileObject {
        private final String text;

        Source(String text) {
            super(URI.create("string:///Block.java"), Kind.SOURCE);
            this.text = text;
        }

        @Override
        public CharSequence getCharContent(boolean ignoreEncodingErrors) {
            return text;
        }
    }

    private String errors(String block) {
        var source = new StringBuilder();
        PACKAGES.forEach(name -> source.append("import ").append(name).append(".*;\n"));
        source.append("class Block {\n    static void run() throws Exception {\n")
                .append(block)
                .append("    }\n}\n");
        var messages = new StringWriter();
        boolean compiled = ToolProvider.getSystemJavaCompiler()
                .getTask(
                        messages,
                        null,
                        null,
                        List.of("-d", classes.toString(), "-classpath", System.getProperty("java.class.path")),
                        null,
                        List.<JavaFileObject>of(new Source(source.toString())))
                .call();
        return compiled ? "" : messages.toString();
    }

    @Test
    void theyCompile() throws Exception {
        List<Piece> blocks = new ArrayList<>();
        for (Path document : Documents.all()) {
            blocks.addAll(Documents.blocks(document, "java"));
        }
        assertThat(blocks).isNotEmpty();
        for (Piece block : blocks) {
            assertThat(errors(block.text())).as(block.toString()).isEmpty();
        }
    }

    @Test
    void oneWithAWrongNameDoesNot() {
        assertThat(errors("Ops.crossEntropie(null, null);\n")).contains("crossEntropie");
    }
}
