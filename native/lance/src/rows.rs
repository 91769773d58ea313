// SPDX-License-Identifier: Apache-2.0

//! Rows from anywhere in a dataset as one batch: each fragment's rows are read in ascending order by a reader that stays
//! open, and then put in the order that was asked for.
//!
//! Lance's own take opens each fragment anew, looks the rows up by their addresses afterwards, and reads every range on a
//! thread for blocking calls; see [`crate::page_cache`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, RecordBatch};
use arrow::compute::{concat_batches, interleave};
use arrow::datatypes::SchemaRef;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt};
use lance::dataset::ProjectionRequest;
use lance::dataset::fragment::{FragReadConfig, FragmentReader};
use lance::datatypes::Schema;
use lance_io::scheduler::{ScanScheduler, SchedulerConfig};

use crate::dataset::{Shared, arrow_schema, without_blobs};
use crate::error::{Code, Failure, Result, Stage, from_arrow};
use crate::page_cache;

/// Readers that stay open; each holds what is known about its fragment's files.
const OPEN_READERS: usize = 1024;

/// A live row: its fragment, and its position there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub fragment: u64,
    pub row: u64,
}

/// Reads some columns of any rows.
pub struct RowReader {
    schema: SchemaRef,
    how: How,
}

enum How {
    Fragments(Fragments),
    /// By Lance's own take, for what a fragment's reader does not do: the first file format, and JSON as text.
    Lance(ProjectionRequest),
}

struct Fragments {
    projection: Schema,
    with_row_id: bool,
    scheduler: Arc<ScanScheduler>,
    open: Mutex<HashMap<u64, Arc<OpenFragment>>>,
}

struct OpenFragment {
    reader: FragmentReader,
    /// The places in the files of its deleted rows, ascending.
    deleted: Arc<Vec<u64>>,
}

/// The rows of one fragment that a batch needs, each once, ascending.
struct Part {
    fragment: u64,
    rows: Vec<u64>,
}

impl RowReader {
    pub async fn new(shared: &Shared, projection: Schema, with_row_id: bool) -> Result<Self> {
        let failed = |e: lance::Error| shared.failed(&e, Stage::Open, "preparing to read rows");
        let projection = without_blobs(projection);
        let schema = Arc::new(arrow_schema(&projection, with_row_id));
        if shared.is_legacy() || has_json(&projection) {
            let request = if with_row_id {
                // The only request of Lance's that knows the row id as a column.
                let names: Vec<_> = schema.fields.iter().map(|f| f.name().clone()).collect();
                let schema = shared.dataset.schema();
                let schema = schema.project_preserve_system_columns(&names);
                ProjectionRequest::from_schema(schema.map_err(failed)?)
            } else {
                ProjectionRequest::from_schema(projection)
            };
            return Ok(Self {
                schema,
                how: How::Lance(request),
            });
        }
        let store = shared.dataset.object_store(None).await.map_err(failed)?;
        let scheduler = match page_cache::for_rows(&store) {
            // A batch needs all that it asks for, so nothing is held back.
            Some(local) => ScanScheduler::new(local, SchedulerConfig::new(0).with_lite_scheduler()),
            None => ScanScheduler::new(store.clone(), SchedulerConfig::max_bandwidth(&store)),
        };
        Ok(Self {
            schema,
            how: How::Fragments(Fragments {
                projection,
                with_row_id,
                scheduler,
                open: Mutex::default(),
            }),
        })
    }

    /// The rows at `places`, in that order; repeats are allowed. `shared` is the dataset for which this was made.
    pub async fn read(&self, shared: &Shared, places: &[Place]) -> Result<RecordBatch> {
        if places.is_empty() {
            return Ok(RecordBatch::new_empty(self.schema.clone()));
        }
        match &self.how {
            How::Fragments(fragments) => fragments.read(shared, places).await,
            How::Lance(request) => self.read_by_lance(shared, request, places).await,
        }
    }

    async fn read_by_lance(
        &self,
        shared: &Shared,
        request: &ProjectionRequest,
        places: &[Place],
    ) -> Result<RecordBatch> {
        let fragments = shared.fragments().await?;
        let rows: Vec<u64> = places
            .iter()
            .map(|place| fragments.starts[fragments.by_id[&place.fragment]] + place.row)
            .collect();
        let what = format!("taking {} rows", rows.len());
        let batch = shared.dataset.take(&rows, request.clone()).await;
        let batch = batch.map_err(|e| shared.failed(&e, Stage::Read, &what))?;
        if batch.num_rows() != rows.len() {
            return Err(Failure::new(
                Code::CorruptData,
                format!("{what} of '{}' gave {}", shared.uri, batch.num_rows()),
            ));
        }
        // In the order that was asked for, whatever Lance made of it.
        let fields = self.schema.fields.iter();
        let order = fields.map(|f| batch.schema().index_of(f.name()));
        order
            .collect::<std::result::Result<Vec<_>, _>>()
            .and_then(|order| batch.project(&order))
            .map_err(|e| Failure::internal(format!("{what} of '{}': {e}", shared.uri)))
    }
}

/// Whether there is JSON among the columns, which Lance keeps in a binary form of its own.
pub fn has_json(projection: &Schema) -> bool {
    projection.fields_pre_order().any(|field| {
        let extension = field.metadata.get("ARROW:extension:name");
        extension.is_some_and(|name| name == "lance.json")
    })
}

