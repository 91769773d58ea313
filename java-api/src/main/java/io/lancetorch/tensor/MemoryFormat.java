package io.lancetorch.tensor;

/** The order in which a tensor's elements lie, with the codes of {@code c10::MemoryFormat}. */
public enum MemoryFormat {
    /** The last dimension is dense. */
    CONTIGUOUS(0),
    /** As it was. */
    PRESERVE(1),
    /** For shape [batch, channels, height, width]: the channels of a pixel lie side by side, as in an image file. */
    CHANNELS_LAST(2);

    private final int code;

    MemoryFormat(int code) {
        this.code = code;
    }

    /** The value of {@code c10::MemoryFormat}, which operators take where their schema says {@code MemoryFormat}. */
    public int code() {
        return code;
    }
}
