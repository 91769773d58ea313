// SPDX-License-Identifier: Apache-2.0

//! How an image is turned: the EXIF orientation, found and applied.

use super::decode::PIXEL;
use super::geometry::exchanged;

/// The orientation in a JPEG's EXIF block, 1 (as it is) where there is none.
pub fn jpeg_orientation(encoded: &[u8]) -> u8 {
    let mut rest = encoded.get(2..).unwrap_or_default();
    loop {
        // A marker is 0xff, perhaps more of them, and its code.
        let Some(start) = rest.iter().position(|b| *b != 0xff) else {
            return 1;
        };
        if start == 0 {
            return 1;
        }
        let code = rest[start];
        rest = &rest[start + 1..];
        match code {
            // Without a length.
            0x01 | 0xd0..=0xd7 => continue,
            // Pixels, or the end.
            0xda | 0xd9 => return 1,
            _ => {}
        }
        let [high, low, ..] = *rest else {
            return 1;
        };
        let size = usize::from(u16::from_be_bytes([high, low]));
        let Some(body) = rest.get(2..size) else {
            return 1;
        };
        if code == 0xe1
            && let Some(exif) = body.strip_prefix(b"Exif\0\0")
        {
            return exif_orientation(exif);
        }
        rest = &rest[size..];
    }
}

/// The orientation (tag 0x0112) in the first directory of a TIFF structure.
pub fn exif_orientation(tiff: &[u8]) -> u8 {
    const TAG: u16 = 0x0112;
    let big = match tiff {
        [b'M', b'M', 0, 42, ..] => true,
        [b'I', b'I', 42, 0, ..] => false,
        _ => return 1,
    };
    let two = |at: usize| -> Option<u16> {
        let bytes = [*tiff.get(at)?, *tiff.get(at.checked_add(1)?)?];
        Some(if big {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    };
    let four = |at: usize| -> Option<u32> {
        let (a, b) = (u32::from(two(at)?), u32::from(two(at.checked_add(2)?)?));
        Some(if big { (a << 16) | b } else { (b << 16) | a })
    };
    let find = || -> Option<u8> {
        let directory = four(4)? as usize;
        let entries = usize::from(two(directory)?);
        for entry in 0..entries {
            let at = directory.checked_add(2 + entry * 12)?;
            if two(at)? == TAG {
                // A short is in the first bytes of the value field; some writers make it a long.
                let value = match two(at + 2)? {
                    3 => u32::from(two(at + 8)?),
                    4 => four(at + 8)?,
                    _ => return None,
                };
                return u8::try_from(value).ok().filter(|v| (1..=8).contains(v));
            }
        }
        None
    };
    find().unwrap_or(1)
}

/// The orientation of what is turned by `turn` and then mirrored, left to right.
pub fn mirrored(turn: u8) -> u8 {
    ((turn - 1) ^ 1) + 1
}

/// Calls `each` with the rows, from the top, of an image of `size` turned as the EXIF orientation says; `row` is scratch.
pub fn turned_rows(
    image: &[u8],
    (width, height): (usize, usize),
    turn: u8,
    row: &mut Vec<[u8; PIXEL]>,
    mut each: impl FnMut(usize, &[[u8; PIXEL]]),
) {
    let pixels = image.as_chunks::<PIXEL>().0;
    let (to_width, to_height) = exchanged(turn, (width, height));
    let (right, bottom) = (width - 1, height - 1);
    for y in 0..to_height {
        // The pixel of the stored image that is seen at the row's start, and how far it is to each next one.
        let (start, step) = match turn {
            2 => (y * width + right, -1),
            3 => ((bottom - y) * width + right, -1),
            4 => ((bottom - y) * width, 1),
            5 => (y, width as isize),
            6 => (bottom * width + y, -(width as isize)),
            7 => (bottom * width + right - y, -(width as isize)),
            8 => (right - y, width as isize),
            _ => (y * width, 1),
        };
        if step == 1 {
            each(y, &pixels[start..start + to_width]);
            continue;
        }
        row.clear();
        row.extend((0..to_width as isize).map(|x| pixels[start.wrapping_add_signed(x * step)]));
        each(y, row);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::abi::LtImageOptions;

    #[test]
    fn the_orientation_is_found_and_applied_on_request() {
        let (width, height) = (24, 16);
        let plain = rgb_jpeg(width, height);
        let upright = decode(&plain, &options(width, height)).unwrap();
        let at = |image: &[u8], w: usize, x: usize, y: usize| image.as_chunks::<3>().0[y * w + x];
        for big in [true, false] {
            for orientation in 1..=8u8 {
                let file = with_exif(&plain, &exif(orientation, big));
                assert_eq!(jpeg_orientation(&file), orientation);
                // by default the pixels are as they are stored
                assert_eq!(decode(&file, &options(width, height)).unwrap(), upright);
                let swapped = orientation >= 5;
                let (w, h) = if swapped {
                    (height, width)
                } else {
                    (width, height)
                };
                let turned = decode(
                    &file,
                    &LtImageOptions {
                        apply_orientation: 1,
                        ..options(w, h)
                    },
                )
                .unwrap();
                // EXIF: where the stored first row and first column are to be seen
                let (right, bottom) = (w - 1, h - 1);
                let corner = match orientation {
                    1 => (0, 0),
                    2 => (right, 0),
                    3 => (right, bottom),
                    4 => (0, bottom),
                    5 => (0, 0),
                    6 => (right, 0),
                    7 => (right, bottom),
                    _ => (0, bottom),
                };
                assert_eq!(
                    at(&turned, w, corner.0, corner.1),
                    at(&upright, width, 0, 0)
                );
                // and the stored pixel right of it
                let next = match orientation {
                    1 => (1, 0),
                    2 => (right - 1, 0),
                    3 => (right - 1, bottom),
                    4 => (1, bottom),
                    5 => (0, 1),
                    6 => (right, 1),
                    7 => (right, bottom - 1),
                    _ => (0, bottom - 1),
                };
                assert_eq!(at(&turned, w, next.0, next.1), at(&upright, width, 1, 0));
                // floats take another way
                let floats = decode(
                    &file,
                    &LtImageOptions {
                        apply_orientation: 1,
                        dtype: 1,
                        ..options(w, h)
                    },
                )
                .unwrap();
                let bytes: Vec<u8> = floats
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|b| (f32::from_ne_bytes(*b) * 255.0).round() as u8)
                    .collect();
                assert_eq!(bytes, turned);
            }
        }
    }

    #[test]
    fn a_broken_exif_block_is_no_orientation() {
        let good = exif(6, false);
        let mut random = 11u64;
        for _ in 0..20_000 {
            let mut tiff = good.clone();
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            tiff.truncate((random >> 33) as usize % (good.len() + 1));
            for _ in 0..2 {
                random = random
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let at = (random >> 33) as usize % good.len();
                if let Some(byte) = tiff.get_mut(at) {
                    *byte = (random >> 20) as u8;
                }
            }
            assert!((1..=8).contains(&exif_orientation(&tiff)));
            let file: Vec<u8> = with_exif(&[0xff, 0xd8, 0xff, 0xd9], &tiff);
            assert!((1..=8).contains(&jpeg_orientation(&file)));
            assert!((1..=8).contains(&jpeg_orientation(&file[..file.len() / 2])));
        }
        assert_eq!(jpeg_orientation(&[]), 1);
    }
}
