package io.lancetorch.examples.report;

import java.io.StringWriter;
import java.util.Base64;
import java.util.regex.Pattern;
import javax.xml.stream.XMLOutputFactory;
import javax.xml.stream.XMLStreamException;
import javax.xml.stream.XMLStreamWriter;

/** Writes HTML, in which any text is escaped. */
final class Page {
    private static final Pattern NO_XML =
            Pattern.compile("[^\\t\\n\\r\\x20-\\x{D7FF}\\x{E000}-\\x{FFFD}\\x{10000}-\\x{10FFFF}]");

    private final StringWriter text = new StringWriter();
    private final XMLStreamWriter out;

    Page() {
        text.write("<!DOCTYPE html>\n");
        try {
            out = XMLOutputFactory.newFactory().createXMLStreamWriter(text);
        } catch (XMLStreamException e) {
            throw new IllegalStateException(e);
        }
    }

    private interface Writing {
        void run() throws XMLStreamException;
    }

    /** Only of memory, which never fails. */
    private Page write(Writing writing) {
        try {
            writing.run();
        } catch (XMLStreamException e) {
            throw new IllegalStateException(e);
        }
        return this;
    }

    /** Begins an element with attributes: names and values by turns. */
    Page open(String element, String... attributes) {
        return write(() -> {
            out.writeStartElement(element);
            for (int i = 0; i < attributes.length; i += 2) {
                out.writeAttribute(attributes[i], clean(attributes[i + 1]));
            }
        });
    }

    /** Ends the element that began last. */
    Page close() {
        return write(() -> {
            // Without it, an element that has nothing would be one that HTML takes for begun alone.
            out.writeCharacters("");
            out.writeEndElement();
            out.writeCharacters("\n");
        });
    }

    /** An element that has no end in HTML, such as {@code img}. */
    Page empty(String element, String... attributes) {
        return write(() -> {
            out.writeEmptyElement(element);
            for (int i = 0; i < attributes.length; i += 2) {
                out.writeAttribute(attributes[i], clean(attributes[i + 1]));
            }
        });
    }

    Page text(String characters) {
        return write(() -> out.writeCharacters(clean(characters)));
    }

    /** Without the characters that are in no XML. */
    static String clean(String text) {
        return NO_XML.matcher(text).replaceAll("\uFFFD");
    }

    /** An element with a text. */
    Page element(String element, String characters, String... attributes) {
        return open(element, attributes).text(characters).close();
    }

    /** A picture, as part of the page. */
    Page image(String type, byte[] bytes, String alt, String... attributes) {
        String[] all = new String[attributes.length + 4];
        System.arraycopy(attributes, 0, all, 4, attributes.length);
        all[0] = "src";
        all[1] = "data:" + type + ";base64," + Base64.getEncoder().encodeToString(bytes);
        all[2] = "alt";
        all[3] = alt;
        return empty("img", all);
    }

    @Override
    public String toString() {
        write(out::flush);
        return text + "\n";
    }
}
