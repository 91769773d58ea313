// SPDX-License-Identifier: Apache-2.0

//! The structs of lance.h and error.h as Rust sees them, and the checks of the pointers that come in.

use std::collections::HashMap;
use std::ffi::{CStr, c_char};

use arrow::ffi::FFI_ArrowArray;

use crate::error::{Failure, Result};

/// `LT_ERROR_MESSAGE_SIZE` of error.h.
pub const MESSAGE_SIZE: usize = 2040;

/// `lt_error` of error.h.
#[repr(C)]
pub struct LtError {
    pub code: i32,
    pub detail: i32,
    pub message: [u8; MESSAGE_SIZE],
}

impl Default for LtError {
    fn default() -> Self {
        Self {
            code: 0,
            detail: -1,
            message: [0; MESSAGE_SIZE],
        }
    }
}

/// `lt_fragment` of lance.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LtFragment {
    pub id: u64,
    pub rows: u64,
    pub deleted_rows: u64,
}

/// `LT_OPERATION_SIZE` of lance.h.
pub const OPERATION_SIZE: usize = 32;

/// `lt_version` of lance.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LtVersion {
    pub version: u64,
    pub time_ms: i64,
    pub rows: u64,
    pub fragments: u64,
    pub files: u64,
    pub bytes: u64,
    pub operation: [u8; OPERATION_SIZE],
}

/// `lt_storage_option` of lance.h.
#[repr(C)]
pub struct LtStorageOption {
    pub key: *const c_char,
    pub value: *const c_char,
}

/// `lt_row_range` of lance.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LtRowRange {
    pub fragment_id: u64,
    pub begin: u64,
    pub end: u64,
}

/// `lt_scan_options` of lance.h.
#[repr(C)]
pub struct LtScanOptions {
    pub columns: *const *const c_char,
    pub column_count: i64,
    pub filter: *const c_char,
    pub ranges: *const LtRowRange,
    pub range_count: i64,
    pub batch_ends: *const i64,
    pub batch_count: i64,
    pub batch_size: i64,
    pub read_ahead: i32,
    pub with_row_id: i32,
    pub access: i32,
}

/// `lt_image_options` of lance.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LtImageOptions {
    pub height: i32,
    pub width: i32,
    pub dtype: i32,
    pub apply_orientation: i32,
    pub max_pixels: i64,
    pub geometry: i32,
    pub resize_shorter: i32,
    pub scale_min: f64,
    pub scale_max: f64,
    pub ratio_min: f64,
    pub ratio_max: f64,
    pub flip_probability: f64,
    pub seed: u64,
    pub normalize: i32,
    pub mean: [f32; 3],
    pub deviation: [f32; 3],
    pub fast: i32,
}

/// `lt_write_progress` of lance.h.
#[repr(C)]
#[derive(Debug, Default)]
pub struct LtWriteProgress {
    pub rows: u64,
    pub bytes: u64,
    pub fragments: u64,
}

/// `lt_write_options` of lance.h.
#[repr(C)]
pub struct LtWriteOptions {
    pub mode: i32,
    pub option_count: i32,
    pub options: *const LtStorageOption,
    pub max_rows_per_file: i64,
    pub data_storage_version: *const c_char,
    pub progress: *mut LtWriteProgress,
}

/// A handle or struct that is borrowed for the call.
///
/// # Safety
/// `pointer` is NULL or points to a live `T`.
pub unsafe fn borrowed<'a, T>(pointer: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: as above.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name))
}

/// Checks a pointer that is written to only when the call succeeds.
pub fn out<T>(pointer: *mut T, name: &str) -> Result<*mut T> {
    if pointer.is_null() {
        Err(null(name))
    } else {
        Ok(pointer)
    }
}

fn null(name: &str) -> Failure {
    Failure::invalid(format!("{name} is NULL"))
}

/// A string that must be there.
///
/// # Safety
/// `pointer` is NULL or points to a NUL-terminated string.
pub unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: as above.
    unsafe { CStr::from_ptr(pointer) }
        .to_str()
        .map_err(|e| Failure::invalid(format!("{name} is not UTF-8: {e}")))
}

/// A string that may be NULL.
///
/// # Safety
/// As for [`text`].
pub unsafe fn optional_text<'a>(pointer: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: as above.
    unsafe { text(pointer, name) }.map(Some)
}

/// `count` values from `pointer`, which may be NULL where `count` is 0.
///
/// # Safety
/// `pointer` is NULL or points to `count` values of `T`.
pub unsafe fn slice<'a, T>(pointer: *const T, count: i64, name: &str) -> Result<&'a [T]> {
    let count = usize::try_from(count)
        .map_err(|_| Failure::invalid(format!("the count of {name} is {count}")))?;
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Failure::invalid(format!(
            "{name} is NULL, but its count is {count}"
        )));
    }
    // SAFETY: as above.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// The names of columns: None where `columns` is NULL.
///
/// # Safety
/// `columns` is NULL or points to `count` strings.
pub unsafe fn names(columns: *const *const c_char, count: i64) -> Result<Option<Vec<String>>> {
    if columns.is_null() {
        if count != 0 {
            return Err(Failure::invalid(format!(
                "columns is NULL, but column_count is {count}"
            )));
        }
        return Ok(None);
    }
    // SAFETY: as above.
    unsafe { slice(columns, count, "columns") }?
        .iter()
        .enumerate()
        // SAFETY: as above.
        .map(|(i, name)| unsafe { text(*name, &format!("columns[{i}]")) }.map(str::to_string))
        .collect::<Result<Vec<_>>>()
        .map(Some)
}

/// Options for the object store.
///
/// # Safety
/// `options` is NULL or points to `count` pairs of strings.
pub unsafe fn storage_options(
    options: *const LtStorageOption,
    count: i32,
) -> Result<HashMap<String, String>> {
    // SAFETY: as above.
    unsafe { slice(options, i64::from(count), "options") }?
        .iter()
        .enumerate()
        .map(|(i, option)| {
            // SAFETY: as above.
            let key = unsafe { text(option.key, &format!("options[{i}].key")) }?;
            // SAFETY: as above.
            let value = unsafe { text(option.value, &format!("options[{i}].value")) }?;
            Ok((key.to_string(), value.to_string()))
        })
        .collect()
}

/// Checks an ArrowArray that has to be alive.
///
/// # Safety
/// `array` is NULL or points to an ArrowArray.
pub unsafe fn live_array<'a>(
    array: *const FFI_ArrowArray,
    name: &str,
) -> Result<&'a FFI_ArrowArray> {
    // SAFETY: as above.
    let array = unsafe { borrowed(array, name) }?;
    if array.release.is_none() {
        return Err(Failure::invalid(format!("{name} was released or moved")));
    }
    Ok(array)
}
