// SPDX-License-Identifier: Apache-2.0

//! Datasets: open, describe, count.

use std::collections::HashMap;
use std::ffi::c_char;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{DataType, Field};
use arrow::ffi::FFI_ArrowSchema;
use futures::{FutureExt, StreamExt, TryStreamExt};
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::fragment::FileFragment;
use lance::dataset::{ROW_ID, ReadParams};
use lance::datatypes::{BlobHandling, Schema};
use lance_file::reader::FileReaderOptions;
use tokio::sync::OnceCell;

use crate::abi::{
    LtError, LtFragment, LtStorageOption, borrowed, optional_text, out, storage_options, text,
};
use crate::error::{
    Code, Failure, Result, Stage, decoding, from_arrow, from_lance, guard, guard_void,
};
use crate::live::{Counted, Kind};
use crate::rows::RowReader;
use crate::runtime::block_on;

/// `lt_dataset` of lance.h.
pub struct LtDataset {
    pub shared: Arc<Shared>,
    _live: Counted,
}

/// What a dataset's handle and its scans have in common.
pub struct Shared {
    pub dataset: Arc<Dataset>,
    pub uri: String,
    /// Whether its manifest and its blobs may name files outside of its folder.
    pub external_paths: bool,
    fragments: OnceCell<Fragments>,
    /// Those used last, the latest at the end.
    row_readers: Mutex<Vec<(RowColumns, Arc<RowReader>)>>,
}

/// The fragments in order, and where to find each by its id.
pub struct Fragments {
    pub list: Vec<LtFragment>,
    /// For each of the list the rows of the dataset before it.
    pub starts: Vec<u64>,
    pub by_id: HashMap<u64, usize>,
    pub rows: u64,
}

/// Columns, or all of them, and whether there is a row id.
type RowColumns = (Option<Vec<String>>, bool);

/// Sets of columns for which a dataset keeps its readers of rows open.
const ROW_READERS: usize = 8;

impl Shared {
    fn new(dataset: Dataset, uri: &str, external_paths: bool) -> Self {
        Self {
            dataset: Arc::new(dataset),
            uri: uri.to_string(),
            external_paths,
            fragments: OnceCell::new(),
            row_readers: Mutex::default(),
        }
    }

    /// The fragments and their numbers of rows; counted once.
    pub async fn fragments(&self) -> Result<&Fragments> {
        self.fragments
            .get_or_try_init(|| async {
                let list: Vec<LtFragment> = futures::stream::iter(self.dataset.get_fragments())
                    .map(|fragment| async move {
                        let deleted = fragment.count_deletions().await?;
                        let physical = fragment.physical_rows().await?;
                        Ok(LtFragment {
                            id: fragment.id() as u64,
                            rows: physical.saturating_sub(deleted) as u64,
                            deleted_rows: deleted as u64,
                        })
                    })
                    .buffered(16)
                    .try_collect()
                    .await
                    .map_err(|e: lance::Error| self.failed(&e, Stage::Read, "counting the rows"))?;
                let by_id = list.iter().enumerate().map(|(i, f)| (f.id, i)).collect();
                let mut rows = 0;
                let starts = list.iter().map(|f| {
                    rows += f.rows;
                    rows - f.rows
                });
                Ok(Fragments {
                    starts: starts.collect(),
                    list,
                    by_id,
                    rows,
                })
            })
            .await
    }

    /// Lance's own view of a fragment.
    pub fn fragment(&self, id: u64) -> Result<FileFragment> {
        self.dataset.get_fragment(id as usize).ok_or_else(|| {
            Failure::new(
                Code::NotFound,
                format!(
                    "there is no fragment {id} in version {} of '{}', which has {} fragments",
                    self.dataset.version_id(),
                    self.uri,
                    self.dataset.fragments().len()
                ),
            )
        })
    }

