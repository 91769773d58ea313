// SPDX-License-Identifier: Apache-2.0

//! RGB to JPEG.

use std::ffi::c_int;

use turbojpeg::raw;

use super::jpeg::Turbo;
use super::options::side;
use crate::abi::{LtError, out};
use crate::error::{Failure, Result, guard};

/// `lt_image_encode_jpeg` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_image_encode_jpeg(
    pixels: *const u8,
    height: i32,
    width: i32,
    quality: i32,
    jpeg: *mut u8,
    capacity: i64,
    size: *mut i64,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        side(height, "height")?;
        side(width, "width")?;
        if !(1..=100).contains(&quality) {
            return Err(Failure::invalid(format!(
                "quality is {quality}, but must be between 1 and 100"
            )));
        }
        let room = usize::try_from(capacity)
            .map_err(|_| Failure::invalid(format!("capacity is {capacity}")))?;
        if pixels.is_null() {
            return Err(Failure::invalid("pixels is NULL"));
        }
        if room > 0 {
            out(jpeg, "jpeg")?;
        }
        let size = out(size, "size")?;
        // SAFETY: lance.h: height x width x 3 bytes.
        let encoded = unsafe { Encoded::new(pixels, height, width, quality) }?;
        let bytes = encoded.bytes();
        if bytes.len() > room {
            // The one case in which an out-parameter is written though the call fails; lance.h says so.
            // SAFETY: checked above.
            unsafe { size.write(bytes.len() as i64) };
            return Err(Failure::invalid(format!(
                "the JPEG is {} bytes, more than the capacity of {capacity}",
                bytes.len()
            )));
        }
        // SAFETY: checked above.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), jpeg, bytes.len());
            size.write(bytes.len() as i64);
        }
        Ok(())
    })
}

/// A JPEG in memory of TurboJPEG's.
pub struct Encoded {
    pub start: *mut u8,
    pub size: raw::size_t,
}

impl Encoded {
    /// # Safety
    /// `pixels` has height x width x 3 bytes.
    unsafe fn new(pixels: *const u8, height: i32, width: i32, quality: i32) -> Result<Self> {
        let mut turbo = Turbo::new(raw::TJINIT_TJINIT_COMPRESS)?;
        turbo.set(raw::TJPARAM_TJPARAM_QUALITY, quality)?;
        // Pillow's default, too.
        turbo.set(raw::TJPARAM_TJPARAM_SUBSAMP, raw::TJSAMP_TJSAMP_420)?;
        let mut encoded = Self {
            start: std::ptr::null_mut(),
            size: 0,
        };
        // SAFETY: a live handle, the caller's pixels, and a buffer that TurboJPEG allocates.
        let code = unsafe {
            raw::tj3Compress8(
                turbo.0.as_ptr(),
                pixels,
                width,
                0,
                height,
                raw::TJPF_TJPF_RGB as c_int,
                &mut encoded.start,
                &mut encoded.size,
            )
        };
        if code != 0 || encoded.start.is_null() {
            return Err(Failure::internal(format!("JPEG: {}", turbo.message())));
        }
        Ok(encoded)
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: what TurboJPEG has written.
        unsafe { std::slice::from_raw_parts(self.start, self.size as usize) }
    }
}

impl Drop for Encoded {
    fn drop(&mut self) {
        // SAFETY: TurboJPEG's own memory, or NULL.
        unsafe { raw::tj3Free(self.start.cast()) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::error::Code;
    use crate::testing::*;

    #[test]
    fn encoding_says_how_much_room_it_needs() {
        let pixels = picture(64, 48);
        let mut size = -1;
        let call = |jpeg: *mut u8, capacity, size: &mut i64, quality, height| {
            outcome(|err| unsafe {
                lt_image_encode_jpeg(
                    pixels.as_ptr(),
                    height,
                    64,
                    quality,
                    jpeg,
                    capacity,
                    size,
                    err,
                )
            })
        };
        let failure = call(std::ptr::null_mut(), 0, &mut size, 90, 48).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
        assert!(size > 100);
        let needed = size;
        let mut file = vec![0u8; needed as usize];
        assert!(call(file.as_mut_ptr(), needed - 1, &mut size, 90, 48).is_err());
        call(file.as_mut_ptr(), needed, &mut size, 90, 48).unwrap();
        assert_eq!(size, needed);
        assert_eq!(decode(&file, &options(64, 48)).unwrap().len(), 64 * 48 * 3);
        for (quality, height) in [(0, 48), (101, 48), (90, 0), (90, -5), (90, 70_000)] {
            let failure = call(file.as_mut_ptr(), needed, &mut size, quality, height).unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument);
        }
    }
}
