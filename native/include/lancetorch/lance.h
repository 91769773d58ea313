/* SPDX-License-Identifier: Apache-2.0
 *
 * Lance datasets for lancetorch: open, scan, take, write, and decode the images in a column. error.h has the rules that
 * hold for every function here. All reading and writing runs on one tokio runtime for the process, made at first use; the
 * calling thread waits for it, so no function here may be called from that runtime's own threads.
 *
 * Positions: a fragment's rows are numbered 0 .. rows-1 over the rows that are not deleted. A dataset's rows are numbered
 * over its fragments in order, likewise without the deleted ones.
 */
#ifndef LANCETORCH_LANCE_H
#define LANCETORCH_LANCE_H

#include <lancetorch/arrow_c_data.h>
#include <lancetorch/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What is alive ------------------------------------------------------------------------------------------------ */

#define LT_LANCE_DATASET 0
#define LT_LANCE_SCAN 1
#define LT_LANCE_COLUMN 2
#define LT_LANCE_WRITER 3
#define LT_LANCE_STREAM 4
#define LT_LANCE_BLOB 5

/* Handles of that kind that have not been released; -1 for an unknown kind. Any thread. */
int64_t lt_lance_live_handles(int32_t kind);

/* Bytes of Arrow buffers that scans and takes handed out and that nobody has released yet. Any thread. */
int64_t lt_lance_live_bytes(void);

/* The version of the `lance` crate this library was built with, for ever valid. Any thread. */
const char* lt_lance_version(void);

/* Sets how many threads the runtime will have for CPU work such as decompression (default: the cores of the machine).
 * Any thread. LT_INVALID_ARGUMENT: threads < 1, or the runtime exists already with another number. */
lt_status lt_lance_set_threads(int32_t threads, lt_error* err);

/* ---- Datasets ----------------------------------------------------------------------------------------------------- */

/* One version of a dataset, pinned: later writes do not change what it shows. Owned: lt_dataset_close. Any thread, also
 * many at once; close waits for none of them, a scan keeps what it needs alive. */
typedef struct lt_dataset lt_dataset;

typedef struct lt_fragment {
  uint64_t id;
  uint64_t rows; /* without the deleted ones */
  uint64_t deleted_rows;
} lt_fragment;

#define LT_OPERATION_SIZE 32

typedef struct lt_version {
  uint64_t version;
  int64_t time_ms; /* when it was committed: milliseconds since 1970-01-01 UTC */
  uint64_t rows;   /* without the deleted ones */
  uint64_t fragments;
  uint64_t files; /* of data */
  uint64_t bytes; /* of those files, as far as their sizes are known (Lance's first format keeps none) */
  char
      operation[LT_OPERATION_SIZE]; /* what made it, by Lance's name: "Append", "Overwrite", ...; empty where unknown */
} lt_version;

/* Key-value pairs for the object store (for s3: region, access_key_id, ...), by Lance's own names; and one of ours:
 * allow_external_paths = true, without which a dataset whose content names files outside of its own folder (a shallow clone,
 * a blob kept elsewhere) is LT_UNSUPPORTED. */
typedef struct lt_storage_option {
  const char* key;
  const char* value;
} lt_storage_option;

/* Opens `uri` (a path, file://, s3:// ...) at `version`, or at `tag` where that is not NULL, or, with 0 and NULL, at the
 * latest version. `options` may be NULL where option_count is 0; all strings are borrowed for the call.
 * LT_NOT_FOUND: no dataset, version or tag there. LT_INVALID_ARGUMENT: both a version and a tag. LT_IO. LT_CORRUPT_DATA.
 * LT_UNSUPPORTED: a URI scheme that this build leaves out, or a table of a newer format. */
lt_status lt_dataset_open(const char* uri, const lt_storage_option* options, int32_t option_count, uint64_t version,
                          const char* tag, lt_dataset** dataset, lt_error* err);

void lt_dataset_close(lt_dataset* dataset);

