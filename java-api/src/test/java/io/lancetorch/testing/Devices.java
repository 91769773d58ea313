package io.lancetorch.testing;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.lancetorch.tensor.Device;
import java.util.ArrayList;
import java.util.List;

/** The devices that tests run on: the CPU, and a GPU where this libtorch sees one. */
public final class Devices {
    private Devices() {}

    /** For a parametrised test, which then runs once on each. */
    public static List<Device> all() {
        List<Device> devices = new ArrayList<>(List.of(Device.CPU));
        if (hasCuda()) {
            devices.add(Device.cuda(0));
        }
        return devices;
    }

    /** Whether there is a GPU. */
    public static boolean hasCuda() {
        return Device.cuda(0).isAvailable();
    }

    /** The first GPU; without one the test is skipped, with the reason. */
    public static Device requireCuda() {
        String reason = "";
        try {
            Device.cuda(0).require();
        } catch (RuntimeException e) {
            reason = e.getMessage();
        }
        assumeTrue(reason.isEmpty(), "skipped: " + reason);
        return Device.cuda(0);
    }
}
