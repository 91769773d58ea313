#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cargo's stand-in for rustc: lets src/memory.rs set the hook of failed allocations, which Rust has not declared stable yet. A
# damaged file may ask Lance for any size, and without the hook a size that cannot be ends the process.
RUSTC_BOOTSTRAP=1 exec "$@" --cfg alloc_error_hook
