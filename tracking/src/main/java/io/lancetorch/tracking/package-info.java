/**
 * Where a run's figures go. A {@link io.lancetorch.tracking.Tracker} takes events; a
 * {@link io.lancetorch.tracking.TrackerGroup} gives them to several, of which none fails the run:
 *
 * {@snippet :
 * try (var trackers = new TrackerGroup(
 *         List.of(
 *                 MlflowTracker.to("http://127.0.0.1:5000").experiment("food").open(),
 *                 new TensorBoardTracker(Path.of("runs/1")),
 *                 new JsonLinesTracker(Path.of("metrics.jsonl"), false)),
 *         System.err::println)) {
 *     trackers.parameters(Map.of("lr", "0.1"));
 *     trackers.metrics(100, Map.of("loss", 0.25));
 *     trackers.end(RunStatus.FINISHED);
 * }
 * }
 */
package io.lancetorch.tracking;
