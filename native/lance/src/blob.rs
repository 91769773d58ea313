// SPDX-License-Identifier: Apache-2.0

//! Blobs: values that stay in their files until a part of them is asked for.

use std::ffi::{c_char, c_void};

use futures::FutureExt;
use lance::dataset::BlobFile;

use crate::abi::{LtError, borrowed, out, slice, text};
use crate::dataset::{LtDataset, external_path};
use crate::error::{Failure, Result, Stage, decoding, guard, guard_void};
use crate::live::{Counted, Kind};
use crate::runtime::block_on;
use crate::take::places;

/// `lt_blob` of lance.h.
pub struct LtBlob {
    file: BlobFile,
    /// What it is, for messages.
    name: String,
    _live: Counted,
}

/// `lt_dataset_blobs` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_dataset_blobs(
    dataset: *const LtDataset,
    column: *const c_char,
    rows: *const i64,
    row_count: i64,
    blobs: *mut *mut LtBlob,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: a dataset, a string, and an array of the given length, or NULL.
        let (dataset, column, rows) = unsafe {
            (
                borrowed(dataset, "dataset")?,
                text(column, "column")?,
                slice(rows, row_count, "rows")?,
            )
        };
        if rows.is_empty() {
            return Ok(());
        }
        let blobs = out(blobs, "blobs")?;
        let opened = block_on(decoding(open(dataset, column, rows)))?;
        for (i, blob) in opened.into_iter().enumerate() {
            let pointer = blob.map_or(std::ptr::null_mut(), |blob| Box::into_raw(Box::new(blob)));
            // SAFETY: lance.h: room for row_count of them.
            unsafe { blobs.add(i).write(pointer) };
        }
        Ok(())
    })
}

async fn open(dataset: &LtDataset, column: &str, rows: &[i64]) -> Result<Vec<Option<LtBlob>>> {
    let shared = &dataset.shared;
    let projection = shared.project(Some(&[column.to_string()]))?;
    if !projection.fields[0].is_blob() {
        return Err(Failure::invalid(format!(
            "the column '{column}' of '{}' holds no blobs: it is {}, without the metadata lance-encoding:blob = true",
            shared.uri,
            projection.fields[0].data_type()
        )));
    }
    // Checks the positions, too.
    places(shared, rows).await?;
    let positions: Vec<u64> = rows.iter().map(|row| *row as u64).collect();
    let files = shared
        .dataset
        .take_blobs_by_indices(&positions, column)
        .await
        .map_err(|e| shared.failed(&e, Stage::Read, &format!("opening blobs of '{column}'")))?;
    if files.len() != rows.len() {
        return Err(Failure::internal(format!(
            "opening {} blobs of '{column}' of '{}' gave {}",
            rows.len(),
            shared.uri,
            files.len()
        )));
    }
    if !shared.external_paths
        && let Some(uri) = files.iter().flatten().find_map(BlobFile::uri)
    {
        let what = format!("a blob of '{column}' of '{}'", shared.uri);
        return Err(external_path(&what, uri));
    }
    let blob = |(file, row): (Option<BlobFile>, &i64)| {
        file.map(|file| LtBlob {
            file,
            name: format!("the blob in row {row} of '{column}' of '{}'", shared.uri),
            _live: Counted::new(Kind::Blob),
        })
    };
    Ok(files.into_iter().zip(rows).map(blob).collect())
}

/// `lt_blob_size` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_blob_size(
    blob: *const LtBlob,
    size: *mut u64,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: a blob or NULL.
        let blob = unsafe { borrowed(blob, "blob") }?;
        let size = out(size, "size")?;
        // SAFETY: checked above.
        unsafe { size.write(blob.file.size()) };
        Ok(())
    })
}

/// `lt_blob_read` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_blob_read(
    blob: *const LtBlob,
    offset: u64,
    bytes: *mut c_void,
    size: i64,
    count: *mut i64,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: a blob or NULL.
        let blob = unsafe { borrowed(blob, "blob") }?;
        let count = out(count, "count")?;
        let size = u64::try_from(size).map_err(|_| Failure::invalid(format!("size is {size}")))?;
        let end = offset.saturating_add(size).min(blob.file.size());
        let mut read = 0;
        if offset < end {
            let bytes = out(bytes, "bytes")?;
            let reading = blob.file.read_range(offset..end).map(|read| {
                read.map_err(|e| {
                    crate::error::from_lance(&e, Stage::Read)
                        .while_doing(&format!("reading {}", blob.name))
                })
            });
            let found = block_on(decoding(reading))?;
            if found.len() as u64 != end - offset {
                return Err(Failure::internal(format!(
                    "reading the bytes {offset} .. {end} of {} gave {} bytes",
                    blob.name,
                    found.len()
                )));
            }
            // SAFETY: lance.h: `bytes` has room for `size`, which is no less.
            unsafe { std::ptr::copy_nonoverlapping(found.as_ptr(), bytes.cast(), found.len()) };
            read = found.len() as i64;
        }
        // SAFETY: checked above.
        unsafe { count.write(read) };
        Ok(())
    })
}

