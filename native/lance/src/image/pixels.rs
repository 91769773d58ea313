// SPDX-License-Identifier: Apache-2.0

//! Pixels of one size to pixels of another, and to floats.

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x4;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::decode::PIXEL;
use super::geometry::{Frame, Rect, Source, View};
use super::options::{BLOCK, Floats, Normal};
use crate::error::{Failure, Result};

/// Resizes an image of four bytes a pixel, for which the resizer is fastest, or the part of it where `view` looks, by Pillow's antialiased bilinear filter.
pub fn resize(
    resizer: &mut Resizer,
    from: &[u8],
    frame: &Frame,
    view: &View,
    to: &mut [u8],
) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| Failure::internal(format!("resizing: {e}"));
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false);
    let whole = Rect {
        left: 0,
        top: 0,
        ..frame.rect
    };
    let (part, options) = match view.source(frame) {
        Source::Cut(part) => (part, options),
        Source::Box(left, top, width, height) => (whole, options.crop(left, top, width, height)),
    };
    let [width, height] = [whole.width, whole.height].map(|v| v as u32);
    let from = TypedImageRef::<U8x4>::from_buffer(width, height, from).map_err(|e| failed(&e))?;
    let [left, top, width, height] =
        [part.left, part.top, part.width, part.height].map(|v| v as u32);
    let from = TypedCroppedImage::new(from, left, top, width, height).map_err(|e| failed(&e))?;
    let mut to = TypedImage::<U8x4>::from_buffer(view.to.0 as u32, view.to.1 as u32, to)
        .map_err(|e| failed(&e))?;
    resizer
        .resize_typed(&from, &mut to, &options)
        .map_err(|e| failed(&e))
}

/// Writes the first three bytes of each pixel to `rgb`, densely.
pub fn pack(pixels: &[[u8; PIXEL]], rgb: &mut [u8]) {
    // Four pixels are three words, lowest byte first.
    let (fours, rest) = pixels.as_chunks::<4>();
    let (words, to_rest) = rgb.as_chunks_mut::<12>();
    for (to, from) in words.iter_mut().zip(fours) {
        let [a, b, c, d] = from.map(u32::from_le_bytes);
        let words = [
            (a & 0xff_ffff) | (b << 24),
            ((b >> 8) & 0xffff) | (c << 16),
            ((c >> 16) & 0xff) | (d << 8),
        ];
        to.copy_from_slice(words.map(u32::to_le_bytes).as_flattened());
    }
    for (to, [r, g, b, _]) in to_rest.as_chunks_mut::<3>().0.iter_mut().zip(rest) {
        *to = [*r, *g, *b];
    }
}

/// Turns bytes into floats: over 255, and perhaps less a mean and over a deviation.
pub fn to_floats(bytes: &[u8], floats: &mut [f32], how: &Floats) {
    let Some(Normal { mean, deviation }) = &how.normal else {
        for (float, byte) in floats.iter_mut().zip(bytes) {
            *float = unit(*byte);
        }
        return;
    };
    let normal = |floats: &mut [f32], bytes: &[u8]| {
        let values = floats.iter_mut().zip(bytes);
        for ((float, byte), (mean, deviation)) in values.zip(mean.iter().zip(deviation)) {
            *float = (unit(*byte) - mean) / deviation;
        }
    };
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let (to_blocks, to_rest) = floats.as_chunks_mut::<BLOCK>();
    for (to, from) in to_blocks.iter_mut().zip(blocks) {
        normal(to, from);
    }
    normal(to_rest, rest);
}

/// byte / 255, rounded once as a division would be, without one.
#[inline]
fn unit(byte: u8) -> f32 {
    // 1 / 255 to 16 bits, so that its product with a byte is exact, and what that lacks.
    const UPPER: f32 = f32::from_bits((1.0f32 / 255.0).to_bits() & !0xff);
    const LOWER: f32 = (1.0 / 255.0 - UPPER as f64) as f32;
    let byte = f32::from(byte);
    byte * UPPER + byte * LOWER
}

