/**
 * Lance datasets: versions, fragments, scans and takes as Arrow columns, writing, and the decoding of images in a column.
 * Knows nothing of tensors.
 */
package io.lancetorch.lance;
