// SPDX-License-Identifier: Apache-2.0

//! Writing: batches come in through a bounded queue, and one task of the runtime hands them to Lance, which commits once.

use std::collections::HashMap;
use std::ffi::c_char;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{
    Array, ArrayData, MutableArrayData, RecordBatch, StructArray, layout,
};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi_and_data_type};
use arrow::ffi_stream::FFI_ArrowArrayStream;
use lance::dataset::{InsertBuilder, WriteDestination, WriteMode, WriteParams};
use lance::deps::datafusion::error::DataFusionError;
use lance::deps::datafusion::physical_plan::SendableRecordBatchStream;
use lance::deps::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use lance::io::{ObjectStoreParams, StorageOptionsAccessor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::abi::{
    LtError, LtWriteOptions, LtWriteProgress, borrowed, live_array, optional_text, out,
    storage_options, text,
};
use crate::error::{
    Code, Failure, Result, Stage, describe, from_arrow, from_lance, guard, guard_void,
};
use crate::live::{Counted, Kind};
use crate::runtime::{Task, block_on, spawn};

/// So many batches, and so many KiB of them, wait to be written.
const QUEUE_BATCHES: usize = 8;
const QUEUE_KIB: usize = 256 * 1024;

/// `lt_writer` of lance.h.
pub struct LtWriter {
    writer: Writer,
    _live: Counted,
}

struct Writer {
    schema: SchemaRef,
    queue: Option<mpsc::Sender<Item>>,
    room: Arc<Semaphore>,
    task: Option<Task<u64>>,
    failure: Option<Failure>,
}

enum Item {
    Batch(RecordBatch, OwnedSemaphorePermit),
    /// End without a commit.
    Stop,
}

/// Where a write tells how far it is; see `lt_write_progress`.
#[derive(Clone, Copy)]
struct Progress(*mut LtWriteProgress);

// SAFETY: lance.h: it outlives the write, and its fields are only touched atomically.
unsafe impl Send for Progress {}
// SAFETY: as above.
unsafe impl Sync for Progress {}

impl Progress {
    fn counters(&self) -> Option<(&AtomicU64, &AtomicU64, &AtomicU64)> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: lance.h: not NULL, so it points to a struct that outlives the write.
        unsafe {
            Some((
                AtomicU64::from_ptr(&raw mut (*self.0).rows),
                AtomicU64::from_ptr(&raw mut (*self.0).bytes),
                AtomicU64::from_ptr(&raw mut (*self.0).fragments),
            ))
        }
    }

    fn start(&self) {
        if let Some((rows, bytes, fragments)) = self.counters() {
            rows.store(0, Ordering::Relaxed);
            bytes.store(0, Ordering::Relaxed);
            fragments.store(0, Ordering::Relaxed);
        }
    }

    fn handed_on(&self, batch: &RecordBatch) {
        if let Some((rows, bytes, _)) = self.counters() {
            rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            bytes.fetch_add(size(batch) as u64, Ordering::Relaxed);
        }
    }

    fn finished(&self, count: u64) {
        if let Some((_, _, fragments)) = self.counters() {
            fragments.store(count, Ordering::Release);
        }
    }
}

/// The bytes of a batch that count: of slices, only what they show.
fn size(batch: &RecordBatch) -> usize {
    batch
        .columns()
        .iter()
        .map(|column| {
            let data = column.to_data();
            data.get_slice_memory_size()
                .unwrap_or_else(|_| column.get_buffer_memory_size())
        })
        .sum()
}

/// `lt_write_options`, checked.
struct Request {
    uri: String,
    mode: WriteMode,
    create: bool,
    options: HashMap<String, String>,
    params: WriteParams,
    progress: Progress,
}

