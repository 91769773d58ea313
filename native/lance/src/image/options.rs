// SPDX-License-Identifier: Apache-2.0

//! `lt_image_options`, checked.

use super::geometry::Geometry;
use crate::abi::LtImageOptions;
use crate::error::{Failure, Result};

/// Above so many pixels Pillow refuses an image as a decompression bomb.
const MAX_PIXELS: u64 = 178_956_970;

/// The largest side of an output image.
pub const MAX_SIDE: i32 = 65_500;

/// `lt_image_options`, checked.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub height: usize,
    pub width: usize,
    /// How bytes become floats; None where they stay bytes.
    pub floats: Option<Floats>,
    pub orient: bool,
    pub max_pixels: u64,
    pub geometry: Geometry,
    pub flip_probability: f64,
    pub seed: u64,
    pub fast: bool,
}

/// How bytes become floats: over 255, and perhaps less a mean and over a deviation.
#[derive(Clone, Copy, Debug)]
pub struct Floats {
    pub normal: Option<Normal>,
}

/// As many pixels as fill whole registers, in values.
pub const BLOCK: usize = 24;

/// What to subtract from, and by what to divide, each value of a block.
#[derive(Clone, Copy, Debug)]
pub struct Normal {
    pub mean: [f32; BLOCK],
    pub deviation: [f32; BLOCK],
}

impl Floats {
    pub fn new(options: &LtImageOptions) -> Result<Self> {
        if options.normalize == 0 {
            return Ok(Self { normal: None });
        }
        for (i, mean) in options.mean.iter().enumerate() {
            if !mean.is_finite() {
                return Err(Failure::invalid(format!(
                    "mean[{i}] is {mean}, but must be finite"
                )));
            }
        }
        for (i, deviation) in options.deviation.iter().enumerate() {
            if !(deviation.is_finite() && *deviation > 0.0) {
                return Err(Failure::invalid(format!(
                    "deviation[{i}] is {deviation}, but must be finite and above 0"
                )));
            }
        }
        Ok(Self {
            normal: Some(Normal {
                mean: std::array::from_fn(|i| options.mean[i % 3]),
                deviation: std::array::from_fn(|i| options.deviation[i % 3]),
            }),
        })
    }
}

impl Options {
    pub fn new(options: &LtImageOptions) -> Result<Self> {
        let (height, width) = (
            side(options.height, "height")?,
            side(options.width, "width")?,
        );
        if !(0.0..=1.0).contains(&options.flip_probability) {
            return Err(Failure::invalid(format!(
                "flip_probability is {}, but must be between 0 and 1",
                options.flip_probability
            )));
        }
        Ok(Self {
            height,
            width,
            floats: match options.dtype {
                0 if options.normalize != 0 => {
                    return Err(Failure::invalid(
                        "normalize is set, but dtype is LT_IMAGE_UINT8, which has no room for normalised values",
                    ));
                }
                0 => None,
                1 => Some(Floats::new(options)?),
                other => {
                    return Err(Failure::invalid(format!(
                        "dtype is {other}, which is neither LT_IMAGE_UINT8 nor LT_IMAGE_FLOAT32"
                    )));
                }
            },
            orient: options.apply_orientation != 0,
            max_pixels: match options.max_pixels {
                0 => MAX_PIXELS,
                n => {
                    u64::try_from(n).map_err(|_| Failure::invalid(format!("max_pixels is {n}")))?
                }
            },
            geometry: Geometry::new(options)?,
            flip_probability: options.flip_probability,
            seed: options.seed,
            fast: options.fast != 0,
        })
    }

    /// The values of one output image.
    pub fn values(&self) -> usize {
        self.height * self.width * 3
    }

    /// Whether an image's key makes a difference.
    pub fn is_random(&self) -> bool {
        matches!(self.geometry, Geometry::RandomCrop { .. })
            || (self.flip_probability > 0.0 && self.flip_probability < 1.0)
    }
}

/// Checks a side of an image that this library makes.
pub fn side(value: i32, name: &str) -> Result<usize> {
    if (1..=MAX_SIDE).contains(&value) {
        Ok(value as usize)
    } else {
        Err(Failure::invalid(format!(
            "{name} is {value}, but must be between 1 and {MAX_SIDE}"
        )))
    }
}
