// SPDX-License-Identifier: Apache-2.0

//! Allocations that fail: errors, and not the process's end.
//!
//! A damaged file may ask Lance for any size. One that this machine could not have is refused before the kernel promises it, and
//! then meets the process with a kill; a refused one is a panic, which becomes a failure as every panic does.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Code;

/// The system's allocator, for sizes up to a limit.
struct Limited;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

/// Until it is known, there is none.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

// SAFETY: what is not NULL is the system allocator's.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LIMIT.load(Ordering::Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise, here and below.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LIMIT.load(Ordering::Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > LIMIT.load(Ordering::Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// How the panic of a failed allocation begins.
const FAILED: &str = "a memory allocation of ";

/// Sets the limit, and makes a failed allocation a panic; to be called once, before any other use of Lance.
pub fn fail_gently() {
    // A buffer that has grown to half of all memory cannot double, and what is more than all is more than half.
    LIMIT.store(memory() / 2, Ordering::Relaxed);
    #[cfg(alloc_error_hook)]
    std::alloc::set_alloc_error_hook(|layout| panic!("{FAILED}{} bytes failed", layout.size()));
}

/// The bytes of this machine's memory, or of this container's; without a limit where they are not told.
fn memory() -> usize {
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse().ok())
        .and_then(|kib: usize| kib.checked_mul(1024))
        .unwrap_or(usize::MAX);
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(usize::MAX);
    machine.min(container)
}

/// Beyond what any machine can address; only a damaged file asks for so much.
const ADDRESSABLE: u64 = 1 << 47;

/// The code of a panic whose text this is; `otherwise` where it is not of memory.
pub fn code_of_panic(text: &str, otherwise: Code) -> Code {
    let size = text
        .split(FAILED)
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    match size {
        None => otherwise,
        Some(size) if size < ADDRESSABLE => Code::OutOfMemory,
        Some(_) => Code::CorruptData,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_of_memory_are_told_from_others() {
        let code = |text| code_of_panic(text, Code::Internal);
        assert_eq!(code("index out of bounds"), Code::Internal);
        assert_eq!(
            code("a memory allocation of 8589934592 bytes failed"),
            Code::OutOfMemory
        );
        assert_eq!(
            code(
                "task 7 panicked: a memory allocation of 8462826649782585833 bytes failed (x.rs:1)"
            ),
            Code::CorruptData
        );
    }

    #[test]
    fn more_than_half_of_the_memory_is_refused() {
        fail_gently();
        assert!(memory() < usize::MAX);
        assert!(
            Vec::<u8>::new()
                .try_reserve_exact(memory() / 2 + 1)
                .is_err()
        );
        assert!(vec![1u8; 1 << 20].try_reserve_exact(memory() / 2).is_err());
        assert_eq!(vec![0u8; 1 << 20].len(), 1 << 20);
    }
}
