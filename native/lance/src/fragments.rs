// SPDX-License-Identifier: Apache-2.0

//! Fragments that many processes have written apart, as texts that travel between them, and their one commit.
//!
//! A text is `lancetorch-fragments-1 CRC JSON`: the CRC-32 of the JSON in hexadecimal, and
//! `{"fields": [{"id", "path", "type", "nullable"}, ...], "fragments": [...]}`, where the fragments are Lance's own JSON, and
//! the fields are those of the schema that they were written with, by the ids that Lance gave them.

use std::collections::{HashMap, HashSet};
use std::ffi::c_char;
use std::sync::Arc;

use arrow::datatypes::Schema as ArrowSchema;
use arrow::ffi::FFI_ArrowSchema;
use futures::{StreamExt, TryStreamExt, stream};
use lance::Dataset;
use lance::dataset::transaction::{Operation, Transaction};
use lance::dataset::{CommitBuilder, InsertBuilder, WriteDestination};
use lance::datatypes::Schema;
use lance::deps::datafusion::physical_plan::SendableRecordBatchStream;
use lance::deps::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use lance::table::format::{DataFile, Fragment};
use lance_file::version::ConcreteFileVersion;
use lance_io::object_store::ObjectStore;
use serde_json::{Value, json};

use crate::abi::{LtError, LtWriteOptions, borrowed, slice, text};
use crate::error::{Code, Failure, Result, Stage, describe as describe_error, from_lance, guard};
use crate::runtime::{block_on, spawn};
use crate::write::{Request, import_schema};

const MAGIC: &str = "lancetorch-fragments-1";

/// Where Lance keeps data files, below the dataset's folder.
const DATA: &str = "data";

/// `lt_dataset_commit` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_dataset_commit(
    uri: *const c_char,
    schema: *const FFI_ArrowSchema,
    options: *const LtWriteOptions,
    parts: *const *const c_char,
    part_count: i64,
    version: *mut u64,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: each NULL or valid.
        let (request, schema, parts) = unsafe {
            (
                Request::new(uri, options)?,
                import_schema(borrowed(schema, "schema")?)?,
                slice(parts, part_count, "parts")?,
            )
        };
        let parts = parts
            .iter()
            .enumerate()
            .map(|(i, part)| {
                // SAFETY: as above.
                let part = unsafe { text(*part, &format!("parts[{i}]")) }?;
                Part::read(part).map_err(|failure| of_part(&request.uri, i, failure))
            })
            .collect::<Result<Vec<Part>>>()?;
        let committed = block_on(spawn(commit(request, Arc::new(schema), parts)))?;
        if !version.is_null() {
            // SAFETY: lance.h: NULL or the caller's.
            unsafe { version.write(committed) };
        }
        Ok(())
    })
}

fn of_part(uri: &str, index: usize, failure: Failure) -> Failure {
    failure
        .while_doing(&format!("part {index} of a commit to '{uri}'"))
        .with_detail(index)
}

/// A column, or a part of one, as the fragments' files know it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldOf {
    id: i64,
    path: String,
    kind: String,
    nullable: bool,
}

fn fields_of(schema: &Schema) -> Vec<FieldOf> {
    schema
        .fields_pre_order()
        .map(|field| FieldOf {
            id: i64::from(field.id),
            path: schema
                .field_path(field.id)
                .unwrap_or_else(|_| field.name.clone()),
            kind: field.logical_type.to_string(),
            nullable: field.nullable,
        })
        .collect()
}

/// The fragments that `transaction` would commit, as text. `found`: the dataset that they are to be added to, if any.
pub fn describe(transaction: &Transaction, found: Option<&Dataset>) -> Result<String> {
    let (fragments, schema) = match (&transaction.operation, found) {
        (
            Operation::Overwrite {
                fragments, schema, ..
            },
            _,
        ) => (fragments, schema),
        (Operation::Append { fragments }, Some(dataset)) => (fragments, dataset.schema()),
        (other, _) => {
            return Err(Failure::internal(format!(
                "a write of fragments made a transaction of another kind: {}",
                other.name()
            )));
        }
    };
    let fields: Vec<Value> = fields_of(schema)
        .into_iter()
        .map(|f| json!({"id": f.id, "path": f.path, "type": f.kind, "nullable": f.nullable}))
        .collect();
    let fragments = serde_json::to_value(fragments)
        .map_err(|e| Failure::internal(format!("fragments as JSON: {e}")))?;
    let json = json!({"fields": fields, "fragments": fragments}).to_string();
    Ok(format!(
        "{MAGIC} {:08x} {json}",
        crc32fast::hash(json.as_bytes())
    ))
}

