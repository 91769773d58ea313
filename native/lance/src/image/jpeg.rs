// SPDX-License-Identifier: Apache-2.0

//! JPEGs, by libjpeg-turbo.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use turbojpeg::raw;

use super::decode::{PIXEL, corrupt};
use super::geometry::{Frame, Rect};
use crate::error::{Code, Failure, Result};

/// More scans than any encoder makes; a file of thousands would take minutes.
const MAX_SCANS: c_int = 100;

pub struct Header {
    pub width: usize,
    pub height: usize,
    /// Four inks rather than three colours.
    pub inks: bool,
    /// The pixels across a block of all components; None where a part cannot be decoded on its own.
    block: Option<usize>,
    /// Whether TurboJPEG can decode at a fraction of the size.
    pub scales: bool,
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
        let lossless = turbo.get(raw::TJPARAM_TJPARAM_LOSSLESS) != 0;
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
            block: match turbo.get(raw::TJPARAM_TJPARAM_SUBSAMP) {
                _ if lossless => None,
                raw::TJSAMP_TJSAMP_444
                | raw::TJSAMP_TJSAMP_GRAY
                | raw::TJSAMP_TJSAMP_440
                | raw::TJSAMP_TJSAMP_441 => Some(8),
                raw::TJSAMP_TJSAMP_422 | raw::TJSAMP_TJSAMP_420 => Some(16),
                raw::TJSAMP_TJSAMP_411 => Some(32),
                _ => None,
            },
            scales: !lossless,
        })
    }

    /// Decodes `frame`, densely, in a format of four bytes a pixel.
    pub fn decode(
        &mut self,
        encoded: &[u8],
        frame: &Frame,
        pixels: &mut [u8],
        format: raw::TJPF,
    ) -> Result<()> {
        self.choose(frame)?;
        // libjpeg fills up what a cut file lacks, and only warns: TurboJPEG tells the first warning.
        let warning = self.decode_once(encoded, frame, pixels, format, 1)?;
        match &warning {
            // A part's decoder does not see the end of the file.
            None if frame.is_whole() || encoded.ends_with(&END) || has_end(encoded) => Ok(()),
            None => Err(corrupt("JPEG: it is cut short")),
            Some(warning) if harmless(warning) && has_end(encoded) => {
                self.decode_once(encoded, frame, pixels, format, 0)?;
                Ok(())
            }
            Some(warning) => Err(corrupt(format!("JPEG: {warning}"))),
        }
    }

    /// Sets what is to be decoded of the image whose header was read last.
    fn choose(&mut self, frame: &Frame) -> Result<()> {
        let turbo = &mut self.0;
        let scale = raw::tjscalingfactor {
            num: 1,
            denom: frame.denominator as c_int,
        };
        let Rect {
            left,
            top,
            width,
            height,
        } = frame.rect;
        let [x, y, w, h] = if frame.is_whole() {
            [0; 4]
        } else {
            [left, top, width, height].map(|v| v as c_int)
        };
        // SAFETY: a live handle.
        let code = unsafe {
            match raw::tj3SetScalingFactor(turbo.0.as_ptr(), scale) {
                0 => raw::tj3SetCroppingRegion(turbo.0.as_ptr(), raw::tjregion { x, y, w, h }),
                code => code,
            }
        };
        if code == 0 {
            Ok(())
        } else {
            Err(corrupt(format!("JPEG: {}", turbo.message())))
        }
    }

    /// Decodes, and answers the warning if there was one.
    fn decode_once(
        &mut self,
        encoded: &[u8],
        frame: &Frame,
        pixels: &mut [u8],
        format: raw::TJPF,
        stop: c_int,
    ) -> Result<Option<String>> {
        let pitch = frame.rect.width * PIXEL;
        assert!(pixels.len() >= pitch * frame.rect.height);
        let turbo = &mut self.0;
        turbo.set(raw::TJPARAM_TJPARAM_STOPONWARNING, stop)?;
        // SAFETY: a live handle, the bytes as they are, and room for the frame of the image whose header was read from those bytes.
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

impl Header {
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The frame to decode for the `needed` pixels at 1/denominator: those, with what surrounds them up to the block's edge,
    /// or the whole image.
    pub fn frame(&self, needed: Rect, denominator: usize) -> Frame {
        let whole = Frame::whole(self.size(), denominator);
        let Some(block) = self.block.map(|width| width.div_ceil(denominator)) else {
            return whole;
        };
        // Smoothed colours depend on their neighbours, and on there being some.
        const BESIDE: usize = 2;
        const LEAST: usize = 32;
        let right = (needed.left + needed.width + BESIDE).min(whole.rect.width);
        let left = needed
            .left
            .saturating_sub(BESIDE)
            .min(right.saturating_sub(LEAST))
            / block
            * block;
        let width = right.max(LEAST).min(whole.rect.width) - left;
        if width * needed.height * 10 > whole.rect.width * whole.rect.height * 9 {
            return whole;
        }
        Frame {
            rect: Rect {
                left,
                width,
                ..needed
            },
            ..whole
        }
    }
}

/// The mark at the end of a JPEG.
const END: [u8; 2] = [0xff, 0xd9];

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
        ended |= *mark == END;
        *mark == [0xff, 0xda]
    });
    ended
}

