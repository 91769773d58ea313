/** Ranks on one machine or many: rendezvous by torchrun's variables, collectives, and the averaging of gradients. */
package io.lancetorch.distributed;
