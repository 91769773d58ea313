// SPDX-License-Identifier: Apache-2.0

//! How fast images decode, beside the bare parts.

use std::path::{Path, PathBuf};
use std::time::Instant;

use arrow::array::{Array, BinaryArray};
use arrow::ffi::FFI_ArrowArray;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use turbojpeg::{Decompressor, PixelFormat, raw};

use super::lt_image_decode;
use super::testing::*;
use crate::abi::LtImageOptions;
use crate::testing::ok;

fn photos() -> Vec<Vec<u8>> {
    fn visit(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                visit(&path, files);
            } else {
                files.push(path);
            }
        }
    }
    let folder = std::env::var("LANCETORCH_PHOTOS").expect("LANCETORCH_PHOTOS is not set");
    let mut files = Vec::new();
    visit(Path::new(&folder), &mut files);
    files.sort();
    let photos: Vec<_> = files
        .iter()
        .map(|f| std::fs::read(f).unwrap())
        .filter(|f| f.starts_with(&[0xff, 0xd8]))
        .collect();
    assert!(!photos.is_empty(), "no photos in {folder}");
    photos
}

/// The libraries on their own, as anyone would call them.
struct Bare {
    decoder: Decompressor,
    resizer: Resizer,
    decoded: Vec<u8>,
}

impl Bare {
    fn new() -> Self {
        Self {
            decoder: Decompressor::new().unwrap(),
            resizer: Resizer::new(),
            decoded: Vec::new(),
        }
    }

    fn decode(&mut self, file: &[u8]) -> (usize, usize) {
        let header = self.decoder.read_header(file).unwrap();
        let (width, height) = (header.width, header.height);
        let size = width * height * 3;
        if self.decoded.len() < size {
            self.decoded.resize(size, 0);
        }
        let image = turbojpeg::Image {
            pixels: &mut self.decoded[..size],
            width,
            pitch: width * 3,
            height,
            format: PixelFormat::RGB,
        };
        self.decoder.decompress(file, image).unwrap();
        (width, height)
    }

    fn resize(&mut self, (width, height): (usize, usize), to: (usize, usize), pixels: &mut [u8]) {
        let from = &self.decoded[..width * height * 3];
        let from = ImageRef::new(width as u32, height as u32, from, PixelType::U8x3).unwrap();
        let mut to =
            Image::from_slice_u8(to.0 as u32, to.1 as u32, pixels, PixelType::U8x3).unwrap();
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .use_alpha(false);
        self.resizer.resize(&from, &mut to, &options).unwrap();
    }
}

/// The photos in 512 px at most, as JPEGs of LANCETORCH_QUALITY (90).
fn files() -> Vec<Vec<u8>> {
    let quality = std::env::var("LANCETORCH_QUALITY").map_or(90, |q| q.parse().unwrap());
    let mut bare = Bare::new();
    photos()
        .iter()
        .take(400)
        .map(|photo| {
            let (width, height) = bare.decode(photo);
            let scale = 512.0 / width.max(height) as f64;
            let side = |size: usize| (size as f64 * scale).round() as usize;
            let to = (side(width), side(height));
            let mut small = vec![0u8; to.0 * to.1 * 3];
            bare.resize((width, height), to, &mut small);
            let parameters = [
                (raw::TJPARAM_TJPARAM_QUALITY, quality),
                (raw::TJPARAM_TJPARAM_SUBSAMP, raw::TJSAMP_TJSAMP_420),
            ];
            jpeg(&small, to, raw::TJPF_TJPF_RGB, &parameters)
        })
        .collect()
}

/// `LANCETORCH_PHOTOS=folder cargo test --release image_speed -- --ignored --nocapture`: one thread, to 224 px. The variants
/// take turns, so that all of them see the same load; the median of each, also as a share of the bare loop's.
#[test]
#[ignore = "a benchmark"]
fn image_speed() {
    const SIDE: usize = 224;
    const BATCH: usize = 64;
    let files = files();
    let bytes: usize = files.iter().map(Vec::len).sum();
    println!(
        "{} images, {} bytes each on average",
        files.len(),
        bytes / files.len()
    );
    let column = BinaryArray::from_iter_values(files.iter());
    let array = FFI_ArrowArray::new(&column.to_data());
    let keys: Vec<u64> = (0..files.len() as u64).collect();
    let mut pixels = vec![0f32; SIDE * SIDE * 3 * BATCH];
    let mut bare = Bare::new();
    let mut small = vec![0u8; SIDE * SIDE * 3];
    let plain = options(SIDE, SIDE);
    let floats = LtImageOptions { dtype: 1, ..plain };
    let normal = LtImageOptions {
        normalize: 1,
        mean: [0.485, 0.456, 0.406],
        deviation: [0.229, 0.224, 0.225],
        ..floats
    };
    let center = LtImageOptions {
        geometry: 1,
        resize_shorter: 256,
        ..normal
    };
    let random = LtImageOptions {
        geometry: 2,
        scale_min: 0.08,
        scale_max: 1.0,
        ratio_min: 0.75,
        ratio_max: 4.0 / 3.0,
        flip_probability: 0.5,
        ..normal
    };
    let fast = |options| LtImageOptions { fast: 1, ..options };
    let variants = [
        ("bare: decode", None),
        ("bare: decode + resize + float", None),
        ("uint8", Some(plain)),
        ("float", Some(floats)),
        ("float, normalised", Some(normal)),
        ("center crop, normalised", Some(center)),
        ("random crop and flip, normalised", Some(random)),
        ("float, fast", Some(fast(floats))),
        ("center crop, normalised, fast", Some(fast(center))),
        ("random crop and flip, normalised, fast", Some(fast(random))),
    ];
    let mut rates = vec![Vec::new(); variants.len()];
    for _ in 0..11 {
        for ((name, options), rates) in variants.iter().zip(&mut rates) {
            let start = Instant::now();
            for first in (0..files.len()).step_by(BATCH) {
                let count = BATCH.min(files.len() - first);
                let Some(options) = options else {
                    for (i, file) in files[first..first + count].iter().enumerate() {
                        let size = bare.decode(file);
                        if name.contains("resize") {
                            bare.resize(size, (SIDE, SIDE), &mut small);
                            let one = &mut pixels[i * small.len()..][..small.len()];
                            for (float, byte) in one.iter_mut().zip(&small) {
                                *float = f32::from(*byte) / 255.0;
                            }
                        }
                    }
                    continue;
                };
                ok(|err| unsafe {
                    lt_image_decode(
                        &array,
                        c"z".as_ptr(),
                        first as i64,
                        count as i64,
                        options,
                        keys[first..].as_ptr(),
                        std::ptr::null_mut(),
                        pixels.as_mut_ptr().cast(),
                        (pixels.len() * 4) as i64,
                        err,
                    )
                });
            }
            rates.push(files.len() as f64 / start.elapsed().as_secs_f64());
        }
    }
    let medians: Vec<f64> = rates
        .iter_mut()
        .map(|rates| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        })
        .collect();
    for ((name, _), median) in variants.iter().zip(&medians) {
        println!("{name:42} {median:6.0} img/s  {:4.2}", median / medians[1]);
    }
}
