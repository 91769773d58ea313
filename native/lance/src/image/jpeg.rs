// SPDX-License-Identifier: Apache-2.0

//! JPEGs, by libjpeg-turbo.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use turbojpeg::raw;

use super::decode::corrupt;
use crate::error::{Code, Failure, Result};

/// More scans than any encoder makes; a file of thousands would take minutes.
const MAX_SCANS: c_int = 100;

pub struct Header {
    pub width: usize,
    pub height: usize,
    /// Four inks rather than three colours.
    pub inks: bool,
}

/// A TurboJPEG instance. Used directly rather than by the crate's wrapper, which cannot tell a warning from an error.
pub struct Turbo(pub NonNull<std::ffi::c_void>);

impl Turbo {
    pub fn new(kind: raw::TJINIT) -> Result<Self> {
        // SAFETY: a plain call.
        let handle = unsafe { raw::tj3Init(kind as c_int) };
        NonNull::new(handle).map(Self).ok_or_else(|| {
            Failure::new(
                Code::OutOfMemory,
                "TurboJPEG cannot be set up: out of memory",
            )
        })
    }

    pub fn set(&mut self, parameter: raw::TJPARAM, value: c_int) -> Result<()> {
        // SAFETY: a live handle.
        if unsafe { raw::tj3Set(self.0.as_ptr(), parameter as c_int, value) } == 0 {
            Ok(())
        } else {
            Err(Failure::internal(format!("TurboJPEG: {}", self.message())))
        }
    }

    fn get(&mut self, parameter: raw::TJPARAM) -> c_int {
        // SAFETY: a live handle.
        unsafe { raw::tj3Get(self.0.as_ptr(), parameter as c_int) }
    }

    pub fn message(&mut self) -> String {
        // SAFETY: a live handle; the string lives until the next call.
        unsafe { CStr::from_ptr(raw::tj3GetErrorStr(self.0.as_ptr())) }
            .to_string_lossy()
            .into_owned()
    }

    /// Whether the last failure was but a warning.
    fn warned(&mut self) -> bool {
        // SAFETY: a live handle.
        let code = unsafe { raw::tj3GetErrorCode(self.0.as_ptr()) };
        code == raw::TJERR_TJERR_WARNING as c_int
    }
}

impl Drop for Turbo {
    fn drop(&mut self) {
        // SAFETY: a live handle, for the last time.
        unsafe { raw::tj3Destroy(self.0.as_ptr()) };
    }
}

pub struct Decoder(Turbo);

impl Decoder {
    pub fn new() -> Result<Self> {
        let mut turbo = Turbo::new(raw::TJINIT_TJINIT_DECOMPRESS)?;
        turbo.set(raw::TJPARAM_TJPARAM_SCANLIMIT, MAX_SCANS)?;
        Ok(Self(turbo))
    }

    pub fn header(&mut self, encoded: &[u8]) -> Result<Header> {
        let turbo = &mut self.0;
        turbo.set(raw::TJPARAM_TJPARAM_STOPONWARNING, 0)?;
        // SAFETY: a live handle, and the bytes as they are.
        let code = unsafe {
            raw::tj3DecompressHeader(
                turbo.0.as_ptr(),
                encoded.as_ptr(),
                encoded.len() as raw::size_t,
            )
        };
        if code != 0 && !turbo.warned() {
            return Err(corrupt(format!("JPEG: {}", turbo.message())));
        }
        let inks = matches!(
            turbo.get(raw::TJPARAM_TJPARAM_COLORSPACE) as raw::TJCS,
            raw::TJCS_TJCS_CMYK | raw::TJCS_TJCS_YCCK
        );
        let width = turbo.get(raw::TJPARAM_TJPARAM_JPEGWIDTH);
        let height = turbo.get(raw::TJPARAM_TJPARAM_JPEGHEIGHT);
        let precision = turbo.get(raw::TJPARAM_TJPARAM_PRECISION);
        if precision != 8 {
            return Err(Failure::new(
                Code::Unsupported,
                format!("it is a JPEG of {precision} bits per sample; only 8 can be decoded"),
            ));
        }
        Ok(Header {
            width: usize::try_from(width).unwrap_or(0),
            height: usize::try_from(height).unwrap_or(0),
            inks,
        })
    }

    pub fn decode(
        &mut self,
        encoded: &[u8],
        header: &Header,
        pixels: &mut [u8],
        format: raw::TJPF,
    ) -> Result<()> {
        // libjpeg fills up what a cut file lacks, and only warns: TurboJPEG tells the first warning.
        let Some(warning) = self.decode_once(encoded, header, pixels, format, 1)? else {
            return Ok(());
        };
        if harmless(&warning) && has_end(encoded) {
            self.decode_once(encoded, header, pixels, format, 0)?;
            return Ok(());
        }
        Err(corrupt(format!("JPEG: {warning}")))
    }

    /// Decodes, and answers the warning if there was one.
    fn decode_once(
        &mut self,
        encoded: &[u8],
        header: &Header,
        pixels: &mut [u8],
        format: raw::TJPF,
        stop: c_int,
    ) -> Result<Option<String>> {
        let channels = if format == raw::TJPF_TJPF_CMYK { 4 } else { 3 };
        let pitch = header.width * channels;
        assert!(pixels.len() >= pitch * header.height);
        let turbo = &mut self.0;
        turbo.set(raw::TJPARAM_TJPARAM_STOPONWARNING, stop)?;
        // SAFETY: a live handle, the bytes as they are, and room for the image whose header was read from those bytes.
        let code = unsafe {
            raw::tj3Decompress8(
                turbo.0.as_ptr(),
                encoded.as_ptr(),
                encoded.len() as raw::size_t,
                pixels.as_mut_ptr(),
                pitch as c_int,
                format as c_int,
            )
        };
        if code == 0 {
            return Ok(None);
        }
        let message = turbo.message();
        if turbo.warned() {
            Ok(Some(message))
        } else {
            Err(corrupt(format!("JPEG: {message}")))
        }
    }
}

