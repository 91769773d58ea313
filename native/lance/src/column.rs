// SPDX-License-Identifier: Apache-2.0

//! Columns that outlive their batch, shared by counting holders; and the unpacking of bits.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use arrow::ffi::FFI_ArrowArray;

use crate::abi::{LtError, live_array, out};
use crate::error::{Failure, Result, guard, guard_void};
use crate::live::{Counted, Kind};

/// `lt_column` of lance.h.
pub struct LtColumn {
    array: FFI_ArrowArray,
    holders: AtomicUsize,
    _live: Counted,
}

/// `lt_column_take` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_column_take(
    batch: *mut FFI_ArrowArray,
    index: i64,
    column: *mut *mut LtColumn,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        let column = out(column, "column")?;
        // SAFETY: lance.h: `batch` is NULL or an ArrowArray of the caller's.
        let array = unsafe { take(batch, index) }?;
        let handle = Box::new(LtColumn {
            array,
            holders: AtomicUsize::new(1),
            _live: Counted::new(Kind::Column),
        });
        // SAFETY: checked above.
        unsafe { column.write(Box::into_raw(handle)) };
        Ok(())
    })
}

/// Moves a child out, as the C data interface says: the copy has the release, the child has none any more.
unsafe fn take(batch: *mut FFI_ArrowArray, index: i64) -> Result<FFI_ArrowArray> {
    // SAFETY: the caller's promise.
    let parent = unsafe { live_array(batch, "batch") }?;
    let position = usize::try_from(index)
        .ok()
        .filter(|i| *i < parent.num_children() && !parent.children.is_null())
        .ok_or_else(|| {
            Failure::invalid(format!(
                "there is no child {index}: the batch has {}",
                parent.n_children
            ))
        })?;
    // SAFETY: `children` has num_children() pointers.
    let child = unsafe { *parent.children.add(position) };
    // SAFETY: as above.
    unsafe { live_array(child, &format!("child {index} of the batch")) }?;
    // SAFETY: alive, and from now on only the copy is.
    unsafe {
        let array = std::ptr::read(child);
        (*child).release = None;
        Ok(array)
    }
}

/// `lt_column_array` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_column_array(column: *const LtColumn) -> *const FFI_ArrowArray {
    // SAFETY: lance.h: NULL or a column that the caller holds.
    unsafe { column.as_ref() }.map_or(std::ptr::null(), |column| &raw const column.array)
}

/// `lt_column_retain` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_column_retain(column: *mut LtColumn) {
    // SAFETY: lance.h: NULL or a column that the caller holds.
    if let Some(column) = unsafe { column.as_ref() } {
        column.holders.fetch_add(1, Ordering::Relaxed);
    }
}

/// `lt_column_release` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_column_release(column: *mut c_void) {
    let column: *mut LtColumn = column.cast();
    // SAFETY: lance.h: NULL or a column that the caller holds.
    let Some(shared) = (unsafe { column.as_ref() }) else {
        return;
    };
    // Release: what this holder did happens before the end; acquire: the end happens after what all holders did.
    if shared.holders.fetch_sub(1, Ordering::Release) == 1 {
        fence(Ordering::Acquire);
        // SAFETY: this was the last holder.
        guard_void(|| drop(unsafe { Box::from_raw(column) }));
    }
}

/// `lt_bits_unpack` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_bits_unpack(
    bits: *const c_void,
    offset: i64,
    count: i64,
    bytes: *mut u8,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        let start =
            usize::try_from(offset).map_err(|_| Failure::invalid(format!("offset is {offset}")))?;
        let size =
            usize::try_from(count).map_err(|_| Failure::invalid(format!("count is {count}")))?;
        if size == 0 {
            return Ok(());
        }
        let end = offset
            .checked_add(count)
            .map(|end| end as usize)
            .ok_or_else(|| {
                Failure::invalid(format!("offset {offset} and count {count} are too large"))
            })?;
        if bits.is_null() {
            return Err(Failure::invalid("bits is NULL"));
        }
        let bytes = out(bytes, "bytes")?;
        // SAFETY: lance.h: the caller's bits go up to `end`, and `bytes` has `size` bytes.
        unsafe {
            let bits = std::slice::from_raw_parts(bits.cast::<u8>(), end.div_ceil(8));
            unpack(bits, start, std::slice::from_raw_parts_mut(bytes, size));
        }
        Ok(())
    })
}