impl Request {
    /// # Safety
    /// As lance.h says about both.
    unsafe fn new(uri: *const c_char, options: *const LtWriteOptions) -> Result<Self> {
        // SAFETY: as above, here and below.
        let uri = unsafe { text(uri, "uri") }?;
        let options = unsafe { borrowed(options, "options") }?;
        if uri.is_empty() {
            return Err(Failure::invalid("uri is empty"));
        }
        let (mode, create) = match options.mode {
            0 => (WriteMode::Create, true),
            1 => (WriteMode::Append, false),
            2 => (WriteMode::Overwrite, false),
            other => {
                return Err(Failure::invalid(format!(
                    "mode is {other}, which is none of LT_WRITE_CREATE, LT_WRITE_APPEND, LT_WRITE_OVERWRITE"
                )));
            }
        };
        let mut params = WriteParams {
            mode,
            ..WriteParams::default()
        };
        match options.max_rows_per_file {
            0 => {}
            rows if rows > 0 && rows <= i64::from(i32::MAX) => {
                params.max_rows_per_file = rows as usize;
                params.max_rows_per_group = params.max_rows_per_group.min(rows as usize);
            }
            rows => {
                return Err(Failure::invalid(format!(
                    "max_rows_per_file is {rows}, but must be 0 (for the default) or between 1 and {}",
                    i32::MAX
                )));
            }
        }
        let version =
            unsafe { optional_text(options.data_storage_version, "data_storage_version") }?;
        if let Some(version) = version {
            params.data_storage_version = Some(version.parse().map_err(|e| {
                Failure::invalid(format!(
                    "data_storage_version is '{version}', which does not exist: {}",
                    describe(&e)
                ))
            })?);
        }
        let store = unsafe { storage_options(options.options, options.option_count) }?;
        if !store.is_empty() {
            let accessor = StorageOptionsAccessor::with_static_options(store.clone());
            params.store_params = Some(ObjectStoreParams {
                storage_options_accessor: Some(Arc::new(accessor)),
                ..ObjectStoreParams::default()
            });
        }
        Ok(Self {
            uri: uri.to_string(),
            mode,
            create,
            options: store,
            params,
            progress: Progress(options.progress),
        })
    }
}

impl Writer {
    /// Checks what is at the URI, and starts the task that writes.
    fn open(request: Request, schema: SchemaRef) -> Result<Self> {
        let found = block_on(spawn({
            let (uri, options) = (request.uri.clone(), request.options.clone());
            async move {
                match crate::dataset::open(&uri, options, 0, None).await {
                    Ok(dataset) => Ok(Some(Arc::new(dataset))),
                    Err(failure) if failure.code == Code::NotFound => Ok(None),
                    Err(failure) => Err(failure),
                }
            }
        }))?;
        match (&found, request.mode) {
            (Some(dataset), _) if request.create => {
                return Err(Failure::invalid(format!(
                    "there is a dataset at '{}' already (version {}): append to it, overwrite it, or write elsewhere",
                    request.uri,
                    dataset.version_id()
                )));
            }
            (None, WriteMode::Append) => {
                return Err(Failure::new(
                    Code::NotFound,
                    format!("there is no Lance dataset at '{}' to append to", request.uri),
                ));
            }
            _ => {}
        }
        request.progress.start();
        let (sender, receiver) = mpsc::channel(QUEUE_BATCHES);
        let task = spawn(run(request, found, schema.clone(), receiver));
        Ok(Self {
            schema,
            queue: Some(sender),
            room: Arc::new(Semaphore::new(QUEUE_KIB)),
            task: Some(task),
            failure: None,
        })
    }

    /// Queues a batch, waiting while the queue is full.
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let kib = (size(&batch) / 1024 + 1).min(QUEUE_KIB) as u32;
        let room = self.room.clone();
        let queue = self.queue.clone();
        let sent = block_on(async move {
            let queue = queue?;
            // Once the task has ended, what is still in the queue goes, and its room comes free.
            let room = room.acquire_many_owned(kib).await.ok()?;
            queue.send(Item::Batch(batch, room)).await.ok()
        });
        match sent {
            Some(()) => Ok(()),
            None => Err(self.end().err().unwrap_or_else(|| {
                Failure::internal("the write ended before all of its batches came")
            })),
        }
    }

    /// Waits for the task; the first failure is kept.
    fn end(&mut self) -> Result<u64> {
        self.queue = None;
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let Some(task) = self.task.take() else {
            return Err(Failure::internal("the write has ended already"));
        };
        let result = block_on(task);
        if let Err(failure) = &result {
            self.failure = Some(failure.clone());
        }
        result
    }

    /// Ends without a commit. Lance removes the files it has begun when its input fails.
    fn abort(&mut self) {
        if let Some(queue) = self.queue.take() {
            let _ = block_on(queue.send(Item::Stop));
        }
        if self.task.is_some() {
            let _ = self.end();
        }
    }
}

impl Drop for Writer {
    /// The end of the queue alone would be a commit.
    fn drop(&mut self) {
        self.abort();
    }
}

const STOPPED: &str = "the write was aborted";

