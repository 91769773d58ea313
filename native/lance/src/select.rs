// SPDX-License-Identifier: Apache-2.0

//! Selection: which rows a filter accepts, as ranges of positions.

use std::collections::HashMap;
use std::ffi::c_char;

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use futures::{FutureExt, StreamExt};

use crate::abi::{LtError, LtRowRange, borrowed, out, slice, text};
use crate::dataset::{LtDataset, Shared};
use crate::error::{Code, Failure, Result, decoding, guard, guard_void};
use crate::runtime::{block_on, spawn};

/// Lance's name for the column of row addresses.
const ROW_ADDR: &str = "_rowaddr";

/// `lt_dataset_select` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_dataset_select(
    dataset: *const LtDataset,
    filter: *const c_char,
    fragment_ids: *const u64,
    fragment_count: i64,
    ranges: *mut *mut LtRowRange,
    range_count: *mut i64,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: a dataset, a string, and an array of the given length, or NULL.
        let (dataset, filter, ids) = unsafe {
            (
                borrowed(dataset, "dataset")?,
                text(filter, "filter")?.to_string(),
                slice(fragment_ids, fragment_count, "fragment_ids")?,
            )
        };
        let ranges = out(ranges, "ranges")?;
        let range_count = out(range_count, "range_count")?;
        let shared = dataset.shared.clone();
        let ids = (!fragment_ids.is_null()).then(|| ids.to_vec());
        let selecting = async move { select(&shared, &filter, ids).await };
        let found = block_on(spawn(decoding(selecting)))?.into_boxed_slice();
        // SAFETY: checked above.
        unsafe {
            range_count.write(found.len() as i64);
            ranges.write(if found.is_empty() {
                std::ptr::null_mut()
            } else {
                Box::into_raw(found).cast()
            });
        }
        Ok(())
    })
}

/// `lt_row_ranges_free` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_row_ranges_free(ranges: *mut LtRowRange, range_count: i64) {
    if !ranges.is_null() {
        let ranges = std::ptr::slice_from_raw_parts_mut(ranges, range_count as usize);
        // SAFETY: lance.h: from lt_dataset_select with its count, and given up by the caller.
        guard_void(|| drop(unsafe { Box::from_raw(ranges) }));
    }
}