lt_status lt_dataset_version(const lt_dataset* dataset, uint64_t* version, lt_error* err);

/* Writes the schema, with its metadata, to `schema`; the caller owns it and calls its `release`. */
lt_status lt_dataset_schema(const lt_dataset* dataset, struct ArrowSchema* schema, lt_error* err);

/* Writes up to `capacity` fragments to `fragments` (may be NULL where capacity is 0), and how many there are to `count`. */
lt_status lt_dataset_fragments(const lt_dataset* dataset, lt_fragment* fragments, int64_t capacity, int64_t* count,
                               lt_error* err);

/* Lists the newest `limit` versions, ascending, to `versions`; owned: lt_versions_free; NULL where there are none. `total`
 * (may be NULL) gets how many there are. Reads two small files for each that is listed. */
lt_status lt_dataset_versions(const lt_dataset* dataset, int64_t limit, lt_version** versions, int64_t* version_count,
                              int64_t* total, lt_error* err);

/* Does nothing with NULL. */
void lt_versions_free(lt_version* versions, int64_t version_count);

/* Counts the rows that `filter`, an SQL expression, accepts; with NULL, all.
 * LT_INVALID_ARGUMENT: the filter does not parse, or names a column that is not there. */
lt_status lt_dataset_count_rows(const lt_dataset* dataset, const char* filter, int64_t* count, lt_error* err);

/* Rows begin .. end-1 of one fragment. */
typedef struct lt_row_range {
  uint64_t fragment_id;
  uint64_t begin;
  uint64_t end;
} lt_row_range;

/* Finds the rows of `fragment_count` fragments (NULL and 0: of all of them, in order) that `filter` accepts. Reads only the
 * columns that the filter names. Writes them to `ranges`, by fragments in the order asked for and ascending within each,
 * neighbours joined; owned: lt_row_ranges_free; NULL where there are none.
 * LT_INVALID_ARGUMENT: the filter does not parse, or names a column that is not there. LT_NOT_FOUND: a fragment. */
lt_status lt_dataset_select(const lt_dataset* dataset, const char* filter, const uint64_t* fragment_ids,
                            int64_t fragment_count, lt_row_range** ranges, int64_t* range_count, lt_error* err);

/* Does nothing with NULL. */
void lt_row_ranges_free(lt_row_range* ranges, int64_t range_count);

/* ---- Scans -------------------------------------------------------------------------------------------------------- */

#define LT_ACCESS_AUTO 0   /* by what each batch's ranges look like */
#define LT_ACCESS_STREAM 1 /* range by range, through Lance's fragment readers: for long ranges */
#define LT_ACCESS_TAKE 2   /* each fragment's rows of a batch at once, then put in order: for rows that are scattered */

typedef struct lt_scan_options {
  const char* const* columns; /* NULL for all of them, in the schema's order; else column_count names */
  int64_t column_count;
  const char* filter;         /* an SQL expression, or NULL */
  const lt_row_range* ranges; /* in the order in which to read, repeats allowed; NULL for the whole dataset in order */
  int64_t range_count;
  const int64_t*
      batch_ends;      /* NULL: batches of batch_size rows, cut where a fragment or a range ends (with a filter and
                                 no ranges, the last batch alone is shorter). Else, without a filter, batch i is exactly
                                 the ranges batch_ends[i-1] .. batch_ends[i]-1 (from 0 for i = 0), put together to one
                                 batch, which may be empty; the last end is range_count. A batch of a single range, or of
                                 ranges that ascend in one fragment, is not copied for that */
  int64_t batch_count; /* of batch_ends */
  int64_t batch_size;  /* rows, > 0; not used with batch_ends */
  int32_t read_ahead;  /* batches to have under way, > 0 */
  int32_t with_row_id; /* not 0: a last column `_rowid`, uint64 */
  int32_t access;      /* LT_ACCESS_...: how batches of batch_ends are read; the rows and their order are the same */
} lt_scan_options;

/* Batches on their way. Owned: lt_scan_close. One thread at a time, but lt_scan_cancel at any time from any. */
typedef struct lt_scan lt_scan;

