// SPDX-License-Identifier: Apache-2.0

//! PNGs, by the crate `png`.

use std::io::Cursor;

use super::decode::{PIXEL, check_pixels, corrupt, grow};
use super::orientation::exif_orientation;
use crate::error::{Failure, Result};

/// Decodes to `rgbx`, four bytes a pixel of which the last means nothing, and answers width and height, and the orientation.
pub fn decode_png(
    encoded: &[u8],
    max_pixels: u64,
    rgbx: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> Result<((usize, usize), u8)> {
    let failed = |e: png::DecodingError| match e {
        png::DecodingError::LimitsExceeded => corrupt("PNG: it needs too much memory"),
        png::DecodingError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            corrupt("PNG: it is cut short")
        }
        e => corrupt(format!("PNG: {e}")),
    };
    let mut decoder = png::Decoder::new(Cursor::new(encoded));
    // Palette, transparency and few bits become whole bytes; of 16 bits, the upper 8 stay.
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let info = decoder.read_header_info().map_err(failed)?;
    let (width, height) = (info.width as usize, info.height as usize);
    check_pixels(width, height, max_pixels)?;
    // A row of the largest kind, twice over, and as much again for everything else.
    decoder.set_limits(png::Limits {
        bytes: (width * 8 * 2).saturating_add(64 << 20),
    });
    let mut reader = decoder.read_info().map_err(failed)?;
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| corrupt("PNG: it is too large"))?;
    let (color, _) = reader.output_color_type();
    let pixels = width * height;
    if color == png::ColorType::Rgba {
        grow(rgbx, size)?;
        reader.next_frame(&mut rgbx[..size]).map_err(failed)?;
    } else {
        grow(scratch, size)?;
        reader.next_frame(&mut scratch[..size]).map_err(failed)?;
        grow(rgbx, pixels * PIXEL)?;
        let to = rgbx[..pixels * PIXEL].as_chunks_mut::<PIXEL>().0.iter_mut();
        let from = &scratch[..size];
        match color {
            png::ColorType::Rgb => to
                .zip(from.as_chunks::<3>().0)
                .for_each(|(to, [r, g, b])| *to = [*r, *g, *b, 0]),
            png::ColorType::Grayscale => to.zip(from).for_each(|(to, g)| *to = [*g; PIXEL]),
            png::ColorType::GrayscaleAlpha => to
                .zip(from.as_chunks::<2>().0)
                .for_each(|(to, [g, _])| *to = [*g; PIXEL]),
            other => return Err(Failure::internal(format!("PNG: {other:?} after expansion"))),
        }
    }
    let turn = reader
        .info()
        .exif_metadata
        .as_ref()
        .map_or(1, |exif| exif_orientation(exif));
    Ok(((width, height), turn))
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::error::Code;

    #[test]
    fn pngs_of_all_kinds_become_rgb() {
        use png::{BitDepth, ColorType};
        let size = (8, 4);
        let same = |file: &[u8], expected: &[[u8; 3]]| {
            let decoded = decode(file, &options(8, 4)).unwrap();
            assert_eq!(decoded.as_chunks::<3>().0, expected);
        };
        let rgb = picture(8, 4);
        let expected = rgb.as_chunks::<3>().0.to_vec();
        same(
            &png_of(&rgb, size, ColorType::Rgb, BitDepth::Eight, |_| {}),
            &expected,
        );
        // alpha is dropped, also where it is 0
        let rgba: Vec<u8> = expected
            .iter()
            .enumerate()
            .flat_map(|(i, [r, g, b])| [*r, *g, *b, i as u8])
            .collect();
        same(
            &png_of(&rgba, size, ColorType::Rgba, BitDepth::Eight, |_| {}),
            &expected,
        );
        // 16 bits: the upper byte
        let deep: Vec<u8> = rgb.iter().flat_map(|v| [*v, 0xee]).collect();
        same(
            &png_of(&deep, size, ColorType::Rgb, BitDepth::Sixteen, |_| {}),
            &expected,
        );
        let gray: Vec<u8> = (0..32).map(|i| i * 8).collect();
        let grays: Vec<[u8; 3]> = gray.iter().map(|g| [*g; 3]).collect();
        same(
            &png_of(&gray, size, ColorType::Grayscale, BitDepth::Eight, |_| {}),
            &grays,
        );
        let alpha: Vec<u8> = gray.iter().flat_map(|g| [*g, 3]).collect();
        same(
            &png_of(
                &alpha,
                size,
                ColorType::GrayscaleAlpha,
                BitDepth::Eight,
                |_| {},
            ),
            &grays,
        );
        let deep: Vec<u8> = gray.iter().flat_map(|g| [*g, 0xff]).collect();
        same(
            &png_of(&deep, size, ColorType::Grayscale, BitDepth::Sixteen, |_| {}),
            &grays,
        );
        // one bit a pixel
        let bits = [0b1010_1010, 0b1111_0000, 0, 255];
        let expected: Vec<[u8; 3]> = bits
            .iter()
            .flat_map(|b| (0..8).rev().map(move |i| [((b >> i) & 1) * 255; 3]))
            .collect();
        same(
            &png_of(&bits, size, ColorType::Grayscale, BitDepth::One, |_| {}),
            &expected,
        );
        // a palette with transparency
        let palette = vec![1, 2, 3, 10, 20, 30, 100, 110, 120];
        let indices: Vec<u8> = (0..32).map(|i| i % 3).collect();
        let expected: Vec<[u8; 3]> = indices
            .iter()
            .map(|i| palette.as_chunks::<3>().0[usize::from(*i)])
            .collect();
        let file = png_of(&indices, size, ColorType::Indexed, BitDepth::Eight, |e| {
            e.set_palette(palette.clone());
            e.set_trns(vec![0, 128, 255]);
        });
        same(&file, &expected);
    }

    #[test]
    fn a_cut_png_is_corrupt() {
        let rgb = picture(32, 32);
        let file = png_of(
            &rgb,
            (32, 32),
            png::ColorType::Rgb,
            png::BitDepth::Eight,
            |_| {},
        );
        for length in (8..file.len() - 20).step_by(5) {
            let failure = decode(&file[..length], &options(32, 32)).unwrap_err();
            assert_eq!(failure.code, Code::CorruptData, "{length}: {failure:?}");
        }
    }
}