#[cfg(test)]
mod tests {
    use super::super::lt_image_to_floats;
    use super::super::testing::*;
    use crate::abi::LtImageOptions;
    use crate::error::Code;
    use crate::testing::*;

    #[test]
    fn a_byte_is_divided_by_255_exactly() {
        for byte in 0..=255u8 {
            assert_eq!(super::unit(byte), f32::from(byte) / 255.0);
        }
    }

    #[test]
    fn floats_are_the_bytes_over_255() {
        let file = rgb_jpeg(64, 48);
        let bytes = decode(&file, &options(32, 24)).unwrap();
        let floats = decode(
            &file,
            &LtImageOptions {
                dtype: 1,
                ..options(32, 24)
            },
        )
        .unwrap();
        let floats = floats_of(&floats);
        let expected: Vec<f32> = bytes.iter().map(|b| f32::from(*b) / 255.0).collect();
        assert_eq!(floats, expected);
    }

    fn floats_of(bytes: &[u8]) -> Vec<f32> {
        let values = bytes.as_chunks::<4>().0.iter();
        values.map(|b| f32::from_ne_bytes(*b)).collect()
    }

    const NORMAL: LtImageOptions = LtImageOptions {
        dtype: 1,
        normalize: 1,
        mean: [0.485, 0.456, 0.406],
        deviation: [0.229, 0.224, 0.225],
        ..ZERO
    };

    #[test]
    fn normalised_floats_are_less_the_mean_and_over_the_deviation() {
        let file = rgb_jpeg(64, 48);
        let bytes = decode(&file, &options(33, 24)).unwrap();
        let normal = LtImageOptions {
            height: 24,
            width: 33,
            ..NORMAL
        };
        let floats = floats_of(&decode(&file, &normal).unwrap());
        let expected: Vec<f32> = bytes
            .iter()
            .enumerate()
            .map(|(i, b)| (f32::from(*b) / 255.0 - normal.mean[i % 3]) / normal.deviation[i % 3])
            .collect();
        assert_eq!(floats, expected);
    }

    #[test]
    fn bytes_become_the_floats_of_a_decode() {
        let file = rgb_jpeg(64, 48);
        for width in [31, 32, 33] {
            let plain = LtImageOptions {
                dtype: 1,
                ..options(width, 24)
            };
            let normal = LtImageOptions {
                height: 24,
                width: width as i32,
                ..NORMAL
            };
            let bytes = decode(&file, &options(width, 24)).unwrap();
            for how in [plain, normal] {
                let mut floats = vec![0f32; bytes.len()];
                ok(|err| unsafe {
                    let count = bytes.len() as i64 / 3;
                    lt_image_to_floats(bytes.as_ptr(), count, &how, floats.as_mut_ptr(), err)
                });
                assert_eq!(floats, floats_of(&decode(&file, &how).unwrap()));
            }
        }
    }

    #[test]
    fn wrong_arguments_of_to_floats_are_refused() {
        let (bytes, mut floats) = ([0u8; 3], [0f32; 4]);
        let mut call = |bytes: *const u8, count, how: LtImageOptions, shift| {
            outcome(|err| unsafe {
                let floats = floats.as_mut_ptr().byte_add(shift);
                lt_image_to_floats(bytes, count, &how, floats, err)
            })
        };
        call(bytes.as_ptr(), 1, NORMAL, 0).unwrap();
        call(std::ptr::null(), 0, NORMAL, 0).unwrap();
        let flat = LtImageOptions {
            deviation: [1.0, 0.0, 1.0],
            ..NORMAL
        };
        for (failure, name) in [
            (call(std::ptr::null(), 1, NORMAL, 0), "pixels"),
            (call(bytes.as_ptr(), -1, NORMAL, 0), "pixels"),
            (call(bytes.as_ptr(), i64::MAX, NORMAL, 0), "pixel_count"),
            (call(bytes.as_ptr(), 1, NORMAL, 1), "aligned"),
            (call(bytes.as_ptr(), 1, flat, 0), "deviation[1]"),
        ] {
            let failure = failure.unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument, "{failure:?}");
            assert!(failure.message.contains(name), "{failure:?}");
        }
    }
}
