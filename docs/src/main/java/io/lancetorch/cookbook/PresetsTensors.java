package io.lancetorch.cookbook;

import io.lancetorch.interop.JavaCppInterop;
import io.lancetorch.tensor.Tensor;
import org.bytedeco.javacpp.PointerScope;

/** A tensor that the JavaCPP presets' API computes with. */
final class PresetsTensors {
    private PresetsTensors() {}

    // START SNIPPET: presets
    /** The sigmoid, by the presets' own API; both tensors share memory with their counterparts there. */
    static Tensor sigmoid(Tensor x) {
        try (var _ = new PointerScope()) {
            org.bytedeco.pytorch.Tensor theirs = JavaCppInterop.toJavaCpp(x);
            return JavaCppInterop.fromJavaCpp(theirs.sigmoid());
        }
    }
    // END SNIPPET: presets
}