/// Turns four inks in place into red, green, blue and nothing. Pillow's conversion, which takes the inks of every CMYK JPEG
/// for inverted, as Adobe writes them.
pub fn inks_to_rgb(pixels: &mut [u8]) {
    for [c, m, y, k] in pixels.as_chunks_mut::<PIXEL>().0 {
        let light = u32::from(*k);
        for ink in [c, m, y] {
            let product = u32::from(255 - *ink) * light + 128;
            let dark = ((product >> 8) + product) >> 8;
            *ink = (light - dark.min(light)) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::abi::LtImageOptions;

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

    #[test]
    fn a_part_has_the_pixels_of_the_whole() {
        let mut decoder = Decoder::new().unwrap();
        let mut random = 5u64;
        let mut below = |bound: usize| {
            random = next(random);
            (random >> 33) as usize % bound
        };
        let mut parts = 0;
        for subsampling in [
            raw::TJSAMP_TJSAMP_444,
            raw::TJSAMP_TJSAMP_422,
            raw::TJSAMP_TJSAMP_420,
            raw::TJSAMP_TJSAMP_GRAY,
            raw::TJSAMP_TJSAMP_440,
            raw::TJSAMP_TJSAMP_411,
            raw::TJSAMP_TJSAMP_441,
        ] {
            for (progressive, restart) in [(0, 0), (1, 0), (0, 3)] {
                let size = (160 + below(90), 120 + below(90));
                let parameters = [
                    (raw::TJPARAM_TJPARAM_SUBSAMP, subsampling),
                    (raw::TJPARAM_TJPARAM_PROGRESSIVE, progressive),
                    (raw::TJPARAM_TJPARAM_RESTARTBLOCKS, restart),
                ];
                let rgb = noise(size.0, size.1);
                let file = jpeg(&rgb, size, raw::TJPF_TJPF_RGB, &parameters);
                let header = decoder.header(&file).unwrap();
                for denominator in [1, 2, 4, 8] {
                    let whole = Frame::whole(size, denominator);
                    let (width, height) = (whole.rect.width, whole.rect.height);
                    let mut all = vec![0; width * height * PIXEL];
                    let format = raw::TJPF_TJPF_RGBX;
                    decoder.decode(&file, &whole, &mut all, format).unwrap();
                    for _ in 0..60 {
                        let (left, top) = (below(width), below(height));
                        let needed = Rect {
                            left,
                            top,
                            width: 1 + below(width - left),
                            height: 1 + below(height - top),
                        };
                        let frame = header.frame(needed, denominator);
                        parts += usize::from(!frame.is_whole());
                        let mut pixels = vec![0; frame.rect.width * frame.rect.height * PIXEL];
                        decoder.decode(&file, &frame, &mut pixels, format).unwrap();
                        let inside = Rect {
                            left: left - frame.rect.left,
                            top: top - frame.rect.top,
                            ..needed
                        };
                        assert!(
                            cut::<PIXEL>(&pixels, frame.rect.width, inside)
                                == cut::<PIXEL>(&all, width, needed),
                            "{subsampling} {progressive} {restart} {size:?} {needed:?} {frame:?}"
                        );
                    }
                }
            }
        }
        assert!(parts > 3000, "{parts}");
    }

    #[test]
    fn a_cut_jpeg_is_corrupt_also_where_the_part_lies_before_the_cut() {
        let file = rgb_jpeg(200, 200);
        let top = LtImageOptions {
            geometry: 1,
            resize_shorter: 200,
            ..options(200, 40)
        };
        decode(&file, &top).unwrap();
        for length in [file.len() - 2, file.len() - 200] {
            let failure = decode(&file[..length], &top).unwrap_err();
            assert_eq!(failure.code, Code::CorruptData);
        }
        // something behind the end does no harm
        let mut more = file.clone();
        more.extend([1, 2, 3]);
        assert_eq!(decode(&more, &top).unwrap(), decode(&file, &top).unwrap());
    }
}