    /// The deleted rows of a fragment by their place in its files, ascending.
    pub async fn deleted_rows(&self, fragment: &FileFragment) -> Result<Arc<Vec<u64>>> {
        let vector = fragment.get_deletion_vector().await.map_err(|e| {
            let what = format!("reading the deletions of fragment {}", fragment.id());
            self.failed(&e, Stage::Read, &what)
        })?;
        Ok(Arc::new(vector.map_or_else(Vec::new, |v| {
            v.to_sorted_iter().map(u64::from).collect()
        })))
    }

    /// The version of the files' format, such as "2.1".
    pub fn file_format(&self) -> String {
        // The enum is lance-file's, which is no dependency of ours for one name.
        let format = &self.dataset.manifest().data_storage_format;
        format.lance_file_format().to_string()
    }

    /// Whether the files are of Lance's first format, which reads no lists of ranges.
    pub fn is_legacy(&self) -> bool {
        self.file_format() == "0.1"
    }

    /// A reader of these columns of any rows, which is kept for the next time.
    pub async fn row_reader(
        &self,
        columns: Option<Vec<String>>,
        with_row_id: bool,
    ) -> Result<Arc<RowReader>> {
        let key = (columns, with_row_id);
        let known = || {
            self.row_readers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        {
            let mut known = known();
            if let Some(at) = known.iter().position(|(has, _)| *has == key) {
                known[at..].rotate_left(1);
                return Ok(known[known.len() - 1].1.clone());
            }
        }
        let projection = self.project(key.0.as_deref())?;
        if projection.fields.is_empty() && !with_row_id {
            return Err(no_columns());
        }
        let reader = Arc::new(RowReader::new(self, projection, with_row_id).await?);
        let mut known = known();
        if known.len() == ROW_READERS {
            known.remove(0);
        }
        known.push((key, reader.clone()));
        Ok(reader)
    }

    /// An error of Lance's, with what was being done to which dataset.
    pub fn failed(&self, error: &lance::Error, stage: Stage, what: &str) -> Failure {
        from_lance(error, stage).while_doing(&format!("{what} of '{}'", self.uri))
    }

    /// The columns of these names, in this order; all of them for None.
    pub fn project(&self, columns: Option<&[String]>) -> Result<Schema> {
        let schema = self.dataset.schema();
        let Some(columns) = columns else {
            return Ok(schema.clone());
        };
        let mut fields = Vec::with_capacity(columns.len());
        for (i, name) in columns.iter().enumerate() {
            if columns[..i].contains(name) {
                return Err(Failure::invalid(format!(
                    "the column '{name}' is named twice"
                )));
            }
            let field = schema.fields.iter().find(|f| f.name == *name);
            fields.push(field.cloned().ok_or_else(|| self.no_column(name))?);
        }
        Ok(Schema {
            fields,
            metadata: schema.metadata.clone(),
        })
    }

    fn no_column(&self, name: &str) -> Failure {
        let hint = if name == ROW_ID {
            " (for row ids, ask for with_row_id)"
        } else {
            ""
        };
        Failure::new(
            Code::NotFound,
            format!(
                "there is no column '{name}' in '{}'{hint}; its columns are {}",
                self.uri,
                self.column_names()
            ),
        )
    }

    fn column_names(&self) -> String {
        const SHOWN: usize = 20;
        let fields = &self.dataset.schema().fields;
        let mut names: Vec<String> = fields
            .iter()
            .take(SHOWN)
            .map(|f| format!("'{}'", f.name))
            .collect();
        if fields.len() > SHOWN {
            names.push(format!("and {} more", fields.len() - SHOWN));
        }
        names.join(", ")
    }

    /// Checks that a filter parses and names columns that are there.
    pub fn check_filter(&self, filter: &str) -> Result<()> {
        let mut scanner = self.dataset.scan();
        scanner
            .filter(filter)
            .and_then(|scanner| scanner.get_expr_filter())
            .map(|_| ())
            .map_err(|e| self.bad_filter(filter, &from_lance(&e, Stage::Filter)))
    }

    /// A failure that the filter is to blame for.
    pub fn bad_filter(&self, filter: &str, failure: &Failure) -> Failure {
        Failure::invalid(format!(
            "the filter \"{filter}\" cannot be applied to '{}': {} (the columns are {})",
            self.uri,
            failure.message,
            self.column_names()
        ))
    }
}

pub fn no_columns() -> Failure {
    Failure::invalid("no columns are asked for: name at least one, or ask for with_row_id")
}

/// `lt_dataset_open` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_dataset_open(
    uri: *const c_char,
    options: *const LtStorageOption,
    option_count: i32,
    version: u64,
    tag: *const c_char,
    dataset: *mut *mut LtDataset,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: strings and pairs of strings, or NULL.
        let (uri, options, tag) = unsafe {
            (
                text(uri, "uri")?,
                storage_options(options, option_count)?,
                optional_text(tag, "tag")?,
            )
        };
        let dataset = out(dataset, "dataset")?;
        let shared = block_on(open_shared(uri, options, version, tag))?;
        let handle = Box::new(LtDataset {
            shared: Arc::new(shared),
            _live: Counted::new(Kind::Dataset),
        });
        // SAFETY: checked above.
        unsafe { dataset.write(Box::into_raw(handle)) };
        Ok(())
    })
}

