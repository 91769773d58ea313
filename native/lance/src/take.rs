// SPDX-License-Identifier: Apache-2.0

//! Random access: rows by their positions in the dataset.

use std::ffi::c_char;

use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema};

use crate::abi::{LtError, borrowed, names, out, slice};
use crate::dataset::{LtDataset, Shared, c_schema};
use crate::error::{Failure, Result, decoding, guard};
use crate::export::export;
use crate::rows::Place;
use crate::runtime::block_on;

/// `lt_dataset_take` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_dataset_take(
    dataset: *const LtDataset,
    rows: *const i64,
    row_count: i64,
    columns: *const *const c_char,
    column_count: i64,
    with_row_id: i32,
    batch: *mut FFI_ArrowArray,
    schema: *mut FFI_ArrowSchema,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: a dataset or NULL, arrays of the given lengths.
        let (dataset, rows, columns) = unsafe {
            (
                borrowed(dataset, "dataset")?,
                slice(rows, row_count, "rows")?,
                names(columns, column_count)?,
            )
        };
        let batch = out(batch, "batch")?;
        let shared = &dataset.shared;
        // On the calling thread, as a change of threads takes longer than reading a few rows that are in memory.
        let taken = block_on(decoding(async {
            let places = places(shared, rows).await?;
            let reader = shared.row_reader(columns, with_row_id != 0).await?;
            reader.read(shared, &places).await
        }))?;
        let exported_schema = if schema.is_null() {
            None
        } else {
            Some(c_schema(&taken.schema())?)
        };
        let exported = export(taken)?;
        // SAFETY: `batch` was checked above; `schema` is NULL or the caller's.
        unsafe {
            batch.write(exported);
            if let Some(exported) = exported_schema {
                schema.write(exported);
            }
        }
        Ok(())
    })
}

/// Where rows by their positions in the dataset are; checks the positions.
pub async fn places(shared: &Shared, rows: &[i64]) -> Result<Vec<Place>> {
    let fragments = shared.fragments().await?;
    let total = fragments.rows;
    rows.iter()
        .enumerate()
        .map(|(i, row)| {
            let position = u64::try_from(*row)
                .ok()
                .filter(|row| *row < total)
                .ok_or_else(|| {
                    Failure::invalid(format!(
                        "rows[{i}] is {row}, but '{}' has {total} rows",
                        shared.uri
                    ))
                    .with_detail(i)
                })?;
            // The last fragment that begins there or before: one without rows begins where the next does.
            let index = fragments.starts.partition_point(|start| *start <= position) - 1;
            Ok(Place {
                fragment: fragments.list[index].id,
                row: position - fragments.starts[index],
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::error::Code;
    use crate::testing::*;

    #[test]
    fn rows_come_in_the_order_asked_for_with_repeats() {
        let _alone = alone();
        for version in ["legacy", "2.0", "2.1", "2.2"] {
            let data = Data::with_version(35, 10, Some(version));
            data.delete("id = 0 OR id = 12");
            // position p is id p + 1 up to id 11, p + 2 after it
            let dataset = data.open();
            for rows in [
                vec![32, 0, 11, 0, 32, 10, 31],
                vec![3, 4, 5],
                vec![3, 3, 4, 4, 30],
                vec![7],
                vec![],
                (0..33).rev().collect(),
                (0..33).collect(),
            ] {
                for row_id in [false, true] {
                    let batch = dataset.take(&rows, None, row_id).unwrap();
                    let expected: Vec<i64> = rows
                        .iter()
                        .map(|p| if *p < 11 { p + 1 } else { p + 2 })
                        .collect();
                    assert_eq!(ids(&batch), expected, "{version} {rows:?}");
                    assert_eq!(batch.num_columns(), 3 + usize::from(row_id));
                    if row_id {
                        let places: Vec<u64> = expected
                            .iter()
                            .map(|id| ((*id as u64 / 10) << 32) + *id as u64 % 10)
                            .collect();
                        assert_eq!(row_ids(&batch), places);
                    }
                }
            }
        }
    }

    #[test]
    fn columns_come_in_the_order_they_are_named() {
        let _alone = alone();
        let data = Data::new(35, 10);
        let dataset = data.open();
        let batch = dataset
            .take(&[9, 30], Some(&["image", "id"]), false)
            .unwrap();
        let names: Vec<_> = batch
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .collect();
        assert_eq!(names, ["image", "id"]);
        let batch = dataset.take(&[9, 30], Some(&[]), true).unwrap();
        assert_eq!(row_ids(&batch), [9, 3 << 32]);
    }

    #[test]
    fn a_position_beyond_the_dataset_is_named() {
        let _alone = alone();
        let data = Data::new(35, 10);
        let dataset = data.open();
        for wrong in [35, -1, i64::MAX] {
            let failure = dataset.take(&[0, 34, wrong], None, false).unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument);
            assert_eq!(failure.detail, 2);
            assert!(failure.message.contains("rows[2]"), "{failure:?}");
            assert!(failure.message.contains("35 rows"), "{failure:?}");
        }
        let failure = dataset.take(&[0], Some(&["nothing"]), false).unwrap_err();
        assert_eq!(failure.code, Code::NotFound);
        let failure = dataset.take(&[0], Some(&[]), false).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
    }
}
