/** The dataset creator, the trainer and the launcher, written on lancetorch's public API alone. */
module io.lancetorch.examples {
    requires com.fasterxml.jackson.databind;
    requires info.picocli;
    requires io.lancetorch;
    requires io.lancetorch.tracking;
    requires java.desktop;
    requires java.management;
    requires java.xml;
    requires jdk.management;
    requires me.tongfei.progressbar;
    requires org.jfree.jfreechart;
    requires VectorGraphics2D;

    opens io.lancetorch.examples to
            com.fasterxml.jackson.databind,
            info.picocli;
}
