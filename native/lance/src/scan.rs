// SPDX-License-Identifier: Apache-2.0

//! Scans: batches in a given order, read ahead, from a whole dataset or from ranges of its fragments.
//!
//! Three ways to read, all behind one channel:
//! - with a filter: Lance's own [`Scanner`];
//! - without: *steps*, one for each batch, read through Lance's fragment readers. Neighbouring steps of one fragment that
//!   have the same length and ascend become a *run* of a few MB, which Lance reads as one stream. Large batches are handed
//!   on as they were decoded; small ones are decoded many at once, as a *bundle*, and handed on as slices of it. A plain
//!   scan is slower: it reads hundreds of MB ahead, all of it into cold memory;
//! - steps whose rows are scattered: by a [`RowReader`].
//!
//! [`Scanner`]: lance::dataset::scanner::Scanner

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int};
use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Schema as ArrowSchema, SchemaRef};
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow::ffi_stream::FFI_ArrowArrayStream;
use futures::future::{BoxFuture, Either, select, try_join_all};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use lance::dataset::fragment::{FileFragment, FragReadConfig, FragmentReader};
use lance::dataset::scanner::{FragmentSlice, Scanner};
use lance::datatypes::Schema;
use lance::io::RecordBatchStream;
use lance_io::scheduler::{ScanScheduler, SchedulerConfig};
use tokio::sync::{OnceCell, mpsc, watch};

use crate::abi::{LtError, LtRowRange, LtScanOptions, borrowed, names, optional_text, out, slice};
use crate::dataset::{LtDataset, Shared, arrow_schema, c_schema, no_columns, without_blobs};
use crate::error::{Code, Failure, Result, Stage, decoding, from_arrow, guard, guard_void};
use crate::export::export;
use crate::live::{Counted, Kind};
use crate::rows::{Place, RowReader, has_json, physical};
use crate::runtime::{Task, block_on, spawn};

type Batches = BoxStream<'static, Result<Bundle>>;

/// Batches that were decoded as one: `rows` in each, the last may have fewer.
struct Bundle {
    batch: RecordBatch,
    rows: usize,
}

impl Bundle {
    fn one(batch: RecordBatch) -> Self {
        let rows = batch.num_rows();
        Self { batch, rows }
    }
}

/// Something that is still to be read.
type Pending<T> = BoxFuture<'static, Result<T>>;

/// `lt_scan` of lance.h.
pub struct LtScan {
    scan: Scan,
    _live: Counted,
}

struct Scan {
    schema: SchemaRef,
    cancel: watch::Sender<bool>,
    incoming: Mutex<Incoming>,
}

struct Incoming {
    bundles: mpsc::Receiver<Result<Bundle>>,
    /// What is left of a bundle, and the row from which on.
    rest: Option<(Bundle, usize)>,
    ended: bool,
    _reader: Task<()>,
}

/// What `lt_scan_options` asks for, checked as far as that goes without a dataset.
#[derive(Debug)]
struct Request {
    columns: Option<Vec<String>>,
    filter: Option<String>,
    read_ahead: usize,
    with_row_id: bool,
    access: Access,
    what: What,
}

/// `LT_ACCESS_...` of lance.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Auto,
    Stream,
    Take,
}

#[derive(Debug)]
enum What {
    /// The whole dataset in batches of so many rows.
    All(usize),
    /// Ranges in batches of so many rows.
    Ranges(Vec<LtRowRange>, usize),
    /// Ranges, and where among them each batch ends.
    Batches(Vec<LtRowRange>, Vec<usize>),
}

impl Request {
    /// # Safety
    /// `options` is NULL or valid as lance.h says.
    unsafe fn new(options: *const LtScanOptions) -> Result<Self> {
        // SAFETY: as above, here and below.
        let options = unsafe { borrowed(options, "options") }?;
        let columns = unsafe { names(options.columns, options.column_count) }?;
        let filter = unsafe { optional_text(options.filter, "filter") }?;
        let ranges = unsafe { slice(options.ranges, options.range_count, "ranges") }?;
        let ends = unsafe { slice(options.batch_ends, options.batch_count, "batch_ends") }?;
        let read_ahead = usize::try_from(options.read_ahead)
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| {
                Failure::invalid(format!(
                    "read_ahead is {}, but must be positive",
                    options.read_ahead
                ))
            })?;
        let what = if options.batch_ends.is_null() {
            let size = u32::try_from(options.batch_size)
                .ok()
                .filter(|n| *n > 0 && *n <= i32::MAX as u32)
                .ok_or_else(|| {
                    Failure::invalid(format!(
                        "batch_size is {}, but must be between 1 and {}",
                        options.batch_size,
                        i32::MAX
                    ))
                })? as usize;
            if options.ranges.is_null() {
                What::All(size)
            } else {
                What::Ranges(ranges.to_vec(), size)
            }
        } else {
            if filter.is_some() {
                return Err(Failure::invalid(
                    "a filter cannot go together with batch_ends: the batches would not have the rows they are to have",
                ));
            }
            What::Batches(ranges.to_vec(), batch_ends(ends, ranges.len())?)
        };
        let access = match options.access {
            0 => Access::Auto,
            1 => Access::Stream,
            2 => Access::Take,
            other => {
                return Err(Failure::invalid(format!(
                    "access is {other}, which is no LT_ACCESS_..."
                )));
            }
        };
        Ok(Self {
            columns,
            filter: filter.map(str::to_string),
            read_ahead,
            with_row_id: options.with_row_id != 0,
            access,
            what,
        })
    }
}

fn batch_ends(ends: &[i64], ranges: usize) -> Result<Vec<usize>> {
    let mut previous = 0;
    for (i, end) in ends.iter().enumerate() {
        if *end < previous || *end > ranges as i64 {
            return Err(Failure::invalid(format!(
                "batch_ends[{i}] is {end}, but must be between {previous} and range_count ({ranges})"
            )));
        }
        previous = *end;
    }
    if previous != ranges as i64 {
        return Err(Failure::invalid(format!(
            "batch_ends stops at {previous}, but there are {ranges} ranges"
        )));
    }
    Ok(ends.iter().map(|end| *end as usize).collect())
}

/// `lt_dataset_scan` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_dataset_scan(
    dataset: *const LtDataset,
    options: *const LtScanOptions,
    scan: *mut *mut LtScan,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: a dataset or NULL, options or NULL.
        let (dataset, request) = unsafe { (borrowed(dataset, "dataset")?, Request::new(options)?) };
        let scan = out(scan, "scan")?;
        let handle = Box::new(LtScan {
            scan: block_on(start(dataset.shared.clone(), request))?,
            _live: Counted::new(Kind::Scan),
        });
        // SAFETY: checked above.
        unsafe { scan.write(Box::into_raw(handle)) };
        Ok(())
    })
}

async fn start(shared: Arc<Shared>, request: Request) -> Result<Scan> {
    let projection = shared.project(request.columns.as_deref())?;
    if projection.fields.is_empty() && !request.with_row_id {
        return Err(no_columns());
    }
    if let Some(filter) = &request.filter {
        shared.check_filter(filter)?;
    }
    if let What::Ranges(ranges, _) | What::Batches(ranges, _) = &request.what {
        check_ranges(&shared, ranges).await?;
    }
    let read_ahead = request.read_ahead;
    let what = match (request.what, &request.filter) {
        (What::All(size), None) if !shared.is_legacy() => {
            let fragments = shared.fragments().await?;
            if fragments.rows / size as u64 > MANY_STEPS {
                What::All(size)
            } else {
                let whole = fragments.list.iter().map(|fragment| LtRowRange {
                    fragment_id: fragment.id,
                    begin: 0,
                    end: fragment.rows,
                });
                What::Ranges(whole.collect(), size)
            }
        }
        (what, _) => what,
    };
    // Lance's scanner buffers only as many batches as there are cores; the channel holds the rest.
    let (schema, batches, room) = match (what, request.filter) {
        (What::All(size), filter) => {
            let mut scanner = shared.dataset.scan();
            configure(
                &mut scanner,
                &projection,
                &request.with_row_id,
                size,
                read_ahead,
            )
            .map_err(|e| shared.failed(&e, Stage::Open, "preparing a scan"))?;
            if let Some(filter) = &filter {
                filtered(&mut scanner, filter).map_err(|e| shared.failed_filter(filter, &e))?;
            }
            let stream = scanner.try_into_stream().await.map_err(|e| match &filter {
                Some(filter) => shared.failed_filter(filter, &e),
                None => shared.failed(&e, Stage::Open, "preparing a scan"),
            })?;
            let schema = stream.schema();
            let batches = stream
                .map_ok(Bundle::one)
                .map_err(move |e| match &filter {
                    Some(filter) => shared.failed_filter(filter, &e),
                    None => shared.failed(&e, Stage::Read, "scanning the rows"),
                })
                .boxed();
            (schema, batches, read_ahead)
        }
        (What::Ranges(ranges, size), Some(filter)) => {
            let job = Filtered {
                projection,
                filter,
                size,
                read_ahead,
                with_row_id: request.with_row_id,
                shared,
            };
            let schema = job.scanner()?.schema().await;
            let schema = schema.map_err(|e| job.shared.failed_filter(&job.filter, &e))?;
            (schema, job.read(ranges), read_ahead)
        }
        (What::Ranges(ranges, size), None) => {
            let (parts, ends) = cut(&ranges, size as u64);
            let rows = Rows {
                columns: request.columns,
                with_row_id: request.with_row_id,
                access: Access::Stream,
            };
            let steps = Steps::new(shared, projection, rows, parts, ends).await?;
            (steps.schema.clone(), steps.read(read_ahead), 1)
        }
        (What::Batches(parts, ends), _) => {
            let rows = Rows {
                columns: request.columns,
                with_row_id: request.with_row_id,
                access: request.access,
            };
            let steps = Steps::new(shared, projection, rows, parts, ends).await?;
            (steps.schema.clone(), steps.read(read_ahead), 1)
        }
    };
    let (sender, receiver) = mpsc::channel(room);
    Ok(Scan {
        schema,
        cancel: watch::Sender::new(false),
        incoming: Mutex::new(Incoming {
            bundles: receiver,
            rest: None,
            ended: false,
            _reader: spawn(forward(batches, sender)),
        }),
    })
}

