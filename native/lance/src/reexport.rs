// SPDX-License-Identifier: Apache-2.0

//! Columns that leave for C once more, as the children of a batch over the same memory.

use std::ffi::c_void;

use arrow::ffi::FFI_ArrowArray;

use crate::abi::{LtError, live_array, out, slice};
use crate::column::{LtColumn, lt_column_array, lt_column_release, lt_column_retain};
use crate::error::{Failure, Result, guard, guard_void};

/// `lt_columns_export` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_columns_export(
    columns: *const *mut LtColumn,
    count: i64,
    rows: i64,
    batch: *mut FFI_ArrowArray,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        let batch = out(batch, "batch")?;
        if rows < 0 {
            return Err(Failure::invalid(format!("rows is {rows}")));
        }
        // SAFETY: lance.h: `count` columns that the caller holds.
        let columns = unsafe { slice(columns, count, "columns") }?;
        let children = columns
            .iter()
            .enumerate()
            // SAFETY: as above.
            .map(|(i, column)| unsafe { alias_of(*column, &format!("columns[{i}]")) })
            .collect::<Result<Vec<_>>>()?;
        let exported = owned_by(
            Owner::new(std::ptr::null_mut(), children, None),
            FFI_ArrowArray {
                length: rows,
                n_buffers: 1,
                buffers: (&raw const NO_VALIDITY).cast_mut().cast(),
                ..FFI_ArrowArray::empty()
            },
        );
        // SAFETY: checked above.
        unsafe { batch.write(exported) };
        Ok(())
    })
}

/// The buffers of a struct without nulls: one address, of nothing.
static NO_VALIDITY: [usize; 1] = [0];

/// What an array handed out points to, beside the column's own buffers.
struct Owner {
    column: *mut LtColumn,
    children: Box<[*mut FFI_ArrowArray]>,
    dictionary: *mut FFI_ArrowArray,
}

impl Owner {
    fn new(
        column: *mut LtColumn,
        children: Vec<FFI_ArrowArray>,
        dictionary: Option<FFI_ArrowArray>,
    ) -> Box<Self> {
        let boxed = |array| Box::into_raw(Box::new(array));
        Box::new(Self {
            column,
            children: children.into_iter().map(boxed).collect(),
            dictionary: dictionary.map_or(std::ptr::null_mut(), boxed),
        })
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // SAFETY: boxed above, and freed here alone. One that was moved away has no release left to run.
        unsafe {
            for child in &self.children {
                drop(Box::from_raw(*child));
            }
            if !self.dictionary.is_null() {
                drop(Box::from_raw(self.dictionary));
            }
            lt_column_release(self.column.cast());
        }
    }
}

/// Makes `owner` the one that `array` lets go when it is released.
fn owned_by(mut owner: Box<Owner>, array: FFI_ArrowArray) -> FFI_ArrowArray {
    let mut array = std::mem::ManuallyDrop::new(array);
    array.n_children = owner.children.len() as i64;
    array.children = owner.children.as_mut_ptr();
    array.dictionary = owner.dictionary;
    array.private_data = Box::into_raw(owner).cast::<c_void>();
    array.release = Some(release);
    std::mem::ManuallyDrop::into_inner(array)
}

unsafe extern "C" fn release(array: *mut FFI_ArrowArray) {
    // SAFETY: the C data interface: an array of ours that has not been released.
    let owner = unsafe {
        (*array).release = None;
        Box::from_raw((*array).private_data.cast::<Owner>())
    };
    guard_void(|| drop(owner));
}

/// A second array for all of a column.
unsafe fn alias_of(column: *mut LtColumn, name: &str) -> Result<FFI_ArrowArray> {
    // SAFETY: the caller's promise.
    unsafe {
        let array = live_array(lt_column_array(column), name)?;
        Ok(alias(array, column))
    }
}

