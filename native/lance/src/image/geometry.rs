// SPDX-License-Identifier: Apache-2.0

//! Which part of an image becomes the output, in what size, and how it is turned.

use super::options::Options;
use super::orientation::mirrored;
use crate::abi::LtImageOptions;
use crate::error::{Failure, Result};

/// `LT_IMAGE_RESIZE` and its like, with what belongs to each.
#[derive(Clone, Copy, Debug)]
pub enum Geometry {
    Resize,
    CenterCrop {
        shorter: usize,
    },
    RandomCrop {
        scale: (f64, f64),
        ratio: (f64, f64),
    },
}

impl Geometry {
    pub fn new(options: &LtImageOptions) -> Result<Self> {
        match options.geometry {
            0 => Ok(Self::Resize),
            1 => {
                let shorter = super::options::side(options.resize_shorter, "resize_shorter")?;
                if options.resize_shorter < options.height.max(options.width) {
                    return Err(Failure::invalid(format!(
                        "resize_shorter is {shorter}, but the middle {} x {} is to be cut from that: it must be as large",
                        options.height, options.width
                    )));
                }
                Ok(Self::CenterCrop { shorter })
            }
            2 => {
                let (scale_min, scale_max) = (options.scale_min, options.scale_max);
                if !(scale_min > 0.0 && scale_min <= scale_max && scale_max <= 1.0) {
                    return Err(Failure::invalid(format!(
                        "scale_min is {scale_min} and scale_max is {scale_max}, but they must be above 0, in order, and at most 1"
                    )));
                }
                let (ratio_min, ratio_max) = (options.ratio_min, options.ratio_max);
                if !(ratio_min > 0.0 && ratio_min <= ratio_max && ratio_max.is_finite()) {
                    return Err(Failure::invalid(format!(
                        "ratio_min is {ratio_min} and ratio_max is {ratio_max}, but they must be above 0, in order, and finite"
                    )));
                }
                Ok(Self::RandomCrop {
                    scale: (scale_min, scale_max),
                    ratio: (ratio_min, ratio_max),
                })
            }
            other => Err(Failure::invalid(format!(
                "geometry is {other}, which is none of LT_IMAGE_RESIZE, LT_IMAGE_CENTER_CROP and LT_IMAGE_RANDOM_CROP"
            ))),
        }
    }
}

/// Whole numbers of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

impl Rect {
    pub fn whole((width, height): (usize, usize)) -> Self {
        Self {
            left: 0,
            top: 0,
            width,
            height,
        }
    }

    /// The middle `width` x `height`, where torchvision's CenterCrop has it.
    fn middle(of: (usize, usize), width: usize, height: usize) -> Self {
        let start = |of: usize, size: usize| ((of - size) as f64 / 2.0).round_ties_even() as usize;
        Self {
            left: start(of.0, width),
            top: start(of.1, height),
            width,
            height,
        }
    }

    /// Where this part of an upright image lies in the stored image of size `stored`, whose orientation is `turn`.
    fn stored(&self, turn: u8, (width, height): (usize, usize)) -> Self {
        let Self {
            left,
            top,
            width: w,
            height: h,
        } = *self;
        // As for single pixels in orientation.rs.
        let (left, top) = match turn {
            2 => (width - left - w, top),
            3 => (width - left - w, height - top - h),
            4 => (left, height - top - h),
            5 => (top, left),
            6 => (top, height - left - w),
            7 => (width - top - h, height - left - w),
            8 => (width - top - h, left),
            _ => (left, top),
        };
        let (width, height) = exchanged(turn, (w, h));
        Self {
            left,
            top,
            width,
            height,
        }
    }
}

/// A size on the other side of a turn: orientations from 5 on exchange rows and columns.
pub fn exchanged(turn: u8, (width, height): (usize, usize)) -> (usize, usize) {
    if turn >= 5 {
        (height, width)
    } else {
        (width, height)
    }
}

/// What to make of a stored image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// The part, in pixels of `grid`.
    pub part: Rect,
    /// The size that the whole stored image has where `part` is counted: its own, or that to which it is resized first.
    pub grid: (usize, usize),
    /// Width and height of the output before it is turned; the small image is cheaper to turn than the large one.
    pub to: (usize, usize),
    /// The EXIF orientation by which to turn, mirroring included.
    pub turn: u8,
}