/// Hands batches on, and ends with the first failure, a panic included.
async fn forward(mut batches: Batches, sender: mpsc::Sender<Result<Bundle>>) -> Result<()> {
    while let Some(item) = decoding(batches.next().map(Option::transpose))
        .await
        .transpose()
    {
        let last = item.is_err();
        if sender.send(item).await.is_err() || last {
            break;
        }
    }
    Ok(())
}

fn configure(
    scanner: &mut Scanner,
    projection: &Schema,
    with_row_id: &bool,
    batch_size: usize,
    read_ahead: usize,
) -> lance::Result<()> {
    if *with_row_id {
        scanner.with_row_id();
    }
    scanner.project_with_schema(projection)?;
    scanner.batch_size(batch_size);
    scanner.batch_readahead(read_ahead);
    scanner.scan_in_order(true);
    Ok(())
}

/// With a filter, what remains of several batches is put together to one.
fn filtered(scanner: &mut Scanner, filter: &str) -> lance::Result<()> {
    scanner.filter(filter)?;
    scanner.strict_batch_size(true);
    Ok(())
}

async fn check_ranges(shared: &Shared, ranges: &[LtRowRange]) -> Result<()> {
    let fragments = shared.fragments().await?;
    for (i, range) in ranges.iter().enumerate() {
        let LtRowRange {
            fragment_id,
            begin,
            end,
        } = *range;
        let Some(index) = fragments.by_id.get(&fragment_id) else {
            return Err(Failure::new(
                Code::NotFound,
                format!(
                    "ranges[{i}]: there is no fragment {fragment_id} in version {} of '{}', which has {} fragments",
                    shared.dataset.version_id(),
                    shared.uri,
                    fragments.list.len()
                ),
            ));
        };
        let rows = fragments.list[*index].rows;
        if begin > end || end > rows {
            return Err(Failure::invalid(format!(
                "ranges[{i}]: the rows {begin} .. {end} are not within fragment {fragment_id} of '{}', which has \
                 {rows} rows",
                shared.uri
            )));
        }
    }
    Ok(())
}

/// Cuts ranges to batches of at most `size` rows.
fn cut(ranges: &[LtRowRange], size: u64) -> (Vec<LtRowRange>, Vec<usize>) {
    let mut parts = Vec::new();
    for range in ranges {
        let mut begin = range.begin;
        while begin < range.end {
            let end = range.end.min(begin.saturating_add(size));
            parts.push(LtRowRange {
                begin,
                end,
                ..*range
            });
            begin = end;
        }
    }
    let ends = (1..=parts.len()).collect();
    (parts, ends)
}

// ---- Ranges with a filter ----------------------------------------------------------------------------------------------

struct Filtered {
    shared: Arc<Shared>,
    projection: Schema,
    filter: String,
    size: usize,
    read_ahead: usize,
    with_row_id: bool,
}

impl Filtered {
    fn scanner(&self) -> Result<Scanner> {
        let mut scanner = self.shared.dataset.scan();
        configure(
            &mut scanner,
            &self.projection,
            &self.with_row_id,
            self.size,
            self.read_ahead,
        )
        .and_then(|()| filtered(&mut scanner, &self.filter))
        .map_err(|e| self.failed(&e))?;
        Ok(scanner)
    }

    fn failed(&self, error: &lance::Error) -> Failure {
        self.shared.failed_filter(&self.filter, error)
    }

    fn read(self, ranges: Vec<LtRowRange>) -> Batches {
        let job = Arc::new(self);
        futures::stream::iter(ranges)
            .map(move |range| {
                let job = job.clone();
                async move { job.open(range).await }
            })
            .buffered(2)
            .try_flatten()
            .try_filter(|batch| futures::future::ready(batch.num_rows() > 0))
            .map_ok(Bundle::one)
            .boxed()
    }

    /// The matching rows of one range.
    async fn open(
        self: Arc<Self>,
        range: LtRowRange,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        if range.begin == range.end {
            return Ok(futures::stream::empty().boxed());
        }
        let fragment = self.shared.fragment(range.fragment_id)?;
        let mut scanner = self.scanner()?;
        scanner.with_fragments(vec![fragment.metadata().clone()]);
        let rows = live_rows(&self.shared, range.fragment_id).await?;
        if range.begin > 0 || range.end < rows {
            let deleted = self.shared.deleted_rows(&fragment).await?;
            let first = physical(&deleted, range.begin);
            let last = physical(&deleted, range.end - 1);
            let slice = FragmentSlice {
                fragment_id: range.fragment_id as u32,
                row_offset: first,
                row_count: last + 1 - first,
            };
            scanner
                .with_fragment_slices(&[slice])
                .await
                .map_err(|e| self.failed(&e))?;
        }
        let stream = scanner
            .try_into_stream()
            .await
            .map_err(|e| self.failed(&e))?;
        let job = self.clone();
        Ok(stream.map_err(move |e| job.failed(&e)).boxed())
    }
}

async fn live_rows(shared: &Shared, id: u64) -> Result<u64> {
    let fragments = shared.fragments().await?;
    Ok(fragments
        .by_id
        .get(&id)
        .map_or(0, |i| fragments.list[*i].rows))
}

/// Where the live rows `rows` are in the files: ranges without a deleted row, ascending, appended to `ranges`.
fn physical_ranges(deleted: &[u64], rows: Range<u64>, ranges: &mut Vec<Range<u64>>) {
    if rows.is_empty() {
        return;
    }
    let mut push = |range: Range<u64>| match ranges.last_mut() {
        _ if range.is_empty() => {}
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    };
    let first = physical(deleted, rows.start);
    let end = physical(deleted, rows.end - 1) + 1;
    let mut begin = first;
    let from = deleted.partition_point(|d| *d < first);
    for gap in deleted[from..].iter().take_while(|d| **d < end) {
        push(begin..*gap);
        begin = gap + 1;
    }
    push(begin..end);
}

// ---- Ranges without a filter -------------------------------------------------------------------------------------------

/// About so many bytes are read as one stream.
const RUN_BYTES: u64 = 4 << 20;

/// About so many bytes of small batches are decoded as one. A consumer that keeps one of them keeps as much alive.
const BUNDLE_BYTES: u64 = 128 << 10;

/// A step this many times its rows behind the last belongs with it: of so many ranks, each reads its own batches in order.
const NEAR: u64 = 64;

/// Less than about so many bytes from one place are cheaper to read by a reader that is open already than by a stream.
const SHORT_BYTES: u64 = 2 << 20;

/// More batches than these are not planned one by one; only tiny batches of a huge dataset come to that.
const MANY_STEPS: u64 = 10_000_000;

/// About how many bytes a row of these columns has.
fn row_bytes(shared: &Shared, projection: &Schema, parts: &[LtRowRange]) -> u64 {
    fn width(kind: &DataType) -> Option<u64> {
        match kind {
            DataType::Boolean => Some(1),
            DataType::FixedSizeBinary(size) => u64::try_from(*size).ok(),
            DataType::FixedSizeList(item, size) => {
                Some(width(item.data_type())? * u64::try_from(*size).ok()?)
            }
            DataType::Struct(fields) => fields.iter().map(|f| width(f.data_type())).sum(),
            other => other.primitive_width().map(|size| size as u64),
        }
    }
    let fixed = |schema: &Schema| -> (u64, bool) {
        let widths: Vec<_> = schema
            .fields
            .iter()
            .map(|f| width(&f.data_type()))
            .collect();
        (
            widths.iter().flatten().sum(),
            widths.iter().any(Option::is_none),
        )
    };
    let (known, varies) = fixed(projection);
    if !varies {
        return known.max(1);
    }
    // What is in the files beside the columns of fixed width.
    let found = parts
        .first()
        .and_then(|part| shared.dataset.get_fragment(part.fragment_id as usize));
    let varying = found.and_then(|fragment| {
        let rows = fragment.metadata().physical_rows? as u64;
        let files = &fragment.metadata().files;
        let bytes: u64 = files
            .iter()
            .map(|file| file.file_size_bytes.get().map_or(0, u64::from))
            .sum();
        (bytes / rows.max(1)).checked_sub(fixed(shared.dataset.schema()).0)
    });
    known + varying.unwrap_or(64).max(1)
}

