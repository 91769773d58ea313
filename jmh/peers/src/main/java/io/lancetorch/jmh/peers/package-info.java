/**
 * What a JVM has without lancetorch: Lance's Java SDK with the JavaCPP presets, and DJL. {@code ./lancetorch bench} compiles
 * and runs these on a class path of their own, with inputs that it has made.
 */
package io.lancetorch.jmh.peers;