fn unpack(bits: &[u8], offset: usize, bytes: &mut [u8]) {
    let bit = |i: usize| (bits[i / 8] >> (i % 8)) & 1;
    // Up to the first whole byte one by one, from there eight at a time.
    let head = ((8 - offset % 8) % 8).min(bytes.len());
    for (i, byte) in bytes[..head].iter_mut().enumerate() {
        *byte = bit(offset + i);
    }
    let first = (offset + head) / 8;
    let (eights, tail) = bytes[head..].as_chunks_mut::<8>();
    let whole = eights.len();
    for (eight, packed) in eights.iter_mut().zip(&bits[first.min(bits.len())..]) {
        for (i, byte) in eight.iter_mut().enumerate() {
            *byte = (packed >> i) & 1;
        }
    }
    for (i, byte) in tail.iter_mut().enumerate() {
        *byte = bit(offset + head + whole * 8 + i);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::export::export;
    use crate::live::{lt_lance_live_bytes, lt_lance_live_handles};
    use crate::testing::{alone, batch_of, failure};

    #[test]
    fn bits_unpack_at_every_offset() {
        let bits: Vec<u8> = (0..16u8).map(|i| i.wrapping_mul(37) ^ 0x5a).collect();
        for offset in 0..40 {
            for count in [0, 1, 7, 8, 9, 16, 31, 64] {
                let mut bytes = vec![9u8; count];
                let code = unsafe {
                    lt_bits_unpack(
                        bits.as_ptr().cast(),
                        offset,
                        count as i64,
                        bytes.as_mut_ptr(),
                        std::ptr::null_mut(),
                    )
                };
                assert_eq!(code, 0);
                for (i, byte) in bytes.iter().enumerate() {
                    let at = offset as usize + i;
                    assert_eq!(*byte, (bits[at / 8] >> (at % 8)) & 1);
                }
            }
        }
    }

    #[test]
    fn wrong_bits_are_refused() {
        let mut byte = 0u8;
        let bits = [0u8];
        let call = |bits: *const c_void, offset, count, bytes: *mut u8| {
            failure(|err| unsafe { lt_bits_unpack(bits, offset, count, bytes, err) }).code
        };
        let at = bits.as_ptr().cast();
        assert_eq!(
            call(std::ptr::null(), 0, 1, &mut byte),
            Code::InvalidArgument
        );
        assert_eq!(call(at, -1, 1, &mut byte), Code::InvalidArgument);
        assert_eq!(call(at, 0, -1, &mut byte), Code::InvalidArgument);
        assert_eq!(
            call(at, i64::MAX, i64::MAX, &mut byte),
            Code::InvalidArgument
        );
        assert_eq!(call(at, 0, 1, std::ptr::null_mut()), Code::InvalidArgument);
    }

    #[test]
    fn a_column_outlives_its_batch_until_its_last_holder_is_gone() {
        let _alone = alone();
        let mut batch = export(batch_of(0..100)).unwrap();
        assert!(lt_lance_live_bytes() > 0);
        let mut column = std::ptr::null_mut();
        unsafe {
            assert_eq!(
                lt_column_take(&mut batch, 1, &mut column, std::ptr::null_mut()),
                0
            );
            let again = failure(|err| {
                let mut other = std::ptr::null_mut();
                lt_column_take(&mut batch, 1, &mut other, err)
            });
            assert_eq!(again.code, Code::InvalidArgument);
            assert!(again.message.contains("child 1"), "{again:?}");
            for index in [-1, 3] {
                let none = failure(|err| {
                    let mut other = std::ptr::null_mut();
                    lt_column_take(&mut batch, index, &mut other, err)
                });
                assert_eq!(none.code, Code::InvalidArgument);
            }
            drop(batch);
            assert_eq!(lt_lance_live_bytes(), 100 * 4 * 4);
            assert_eq!(lt_lance_live_handles(2), 1);
            lt_column_retain(column);
            let array = &*lt_column_array(column);
            assert_eq!(array.length, 100);
            assert!(array.release.is_some());
            lt_column_release(column.cast());
            assert_eq!(lt_lance_live_handles(2), 1);
            lt_column_release(column.cast());
        }
        assert_eq!(lt_lance_live_handles(2), 0);
        assert_eq!(lt_lance_live_bytes(), 0);
    }

    #[test]
    fn null_columns_do_nothing() {
        unsafe {
            lt_column_retain(std::ptr::null_mut());
            lt_column_release(std::ptr::null_mut());
            assert!(lt_column_array(std::ptr::null()).is_null());
        }
    }

    #[test]
    fn holders_on_many_threads_free_once() {
        let _alone = alone();
        let mut batch = export(batch_of(0..1000)).unwrap();
        let mut column = std::ptr::null_mut();
        let code = unsafe { lt_column_take(&mut batch, 0, &mut column, std::ptr::null_mut()) };
        assert_eq!(code, 0);
        drop(batch);
        let address = column as usize;
        std::thread::scope(|scope| {
            for _ in 0..8 {
                unsafe { lt_column_retain(column) };
                scope.spawn(move || {
                    for _ in 0..1000 {
                        unsafe {
                            lt_column_retain(address as *mut LtColumn);
                            lt_column_release(address as *mut c_void);
                        }
                    }
                    unsafe { lt_column_release(address as *mut c_void) };
                });
            }
        });
        assert_eq!(lt_lance_live_handles(2), 1);
        unsafe { lt_column_release(column.cast()) };
        assert_eq!(lt_lance_live_handles(2), 0);
        assert_eq!(lt_lance_live_bytes(), 0);
    }
}