/// Batches to read, each of them of one or more ranges.
struct Steps {
    shared: Arc<Shared>,
    projection: Schema,
    schema: SchemaRef,
    with_row_id: bool,
    access: Access,
    parts: Vec<LtRowRange>,
    /// Step i is the parts from ends[i - 1], or 0, up to ends[i].
    ends: Vec<usize>,
    scheduler: Arc<ScanScheduler>,
    /// For steps whose rows are scattered.
    rows: Option<Arc<RowReader>>,
    row_bytes: u64,
    /// Lance's first format reads no lists of ranges.
    legacy: bool,
    /// From file format 2.1 on, Lance decodes each batch of a stream in a task of its own.
    decodes_in_tasks: bool,
    deleted: HashMap<u64, OnceCell<Arc<Vec<u64>>>>,
}

/// What is read of each row, and how.
struct Rows {
    columns: Option<Vec<String>>,
    with_row_id: bool,
    access: Access,
}

impl Steps {
    async fn new(
        shared: Arc<Shared>,
        projection: Schema,
        rows: Rows,
        parts: Vec<LtRowRange>,
        ends: Vec<usize>,
    ) -> Result<Arc<Self>> {
        let store = shared
            .dataset
            .object_store(None)
            .await
            .map_err(|e| shared.failed(&e, Stage::Open, "preparing a scan"))?;
        let scheduler = ScanScheduler::new(store.clone(), SchedulerConfig::max_bandwidth(&store));
        let projection = without_blobs(projection);
        let schema = arrow_schema(&projection, rows.with_row_id);
        let row_bytes = row_bytes(&shared, &projection, &parts);
        let legacy = shared.is_legacy();
        let decodes_in_tasks = !legacy && shared.file_format() != "2.0";
        // A reader of rows gives JSON as text, a stream as Lance keeps it.
        let access = match rows.access {
            Access::Auto if legacy => Access::Stream,
            _ if has_json(&projection) => Access::Stream,
            access => access,
        };
        let reader = match access {
            Access::Stream => None,
            _ => Some(shared.row_reader(rows.columns, rows.with_row_id).await?),
        };
        let deleted = parts
            .iter()
            .map(|part| (part.fragment_id, OnceCell::new()))
            .collect();
        Ok(Arc::new(Self {
            shared,
            projection,
            schema: Arc::new(schema),
            with_row_id: rows.with_row_id,
            access,
            parts,
            ends,
            scheduler,
            rows: reader,
            row_bytes,
            legacy,
            decodes_in_tasks,
            deleted,
        }))
    }

    fn parts_of(&self, step: usize) -> &[LtRowRange] {
        let begin = step
            .checked_sub(1)
            .map_or(0, |previous| self.ends[previous]);
        &self.parts[begin..self.ends[step]]
    }

    /// The parts of steps of one part each.
    fn parts_between(&self, first: usize, last: usize) -> &[LtRowRange] {
        &self.parts[self.ends[first] - 1..self.ends[last]]
    }

    /// The end of the run that begins with step `first`: steps of one part each, all as long as the first except that the
    /// last may be shorter, ascending in one fragment.
    fn run_end(&self, first: usize) -> usize {
        let [head] = self.parts_of(first) else {
            return first + 1;
        };
        let rows = head.end - head.begin;
        if rows == 0 || self.legacy || self.access == Access::Take {
            return first + 1;
        }
        let longest = RUN_BYTES / rows.saturating_mul(self.row_bytes).max(1);
        let mut at = head.end;
        let mut end = first + 1;
        while end < self.ends.len() && ((end - first) as u64) < longest {
            let [part] = self.parts_of(end) else { break };
            let size = part.end - part.begin;
            if part.fragment_id != head.fragment_id || part.begin < at || size > rows || size == 0 {
                break;
            }
            // In a random order, neighbours that ascend do so by chance.
            if self.access == Access::Auto && part.begin - at > rows.saturating_mul(NEAR) {
                break;
            }
            at = part.end;
            end += 1;
            if size < rows {
                break;
            }
        }
        end
    }

    fn read(self: Arc<Self>, read_ahead: usize) -> Batches {
        let steps = self.clone();
        let runs = futures::stream::iter(
            std::iter::successors(
                Some((0, 0..0)),
                move |(index, last): &(u32, Range<usize>)| {
                    (last.end < steps.ends.len())
                        .then(|| (index.wrapping_add(1), last.end..steps.run_end(last.end)))
                },
            )
            .skip(1),
        );
        runs.map(move |(index, run)| self.clone().open_run(run, index))
            // The next run's reading starts before this one is through.
            .buffered(2)
            .try_flatten()
            .try_buffered(read_ahead)
            .boxed()
    }

    /// The batches of a run. A run of a single step is opened within its batch, so that many can be under way.
    async fn open_run(
        self: Arc<Self>,
        run: Range<usize>,
        priority: u32,
    ) -> Result<BoxStream<'static, Result<Pending<Bundle>>>> {
        if run.len() == 1 {
            let step = run.start;
            let batch = async move { self.read_step(step, priority).await.map(Bundle::one) };
            // A task is made only when its turn comes.
            return Ok(futures::stream::once(async { Ok(spawn(batch).boxed()) }).boxed());
        }
        let parts: Vec<LtRowRange> = run.clone().map(|step| self.parts_of(step)[0]).collect();
        let rows = parts[0].end - parts[0].begin;
        let together = (BUNDLE_BYTES / rows.saturating_mul(self.row_bytes)).max(1);
        let opened = spawn({
            let steps = self.clone();
            async move { steps.open_batches(&parts, rows * together, priority).await }
        });
        let bundles = opened.await?;
        let steps = self.clone();
        let together = together as usize;
        let missing =
            || async { Ok(RecordBatch::new_empty(Arc::new(ArrowSchema::empty()))) }.boxed();
        Ok(futures::stream::iter(run.clone().step_by(together))
            // Batches that do not come are noticed by their rows.
            .zip(bundles.chain(futures::stream::repeat_with(missing)))
            .map(move |(first, pending)| {
                let steps = steps.clone();
                let last = (first + together).min(run.end) - 1;
                let spawns = steps.decodes_in_tasks;
                let bundle = async move {
                    let batch = pending.await?;
                    let parts = steps.parts_between(first, last);
                    steps.check_rows(&batch, parts)?;
                    Ok(Bundle {
                        batch,
                        rows: rows as usize,
                    })
                };
                Ok(if spawns {
                    bundle.boxed()
                } else {
                    spawn(bundle).boxed()
                })
            })
            .boxed())
    }

    /// One step, of any number of parts, as one batch.
    async fn read_step(self: Arc<Self>, step: usize, priority: u32) -> Result<RecordBatch> {
        let parts = self.parts_of(step);
        if let Some(rows) = &self.rows
            && (self.access == Access::Take || self.is_scattered(parts))
        {
            let places: Vec<Place> = parts
                .iter()
                .flat_map(|part| {
                    (part.begin..part.end).map(|row| Place {
                        fragment: part.fragment_id,
                        row,
                    })
                })
                .collect();
            return rows.read(&self.shared, &places).await;
        }
        let batches = try_join_all(self.groups(parts).map(|group| {
            let steps = self.clone();
            async move {
                if group.iter().all(|part| part.begin == part.end) {
                    return Ok(None);
                }
                let pending = steps.clone().open_parts_whole(group, priority).await?;
                let batches = pending.buffered(1).try_collect::<Vec<_>>().await?;
                let batch = steps.together(batches)?;
                steps.check_rows(&batch, group)?;
                Ok(Some(batch))
            }
        }))
        .await?;
        self.together(batches.into_iter().flatten().collect())
    }

    /// Parts that ascend in one fragment are read together, and so make one batch without a copy.
    fn groups<'a>(&self, parts: &'a [LtRowRange]) -> impl Iterator<Item = &'a [LtRowRange]> {
        let legacy = self.legacy;
        parts.chunk_by(move |a, b| a.fragment_id == b.fragment_id && a.end <= b.begin && !legacy)
    }

    /// Whether a step is cheaper by a reader of rows: what is to be put together has to be copied in any case, and opening a
    /// stream takes longer than reading a short piece.
    fn is_scattered(&self, parts: &[LtRowRange]) -> bool {
        let rows: u64 = parts.iter().map(|part| part.end - part.begin).sum();
        let bytes = rows.saturating_mul(self.row_bytes);
        bytes / (self.groups(parts).count() as u64).max(1) < SHORT_BYTES
    }

    fn together(&self, mut batches: Vec<RecordBatch>) -> Result<RecordBatch> {
        match batches.len() {
            0 => Ok(RecordBatch::new_empty(self.schema.clone())),
            1 => Ok(batches.remove(0)),
            _ => concat_batches(&batches[0].schema(), &batches)
                .map_err(|e| from_arrow(&e).while_doing("putting ranges together to a batch")),
        }
    }

    /// Parts of one fragment, as one batch.
    async fn open_parts_whole(
        self: Arc<Self>,
        parts: &[LtRowRange],
        priority: u32,
    ) -> Result<BoxStream<'static, Pending<RecordBatch>>> {
        let rows = parts.iter().map(|part| part.end - part.begin).sum();
        self.open_batches(parts, rows, priority).await
    }

    async fn open_batches(
        self: Arc<Self>,
        parts: &[LtRowRange],
        batch_rows: u64,
        priority: u32,
    ) -> Result<BoxStream<'static, Pending<RecordBatch>>> {
        let id = parts[0].fragment_id;
        let doing = format!(
            "reading the rows {} .. {} of fragment {id}",
            parts[0].begin,
            parts[parts.len() - 1].end
        );
        let fragment = self.shared.fragment(id)?;
        let failed = |e: &lance::Error| self.shared.failed(e, Stage::Read, &doing);
        let batch_rows = u32::try_from(batch_rows)
            .map_err(|_| Failure::invalid(format!("a batch of {batch_rows} rows is too large")))?;
        let reader = self
            .open_fragment(&fragment, priority)
            .await
            .map_err(|e| failed(&e))?;
        let stream = if self.legacy {
            let rows = parts[0].begin as u32..parts[0].end as u32;
            reader.read_range(rows, batch_rows).await
        } else {
            let deleted = self.deleted[&id]
                .get_or_try_init(|| self.shared.deleted_rows(&fragment))
                .await?;
            let mut ranges = Vec::with_capacity(parts.len());
            for part in parts {
                physical_ranges(deleted, part.begin..part.end, &mut ranges);
            }
            reader.read_ranges(ranges.into(), batch_rows).await
        }
        .map_err(|e| failed(&e))?;
        let shared = self.shared.clone();
        Ok(stream
            .map(move |pending| {
                let shared = shared.clone();
                let doing = doing.clone();
                async move {
                    let batch = pending
                        .map(|batch| batch.map_err(|e| shared.failed(&e, Stage::Read, &doing)));
                    decoding(batch).await
                }
                .boxed()
            })
            .boxed())
    }

    async fn open_fragment(
        &self,
        fragment: &FileFragment,
        priority: u32,
    ) -> lance::Result<FragmentReader> {
        let config = FragReadConfig::default()
            .with_row_id(self.with_row_id)
            .with_scan_scheduler(self.scheduler.clone())
            .with_reader_priority(priority);
        fragment.open(&self.projection, config).await
    }

    fn check_rows(&self, batch: &RecordBatch, parts: &[LtRowRange]) -> Result<()> {
        let rows: u64 = parts.iter().map(|part| part.end - part.begin).sum();
        if batch.num_rows() as u64 == rows {
            return Ok(());
        }
        Err(Failure::new(
            Code::CorruptData,
            format!(
                "fragment {} of '{}' gave {} rows for {} .. {}, where {rows} were expected",
                parts[0].fragment_id,
                self.shared.uri,
                batch.num_rows(),
                parts[0].begin,
                parts[parts.len() - 1].end
            ),
        ))
    }
}

