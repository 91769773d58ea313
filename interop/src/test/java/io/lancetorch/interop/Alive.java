package io.lancetorch.interop;

import io.lancetorch.lance.Lance;
import io.lancetorch.tensor.Torch;
import java.util.Map;
import java.util.TreeMap;

/** What native objects are alive in this process. */
final class Alive {
    private Alive() {}

    /** By kind; empty where nothing is. */
    static Map<String, Long> now() {
        Map<String, Long> alive = new TreeMap<>();
        for (Torch.Kind kind : Torch.Kind.values()) {
            alive.put("torch " + kind, Torch.liveHandles(kind));
        }
        alive.put("torch bytes", Torch.liveBytes());
        for (Lance.Kind kind : Lance.Kind.values()) {
            alive.put("lance " + kind, Lance.liveHandles(kind));
        }
        alive.put("lance bytes", Lance.liveBytes());
        alive.values().removeIf(count -> count == 0);
        return alive;
    }
}
