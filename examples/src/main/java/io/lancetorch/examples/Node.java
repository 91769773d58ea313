package io.lancetorch.examples;

/**
 * A machine among those that train together, each with a launcher of its own and as many ranks as the others.
 *
 * @param rank of the machine, from 0 on
 * @param nodes how many machines there are
 * @param masterAddress of the machine with rank 0
 * @param masterPort a port that is free there; restart r of the ranks takes masterPort + r
 */
record Node(int rank, int nodes, String masterAddress, int masterPort) {
    /** The only machine, where any free port will do. */
    static final Node ALONE = new Node(0, 1, "127.0.0.1", 0);

    boolean isAlone() {
        return nodes == 1;
    }
}