// ---- The consumer's side -----------------------------------------------------------------------------------------------

impl Scan {
    /// The next batch, or None at the end. Waits as long as `limit` says; without one, until there is something.
    fn next(&self, limit: Option<Duration>) -> Result<Option<FFI_ArrowArray>> {
        let mut incoming = self.incoming.try_lock().map_err(|_| {
            Failure::invalid("the scan is in use: one thread at a time may wait for its next batch")
        })?;
        if *self.cancel.borrow() {
            return Err(cancelled());
        }
        if incoming.ended {
            return Ok(None);
        }
        if let Some(batch) = incoming.next_of_rest() {
            return incoming.hand_out(batch);
        }
        let item = match incoming.bundles.try_recv() {
            Ok(item) => Some(item),
            Err(_) => {
                let mut cancel = self.cancel.subscribe();
                block_on(async {
                    let stop = pin!(cancel.wait_for(|cancelled| *cancelled));
                    let next = pin!(incoming.bundles.recv());
                    let either = select(stop, next);
                    let first = match limit {
                        None => either.await,
                        Some(limit) => tokio::time::timeout(limit, either)
                            .await
                            .map_err(|_| timed_out(limit))?,
                    };
                    match first {
                        Either::Left(_) => Err(cancelled()),
                        Either::Right((item, _)) => Ok(item),
                    }
                })?
            }
        };
        match item {
            Some(Ok(bundle)) if bundle.batch.num_rows() <= bundle.rows => {
                incoming.hand_out(bundle.batch)
            }
            Some(Ok(bundle)) => {
                incoming.rest = Some((bundle, 0));
                match incoming.next_of_rest() {
                    Some(batch) => incoming.hand_out(batch),
                    None => Ok(None),
                }
            }
            Some(Err(failure)) => {
                incoming.ended = true;
                Err(failure)
            }
            None => {
                incoming.ended = true;
                Ok(None)
            }
        }
    }
}

impl Incoming {
    /// The next batch of a bundle that was begun.
    fn next_of_rest(&mut self) -> Option<RecordBatch> {
        let (bundle, at) = self.rest.as_mut()?;
        let rows = bundle.rows.min(bundle.batch.num_rows() - *at);
        let batch = bundle.batch.slice(*at, rows);
        *at += rows;
        if *at == bundle.batch.num_rows() {
            self.rest = None;
        }
        Some(batch)
    }

    fn hand_out(&mut self, batch: RecordBatch) -> Result<Option<FFI_ArrowArray>> {
        let exported = export(batch);
        self.ended |= exported.is_err();
        exported.map(Some)
    }
}

fn cancelled() -> Failure {
    Failure::new(Code::Cancelled, "the scan was cancelled")
}

fn timed_out(limit: Duration) -> Failure {
    Failure::new(
        Code::Timeout,
        format!("no batch has come within {} ms", limit.as_millis()),
    )
}

/// `lt_scan_schema` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_scan_schema(
    scan: *const LtScan,
    schema: *mut FFI_ArrowSchema,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: a scan or NULL.
        let scan = unsafe { borrowed(scan, "scan") }?;
        let schema = out(schema, "schema")?;
        let exported = c_schema(&scan.scan.schema)?;
        // SAFETY: checked above.
        unsafe { schema.write(exported) };
        Ok(())
    })
}

/// `lt_scan_next` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_scan_next(
    scan: *mut LtScan,
    batch: *mut FFI_ArrowArray,
    err: *mut LtError,
) -> i32 {
    // SAFETY: as lance.h says.
    guard(err, || unsafe { next(scan, None, batch) })
}

/// `lt_scan_poll` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_scan_poll(
    scan: *mut LtScan,
    milliseconds: i64,
    batch: *mut FFI_ArrowArray,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        let limit = u64::try_from(milliseconds).map_err(|_| {
            Failure::invalid(format!("milliseconds is {milliseconds}, but not negative"))
        })?;
        // SAFETY: as lance.h says.
        unsafe { next(scan, Some(Duration::from_millis(limit)), batch) }
    })
}

/// # Safety
/// `scan` is NULL or a scan, `batch` NULL or the caller's.
unsafe fn next(
    scan: *mut LtScan,
    limit: Option<Duration>,
    batch: *mut FFI_ArrowArray,
) -> Result<()> {
    // SAFETY: as above. A shared reference, as lt_scan_cancel may run beside this.
    let scan = unsafe { borrowed(scan.cast_const(), "scan") }?;
    let batch = out(batch, "batch")?;
    let next = scan.scan.next(limit)?;
    // SAFETY: checked above.
    unsafe { batch.write(next.unwrap_or_else(FFI_ArrowArray::empty)) };
    Ok(())
}

/// `lt_scan_cancel` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_scan_cancel(scan: *mut LtScan) {
    // SAFETY: lance.h: a scan or NULL.
    if let Some(scan) = unsafe { scan.as_ref() } {
        guard_void(|| {
            scan.scan.cancel.send_replace(true);
        });
    }
}

/// `lt_scan_close` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_scan_close(scan: *mut LtScan) {
    if !scan.is_null() {
        // SAFETY: lance.h: owned by the caller, who gives it up.
        guard_void(|| drop(unsafe { Box::from_raw(scan) }));
    }
}

/// `lt_scan_export` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_scan_export(
    scan: *mut LtScan,
    stream: *mut FFI_ArrowArrayStream,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        if scan.is_null() {
            return Err(Failure::invalid("scan is NULL"));
        }
        // SAFETY: lance.h: consumed, also when the call fails.
        let scan = unsafe { Box::from_raw(scan) };
        let stream = out(stream, "stream")?;
        let private = Box::new(Stream {
            scan: scan.scan,
            last_error: None,
            _live: Counted::new(Kind::Stream),
        });
        // SAFETY: checked above.
        unsafe {
            stream.write(FFI_ArrowArrayStream {
                get_schema: Some(stream_schema),
                get_next: Some(stream_next),
                get_last_error: Some(stream_last_error),
                release: Some(stream_release),
                private_data: Box::into_raw(private).cast(),
            });
        }
        Ok(())
    })
}

struct Stream {
    scan: Scan,
    last_error: Option<CString>,
    _live: Counted,
}

