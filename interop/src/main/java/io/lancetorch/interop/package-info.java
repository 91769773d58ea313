/** Arrow Java and the JavaCPP presets, to and from lancetorch, without a copy. */
package io.lancetorch.interop;
