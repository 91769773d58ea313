/**
 * Ranks on a Spark cluster: {@link io.lancetorch.spark.LanceTorchDistributor} runs each as a task of a barrier stage, in a JVM of
 * its own, so that a cluster on Java 17 serves too. Settings, of the session or of {@code spark-submit --conf}:
 *
 * <table>
 * <caption>Settings</caption>
 * <tr><th>name</th><th>meaning</th></tr>
 * <tr><td>{@code spark.lancetorch.javaHome}</td><td>a JDK 25 or later on each worker; else the executor's JAVA_HOME, or the
 * Java that it runs on</td></tr>
 * <tr><td>{@code spark.lancetorch.classPath}</td><td>jars and folders on each worker, joined by {@code :}, that come before the
 * jars of {@code spark.jars} and those of the executor</td></tr>
 * <tr><td>{@code spark.lancetorch.javaOptions}</td><td>options of a rank's JVM, between blanks, after our own, such as
 * {@code -Xmx8g}; the memory is not the executor's: {@code spark.executor.memoryOverhead} makes room for it</td></tr>
 * <tr><td>{@code spark.lancetorch.env.NAME}</td><td>a variable of the ranks; RANK and its like are ours</td></tr>
 * <tr><td>{@code spark.lancetorch.driverLogs}</td><td>whether the driver prints what ranks print (default: true); each
 * executor's own log has it anyway</td></tr>
 * <tr><td>{@code spark.lancetorch.slotsTimeout}</td><td>seconds that executors may take to come (default: 60)</td></tr>
 * </table>
 */
package io.lancetorch.spark;
