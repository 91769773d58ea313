// SPDX-License-Identifier: Apache-2.0

//! The Rust half of lancetorch: Lance datasets behind the C ABI that `native/include/lancetorch/lance.h` defines.
//!
//! The header is the contract; each exported function here cites its entry and adds nothing to it. An export is a thin
//! wrapper: it hands a closure to [`error::guard`], which turns an `Err` or a panic into an [`abi::LtError`]. The work is
//! done by ordinary Rust functions that return [`error::Result`].
//!
//! - [`error`]: status codes, messages, the guard; [`abi`]: the header's structs and the checks of pointers
//! - [`live`]: counters of what is alive; [`memory`]: allocations that fail; [`runtime`]: the one tokio runtime
//! - [`dataset`], [`versions`], [`select`], [`scan`], [`take`], [`blob`], [`column`], [`image`], [`write`], [`fragments`]: the
//!   sections of the header
//! - [`rows`]: rows from anywhere as one batch; [`page_cache`]: local files as those need them
//! - [`export`]: how a record batch leaves for C, counted and without a copy; [`reexport`]: once more, by its columns

// Every pointer an export takes is governed by the ownership rules of error.h and lance.h.
#![allow(clippy::missing_safety_doc)]
#![cfg_attr(alloc_error_hook, feature(alloc_error_hook))]

mod abi;
mod blob;
mod column;
mod dataset;
mod error;
mod export;
mod fragments;
mod image;
mod live;
mod memory;
mod page_cache;
mod reexport;
mod rows;
mod runtime;
mod scan;
mod select;
mod take;
mod versions;
mod write;

#[cfg(test)]
mod testing;
