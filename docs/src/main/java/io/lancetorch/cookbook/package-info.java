/** The recipes of the site's cookbook, whose page shows the parts between the SNIPPET marks; each is run by a test. */
package io.lancetorch.cookbook;
