// SPDX-License-Identifier: Apache-2.0

//! The versions of a dataset: what is there, when each was written, and by what.

use futures::{StreamExt, TryStreamExt};

use crate::abi::{LtError, LtVersion, OPERATION_SIZE, borrowed, out};
use crate::dataset::{LtDataset, Shared};
use crate::error::{Code, Failure, Result, Stage, decoding, guard, guard_void};
use crate::runtime::{block_on, spawn};

/// `lt_dataset_versions` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_dataset_versions(
    dataset: *const LtDataset,
    limit: i64,
    versions: *mut *mut LtVersion,
    version_count: *mut i64,
    total: *mut i64,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: a dataset or NULL.
        let dataset = unsafe { borrowed(dataset, "dataset") }?;
        let limit =
            usize::try_from(limit).map_err(|_| Failure::invalid(format!("limit is {limit}")))?;
        let versions = out(versions, "versions")?;
        let version_count = out(version_count, "version_count")?;
        let shared = dataset.shared.clone();
        let listing = async move { list(&shared, limit).await };
        let (found, all) = block_on(spawn(decoding(listing)))?;
        let found = found.into_boxed_slice();
        // SAFETY: checked above; `total` is NULL or the caller's.
        unsafe {
            if !total.is_null() {
                total.write(all as i64);
            }
            version_count.write(found.len() as i64);
            versions.write(if found.is_empty() {
                std::ptr::null_mut()
            } else {
                Box::into_raw(found).cast()
            });
        }
        Ok(())
    })
}

/// `lt_versions_free` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_versions_free(versions: *mut LtVersion, version_count: i64) {
    if !versions.is_null() {
        let versions = std::ptr::slice_from_raw_parts_mut(versions, version_count as usize);
        // SAFETY: lance.h: from lt_dataset_versions with its count, and given up by the caller.
        guard_void(|| drop(unsafe { Box::from_raw(versions) }));
    }
}

/// The newest `limit` versions, ascending, and how many there are. Only of those the manifests are read.
async fn list(shared: &Shared, limit: usize) -> Result<(Vec<LtVersion>, usize)> {
    let refs = shared.dataset.version_refs().await;
    let refs = refs.map_err(|e| shared.failed(&e, Stage::Read, "listing the versions"))?;
    let newest = refs[refs.len().saturating_sub(limit)..].to_vec();
    let found: Vec<Option<LtVersion>> = futures::stream::iter(newest)
        .map(|newest| read(shared, newest.version))
        .buffered(16)
        .try_collect()
        .await?;
    Ok((found.into_iter().flatten().collect(), refs.len()))
}

/// None where the version has been cleaned up since it was listed.
async fn read(shared: &Shared, version: u64) -> Result<Option<LtVersion>> {
    let failed = |e: &lance::Error| {
        let failure = shared.failed(e, Stage::Open, &format!("reading version {version}"));
        match failure.code {
            Code::NotFound => Ok(None),
            _ => Err(failure),
        }
    };
    let dataset = match shared.dataset.checkout_version(version).await {
        Ok(dataset) => dataset,
        Err(e) => return failed(&e),
    };
    // What wrote the version is an extra, which a dataset may have lost.
    let transaction = dataset.read_transaction().await.ok().flatten();
    let manifest = dataset.manifest();
    let summary = manifest.summary();
    let mut operation = [0; OPERATION_SIZE];
    if let Some(transaction) = transaction {
        let name = transaction.operation.name().as_bytes();
        let size = name.len().min(OPERATION_SIZE - 1);
        operation[..size].copy_from_slice(&name[..size]);
    }
    Ok(Some(LtVersion {
        version,
        time_ms: manifest.timestamp().timestamp_millis(),
        rows: summary.total_rows,
        fragments: summary.total_fragments,
        files: summary.total_data_files,
        bytes: summary.total_files_size,
        operation,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn versions(dataset: &Opened, limit: i64) -> (Vec<LtVersion>, i64) {
        let (mut list, mut count, mut total) = (std::ptr::null_mut(), 0, 0);
        ok(|err| unsafe {
            lt_dataset_versions(dataset.0, limit, &mut list, &mut count, &mut total, err)
        });
        let found = if list.is_null() {
            Vec::new()
        } else {
            unsafe { std::slice::from_raw_parts(list, count as usize) }.to_vec()
        };
        unsafe { lt_versions_free(list, count) };
        (found, total)
    }

    #[test]
    fn versions_tell_what_they_hold_and_how_they_came() {
        let _alone = alone();
        let data = Data::new(25, 10);
        data.append(25..30);
        data.delete("id < 3");
        let dataset = data.open();
        let (found, total) = versions(&dataset, 100);
        assert_eq!(total, 3);
        let told: Vec<_> = found
            .iter()
            .map(|v| {
                let end = v.operation.iter().position(|b| *b == 0).unwrap();
                let operation = std::str::from_utf8(&v.operation[..end]).unwrap();
                (v.version, v.rows, v.fragments, v.files, operation)
            })
            .collect();
        assert_eq!(
            told,
            [
                (1, 25, 3, 3, "Overwrite"),
                (2, 30, 4, 4, "Append"),
                (3, 27, 4, 4, "Delete")
            ]
        );
        let size: u64 = data
            .files("data")
            .iter()
            .map(|file| std::fs::metadata(file).unwrap().len())
            .sum();
        assert_eq!(found[2].bytes, size);
        assert!(
            found[0].time_ms > 1_700_000_000_000 && found.is_sorted_by_key(|v| v.time_ms),
            "{found:?}"
        );
        // the newest ones alone
        let (found, total) = versions(&dataset, 1);
        assert_eq!((found.len(), found[0].version, total), (1, 3, 3));
        assert_eq!(versions(&dataset, 0), (Vec::new(), 3));
        let f = failure(|err| unsafe {
            lt_dataset_versions(
                dataset.0,
                -1,
                &mut std::ptr::null_mut(),
                &mut 0,
                std::ptr::null_mut(),
                err,
            )
        });
        assert_eq!(f.code, Code::InvalidArgument);
        unsafe { lt_versions_free(std::ptr::null_mut(), 0) };
    }
}
