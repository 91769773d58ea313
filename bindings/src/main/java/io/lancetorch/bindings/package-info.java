/** Finds, opens and checks the native libraries, and turns their status codes into exceptions. Not public API. */
package io.lancetorch.bindings;