/* Starts to read. All of `options` is borrowed for the call; the scan keeps its own reference to the dataset.
 * LT_NOT_FOUND: a column or a fragment that is not there. LT_INVALID_ARGUMENT: a filter that does not parse, a range
 * beyond its fragment's rows, sizes out of bounds, a filter together with batch_ends. */
lt_status lt_dataset_scan(const lt_dataset* dataset, const lt_scan_options* options, lt_scan** scan, lt_error* err);

/* Writes the schema of the batches to `schema`; the caller owns it. */
lt_status lt_scan_schema(const lt_scan* scan, struct ArrowSchema* schema, lt_error* err);

/* Waits for the next batch and writes it to `batch` as a struct array, which the caller owns; at the end, `batch->release`
 * is NULL. Buffers are aligned for their type. Small batches may share memory: one that is kept keeps as much as 128 KB alive.
 * After an error the scan is at its end.
 * LT_IO, LT_CORRUPT_DATA, LT_CANCELLED, LT_OUT_OF_MEMORY. */
lt_status lt_scan_next(lt_scan* scan, struct ArrowArray* batch, lt_error* err);

/* As lt_scan_next, but waits for `milliseconds` at most (0: not at all), and is LT_TIMEOUT where no batch has come by then:
 * the scan goes on, and the next call may get it. For callers that look at something else meanwhile. */
lt_status lt_scan_poll(lt_scan* scan, int64_t milliseconds, struct ArrowArray* batch, lt_error* err);

/* Makes a waiting lt_scan_next, and every later one, return LT_CANCELLED at once. Any thread, while the scan is open. */
void lt_scan_cancel(lt_scan* scan);

/* Stops reading and frees the scan; batches that were handed out live on. */
void lt_scan_close(lt_scan* scan);

/* Turns the scan (consumed, also when this fails) into an Arrow C stream, which the caller owns. Its get_next answers
 * EINVAL, ENOENT, EIO, EILSEQ (corrupt data), ENOMEM, ECANCELED or ENOTSUP, and get_last_error the message. */
lt_status lt_scan_export(lt_scan* scan, struct ArrowArrayStream* stream, lt_error* err);

/* Reads the rows at `rows` (positions in the dataset, any order, repeats allowed) into one struct array in that order.
 * columns, column_count and with_row_id as in lt_scan_options. The caller owns `batch` and `schema`; `schema` may be NULL.
 * LT_INVALID_ARGUMENT: a position beyond the dataset (detail: its index in `rows`). LT_NOT_FOUND: a column. */
lt_status lt_dataset_take(const lt_dataset* dataset, const int64_t* rows, int64_t row_count, const char* const* columns,
                          int64_t column_count, int32_t with_row_id, struct ArrowArray* batch,
                          struct ArrowSchema* schema, lt_error* err);

/* ---- Blobs -------------------------------------------------------------------------------------------------------- */

/* The bytes of one row of a blob column (binary with the field metadata `lance-encoding:blob` = `true`), which stay where
 * they are until they are asked for. Owned: lt_blob_close. Any thread, many at once. */
typedef struct lt_blob lt_blob;

/* Opens the blobs of `column` at `rows` (positions in the dataset, any order, repeats allowed) into `blobs`, which has room
 * for row_count of them; NULL for a null. On an error none is open. LT_INVALID_ARGUMENT: a position beyond the dataset
 * (detail: its index in `rows`), a column that holds no blobs. LT_NOT_FOUND: no such column. */
lt_status lt_dataset_blobs(const lt_dataset* dataset, const char* column, const int64_t* rows, int64_t row_count,
                           lt_blob** blobs, lt_error* err);

/* Its bytes. */
lt_status lt_blob_size(const lt_blob* blob, uint64_t* size, lt_error* err);

/* Reads up to `size` bytes from `offset` on into `bytes`, and their number to `count`: fewer only at the blob's end, 0 from
 * there on. LT_IO. */