/// Writes what comes in, and commits at its end.
async fn run(
    request: Request,
    found: Option<Arc<lance::Dataset>>,
    schema: SchemaRef,
    queue: mpsc::Receiver<Item>,
) -> Result<u64> {
    let progress = request.progress;
    let batches = futures::stream::unfold(queue, move |mut queue| async move {
        let item = match queue.recv().await? {
            Item::Stop => Err(DataFusionError::External(STOPPED.into())),
            Item::Batch(batch, _room) => {
                progress.handed_on(&batch);
                Ok(batch)
            }
        };
        Some((item, queue))
    });
    let stream: SendableRecordBatchStream =
        Box::pin(RecordBatchStreamAdapter::new(schema, batches));
    let destination = match found {
        Some(dataset) => WriteDestination::Dataset(dataset),
        None => WriteDestination::Uri(&request.uri),
    };
    let files = Arc::new(AtomicU64::new(0));
    let seen = files.clone();
    let written = InsertBuilder::new(destination)
        .with_params(&request.params)
        .progress(move |stats| seen.store(u64::from(stats.files_written), Ordering::Relaxed))
        .execute_stream(stream)
        .await
        .map_err(|e| {
            from_lance(&e, Stage::Write).while_doing(&format!("writing to '{}'", request.uri))
        })?;
    progress.finished(files.load(Ordering::Relaxed));
    Ok(written.version_id())
}

/// `lt_dataset_write` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_dataset_write(
    uri: *const c_char,
    stream: *mut FFI_ArrowArrayStream,
    options: *const LtWriteOptions,
    version: *mut u64,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        let stream = out(stream, "stream")?;
        // SAFETY: lance.h: consumed, also when the call fails.
        let mut source = Source(unsafe { FFI_ArrowArrayStream::from_raw(stream) });
        if source.0.release.is_none() {
            return Err(Failure::invalid("stream was released or moved"));
        }
        // SAFETY: lance.h: a string or NULL, options or NULL.
        let request = unsafe { Request::new(uri, options) }?;
        let schema = Arc::new(source.schema()?);
        let mut writer = Writer::open(request, schema.clone())?;
        loop {
            // On this thread, as a stream may not like to be called from another.
            match source.next(&schema) {
                Ok(Some(batch)) => writer.push(batch)?,
                Ok(None) => break,
                Err(failure) => {
                    writer.abort();
                    return Err(failure);
                }
            }
        }
        let written = writer.end()?;
        if !version.is_null() {
            // SAFETY: lance.h: NULL or the caller's.
            unsafe { version.write(written) };
        }
        Ok(())
    })
}

/// A stream of the caller's.
struct Source(FFI_ArrowArrayStream);

impl Source {
    fn failed(&mut self, what: &str, code: i32) -> Failure {
        let text = self.0.get_last_error.and_then(|last_error| {
            // SAFETY: the C stream interface: a string until the next call, or NULL.
            unsafe {
                let text = last_error(&mut self.0);
                (!text.is_null())
                    .then(|| std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned())
            }
        });
        let text = text.unwrap_or_else(|| format!("error {code}, without a message"));
        Failure::new(Code::Io, format!("the stream failed {what}: {text}"))
    }

    fn schema(&mut self) -> Result<Schema> {
        let call = self.0.get_schema;
        let call = call.ok_or_else(|| Failure::invalid("the stream has no get_schema"))?;
        let mut schema = FFI_ArrowSchema::empty();
        // SAFETY: the C stream interface; the stream is alive.
        let code = unsafe { call(&mut self.0, &mut schema) };
        if code != 0 {
            return Err(self.failed("to give its schema", code));
        }
        // SAFETY: the stream's, so valid or released.
        unsafe { import_schema(&schema) }
    }

    fn next(&mut self, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
        let call = self.0.get_next;
        let call = call.ok_or_else(|| Failure::invalid("the stream has no get_next"))?;
        let mut array = FFI_ArrowArray::empty();
        // SAFETY: as above.
        let code = unsafe { call(&mut self.0, &mut array) };
        if code != 0 {
            return Err(self.failed("to give a batch", code));
        }
        if array.release.is_none() {
            return Ok(None);
        }
        // SAFETY: the stream's, so valid.
        let data = unsafe { import(array, schema) }?;
        to_batch(data, schema).map(Some)
    }
}

/// Reads a schema, which stays its owner's.
///
/// # Safety
/// `schema` is valid as the C data interface says, or released.
unsafe fn import_schema(schema: &FFI_ArrowSchema) -> Result<Schema> {
    // A released schema has no format, at which arrow-rs would panic.
    // SAFETY: `release` and `format` are the fields of a struct of the C data interface.
    let (format, release) = unsafe {
        let raw = std::ptr::from_ref(schema).cast::<*const u8>();
        // format is the first of nine fields of a word's size, release the eighth.
        (*raw, *raw.add(7))
    };
    if release.is_null() || format.is_null() {
        return Err(Failure::invalid("schema was released or moved"));
    }
    Schema::try_from(schema)
        .map_err(|e| Failure::invalid(format!("schema cannot be read: {}", describe(&e))))
}

