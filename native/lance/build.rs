// SPDX-License-Identifier: Apache-2.0

//! Link arguments of the shared library; see `native/include/lancetorch/error.h` and DESIGN.md, section 2.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // The runtime's threads outlive any dlclose, so the library must never be unmapped.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,liblancetorch_lance.so");
        // A dependency (crc-fast) has C functions of its own, which are nobody's business outside.
        println!("cargo::rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
        // A third of the size. (The profile's own `strip` would compile all of the dependencies once more.)
        println!("cargo::rustc-cdylib-link-arg=-Wl,--strip-all");
    }
}
