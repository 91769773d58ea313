/** Checkpoints from which training goes on at the next step: written whole or not at all, checked before they are used. */
package io.lancetorch.checkpoint;
