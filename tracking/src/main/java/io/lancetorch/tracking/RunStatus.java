package io.lancetorch.tracking;

/** How a run has ended; the names are MLflow's. */
public enum RunStatus {
    FINISHED,
    /** By an error. */
    FAILED,
    /** By a signal, such as that of Ctrl-C. */
    KILLED
}
