// SPDX-License-Identifier: Apache-2.0

//! A column of encoded images.

use arrow::ffi::FFI_ArrowArray;

use crate::error::{Code, Failure, Result};

/// Rows of a column of encoded images.
pub struct Images {
    pub first: usize,
    pub count: usize,
    /// Where the first row is in the buffers.
    start: usize,
    validity: *const u8,
    offsets: Offsets,
    bytes: *const u8,
}

enum Offsets {
    Small(*const i32),
    Large(*const i64),
}

impl Images {
    /// # Safety
    /// `column` is an array of `format` that outlives this.
    pub unsafe fn new(
        column: &FFI_ArrowArray,
        format: &str,
        first: i64,
        count: i64,
    ) -> Result<Self> {
        let large = match format {
            "z" | "u" => false,
            "Z" | "U" => true,
            other => {
                return Err(Failure::new(
                    Code::Unsupported,
                    format!(
                        "images are in a column of format \"z\", \"Z\", \"u\" or \"U\", not \"{other}\""
                    ),
                ));
            }
        };
        if column.n_buffers != 3 || column.buffers.is_null() {
            return Err(Failure::invalid(format!(
                "the column has {} buffers, where an array of format \"{format}\" has 3",
                column.n_buffers
            )));
        }
        if first < 0
            || count < 0
            || column.offset < 0
            || first
                .checked_add(count)
                .is_none_or(|end| end > column.length)
        {
            return Err(Failure::invalid(format!(
                "the rows from {first}, {count} of them, are not within the column, which has {}",
                column.length
            )));
        }
        // SAFETY: 3 buffers.
        let [validity, offsets, bytes] = unsafe { *column.buffers.cast::<[*const u8; 3]>() };
        if count > 0 && offsets.is_null() {
            return Err(Failure::invalid("the column's offsets are NULL"));
        }
        Ok(Self {
            first: first as usize,
            count: count as usize,
            start: (column.offset + first) as usize,
            validity: if column.null_count == 0 {
                std::ptr::null()
            } else {
                validity
            },
            offsets: if large {
                Offsets::Large(offsets.cast())
            } else {
                Offsets::Small(offsets.cast())
            },
            bytes,
        })
    }

    /// The bytes of the i-th row.
    pub fn get(&self, i: usize) -> Result<&[u8]> {
        let at = self.start + i;
        let row = self.first + i;
        // SAFETY: the buffers have a bit and an offset for each row, and one offset more.
        let (begin, end) = unsafe {
            if !self.validity.is_null() && (*self.validity.add(at / 8) >> (at % 8)) & 1 == 0 {
                return Err(Failure::new(
                    Code::CorruptData,
                    format!("row {row} of the column is null, so there is no image"),
                ));
            }
            match self.offsets {
                Offsets::Small(o) => (
                    i64::from(o.add(at).read_unaligned()),
                    i64::from(o.add(at + 1).read_unaligned()),
                ),
                Offsets::Large(o) => (o.add(at).read_unaligned(), o.add(at + 1).read_unaligned()),
            }
        };
        if begin < 0 || end < begin || (end > begin && self.bytes.is_null()) {
            return Err(Failure::invalid(format!(
                "row {row} of the column has the offsets {begin} and {end}"
            )));
        }
        if begin == end {
            return Ok(&[]);
        }
        // SAFETY: an array of this format has the bytes that its offsets point to.
        Ok(unsafe {
            std::slice::from_raw_parts(self.bytes.add(begin as usize), (end - begin) as usize)
        })
    }
}