async fn select(shared: &Shared, filter: &str, ids: Option<Vec<u64>>) -> Result<Vec<LtRowRange>> {
    shared.check_filter(filter)?;
    let failed = |e: lance::Error| shared.failed_filter(filter, &e);
    let ids = match ids {
        Some(ids) => ids,
        None => shared
            .fragments()
            .await?
            .list
            .iter()
            .map(|f| f.id)
            .collect(),
    };
    let fragments = ids
        .iter()
        .map(|id| shared.fragment(*id))
        .collect::<Result<Vec<_>>>()?;
    if fragments.is_empty() {
        return Ok(Vec::new());
    }
    let mut scanner = shared.dataset.scan();
    scanner
        .filter(filter)
        .and_then(|scanner| scanner.empty_project())
        .map_err(failed)?;
    // Addresses say where rows are; ids do not, where they are stable.
    scanner.with_row_address();
    scanner.with_fragments(fragments.iter().map(|f| f.metadata().clone()).collect());
    let mut stream = scanner.try_into_stream().await.map_err(failed)?;
    let mut addresses: HashMap<u64, Vec<u32>> = HashMap::new();
    while let Some(batch) = decoding(stream.next().map(Ok)).await? {
        let batch = batch.map_err(failed)?;
        let column = batch.column_by_name(ROW_ADDR).ok_or_else(|| {
            Failure::internal(format!("a scan of '{}' gave no row addresses", shared.uri))
        })?;
        let found = column.as_primitive::<UInt64Type>().values();
        for part in found.chunk_by(|a, b| a >> 32 == b >> 32) {
            let rows = addresses.entry(part[0] >> 32).or_default();
            rows.extend(part.iter().map(|address| *address as u32));
        }
    }
    for rows in addresses.values_mut() {
        // They come in order, unless by way of an index.
        if !rows.is_sorted() {
            rows.sort_unstable();
        }
    }
    let mut ranges: Vec<LtRowRange> = Vec::new();
    for fragment in &fragments {
        let id = fragment.id() as u64;
        let Some(rows) = addresses.get(&id) else {
            continue;
        };
        let deleted = shared.deleted_rows(fragment).await?;
        let mut before = 0;
        let first = ranges.len();
        for row in rows {
            let row = u64::from(*row);
            while before < deleted.len() && deleted[before] < row {
                before += 1;
            }
            if deleted.get(before) == Some(&row) {
                return Err(Failure::new(
                    Code::CorruptData,
                    format!("a scan of '{}' gave a deleted row", shared.uri),
                ));
            }
            let position = row - before as u64;
            match ranges[first..].last_mut() {
                Some(last) if last.end == position => last.end += 1,
                _ => ranges.push(LtRowRange {
                    fragment_id: id,
                    begin: position,
                    end: position + 1,
                }),
            }
        }
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use lance::dataset::WriteParams;

    #[test]
    fn a_selection_counts_rows_without_the_deleted_ones() {
        let _alone = alone();
        for version in ["legacy", "2.0", "2.1"] {
            let data = Data::with_version(35, 10, Some(version));
            data.delete("id = 3 OR id = 12 OR id = 13 OR id = 30");
            let dataset = data.open();
            let found = dataset.select("id % 2 = 0 OR id < 3", None).unwrap();
            let rows: Vec<(u64, u64)> = found
                .iter()
                .flat_map(|r| (r.begin..r.end).map(|row| (r.fragment_id, row)))
                .collect();
            // ids 0 1 2 4 6 8 | 10 14 16 18 | 20 22 24 26 28 | 32 34
            let expected: Vec<(u64, u64)> = [
                (0, vec![0, 1, 2, 3, 5, 7]),
                (1, vec![0, 2, 4, 6]),
                (2, vec![0, 2, 4, 6, 8]),
                (3, vec![1, 3]),
            ]
            .into_iter()
            .flat_map(|(fragment, rows)| rows.into_iter().map(move |row| (fragment, row)))
            .collect();
            assert_eq!(rows, expected, "{version}");
            // neighbours over the deleted row 3 are one range
            assert_eq!(found[0], range(0, 0, 4));
            // what was selected is what a scan of the ranges reads
            let spec = Spec {
                ranges: Some(found),
                ..Spec::default()
            };
            let ids = dataset.ids(&spec).unwrap().concat();
            let all: Vec<i64> = (0..35)
                .filter(|i| (i % 2 == 0 || *i < 3) && ![12, 30].contains(i))
                .collect();
            assert_eq!(ids, all, "{version}");
        }
    }

    #[test]
    fn stable_row_ids_are_no_addresses() {
        let _alone = alone();
        let data = Data::new(1, 10);
        let params = |mode| WriteParams {
            mode,
            enable_stable_row_ids: true,
            max_rows_per_file: 10,
            ..WriteParams::default()
        };
        use lance::dataset::WriteMode::{Append, Overwrite};
        data.write(batch_of(0..20), params(Overwrite));
        data.delete("id < 5");
        data.write(batch_of(20..30), params(Append));
        let dataset = data.open();
        let fragments: Vec<u64> = dataset.fragments().iter().map(|f| f.id).collect();
        let found = dataset.select("id IN (5, 6, 9, 19, 20)", None).unwrap();
        assert_eq!(
            found,
            [
                range(fragments[0], 0, 2),
                range(fragments[0], 4, 5),
                range(fragments[1], 9, 10),
                range(fragments[2], 0, 1)
            ]
        );
    }

    #[test]
    fn fragments_come_in_the_order_asked_for() {
        let _alone = alone();
        let data = Data::new(35, 10);
        let dataset = data.open();
        let found = dataset.select("id % 10 = 4", Some(&[3, 1])).unwrap();
        assert_eq!(found, [range(3, 4, 5), range(1, 4, 5)]);
        assert_eq!(dataset.select("id < 0", None).unwrap(), []);
        assert_eq!(dataset.select("id < 0", Some(&[])).unwrap(), []);
        assert_eq!(
            dataset.select("true", Some(&[2])).unwrap(),
            [range(2, 0, 10)]
        );
    }

    #[test]
    fn a_wrong_filter_or_fragment_is_refused() {
        let _alone = alone();
        let data = Data::new(35, 10);
        let dataset = data.open();
        for filter in ["id >", "nothing = 3", "id + 1"] {
            let failure = dataset.select(filter, None).unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument, "{failure:?}");
            assert!(failure.message.contains(filter), "{failure:?}");
        }
        let failure = dataset.select("10 / id > 1", None).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument, "{failure:?}");
        let failure = dataset.select("id > 1", Some(&[0, 9])).unwrap_err();
        assert_eq!(failure.code, Code::NotFound);
        assert!(failure.message.contains("fragment 9"), "{failure:?}");
        let mut ranges = std::ptr::null_mut();
        let f = crate::testing::failure(|err| unsafe {
            let none = std::ptr::null();
            lt_dataset_select(
                dataset.0,
                none,
                std::ptr::null(),
                0,
                &mut ranges,
                &mut 0,
                err,
            )
        });
        assert_eq!(f.message, "filter is NULL");
        unsafe { lt_row_ranges_free(std::ptr::null_mut(), 0) };
    }
}
