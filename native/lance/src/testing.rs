// SPDX-License-Identifier: Apache-2.0

//! What the tests have in common: small datasets, and the exports in a shape that reads as Rust.

use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{
    Array, AsArray, BinaryArray, FixedSizeListArray, Float32Array, Int64Array, RecordBatch,
    StructArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type};
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi_and_data_type};
use lance::dataset::{Dataset, WriteMode, WriteParams};

use crate::abi::{LtError, LtFragment, LtRowRange, LtScanOptions};
use crate::dataset::*;
use crate::error::{Code, Failure, Result};
use crate::live::{lt_lance_live_bytes, lt_lance_live_handles};
use crate::runtime::block_on;
use crate::scan::*;
use crate::select::{lt_dataset_select, lt_row_ranges_free};
use crate::take::lt_dataset_take;

/// Keeps other tests that count away, and asserts that nothing is left.
pub struct Alone {
    _lock: MutexGuard<'static, ()>,
}

pub fn alone() -> Alone {
    static LOCK: Mutex<()> = Mutex::new(());
    Alone {
        _lock: LOCK.lock().unwrap_or_else(PoisonError::into_inner),
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let handles: Vec<i64> = (0..6).map(|kind| lt_lance_live_handles(kind)).collect();
            assert_eq!(handles, [0; 6], "handles are left");
            assert_eq!(lt_lance_live_bytes(), 0, "buffers are left");
        }
    }
}

/// What a call failed with.
pub fn outcome(call: impl FnOnce(*mut LtError) -> i32) -> Result<()> {
    let mut err = LtError::default();
    let code = call(&mut err);
    assert_eq!(code, err.code);
    let end = err.message.iter().position(|b| *b == 0).unwrap();
    let message = String::from_utf8(err.message[..end].to_vec()).unwrap();
    assert!(!message.contains(".rs:") || code == 10, "{message}");
    let code = match code {
        0 => return Ok(()),
        1 => Code::InvalidArgument,
        2 => Code::NotFound,
        3 => Code::Io,
        4 => Code::CorruptData,
        5 => Code::OutOfMemory,
        6 => Code::Timeout,
        8 => Code::Cancelled,
        9 => Code::Unsupported,
        10 => Code::Internal,
        other => panic!("unknown status {other}"),
    };
    Err(Failure {
        code,
        detail: err.detail,
        message,
    })
}

pub fn ok(call: impl FnOnce(*mut LtError) -> i32) {
    outcome(call).unwrap();
}

pub fn failure(call: impl FnOnce(*mut LtError) -> i32) -> Failure {
    outcome(call).unwrap_err()
}

pub fn schema() -> SchemaRef {
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    Arc::new(Schema::new_with_metadata(
        vec![
            Field::new("id", DataType::Int64, false),
            Field::new("vec", DataType::FixedSizeList(item, 4), true),
            Field::new("image", DataType::Binary, true),
        ],
        HashMap::from([("classes".to_string(), "a,b".to_string())]),
    ))
}

pub fn batch_of(ids: std::ops::Range<i64>) -> RecordBatch {
    let schema = schema();
    let DataType::FixedSizeList(item, _) = schema.field(1).data_type() else {
        unreachable!()
    };
    let values: Vec<f32> = ids.clone().flat_map(|i| [i as f32; 4]).collect();
    let images: Vec<Vec<u8>> = ids
        .clone()
        .map(|i| vec![i as u8; (i % 7) as usize])
        .collect();
    RecordBatch::try_new(
        schema.clone(),
        vec![
            Arc::new(Int64Array::from_iter_values(ids)),
            Arc::new(FixedSizeListArray::new(
                item.clone(),
                4,
                Arc::new(Float32Array::from(values)),
                None,
            )),
            Arc::new(BinaryArray::from_iter_values(images)),
        ],
    )
    .unwrap()
}

/// A dataset in a folder of its own, its ids 0 .. rows-1.
pub struct Data {
    _dir: tempfile::TempDir,
    pub uri: String,
}

impl Data {
    pub fn new(rows: i64, rows_per_file: usize) -> Self {
        Self::with_version(rows, rows_per_file, None)
    }

    pub fn with_version(rows: i64, rows_per_file: usize, version: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let uri = dir.path().join("d.lance").to_str().unwrap().to_string();
        let data = Self { _dir: dir, uri };
        data.write(
            batch_of(0..rows),
            WriteParams {
                max_rows_per_file: rows_per_file,
                max_rows_per_group: rows_per_file.min(1024),
                data_storage_version: version.map(|v| v.parse().unwrap()),
                ..WriteParams::default()
            },
        );
        data
    }