lt_status lt_blob_read(const lt_blob* blob, uint64_t offset, void* bytes, int64_t size, int64_t* count, lt_error* err);

/* Does nothing with NULL. */
void lt_blob_close(lt_blob* blob);

/* ---- Columns ------------------------------------------------------------------------------------------------------ */

/* One column of a batch, shared by any number of holders: freed, by the column's own Arrow release, when the last of
 * them calls lt_column_release. Any thread. */
typedef struct lt_column lt_column;

/* Moves child `index` out of `batch`, which still is to be released and must not touch that child again. The caller is
 * the first holder. LT_INVALID_ARGUMENT: no such child, or it was moved already. */
lt_status lt_column_take(struct ArrowArray* batch, int64_t index, lt_column** column, lt_error* err);

/* The column's array, borrowed for as long as the caller is a holder. NULL for NULL. */
const struct ArrowArray* lt_column_array(const lt_column* column);

/* One holder more. Does nothing with NULL. */
void lt_column_retain(lt_column* column);

/* One holder less. Its address fits lt_tensor_from_memory as the deleter, hence the untyped parameter. */
void lt_column_release(void* column);

/* Writes `count` columns (borrowed, as the array of them is) to `batch` as a struct array of `rows` rows, over the same
 * memory; the caller owns it. Each column has one holder more until its part of `batch` is released, on any thread. */
lt_status lt_columns_export(lt_column* const* columns, int64_t count, int64_t rows, struct ArrowArray* batch,
                            lt_error* err);

/* Unpacks `count` bits from `bits`, starting at bit `offset` (least significant first, as Arrow packs bools), to one byte
 * 0 or 1 each. Borrowed, any thread. */
lt_status lt_bits_unpack(const void* bits, int64_t offset, int64_t count, uint8_t* bytes, lt_error* err);

/* ---- Images ------------------------------------------------------------------------------------------------------- */

#define LT_IMAGE_UINT8 0   /* 0 .. 255 */
#define LT_IMAGE_FLOAT32 1 /* 0 .. 1, the byte divided by 255 */

#define LT_IMAGE_RESIZE 0      /* the whole image to height x width */
#define LT_IMAGE_CENTER_CROP 1 /* the shorter side to resize_shorter, then the middle height x width of that */
#define LT_IMAGE_RANDOM_CROP 2 /* a random part to height x width */

typedef struct lt_image_options {
  int32_t height; /* of the output, pixels, > 0; width likewise */
  int32_t width;
  int32_t dtype;             /* LT_IMAGE_UINT8 or LT_IMAGE_FLOAT32 */
  int32_t apply_orientation; /* not 0: turn as the EXIF orientation says; 0: as Pillow's convert("RGB") leaves it */
  int64_t max_pixels; /* of an encoded image; a larger one is LT_CORRUPT_DATA before anything is decoded; 0: 178956970,
                          Pillow's limit */
  int32_t geometry;   /* LT_IMAGE_RESIZE ... */
  int32_t resize_shorter; /* LT_IMAGE_CENTER_CROP: >= both height and width */
  double scale_min;       /* LT_IMAGE_RANDOM_CROP: the part's share of the area, 0 < scale_min <= scale_max <= 1 */
  double scale_max;
  double
      ratio_min; /* LT_IMAGE_RANDOM_CROP: width / height of the part, before it is resized; 0 < ratio_min <= ratio_max */
  double ratio_max;
  double flip_probability; /* with which an image is mirrored, left to right; 0 .. 1 */
  uint64_t seed;           /* of the random part and the mirroring, together with each row's key */
  int32_t normalize;       /* not 0: float32 values become (value - mean) / deviation; LT_INVALID_ARGUMENT for uint8 */
  float mean[3];           /* of red, green, blue on the scale 0 .. 1 */
  float deviation[3];      /* > 0 */
  int32_t
      fast; /* not 0: a JPEG of at least twice the size that is needed is decoded at 1/2, 1/4 or 1/8 of its size by its
                   DCT: faster, and not quite the pixels of a whole decode */
} lt_image_options;

