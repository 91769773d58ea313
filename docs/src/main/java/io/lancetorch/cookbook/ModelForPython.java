package io.lancetorch.cookbook;

import io.lancetorch.tensor.StateDict;
import io.lancetorch.tensor.Tensor;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Model files that both sides read. */
final class ModelForPython {
    private ModelForPython() {}

    // START SNIPPET: save
    /** Python: {@code torch.nn.Linear(3, 2).load_state_dict(torch.load(file, weights_only=True))}. */
    static void save(Path file, Tensor weight, Tensor bias) {
        StateDict.save(file, Map.of("weight", weight, "bias", bias));
    }

    /** Takes what {@code torch.save(model.state_dict(), file)} wrote into the tensors that are there. */
    static void load(Path file, Tensor weight, Tensor bias) {
        Map<String, Tensor> saved = StateDict.load(file);
        try {
            StateDict.copy(saved, Map.of("weight", weight, "bias", bias));
        } finally {
            Tensor.closeAll(List.copyOf(saved.values()));
        }
    }
    // END SNIPPET: save
}
