/** The exceptions of lancetorch: one type for each thing that a caller can do about a failure. */
package io.lancetorch.error;