impl Stream {
    /// Runs a callback of the stream; its failure becomes an errno and the last error.
    fn call(&mut self, body: impl FnOnce(&Scan) -> Result<()>) -> c_int {
        let mut err = LtError::default();
        let scan = &self.scan;
        let code = guard(&mut err, || body(scan));
        let end = err.message.iter().position(|b| *b == 0).unwrap_or(0);
        self.last_error =
            (code != 0).then(|| CString::new(&err.message[..end]).unwrap_or_default());
        errno(code)
    }
}

/// The errno of a status, as lance.h lists them.
fn errno(code: i32) -> c_int {
    use turbojpeg::libc;
    match code {
        0 => 0,
        1 => libc::EINVAL,
        2 => libc::ENOENT,
        4 => libc::EILSEQ,
        5 => libc::ENOMEM,
        8 => libc::ECANCELED,
        9 => libc::ENOTSUP,
        _ => libc::EIO,
    }
}

unsafe fn stream<'a>(stream: *mut FFI_ArrowArrayStream) -> Option<&'a mut Stream> {
    // SAFETY: the C stream interface: called with the stream that lt_scan_export made, until its release.
    unsafe {
        let stream = stream.as_mut()?;
        stream.release?;
        stream.private_data.cast::<Stream>().as_mut()
    }
}

unsafe extern "C" fn stream_schema(
    this: *mut FFI_ArrowArrayStream,
    schema: *mut FFI_ArrowSchema,
) -> c_int {
    // SAFETY: as in `stream`.
    let Some(this) = (unsafe { stream(this) }) else {
        return errno(1);
    };
    this.call(|scan| {
        let schema = out(schema, "out")?;
        let exported = c_schema(&scan.schema)?;
        // SAFETY: checked above.
        unsafe { schema.write(exported) };
        Ok(())
    })
}

unsafe extern "C" fn stream_next(
    this: *mut FFI_ArrowArrayStream,
    batch: *mut FFI_ArrowArray,
) -> c_int {
    // SAFETY: as in `stream`.
    let Some(this) = (unsafe { stream(this) }) else {
        return errno(1);
    };
    this.call(|scan| {
        let batch = out(batch, "out")?;
        let next = scan.next(None)?;
        // SAFETY: checked above.
        unsafe { batch.write(next.unwrap_or_else(FFI_ArrowArray::empty)) };
        Ok(())
    })
}

unsafe extern "C" fn stream_last_error(this: *mut FFI_ArrowArrayStream) -> *const c_char {
    // SAFETY: as in `stream`.
    unsafe { stream(this) }
        .and_then(|this| this.last_error.as_ref())
        .map_or(std::ptr::null(), |text| text.as_ptr())
}