impl View {
    /// What `options` make of a stored image of `size` and orientation `turn`, in the row with `key`.
    pub fn new(options: &Options, size: (usize, usize), turn: u8, key: u64) -> Self {
        let mut random = Random::new(options.seed, key);
        // First, so that the part does not depend on it.
        let flip = random.unit() < options.flip_probability;
        let upright = exchanged(turn, size);
        let (grid, part) = match options.geometry {
            Geometry::Resize => (upright, Rect::whole(upright)),
            Geometry::CenterCrop { shorter } => {
                let grid = with_shorter(upright, shorter);
                (grid, Rect::middle(grid, options.width, options.height))
            }
            Geometry::RandomCrop { scale, ratio } => {
                (upright, random_part(upright, scale, ratio, &mut random))
            }
        };
        let grid = exchanged(turn, grid);
        Self {
            part: part.stored(turn, grid),
            grid,
            to: exchanged(turn, (options.width, options.height)),
            turn: if flip { mirrored(turn) } else { turn },
        }
    }
}

impl View {
    /// The largest of 8, 4, 2 and 1 by which a stored image of `size` may be divided without its part becoming smaller than
    /// the output.
    pub fn denominator(&self, size: (usize, usize)) -> usize {
        let (_, _, width, height) = self.place(size, 1);
        [8, 4, 2]
            .into_iter()
            .find(|d| width >= (self.to.0 * d) as f64 && height >= (self.to.1 * d) as f64)
            .unwrap_or(1)
    }

    /// Whether the part is made of whole pixels of a stored image of `size`, and those beside it do not count.
    fn is_exact(&self, size: (usize, usize), denominator: usize) -> bool {
        denominator == 1 && self.grid == size
    }

    /// Where the part is in a stored image of `size`, in pixels of `denominator` each: left, top, width and height.
    fn place(&self, size: (usize, usize), denominator: usize) -> (f64, f64, f64, f64) {
        let place = |start: usize, size: usize, grid: usize, to: usize| {
            if to == grid && denominator == 1 {
                return (start as f64, size as f64);
            }
            let end = to as f64 / denominator as f64;
            let scale = |v: usize| v as f64 * end / grid as f64;
            (scale(start), scale(size).min(end - scale(start)))
        };
        let (left, width) = place(self.part.left, self.part.width, self.grid.0, size.0);
        let (top, height) = place(self.part.top, self.part.height, self.grid.1, size.1);
        (left, top, width, height)
    }

    /// The pixels that count, of a stored image of `size`, in pixels of `denominator` each.
    pub fn needed(&self, size: (usize, usize), denominator: usize) -> Rect {
        if self.is_exact(size, denominator) {
            return self.part;
        }
        // The filter reaches one pixel of the output's, or of the image's where that is larger, from the middle of each.
        let reach = |start: f64, size: f64, to: usize, of: usize| {
            let beyond = (size / to as f64).max(1.0) + 1.0;
            let first = (start - beyond).floor().max(0.0) as usize;
            let end = ((start + size + beyond).ceil() as usize).min(of.div_ceil(denominator));
            (first, end - first)
        };
        let (left, top, width, height) = self.place(size, denominator);
        let (left, width) = reach(left, width, self.to.0, size.0);
        let (top, height) = reach(top, height, self.to.1, size.1);
        Rect {
            left,
            top,
            width,
            height,
        }
    }

    /// Where the part is within what has been decoded.
    pub fn source(&self, frame: &Frame) -> Source {
        if self.is_exact(frame.size, frame.denominator) {
            return Source::Cut(Rect {
                left: self.part.left - frame.rect.left,
                top: self.part.top - frame.rect.top,
                ..self.part
            });
        }
        let (left, top, width, height) = self.place(frame.size, frame.denominator);
        let inside = |start: f64, size: f64, begin: usize, of: usize| {
            let start = start - begin as f64;
            (start, size.min(of as f64 - start))
        };
        let (left, width) = inside(left, width, frame.rect.left, frame.rect.width);
        let (top, height) = inside(top, height, frame.rect.top, frame.rect.height);
        Source::Box(left, top, width, height)
    }
}

/// What has been decoded of a stored image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// Of the stored image.
    pub size: (usize, usize),
    /// The stored pixels that a decoded one stands for, in each direction.
    pub denominator: usize,
    /// Which of the decoded pixels are there.
    pub rect: Rect,
}

impl Frame {
    pub fn whole(size: (usize, usize), denominator: usize) -> Self {
        Self {
            size,
            denominator,
            rect: Rect::whole((size.0.div_ceil(denominator), size.1.div_ceil(denominator))),
        }
    }

    pub fn is_whole(&self) -> bool {
        *self == Self::whole(self.size, self.denominator)
    }
}

/// Where in a frame the output comes from.
pub enum Source {
    /// These pixels alone.
    Cut(Rect),
    /// Left, top, width and height of an area, over whose edge the filter may reach.
    Box(f64, f64, f64, f64),
}

/// The size with the given shorter side, the longer as torchvision's Resize computes it.
fn with_shorter((width, height): (usize, usize), shorter: usize) -> (usize, usize) {
    let longer = |long: usize, short: usize| (shorter as f64 * long as f64 / short as f64) as usize;
    if width <= height {
        (shorter, longer(height, width))
    } else {
        (longer(width, height), shorter)
    }
}