    pub fn write(&self, batch: RecordBatch, params: WriteParams) {
        let schema = batch.schema();
        let reader = arrow::array::RecordBatchIterator::new([Ok(batch)], schema);
        block_on(Dataset::write(reader, self.uri.as_str(), Some(params))).unwrap();
    }

    pub fn append(&self, ids: std::ops::Range<i64>) {
        let params = WriteParams {
            mode: WriteMode::Append,
            ..WriteParams::default()
        };
        self.write(batch_of(ids), params);
    }

    pub fn delete(&self, predicate: &str) {
        block_on(async {
            let mut dataset = Dataset::open(&self.uri).await.unwrap();
            dataset.delete(predicate).await.unwrap();
        });
    }

    pub fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(PathBuf::from(&self.uri).join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    }

    pub fn open(&self) -> Opened {
        self.open_at(0, None)
    }

    pub fn open_at(&self, version: u64, tag: Option<&str>) -> Opened {
        try_open(&self.uri, version, tag).unwrap()
    }
}

#[derive(Debug)]
pub struct Opened(pub *mut LtDataset);

impl Drop for Opened {
    fn drop(&mut self) {
        unsafe { lt_dataset_close(self.0) };
    }
}

pub fn try_open(uri: &str, version: u64, tag: Option<&str>) -> Result<Opened> {
    let uri = CString::new(uri).unwrap();
    let tag = tag.map(|tag| CString::new(tag).unwrap());
    let tag = tag.as_ref().map_or(std::ptr::null(), |tag| tag.as_ptr());
    let mut dataset = std::ptr::null_mut();
    outcome(|err| unsafe {
        lt_dataset_open(
            uri.as_ptr(),
            std::ptr::null(),
            0,
            version,
            tag,
            &mut dataset,
            err,
        )
    })?;
    Ok(Opened(dataset))
}

/// `lt_scan_options`, more readable.
#[derive(Clone)]
pub struct Spec<'a> {
    pub columns: Option<Vec<&'a str>>,
    pub filter: Option<&'a str>,
    pub ranges: Option<Vec<LtRowRange>>,
    pub ends: Option<Vec<i64>>,
    pub size: i64,
    pub ahead: i32,
    pub row_id: bool,
    pub access: i32,
}

impl Default for Spec<'_> {
    fn default() -> Self {
        Self {
            columns: None,
            filter: None,
            ranges: None,
            ends: None,
            size: 10,
            ahead: 3,
            row_id: false,
            access: 0,
        }
    }
}

pub fn range(fragment_id: u64, begin: u64, end: u64) -> LtRowRange {
    LtRowRange {
        fragment_id,
        begin,
        end,
    }
}

struct Names {
    _strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Names {
    fn new(names: &[&str]) -> Self {
        let strings: Vec<_> = names.iter().map(|n| CString::new(*n).unwrap()).collect();
        let mut pointers: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
        // never NULL, also when empty
        pointers.reserve(1);
        Self {
            _strings: strings,
            pointers,
        }
    }
}

fn start<T>(values: &Option<Vec<T>>) -> (*const T, i64) {
    match values {
        None => (std::ptr::null(), 0),
        // a dangling pointer that is not NULL stands for an empty list
        Some(values) => (values.as_ptr(), values.len() as i64),
    }
}

impl Opened {
    pub fn version(&self) -> u64 {
        let mut version = 0;
        ok(|err| unsafe { lt_dataset_version(self.0, &mut version, err) });
        version
    }

    pub fn rows(&self) -> i64 {
        let mut count = 0;
        ok(|err| unsafe { lt_dataset_count_rows(self.0, std::ptr::null(), &mut count, err) });
        count
    }

    pub fn count(&self, filter: &str) -> Result<i64> {
        let filter = CString::new(filter).unwrap();
        let mut count = 0;
        outcome(|err| unsafe { lt_dataset_count_rows(self.0, filter.as_ptr(), &mut count, err) })?;
        Ok(count)
    }

    pub fn fragments(&self) -> Vec<LtFragment> {
        let mut count = 0;
        ok(|err| unsafe { lt_dataset_fragments(self.0, std::ptr::null_mut(), 0, &mut count, err) });
        let mut list = vec![LtFragment::default(); count as usize];
        ok(|err| unsafe {
            lt_dataset_fragments(self.0, list.as_mut_ptr(), count, &mut count, err)
        });
        list
    }

