// SPDX-License-Identifier: Apache-2.0

//! Counters of what is alive, and the library's version: the first section of lance.h.

use std::ffi::c_char;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::abi::LtError;
use crate::error::guard;

/// The kinds of handles, with the values of lance.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Kind {
    Dataset = 0,
    Scan = 1,
    Column = 2,
    Writer = 3,
    Stream = 4,
    Blob = 5,
}

const KINDS: usize = 6;

static HANDLES: [AtomicI64; KINDS] = [const { AtomicI64::new(0) }; KINDS];
static BYTES: AtomicI64 = AtomicI64::new(0);

/// Counts one handle for as long as it lives.
#[derive(Debug)]
pub struct Counted(Kind);

impl Counted {
    pub fn new(kind: Kind) -> Self {
        HANDLES[kind as usize].fetch_add(1, Ordering::Relaxed);
        Self(kind)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        HANDLES[self.0 as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts the bytes of one exported buffer for as long as it lives.
#[derive(Debug)]
pub struct CountedBytes(i64);

impl CountedBytes {
    pub fn new(bytes: usize) -> Self {
        let bytes = bytes as i64;
        BYTES.fetch_add(bytes, Ordering::Relaxed);
        Self(bytes)
    }
}

impl Drop for CountedBytes {
    fn drop(&mut self) {
        BYTES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// `lt_lance_live_handles` of lance.h.
#[unsafe(no_mangle)]
pub extern "C" fn lt_lance_live_handles(kind: i32) -> i64 {
    usize::try_from(kind)
        .ok()
        .and_then(|kind| HANDLES.get(kind))
        .map_or(-1, |count| count.load(Ordering::Relaxed))
}

/// `lt_lance_live_bytes` of lance.h.
#[unsafe(no_mangle)]
pub extern "C" fn lt_lance_live_bytes() -> i64 {
    BYTES.load(Ordering::Relaxed)
}

/// `lt_lance_version` of lance.h.
#[unsafe(no_mangle)]
pub extern "C" fn lt_lance_version() -> *const c_char {
    // Cargo.toml pins the crate to exactly this version, and a test compares the two.
    c"14.0.2".as_ptr()
}

/// `lt_lance_set_threads` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_lance_set_threads(threads: i32, err: *mut LtError) -> i32 {
    guard(err, || crate::runtime::set_threads(threads))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_cargo_toml_pins() {
        let version = unsafe { std::ffi::CStr::from_ptr(lt_lance_version()) };
        let pinned = format!("lance = {{ version = \"={}\"", version.to_str().unwrap());
        assert!(include_str!("../Cargo.toml").contains(&pinned));
    }

    #[test]
    fn an_unknown_kind_is_minus_one() {
        assert_eq!(lt_lance_live_handles(-1), -1);
        assert_eq!(lt_lance_live_handles(KINDS as i32), -1);
    }
}