/// Our own option beside those of the object store: a dataset may name files outside of its folder.
const EXTERNAL_PATHS: &str = "allow_external_paths";

fn allows_external_paths(options: &HashMap<String, String>) -> Result<bool> {
    match options.get(EXTERNAL_PATHS).map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Failure::invalid(format!(
            "the option {EXTERNAL_PATHS} is '{other}', but must be true or false"
        ))),
    }
}

/// What a dataset's own content leads to outside of its folder, where that is not allowed.
pub fn external_path(what: &str, path: &str) -> Failure {
    Failure::new(
        Code::Unsupported,
        format!(
            "{what} names '{path}', which is outside of the dataset's folder: if you trust it, open it with the option {EXTERNAL_PATHS} = true"
        ),
    )
}

/// Opens a version, a tag, or with 0 and None the latest version.
pub async fn open(
    uri: &str,
    options: HashMap<String, String>,
    version: u64,
    tag: Option<&str>,
) -> Result<Arc<Dataset>> {
    let shared = open_shared(uri, options, version, tag).await?;
    Ok(shared.dataset)
}

async fn open_shared(
    uri: &str,
    options: HashMap<String, String>,
    version: u64,
    tag: Option<&str>,
) -> Result<Shared> {
    let external_paths = allows_external_paths(&options)?;
    let dataset = open_any(uri, options, version, tag).await?;
    match dataset.manifest().base_paths.values().next() {
        Some(base) if !external_paths => Err(external_path(
            &format!("the manifest of '{uri}'"),
            &base.path,
        )),
        _ => Ok(Shared::new(dataset, uri, external_paths)),
    }
}

