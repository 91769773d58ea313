// SPDX-License-Identifier: Apache-2.0

//! Writing: batches come in through a bounded queue, and one task of the runtime hands them to Lance, which commits once, or
//! leaves that to a commit of many writers' fragments (fragments.rs).

use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayData, MutableArrayData, RecordBatch, StructArray, layout};
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
use crate::fragments;
use crate::live::{Counted, Kind};
use crate::runtime::{Task, block_on, spawn};

/// So many batches, and so many KiB of them, wait to be written.
const QUEUE_BATCHES: usize = 8;
const QUEUE_KIB: usize = 256 * 1024;

/// `lt_writer` of lance.h.
pub struct LtWriter {
    end: End,
    writer: Writer,
    _live: Counted,
}

struct Writer {
    schema: SchemaRef,
    queue: Option<mpsc::Sender<Item>>,
    room: Arc<Semaphore>,
    task: Option<Task<Written>>,
    failure: Option<Failure>,
}

/// What a writer does with the fragments it has written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Commit,
    Describe,
}

/// What came of a write.
enum Written {
    Version(u64),
    /// The fragments as text, by [`fragments::describe`].
    Fragments(String),
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
pub struct Request {
    pub uri: String,
    pub mode: WriteMode,
    pub create: bool,
    options: HashMap<String, String>,
    pub params: WriteParams,
    progress: Progress,
}

impl Request {
    /// # Safety
    /// As lance.h says about both.
    pub unsafe fn new(uri: *const c_char, options: *const LtWriteOptions) -> Result<Self> {
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

impl Request {
    /// What is at the URI, after a check that the mode suits it.
    pub async fn find(&self) -> Result<Option<Arc<lance::Dataset>>> {
        let found = match crate::dataset::open(&self.uri, self.options.clone(), 0, None).await {
            Ok(dataset) => Some(dataset),
            Err(failure) if failure.code == Code::NotFound => None,
            Err(failure) => return Err(failure),
        };
        match (&found, self.mode) {
            (Some(dataset), _) if self.create => Err(Failure::invalid(format!(
                "there is a dataset at '{}' already (version {}): append to it, overwrite it, or write elsewhere",
                self.uri,
                dataset.version_id()
            ))),
            (None, WriteMode::Append) => Err(Failure::new(
                Code::NotFound,
                format!("there is no Lance dataset at '{}' to append to", self.uri),
            )),
            _ => Ok(found),
        }
    }

    /// An error of Lance's while it writes.
    pub fn failed(&self, error: &lance::Error) -> Failure {
        from_lance(error, Stage::Write).while_doing(&format!("writing to '{}'", self.uri))
    }
}

impl Writer {
    /// Checks what is at the URI, and starts the task that writes.
    fn open(request: Request, schema: SchemaRef, end: End) -> Result<Self> {
        let (request, found) = block_on(spawn(async move {
            let found = request.find().await?;
            Ok((request, found))
        }))?;
        request.progress.start();
        let (sender, receiver) = mpsc::channel(QUEUE_BATCHES);
        let task = spawn(run(request, found, schema.clone(), receiver, end));
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
    fn end(&mut self) -> Result<Written> {
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

/// Writes what comes in, and ends as said.
async fn run(
    request: Request,
    found: Option<Arc<lance::Dataset>>,
    schema: SchemaRef,
    queue: mpsc::Receiver<Item>,
    end: End,
) -> Result<Written> {
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
    let destination = match &found {
        Some(dataset) => WriteDestination::Dataset(dataset.clone()),
        None => WriteDestination::Uri(&request.uri),
    };
    let files = Arc::new(AtomicU64::new(0));
    let seen = files.clone();
    let insert = InsertBuilder::new(destination)
        .with_params(&request.params)
        .progress(move |stats| seen.store(u64::from(stats.files_written), Ordering::Relaxed));
    let written = match end {
        End::Commit => {
            let dataset = insert.execute_stream(stream).await;
            Written::Version(dataset.map_err(|e| request.failed(&e))?.version_id())
        }
        End::Describe => {
            let transaction = insert.execute_uncommitted_stream(stream).await;
            let transaction = transaction.map_err(|e| request.failed(&e))?;
            Written::Fragments(fragments::describe(&transaction, found.as_deref())?)
        }
    };
    progress.finished(files.load(Ordering::Relaxed));
    Ok(written)
}

impl Written {
    fn version(self) -> Result<u64> {
        match self {
            Self::Version(version) => Ok(version),
            Self::Fragments(_) => Err(Failure::internal("a write has not committed")),
        }
    }

    fn fragments(self) -> Result<String> {
        match self {
            Self::Fragments(text) => Ok(text),
            Self::Version(_) => Err(Failure::internal("a writer of fragments has committed")),
        }
    }
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
        let mut writer = Writer::open(request, schema.clone(), End::Commit)?;
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
        let written = writer.end()?.version()?;
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
                (!text.is_null()).then(|| {
                    std::ffi::CStr::from_ptr(text)
                        .to_string_lossy()
                        .into_owned()
                })
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
pub unsafe fn import_schema(schema: &FFI_ArrowSchema) -> Result<Schema> {
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
    // SAFETY: as lance.h says.
    guard(err, || unsafe {
        open(uri, schema, options, End::Commit, writer)
    })
}

/// `lt_fragment_writer_open` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_fragment_writer_open(
    uri: *const c_char,
    schema: *const FFI_ArrowSchema,
    options: *const LtWriteOptions,
    writer: *mut *mut LtWriter,
    err: *mut LtError,
) -> i32 {
    // SAFETY: as lance.h says.
    guard(err, || unsafe {
        open(uri, schema, options, End::Describe, writer)
    })
}

/// # Safety
/// Each is NULL or valid, as lance.h says.
unsafe fn open(
    uri: *const c_char,
    schema: *const FFI_ArrowSchema,
    options: *const LtWriteOptions,
    end: End,
    writer: *mut *mut LtWriter,
) -> Result<()> {
    // SAFETY: as above.
    let (request, schema) = unsafe {
        (
            Request::new(uri, options)?,
            import_schema(borrowed(schema, "schema")?)?,
        )
    };
    let writer = out(writer, "writer")?;
    let handle = Box::new(LtWriter {
        end,
        writer: Writer::open(request, Arc::new(schema), end)?,
        _live: Counted::new(Kind::Writer),
    });
    // SAFETY: checked above.
    unsafe { writer.write(Box::into_raw(handle)) };
    Ok(())
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
        // SAFETY: lance.h: consumed, also when the call fails.
        let written = unsafe { finish(writer, End::Commit) }?.version()?;
        if !version.is_null() {
            // SAFETY: lance.h: NULL or the caller's.
            unsafe { version.write(written) };
        }
        Ok(())
    })
}

/// `lt_fragment_writer_finish` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_fragment_writer_finish(
    writer: *mut LtWriter,
    fragments: *mut *mut c_char,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: consumed, also when the call fails.
        let written = unsafe { finish(writer, End::Describe) };
        let fragments = out(fragments, "fragments")?;
        let text = CString::new(written?.fragments()?)
            .map_err(|_| Failure::internal("the fragments' text has a NUL in it"))?;
        // SAFETY: checked above.
        unsafe { fragments.write(text.into_raw()) };
        Ok(())
    })
}

/// `lt_text_free` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_text_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: lance.h: from a function of this library, and given up by the caller.
        guard_void(|| drop(unsafe { CString::from_raw(text) }));
    }
}