/* Decodes the JPEGs and PNGs at rows first .. first+count-1 of `column`, an array of Arrow's `format` "z" or "Z" (binary),
 * "u" or "U", resizes each, or a part of it, to height x width by Pillow's antialiased bilinear filter, and writes them to
 * `pixels` as RGB in the order row, y, x, channel: count * height * width * 3 values, densely. Gray, CMYK and YCCK become
 * RGB as Pillow does it, alpha is dropped, 16 bits become 8. Nothing is kept between calls but the calling thread's scratch
 * memory. Any thread, also many at once for parts of one column. All pointers are borrowed.
 *
 * The random part is chosen as torchvision's RandomResizedCrop.get_params does: ten times a share of the area, uniform, and
 * a ratio, uniform in its logarithm, then the largest middle part whose ratio fits. The numbers come from SplitMix64, whose
 * first state mixes `seed` and row_keys[i]: the same key gives the same part whatever the thread, the batch and the rest of
 * the rows. row_keys has `count` values, and may be NULL where nothing is random. A part of a JPEG is decoded without the
 * rows below and the blocks beside it.
 *
 * row_codes may be NULL: then the first row that fails ends the call. Else it gets `count` codes, LT_OK or why the row
 * failed; the pixels of those rows are 0, all others are written, and the call is LT_OK.
 *
 * LT_CORRUPT_DATA: an image that is none, is cut short, or too large, or a null; `err->detail` is its row, counted from 0
 * within the column; rows before it have been written. LT_UNSUPPORTED: `format`, or an image type other than JPEG and PNG.
 * LT_INVALID_ARGUMENT: rows beyond the column, pixels_size (bytes) too small, sizes or options out of bounds, no row_keys. */
lt_status lt_image_decode(const struct ArrowArray* column, const char* format, int64_t first, int64_t count,
                          const lt_image_options* options, const uint64_t* row_keys, int32_t* row_codes, void* pixels,
                          int64_t pixels_size, lt_error* err);

/* Turns `pixel_count` RGB pixels of bytes into floats as `options` say (its dtype and geometry are not looked at): divided
 * by 255, and normalised where normalize is not 0. The result is that of a decode with LT_IMAGE_FLOAT32. Any thread. */
lt_status lt_image_to_floats(const uint8_t* pixels, int64_t pixel_count, const lt_image_options* options, float* floats,
                             lt_error* err);

/* Encodes one RGB image (height x width x 3 bytes, densely) as a baseline JPEG of `quality` 1 .. 100 into `jpeg`, which
 * holds `capacity` bytes, and its size to `size`. Borrowed, any thread. LT_INVALID_ARGUMENT: too small a capacity (`size`
 * then says what would do), sizes out of bounds. */
lt_status lt_image_encode_jpeg(const uint8_t* pixels, int32_t height, int32_t width, int32_t quality, uint8_t* jpeg,
                               int64_t capacity, int64_t* size, lt_error* err);

/* ---- Writing ------------------------------------------------------------------------------------------------------ */

#define LT_WRITE_CREATE 0    /* LT_INVALID_ARGUMENT where a dataset is there already */
#define LT_WRITE_APPEND 1    /* LT_NOT_FOUND where none is there */
#define LT_WRITE_OVERWRITE 2 /* a new version with these rows alone; older versions stay readable */

/* How far a write has come, kept up to date while it runs; any thread may read it (the fields are written atomically). */
typedef struct lt_write_progress {
  uint64_t rows;      /* handed to Lance */
  uint64_t bytes;     /* of Arrow buffers handed to Lance */
  uint64_t fragments; /* finished; known at the end of the write only */
} lt_write_progress;

typedef struct lt_write_options {
  int32_t mode; /* LT_WRITE_... */
  int32_t option_count;
  const lt_storage_option* options; /* as in lt_dataset_open */
  int64_t max_rows_per_file;        /* one fragment's rows; 0: Lance's default */
  const char* data_storage_version; /* "2.0", "2.1", "legacy", ...; NULL: Lance's default */
  lt_write_progress* progress;      /* may be NULL; else must outlive the write */
} lt_write_options;