async fn open_any(
    uri: &str,
    mut options: HashMap<String, String>,
    version: u64,
    tag: Option<&str>,
) -> Result<Dataset> {
    options.remove(EXTERNAL_PATHS);
    if uri.is_empty() {
        return Err(Failure::invalid("uri is empty"));
    }
    if version != 0 && tag.is_some() {
        return Err(Failure::invalid(format!(
            "both a version ({version}) and a tag ('{}') are given: give one of them",
            tag.unwrap_or_default()
        )));
    }
    let builder = || {
        // What a damaged file decodes to is checked before anybody follows its offsets.
        let mut files = FileReaderOptions::default();
        files.decoder_config.validate_on_decode = true;
        let builder = DatasetBuilder::from_uri(uri).with_read_params(ReadParams {
            file_reader_options: Some(files),
            ..ReadParams::default()
        });
        if options.is_empty() {
            builder
        } else {
            builder.with_storage_options(options.clone())
        }
    };
    let mut wanted = builder();
    if version != 0 {
        wanted = wanted.with_version(version);
    }
    if let Some(tag) = tag {
        wanted = wanted.with_tag(tag);
    }
    let error = match load(wanted).await {
        Ok(dataset) if version == 0 || dataset.version_id() == version => return Ok(dataset),
        Ok(_) => None,
        Err(failure) => Some(failure),
    };
    match error {
        Some(failure) if failure.code != Code::NotFound => Err(opening(uri, failure)),
        // Is the dataset missing, or only its version?
        error => match load(builder()).await {
            Ok(latest) => {
                let what = match tag {
                    Some(tag) => format!("tag '{tag}'"),
                    None => format!("version {version}"),
                };
                Err(Failure::new(
                    Code::NotFound,
                    format!(
                        "the dataset '{uri}' has no {what}; its latest version is {}",
                        latest.version_id()
                    ),
                ))
            }
            Err(latest) => {
                let failure = error.unwrap_or(latest);
                if failure.code == Code::NotFound {
                    let mut message = format!("there is no Lance dataset at '{uri}'");
                    // Else it says no more than a path inside the dataset.
                    if failure.message.contains("Bucket") {
                        message = format!("{message}: {}", failure.message);
                    }
                    Err(Failure::new(Code::NotFound, message))
                } else {
                    Err(opening(uri, failure))
                }
            }
        },
    }
}

async fn load(builder: DatasetBuilder) -> Result<Dataset> {
    decoding(
        builder
            .load()
            .map(|r| r.map_err(|e| from_lance(&e, Stage::Open))),
    )
    .await
}

fn opening(uri: &str, mut failure: Failure) -> Failure {
    let text = failure.message.to_lowercase();
    if failure.code == Code::InvalidArgument
        && (text.contains("no object store provider") || text.contains("scheme"))
    {
        failure.code = Code::Unsupported;
    }
    // Whatever cannot be made out of the bytes of a manifest.
    if failure.code == Code::Internal {
        failure.code = Code::CorruptData;
    }
    failure.while_doing(&format!("opening '{uri}'"))
}

/// `lt_dataset_close` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_dataset_close(dataset: *mut LtDataset) {
    if !dataset.is_null() {
        // SAFETY: lance.h: owned by the caller, who gives it up.
        guard_void(|| drop(unsafe { Box::from_raw(dataset) }));
    }
}

/// `lt_dataset_version` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_dataset_version(
    dataset: *const LtDataset,
    version: *mut u64,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: a dataset or NULL.
        let dataset = unsafe { borrowed(dataset, "dataset") }?;
        let version = out(version, "version")?;
        // SAFETY: checked above.
        unsafe { version.write(dataset.shared.dataset.version_id()) };
        Ok(())
    })
}

/// `lt_dataset_schema` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_dataset_schema(
    dataset: *const LtDataset,
    schema: *mut FFI_ArrowSchema,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: a dataset or NULL.
        let dataset = unsafe { borrowed(dataset, "dataset") }?;
        let schema = out(schema, "schema")?;
        let exported = c_schema(&arrow_schema(dataset.shared.dataset.schema(), false))?;
        // SAFETY: checked above.
        unsafe { schema.write(exported) };
        Ok(())
    })
}

/// Lance's schema as Arrow's, with the row id as the last column or without it.
pub fn arrow_schema(schema: &Schema, with_row_id: bool) -> arrow::datatypes::Schema {
    let schema = arrow::datatypes::Schema::from(schema);
    if !with_row_id {
        return schema;
    }
    let mut fields = schema.fields.to_vec();
    fields.push(Arc::new(Field::new(ROW_ID, DataType::UInt64, true)));
    arrow::datatypes::Schema::new_with_metadata(fields, schema.metadata)
}

/// What is read of these columns: of a blob, only where it lies, as in Lance's own scans.
pub fn without_blobs(mut schema: Schema) -> Schema {
    let fields = schema.fields.into_iter();
    schema.fields = fields
        .map(|field| BlobHandling::default().unload_if_needed(field))
        .collect();
    schema
}

