#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Tests the native code that build/native has: the C callers by ctest, once more with the C++ shim under ASan and UBSan, and
# the Rust shim's format, lints and tests. The lints run while the tests compile, so that Lance is compiled once only.
set -eu
cd "$(dirname "$0")/.."

say() { printf '\n==== %s\n' "$*"; }

say "C callers of both headers"
ctest --test-dir build/native --output-on-failure

say "the same under ASan and UBSan"
cmake --preset sanitize
cmake --build --preset sanitize
ctest --preset sanitize

say "what is over CUDA compiles, with headers from the package registry"
cmake --preset compile-cuda
cmake --build --preset compile-cuda

cd native/lance
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/lancetorch/cargo}"
say "Rust: format"
cargo fmt --check
say "Rust: clippy, and tests"
# As rustc's stand-in, clippy lints what cargo compiles anyway. Not for a cdylib: cargo would take this one for the release's.
export RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS="-Dwarnings__CLIPPY_HACKERY__-Copt-level=0"
cargo rustc --release --locked --lib --crate-type rlib
cargo test --release --locked