    pub fn select(&self, filter: &str, ids: Option<&[u64]>) -> Result<Vec<LtRowRange>> {
        let filter = CString::new(filter).unwrap();
        let ids = ids.map(<[u64]>::to_vec);
        let (ids, id_count) = start(&ids);
        let (mut ranges, mut count) = (std::ptr::null_mut(), -1);
        outcome(|err| unsafe {
            lt_dataset_select(
                self.0,
                filter.as_ptr(),
                ids,
                id_count,
                &mut ranges,
                &mut count,
                err,
            )
        })?;
        if ranges.is_null() {
            assert_eq!(count, 0);
            return Ok(Vec::new());
        }
        let found = unsafe { std::slice::from_raw_parts(ranges, count as usize) }.to_vec();
        unsafe { lt_row_ranges_free(ranges, count) };
        Ok(found)
    }

    pub fn scan(&self, spec: &Spec) -> Result<Scanning> {
        let columns = spec.columns.as_ref().map(|names| Names::new(names));
        let filter = spec.filter.map(|f| CString::new(f).unwrap());
        let (ranges, range_count) = start(&spec.ranges);
        let (batch_ends, batch_count) = start(&spec.ends);
        let options = LtScanOptions {
            columns: columns
                .as_ref()
                .map_or(std::ptr::null(), |c| c.pointers.as_ptr()),
            column_count: columns.as_ref().map_or(0, |c| c.pointers.len() as i64),
            filter: filter.as_ref().map_or(std::ptr::null(), |f| f.as_ptr()),
            ranges,
            range_count,
            batch_ends,
            batch_count,
            batch_size: spec.size,
            read_ahead: spec.ahead,
            with_row_id: i32::from(spec.row_id),
            access: spec.access,
        };
        let mut scan = std::ptr::null_mut();
        outcome(|err| unsafe { lt_dataset_scan(self.0, &options, &mut scan, err) })?;
        Ok(Scanning(scan))
    }

    /// All batches.
    pub fn read(&self, spec: &Spec) -> Result<Vec<RecordBatch>> {
        self.scan(spec)?.rest()
    }

    /// The ids, batch by batch.
    pub fn ids(&self, spec: &Spec) -> Result<Vec<Vec<i64>>> {
        Ok(self.read(spec)?.iter().map(ids).collect())
    }

    pub fn take(
        &self,
        rows: &[i64],
        columns: Option<&[&str]>,
        row_id: bool,
    ) -> Result<RecordBatch> {
        let columns = columns.map(Names::new);
        let mut batch = FFI_ArrowArray::empty();
        let mut schema = FFI_ArrowSchema::empty();
        outcome(|err| unsafe {
            lt_dataset_take(
                self.0,
                rows.as_ptr(),
                rows.len() as i64,
                columns
                    .as_ref()
                    .map_or(std::ptr::null(), |c| c.pointers.as_ptr()),
                columns.as_ref().map_or(0, |c| c.pointers.len() as i64),
                i32::from(row_id),
                &mut batch,
                &mut schema,
                err,
            )
        })?;
        Ok(import(batch, &Schema::try_from(&schema).unwrap()))
    }
}

pub fn ids(batch: &RecordBatch) -> Vec<i64> {
    let column = batch.column_by_name("id").unwrap();
    column.as_primitive::<Int64Type>().values().to_vec()
}

pub fn row_ids(batch: &RecordBatch) -> Vec<u64> {
    let column = batch.columns().last().unwrap();
    assert_eq!(batch.schema().fields().last().unwrap().name(), "_rowid");
    column.as_primitive::<UInt64Type>().values().to_vec()
}

pub fn import(array: FFI_ArrowArray, schema: &Schema) -> RecordBatch {
    let kind = DataType::Struct(schema.fields().clone());
    let data = unsafe { from_ffi_and_data_type(array, kind) }.unwrap();
    data.validate_full().unwrap();
    let columns = StructArray::from(data);
    assert_eq!(columns.null_count(), 0);
    RecordBatch::from(columns)
}

#[derive(Debug)]
pub struct Scanning(pub *mut LtScan);

impl Drop for Scanning {
    fn drop(&mut self) {
        unsafe { lt_scan_close(self.0) };
    }
}

impl Scanning {
    pub fn schema(&self) -> Schema {
        let mut schema = FFI_ArrowSchema::empty();
        ok(|err| unsafe { lt_scan_schema(self.0, &mut schema, err) });
        Schema::try_from(&schema).unwrap()
    }

    pub fn next(&self) -> Result<Option<RecordBatch>> {
        let mut batch = FFI_ArrowArray::empty();
        outcome(|err| unsafe { lt_scan_next(self.0, &mut batch, err) })?;
        Ok((!batch.is_released()).then(|| import(batch, &self.schema())))
    }

    pub fn rest(&self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next()? {
            batches.push(batch);
        }
        Ok(batches)
    }
}
