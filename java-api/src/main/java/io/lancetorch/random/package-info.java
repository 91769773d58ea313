/** Random numbers that are pure functions of a seed, for the packages of this module alone. */
package io.lancetorch.random;
