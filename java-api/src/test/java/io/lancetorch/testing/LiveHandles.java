package io.lancetorch.testing;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.lance.Lance;
import io.lancetorch.tensor.Torch;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/** After every test class, nothing native may be alive any more. JUnit finds it by META-INF/services. */
public final class LiveHandles implements AfterAllCallback {
    @Override
    public void afterAll(ExtensionContext context) {
        assertThat(alive())
                .as("native objects that are alive after " + context.getDisplayName())
                .isEmpty();
    }

    /** What is alive now, by kind; empty where nothing is. */
    public static Map<String, Long> alive() {
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