unsafe extern "C" fn stream_release(this: *mut FFI_ArrowArrayStream) {
    // SAFETY: as in `stream`; the release is the last call.
    unsafe {
        if let Some(this) = this.as_mut()
            && this.release.take().is_some()
        {
            let private = std::mem::replace(&mut this.private_data, std::ptr::null_mut());
            guard_void(|| drop(Box::from_raw(private.cast::<Stream>())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use arrow::array::AsArray;
    use arrow::datatypes::{Field, Float32Type};
    use lance::dataset::{WriteMode, WriteParams};

    fn seq(range: Range<i64>) -> Vec<i64> {
        range.collect()
    }

    #[test]
    fn a_whole_dataset_comes_in_order_cut_where_fragments_end() {
        let _alone = alone();
        let data = Data::new(25, 10);
        let dataset = data.open();
        let spec = Spec {
            size: 4,
            ..Spec::default()
        };
        let batches = dataset.read(&spec).unwrap();
        let sizes: Vec<_> = batches.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(sizes, [4, 4, 2, 4, 4, 2, 4, 1]);
        let all: Vec<i64> = batches.iter().flat_map(ids).collect();
        assert_eq!(all, seq(0..25));
        for batch in &batches {
            let vectors = batch.column(1).as_fixed_size_list();
            let values = vectors.values().as_primitive::<Float32Type>();
            let images = batch.column(2).as_binary::<i32>();
            for (i, id) in ids(batch).into_iter().enumerate() {
                assert_eq!(values.value(i * 4 + 3), id as f32);
                assert_eq!(images.value(i), vec![id as u8; (id % 7) as usize]);
            }
        }
    }

    #[test]
    fn columns_come_in_the_order_they_are_named() {
        let _alone = alone();
        let data = Data::new(12, 10);
        let dataset = data.open();
        for ranges in [None, Some(vec![range(0, 1, 5)])] {
            let spec = Spec {
                columns: Some(vec!["image", "id"]),
                ranges,
                row_id: true,
                ..Spec::default()
            };
            let scan = dataset.scan(&spec).unwrap();
            let names: Vec<_> = scan
                .schema()
                .fields()
                .iter()
                .map(|f| f.name().clone())
                .collect();
            assert_eq!(names, ["image", "id", "_rowid"]);
            let batch = scan.next().unwrap().unwrap();
            assert_eq!(batch.num_columns(), 3);
            assert_eq!(batch.schema().field(1).name(), "id");
        }
    }

    #[test]
    fn a_column_that_is_not_there_is_not_found() {
        let _alone = alone();
        let data = Data::new(12, 10);
        let dataset = data.open();
        let scan = |columns| {
            dataset
                .scan(&Spec {
                    columns: Some(columns),
                    ..Spec::default()
                })
                .unwrap_err()
        };
        let failure = scan(vec!["id", "ID"]);
        assert_eq!(failure.code, Code::NotFound);
        assert!(failure.message.contains("'ID'"), "{failure:?}");
        assert!(
            failure.message.contains("'id', 'vec', 'image'"),
            "{failure:?}"
        );
        assert_eq!(scan(vec!["id", "id"]).code, Code::InvalidArgument);
        assert_eq!(scan(vec![]).code, Code::InvalidArgument);
        assert!(scan(vec!["_rowid"]).message.contains("with_row_id"));
    }

    #[test]
    fn ranges_come_in_their_order() {
        let _alone = alone();
        let data = Data::new(35, 10);
        let dataset = data.open();
        let spec = Spec {
            ranges: Some(vec![
                range(2, 0, 10),
                range(0, 3, 5),
                range(0, 3, 5),
                range(1, 9, 9),
                range(3, 0, 5),
            ]),
            size: 4,
            row_id: true,
            ..Spec::default()
        };
        let batches = dataset.read(&spec).unwrap();
        let found: Vec<_> = batches.iter().map(ids).collect();
        assert_eq!(
            found,
            [
                seq(20..24),
                seq(24..28),
                seq(28..30),
                seq(3..5),
                seq(3..5),
                seq(30..34),
                seq(34..35)
            ]
        );
        assert_eq!(
            row_ids(&batches[1]),
            [(2 << 32) + 4, (2 << 32) + 5, (2 << 32) + 6, (2 << 32) + 7]
        );
    }

    #[test]
    fn batches_are_exactly_their_ranges() {
        let _alone = alone();
        let data = Data::new(35, 10);
        data.delete("id = 0 OR id = 11 OR id = 12 OR id = 29 OR id = 34");
        let live: Vec<Vec<i64>> = vec![
            seq(1..10),
            vec![10, 13, 14, 15, 16, 17, 18, 19],
            seq(20..29),
            seq(30..34),
        ];
        let dataset = data.open();
        let rows = |r: &LtRowRange| {
            live[r.fragment_id as usize][r.begin as usize..r.end as usize].to_vec()
        };
        let steps: Vec<Vec<LtRowRange>> = vec![
            vec![range(0, 0, 4)],
            vec![range(0, 4, 8)],
            vec![range(0, 8, 9), range(1, 0, 3)], // over a border
            vec![range(1, 0, 2)],
            vec![range(1, 2, 4)],
            vec![range(1, 6, 8)],
            vec![], // nothing at all
            vec![range(2, 3, 3)],
            vec![
                range(3, 3, 4),
                range(0, 0, 2),
                range(0, 0, 2),
                range(2, 8, 9),
            ],
            vec![range(0, 5, 9), range(0, 0, 1)],
            vec![range(0, 0, 2), range(0, 4, 6), range(0, 8, 9)], // ascending in one fragment
            vec![range(2, 0, 9)],
            vec![range(2, 0, 9)],
            vec![range(3, 0, 2)],
            vec![range(3, 2, 4)],
        ];
        let expected: Vec<Vec<i64>> = steps
            .iter()
            .map(|step| step.iter().flat_map(rows).collect())
            .collect();
        for (ahead, access) in [(1, 0), (2, 0), (16, 0), (1, 1), (3, 1), (1, 2), (3, 2)] {
            let spec = Spec {
                access,
                ranges: Some(steps.concat()),
                ends: Some(
                    steps
                        .iter()
                        .scan(0, |end, step| {
                            *end += step.len() as i64;
                            Some(*end)
                        })
                        .collect(),
                ),
                size: 0,
                ahead,
                row_id: true,
                ..Spec::default()
            };
            let batches = dataset.read(&spec).unwrap();
            let found: Vec<Vec<i64>> = batches.iter().map(ids).collect();
            assert_eq!(found, expected, "read-ahead {ahead}, access {access}");
            for batch in &batches {
                let places: Vec<u64> = ids(batch)
                    .iter()
                    .map(|id| ((*id as u64 / 10) << 32) + *id as u64 % 10)
                    .collect();
                assert_eq!(row_ids(batch), places);
            }
        }
    }

    #[test]
    fn every_storage_version_reads_the_same() {
        let _alone = alone();
        for version in ["legacy", "2.0", "2.1", "2.2"] {
            let data = Data::with_version(25, 10, Some(version));
            data.delete("id = 4");
            let dataset = data.open();
            for access in 0..3 {
                let spec = Spec {
                    ranges: Some(vec![
                        range(0, 2, 6),
                        range(1, 0, 10),
                        range(0, 0, 2),
                        range(2, 0, 5),
                    ]),
                    ends: Some(vec![1, 2, 4]),
                    access,
                    ..Spec::default()
                };
                assert_eq!(
                    dataset.ids(&spec).unwrap(),
                    [
                        vec![2, 3, 5, 6],
                        seq(10..20),
                        vec![0, 1, 20, 21, 22, 23, 24]
                    ],
                    "{version}, access {access}"
                );
            }
            let small = Spec {
                size: 3,
                ahead: 2,
                ..Spec::default()
            };
            let batches = dataset.ids(&small).unwrap();
            assert!(batches.iter().all(|ids| ids.len() <= 3), "{version}");
            assert_eq!(batches.concat().len(), 24, "{version}");
            let all: Vec<i64> = dataset.ids(&Spec::default()).unwrap().concat();
            assert_eq!(all.len(), 24, "{version}");
        }
    }

    fn next(random: &mut u64, below: u64) -> u64 {
        *random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (*random >> 33) % below
    }

    #[test]
    fn scattered_rows_are_the_same_however_they_are_read() {
        let _alone = alone();
        for stable in [false, true] {
            let data = Data::new(1, 10);
            let params = WriteParams {
                mode: WriteMode::Overwrite,
                enable_stable_row_ids: stable,
                max_rows_per_file: 70,
                ..WriteParams::default()
            };
            data.write(with_nulls(0..200), params);
            data.delete("id % 9 = 2");
            let dataset = data.open();
            let fragments = dataset.fragments();
            assert_eq!(fragments.len(), 3);
            let mut random = 3;
            for round in 0..20 {
                let mut ranges = Vec::new();
                let mut ends = Vec::new();
                for _ in 0..5 {
                    for _ in 0..next(&mut random, 30) {
                        let fragment = fragments[next(&mut random, 3) as usize];
                        let begin = next(&mut random, fragment.rows);
                        let end = (begin + 1 + next(&mut random, 2)).min(fragment.rows);
                        ranges.push(range(fragment.id, begin, end));
                    }
                    ends.push(ranges.len() as i64);
                }
                let read = |access| {
                    let spec = Spec {
                        ranges: Some(ranges.clone()),
                        ends: Some(ends.clone()),
                        row_id: round % 2 == 0,
                        access,
                        ..Spec::default()
                    };
                    dataset.read(&spec).unwrap()
                };
                let stream = read(1);
                assert_eq!(stream.len(), 5);
                assert_eq!(read(2), stream);
                assert_eq!(read(0), stream);
            }
        }
    }

    /// As `batch_of`, with a null in every fourth row of each column that may have one, and in others than the ids.
    fn with_nulls(ids: Range<i64>) -> RecordBatch {
        let batch = batch_of(ids.clone());
        let valid = |shift: i64| {
            let bits = ids.clone().map(move |id| (id + shift) % 4 != 0);
            Some(bits.collect::<Vec<bool>>().into())
        };
        let null = |column: usize, nulls| {
            let data = batch.column(column).to_data().into_builder().nulls(nulls);
            arrow::array::make_array(data.build().unwrap())
        };
        let columns = vec![
            batch.column(0).clone(),
            null(1, valid(1)),
            null(2, valid(2)),
        ];
        RecordBatch::try_new(batch.schema(), columns).unwrap()
    }

    #[test]
    fn small_batches_are_slices_of_a_large_one() {
        let _alone = alone();
        let data = Data::new(1, 10);
        let params = WriteParams {
            mode: WriteMode::Overwrite,
            max_rows_per_file: 20_000,
            ..WriteParams::default()
        };
        let all = with_nulls(0..30_000);
        data.write(all.clone(), params);
        let dataset = data.open();
        for (size, ahead) in [(7, 1), (64, 4), (1000, 3)] {
            let spec = Spec {
                size,
                ahead,
                ..Spec::default()
            };
            let batches = dataset.read(&spec).unwrap();
            let mut at = 0;
            for batch in &batches {
                let rows = (size as usize).min(if at < 20_000 { 20_000 } else { 30_000 } - at);
                assert_eq!(batch.columns(), all.slice(at, rows).columns());
                at += rows;
            }
            assert_eq!(at, 30_000);
        }
        // one that is left half-way
        let scan = dataset.scan(&Spec::default()).unwrap();
        assert_eq!(ids(&scan.next().unwrap().unwrap()), seq(0..10));
        drop(scan);
    }

    #[test]
    fn a_filter_leaves_the_matching_rows() {
        let _alone = alone();
        let data = Data::new(35, 10);
        data.delete("id = 4 OR id = 20");
        let dataset = data.open();
        let spec = Spec {
            filter: Some("id % 2 = 0"),
            size: 4,
            ..Spec::default()
        };
        let found = dataset.ids(&spec).unwrap();
        let even: Vec<i64> = (0..35)
            .filter(|i| i % 2 == 0 && *i != 4 && *i != 20)
            .collect();
        assert_eq!(found.concat(), even);
        assert!(
            found[..found.len() - 1].iter().all(|b| b.len() == 4),
            "{found:?}"
        );
        // the ranges count live rows: 3 .. 8 of fragment 0 are the ids 3, 5, 6, 7, 8
        let spec = Spec {
            columns: Some(vec!["id"]),
            ranges: Some(vec![
                range(2, 0, 9),
                range(0, 3, 8),
                range(1, 2, 2),
                range(1, 0, 10),
            ]),
            row_id: true,
            ..spec
        };
        let batches = dataset.read(&spec).unwrap();
        let found: Vec<Vec<i64>> = batches.iter().map(ids).collect();
        assert_eq!(
            found,
            [
                vec![22, 24, 26, 28],
                vec![6, 8],
                vec![10, 12, 14, 16],
                vec![18]
            ]
        );
        assert_eq!(row_ids(&batches[1]), [6, 8]);
    }

    #[test]
    fn a_bad_filter_is_an_invalid_argument() {
        let _alone = alone();
        let data = Data::new(5, 10);
        let dataset = data.open();
        for filter in ["id >", "nothing = 3", "id + 1", "((("] {
            let failure = dataset
                .scan(&Spec {
                    filter: Some(filter),
                    ..Spec::default()
                })
                .unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument, "{failure:?}");
            assert!(failure.message.contains(filter), "{failure:?}");
        }
        // one that only fails as it is computed
        let failure = dataset
            .read(&Spec {
                filter: Some("10 / id > 1"),
                ..Spec::default()
            })
            .unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument, "{failure:?}");
    }

    #[test]
    fn wrong_options_are_refused() {
        let _alone = alone();
        let data = Data::new(25, 10);
        let dataset = data.open();
        let refused = |spec: Spec| {
            let failure = dataset.scan(&spec).unwrap_err();
            (failure.code, failure.message)
        };
        let good = Spec::default();
        let (code, text) = refused(Spec {
            size: 0,
            ..good.clone()
        });
        assert_eq!(code, Code::InvalidArgument);
        assert!(text.contains("batch_size is 0"), "{text}");
        let (code, _) = refused(Spec {
            ahead: 0,
            ..good.clone()
        });
        assert_eq!(code, Code::InvalidArgument);
        let ranges = |ranges| Spec {
            ranges: Some(ranges),
            ..good.clone()
        };
        let (code, text) = refused(ranges(vec![range(0, 0, 10), range(7, 0, 1)]));
        assert_eq!(code, Code::NotFound);
        assert!(
            text.contains("fragment 7") && text.contains("ranges[1]"),
            "{text}"
        );
        for wrong in [range(2, 0, 6), range(0, 5, 4), range(0, 11, 11)] {
            assert_eq!(refused(ranges(vec![wrong])).0, Code::InvalidArgument);
        }
        for ends in [vec![2], vec![-1, 1], vec![1, 0], vec![0]] {
            let spec = Spec {
                ends: Some(ends),
                ..ranges(vec![range(0, 0, 10)])
            };
            assert_eq!(refused(spec).0, Code::InvalidArgument);
        }
        let spec = Spec {
            ends: Some(vec![1]),
            filter: Some("id > 3"),
            ..ranges(vec![range(0, 0, 10)])
        };
        assert_eq!(refused(spec).0, Code::InvalidArgument);
        for access in [-1, 3] {
            let (code, text) = refused(Spec {
                access,
                ..good.clone()
            });
            assert_eq!(code, Code::InvalidArgument);
            assert!(text.contains("access is"), "{text}");
        }
        let f = failure(|err| unsafe {
            lt_dataset_scan(dataset.0, std::ptr::null(), &mut std::ptr::null_mut(), err)
        });
        assert_eq!(f.message, "options is NULL");
    }

    #[test]
    fn no_ranges_are_no_batches() {
        let _alone = alone();
        let data = Data::new(25, 10);
        let dataset = data.open();
        for ends in [None, Some(vec![])] {
            let spec = Spec {
                ranges: Some(vec![]),
                ends,
                ..Spec::default()
            };
            assert!(dataset.read(&spec).unwrap().is_empty());
        }
    }

    #[test]
    fn a_scan_keeps_its_version_though_the_dataset_is_closed_and_overwritten() {
        let _alone = alone();
        let data = Data::new(25, 10);
        let dataset = data.open();
        let scan = dataset
            .scan(&Spec {
                ahead: 1,
                ..Spec::default()
            })
            .unwrap();
        data.write(
            batch_of(100..105),
            WriteParams {
                mode: WriteMode::Overwrite,
                ..WriteParams::default()
            },
        );
        assert_eq!(dataset.rows(), 25);
        drop(dataset);
        let all: Vec<i64> = scan.rest().unwrap().iter().flat_map(ids).collect();
        assert_eq!(all, seq(0..25));
        assert_eq!(data.open().ids(&Spec::default()).unwrap(), [seq(100..105)]);
        assert_eq!(data.open_at(1, None).rows(), 25);
    }

    #[test]
    fn batches_outlive_their_scan() {
        let _alone = alone();
        let data = Data::new(25, 10);
        let dataset = data.open();
        let batches = dataset.read(&Spec::default()).unwrap();
        drop(dataset);
        assert!(crate::live::lt_lance_live_bytes() >= 25 * (8 + 16));
        assert_eq!(batches.iter().flat_map(ids).count(), 25);
    }

    #[test]
    fn a_cancelled_scan_stops_for_good() {
        let _alone = alone();
        let data = Data::new(200, 10);
        let dataset = data.open();
        let scan = dataset
            .scan(&Spec {
                size: 1,
                ..Spec::default()
            })
            .unwrap();
        scan.next().unwrap().unwrap();
        let address = scan.0 as usize;
        std::thread::spawn(move || unsafe { lt_scan_cancel(address as *mut LtScan) })
            .join()
            .unwrap();
        for _ in 0..3 {
            assert_eq!(scan.next().unwrap_err().code, Code::Cancelled);
        }
        unsafe { lt_scan_cancel(std::ptr::null_mut()) };
    }

    #[test]
    fn cancelling_wakes_a_waiting_next() {
        let _alone = alone();
        // a scan whose batches never come
        let (sender, receiver) = mpsc::channel(1);
        let scan = Arc::new(Scan {
            schema: Arc::new(ArrowSchema::empty()),
            cancel: watch::Sender::new(false),
            incoming: Mutex::new(Incoming {
                bundles: receiver,
                rest: None,
                ended: false,
                _reader: spawn(async { Ok(()) }),
            }),
        });
        let waiting = {
            let scan = scan.clone();
            std::thread::spawn(move || scan.next(None).unwrap_err().code)
        };
        while scan.incoming.try_lock().is_ok() {
            std::thread::yield_now();
        }
        // a second waiter is told off
        assert_eq!(scan.next(None).unwrap_err().code, Code::InvalidArgument);
        scan.cancel.send_replace(true);
        assert_eq!(waiting.join().unwrap(), Code::Cancelled);
        drop(sender);
    }

    #[test]
    fn a_wait_with_a_limit_ends_and_the_scan_goes_on() {
        let _alone = alone();
        let (sender, receiver) = mpsc::channel(1);
        let scan = Scan {
            schema: Arc::new(ArrowSchema::empty()),
            cancel: watch::Sender::new(false),
            incoming: Mutex::new(Incoming {
                bundles: receiver,
                rest: None,
                ended: false,
                _reader: spawn(async { Ok(()) }),
            }),
        };
        for milliseconds in [0, 20] {
            let failure = scan
                .next(Some(Duration::from_millis(milliseconds)))
                .unwrap_err();
            assert_eq!(failure.code, Code::Timeout);
        }
        let batch = RecordBatch::new_empty(Arc::new(ArrowSchema::empty()));
        block_on(sender.send(Ok(Bundle::one(batch)))).unwrap();
        assert!(scan.next(Some(Duration::ZERO)).unwrap().is_some());
        drop(sender);
        assert!(scan.next(Some(Duration::from_secs(60))).unwrap().is_none());
    }

    #[test]
    fn a_damaged_file_is_an_error_and_then_the_end() {
        let _alone = alone();
        let whole = Data::new(2000, 1000);
        let bytes = std::fs::read(&whole.files("data")[0]).unwrap();
        let mut random = 1u64;
        for round in 0..60 {
            let data = Data::new(2000, 1000);
            let file = &data.files("data")[1];
            let mut damaged = std::fs::read(file).unwrap();
            match round {
                0 => damaged.truncate(bytes.len() / 2),
                1 => damaged.clear(),
                2 => damaged.fill(0xff),
                3 => std::fs::remove_file(file).unwrap(),
                _ => {
                    // garbage at some place or other
                    random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
                    let at = (random >> 33) as usize % damaged.len();
                    let end = (at + 64).min(damaged.len());
                    damaged[at..end].fill((random >> 20) as u8);
                }
            }
            if round != 3 {
                std::fs::write(file, &damaged).unwrap();
            }
            let dataset = data.open();
            for ranges in [None, Some(vec![range(0, 0, 1000), range(1, 0, 1000)])] {
                let scan = dataset.scan(&Spec {
                    ranges,
                    size: 1000,
                    ..Spec::default()
                });
                let result = scan.and_then(|scan| {
                    let result = raw_rest(&scan);
                    if result.is_err() {
                        assert!(scan.next().unwrap().is_none(), "no end after the error");
                    }
                    result
                });
                match result {
                    Err(failure) => {
                        assert!(
                            matches!(failure.code, Code::CorruptData | Code::Io),
                            "{round}: {failure:?}"
                        );
                        assert!(!failure.message.is_empty());
                    }
                    // garbage within values is not noticed, Lance has no checksums
                    Ok(()) => assert!(round > 3, "{round}"),
                }
            }
            let taken = dataset.take(&[0, 1500], Some(&["id"]), false);
            if let Err(failure) = taken {
                assert!(
                    matches!(failure.code, Code::CorruptData | Code::Io),
                    "{round}: {failure:?}"
                );
            }
        }
    }

    /// Reads to the end without looking into the batches.
    fn raw_rest(scan: &Scanning) -> Result<()> {
        loop {
            let mut batch = FFI_ArrowArray::empty();
            outcome(|err| unsafe { lt_scan_next(scan.0, &mut batch, err) })?;
            if batch.is_released() {
                return Ok(());
            }
        }
    }

    #[test]
    fn an_exported_scan_is_an_arrow_stream() {
        let _alone = alone();
        let data = Data::new(25, 10);
        let dataset = data.open();
        let scan = dataset.scan(&Spec::default()).unwrap();
        let mut stream = FFI_ArrowArrayStream::empty();
        ok(|err| unsafe { lt_scan_export(scan.0, &mut stream, err) });
        std::mem::forget(scan);
        drop(dataset);
        assert_eq!(crate::live::lt_lance_live_handles(4), 1);
        assert_eq!(crate::live::lt_lance_live_handles(1), 0);
        let reader = arrow::ffi_stream::ArrowArrayStreamReader::try_new(stream).unwrap();
        let all: Vec<i64> = reader.flat_map(|batch| ids(&batch.unwrap())).collect();
        assert_eq!(all, seq(0..25));
    }

    #[test]
    fn a_stream_tells_what_went_wrong() {
        let _alone = alone();
        let data = Data::new(25, 10);
        let dataset = data.open();
        let scan = dataset.scan(&Spec::default()).unwrap();
        unsafe { lt_scan_cancel(scan.0) };
        let mut stream = FFI_ArrowArrayStream::empty();
        ok(|err| unsafe { lt_scan_export(scan.0, &mut stream, err) });
        std::mem::forget(scan);
        let mut batch = FFI_ArrowArray::empty();
        unsafe {
            let code = stream.get_next.unwrap()(&mut stream, &mut batch);
            assert_eq!(code, turbojpeg::libc::ECANCELED);
            let text = stream.get_last_error.unwrap()(&mut stream);
            let text = std::ffi::CStr::from_ptr(text).to_str().unwrap();
            assert!(text.contains("cancelled"), "{text}");
            assert_eq!(
                stream.get_schema.unwrap()(&mut stream, std::ptr::null_mut()),
                22
            );
        }
        drop(stream);
        // consumed also where the call fails
        let scan = dataset.scan(&Spec::default()).unwrap();
        let f = failure(|err| unsafe { lt_scan_export(scan.0, std::ptr::null_mut(), err) });
        std::mem::forget(scan);
        assert_eq!(f.code, Code::InvalidArgument);
    }

    #[test]
    fn a_dataset_serves_many_threads_at_once() {
        let _alone = alone();
        let data = Data::new(200, 10);
        let dataset = data.open();
        let address = dataset.0 as usize;
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    let dataset = std::mem::ManuallyDrop::new(Opened(address as *mut LtDataset));
                    for _ in 0..5 {
                        let all = dataset.ids(&Spec {
                            ahead: 1 + thread,
                            ..Spec::default()
                        });
                        assert_eq!(all.unwrap().concat(), seq(0..200));
                    }
                });
            }
        });
    }

    #[test]
    fn positions_skip_deleted_rows() {
        // against counting one by one
        let mut random = 7u64;
        for _ in 0..200 {
            let total = 40;
            let mut deleted = Vec::new();
            for row in 0..total {
                random = random
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                if (random >> 40).is_multiple_of(3) {
                    deleted.push(row);
                }
            }
            let live: Vec<u64> = (0..total).filter(|r| !deleted.contains(r)).collect();
            for (position, row) in live.iter().enumerate() {
                assert_eq!(physical(&deleted, position as u64), *row);
            }
            for begin in 0..live.len() {
                for end in begin..=live.len() {
                    let mut ranges = Vec::new();
                    physical_ranges(&deleted, begin as u64..end as u64, &mut ranges);
                    let rows: Vec<u64> = ranges.iter().cloned().flatten().collect();
                    assert_eq!(rows, live[begin..end]);
                    assert!(ranges.windows(2).all(|w| w[0].end < w[1].start));
                }
            }
        }
    }

    /// `cargo test --release scan_speed -- --ignored --nocapture`: float32[768] in batches of 1,024 rows.
    #[test]
    #[ignore = "a benchmark"]
    fn scan_speed() {
        const ROWS: i64 = 200 * 1024;
        const PER_FILE: u64 = 50 * 1024;
        let _alone = alone();
        let dir = tempfile::tempdir().unwrap();
        let uri = dir.path().join("v.lance").to_str().unwrap().to_string();
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let schema = Arc::new(ArrowSchema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("vec", DataType::FixedSizeList(item.clone(), 768), true),
        ]));
        let source = schema.clone();
        let batch = move |first: i64| {
            let values: Vec<f32> = (0..1024 * 768).map(|i| (first + i) as f32).collect();
            RecordBatch::try_new(
                source.clone(),
                vec![
                    Arc::new(arrow::array::Int64Array::from_iter_values(
                        first..first + 1024,
                    )),
                    Arc::new(arrow::array::FixedSizeListArray::new(
                        item.clone(),
                        768,
                        Arc::new(arrow::array::Float32Array::from(values)),
                        None,
                    )),
                ],
            )
        };
        let batches = (0..ROWS / 1024).map(move |i| batch(i * 1024));
        let reader = arrow::array::RecordBatchIterator::new(batches, schema.clone());
        let params = WriteParams {
            max_rows_per_file: PER_FILE as usize,
            ..WriteParams::default()
        };
        block_on(lance::Dataset::write(reader, uri.as_str(), Some(params))).unwrap();
        let dataset = try_open(&uri, 0, None).unwrap();
        let bytes = (ROWS * 768 * 4) as f64;
        let rate = |name: &str, body: &mut dyn FnMut() -> i64| {
            let rates: Vec<f64> = (0..5)
                .map(|_| {
                    let start = std::time::Instant::now();
                    assert_eq!(body(), ROWS);
                    bytes / start.elapsed().as_secs_f64() / 1e9
                })
                .collect();
            let best = rates.iter().copied().fold(0.0, f64::max);
            println!("{name:50} {best:6.2} GB/s  {rates:.2?}");
        };
        let drain = |spec: &Spec| {
            let scan = dataset.scan(spec).unwrap();
            let mut rows = 0;
            loop {
                let mut batch = FFI_ArrowArray::empty();
                ok(|err| unsafe { lt_scan_next(scan.0, &mut batch, err) });
                if batch.is_released() {
                    return rows;
                }
                rows += batch.length;
            }
        };
        for (columns, size) in [
            (None, 1024),
            (Some(vec!["vec"]), 1024),
            (Some(vec!["vec"]), 128),
            (Some(vec!["id"]), 64),
        ] {
            println!("columns: {columns:?}, batches of {size}");
            let steps: Vec<LtRowRange> = (0..ROWS as u64 / size)
                .map(|i| {
                    range(
                        i * size / PER_FILE,
                        i * size % PER_FILE,
                        i * size % PER_FILE + size,
                    )
                })
                .collect();
            let mut shuffled = steps.clone();
            let mut random = 5u64;
            for i in (1..shuffled.len()).rev() {
                random = random
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                shuffled.swap(i, (random >> 33) as usize % (i + 1));
            }
            let crossing: Vec<LtRowRange> = steps
                .iter()
                .flat_map(|r| {
                    [
                        range(r.fragment_id, r.begin, r.begin + size / 2),
                        range(r.fragment_id, r.begin + size / 2, r.end),
                    ]
                })
                .collect();
            let spec = |ranges: &[LtRowRange], per_batch: usize| Spec {
                columns: columns.clone(),
                ranges: Some(ranges.to_vec()),
                ends: Some(
                    (1..=ranges.len() / per_batch)
                        .map(|i| (i * per_batch) as i64)
                        .collect(),
                ),
                ahead: 4,
                ..Spec::default()
            };
            let whole = Spec {
                columns: columns.clone(),
                size: size as i64,
                ahead: 4,
                ..Spec::default()
            };
            for _ in 0..2 {
                for ahead in [0, 4] {
                    rate(
                        &format!("Lance's scanner alone, batch_readahead {ahead}"),
                        &mut || {
                            block_on(spawn({
                                let shared = unsafe { &*dataset.0 }.shared.clone();
                                let columns = columns.clone();
                                async move {
                                    let mut scanner = shared.dataset.scan();
                                    scanner.batch_size(size as usize);
                                    if ahead > 0 {
                                        scanner.batch_readahead(ahead);
                                    }
                                    if let Some(columns) = &columns {
                                        scanner.project(columns).unwrap();
                                    }
                                    let mut stream = scanner.try_into_stream().await.unwrap();
                                    let mut rows = 0;
                                    while let Some(batch) = stream.next().await {
                                        rows += batch.unwrap().num_rows() as i64;
                                    }
                                    Ok(rows)
                                }
                            }))
                            .unwrap()
                        },
                    );
                }
                rate("lt_scan of the whole dataset", &mut || drain(&whole));
                rate("lt_scan, batches in order", &mut || drain(&spec(&steps, 1)));
                rate("lt_scan, batches shuffled", &mut || {
                    drain(&spec(&shuffled, 1))
                });
                rate("lt_scan, two neighbouring ranges a batch", &mut || {
                    drain(&spec(&crossing, 2))
                });
            }
            // A random order of pieces of so many rows, 256 rows a batch.
            for piece in [1, 16, 64, 256] {
                let pieces: Vec<LtRowRange> = (0..512 * 256 / piece)
                    .map(|_| {
                        let row = next(&mut random, ROWS as u64 / piece) * piece;
                        range(row / PER_FILE, row % PER_FILE, row % PER_FILE + piece)
                    })
                    .collect();
                for access in [1, 2, 0] {
                    let random = Spec {
                        access,
                        ..spec(&pieces, (256 / piece) as usize)
                    };
                    if access == 1 && piece == 1 {
                        continue; // minutes
                    }
                    let start = std::time::Instant::now();
                    let rows = drain(&random);
                    let rate = rows as f64 / start.elapsed().as_secs_f64();
                    println!(
                        "256 random rows in pieces of {piece}, access {access}: {rate:8.0} rows/s"
                    );
                }
            }
            let names: Option<Vec<&str>> = columns.clone();
            let rows: Vec<Vec<i64>> = (0..200)
                .map(|_| {
                    (0..256)
                        .map(|_| {
                            random = random
                                .wrapping_mul(6364136223846793005)
                                .wrapping_add(1442695040888963407);
                            (random >> 33) as i64 % ROWS
                        })
                        .collect()
                })
                .collect();
            let rate = |name: &str, take: &mut dyn FnMut(&[i64]) -> usize| {
                let best = (0..3)
                    .map(|_| {
                        let start = std::time::Instant::now();
                        let taken: usize = rows.iter().map(|rows| take(rows)).sum();
                        taken as f64 / start.elapsed().as_secs_f64()
                    })
                    .fold(0.0, f64::max);
                println!("{name:50} {best:8.0} rows/s");
            };
            for _ in 0..2 {
                rate("Lance's take of 256 random rows", &mut |rows| {
                    let shared = unsafe { &*dataset.0 }.shared.clone();
                    let rows: Vec<u64> = rows.iter().map(|row| *row as u64).collect();
                    let projection = shared
                        .project(
                            names
                                .as_ref()
                                .map(|n| n.iter().map(|n| (*n).to_string()).collect::<Vec<_>>())
                                .as_deref(),
                        )
                        .unwrap();
                    block_on(spawn(async move {
                        Ok(shared
                            .dataset
                            .take(&rows, projection)
                            .await
                            .unwrap()
                            .num_rows())
                    }))
                    .unwrap()
                });
                rate("lt_dataset_take of 256 random rows", &mut |rows| {
                    dataset
                        .take(rows, names.as_deref(), false)
                        .unwrap()
                        .num_rows()
                });
            }
        }
    }
}
