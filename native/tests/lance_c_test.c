/* SPDX-License-Identifier: Apache-2.0
 *
 * A plain C caller of lance.h: that the header is C, that its ownership rules hold as a C program sees them, and, under
 * AddressSanitizer, that nothing is freed twice or not at all.
 *
 *   cc -std=c11 -Wall -Wextra -Werror -Inative/include native/tests/lance_c_test.c -L... -llancetorch_lance
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <inttypes.h>
#include <lancetorch/lance.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failures = 0;
static lt_error err;

#define CHECK(condition)                                                                            \
  do {                                                                                              \
    if (!(condition)) {                                                                             \
      fprintf(stderr, "%s:%d: %s (last error: %s)\n", __FILE__, __LINE__, #condition, err.message); \
      failures++;                                                                                   \
    }                                                                                               \
  } while (0)

/* Without which the rest makes no sense. */
#define REQUIRE(condition) \
  do {                     \
    CHECK(condition);      \
    if (failures) exit(1); \
  } while (0)

#define OK(call) REQUIRE((call) == LT_OK && err.code == LT_OK && err.message[0] == 0)
#define FAILS(code_, call) CHECK((call) == (code_) && err.code == (code_) && err.message[0] != 0)

enum { ROWS = 20, SIDE = 32 };

/* ---- A batch made by hand: a struct of `image` (binary) and `label` (int64) ---------------------------------------- */

static int released = 0;

static void release_static_schema(struct ArrowSchema* schema) { schema->release = NULL; }

static void release_counted(struct ArrowArray* array) {
  released++;
  array->release = NULL;
}

typedef struct {
  struct ArrowSchema schema, fields[2], *field_list[2];
  struct ArrowArray batch, columns[2], *column_list[2];
  const void *none[1], *image_buffers[3], *label_buffers[2];
  int32_t offsets[ROWS + 1];
  uint8_t* jpegs;
  int64_t labels[ROWS];
  char metadata[64];
} hand_made;

static void make_schema(hand_made* made) {
  const char *key = "classes", *value = "a,b,c";
  int32_t pairs = 1, size = (int32_t)strlen(key);
  char* at = made->metadata;
  memcpy(at, &pairs, 4), at += 4;
  memcpy(at, &size, 4), at += 4;
  memcpy(at, key, strlen(key)), at += strlen(key);
  size = (int32_t)strlen(value);
  memcpy(at, &size, 4), at += 4;
  memcpy(at, value, strlen(value));

  made->fields[0] = (struct ArrowSchema){
      .format = "z", .name = "image", .flags = ARROW_FLAG_NULLABLE, .release = release_static_schema};
  made->fields[1] = (struct ArrowSchema){.format = "l", .name = "label", .release = release_static_schema};
  made->field_list[0] = &made->fields[0];
  made->field_list[1] = &made->fields[1];
  made->schema = (struct ArrowSchema){.format = "+s",
                                      .name = "",
                                      .metadata = made->metadata,
                                      .n_children = 2,
                                      .children = made->field_list,
                                      .release = release_static_schema};
}

/* Images of one colour each: row i has red = 10 * i. */
static void make_batch(hand_made* made) {
  static uint8_t pixels[SIDE * SIDE * 3];
  int64_t capacity = 1 << 20, used = 0;
  made->jpegs = malloc((size_t)capacity);
  REQUIRE(made->jpegs != NULL);
  for (int i = 0; i < ROWS; i++) {
    for (int p = 0; p < SIDE * SIDE; p++) {
      pixels[p * 3] = (uint8_t)(10 * i);
      pixels[p * 3 + 1] = 128;
      pixels[p * 3 + 2] = 77;
    }
    int64_t size = -1;
    if (i == 0) {
      FAILS(LT_INVALID_ARGUMENT, lt_image_encode_jpeg(pixels, SIDE, SIDE, 90, NULL, 0, &size, &err));
      CHECK(size > 0);
      FAILS(LT_INVALID_ARGUMENT, lt_image_encode_jpeg(NULL, SIDE, SIDE, 90, made->jpegs, capacity, &size, &err));
    }
    OK(lt_image_encode_jpeg(pixels, SIDE, SIDE, 90, made->jpegs + used, capacity - used, &size, &err));
    made->offsets[i] = (int32_t)used;
    made->labels[i] = i % 3;
    used += size;
  }
  made->offsets[ROWS] = (int32_t)used;
  made->image_buffers[0] = NULL;
  made->image_buffers[1] = made->offsets;
  made->image_buffers[2] = made->jpegs;
  made->label_buffers[0] = NULL;
  made->label_buffers[1] = made->labels;
  made->none[0] = NULL;
  made->columns[0] =
      (struct ArrowArray){.length = ROWS, .n_buffers = 3, .buffers = made->image_buffers, .release = release_counted};
  made->columns[1] =
      (struct ArrowArray){.length = ROWS, .n_buffers = 2, .buffers = made->label_buffers, .release = release_counted};
  made->column_list[0] = &made->columns[0];
  made->column_list[1] = &made->columns[1];
  made->batch = (struct ArrowArray){.length = ROWS,
                                    .n_buffers = 1,
                                    .buffers = made->none,
                                    .n_children = 2,
                                    .children = made->column_list,
                                    .release = release_counted};
}

