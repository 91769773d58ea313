/**
 * lancetorch beside other libraries of the JVM: rows as Arrow Java's vectors and back, and tensors as the JavaCPP presets' and
 * back, without a copy. Each of the two needs its own library alone, which the user's build names: this module brings neither.
 */
module io.lancetorch.interop {
    requires transitive io.lancetorch;
    requires io.lancetorch.bindings;
    requires static transitive org.apache.arrow.memory.core;
    requires static transitive org.apache.arrow.vector;
    requires static org.apache.arrow.c;
    requires static transitive org.bytedeco.pytorch;

    exports io.lancetorch.interop;
}
