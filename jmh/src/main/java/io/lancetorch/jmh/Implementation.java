package io.lancetorch.jmh;

import java.io.IOException;
import java.util.List;

/** Something that a case measures, in processes of its own. */
interface Implementation {
    String name();

    Role role();

    /** Measures it, which may give several figures. */
    List<Score> measure(Lab lab) throws IOException, InterruptedException, Unavailable;
}
