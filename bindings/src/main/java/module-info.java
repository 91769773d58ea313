/** The native libraries behind lancetorch. Of this module, only {@link io.lancetorch.error} is public API. */
module io.lancetorch.bindings {
    requires static org.bytedeco.javacpp;

    exports io.lancetorch.error;
    exports io.lancetorch.bindings to
            io.lancetorch,
            io.lancetorch.interop,
            io.lancetorch.jmh;
    exports io.lancetorch.bindings.torch to
            io.lancetorch,
            io.lancetorch.interop,
            io.lancetorch.jmh;
    exports io.lancetorch.bindings.cuda to
            io.lancetorch,
            io.lancetorch.jmh;
    exports io.lancetorch.bindings.lance to
            io.lancetorch,
            io.lancetorch.interop,
            io.lancetorch.jmh;
}