/// A second array over the same buffers. Each of its parts holds the column by itself, as each may be moved away.
unsafe fn alias(array: &FFI_ArrowArray, column: *mut LtColumn) -> FFI_ArrowArray {
    // SAFETY: the column's array is whole for as long as it is held.
    let (children, dictionary) = unsafe {
        let children = (0..array.num_children())
            .map(|i| alias(array.child(i), column))
            .collect();
        let dictionary = array.dictionary().map(|values| alias(values, column));
        lt_column_retain(column);
        (children, dictionary)
    };
    owned_by(
        Owner::new(column, children, dictionary),
        FFI_ArrowArray {
            length: array.length,
            null_count: array.null_count,
            offset: array.offset,
            n_buffers: array.n_buffers,
            buffers: array.buffers,
            ..FFI_ArrowArray::empty()
        },
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch, StructArray};
    use arrow::datatypes::{DataType, Int32Type};
    use arrow::ffi::from_ffi_and_data_type;

    use super::*;
    use crate::column::lt_column_take;
    use crate::error::Code;
    use crate::export::export;
    use crate::live::{lt_lance_live_bytes, lt_lance_live_handles};
    use crate::testing::{alone, batch_of, failure};

    fn columns_of(batch: RecordBatch) -> Vec<*mut LtColumn> {
        let count = batch.num_columns();
        let mut exported = export(batch).unwrap();
        (0..count)
            .map(|i| {
                let mut column = std::ptr::null_mut();
                let code = unsafe {
                    lt_column_take(&mut exported, i as i64, &mut column, std::ptr::null_mut())
                };
                assert_eq!(code, 0);
                column
            })
            .collect()
    }

    fn exported(columns: &[*mut LtColumn], rows: i64) -> FFI_ArrowArray {
        let mut batch = FFI_ArrowArray::empty();
        let code = unsafe {
            lt_columns_export(
                columns.as_ptr(),
                columns.len() as i64,
                rows,
                &mut batch,
                std::ptr::null_mut(),
            )
        };
        assert_eq!(code, 0);
        batch
    }

    fn release_all(columns: &[*mut LtColumn]) {
        for column in columns {
            unsafe { lt_column_release(column.cast()) };
        }
    }

    #[test]
    fn an_exported_batch_reads_as_the_first_one_and_keeps_its_columns() {
        let _alone = alone();
        let batch = batch_of(0..100);
        let data_type = DataType::Struct(batch.schema().fields().clone());
        let columns = columns_of(batch.clone());
        let again = exported(&columns, 100);
        release_all(&columns);
        assert_eq!(lt_lance_live_handles(2), batch.num_columns() as i64);
        let data = unsafe { from_ffi_and_data_type(again, data_type) }.unwrap();
        assert_eq!(
            RecordBatch::from(StructArray::from(data)).columns(),
            batch.columns()
        );
        assert_eq!(lt_lance_live_handles(2), 0);
    }

    #[test]
    fn buffers_are_the_same_and_a_child_that_is_moved_away_lives_on() {
        let _alone = alone();
        let columns = columns_of(batch_of(0..100));
        let again = exported(&columns, 100);
        let array_of = |i: usize| unsafe { &*lt_column_array(columns[i]) };
        assert_eq!(again.child(0).buffer(1), array_of(0).buffer(1));
        let items = again.child(1).child(0);
        assert_eq!(items.buffer(1), array_of(1).child(0).buffer(1));
        release_all(&columns);
        let moved = unsafe {
            let child = *again.children.add(1);
            let moved = std::ptr::read(child);
            (*child).release = None;
            moved
        };
        drop(again);
        assert_eq!(lt_lance_live_handles(2), 1);
        drop(moved);
        assert_eq!(lt_lance_live_handles(2), 0);
        assert_eq!(lt_lance_live_bytes(), 0);
    }

    #[test]
    fn a_batch_without_columns_has_its_rows() {
        let batch = exported(&[], 7);
        assert_eq!((batch.len(), batch.num_children()), (7, 0));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let _alone = alone();
        let columns = columns_of(batch_of(0..10));
        let mut batch = FFI_ArrowArray::empty();
        let missing = [columns[0], std::ptr::null_mut()];
        let mut refused = |columns: *const *mut LtColumn, count, rows| {
            let f =
                failure(|err| unsafe { lt_columns_export(columns, count, rows, &mut batch, err) });
            assert_eq!(f.code, Code::InvalidArgument);
            f.message
        };
        assert!(refused(missing.as_ptr(), 2, 10).contains("columns[1]"));
        assert!(refused(columns.as_ptr(), 1, -1).contains("rows"));
        assert!(refused(columns.as_ptr(), -1, 1).contains("columns"));
        assert!(refused(std::ptr::null(), 1, 1).contains("columns"));
        assert!(batch.release.is_none());
        let none = failure(|err| unsafe {
            lt_columns_export(columns.as_ptr(), 1, 10, std::ptr::null_mut(), err)
        });
        assert_eq!(none.code, Code::InvalidArgument);
        release_all(&columns);
    }

    /// Arrow Java reads an array of C as if its offset were 0.
    #[test]
    fn bools_leave_without_an_offset() {
        let _alone = alone();
        let values: Vec<Option<bool>> = (0..40)
            .map(|i| (i % 5 != 0).then_some(i % 3 == 0))
            .collect();
        for (begin, length) in [(0, 40), (3, 20), (8, 16), (39, 1), (5, 0)] {
            let sliced = BooleanArray::from(values.clone()).slice(begin, length);
            let numbers = Int32Array::from_iter(0..40).slice(begin, length);
            let batch = RecordBatch::try_from_iter_with_nullable([
                ("flag", Arc::new(sliced.clone()) as ArrayRef, true),
                ("number", Arc::new(numbers) as ArrayRef, true),
            ])
            .unwrap();
            let data_type = DataType::Struct(batch.schema().fields().clone());
            let left = export(batch).unwrap();
            assert_eq!(left.child(0).offset(), 0);
            assert_eq!(left.child(1).offset(), 0);
            let data = unsafe { from_ffi_and_data_type(left, data_type) }.unwrap();
            let back = StructArray::from(data);
            assert_eq!(back.column(0).as_boolean(), &sliced);
            let first = back
                .column(1)
                .as_primitive::<Int32Type>()
                .values()
                .first()
                .copied();
            assert_eq!(first, (length > 0).then_some(begin as i32));
        }
    }
}
