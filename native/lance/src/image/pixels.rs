// SPDX-License-Identifier: Apache-2.0

//! Pixels of one size to pixels of another, and to floats.

use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::geometry::{Frame, Source, View};
use super::options::Floats;
use crate::error::{Failure, Result};

/// Resizes an RGB image, or the part of it where `view` looks, by Pillow's antialiased bilinear filter.
pub fn resize(
    resizer: &mut Resizer,
    from: &[u8],
    frame: &Frame,
    view: &View,
    to: &mut [u8],
) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| Failure::internal(format!("resizing: {e}"));
    let (width, height) = (frame.rect.width as u32, frame.rect.height as u32);
    let from = ImageRef::new(width, height, from, PixelType::U8x3).map_err(|e| failed(&e))?;
    let mut to = Image::from_slice_u8(view.to.0 as u32, view.to.1 as u32, to, PixelType::U8x3)
        .map_err(|e| failed(&e))?;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false);
    match view.source(frame) {
        Source::Cut(part) if (part.width, part.height) == (frame.rect.width, frame.rect.height) => {
            resizer.resize(&from, &mut to, &options)
        }
        Source::Cut(part) => {
            let [left, top, width, height] =
                [part.left, part.top, part.width, part.height].map(|v| v as u32);
            let from =
                CroppedImage::new(&from, left, top, width, height).map_err(|e| failed(&e))?;
            resizer.resize(&from, &mut to, &options)
        }
        Source::Box(left, top, width, height) => {
            resizer.resize(&from, &mut to, &options.crop(left, top, width, height))
        }
    }
    .map_err(|e| failed(&e))
}

/// i / 255 for every byte.
static UNITS: [f32; 256] = {
    let mut table = [0.0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = i as f32 / 255.0;
        i += 1;
    }
    table
};

pub fn to_floats(bytes: &[u8], floats: &mut [f32], how: &Floats) {
    match how.normal {
        None => {
            for (float, byte) in floats.iter_mut().zip(bytes) {
                *float = UNITS[usize::from(*byte)];
            }
        }
        Some(normal) => {
            let pixels = bytes.as_chunks::<3>().0;
            for (floats, bytes) in floats.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
                for c in 0..3 {
                    floats[c] =
                        (UNITS[usize::from(bytes[c])] - normal.mean[c]) / normal.deviation[c];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lt_image_to_floats;
    use super::super::testing::*;
    use crate::abi::LtImageOptions;
    use crate::error::Code;
    use crate::testing::*;

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