/// What one process has written.
struct Part {
    fields: Vec<FieldOf>,
    fragments: Vec<Fragment>,
}

impl Part {
    fn read(text: &str) -> Result<Self> {
        let damaged = |what: String| {
            Failure::new(
                Code::CorruptData,
                format!("not the text of written fragments, or damaged: {what}"),
            )
        };
        let mut words = text.splitn(3, ' ');
        let (magic, sum, json) = (words.next(), words.next(), words.next());
        if magic != Some(MAGIC) {
            return Err(damaged(format!("it does not begin with {MAGIC}")));
        }
        let json = json.ok_or_else(|| damaged("it ends early".to_string()))?;
        if sum != Some(&format!("{:08x}", crc32fast::hash(json.as_bytes()))) {
            return Err(damaged("its checksum does not fit its bytes".to_string()));
        }
        let mut value: Value = serde_json::from_str(json).map_err(|e| damaged(e.to_string()))?;
        let fragments = value.get_mut("fragments").map(Value::take);
        let fragments = fragments.ok_or_else(|| damaged("it has no fragments".to_string()))?;
        let fields = value["fields"]
            .as_array()
            .ok_or_else(|| damaged("it has no fields".to_string()))?
            .iter()
            .map(|field| {
                Some(FieldOf {
                    id: field["id"].as_i64()?,
                    path: field["path"].as_str()?.to_string(),
                    kind: field["type"].as_str()?.to_string(),
                    nullable: field["nullable"].as_bool()?,
                })
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| damaged("a field lacks something".to_string()))?;
        let fragments: Vec<Fragment> =
            serde_json::from_value(fragments).map_err(|e| damaged(e.to_string()))?;
        let mut part = Self { fields, fragments };
        for fragment in &mut part.fragments {
            // Lance numbers those that have no number yet.
            fragment.id = 0;
            check(fragment).map_err(damaged)?;
        }
        Ok(part)
    }

    /// Checks that the files' ids of fields mean the same in the schema of the dataset. With `all`, that has no other fields.
    fn fits(&self, target: &[FieldOf], all: bool) -> Result<()> {
        let by_id: HashMap<i64, &FieldOf> = target.iter().map(|f| (f.id, f)).collect();
        for field in &self.fields {
            let same = by_id.get(&field.id).is_some_and(|there| {
                there.path == field.path
                    && there.kind == field.kind
                    && (there.nullable || !field.nullable)
            });
            if same {
                continue;
            }
            let there = target.iter().find(|f| f.path == field.path);
            let path = &field.path;
            return Err(Failure::invalid(match there {
                None => format!(
                    "it has the column '{path}' ({}), which the schema has not",
                    field.kind
                ),
                Some(there) if there.kind != field.kind => format!(
                    "its column '{path}' is {}, but {} in the schema",
                    field.kind, there.kind
                ),
                Some(there) if there.id != field.id => format!(
                    "its column '{path}' has the field id {}, but {} in the schema: to append, write the fragments to the \
                     dataset as it is now, with LT_WRITE_APPEND",
                    field.id, there.id
                ),
                Some(_) => format!("its column '{path}' may have nulls, but not in the schema"),
            }));
        }
        match target
            .iter()
            .find(|f| all && !self.fields.iter().any(|own| own.id == f.id))
        {
            Some(missing) => Err(Failure::invalid(format!(
                "it lacks the column '{}' ({}) of the schema",
                missing.path, missing.kind
            ))),
            None => Ok(()),
        }
    }
}

/// Whether a fragment is one that a writer has just written: plain files in the dataset's own folder, and rows.
fn check(fragment: &Fragment) -> std::result::Result<(), String> {
    let plain = |path: &str| {
        path.ends_with(".lance")
            && !path.starts_with('.')
            && path
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    if fragment.deletion_file.is_some()
        || !fragment.overlays.is_empty()
        || fragment.row_id_meta.is_some()
        || fragment.physical_rows.is_none_or(|rows| rows == 0)
        || fragment.files.is_empty()
    {
        return Err("a fragment is not one that was just written".to_string());
    }
    if let Some(Err(e)) = fragment
        .files
        .iter()
        .map(|file| file.file_version())
        .find(|version| version.is_err())
    {
        return Err(describe_error(&e));
    }
    match fragment
        .files
        .iter()
        .find(|file| file.base_id.is_some() || !plain(&file.path))
    {
        Some(file) => Err(format!(
            "it names the file '{}', which is outside of the dataset's data",
            file.path
        )),
        None => Ok(()),
    }
}

/// Makes one version of all parts, in their order.
async fn commit(request: Request, schema: Arc<ArrowSchema>, parts: Vec<Part>) -> Result<u64> {
    let found = request.find().await?;
    let destination = || match &found {
        Some(dataset) => WriteDestination::Dataset(dataset.clone()),
        None => WriteDestination::Uri(&request.uri),
    };
    // A write of no rows: its transaction has the schema, ids of fields and settings of every writer's, and its checks.
    let nothing: SendableRecordBatchStream =
        Box::pin(RecordBatchStreamAdapter::new(schema, stream::empty()));
    let mut transaction = InsertBuilder::new(destination())
        .with_params(&request.params)
        .execute_uncommitted_stream(nothing)
        .await
        .map_err(|e| request.failed(&e))?;
    let target = match (&transaction.operation, &found) {
        (Operation::Append { .. }, Some(dataset)) => fields_of(dataset.schema()),
        (Operation::Overwrite { schema, .. }, _) => fields_of(schema),
        _ => Vec::new(),
    };
    let appends = matches!(transaction.operation, Operation::Append { .. });
    for (i, part) in parts.iter().enumerate() {
        part.fits(&target, !appends)
            .map_err(|failure| of_part(&request.uri, i, failure))?;
    }
    check_formats(&request, found.as_deref().filter(|_| appends), &parts)?;
    check_files(&request, found.as_deref().filter(|_| appends), &parts).await?;
    let mut all: Vec<Fragment> = parts.into_iter().flat_map(|part| part.fragments).collect();
    let mut builder = CommitBuilder::new(destination())
        .use_stable_row_ids(request.params.enable_stable_row_ids)
        .enable_v2_manifest_paths(request.params.enable_v2_manifest_paths)
        .with_skip_auto_cleanup(request.params.skip_auto_cleanup);
    let written = all.first().and_then(|f| f.files.first());
    let written = written.and_then(|file| file.file_version().ok().map(|v| v.to_selector()));
    if let Some(version) = request.params.data_storage_version.or(written) {
        builder = builder.with_storage_format(version);
    }
    if let Some(params) = &request.params.store_params {
        builder = builder.with_store_params(params.clone());
    }
    if request.create {
        // Without retries, Lance follows on no version but the one that was read, which was none: else a dataset that has come
        // into being meanwhile would be overwritten.
        builder = builder.with_max_retries(0);
    }
    if let Operation::Append { fragments } | Operation::Overwrite { fragments, .. } =
        &mut transaction.operation
    {
        fragments.append(&mut all);
    }
    match builder.execute(transaction).await {
        Ok(dataset) => Ok(dataset.version_id()),
        Err(e) => Err(not_committed(&request, &e).await),
    }
}

/// Checks that Lance's first file format is not mixed with later ones, which the dataset could not be read with.
fn check_formats(request: &Request, dataset: Option<&Dataset>, parts: &[Part]) -> Result<()> {
    let is_first = |version: ConcreteFileVersion| version == ConcreteFileVersion::V1;
    let mut expected =
        dataset.map(|d| is_first(d.manifest().data_storage_format.lance_file_format()));
    for (i, part) in parts.iter().enumerate() {
        for file in part.fragments.iter().flat_map(|f| f.files.iter()) {
            let version = file.file_version().map_err(|e| request.failed(&e))?;
            if *expected.get_or_insert(is_first(version)) != is_first(version) {
                let failure = Failure::invalid(format!(
                    "its files are of format {version}, which cannot be mixed with that of the others"
                ));
                return Err(of_part(&request.uri, i, failure));
            }
        }
    }
    Ok(())
}

/// Checks that the parts' files are there, once each, and not in the dataset yet. Rows would be lost, or come twice.
async fn check_files(request: &Request, dataset: Option<&Dataset>, parts: &[Part]) -> Result<()> {
    let known: HashSet<&str> = dataset
        .iter()
        .flat_map(|dataset| dataset.manifest().fragments.iter())
        .flat_map(|fragment| fragment.files.iter().map(|file| file.path.as_str()))
        .collect();
    let mut files = Vec::new();
    let mut seen = HashMap::new();
    for (i, part) in parts.iter().enumerate() {
        for file in part.fragments.iter().flat_map(|f| f.files.iter()) {
            let twice = if known.contains(file.path.as_str()) {
                Some(
                    "is in the dataset already: were these fragments committed before?".to_string(),
                )
            } else {
                seen.insert(file.path.as_str(), i)
                    .map(|other| format!("is in part {other} too"))
            };
            if let Some(why) = twice {
                let failure = Failure::invalid(format!("its file '{}' {why}", file.path));
                return Err(of_part(&request.uri, i, failure));
            }
            files.push((i, file.clone()));
        }
    }
    let params = request.params.store_params.clone().unwrap_or_default();
    let (store, base) = ObjectStore::from_uri_and_params(Default::default(), &request.uri, &params)
        .await
        .map_err(|e| request.failed(&e))?;
    let base = base.join(DATA);
    stream::iter(files)
        .map(|(i, file)| {
            let path = base.clone().join(file.path.as_str());
            let store = store.clone();
            async move {
                let size = store.size(&path).await;
                check_size(&file, size).map_err(|failure| of_part(&request.uri, i, failure))
            }
        })
        .buffered(16)
        .try_collect()
        .await
}

fn check_size(file: &DataFile, size: lance::Result<u64>) -> Result<()> {
    match (size, file.file_size_bytes.get()) {
        (Ok(size), Some(written)) if written.get() != size => Err(Failure::new(
            Code::CorruptData,
            format!(
                "its file '{}' has {size} bytes, but {written} were written",
                file.path
            ),
        )),
        (Ok(_), _) => Ok(()),
        (Err(e), _) => Err(missing(&file.path, from_lance(&e, Stage::Write))),
    }
}

fn missing(path: &str, failure: Failure) -> Failure {
    if failure.code != Code::NotFound {
        return failure;
    }
    Failure::new(
        Code::NotFound,
        format!(
            "its file '{path}' is not there: were the fragments written elsewhere, or cleaned up since?"
        ),
    )
}

/// Why a commit failed, and what helps: another process's commit, or anything else.
async fn not_committed(request: &Request, error: &lance::Error) -> Failure {
    use lance::Error as E;
    let conflict = matches!(
        error,
        E::CommitConflict { .. }
            | E::IncompatibleTransaction { .. }
            | E::RetryableCommitConflict { .. }
            | E::TooMuchWriteContention { .. }
            | E::DatasetAlreadyExists { .. }
    );
    let failure = request.failed(error);
    if !conflict && !request.create {
        return failure;
    }
    // Where the dataset has come into being meanwhile, this says so.
    match request.find().await {
        Err(found) => found,
        Ok(_) if !conflict => failure,
        Ok(_) => Failure::new(
            Code::Io,
            format!(
                "{}; another process has committed to it meanwhile: the fragments are still there, so they can be committed \
                 once more",
                failure.message
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::LtWriteProgress;
    use crate::testing::*;
    use crate::write::*;
    use arrow::array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StructArray};
    use arrow::ffi::FFI_ArrowArray;
    use std::ffi::{CStr, CString};

    const CREATE: i32 = 0;
    const APPEND: i32 = 1;
    const OVERWRITE: i32 = 2;

    struct Target {
        dir: tempfile::TempDir,
    }

    impl Target {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self { dir }
        }

        fn uri(&self) -> String {
            let uri = self.dir.path().join("w.lance");
            uri.to_str().unwrap().to_string()
        }

        fn options(mode: i32) -> LtWriteOptions {
            LtWriteOptions {
                mode,
                option_count: 0,
                options: std::ptr::null(),
                max_rows_per_file: 10,
                data_storage_version: std::ptr::null(),
                progress: std::ptr::null_mut(),
            }
        }

        fn write_with(&self, options: &LtWriteOptions, batch: &RecordBatch) -> Result<String> {
            let uri = CString::new(self.uri()).unwrap();
            let schema = FFI_ArrowSchema::try_from(batch.schema().as_ref()).unwrap();
            let mut writer = std::ptr::null_mut();
            outcome(|err| unsafe {
                lt_fragment_writer_open(uri.as_ptr(), &schema, options, &mut writer, err)
            })?;
            let array = FFI_ArrowArray::new(&StructArray::from(batch.clone()).into_data());
            if let Err(failure) = outcome(|err| unsafe { lt_writer_write(writer, &array, err) }) {
                unsafe { lt_writer_abort(writer) };
                return Err(failure);
            }
            let mut part = std::ptr::null_mut();
            outcome(|err| unsafe { lt_fragment_writer_finish(writer, &mut part, err) })?;
            let text = unsafe { CStr::from_ptr(part) }
                .to_str()
                .unwrap()
                .to_string();
            unsafe { lt_text_free(part) };
            Ok(text)
        }

        fn write(&self, mode: i32, ids: std::ops::Range<i64>) -> String {
            self.write_with(&Self::options(mode), &batch_of(ids))
                .unwrap()
        }

        fn commit_as(&self, mode: i32, schema: &ArrowSchema, parts: &[&str]) -> Result<u64> {
            let uri = CString::new(self.uri()).unwrap();
            let schema = FFI_ArrowSchema::try_from(schema).unwrap();
            let parts: Vec<CString> = parts.iter().map(|p| CString::new(*p).unwrap()).collect();
            let parts: Vec<*const c_char> = parts.iter().map(|p| p.as_ptr()).collect();
            let mut version = 0;
            outcome(|err| unsafe {
                lt_dataset_commit(
                    uri.as_ptr(),
                    &schema,
                    &Self::options(mode),
                    parts.as_ptr(),
                    parts.len() as i64,
                    &mut version,
                    err,
                )
            })?;
            Ok(version)
        }

        fn commit(&self, mode: i32, parts: &[&str]) -> Result<u64> {
            self.commit_as(mode, &schema(), parts)
        }

        fn ids(&self) -> Vec<i64> {
            let dataset = try_open(&self.uri(), 0, None).unwrap();
            dataset.ids(&Spec::default()).unwrap().concat()
        }
    }

    fn sealed(json: &str) -> String {
        format!("{MAGIC} {:08x} {json}", crc32fast::hash(json.as_bytes()))
    }

    #[test]
    fn what_many_writers_wrote_is_one_version_in_the_order_of_the_parts() {
        let _alone = alone();
        let target = Target::new();
        let (a, b) = (target.write(CREATE, 0..25), target.write(CREATE, 25..30));
        let nothing = target.write(CREATE, 0..0);
        assert_eq!(
            try_open(&target.uri(), 0, None).unwrap_err().code,
            Code::NotFound
        );
        assert_eq!(target.commit(CREATE, &[&b, &nothing, &a]).unwrap(), 1);
        assert_eq!(target.ids(), (25..30).chain(0..25).collect::<Vec<_>>());
        let dataset = try_open(&target.uri(), 0, None).unwrap();
        let rows: Vec<_> = dataset.fragments().iter().map(|f| (f.id, f.rows)).collect();
        assert_eq!(rows, [(0, 5), (1, 10), (2, 10), (3, 5)]);
        let batches = dataset.read(&Spec::default()).unwrap();
        assert_eq!(batches[0].columns()[1..], batch_of(25..30).columns()[1..]);
        let metadata =
            crate::dataset::arrow_schema(unsafe { &*dataset.0 }.shared.dataset.schema(), false)
                .metadata;
        assert_eq!(metadata["classes"], "a,b");
        drop(dataset);

        // added, and put in the place of all
        let (c, d) = (target.write(APPEND, 30..33), target.write(APPEND, 33..35));
        assert_eq!(target.commit(APPEND, &[&c, &d]).unwrap(), 2);
        assert_eq!(target.ids().len(), 35);
        assert_eq!(target.ids()[30..], [30, 31, 32, 33, 34]);
        let e = target.write(OVERWRITE, 7..9);
        assert_eq!(target.commit(OVERWRITE, &[&e]).unwrap(), 3);
        assert_eq!(target.ids(), [7, 8]);
        assert_eq!(try_open(&target.uri(), 1, None).unwrap().rows(), 30);
        assert_eq!(target.commit(OVERWRITE, &[]).unwrap(), 4);
        assert_eq!(target.ids(), [0; 0]);
    }

    #[test]
    fn every_storage_version_can_be_written_apart() {
        let _alone = alone();
        for version in [c"legacy", c"2.0", c"2.1", c"2.2"] {
            let target = Target::new();
            let mut progress = LtWriteProgress::default();
            let options = LtWriteOptions {
                data_storage_version: version.as_ptr(),
                progress: &mut progress,
                ..Target::options(CREATE)
            };
            let part = target.write_with(&options, &batch_of(0..15)).unwrap();
            assert_eq!((progress.rows, progress.fragments), (15, 2));
            target.commit(CREATE, &[&part]).unwrap();
            let more = target.write(APPEND, 15..18);
            target.commit(APPEND, &[&more]).unwrap();
            assert_eq!(target.ids(), (0..18).collect::<Vec<_>>(), "{version:?}");
        }
        // the first one goes with none of the others
        let target = Target::new();
        let first = LtWriteOptions {
            data_storage_version: c"legacy".as_ptr(),
            ..Target::options(CREATE)
        };
        let first = target.write_with(&first, &batch_of(0..5)).unwrap();
        let failure = target
            .commit(CREATE, &[&first, &target.write(CREATE, 5..9)])
            .unwrap_err();
        assert_eq!(
            (failure.code, failure.detail),
            (Code::InvalidArgument, 1),
            "{failure:?}"
        );
    }

    #[test]
    fn a_part_of_another_schema_is_named() {
        let _alone = alone();
        let target = Target::new();
        let good = target.write(CREATE, 0..5);
        let other = |name: &str, column: ArrayRef| {
            let mut columns: Vec<(String, ArrayRef)> = vec![(name.to_string(), column)];
            for (i, name) in [(1, "vec"), (2, "image")] {
                columns.push((name.to_string(), batch_of(0..2).column(i).clone()));
            }
            RecordBatch::try_from_iter(columns).unwrap()
        };
        for (batch, expected) in [
            (
                other("id", Arc::new(Int32Array::from(vec![1, 2]))),
                "its column 'id' is int32, but int64",
            ),
            (
                other("name", Arc::new(Int64Array::from(vec![1, 2]))),
                "the column 'name' (int64), which the schema has not",
            ),
            (
                batch_of(0..2).project(&[0, 1]).unwrap(),
                "lacks the column 'image'",
            ),
            (
                batch_of(0..2).project(&[1, 0, 2]).unwrap(),
                "its column 'vec' has the field id 0, but 1",
            ),
        ] {
            let part = target.write_with(&Target::options(CREATE), &batch).unwrap();
            let failure = target.commit(CREATE, &[&good, &part]).unwrap_err();
            assert_eq!(
                (failure.code, failure.detail),
                (Code::InvalidArgument, 1),
                "{failure:?}"
            );
            assert!(failure.message.contains(expected), "{failure:?}");
        }
        // nothing was committed, and the good part still can be
        target.commit(CREATE, &[&good]).unwrap();
        // to a dataset that has changed meanwhile
        let late = target.write(APPEND, 5..8);
        let renamed = batch_of(0..2).project(&[2, 0]).unwrap();
        let part = target
            .write_with(&Target::options(OVERWRITE), &renamed)
            .unwrap();
        target
            .commit_as(OVERWRITE, &renamed.schema(), &[&part])
            .unwrap();
        let failure = target
            .commit_as(APPEND, &renamed.schema(), &[&late])
            .unwrap_err();
        assert_eq!(
            (failure.code, failure.detail),
            (Code::InvalidArgument, 0),
            "{failure:?}"
        );
    }

    #[test]
    fn modes_check_what_is_there_when_it_is_committed() {
        let _alone = alone();
        let target = Target::new();
        let (a, b) = (target.write(CREATE, 0..5), target.write(CREATE, 5..9));
        let failure = target.commit(APPEND, &[&a]).unwrap_err();
        assert_eq!(failure.code, Code::NotFound, "{failure:?}");
        target.commit(CREATE, &[&a]).unwrap();
        let failure = target.commit(CREATE, &[&b]).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
        assert!(failure.message.contains("already"), "{failure:?}");
        let failure = target
            .write_with(&Target::options(CREATE), &batch_of(0..1))
            .unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
        // fragments of a new dataset fit one of the same schema
        assert_eq!(target.commit(APPEND, &[&b]).unwrap(), 2);
        assert_eq!(target.ids(), (0..9).collect::<Vec<_>>());
    }

    #[test]
    fn rows_are_neither_committed_twice_nor_without_their_files() {
        let _alone = alone();
        let target = Target::new();
        let (a, b) = (target.write(CREATE, 0..5), target.write(CREATE, 5..9));
        let failure = target.commit(CREATE, &[&a, &b, &a]).unwrap_err();
        assert_eq!(
            (failure.code, failure.detail),
            (Code::InvalidArgument, 2),
            "{failure:?}"
        );
        assert!(failure.message.contains("part 0 too"), "{failure:?}");
        target.commit(CREATE, &[&a]).unwrap();
        let failure = target.commit(APPEND, &[&b, &a]).unwrap_err();
        assert_eq!(
            (failure.code, failure.detail),
            (Code::InvalidArgument, 1),
            "{failure:?}"
        );
        assert!(failure.message.contains("already"), "{failure:?}");
        // written elsewhere
        let elsewhere = Target::new().write(CREATE, 0..5);
        let failure = target.commit(APPEND, &[&elsewhere]).unwrap_err();
        assert_eq!((failure.code, failure.detail), (Code::NotFound, 0));
        assert!(failure.message.contains(&target.uri()), "{failure:?}");
        // cut short
        let part = Part::read(&b).unwrap();
        let file = target.dir.path().join("w.lance/data");
        let file = file.join(&part.fragments[0].files[0].path);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        let failure = target.commit(APPEND, &[&b]).unwrap_err();
        assert_eq!((failure.code, failure.detail), (Code::CorruptData, 0));
        std::fs::write(&file, &bytes).unwrap();
        target.commit(APPEND, &[&b]).unwrap();
        assert_eq!(target.ids(), (0..9).collect::<Vec<_>>());
    }

    #[test]
    fn commits_at_once_lose_no_row() {
        let _alone = alone();
        let target = Target::new();
        target
            .commit(CREATE, &[&target.write(CREATE, 0..1)])
            .unwrap();
        let parts: Vec<String> = (1..7).map(|i| target.write(APPEND, i..i + 1)).collect();
        std::thread::scope(|scope| {
            for part in &parts {
                scope.spawn(|| target.commit(APPEND, &[part]).unwrap());
            }
        });
        let mut ids = target.ids();
        ids.sort_unstable();
        assert_eq!(ids, (0..7).collect::<Vec<_>>());
        assert_eq!(try_open(&target.uri(), 0, None).unwrap().version(), 7);
        // of those that make the same dataset, one wins
        for _ in 0..20 {
            one_of_many_creates();
        }
    }

    fn one_of_many_creates() {
        let target = Target::new();
        let parts: Vec<String> = (0..4).map(|i| target.write(CREATE, i..i + 1)).collect();
        let won: Vec<i64> = std::thread::scope(|scope| {
            let tasks: Vec<_> = parts
                .iter()
                .map(|part| scope.spawn(|| target.commit(CREATE, &[part])))
                .collect();
            let results = tasks.into_iter().map(|task| task.join().unwrap());
            let won = results.enumerate().filter_map(|(i, result)| match result {
                Ok(_) => Some(i as i64),
                Err(failure) => {
                    assert_eq!(failure.code, Code::InvalidArgument, "{failure:?}");
                    None
                }
            });
            won.collect()
        });
        assert_eq!(won.len(), 1);
        assert_eq!(target.ids(), won);
    }

    #[test]
    fn damaged_parts_are_refused() {
        let _alone = alone();
        let target = Target::new();
        let part = target.write(CREATE, 0..25);
        let refused = |text: &str| {
            let failure = target.commit(CREATE, &[text]).unwrap_err();
            assert_eq!(
                (failure.code, failure.detail),
                (Code::CorruptData, 0),
                "{failure:?}"
            );
            failure.message
        };
        refused("");
        refused("{}");
        refused(MAGIC);
        refused(&sealed(""));
        refused(&sealed("{}"));
        refused(&sealed("7"));
        refused(&sealed(&"[".repeat(100_000)));
        refused(&sealed(r#"{"fields": [{"id": 0}], "fragments": []}"#));
        // each byte changed, and each beginning
        for at in 0..part.len() {
            let mut bytes = part.clone().into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'7' } else { b'1' };
            refused(&String::from_utf8(bytes).unwrap());
            if at % 7 == 0 {
                refused(&part[..at]);
            }
        }
        // well sealed, but not what a writer wrote: a file elsewhere, no rows, no files
        let json = part.splitn(3, ' ').nth(2).unwrap();
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut value: Value = serde_json::from_str(json).unwrap();
            change(&mut value);
            sealed(&value.to_string())
        };
        for path in [
            "../../etc/passwd",
            "/etc/passwd.lance",
            "a/b.lance",
            "..lance",
            "s3://x/y.lance",
            "",
        ] {
            let text = changed(&|v| v["fragments"][0]["files"][0]["path"] = json!(path));
            assert!(refused(&text).contains("outside"));
        }
        refused(&changed(&|v| {
            v["fragments"][0]["files"][0]["base_id"] = json!(1)
        }));
        refused(&changed(&|v| v["fragments"][0]["physical_rows"] = json!(0)));
        refused(&changed(&|v| {
            v["fragments"][0]["physical_rows"] = json!(-1)
        }));
        refused(&changed(&|v| v["fragments"][0]["files"] = json!([])));
        refused(&changed(&|v| v["fragments"] = json!(7)));
        // none of this harms the part itself
        target.commit(CREATE, &[&part]).unwrap();
        assert_eq!(target.ids().len(), 25);
    }

    #[test]
    fn a_writer_of_fragments_ends_as_one() {
        let _alone = alone();
        let target = Target::new();
        let uri = CString::new(target.uri()).unwrap();
        let schema = FFI_ArrowSchema::try_from(schema().as_ref()).unwrap();
        let open = |opened: unsafe extern "C" fn(
            *const c_char,
            *const FFI_ArrowSchema,
            *const LtWriteOptions,
            *mut *mut LtWriter,
            *mut LtError,
        ) -> i32| {
            let mut writer = std::ptr::null_mut();
            let options = Target::options(CREATE);
            ok(|err| unsafe { opened(uri.as_ptr(), &schema, &options, &mut writer, err) });
            writer
        };
        let writer = open(lt_fragment_writer_open);
        let f = failure(|err| unsafe { lt_writer_finish(writer, std::ptr::null_mut(), err) });
        assert_eq!(f.code, Code::InvalidArgument, "{f:?}");
        let writer = open(lt_writer_open);
        let mut part = std::ptr::null_mut();
        let f = failure(|err| unsafe { lt_fragment_writer_finish(writer, &mut part, err) });
        assert_eq!(f.code, Code::InvalidArgument, "{f:?}");
        assert!(part.is_null());
        let f = failure(|err| unsafe {
            lt_fragment_writer_finish(std::ptr::null_mut(), &mut part, err)
        });
        assert_eq!(f.message, "writer is NULL");
        unsafe { lt_text_free(std::ptr::null_mut()) };
        assert_eq!(
            try_open(&target.uri(), 0, None).unwrap_err().code,
            Code::NotFound
        );
    }
}
