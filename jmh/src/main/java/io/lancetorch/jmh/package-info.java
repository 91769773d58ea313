/** Benchmarks, each with its peer or its copying baseline beside it; {@link io.lancetorch.jmh.Bench} runs them. */
package io.lancetorch.jmh;