/// Reads a batch after checking all that can be checked about it.
///
/// # Safety
/// `array` is valid as the C data interface says, apart from its numbers.
unsafe fn import(array: FFI_ArrowArray, schema: &SchemaRef) -> Result<ArrayData> {
    let kind = DataType::Struct(schema.fields().clone());
    // SAFETY: the caller's promise.
    unsafe { check(&array, &kind, "batch") }?;
    // SAFETY: as above; the numbers of buffers and children are those of the type.
    let mut data = unsafe { from_ffi_and_data_type(array, kind) }
        .map_err(|e| from_arrow(&e).while_doing("reading the batch"))?;
    data.align_buffers();
    data.validate_full()
        .map_err(|e| from_arrow(&e).while_doing("the batch is not valid"))?;
    if data.null_count() > 0 {
        return Err(Failure::invalid(
            "the batch has rows that are null as a whole: only its columns may have nulls",
        ));
    }
    Ok(data)
}

fn to_batch(data: ArrayData, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = StructArray::from(data);
    let rows = columns.len();
    let (_, columns, _) = columns.into_parts();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|e| from_arrow(&e).while_doing("the batch does not fit the schema"))
}

/// Checks what arrow-rs takes for granted: the shape of the tree, the pointers, and the order of offsets.
///
/// # Safety
/// As for [`import`].
unsafe fn check(array: &FFI_ArrowArray, kind: &DataType, path: &str) -> Result<()> {
    let wrong = |what: String| Err(Failure::invalid(format!("{path} ({kind}): {what}")));
    if array.length < 0 || array.offset < 0 || array.length.checked_add(array.offset).is_none() {
        return wrong(format!(
            "its length is {}, its offset {}",
            array.length, array.offset
        ));
    }
    let spec = layout(kind);
    let mask = usize::from(spec.can_contain_null_mask);
    let expected = (spec.buffers.len() + mask) as i64;
    let fits = if spec.variadic {
        array.n_buffers > expected
    } else {
        array.n_buffers == expected
    };
    if !fits {
        return wrong(format!(
            "it has {} buffers instead of {expected}",
            array.n_buffers
        ));
    }
    if array.n_buffers > 0 && array.buffers.is_null() {
        return wrong("its buffers are NULL".to_string());
    }
    // SAFETY: `buffers` has n_buffers pointers.
    let buffer = |i: usize| unsafe { *array.buffers.add(i) };
    if mask == 1 && array.null_count > 0 && buffer(0).is_null() {
        return wrong(format!(
            "it has {} nulls, but its validity is NULL",
            array.null_count
        ));
    }
    if array.length > 0 {
        for i in mask..array.n_buffers as usize {
            // Only the bytes of strings may be missing, where all strings are empty.
            let optional = spec.variadic || (spec.buffers.len() == 2 && i == mask + 1);
            if buffer(i).is_null() && !optional {
                return wrong(format!("its buffer {i} is NULL"));
            }
        }
    }
    let rows = (array.offset + array.length) as usize;
    // SAFETY: the offsets buffer of such an array has rows + 1 values.
    match kind {
        DataType::Utf8 | DataType::Binary | DataType::List(_) | DataType::Map(..) => unsafe {
            check_offsets(buffer(1).cast::<i32>(), array.offset as usize, rows, path)
        },
        DataType::LargeUtf8 | DataType::LargeBinary | DataType::LargeList(_) => unsafe {
            check_offsets(buffer(1).cast::<i64>(), array.offset as usize, rows, path)
        },
        _ => Ok(()),
    }?;
    let children: Vec<(&str, &DataType)> = match kind {
        DataType::Struct(fields) => fields
            .iter()
            .map(|f| (f.name().as_str(), f.data_type()))
            .collect(),
        DataType::List(f)
        | DataType::LargeList(f)
        | DataType::FixedSizeList(f, _)
        | DataType::ListView(f)
        | DataType::LargeListView(f)
        | DataType::Map(f, _) => vec![(f.name(), f.data_type())],
        DataType::RunEndEncoded(ends, values) => vec![
            (ends.name(), ends.data_type()),
            (values.name(), values.data_type()),
        ],
        DataType::Union(fields, _) => fields
            .iter()
            .map(|(_, f)| (f.name().as_str(), f.data_type()))
            .collect(),
        _ => Vec::new(),
    };
    if array.n_children != children.len() as i64 {
        return wrong(format!(
            "it has {} children instead of {}",
            array.n_children,
            children.len()
        ));
    }
    if !children.is_empty() && array.children.is_null() {
        return wrong("its children are NULL".to_string());
    }
    for (i, (name, kind)) in children.into_iter().enumerate() {
        let path = format!("{path}.{name}");
        // SAFETY: `children` has n_children pointers to arrays.
        unsafe {
            let child = live_array(*array.children.add(i), &path)?;
            check(child, kind, &path)?;
        }
    }
    if let DataType::Dictionary(_, values) = kind {
        let path = format!("{path}.dictionary");
        // SAFETY: NULL or an array.
        unsafe {
            let dictionary = live_array(array.dictionary, &path)?;
            check(dictionary, values, &path)?;
        }
    }
    Ok(())
}