/// # Safety
/// `writer` is NULL, or a writer that the caller gives up.
unsafe fn finish(writer: *mut LtWriter, end: End) -> Result<Written> {
    if writer.is_null() {
        return Err(Failure::invalid("writer is NULL"));
    }
    // SAFETY: as above.
    let mut writer = unsafe { Box::from_raw(writer) };
    if writer.end != end {
        // Dropped, it ends without a commit.
        return Err(Failure::invalid(match writer.end {
            End::Commit => "this writer commits, by lt_writer_finish; nothing is written",
            End::Describe => {
                "this writer writes fragments, which lt_fragment_writer_finish ends; nothing is written"
            }
        }));
    }
    writer.writer.end()
}

/// `lt_writer_abort` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_writer_abort(writer: *mut LtWriter) {
    if !writer.is_null() {
        // SAFETY: lance.h: owned by the caller, who gives it up.
        guard_void(|| unsafe { Box::from_raw(writer) }.writer.abort());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use arrow::array::{BinaryArray, Int64Array, RecordBatchIterator};

    struct Target {
        dir: tempfile::TempDir,
        uri: CString,
    }

    impl Target {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let uri = dir.path().join("w.lance").to_str().unwrap().to_string();
            Self {
                dir,
                uri: CString::new(uri).unwrap(),
            }
        }

        fn uri(&self) -> &str {
            self.uri.to_str().unwrap()
        }

        fn data_files(&self) -> usize {
            std::fs::read_dir(self.dir.path().join("w.lance/data")).map_or(0, |d| d.count())
        }

        fn writer(&self, schema: &Schema, options: &LtWriteOptions) -> Result<Open> {
            let schema = FFI_ArrowSchema::try_from(schema).unwrap();
            let mut writer = std::ptr::null_mut();
            outcome(|err| unsafe {
                lt_writer_open(self.uri.as_ptr(), &schema, options, &mut writer, err)
            })?;
            Ok(Open(writer))
        }

        /// A whole write by an Arrow stream.
        fn write(&self, batches: Vec<RecordBatch>, options: &LtWriteOptions) -> Result<u64> {
            let schema = batches[0].schema();
            let reader = RecordBatchIterator::new(batches.into_iter().map(Ok), schema);
            let mut stream = FFI_ArrowArrayStream::new(Box::new(reader));
            let mut version = 0;
            let result = outcome(|err| unsafe {
                lt_dataset_write(self.uri.as_ptr(), &mut stream, options, &mut version, err)
            });
            assert!(stream.release.is_none(), "not consumed");
            result.map(|()| version)
        }

        fn all_ids(&self) -> Vec<i64> {
            let dataset = try_open(self.uri(), 0, None).unwrap();
            dataset.ids(&Spec::default()).unwrap().concat()
        }
    }

    fn options(mode: i32) -> LtWriteOptions {
        LtWriteOptions {
            mode,
            option_count: 0,
            options: std::ptr::null(),
            max_rows_per_file: 0,
            data_storage_version: std::ptr::null(),
            progress: std::ptr::null_mut(),
        }
    }

    #[derive(Debug)]
    struct Open(*mut LtWriter);

    impl Open {
        fn write(&self, batch: &RecordBatch) -> Result<()> {
            let array = FFI_ArrowArray::new(&StructArray::from(batch.clone()).into_data());
            self.write_raw(&array)
        }

        fn write_raw(&self, array: &FFI_ArrowArray) -> Result<()> {
            outcome(|err| unsafe { lt_writer_write(self.0, array, err) })
        }

        fn finish(self) -> Result<u64> {
            let mut version = 0;
            outcome(|err| unsafe { lt_writer_finish(self.0, &mut version, err) })?;
            Ok(version)
        }

        fn abort(self) {
            unsafe { lt_writer_abort(self.0) };
        }
    }

    #[test]
    fn what_a_writer_writes_comes_back() {
        let _alone = alone();
        let target = Target::new();
        let mut progress = LtWriteProgress {
            rows: 9,
            bytes: 9,
            fragments: 9,
        };
        let settings = LtWriteOptions {
            max_rows_per_file: 40,
            progress: &mut progress,
            ..options(0)
        };
        let writer = target.writer(&schema(), &settings).unwrap();
        assert_eq!(crate::live::lt_lance_live_handles(3), 1);
        for i in 0..10 {
            let mut batch = batch_of(i * 10..i * 10 + 10);
            if i == 3 {
                // a slice out of something larger
                batch = batch_of(0..100).slice(30, 10);
            }
            writer.write(&batch).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), 1);
        assert_eq!((progress.rows, progress.fragments), (100, 3));
        assert!(progress.bytes >= 100 * (8 + 16 + 4), "{progress:?}");
        assert_eq!(target.all_ids(), (0..100).collect::<Vec<_>>());
        let dataset = try_open(target.uri(), 0, None).unwrap();
        let rows: Vec<_> = dataset.fragments().iter().map(|f| f.rows).collect();
        assert_eq!(rows, [40, 40, 20]);
        let batches = dataset
            .read(&Spec {
                size: 100,
                ..Spec::default()
            })
            .unwrap();
        let expected = batch_of(0..40);
        assert_eq!(batches[0].columns(), expected.columns());
        let metadata =
            crate::dataset::arrow_schema(unsafe { &*dataset.0 }.shared.dataset.schema(), false)
                .metadata;
        assert_eq!(metadata["classes"], "a,b");
    }

    #[test]
    fn modes_check_what_is_there() {
        let _alone = alone();
        let target = Target::new();
        let batch = || vec![batch_of(0..5)];
        let failure = target.write(batch(), &options(1)).unwrap_err();
        assert_eq!(failure.code, Code::NotFound);
        assert!(failure.message.contains(target.uri()), "{failure:?}");
        assert_eq!(target.write(batch(), &options(0)).unwrap(), 1);
        let failure = target.write(batch(), &options(0)).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
        assert!(failure.message.contains("already"), "{failure:?}");
        assert_eq!(target.write(vec![batch_of(5..7)], &options(1)).unwrap(), 2);
        assert_eq!(target.all_ids(), [0, 1, 2, 3, 4, 5, 6]);
        let pinned = try_open(target.uri(), 0, None).unwrap();
        assert_eq!(target.write(vec![batch_of(8..9)], &options(2)).unwrap(), 3);
        assert_eq!(target.all_ids(), [8]);
        assert_eq!(pinned.ids(&Spec::default()).unwrap().concat().len(), 7);
        assert_eq!(try_open(target.uri(), 1, None).unwrap().rows(), 5);
        // overwriting nothing creates
        let target = Target::new();
        assert_eq!(target.write(batch(), &options(2)).unwrap(), 1);
        for mode in [-1, 3] {
            let failure = target.write(batch(), &options(mode)).unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument);
        }
    }

    #[test]
    fn an_empty_write_makes_an_empty_dataset() {
        let _alone = alone();
        let target = Target::new();
        let writer = target.writer(&schema(), &options(0)).unwrap();
        writer.finish().unwrap();
        let dataset = try_open(target.uri(), 0, None).unwrap();
        assert_eq!(dataset.rows(), 0);
        assert!(dataset.read(&Spec::default()).unwrap().is_empty());
        assert_eq!(dataset.take(&[], None, false).unwrap().num_rows(), 0);
    }

    #[test]
    fn an_aborted_write_leaves_nothing() {
        let _alone = alone();
        let target = Target::new();
        let settings = LtWriteOptions {
            max_rows_per_file: 10,
            ..options(0)
        };
        let writer = target.writer(&schema(), &settings).unwrap();
        for _ in 0..5 {
            writer.write(&batch_of(0..25)).unwrap();
        }
        writer.abort();
        assert_eq!(
            try_open(target.uri(), 0, None).unwrap_err().code,
            Code::NotFound
        );
        assert_eq!(target.data_files(), 0, "data files are left");
        unsafe { lt_writer_abort(std::ptr::null_mut()) };
    }

    #[test]
    fn an_append_of_another_schema_is_refused() {
        let _alone = alone();
        let target = Target::new();
        target.write(vec![batch_of(0..5)], &options(0)).unwrap();
        let other = RecordBatch::try_from_iter([(
            "name",
            Arc::new(Int64Array::from(vec![1, 2])) as arrow::array::ArrayRef,
        )])
        .unwrap();
        let failure = target.write(vec![other.clone()], &options(1)).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument, "{failure:?}");
        // the failed task neither blocks the writer nor is forgotten
        let writer = target.writer(&other.schema(), &options(1)).unwrap();
        let mut failed = None;
        for _ in 0..1000 {
            if let Err(failure) = writer.write(&other) {
                failed = Some(failure);
                break;
            }
        }
        let failure = failed.expect("the writer never failed");
        assert_eq!(failure.code, Code::InvalidArgument, "{failure:?}");
        assert_eq!(writer.write(&other).unwrap_err(), failure);
        assert_eq!(writer.finish().unwrap_err(), failure);
        assert_eq!(target.all_ids(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_disk_that_fails_is_an_io_error() {
        let _alone = alone();
        let target = Target::new();
        // a file where the folder should be
        std::fs::write(target.dir.path().join("w.lance"), b"x").unwrap();
        let failure = target.write(vec![batch_of(0..5)], &options(0)).unwrap_err();
        assert_eq!(failure.code, Code::Io, "{failure:?}");
    }

    #[test]
    fn a_failing_stream_is_an_io_error_with_its_message() {
        let _alone = alone();
        let target = Target::new();
        let batches = vec![
            Ok(batch_of(0..5)),
            Err(arrow::error::ArrowError::IoError(
                "the tape tore".to_string(),
                std::io::Error::other("x"),
            )),
        ];
        let reader = RecordBatchIterator::new(batches, schema());
        let mut stream = FFI_ArrowArrayStream::new(Box::new(reader));
        let failure = failure(|err| unsafe {
            lt_dataset_write(
                target.uri.as_ptr(),
                &mut stream,
                &options(0),
                std::ptr::null_mut(),
                err,
            )
        });
        assert_eq!(failure.code, Code::Io);
        assert!(failure.message.contains("the tape tore"), "{failure:?}");
        assert!(stream.release.is_none());
        assert_eq!(
            try_open(target.uri(), 0, None).unwrap_err().code,
            Code::NotFound
        );
    }

    #[test]
    fn wrong_options_are_refused() {
        let _alone = alone();
        let target = Target::new();
        let batch = || vec![batch_of(0..5)];
        let failure = target
            .write(
                batch(),
                &LtWriteOptions {
                    data_storage_version: c"9.9".as_ptr(),
                    ..options(0)
                },
            )
            .unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
        assert!(failure.message.contains("9.9"), "{failure:?}");
        let failure = target
            .write(
                batch(),
                &LtWriteOptions {
                    max_rows_per_file: -1,
                    ..options(0)
                },
            )
            .unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
        let released = FFI_ArrowSchema::empty();
        let mut writer = std::ptr::null_mut();
        let f = crate::testing::failure(|err| unsafe {
            lt_writer_open(
                target.uri.as_ptr(),
                &released,
                &options(0),
                &mut writer,
                err,
            )
        });
        assert_eq!(f.code, Code::InvalidArgument);
        let mut stream = FFI_ArrowArrayStream::empty();
        let f = crate::testing::failure(|err| unsafe {
            lt_dataset_write(
                target.uri.as_ptr(),
                &mut stream,
                &options(0),
                std::ptr::null_mut(),
                err,
            )
        });
        assert_eq!(f.code, Code::InvalidArgument);
        assert!(writer.is_null());
    }

    #[test]
    fn every_storage_version_can_be_written() {
        let _alone = alone();
        for version in [c"legacy", c"2.0", c"2.1", c"2.2"] {
            let target = Target::new();
            let settings = LtWriteOptions {
                data_storage_version: version.as_ptr(),
                max_rows_per_file: 30,
                ..options(0)
            };
            target.write(vec![batch_of(0..50)], &settings).unwrap();
            assert_eq!(target.all_ids(), (0..50).collect::<Vec<_>>(), "{version:?}");
        }
    }

    #[test]
    fn batches_that_are_not_of_the_schema_are_refused() {
        let _alone = alone();
        let target = Target::new();
        let writer = target.writer(&schema(), &options(0)).unwrap();
        let good = StructArray::from(batch_of(0..20)).into_data();
        let refused = |spoil: &dyn Fn(&mut FFI_ArrowArray)| {
            let mut array = FFI_ArrowArray::new(&good);
            let (children, buffers, count, n, nulls, offset) = (
                array.children,
                array.buffers,
                array.n_children,
                array.length,
                array.null_count,
                array.offset,
            );
            spoil(&mut array);
            let failure = writer.write_raw(&array).unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument, "{failure:?}");
            array.children = children;
            array.buffers = buffers;
            array.n_children = count;
            array.length = n;
            array.null_count = nulls;
            array.offset = offset;
            failure.message
        };
        refused(&|a| a.length = -1);
        refused(&|a| a.offset = -1);
        refused(&|a| a.offset = i64::MAX);
        refused(&|a| a.length = 21);
        refused(&|a| a.n_children = 2);
        refused(&|a| a.null_count = 3);
        refused(&|a| a.children = std::ptr::null_mut());
        refused(&|a| a.buffers = std::ptr::null_mut());
        let text = refused(&|a| unsafe {
            // two children the wrong way round
            std::ptr::swap(*a.children, *a.children.add(1));
        });
        assert!(text.contains("batch.id"), "{text}");
        // released
        let released = FFI_ArrowArray::empty();
        assert_eq!(
            writer.write_raw(&released).unwrap_err().code,
            Code::InvalidArgument
        );
        // offsets that descend, start below zero, or are not there
        let with_offsets = |offsets: *const i32| {
            let array = FFI_ArrowArray::new(&good);
            unsafe {
                let image = *array.children.add(2);
                let slot = (*image).buffers.add(1);
                let old = *slot;
                *slot = offsets.cast();
                let failure = writer.write_raw(&array).unwrap_err();
                *slot = old;
                failure
            }
        };
        let mut offsets: Vec<i32> = (0..21).collect();
        offsets[7] = 100;
        let failure = with_offsets(offsets.as_ptr());
        assert_eq!(
            (failure.code, failure.detail),
            (Code::InvalidArgument, 7),
            "{failure:?}"
        );
        assert!(failure.message.contains("batch.image"), "{failure:?}");
        offsets[7] = 7;
        offsets[0] = -1;
        assert_eq!(with_offsets(offsets.as_ptr()).code, Code::InvalidArgument);
        assert_eq!(with_offsets(std::ptr::null()).code, Code::InvalidArgument);
        // a null where the schema has none
        let nullable = RecordBatch::try_from_iter([
            (
                "id",
                Arc::new(Int64Array::from(vec![None, Some(1)])) as arrow::array::ArrayRef,
            ),
            ("vec", batch_of(0..2).column(1).clone()),
            (
                "image",
                Arc::new(BinaryArray::from(vec![None, Some(&b"x"[..])])),
            ),
        ])
        .unwrap();
        assert_eq!(
            writer.write(&nullable).unwrap_err().code,
            Code::InvalidArgument
        );
        // none of this harms the writer
        writer.write(&batch_of(0..20)).unwrap();
        writer.finish().unwrap();
        assert_eq!(target.all_ids(), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_batch_may_change_after_it_was_written() {
        let _alone = alone();
        let target = Target::new();
        let simple = Schema::new(vec![arrow::datatypes::Field::new(
            "id",
            DataType::Int64,
            false,
        )]);
        let writer = target.writer(&simple, &options(0)).unwrap();
        let mut values: Vec<i64> = (0..1000).collect();
        let batch = RecordBatch::try_from_iter([(
            "id",
            Arc::new(Int64Array::from(vec![0; 1000])) as arrow::array::ArrayRef,
        )])
        .unwrap();
        let array = FFI_ArrowArray::new(&StructArray::from(batch).into_data());
        unsafe {
            let slot = (**array.children).buffers.add(1);
            let old = *slot;
            *slot = values.as_ptr().cast();
            writer.write_raw(&array).unwrap();
            values.fill(-1);
            *slot = old;
        }
        writer.finish().unwrap();
        assert_eq!(target.all_ids(), (0..1000).collect::<Vec<_>>());
    }
}