/// torchvision's RandomResizedCrop.get_params, with random numbers of our own.
fn random_part(
    (width, height): (usize, usize),
    scale: (f64, f64),
    ratio: (f64, f64),
    random: &mut Random,
) -> Rect {
    let area = width as f64 * height as f64;
    let log_ratio = (ratio.0.ln(), ratio.1.ln());
    for _ in 0..10 {
        let share = area * random.between(scale);
        let ratio = random.between(log_ratio).exp();
        let w = (share * ratio).sqrt().round_ties_even() as usize;
        let h = (share / ratio).sqrt().round_ties_even() as usize;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let top = random.below((height - h + 1) as u64) as usize;
            let left = random.below((width - w + 1) as u64) as usize;
            return Rect {
                left,
                top,
                width: w,
                height: h,
            };
        }
    }
    let own = width as f64 / height as f64;
    let (mut w, mut h) = (width, height);
    if own < ratio.0 {
        h = ((width as f64 / ratio.0).round_ties_even() as usize).clamp(1, height);
    } else if own > ratio.1 {
        w = ((height as f64 * ratio.1).round_ties_even() as usize).clamp(1, width);
    }
    Rect {
        left: (width - w) / 2,
        top: (height - h) / 2,
        width: w,
        height: h,
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014), whose first state mixes a seed and a key.
struct Random(u64);

impl Random {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

    fn new(seed: u64, key: u64) -> Self {
        Self(mix(
            mix(seed.wrapping_add(Self::GAMMA)) ^ key.wrapping_mul(Self::GAMMA)
        ))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::GAMMA);
        mix(self.0)
    }

    /// 0 .. 1, without the 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, (low, high): (f64, f64)) -> f64 {
        low + (high - low) * self.unit()
    }

    /// 0 .. bound - 1.
    fn below(&mut self, bound: u64) -> u64 {
        // Values from the incomplete last round would make small results likelier.
        let limit = u64::MAX / bound * bound;
        loop {
            let value = self.next();
            if value < limit {
                return value % bound;
            }
        }
    }
}

fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn all(options: LtImageOptions) -> Options {
        Options::new(&options).unwrap()
    }

    fn random(scale: (f64, f64), ratio: (f64, f64)) -> LtImageOptions {
        LtImageOptions {
            scale_min: scale.0,
            scale_max: scale.1,
            ratio_min: ratio.0,
            ratio_max: ratio.1,
            ..random_crop(224)
        }
    }

    #[test]
    fn the_middle_is_torchvisions() {
        // the size of torchvision.transforms.Resize(256) and the place of CenterCrop((224, 200)), by torchvision 0.25
        for (size, grid, (left, top)) in [
            ((512, 341), (384, 256), (92, 16)),
            ((341, 512), (256, 384), (28, 80)),
            ((500, 375), (341, 256), (70, 16)),
            ((375, 500), (256, 341), (28, 58)),
            ((333, 500), (256, 384), (28, 80)),
            ((640, 427), (383, 256), (92, 16)),
            ((256, 256), (256, 256), (28, 16)),
            ((100, 7), (3657, 256), (1728, 16)),
            ((3, 3), (256, 256), (28, 16)),
        ] {
            let options = all(LtImageOptions {
                geometry: 1,
                resize_shorter: 256,
                ..options(200, 224)
            });
            let view = View::new(&options, size, 1, 0);
            assert_eq!(view.grid, grid, "{size:?}");
            let part = Rect {
                left,
                top,
                width: 200,
                height: 224,
            };
            assert_eq!(view.part, part, "{size:?}");
        }
    }

    #[test]
    fn a_random_part_has_the_share_and_the_ratio_asked_for() {
        let (scale, ratio) = ((0.08, 1.0), (0.75, 4.0 / 3.0));
        let options = all(random(scale, ratio));
        let (width, height) = (640, 480);
        let (mut shares, mut ratios, mut places) = (vec![0; 10], vec![0; 10], vec![0; 10]);
        let count = 20_000;
        for key in 0..count {
            let view = View::new(&options, (width, height), 1, key);
            let part = view.part;
            assert!(part.left + part.width <= width && part.top + part.height <= height);
            let share = (part.width * part.height) as f64 / (width * height) as f64;
            // half a pixel of rounding on each side
            assert!(share > scale.0 * 0.98 && share <= 1.0, "{share}");
            let own = part.width as f64 / part.height as f64;
            assert!(own > ratio.0 * 0.98 && own < ratio.1 * 1.02, "{own}");
            if share < 0.5 {
                // small enough to fit whatever the ratio, so these are uniform
                shares[((share - 0.08) / 0.042).clamp(0.0, 9.9) as usize] += 1;
                let log = (own / ratio.0).ln() / (ratio.1 / ratio.0).ln();
                ratios[(log * 10.0).clamp(0.0, 9.9) as usize] += 1;
                let place = part.left as f64 / (width - part.width) as f64;
                places[(place * 10.0).clamp(0.0, 9.9) as usize] += 1;
            }
        }
        for counts in [shares, ratios, places] {
            let mean = counts.iter().sum::<u64>() as f64 / 10.0;
            // seven standard deviations, and the two half steps that rounding shifts
            let allowed = 7.0 * mean.sqrt() + mean * 0.05;
            for n in &counts {
                assert!((*n as f64 - mean).abs() < allowed, "{counts:?}");
            }
        }
    }

    #[test]
    fn where_no_ratio_fits_the_middle_is_taken() {
        // torchvision: the whole width at ratio_min, the whole height at ratio_max, else everything
        let ratio = (0.75, 4.0 / 3.0);
        for (size, part) in [
            ((100, 1000), (0, 433, 100, 133)),
            ((1000, 100), (433, 0, 133, 100)),
            ((1, 1000), (0, 499, 1, 1)),
        ] {
            let options = all(random((1.0, 1.0), ratio));
            let (left, top, width, height) = part;
            let expected = Rect {
                left,
                top,
                width,
                height,
            };
            assert_eq!(View::new(&options, size, 1, 5).part, expected);
        }
        let options = all(random((1.0, 1.0), (1.0, 3.0)));
        let view = View::new(&options, (400, 300), 1, 5);
        assert!(view.part.width >= view.part.height);
        // a ratio that rounds to no pixel at all
        let options = all(random((1.0, 1.0), (9.0, 9.0)));
        assert_eq!(View::new(&options, (1, 1000), 1, 5).part.height, 1);
    }

    #[test]
    fn the_same_key_gives_the_same_part_and_others_give_others() {
        let options = all(LtImageOptions {
            flip_probability: 0.5,
            ..random((0.2, 0.8), (0.5, 2.0))
        });
        let view = |seed, key| View::new(&Options { seed, ..options }, (500, 400), 1, key);
        let mut seen = Vec::new();
        for seed in 0..10 {
            for key in 0..100 {
                assert_eq!(view(seed, key), view(seed, key));
                seen.push(view(seed, key));
            }
        }
        let mut different = seen.clone();
        different.sort_by_key(|v| (v.part.left, v.part.top, v.part.width, v.part.height, v.turn));
        different.dedup();
        assert!(different.len() > 990, "{}", different.len());
        // the part does not depend on whether images are mirrored
        let without = Options {
            flip_probability: 0.0,
            ..options
        };
        for (key, with) in seen.iter().take(100).enumerate() {
            let part = View::new(&without, (500, 400), 1, key as u64).part;
            assert_eq!(part, with.part);
        }
    }

    #[test]
    fn as_many_images_are_mirrored_as_asked_for() {
        let mirrored = |probability, turn| {
            let options = all(LtImageOptions {
                flip_probability: probability,
                ..options(8, 8)
            });
            (0..10_000)
                .filter(|key| View::new(&options, (8, 8), turn, *key).turn != turn)
                .count()
        };
        for turn in 1..=8 {
            assert_eq!(mirrored(0.0, turn), 0);
            assert_eq!(mirrored(1.0, turn), 10_000);
            assert!(mirrored(0.5, turn).abs_diff(5000) < 300);
            assert!(mirrored(0.1, turn).abs_diff(1000) < 200);
        }
    }

    #[test]
    fn a_part_of_an_upright_image_is_found_in_the_stored_one() {
        // by turning single pixels
        use super::super::orientation::turned_rows;
        let stored = (7, 5);
        let image: Vec<u8> = (0..35).flat_map(|i| [i, 0, 0, 0]).collect();
        for turn in 1..=8 {
            let upright = exchanged(turn, stored);
            let mut turned = Vec::new();
            turned_rows(&image, stored, turn, &mut Vec::new(), |_, row| {
                turned.extend_from_slice(row.as_flattened());
            });
            for (left, top, width, height) in [(0, 0, 2, 3), (1, 2, 3, 2), (2, 1, 3, 4)] {
                let part = Rect {
                    left,
                    top,
                    width,
                    height,
                };
                let found = part.stored(turn, stored);
                let cut = |pixels: &[u8], part: Rect, width: usize| {
                    let mut values = Vec::new();
                    for y in part.top..part.top + part.height {
                        for x in part.left..part.left + part.width {
                            values.push(pixels[(y * width + x) * 4]);
                        }
                    }
                    values.sort_unstable();
                    values
                };
                let expected = cut(&turned, part, upright.0);
                assert_eq!(cut(&image, found, stored.0), expected, "{turn}");
            }
        }
    }
}
