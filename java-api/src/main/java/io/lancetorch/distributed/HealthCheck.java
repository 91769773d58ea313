package io.lancetorch.distributed;

import io.lancetorch.error.InvalidArgumentException;
import java.time.Duration;

/**
 * How a group's ranks watch each other: each holds a TCP connection to rank 0, which the kernel closes when a process ends,
 * however it ends. A machine that vanishes is found by the kernel's keep-alive probes, which a stopped process still
 * answers.
 *
 * @param interval between keep-alive probes, in whole seconds
 * @param tolerated probes without an answer before a machine counts as gone
 * @param answer how long a rank may take to say where it is, when a collective has failed and nobody knows why
 */
public record HealthCheck(Duration interval, int tolerated, Duration answer) {
    /** A machine that vanishes is found after 4 s, a rank that does not answer 0.4 s after the deadline, and rank 0 after 0.64 s. */
    public static final HealthCheck DEFAULT = new HealthCheck(Duration.ofSeconds(1), 3, Duration.ofMillis(400));

    /** No watching: for ranks some of which are other programs than lancetorch. */
    public static final HealthCheck NONE = new HealthCheck(Duration.ofDays(1), 1, Duration.ofDays(1));

    public HealthCheck {
        if (interval.toSeconds() < 1 || tolerated < 1 || answer.toMillis() < 1) {
            throw new InvalidArgumentException("an interval of " + interval + ", " + tolerated
                    + " tolerated probes and an answer within " + answer
                    + ": there must be at least 1 s, 1 probe and 1 ms");
        }
    }
}