/* Writes all batches of `stream` (consumed) to `uri` in one commit; on an error nothing is committed. `version` (may be
 * NULL) gets the new version. LT_IO with the stream's own message where the stream fails. LT_INVALID_ARGUMENT: schemas that
 * do not match, a storage version that does not exist. */
lt_status lt_dataset_write(const char* uri, struct ArrowArrayStream* stream, const lt_write_options* options,
                           uint64_t* version, lt_error* err);

/* A write to which the caller pushes batches. Owned: lt_writer_finish or lt_writer_abort. One thread at a time. */
typedef struct lt_writer lt_writer;

/* Starts a write of batches of `schema` (borrowed; its metadata becomes the dataset's). options as above, borrowed for the
 * call, its `progress` for as long as the writer lives. */
lt_status lt_writer_open(const char* uri, const struct ArrowSchema* schema, const lt_write_options* options,
                         lt_writer** writer, lt_error* err);

/* Copies `batch` (borrowed for the call; its `release` is neither called nor changed) and queues it; waits while the queue
 * is full. LT_INVALID_ARGUMENT: a batch that is not of the schema, offsets that are not ascending. An error of the write
 * itself (LT_IO ...) comes back here or from lt_writer_finish, whichever is called first. */
lt_status lt_writer_write(lt_writer* writer, const struct ArrowArray* batch, lt_error* err);

/* Writes what is queued, commits, and frees the writer (consumed, also on an error, when nothing is committed). `version`
 * may be NULL. */
lt_status lt_writer_finish(lt_writer* writer, uint64_t* version, lt_error* err);

/* Ends the write without a commit and frees the writer. */
void lt_writer_abort(lt_writer* writer);

/* ---- Writing from many processes at once -------------------------------------------------------------------------- */

/* As lt_writer_open, but its end commits nothing. Many processes, on any machines that reach `uri`, write at once; one of
 * them, or another, gets all of their texts and commits once. With LT_WRITE_APPEND the fragments fit the dataset as it is
 * now; else they are those of a new one, and a dataset that is there stays as it is. What is never committed leaves files
 * that nothing reads, and that a clean-up by Lance removes. */
lt_status lt_fragment_writer_open(const char* uri, const struct ArrowSchema* schema, const lt_write_options* options,
                                  lt_writer** writer, lt_error* err);

/* Writes what is queued, frees the writer (consumed, also on an error), and sets `fragments` to the text that says what was
 * written: one line of UTF-8 without credentials, some 300 bytes for each fragment; owned: lt_text_free. */
lt_status lt_fragment_writer_finish(lt_writer* writer, char** fragments, lt_error* err);

/* Does nothing with NULL. */
void lt_text_free(char* text);

/* Makes one new version of the fragments that `parts`, texts of lt_fragment_writer_finish, tell of: their rows in the order
 * of the parts, and in each in the order in which they were written. `schema` (borrowed) is the writers'; its metadata becomes
 * a new dataset's. Of `options`, mode, options and data_storage_version (NULL: that of the fragments) are used. Nothing is
 * committed on an error; `version` may be NULL. A concurrent append is rebased on.
 * LT_CORRUPT_DATA: a part that is damaged, or no such text, or a file of another size. LT_INVALID_ARGUMENT: a part of another
 * schema, twice, or committed before; a dataset that is there, with LT_WRITE_CREATE. LT_NOT_FOUND: no dataset to append to, or
 * a file of a part. For each of a part's, err->detail is its index. LT_IO: also another process's commit that this one cannot
 * follow on; it may be tried again. */
lt_status lt_dataset_commit(const char* uri, const struct ArrowSchema* schema, const lt_write_options* options,
                            const char* const* parts, int64_t part_count, uint64_t* version, lt_error* err);

#ifdef __cplusplus
}
#endif

#endif