impl Fragments {
    async fn read(&self, shared: &Shared, places: &[Place]) -> Result<RecordBatch> {
        let (parts, order) = plan(places);
        let reads = parts.iter().map(|part| self.read_part(shared, part));
        let batches = try_join_all(reads).await?;
        if let [batch] = &batches[..]
            && batch.num_rows() == order.len()
            && order.iter().enumerate().all(|(i, (_, row))| i == *row)
        {
            return Ok(batch.clone());
        }
        let columns = (0..batches[0].num_columns()).map(|column| {
            let arrays: Vec<&dyn Array> = batches
                .iter()
                .map(|batch| batch.column(column).as_ref())
                .collect();
            interleave(&arrays, &order)
        });
        columns
            .collect::<std::result::Result<Vec<_>, _>>()
            .and_then(|columns| RecordBatch::try_new(batches[0].schema(), columns))
            .map_err(|e| from_arrow(&e).while_doing("putting rows in their order"))
    }

    async fn read_part(&self, shared: &Shared, part: &Part) -> Result<RecordBatch> {
        let open = self.open(shared, part.fragment).await?;
        let rows: Vec<u32> = part
            .rows
            .iter()
            // A fragment has less than 2^32 rows.
            .map(|row| physical(&open.deleted, *row) as u32)
            .collect();
        let failed = |e: lance::Error| {
            let what = format!("reading {} rows of fragment {}", rows.len(), part.fragment);
            shared.failed(&e, Stage::Read, &what)
        };
        // As indices, though there may be ranges among them: for ranges, Lance would decode on another thread.
        let stream = open.reader.take(&rows, u32::MAX, None).await;
        let batches = stream.map_err(failed)?.buffered(1);
        let mut batches: Vec<RecordBatch> = batches.try_collect().await.map_err(failed)?;
        let batch = match batches.len() {
            1 => batches.remove(0),
            0 => RecordBatch::new_empty(Arc::new(arrow_schema(&self.projection, self.with_row_id))),
            _ => concat_batches(&batches[0].schema(), &batches).map_err(|e| from_arrow(&e))?,
        };
        if batch.num_rows() == rows.len() {
            return Ok(batch);
        }
        Err(Failure::new(
            Code::CorruptData,
            format!(
                "fragment {} of '{}' gave {} rows, where {} were expected",
                part.fragment,
                shared.uri,
                batch.num_rows(),
                rows.len()
            ),
        ))
    }

    async fn open(&self, shared: &Shared, id: u64) -> Result<Arc<OpenFragment>> {
        let known = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = known().get(&id) {
            return Ok(open.clone());
        }
        // Two that come at once both open it, and one of the readers is kept.
        let fragment = shared.fragment(id)?;
        let config = FragReadConfig::default()
            .with_row_id(self.with_row_id)
            .with_scan_scheduler(self.scheduler.clone());
        let reader = fragment.open(&self.projection, config).await;
        let open = Arc::new(OpenFragment {
            reader: reader
                .map_err(|e| shared.failed(&e, Stage::Read, &format!("opening fragment {id}")))?,
            deleted: shared.deleted_rows(&fragment).await?,
        });
        let mut known = known();
        if known.len() >= OPEN_READERS {
            known.clear();
        }
        known.insert(id, open.clone());
        Ok(open)
    }
}

/// What to read of which fragment, and for each place where its row is then: the part, and the row in it.
fn plan(places: &[Place]) -> (Vec<Part>, Vec<(usize, usize)>) {
    let mut sorted: Vec<(Place, usize)> = places.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    let mut parts: Vec<Part> = Vec::new();
    let mut order = vec![(0, 0); places.len()];
    let mut last = None;
    for (place, index) in sorted {
        if last.is_none_or(|last: Place| last.fragment != place.fragment) {
            parts.push(Part {
                fragment: place.fragment,
                rows: Vec::new(),
            });
        }
        let part = parts.len() - 1;
        if last != Some(place) {
            parts[part].rows.push(place.row);
        }
        order[index] = (part, parts[part].rows.len() - 1);
        last = Some(place);
    }
    (parts, order)
}

/// Where the live row at `position` is in the files.
pub fn physical(deleted: &[u64], position: u64) -> u64 {
    // deleted[i] - i live rows precede deleted[i]; that never descends.
    let mut low = 0;
    let mut high = deleted.len();
    while low < high {
        let middle = (low + high) / 2;
        if deleted[middle] - middle as u64 <= position {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    position + low as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_each_row_once_and_ascending() {
        let place = |fragment, row| Place { fragment, row };
        let places = [
            place(7, 3),
            place(2, 9),
            place(7, 3),
            place(7, 1),
            place(2, 9),
            place(2, 0),
        ];
        let (parts, order) = plan(&places);
        let found: Vec<_> = parts.iter().map(|p| (p.fragment, p.rows.clone())).collect();
        assert_eq!(found, [(2, vec![0, 9]), (7, vec![1, 3])]);
        assert_eq!(order, [(1, 1), (0, 1), (1, 1), (1, 0), (0, 1), (0, 0)]);
        assert_eq!(plan(&[]).0.len(), 0);
    }
}
