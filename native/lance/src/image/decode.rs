// SPDX-License-Identifier: Apache-2.0

//! One image, from its file to its place in the output.
//!
//! JPEGs go through libjpeg-turbo, then through `fast_image_resize`, whose bilinear convolution is Pillow's antialiased filter.

use std::cell::RefCell;

use fast_image_resize::Resizer;
use turbojpeg::raw;

use super::geometry::{Frame, View};
use super::jpeg::{Decoder, Header, inks_to_rgb};
use super::options::{Floats, Options};
use super::orientation::{jpeg_orientation, turned_rows};
use super::pixels::{pack, resize, to_floats};
use super::png::decode_png;
use crate::error::{Code, Failure, Result};

/// Where an image goes.
pub enum Target<'a> {
    Bytes(&'a mut [u8]),
    Floats(&'a mut [f32], Floats),
}

impl Target<'_> {
    /// Makes all pixels 0.
    pub fn clear(&mut self) {
        match self {
            Self::Bytes(bytes) => bytes.fill(0),
            Self::Floats(floats, _) => floats.fill(0.0),
        }
    }
}

/// The bytes of a pixel until it is written: red, green, blue, and one that makes decoding and resizing simpler for both.
pub const PIXEL: usize = 4;

/// What a thread keeps from image to image.
#[derive(Default)]
pub struct Scratch {
    resizer: Resizer,
    /// The image as it was decoded.
    decoded: Vec<u8>,
    /// The pixels of a PNG, as it has them.
    png: Vec<u8>,
    resized: Vec<u8>,
    /// One row, turned, and the same without the fourth bytes.
    row: Vec<[u8; PIXEL]>,
    packed: Vec<u8>,
}

/// Calls `body` with the calling thread's scratch memory.
pub fn with_scratch<T>(body: impl FnOnce(&mut Scratch) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(body)
}

/// A decoded image is kept for reuse up to this size.
const KEPT: usize = 64 << 20;

impl Scratch {
    /// Decodes the image of the row with `key` to `target`.
    pub fn decode(
        &mut self,
        encoded: &[u8],
        options: &Options,
        key: u64,
        target: &mut Target,
    ) -> Result<()> {
        let (frame, view) = match kind(encoded)? {
            Format::Jpeg => self.decode_jpeg(encoded, options, key)?,
            Format::Png => {
                let (size, turn) = decode_png(
                    encoded,
                    options.max_pixels,
                    &mut self.decoded,
                    &mut self.png,
                )?;
                let turn = if options.orient { turn } else { 1 };
                (Frame::whole(size, 1), View::new(options, size, turn, key))
            }
        };
        self.finish(&frame, &view, options, target)?;
        for buffer in [&mut self.decoded, &mut self.png] {
            if buffer.capacity() > KEPT {
                *buffer = Vec::new();
            }
        }
        Ok(())
    }

    /// Resizes and turns what is in `decoded`, and writes it out.
    fn finish(
        &mut self,
        frame: &Frame,
        view: &View,
        options: &Options,
        target: &mut Target,
    ) -> Result<()> {
        let decoded = &self.decoded[..frame.rect.width * frame.rect.height * PIXEL];
        let size = options.height * options.width * PIXEL;
        grow(&mut self.resized, size)?;
        let resized = &mut self.resized[..size];
        resize(&mut self.resizer, decoded, frame, view, resized)?;
        let width = options.width * 3;
        grow(&mut self.packed, width)?;
        let packed = &mut self.packed[..width];
        turned_rows(resized, view.to, view.turn, &mut self.row, |y, row| {
            let at = y * width..(y + 1) * width;
            match target {
                Target::Bytes(bytes) => pack(row, &mut bytes[at]),
                Target::Floats(floats, how) => {
                    pack(row, packed);
                    to_floats(packed, &mut floats[at], how);
                }
            }
        });
        Ok(())
    }

