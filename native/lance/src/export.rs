// SPDX-License-Identifier: Apache-2.0

//! How a record batch leaves for C: as a struct array whose buffers are the batch's own, each of them counted.

use std::sync::Arc;

use arrow::array::{Array, ArrayData, BooleanArray, RecordBatch, StructArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow::datatypes::DataType;
use arrow::ffi::FFI_ArrowArray;

use crate::error::{Code, Failure, Result};
use crate::live::CountedBytes;

/// Keeps a buffer, and its place in the count, alive until nobody points to it any more.
struct Owner {
    _buffer: Buffer,
    _bytes: CountedBytes,
}

/// The batch as a struct array for C. Its buffers are aligned for their types and its arrays begin where their buffers do;
/// what is not so already, is copied: a slice of bools, most of all.
pub fn export(batch: RecordBatch) -> Result<FFI_ArrowArray> {
    let mut data = StructArray::from(batch).into_data();
    data.align_buffers();
    check(&data)?;
    Ok(FFI_ArrowArray::new(&counted(data)))
}

/// A damaged file may give offsets that lead out of their buffer, and whoever reads the array follows them. Lance checks what
/// it decodes, but not in files of its first format.
fn check(data: &ArrayData) -> Result<()> {
    data.validate()
        .map_err(|e| Failure::new(Code::CorruptData, format!("a damaged column: {e}")))?;
    let rows = data.offset()..data.offset() + data.len() + 1;
    let ascending = match data.data_type() {
        _ if data.is_empty() => true,
        DataType::Binary | DataType::Utf8 | DataType::List(_) | DataType::Map(_, _) => {
            data.buffers()[0].typed_data::<i32>()[rows].is_sorted()
        }
        DataType::LargeBinary | DataType::LargeUtf8 | DataType::LargeList(_) => {
            data.buffers()[0].typed_data::<i64>()[rows].is_sorted()
        }
        _ => true,
    };
    if !ascending {
        return Err(Failure::new(
            Code::CorruptData,
            format!(
                "a damaged column: the offsets of its {} do not ascend",
                data.data_type()
            ),
        ));
    }
    data.child_data().iter().try_for_each(check)
}

/// Bits alone keep an offset when an array is sliced, and Arrow Java does not look at the offset of an array of C.
fn without_offset(data: ArrayData) -> ArrayData {
    if data.offset() == 0 || data.data_type() != &DataType::Boolean {
        return data;
    }
    let (values, nulls) = BooleanArray::from(data).into_parts();
    let bits = BooleanBuffer::new(values.sliced(), 0, values.len());
    BooleanArray::new(bits, nulls).into_data()
}

fn counted(data: ArrayData) -> ArrayData {
    let data = without_offset(data);
    let nulls = data.nulls().map(|nulls| {
        let bits = BooleanBuffer::new(counted_buffer(nulls.buffer()), nulls.offset(), nulls.len());
        // SAFETY: the same bits, so the same number of nulls.
        unsafe { NullBuffer::new_unchecked(bits, nulls.null_count()) }
    });
    let buffers = data.buffers().iter().map(counted_buffer).collect();
    let children = data.child_data().iter().cloned().map(counted).collect();
    let builder = data
        .into_builder()
        .nulls(nulls)
        .buffers(buffers)
        .child_data(children);
    // SAFETY: the same array with the same bytes in each buffer.
    unsafe { builder.build_unchecked() }
}

fn counted_buffer(buffer: &Buffer) -> Buffer {
    let bytes = buffer.len();
    let owner = Arc::new(Owner {
        _buffer: buffer.clone(),
        _bytes: CountedBytes::new(bytes),
    });
    let start =
        std::ptr::NonNull::new(buffer.as_ptr().cast_mut()).expect("a buffer's address is not NULL");
    // SAFETY: `owner` keeps the `bytes` bytes from `start` alive, and they never change.
    unsafe { Buffer::from_custom_allocation(start, bytes, owner) }
}
