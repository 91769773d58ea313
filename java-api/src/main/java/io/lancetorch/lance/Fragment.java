package io.lancetorch.lance;

/** A part of a dataset's rows that lies in files of its own. {@code rows} is without the {@code deletedRows}. */
public record Fragment(long id, long rows, long deletedRows) {}
