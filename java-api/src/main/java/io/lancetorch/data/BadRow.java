package io.lancetorch.data;

/**
 * A row that was left out or given another image.
 *
 * @param row within the fragment, counted over its rows that are not deleted
 * @param reason what the decoder said
 */
public record BadRow(long epoch, int step, long fragmentId, long row, String column, String reason) {}