/// Whether an image with this warning of libjpeg's has all of its pixels nevertheless.
fn harmless(warning: &str) -> bool {
    [
        "extraneous bytes before marker",
        "unknown JFIF revision",
        "Unknown Adobe color transform",
        "Invalid SOS parameters for sequential JPEG",
        "ICC",
    ]
    .iter()
    .any(|text| warning.contains(text))
}

/// Whether an end mark follows the start of the last scan. Neither occurs within a scan's data.
fn has_end(encoded: &[u8]) -> bool {
    let mut marks = encoded.array_windows::<2>().rev();
    let mut ended = false;
    marks.any(|mark| {
        ended |= *mark == [0xff, 0xd9];
        *mark == [0xff, 0xda]
    });
    ended
}

/// Pillow's conversion, which takes the inks of every CMYK JPEG for inverted, as Adobe writes them.
pub fn inks_to_rgb(inks: &[u8], rgb: &mut [u8]) {
    for ([c, m, y, k], rgb) in inks
        .as_chunks::<4>()
        .0
        .iter()
        .zip(rgb.as_chunks_mut::<3>().0)
    {
        let light = u32::from(*k);
        for (to, ink) in rgb.iter_mut().zip([c, m, y]) {
            let product = u32::from(255 - ink) * light + 128;
            let dark = ((product >> 8) + product) >> 8;
            *to = (light - dark.min(light)) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn gray_and_progressive_jpegs_decode() {
        let gray: Vec<u8> = (0..64 * 48).map(|i| (i / 16) as u8).collect();
        let file = jpeg(
            &gray,
            (64, 48),
            raw::TJPF_TJPF_GRAY,
            &[(raw::TJPARAM_TJPARAM_SUBSAMP, raw::TJSAMP_TJSAMP_GRAY)],
        );
        let decoded = decode(&file, &options(64, 48)).unwrap();
        for (rgb, gray) in decoded.as_chunks::<3>().0.iter().zip(&gray) {
            assert!(rgb[0] == rgb[1] && rgb[1] == rgb[2]);
            assert!(rgb[0].abs_diff(*gray) < 10);
        }
        let progressive = jpeg(
            &picture(64, 48),
            (64, 48),
            raw::TJPF_TJPF_RGB,
            &[(raw::TJPARAM_TJPARAM_PROGRESSIVE, 1)],
        );
        let decoded = decode(&progressive, &options(64, 48)).unwrap();
        assert_eq!(
            decoded,
            decode(&rgb_jpeg(64, 48), &options(64, 48)).unwrap()
        );
    }

    #[test]
    fn inks_become_colours_as_pillow_does_it() {
        // white, black, red, half gray; inverted as Adobe stores them
        let colours = [
            ([0u8, 0, 0, 0], [255u8, 255, 255]),
            ([0, 0, 0, 255], [0, 0, 0]),
            ([0, 255, 255, 0], [255, 0, 0]),
            ([0, 0, 0, 128], [127, 127, 127]),
        ];
        for (inks, rgb) in colours {
            let stored = inks.map(|i| 255 - i);
            let pixels: Vec<u8> = std::iter::repeat_n(stored, 16 * 16).flatten().collect();
            let file = jpeg(&pixels, (16, 16), raw::TJPF_TJPF_CMYK, &[]);
            let decoded = decode(&file, &options(16, 16)).unwrap();
            for pixel in decoded.as_chunks::<3>().0 {
                assert!(largest_difference(pixel, &rgb) <= 3, "{inks:?} {pixel:?}");
            }
        }
    }

    #[test]
    fn a_cut_jpeg_is_corrupt_wherever_it_is_cut() {
        for progressive in [0, 1] {
            for restart in [0, 2] {
                let file = jpeg(
                    &picture(64, 48),
                    (64, 48),
                    raw::TJPF_TJPF_RGB,
                    &[
                        (raw::TJPARAM_TJPARAM_PROGRESSIVE, progressive),
                        (raw::TJPARAM_TJPARAM_RESTARTBLOCKS, restart),
                    ],
                );
                assert!(decode(&file, &options(64, 48)).is_ok());
                for length in (0..file.len() - 1).step_by(7) {
                    let failure = decode(&file[..length], &options(64, 48)).unwrap_err();
                    assert_eq!(failure.code, Code::CorruptData, "{length}: {failure:?}");
                    assert_eq!(failure.detail, 0);
                    assert!(failure.message.contains("row 0"), "{failure:?}");
                }
            }
        }
    }

    #[test]
    fn bytes_too_many_are_forgiven_but_not_a_missing_end() {
        let file = rgb_jpeg(64, 48);
        let whole = decode(&file, &options(64, 48)).unwrap();
        let without_end = &file[..file.len() - 2];
        let failure = decode(without_end, &options(64, 48)).unwrap_err();
        assert_eq!(failure.code, Code::CorruptData);
        let mut extra = without_end.to_vec();
        extra.extend([0x12, 0x34, 0x56]);
        assert!(decode(&extra, &options(64, 48)).is_err());
        extra.extend([0xff, 0xd9, 1, 2, 3]);
        assert_eq!(decode(&extra, &options(64, 48)).unwrap(), whole);
    }
}
