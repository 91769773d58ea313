/**
 * Training batches from Lance datasets: a {@link io.lancetorch.data.Sampler} plans which rows each rank reads in which step,
 * and a {@link io.lancetorch.data.DataLoader} reads them ahead, decodes images, and hands out tensors.
 */
package io.lancetorch.data;
