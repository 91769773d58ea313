/**
 * A run's figures, to where people look at them: MLflow, TensorBoard's event files, and JSON lines. It knows nothing of tensors
 * and loaders, and any trainer can use it.
 */
module io.lancetorch.tracking {
    requires com.fasterxml.jackson.databind;
    requires com.google.protobuf;
    requires java.logging;
    requires java.management;
    requires jdk.management;
    requires mlflow.client;

    exports io.lancetorch.tracking;
}
