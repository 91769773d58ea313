package io.lancetorch.error;

import java.io.Serializable;

/**
 * Which collective of a process group failed.
 *
 * @param operation such as "all-reduce"
 * @param sequence counts a group's collectives from 1, alike on all its ranks; 0: before the first
 * @param step the training step that the caller has told the group; -1 where it has told none
 */
public record Collective(String operation, long sequence, long step) implements Serializable {
    /** Such as "all-reduce #42 (step 20)". */
    @Override
    public String toString() {
        return (sequence == 0 ? operation : operation + " #" + sequence) + (step < 0 ? "" : " (step " + step + ")");
    }
}
