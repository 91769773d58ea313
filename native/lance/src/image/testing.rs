// SPDX-License-Identifier: Apache-2.0

//! What the tests of images have in common: pictures, files of them, and decoding in a shape that reads as Rust.

use std::ffi::{CStr, c_int};

use arrow::array::{Array, BinaryArray};
use arrow::ffi::FFI_ArrowArray;
use turbojpeg::raw;

use super::encode::Encoded;
use super::geometry::Rect;
use super::jpeg::Turbo;
use super::lt_image_decode;
use crate::abi::LtImageOptions;
use crate::error::Result;
use crate::testing::outcome;

/// A picture with edges and gradients, so that mistakes show.
pub fn picture(width: usize, height: usize) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let edge = if (x / 8 + y / 8) % 2 == 0 { 40 } else { 0 };
            rgb.push((x * 200 / width + edge) as u8);
            rgb.push((y * 200 / height + edge) as u8);
            rgb.push(((x + y) * 100 / (width + height)) as u8);
        }
    }
    rgb
}

/// Encodes with any of TurboJPEG's parameters.
pub fn jpeg(
    pixels: &[u8],
    (width, height): (usize, usize),
    format: raw::TJPF,
    parameters: &[(raw::TJPARAM, c_int)],
) -> Vec<u8> {
    let mut turbo = Turbo::new(raw::TJINIT_TJINIT_COMPRESS).unwrap();
    turbo.set(raw::TJPARAM_TJPARAM_QUALITY, 95).unwrap();
    turbo
        .set(raw::TJPARAM_TJPARAM_SUBSAMP, raw::TJSAMP_TJSAMP_444)
        .unwrap();
    for (parameter, value) in parameters {
        turbo.set(*parameter, *value).unwrap();
    }
    let mut encoded = Encoded {
        start: std::ptr::null_mut(),
        size: 0,
    };
    let code = unsafe {
        raw::tj3Compress8(
            turbo.0.as_ptr(),
            pixels.as_ptr(),
            width as c_int,
            0,
            height as c_int,
            format as c_int,
            &mut encoded.start,
            &mut encoded.size,
        )
    };
    assert_eq!(code, 0, "{}", turbo.message());
    encoded.bytes().to_vec()
}

pub fn rgb_jpeg(width: usize, height: usize) -> Vec<u8> {
    jpeg(
        &picture(width, height),
        (width, height),
        raw::TJPF_TJPF_RGB,
        &[],
    )
}

pub fn png_of(
    pixels: &[u8],
    (width, height): (usize, usize),
    color: png::ColorType,
    depth: png::BitDepth,
    more: impl FnOnce(&mut png::Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(depth);
    more(&mut encoder);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    drop(writer);
    file
}

/// Options with nothing set.
pub const ZERO: LtImageOptions = LtImageOptions {
    height: 0,
    width: 0,
    dtype: 0,
    apply_orientation: 0,
    max_pixels: 0,
    geometry: 0,
    resize_shorter: 0,
    scale_min: 0.0,
    scale_max: 0.0,
    ratio_min: 0.0,
    ratio_max: 0.0,
    flip_probability: 0.0,
    seed: 0,
    normalize: 0,
    mean: [0.0; 3],
    deviation: [0.0; 3],
    fast: 0,
};

pub fn options(width: usize, height: usize) -> LtImageOptions {
    LtImageOptions {
        height: height as i32,
        width: width as i32,
        ..ZERO
    }
}

/// Decodes a whole column, with the rows' positions as their keys.
pub fn decode_column(
    column: &dyn Array,
    format: &CStr,
    options: &LtImageOptions,
) -> Result<Vec<u8>> {
    let array = FFI_ArrowArray::new(&column.to_data());
    let keys: Vec<u64> = (0..column.len() as u64).collect();
    let value = if options.dtype == 1 { 4 } else { 1 };
    let one = (options.width * options.height * 3) as usize * value;
    // one value more behind, which must stay
    let mut pixels = vec![0xa5u8; one * column.len() + 4];
    outcome(|err| unsafe {
        lt_image_decode(
            &array,
            format.as_ptr(),
            0,
            column.len() as i64,
            options,
            keys.as_ptr(),
            std::ptr::null_mut(),
            pixels.as_mut_ptr().cast(),
            (one * column.len()) as i64,
            err,
        )
    })?;
    assert_eq!(pixels.split_off(one * column.len()), [0xa5; 4]);
    Ok(pixels)
}

pub fn decode(image: &[u8], options: &LtImageOptions) -> Result<Vec<u8>> {
    decode_column(&BinaryArray::from_iter_values([image]), c"z", options)
}

pub fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

pub fn exif(orientation: u8, big: bool) -> Vec<u8> {
    let two = |v: u16| {
        if big {
            v.to_be_bytes()
        } else {
            v.to_le_bytes()
        }
    };
    let four = |v: u32| {
        if big {
            v.to_be_bytes()
        } else {
            v.to_le_bytes()
        }
    };
    let mut tiff = if big { b"MM".to_vec() } else { b"II".to_vec() };
    tiff.extend(two(42));
    tiff.extend(four(8));
    tiff.extend(two(2));
    for (tag, value) in [(0x0100, 7u16), (0x0112, u16::from(orientation))] {
        tiff.extend(two(tag));
        tiff.extend(two(3));
        tiff.extend(four(1));
        tiff.extend(two(value));
        tiff.extend(two(0));
    }
    tiff.extend(four(0));
    tiff
}

pub fn with_exif(file: &[u8], tiff: &[u8]) -> Vec<u8> {
    let mut out = file[..2].to_vec();
    out.extend([0xff, 0xe1]);
    out.extend((tiff.len() as u16 + 8).to_be_bytes());
    out.extend(b"Exif\0\0");
    out.extend(tiff);
    out.extend(&file[2..]);
    out
}

/// A picture of which no pixel is like its neighbours.
pub fn noise(width: usize, height: usize) -> Vec<u8> {
    let mut random = (width * 1000 + height) as u64;
    picture(width, height)
        .iter()
        .map(|value| {
            random = next(random);
            value.wrapping_add((random >> 58) as u8)
        })
        .collect()
}

/// A linear congruential generator; the upper bits are the good ones.
pub fn next(random: u64) -> u64 {
    random
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407)
}

/// A PNG with these pixels.
pub fn rgb_png(rgb: &[u8], size: (usize, usize)) -> Vec<u8> {
    png_of(rgb, size, png::ColorType::Rgb, png::BitDepth::Eight, |_| {})
}

/// A part of an image of `width`, with N bytes a pixel.
pub fn cut<const N: usize>(image: &[u8], width: usize, part: Rect) -> Vec<u8> {
    (part.top..part.top + part.height)
        .flat_map(|y| &image[(y * width + part.left) * N..][..part.width * N])
        .copied()
        .collect()
}

pub fn mean_difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: u64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    sum as f64 / a.len() as f64
}

/// The middle of the image at 256/224 of the size.
pub fn center_crop(side: usize) -> LtImageOptions {
    LtImageOptions {
        geometry: 1,
        resize_shorter: (side * 8 / 7) as i32,
        ..options(side, side)
    }
}

/// A random part as torchvision has it by default.
pub fn random_crop(side: usize) -> LtImageOptions {
    LtImageOptions {
        geometry: 2,
        scale_min: 0.08,
        scale_max: 1.0,
        ratio_min: 3.0 / 4.0,
        ratio_max: 4.0 / 3.0,
        ..options(side, side)
    }
}