/// Arrow's schema as the C data interface's, metadata included.
pub fn c_schema(schema: &arrow::datatypes::Schema) -> Result<FFI_ArrowSchema> {
    FFI_ArrowSchema::try_from(schema).map_err(|e| from_arrow(&e))
}

/// `lt_dataset_fragments` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_dataset_fragments(
    dataset: *const LtDataset,
    fragments: *mut LtFragment,
    capacity: i64,
    count: *mut i64,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: a dataset or NULL.
        let dataset = unsafe { borrowed(dataset, "dataset") }?;
        let room = usize::try_from(capacity)
            .map_err(|_| Failure::invalid(format!("capacity is {capacity}")))?;
        if room > 0 {
            out(fragments, "fragments")?;
        }
        let count = out(count, "count")?;
        let list = &block_on(dataset.shared.fragments())?.list;
        // SAFETY: checked above; `fragments` has room for `capacity`.
        unsafe {
            for (i, fragment) in list.iter().take(room).enumerate() {
                fragments.add(i).write(*fragment);
            }
            count.write(list.len() as i64);
        }
        Ok(())
    })
}

/// `lt_dataset_count_rows` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_dataset_count_rows(
    dataset: *const LtDataset,
    filter: *const c_char,
    count: *mut i64,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: a dataset or NULL, a string or NULL.
        let (dataset, filter) = unsafe {
            (
                borrowed(dataset, "dataset")?,
                optional_text(filter, "filter")?,
            )
        };
        let count = out(count, "count")?;
        let shared = &dataset.shared;
        let rows = match filter {
            None => block_on(shared.fragments())?.rows as i64,
            Some(filter) => {
                shared.check_filter(filter)?;
                let counting = shared.dataset.count_rows(Some(filter.to_string()));
                block_on(decoding(counting.map(|count| {
                    count.map_err(|e| shared.failed_filter(filter, &e))
                })))? as i64
            }
        };
        // SAFETY: checked above.
        unsafe { count.write(rows) };
        Ok(())
    })
}

