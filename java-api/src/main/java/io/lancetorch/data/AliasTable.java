package io.lancetorch.data;

/**
 * Draws a number by weights with one look-up: the alias method (Walker, 1977) with the table built in linear time (Vose,
 * 1991). 12 bytes for a weight.
 */
final class AliasTable {
    private final double[] shares;
    private final int[] aliases;

    /** Of weights that are finite and not negative, one of them at least positive. */
    AliasTable(double[] weights) {
        int count = weights.length;
        int heaviest = 0;
        for (int i = 1; i < count; i++) {
            heaviest = weights[i] > weights[heaviest] ? i : heaviest;
        }
        double largest = weights[heaviest];
        double sum = 0;
        for (double weight : weights) {
            // By the largest, so that the sum of huge ones is not infinite.
            sum += weight / largest;
        }
        shares = new double[count];
        aliases = new int[count];
        // Both stacks in one array: the light ones from its beginning, the heavy ones from its end.
        int[] stack = new int[count];
        int light = 0;
        int heavy = count;
        for (int i = 0; i < count; i++) {
            shares[i] = weights[i] / largest / sum * count;
            if (shares[i] < 1) {
                stack[light++] = i;
            } else {
                stack[--heavy] = i;
            }
        }
        while (light > 0 && heavy < count) {
            int small = stack[--light];
            int large = stack[heavy];
            aliases[small] = large;
            shares[large] -= 1 - shares[small];
            if (shares[large] < 1) {
                heavy++;
                stack[light++] = large;
            }
        }
        // What is left differs from 1 by rounding alone; but a weight of 0 must never be drawn.
        for (int i = 0; i < light; i++) {
            settle(stack[i], weights, heaviest);
        }
        for (int i = heavy; i < count; i++) {
            settle(stack[i], weights, heaviest);
        }
    }

    private void settle(int index, double[] weights, int heaviest) {
        shares[index] = weights[index] > 0 ? 1 : 0;
        aliases[index] = heaviest;
    }

    /** What is drawn at a {@code place} 0 to size - 1 and a {@code fraction} of 1, both of equal distribution. */
    int draw(int place, double fraction) {
        return fraction < shares[place] ? place : aliases[place];
    }
}