/// `lt_blob_close` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_blob_close(blob: *mut LtBlob) {
    if !blob.is_null() {
        // SAFETY: lance.h: owned by the caller, who gives it up.
        guard_void(|| drop(unsafe { Box::from_raw(blob) }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::live::lt_lance_live_handles;
    use crate::testing::*;
    use std::collections::HashMap;
    use std::ffi::CString;
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array, LargeBinaryArray, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema, UInt64Type};
    use lance::dataset::WriteParams;

    /// Row i has 1000 * i bytes, each i; row 2 is null, row 5 has no bytes.
    fn data() -> Data {
        data_of("2.2")
    }

    fn data_of(version: &str) -> Data {
        let blob =
            Field::new("blob", DataType::LargeBinary, true).with_metadata(HashMap::from([(
                "lance-encoding:blob".to_string(),
                "true".to_string(),
            )]));
        let schema = Schema::new(vec![Field::new("id", DataType::Int64, false), blob]);
        let value = |i: usize| match i {
            2 => None,
            5 => Some(Vec::new()),
            i => Some(vec![i as u8; 1000 * i]),
        };
        let batch = RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(Int64Array::from_iter_values(0..25)),
                Arc::new(LargeBinaryArray::from_iter((0..25).map(value))),
            ],
        )
        .unwrap();
        let data = Data::new(1, 10);
        data.write(
            batch,
            WriteParams {
                mode: lance::dataset::WriteMode::Overwrite,
                max_rows_per_file: 10,
                data_storage_version: Some(version.parse().unwrap()),
                ..WriteParams::default()
            },
        );
        data
    }

    fn open(dataset: &Opened, column: &str, rows: &[i64]) -> Result<Vec<*mut LtBlob>> {
        let column = CString::new(column).unwrap();
        let mut blobs = vec![std::ptr::null_mut(); rows.len()];
        outcome(|err| unsafe {
            let count = rows.len() as i64;
            let to = blobs.as_mut_ptr();
            lt_dataset_blobs(dataset.0, column.as_ptr(), rows.as_ptr(), count, to, err)
        })?;
        Ok(blobs)
    }

    fn read(blob: *mut LtBlob, offset: u64, size: i64) -> Vec<u8> {
        let mut bytes = vec![255; size as usize];
        let mut count = -1;
        ok(|err| unsafe {
            lt_blob_read(
                blob,
                offset,
                bytes.as_mut_ptr().cast(),
                size,
                &mut count,
                err,
            )
        });
        bytes.truncate(count as usize);
        bytes
    }

    #[test]
    fn blobs_are_read_at_any_offset() {
        let _alone = alone();
        let data = data();
        data.delete("id = 1");
        let dataset = data.open();
        // without row 1, position p is the id p + 1 from 1 on
        let blobs = open(&dataset, "blob", &[23, 1, 4, 0, 23]).unwrap();
        assert_eq!(lt_lance_live_handles(5), 4);
        assert!(blobs[1].is_null());
        let mut size = 9;
        ok(|err| unsafe { lt_blob_size(blobs[0], &mut size, err) });
        assert_eq!(size, 24_000);
        assert_eq!(read(blobs[0], 0, 30_000), vec![24; 24_000]);
        assert_eq!(read(blobs[0], 23_990, 100), vec![24; 10]);
        assert!(read(blobs[0], 24_000, 100).is_empty());
        assert!(read(blobs[0], u64::MAX, 100).is_empty());
        assert!(read(blobs[0], 5, 0).is_empty());
        assert_eq!(read(blobs[4], 7, 3), [24; 3]);
        for empty in [blobs[2], blobs[3]] {
            ok(|err| unsafe { lt_blob_size(empty, &mut size, err) });
            assert_eq!(size, 0);
            assert!(read(empty, 0, 10).is_empty());
        }
        // they need neither the dataset nor each other
        drop(dataset);
        unsafe { lt_blob_close(blobs[0]) };
        assert_eq!(read(blobs[4], 0, 30_000).len(), 24_000);
        for blob in &blobs[1..] {
            unsafe { lt_blob_close(*blob) };
        }
    }

    #[test]
    fn of_a_blob_a_scan_gives_its_place_and_size() {
        let _alone = alone();
        for version in ["2.0", "2.1", "2.2"] {
            let data = data_of(version);
            let dataset = data.open();
            let sizes = |batch: &RecordBatch| {
                let places = batch.column_by_name("blob").unwrap().as_struct();
                let sizes = places.column_by_name("size").unwrap();
                sizes.as_primitive::<UInt64Type>().values().to_vec()
            };
            for filter in [None, Some("id > 6")] {
                let spec = Spec {
                    filter,
                    ..Spec::default()
                };
                let batches = dataset.read(&spec).unwrap();
                assert!(sizes(batches.last().unwrap()).ends_with(&[23_000, 24_000]));
            }
            let fragments = dataset.fragments();
            for access in 0..3 {
                let spec = Spec {
                    ranges: Some(vec![
                        range(fragments[2].id, 3, 4),
                        range(fragments[0].id, 3, 5),
                    ]),
                    ends: Some(vec![2]),
                    access,
                    ..Spec::default()
                };
                let batches = dataset.read(&spec).unwrap();
                assert_eq!(sizes(&batches[0]), [23_000, 3000, 4000], "{version}");
            }
            let taken = dataset.take(&[7, 3], None, false).unwrap();
            assert_eq!(sizes(&taken), [7000, 3000], "{version}");
            let blob = open(&dataset, "blob", &[3]).unwrap()[0];
            assert_eq!(read(blob, 0, 5000), vec![3; 3000], "{version}");
            unsafe { lt_blob_close(blob) };
        }
    }

    #[test]
    fn many_threads_read_one_blob() {
        let _alone = alone();
        let data = data();
        let dataset = data.open();
        let blob = open(&dataset, "blob", &[24]).unwrap()[0] as usize;
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for i in 0..50 {
                        let found = read(blob as *mut LtBlob, i * 100 + thread, 400);
                        assert_eq!(found, [24; 400]);
                    }
                });
            }
        });
        unsafe { lt_blob_close(blob as *mut LtBlob) };
    }

    #[test]
    fn what_is_no_blob_is_refused() {
        let _alone = alone();
        let data = data();
        let dataset = data.open();
        let failure = open(&dataset, "id", &[0]).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
        assert!(failure.message.contains("holds no blobs"), "{failure:?}");
        assert_eq!(open(&dataset, "x", &[0]).unwrap_err().code, Code::NotFound);
        let failure = open(&dataset, "blob", &[0, 25]).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
        assert_eq!(failure.detail, 1);
        assert_eq!(open(&dataset, "blob", &[]).unwrap().len(), 0);
        let blob = open(&dataset, "blob", &[3]).unwrap()[0];
        let f = crate::testing::failure(|err| unsafe {
            lt_blob_read(blob, 0, std::ptr::null_mut(), 5, &mut 0, err)
        });
        assert_eq!(f.message, "bytes is NULL");
        let f = crate::testing::failure(|err| unsafe {
            lt_blob_read(blob, 0, std::ptr::null_mut(), -5, &mut 0, err)
        });
        assert_eq!(f.code, Code::InvalidArgument);
        unsafe { lt_blob_close(blob) };
        unsafe { lt_blob_close(std::ptr::null_mut()) };
    }

    #[test]
    fn a_file_that_is_gone_is_an_error() {
        let _alone = alone();
        let data = data();
        let dataset = data.open();
        let blob = open(&dataset, "blob", &[24]).unwrap()[0];
        for file in data.files("data") {
            let gone = if file.is_dir() {
                std::fs::remove_dir_all(file)
            } else {
                std::fs::remove_file(file)
            };
            gone.unwrap();
        }
        let f = crate::testing::failure(|err| unsafe {
            let mut bytes = [0u8; 10];
            lt_blob_read(blob, 0, bytes.as_mut_ptr().cast(), 10, &mut 0, err)
        });
        assert!(matches!(f.code, Code::CorruptData | Code::Io), "{f:?}");
        assert!(f.message.contains("row 24"), "{f:?}");
        unsafe { lt_blob_close(blob) };
    }
}