/* ---- The tests ------------------------------------------------------------------------------------------------------ */

static void nothing_is_alive(void) {
  for (int32_t kind = LT_LANCE_DATASET; kind <= LT_LANCE_BLOB; kind++) CHECK(lt_lance_live_handles(kind) == 0);
  CHECK(lt_lance_live_handles(99) == -1);
  CHECK(lt_lance_live_bytes() == 0);
}

static void opening_nothing_fails(const char* uri) {
  lt_dataset* dataset = NULL;
  FAILS(LT_NOT_FOUND, lt_dataset_open(uri, NULL, 0, 0, NULL, &dataset, &err));
  CHECK(strstr(err.message, uri) != NULL);
  CHECK(err.detail == -1);
  FAILS(LT_INVALID_ARGUMENT, lt_dataset_open(NULL, NULL, 0, 0, NULL, &dataset, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_dataset_open(uri, NULL, 0, 0, NULL, NULL, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_dataset_open(uri, NULL, 1, 0, NULL, &dataset, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_dataset_open(uri, NULL, 0, 3, "tag", &dataset, &err));
  CHECK(dataset == NULL);
  /* err may be NULL */
  CHECK(lt_dataset_open(uri, NULL, 0, 0, NULL, &dataset, NULL) == LT_NOT_FOUND);
  lt_dataset_close(NULL);
  lt_scan_close(NULL);
  lt_scan_cancel(NULL);
  lt_column_release(NULL);
  lt_column_retain(NULL);
  lt_writer_abort(NULL);
  CHECK(lt_column_array(NULL) == NULL);
}

static void writing(const char* uri, hand_made* made) {
  lt_write_progress progress = {0};
  lt_write_options options = {.mode = LT_WRITE_CREATE, .max_rows_per_file = ROWS, .progress = &progress};
  lt_writer* writer = NULL;

  OK(lt_writer_open(uri, &made->schema, &options, &writer, &err));
  CHECK(lt_lance_live_handles(LT_LANCE_WRITER) == 1);
  lt_writer_abort(writer);
  CHECK(lt_lance_live_handles(LT_LANCE_WRITER) == 0);

  OK(lt_writer_open(uri, &made->schema, &options, &writer, &err));
  made->offsets[3] += 1 << 20; /* no longer ascending */
  FAILS(LT_INVALID_ARGUMENT, lt_writer_write(writer, &made->batch, &err));
  CHECK(strstr(err.message, "image") != NULL);
  made->offsets[3] -= 1 << 20;
  for (int i = 0; i < 3; i++) OK(lt_writer_write(writer, &made->batch, &err));
  uint64_t version = 0;
  OK(lt_writer_finish(writer, &version, &err));
  CHECK(version == 1);
  CHECK(progress.rows == 3 * ROWS && progress.fragments == 3 && progress.bytes > 3 * ROWS * 8);
  /* borrowed: nothing was released */
  CHECK(released == 0 && made->batch.release != NULL && made->schema.release != NULL);

  FAILS(LT_INVALID_ARGUMENT, lt_writer_open(uri, &made->schema, &options, &writer, &err));
  nothing_is_alive();
}

/* Two writers at once, whose fragments one commit puts into a dataset in the order of their texts. */
static void committing(const char* uri, hand_made* made) {
  lt_write_options options = {.mode = LT_WRITE_CREATE, .max_rows_per_file = ROWS};
  lt_writer* writers[2] = {NULL, NULL};
  char* parts[2] = {NULL, NULL};
  for (int i = 0; i < 2; i++) OK(lt_fragment_writer_open(uri, &made->schema, &options, &writers[i], &err));
  for (int i = 0; i < 3; i++) OK(lt_writer_write(writers[i % 2], &made->batch, &err));
  for (int i = 0; i < 2; i++) OK(lt_fragment_writer_finish(writers[i], &parts[i], &err));
  lt_dataset* dataset = NULL;
  FAILS(LT_NOT_FOUND, lt_dataset_open(uri, NULL, 0, 0, NULL, &dataset, &err));

  uint64_t version = 0;
  const char* wrong[] = {parts[1], "nonsense"};
  FAILS(LT_CORRUPT_DATA, lt_dataset_commit(uri, &made->schema, &options, wrong, 2, &version, &err));
  CHECK(err.detail == 1);
  wrong[1] = NULL;
  FAILS(LT_INVALID_ARGUMENT, lt_dataset_commit(uri, &made->schema, &options, wrong, 2, &version, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_dataset_commit(uri, &made->schema, &options, NULL, 2, &version, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_dataset_commit(uri, NULL, &options, NULL, 0, &version, &err));
  const char* turned[] = {parts[1], parts[0]};
  OK(lt_dataset_commit(uri, &made->schema, &options, turned, 2, &version, &err));
  CHECK(version == 1);
  lt_text_free(parts[0]);
  lt_text_free(parts[1]);

  OK(lt_dataset_open(uri, NULL, 0, 0, NULL, &dataset, &err));
  int64_t count = 0, total = 0;
  OK(lt_dataset_count_rows(dataset, NULL, &count, &err));
  CHECK(count == 3 * ROWS);
  lt_version* versions = NULL;
  OK(lt_dataset_versions(dataset, 10, &versions, &count, &total, &err));
  REQUIRE(count == 1 && total == 1);
  CHECK(versions[0].version == 1 && versions[0].rows == 3 * ROWS && versions[0].fragments == 3);
  CHECK(versions[0].bytes > 0 && versions[0].time_ms > 0 && strcmp(versions[0].operation, "Overwrite") == 0);
  lt_versions_free(versions, count);
  lt_versions_free(NULL, 0);
  FAILS(LT_INVALID_ARGUMENT, lt_dataset_versions(NULL, 10, &versions, &count, NULL, &err));
  lt_dataset_close(dataset);
  nothing_is_alive();
}

static void reading(const char* uri) {
  lt_dataset* dataset = NULL;
  OK(lt_dataset_open(uri, NULL, 0, 0, NULL, &dataset, &err));
  CHECK(lt_lance_live_handles(LT_LANCE_DATASET) == 1);
  uint64_t version = 0;
  OK(lt_dataset_version(dataset, &version, &err));
  CHECK(version == 1);
  int64_t count = 0;
  OK(lt_dataset_count_rows(dataset, NULL, &count, &err));
  CHECK(count == 3 * ROWS);
  OK(lt_dataset_count_rows(dataset, "label = 0", &count, &err));
  CHECK(count == 3 * 7);
  FAILS(LT_INVALID_ARGUMENT, lt_dataset_count_rows(dataset, "label = ", &count, &err));

  lt_fragment fragments[3];
  OK(lt_dataset_fragments(dataset, fragments, 3, &count, &err));
  REQUIRE(count == 3);
  CHECK(fragments[1].rows == ROWS && fragments[1].deleted_rows == 0);

  struct ArrowSchema schema;
  OK(lt_dataset_schema(dataset, &schema, &err));
  REQUIRE(schema.n_children == 2);
  CHECK(strcmp(schema.children[0]->name, "image") == 0 && strcmp(schema.children[0]->format, "z") == 0);
  CHECK(strcmp(schema.children[1]->name, "label") == 0 && strcmp(schema.children[1]->format, "l") == 0);
  CHECK(schema.metadata != NULL);
  schema.release(&schema);
  CHECK(schema.release == NULL);

  /* the second half of each fragment, last fragment first, in one batch; then the whole first fragment */
  const uint64_t half = ROWS / 2;
  lt_row_range ranges[] = {{fragments[2].id, half, ROWS}, {fragments[1].id, half, ROWS}, {fragments[0].id, 0, ROWS}};
  int64_t ends[] = {2, 3};
  lt_scan_options options = {.ranges = ranges, .range_count = 3, .batch_ends = ends, .batch_count = 2, .read_ahead = 2};
  lt_scan* scan = NULL;
  OK(lt_dataset_scan(dataset, &options, &scan, &err));
  /* a scan keeps what it needs alive */
  lt_dataset_close(dataset);
  CHECK(lt_lance_live_handles(LT_LANCE_DATASET) == 0);

  struct ArrowArray batch;
  OK(lt_scan_next(scan, &batch, &err));
  CHECK(batch.release != NULL && batch.length == ROWS && batch.n_children == 2);
  int64_t bytes = lt_lance_live_bytes();
  CHECK(bytes > 0);

  lt_column* labels = NULL;
  OK(lt_column_take(&batch, 1, &labels, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_column_take(&batch, 1, &labels, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_column_take(&batch, 2, &labels, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_column_take(&batch, -1, &labels, &err));
  batch.release(&batch);
  CHECK(batch.release == NULL);
  CHECK(lt_lance_live_bytes() < bytes);
  CHECK(lt_lance_live_bytes() >= ROWS * 8);

  const struct ArrowArray* array = lt_column_array(labels);
  REQUIRE(array->length == ROWS && array->n_buffers == 2);
  const int64_t* values = (const int64_t*)array->buffers[1] + array->offset;
  for (int64_t i = 0; i < ROWS; i++) CHECK(values[i] == (int64_t)((half + (uint64_t)i % half) % 3));
  lt_column_retain(labels);
  lt_column_release(labels);

  /* The column leaves once more, in a batch of its own, which keeps it. */
  struct ArrowArray again;
  memset(&again, 0, sizeof(again));
  lt_column* missing[] = {labels, NULL};
  FAILS(LT_INVALID_ARGUMENT, lt_columns_export(missing, 2, array->length, &again, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_columns_export(&labels, 1, -1, &again, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_columns_export(&labels, 1, array->length, NULL, &err));
  CHECK(again.release == NULL);
  OK(lt_columns_export(&labels, 1, array->length, &again, &err));
  CHECK(again.length == array->length && again.n_children == 1 && again.n_buffers == 1);
  CHECK(again.children[0]->buffers[1] == array->buffers[1] && again.children[0]->null_count == array->null_count);
  CHECK(lt_lance_live_handles(LT_LANCE_COLUMN) == 1);
  lt_column_release(labels);
  CHECK(lt_lance_live_handles(LT_LANCE_COLUMN) == 1);
  CHECK(values[0] == (int64_t)(half % 3));
  again.release(&again);
  CHECK(again.release == NULL && lt_lance_live_handles(LT_LANCE_COLUMN) == 0);
  CHECK(lt_lance_live_bytes() == 0);

  OK(lt_scan_next(scan, &batch, &err));
  CHECK(batch.length == ROWS);
  batch.release(&batch);
  OK(lt_scan_next(scan, &batch, &err));
  CHECK(batch.release == NULL);
  lt_scan_cancel(scan);
  FAILS(LT_CANCELLED, lt_scan_next(scan, &batch, &err));
  lt_scan_close(scan);
  nothing_is_alive();
}

static void taking(const char* uri) {
  lt_dataset* dataset = NULL;
  OK(lt_dataset_open(uri, NULL, 0, 1, NULL, &dataset, &err));
  const int64_t rows[] = {59, 0, 21, 0};
  const char* columns[] = {"label"};
  struct ArrowArray batch;
  struct ArrowSchema schema;
  OK(lt_dataset_take(dataset, rows, 4, columns, 1, 1, &batch, &schema, &err));
  REQUIRE(batch.length == 4 && batch.n_children == 2 && schema.n_children == 2);
  CHECK(strcmp(schema.children[1]->name, "_rowid") == 0 && strcmp(schema.children[1]->format, "L") == 0);
  const int64_t* labels = batch.children[0]->buffers[1];
  CHECK(labels[0] == 19 % 3 && labels[1] == 0 && labels[2] == 1 && labels[3] == 0);
  const uint64_t* ids = batch.children[1]->buffers[1];
  CHECK(ids[0] == (UINT64_C(2) << 32) + 19 && ids[1] == 0 && ids[2] == (UINT64_C(1) << 32) + 1 && ids[3] == 0);
  batch.release(&batch);
  schema.release(&schema);

  /* a schema need not be asked for */
  OK(lt_dataset_take(dataset, rows, 4, NULL, 0, 0, &batch, NULL, &err));
  batch.release(&batch);

  const int64_t wrong[] = {0, 60};
  FAILS(LT_INVALID_ARGUMENT, lt_dataset_take(dataset, wrong, 2, NULL, 0, 0, &batch, NULL, &err));
  CHECK(err.detail == 1);
  columns[0] = "nothing";
  FAILS(LT_NOT_FOUND, lt_dataset_take(dataset, rows, 4, columns, 1, 0, &batch, NULL, &err));
  CHECK(strstr(err.message, "'nothing'") != NULL && strstr(err.message, "'label'") != NULL);
  lt_dataset_close(dataset);
  nothing_is_alive();
}

static void selecting(const char* uri) {
  lt_dataset* dataset = NULL;
  OK(lt_dataset_open(uri, NULL, 0, 1, NULL, &dataset, &err));
  lt_fragment fragments[3];
  int64_t count = 0;
  OK(lt_dataset_fragments(dataset, fragments, 3, &count, &err));
  lt_row_range* ranges = NULL;
  /* labels are 0 1 2 0 1 2 ..., 20 to a fragment */
  OK(lt_dataset_select(dataset, "label >= 1", NULL, 0, &ranges, &count, &err));
  REQUIRE(count == 3 * 7 && ranges != NULL);
  CHECK(ranges[0].fragment_id == fragments[0].id && ranges[0].begin == 1 && ranges[0].end == 3);
  CHECK(ranges[20].fragment_id == fragments[2].id && ranges[20].begin == 19 && ranges[20].end == 20);

  /* what was selected, all of it one batch, by each way to read */
  for (int32_t access = LT_ACCESS_AUTO; access <= LT_ACCESS_TAKE; access++) {
    lt_scan_options options = {.ranges = ranges,
                               .range_count = count,
                               .batch_ends = &count,
                               .batch_count = 1,
                               .read_ahead = 1,
                               .access = access};
    lt_scan* scan = NULL;
    OK(lt_dataset_scan(dataset, &options, &scan, &err));
    struct ArrowArray batch;
    OK(lt_scan_next(scan, &batch, &err));
    REQUIRE(batch.length == 3 * 13);
    const struct ArrowArray* labels = batch.children[1];
    const int64_t* values = (const int64_t*)labels->buffers[1] + labels->offset;
    for (int64_t i = 0; i < batch.length; i++) CHECK(values[i] == i % 13 % 2 + 1);
    batch.release(&batch);
    lt_scan_close(scan);
  }
  lt_row_ranges_free(ranges, count);

  OK(lt_dataset_select(dataset, "label >= 1", &fragments[1].id, 1, &ranges, &count, &err));
  CHECK(count == 7 && ranges[0].fragment_id == fragments[1].id);
  lt_row_ranges_free(ranges, count);
  OK(lt_dataset_select(dataset, "label > 5", NULL, 0, &ranges, &count, &err));
  CHECK(count == 0 && ranges == NULL);
  lt_row_ranges_free(NULL, 0);
  const uint64_t nowhere = 99;
  FAILS(LT_NOT_FOUND, lt_dataset_select(dataset, "label > 5", &nowhere, 1, &ranges, &count, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_dataset_select(dataset, "label >", NULL, 0, &ranges, &count, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_dataset_select(dataset, NULL, NULL, 0, &ranges, &count, &err));
  lt_dataset_close(dataset);
  nothing_is_alive();
}

static void blobs(const char* uri) {
  /* rows of 3, no and 5 bytes, and a null */
  const int64_t offsets[] = {0, 3, 3, 8, 8};
  const uint8_t validity = 0x07;
  const void* buffers[] = {&validity, offsets, "abcdefgh"};
  const void* none[] = {NULL};
  struct ArrowArray column = {
      .length = 4, .null_count = 1, .n_buffers = 3, .buffers = buffers, .release = release_counted};
  struct ArrowArray* columns[] = {&column};
  struct ArrowArray batch = {
      .length = 4, .n_buffers = 1, .buffers = none, .n_children = 1, .children = columns, .release = release_counted};
  char metadata[64], *at = metadata;
  const char *key = "lance-encoding:blob", *value = "true";
  int32_t pairs = 1, size = (int32_t)strlen(key);
  memcpy(at, &pairs, 4), at += 4;
  memcpy(at, &size, 4), at += 4;
  memcpy(at, key, strlen(key)), at += strlen(key);
  size = (int32_t)strlen(value);
  memcpy(at, &size, 4), at += 4;
  memcpy(at, value, strlen(value));
  struct ArrowSchema field = {.format = "Z",
                              .name = "blob",
                              .metadata = metadata,
                              .flags = ARROW_FLAG_NULLABLE,
                              .release = release_static_schema};
  struct ArrowSchema* fields[] = {&field};
  struct ArrowSchema schema = {
      .format = "+s", .name = "", .n_children = 1, .children = fields, .release = release_static_schema};
  lt_write_options options = {.mode = LT_WRITE_CREATE};
  lt_writer* writer = NULL;
  OK(lt_writer_open(uri, &schema, &options, &writer, &err));
  OK(lt_writer_write(writer, &batch, &err));
  OK(lt_writer_finish(writer, NULL, &err));

  lt_dataset* dataset = NULL;
  OK(lt_dataset_open(uri, NULL, 0, 0, NULL, &dataset, &err));
  const int64_t rows[] = {2, 3, 1, 2};
  lt_blob* opened[4];
  OK(lt_dataset_blobs(dataset, "blob", rows, 4, opened, &err));
  CHECK(lt_lance_live_handles(LT_LANCE_BLOB) == 3);
  lt_dataset_close(dataset);
  CHECK(opened[1] == NULL);
  uint64_t bytes = 0;
  OK(lt_blob_size(opened[0], &bytes, &err));
  CHECK(bytes == 5);
  OK(lt_blob_size(opened[2], &bytes, &err));
  CHECK(bytes == 0);
  char read[8];
  int64_t count = -1;
  OK(lt_blob_read(opened[3], 3, read, sizeof read, &count, &err));
  CHECK(count == 2 && memcmp(read, "gh", 2) == 0);
  OK(lt_blob_read(opened[3], 5, read, sizeof read, &count, &err));
  CHECK(count == 0);
  FAILS(LT_INVALID_ARGUMENT, lt_blob_read(opened[3], 0, NULL, 1, &count, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_blob_read(NULL, 0, read, 1, &count, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_blob_size(NULL, &bytes, &err));
  for (int i = 0; i < 4; i++) lt_blob_close(opened[i]);

  OK(lt_dataset_open(uri, NULL, 0, 0, NULL, &dataset, &err));
  const int64_t wrong[] = {0, 4};
  FAILS(LT_INVALID_ARGUMENT, lt_dataset_blobs(dataset, "blob", wrong, 2, opened, &err));
  CHECK(err.detail == 1);
  FAILS(LT_NOT_FOUND, lt_dataset_blobs(dataset, "nothing", rows, 1, opened, &err));
  lt_dataset_close(dataset);
  nothing_is_alive();
}

static void decoding(const char* uri) {
  lt_dataset* dataset = NULL;
  OK(lt_dataset_open(uri, NULL, 0, 0, NULL, &dataset, &err));
  const char* columns[] = {"image"};
  lt_scan_options options = {.columns = columns, .column_count = 1, .batch_size = ROWS, .read_ahead = 1};
  lt_scan* scan = NULL;
  OK(lt_dataset_scan(dataset, &options, &scan, &err));
  struct ArrowArray batch;
  OK(lt_scan_next(scan, &batch, &err));
  lt_column* images = NULL;
  OK(lt_column_take(&batch, 0, &images, &err));
  batch.release(&batch);
  lt_scan_close(scan);

  enum { TO = 16, ONE = TO * TO * 3 };
  lt_image_options image = {.height = TO, .width = TO, .dtype = LT_IMAGE_FLOAT32};
  float* pixels = malloc(sizeof(float) * ONE * ROWS);
  REQUIRE(pixels != NULL);
  const struct ArrowArray* array = lt_column_array(images);
  OK(lt_image_decode(array, "z", 0, ROWS, &image, NULL, NULL, pixels, sizeof(float) * ONE * ROWS, &err));
  for (int i = 0; i < ROWS; i++) {
    float red = pixels[i * ONE + ONE / 2] * 255;
    CHECK(red > 10 * i - 4 && red < 10 * i + 4);
  }
  FAILS(LT_INVALID_ARGUMENT, lt_image_decode(array, "z", 0, ROWS, &image, NULL, NULL, pixels, ONE, &err));
  FAILS(LT_INVALID_ARGUMENT,
        lt_image_decode(array, "z", 1, ROWS, &image, NULL, NULL, pixels, sizeof(float) * ONE * ROWS, &err));
  FAILS(LT_UNSUPPORTED, lt_image_decode(array, "i", 0, 1, &image, NULL, NULL, pixels, sizeof(float) * ONE, &err));

  /* every field of the options at its place: a random crop, normalised, mirrored */
  lt_image_options augmented = {.height = TO,
                                .width = TO,
                                .dtype = LT_IMAGE_FLOAT32,
                                .apply_orientation = 1,
                                .max_pixels = SIDE * SIDE,
                                .geometry = LT_IMAGE_RANDOM_CROP,
                                .scale_min = 0.25,
                                .scale_max = 0.5,
                                .ratio_min = 0.5,
                                .ratio_max = 2,
                                .flip_probability = 0.5,
                                .seed = 7,
                                .normalize = 1,
                                .mean = {0.5F, 0.5F, 0.5F},
                                .deviation = {0.25F, 0.25F, 0.25F},
                                .fast = 1};
  FAILS(LT_INVALID_ARGUMENT,
        lt_image_decode(array, "z", 0, ROWS, &augmented, NULL, NULL, pixels, sizeof(float) * ONE * ROWS, &err));
  CHECK(strstr(err.message, "row_keys") != NULL);
  uint64_t keys[ROWS];
  int32_t codes[ROWS];
  for (int i = 0; i < ROWS; i++) {
    keys[i] = 1000 + i;
    codes[i] = -1;
  }
  OK(lt_image_decode(array, "z", 0, ROWS, &augmented, keys, codes, pixels, sizeof(float) * ONE * ROWS, &err));
  for (int i = 0; i < ROWS; i++) {
    float red = (pixels[i * ONE + ONE / 2] * 0.25F + 0.5F) * 255;
    CHECK(codes[i] == LT_OK && red > 10 * i - 4 && red < 10 * i + 4);
  }
  const uint8_t white[3] = {255, 255, 255};
  float normalised[3];
  OK(lt_image_to_floats(white, 1, &augmented, normalised, &err));
  CHECK(normalised[0] == 2 && normalised[1] == 2 && normalised[2] == 2);
  augmented.deviation[2] = 0;
  FAILS(LT_INVALID_ARGUMENT, lt_image_to_floats(white, 1, &augmented, normalised, &err));
  CHECK(strstr(err.message, "deviation[2]") != NULL);
  free(pixels);
  lt_column_release(images);

  /* something that is no image */
  const char text[] = "this is no image";
  int32_t offsets[] = {0, (int32_t)sizeof text};
  const void* buffers[] = {NULL, offsets, text};
  struct ArrowArray bad = {.length = 1, .n_buffers = 3, .buffers = buffers, .release = release_counted};
  uint8_t one[ONE];
  image.dtype = LT_IMAGE_UINT8;
  FAILS(LT_CORRUPT_DATA, lt_image_decode(&bad, "z", 0, 1, &image, NULL, NULL, one, sizeof one, &err));
  CHECK(err.detail == 0);
  OK(lt_image_decode(&bad, "z", 0, 1, &image, NULL, codes, one, sizeof one, &err));
  CHECK(codes[0] == LT_CORRUPT_DATA && one[0] == 0 && one[ONE - 1] == 0);
  lt_dataset_close(dataset);
  nothing_is_alive();
}

static void streaming(const char* uri, const char* other) {
  lt_dataset* dataset = NULL;
  OK(lt_dataset_open(uri, NULL, 0, 0, NULL, &dataset, &err));
  lt_scan_options options = {.batch_size = 7, .read_ahead = 2, .filter = "label = 1"};
  lt_scan* scan = NULL;
  struct ArrowArrayStream stream;
  OK(lt_dataset_scan(dataset, &options, &scan, &err));
  OK(lt_scan_export(scan, &stream, &err));
  CHECK(lt_lance_live_handles(LT_LANCE_STREAM) == 1 && lt_lance_live_handles(LT_LANCE_SCAN) == 0);

  /* from one dataset into another, in one call */
  lt_write_options write = {.mode = LT_WRITE_OVERWRITE};
  uint64_t version = 0;
  OK(lt_dataset_write(other, &stream, &write, &version, &err));
  CHECK(version == 1 && stream.release == NULL);
  CHECK(lt_lance_live_handles(LT_LANCE_STREAM) == 0);
  lt_dataset_close(dataset);

  OK(lt_dataset_open(other, NULL, 0, 0, NULL, &dataset, &err));
  int64_t count = 0;
  OK(lt_dataset_count_rows(dataset, NULL, &count, &err));
  CHECK(count == 21);

  /* a stream of ours, read as C reads one */
  options = (lt_scan_options){.batch_size = 10, .read_ahead = 1};
  OK(lt_dataset_scan(dataset, &options, &scan, &err));
  OK(lt_scan_export(scan, &stream, &err));
  struct ArrowSchema schema;
  CHECK(stream.get_schema(&stream, &schema) == 0);
  schema.release(&schema);
  count = 0;
  for (;;) {
    struct ArrowArray batch;
    int code = stream.get_next(&stream, &batch);
    REQUIRE(code == 0);
    if (batch.release == NULL) break;
    count += batch.length;
    batch.release(&batch);
  }
  CHECK(count == 21);
  CHECK(stream.get_next(&stream, NULL) == EINVAL && stream.get_last_error(&stream) != NULL);
  stream.release(&stream);
  CHECK(stream.release == NULL);

  /* consumed although the call fails */
  OK(lt_dataset_scan(dataset, &options, &scan, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_scan_export(scan, NULL, &err));
  OK(lt_dataset_scan(dataset, &options, &scan, &err));
  OK(lt_scan_export(scan, &stream, &err));
  write.mode = LT_WRITE_CREATE;
  FAILS(LT_INVALID_ARGUMENT, lt_dataset_write(other, &stream, &write, NULL, &err));
  CHECK(stream.release == NULL);
  lt_dataset_close(dataset);
  nothing_is_alive();
}

static void unpacking(void) {
  const uint8_t bits[] = {0xb5, 0x01};
  uint8_t bytes[7];
  OK(lt_bits_unpack(bits, 2, 7, bytes, &err));
  const uint8_t expected[] = {1, 0, 1, 1, 0, 1, 1};
  CHECK(memcmp(bytes, expected, sizeof bytes) == 0);
  FAILS(LT_INVALID_ARGUMENT, lt_bits_unpack(NULL, 0, 1, bytes, &err));
}

int main(void) {
  char folder[] = "/tmp/lance_c_test_XXXXXX";
  REQUIRE(mkdtemp(folder) != NULL);
  char uri[64], other[64], third[64], fourth[64], command[64];
  snprintf(uri, sizeof uri, "%s/a.lance", folder);
  snprintf(other, sizeof other, "%s/b.lance", folder);
  snprintf(fourth, sizeof fourth, "%s/d.lance", folder);
  snprintf(third, sizeof third, "%s/c.lance", folder);

  CHECK(lt_lance_version() != NULL && strlen(lt_lance_version()) > 0);
  OK(lt_lance_set_threads(2, &err));
  FAILS(LT_INVALID_ARGUMENT, lt_lance_set_threads(0, &err));

  hand_made made;
  memset(&made, 0, sizeof made);
  make_schema(&made);
  make_batch(&made);

  nothing_is_alive();
  opening_nothing_fails(uri);
  FAILS(LT_INVALID_ARGUMENT, lt_lance_set_threads(3, &err));
  OK(lt_lance_set_threads(2, &err));
  writing(uri, &made);
  committing(fourth, &made);
  reading(uri);
  taking(uri);
  selecting(uri);
  blobs(third);
  decoding(uri);
  streaming(uri, other);
  unpacking();
  nothing_is_alive();
  CHECK(released == 0);

  free(made.jpegs);
  snprintf(command, sizeof command, "rm -rf %s", folder);
  CHECK(system(command) == 0);
  if (failures) fprintf(stderr, "%d checks failed\n", failures);
  return failures != 0;
}