/// # Safety
/// `offsets` is NULL or has `rows` + 1 values.
unsafe fn check_offsets<T>(offsets: *const T, first: usize, rows: usize, path: &str) -> Result<()>
where
    T: Copy + Into<i64>,
{
    if offsets.is_null() || rows == first {
        return Ok(());
    }
    // SAFETY: as above; a producer need not have aligned them.
    let at = |i: usize| -> i64 { unsafe { offsets.add(i).read_unaligned() }.into() };
    let mut previous = at(first);
    if previous < 0 {
        return Err(Failure::invalid(format!(
            "{path}: its first offset is {previous}"
        )));
    }
    for row in first..rows {
        let next = at(row + 1);
        if next < previous {
            return Err(Failure::invalid(format!(
                "{path}: its offsets do not ascend: row {} begins at {previous} and ends at {next}",
                row - first
            ))
            .with_detail(row - first));
        }
        previous = next;
    }
    Ok(())
}

/// `lt_writer_open` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_writer_open(
    uri: *const c_char,
    schema: *const FFI_ArrowSchema,
    options: *const LtWriteOptions,
    writer: *mut *mut LtWriter,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: each NULL or valid.
        let (request, schema) = unsafe {
            (
                Request::new(uri, options)?,
                import_schema(borrowed(schema, "schema")?)?,
            )
        };
        let writer = out(writer, "writer")?;
        let handle = Box::new(LtWriter {
            writer: Writer::open(request, Arc::new(schema))?,
            _live: Counted::new(Kind::Writer),
        });
        // SAFETY: checked above.
        unsafe { writer.write(Box::into_raw(handle)) };
        Ok(())
    })
}

/// `lt_writer_write` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_writer_write(
    writer: *mut LtWriter,
    batch: *const FFI_ArrowArray,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: a writer or NULL, a batch or NULL.
        let (writer, batch) = unsafe { (writer.as_mut(), live_array(batch, "batch")?) };
        let writer = &mut writer
            .ok_or_else(|| Failure::invalid("writer is NULL"))?
            .writer;
        // SAFETY: a copy of the struct that releases nothing; the buffers are the caller's for the call.
        let data = unsafe {
            let mut borrowed = std::ptr::read(batch);
            borrowed.release = None;
            import(borrowed, &writer.schema)
        }?;
        writer.push(to_batch(copy(&data), &writer.schema.clone())?)
    })
}

/// The same rows in memory of our own, and nothing beside them.
fn copy(data: &ArrayData) -> ArrayData {
    let mut copied = MutableArrayData::new(vec![data], false, data.len());
    copied.extend(0, 0, data.len());
    copied.freeze()
}

/// `lt_writer_finish` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_writer_finish(
    writer: *mut LtWriter,
    version: *mut u64,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        if writer.is_null() {
            return Err(Failure::invalid("writer is NULL"));
        }
        // SAFETY: lance.h: consumed, also when the call fails.
        let mut writer = unsafe { Box::from_raw(writer) };
        let written = writer.writer.end()?;
        if !version.is_null() {
            // SAFETY: lance.h: NULL or the caller's.
            unsafe { version.write(written) };
        }
        Ok(())
    })
}

/// `lt_writer_abort` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_writer_abort(writer: *mut LtWriter) {
    if !writer.is_null() {
        // SAFETY: lance.h: owned by the caller, who gives it up.
        guard_void(|| unsafe { Box::from_raw(writer) }.writer.abort());
    }
}