impl Shared {
    /// An error while reading with a filter that parses: the filter's fault where it cannot be computed.
    pub fn failed_filter(&self, filter: &str, error: &lance::Error) -> Failure {
        let failure = from_lance(error, Stage::Filter);
        if failure.code == Code::InvalidArgument {
            self.bad_filter(filter, &failure)
        } else {
            failure.while_doing(&format!("reading '{}' with a filter", self.uri))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn a_dataset_that_is_not_there_is_not_found() {
        let _alone = alone();
        let dir = tempfile::tempdir().unwrap();
        let uri = dir.path().join("nothing.lance");
        let uri = uri.to_str().unwrap();
        let failure = try_open(uri, 0, None).unwrap_err();
        assert_eq!(failure.code, Code::NotFound);
        assert!(failure.message.contains(uri), "{failure:?}");
        assert!(!std::path::Path::new(uri).exists(), "opening made a folder");
    }

    #[test]
    fn a_version_or_tag_that_is_not_there_is_not_found() {
        let _alone = alone();
        let data = Data::new(10, 10);
        let failure = try_open(&data.uri, 7, None).unwrap_err();
        assert_eq!(failure.code, Code::NotFound);
        assert!(failure.message.contains("version 7"), "{failure:?}");
        assert!(
            failure.message.contains("latest version is 1"),
            "{failure:?}"
        );
        let failure = try_open(&data.uri, 0, Some("best")).unwrap_err();
        assert_eq!(failure.code, Code::NotFound);
        assert!(failure.message.contains("tag 'best'"), "{failure:?}");
        let failure = try_open(&data.uri, 1, Some("best")).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
    }

    #[test]
    fn a_tag_opens_its_version() {
        let _alone = alone();
        let data = Data::new(10, 10);
        data.append(10..15);
        let dataset = block_on(open(&data.uri, HashMap::new(), 0, None)).unwrap();
        block_on(dataset.tags().create("best", 1)).unwrap();
        assert_eq!(data.open_at(0, Some("best")).rows(), 10);
        assert_eq!(data.open_at(0, None).rows(), 15);
        assert_eq!(data.open_at(1, None).version(), 1);
    }

    #[test]
    fn a_scheme_left_out_of_the_build_is_unsupported() {
        let _alone = alone();
        let failure = try_open("nosuch://bucket/x.lance", 0, None).unwrap_err();
        assert_eq!(failure.code, Code::Unsupported, "{failure:?}");
        assert!(!failure.message.contains(".rs:"), "{failure:?}");
    }

    #[test]
    fn null_arguments_are_named() {
        let _alone = alone();
        let mut dataset = std::ptr::null_mut();
        let f = failure(|err| unsafe {
            lt_dataset_open(
                std::ptr::null(),
                std::ptr::null(),
                0,
                0,
                std::ptr::null(),
                &mut dataset,
                err,
            )
        });
        assert_eq!(
            (f.code, f.message.as_str()),
            (Code::InvalidArgument, "uri is NULL")
        );
        let f = failure(|err| unsafe { lt_dataset_version(std::ptr::null(), &mut 0, err) });
        assert_eq!(f.message, "dataset is NULL");
        unsafe { lt_dataset_close(std::ptr::null_mut()) };
    }

    #[test]
    fn a_garbled_manifest_is_corrupt_data() {
        let _alone = alone();
        let data = Data::new(10, 10);
        let mut manifests = data.files("_versions");
        manifests.retain(|file| file.extension().is_some_and(|e| e == "manifest"));
        let manifest = manifests.pop().unwrap();
        for bytes in [&b"garbage"[..], &[][..], &[0xff; 4096][..]] {
            std::fs::write(&manifest, bytes).unwrap();
            let failure = try_open(&data.uri, 0, None).unwrap_err();
            assert!(
                matches!(failure.code, Code::CorruptData | Code::Io),
                "{failure:?}"
            );
            assert!(failure.message.contains(&data.uri), "{failure:?}");
        }
    }

    #[test]
    fn fragments_show_live_and_deleted_rows() {
        let _alone = alone();
        let data = Data::new(25, 10);
        data.delete("id = 3 OR id = 12 OR id = 13");
        let dataset = data.open();
        let list = dataset.fragments();
        let rows: Vec<_> = list.iter().map(|f| (f.rows, f.deleted_rows)).collect();
        assert_eq!(rows, [(9, 1), (8, 2), (5, 0)]);
        assert_eq!(dataset.rows(), 22);
        // a short array gets what fits, and the whole count
        let mut count = 0;
        let mut one = LtFragment::default();
        ok(|err| unsafe { lt_dataset_fragments(dataset.0, &mut one, 1, &mut count, err) });
        assert_eq!((one.rows, count), (9, 3));
    }

    #[test]
    fn rows_are_counted_with_a_filter() {
        let _alone = alone();
        let data = Data::new(25, 10);
        let dataset = data.open();
        assert_eq!(dataset.count("id >= 20").unwrap(), 5);
        for filter in ["id >", "nothing = 3", "id = 'x' AND"] {
            let failure = dataset.count(filter).unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument, "{failure:?}");
            assert!(failure.message.contains(filter), "{failure:?}");
            assert!(failure.message.contains("'id'"), "{failure:?}");
        }
    }

    #[test]
    fn the_schema_keeps_its_metadata() {
        let _alone = alone();
        let data = Data::new(5, 10);
        let dataset = data.open();
        let mut schema = FFI_ArrowSchema::empty();
        ok(|err| unsafe { lt_dataset_schema(dataset.0, &mut schema, err) });
        let schema = arrow::datatypes::Schema::try_from(&schema).unwrap();
        assert_eq!(schema.metadata()["classes"], "a,b");
        let names: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["id", "vec", "image"]);
    }
}