    /// Decodes to `decoded` what is needed, and answers that and what to make of it.
    fn decode_jpeg(
        &mut self,
        encoded: &[u8],
        options: &Options,
        key: u64,
    ) -> Result<(Frame, View)> {
        // One for each file: what one leaves behind, such as its tables, would be used for the next that lacks them, and a
        // damaged one can leave it unable to read whole ones.
        let mut decoder = Decoder::new()?;
        let header = decoder.header(encoded)?;
        let size = header.size();
        check_pixels(size.0, size.1, options.max_pixels)?;
        let turn = if options.orient {
            jpeg_orientation(encoded)
        } else {
            1
        };
        let view = View::new(options, size, turn, key);
        let denominator = if options.fast && header.scales {
            view.denominator(size)
        } else {
            1
        };
        let part = header.frame(view.needed(size, denominator), denominator);
        // An odd file of which TurboJPEG cannot decode a part, or a damaged one, is decoded as a whole.
        if !part.is_whole() {
            if self
                .decode_frame(&mut decoder, encoded, &header, &part)
                .is_ok()
            {
                return Ok((part, view));
            }
            decoder = Decoder::new()?;
            decoder.header(encoded)?;
        }
        let whole = Frame::whole(size, denominator);
        self.decode_frame(&mut decoder, encoded, &header, &whole)?;
        Ok((whole, view))
    }

    /// Decodes `frame` to `decoded`.
    fn decode_frame(
        &mut self,
        decoder: &mut Decoder,
        encoded: &[u8],
        header: &Header,
        frame: &Frame,
    ) -> Result<()> {
        let pixels = frame.rect.width * frame.rect.height;
        grow(&mut self.decoded, pixels * PIXEL)?;
        let decoded = &mut self.decoded[..pixels * PIXEL];
        if !header.inks {
            return decoder.decode(encoded, frame, decoded, raw::TJPF_TJPF_RGBX);
        }
        decoder.decode(encoded, frame, decoded, raw::TJPF_TJPF_CMYK)?;
        inks_to_rgb(decoded);
        Ok(())
    }
}

/// Makes room; where there is none, that is an error, and not the process's end.
pub fn grow(buffer: &mut Vec<u8>, size: usize) -> Result<()> {
    if buffer.len() < size {
        buffer.try_reserve_exact(size - buffer.len()).map_err(|_| {
            Failure::new(
                Code::OutOfMemory,
                format!("its pixels need {size} bytes, which this machine has not"),
            )
        })?;
        buffer.resize(size, 0);
    }
    Ok(())
}

pub fn check_pixels(width: usize, height: usize, max_pixels: u64) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(corrupt(format!("it is {width} x {height} pixels")));
    }
    if width as u64 * height as u64 > max_pixels {
        return Err(corrupt(format!(
            "it is {width} x {height} pixels, more than the limit of {max_pixels}: raise max_pixels if that is to be"
        )));
    }
    Ok(())
}

pub fn corrupt(message: impl Into<String>) -> Failure {
    Failure::new(Code::CorruptData, message)
}

enum Format {
    Jpeg,
    Png,
}

fn kind(encoded: &[u8]) -> Result<Format> {
    let other = |name: &str| {
        Err(Failure::new(
            Code::Unsupported,
            format!("it is a {name} file; only JPEG and PNG can be decoded"),
        ))
    };
    match encoded {
        [0xff, 0xd8, 0xff, ..] => Ok(Format::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok(Format::Png),
        [b'G', b'I', b'F', b'8', ..] => other("GIF"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => other("WebP"),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => other("TIFF"),
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => other("BMP"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => other("HEIF, AVIF or video"),
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] => other("JPEG 2000"),
        [] => Err(corrupt("it has no bytes")),
        _ => Err(corrupt(format!(
            "it is neither a JPEG nor a PNG: its {} bytes begin with {:02x?}",
            encoded.len(),
            &encoded[..encoded.len().min(8)]
        ))),
    }
}
