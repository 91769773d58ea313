// SPDX-License-Identifier: Apache-2.0

//! Images: JPEG and PNG to RGB of one size, as Pillow would make it; and RGB to JPEG.
//!
//! JPEGs go through libjpeg-turbo in full size, then through `fast_image_resize`, whose bilinear convolution is Pillow's
//! antialiased filter. (Scaled decoding would be slower: only some scales have SIMD code; see DESIGN.md, section 5.)

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int};
use std::io::Cursor;
use std::ptr::NonNull;

use arrow::ffi::FFI_ArrowArray;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use turbojpeg::raw;

use crate::abi::{LtError, LtImageOptions, borrowed, live_array, out, text};
use crate::error::{Code, Failure, Result, guard};

/// Above so many pixels Pillow refuses an image as a decompression bomb.
const MAX_PIXELS: i64 = 178_956_970;

/// More scans than any encoder makes; a file of thousands would take minutes.
const MAX_SCANS: c_int = 100;

/// The largest side of an output image.
const MAX_SIDE: i32 = 65_500;

/// `lt_image_decode` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_image_decode(
    column: *const FFI_ArrowArray,
    format: *const c_char,
    first: i64,
    count: i64,
    options: *const LtImageOptions,
    pixels: *mut std::ffi::c_void,
    pixels_size: i64,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: each NULL or valid.
        let (column, format, options) = unsafe {
            (
                live_array(column, "column")?,
                text(format, "format")?,
                Options::new(borrowed(options, "options")?)?,
            )
        };
        // SAFETY: the column is alive for the call.
        let images = unsafe { Images::new(column, format, first, count) }?;
        let size = options.values();
        let bytes = images
            .count
            .checked_mul(size)
            .and_then(|n| n.checked_mul(if options.floats { 4 } else { 1 }))
            .and_then(|n| i64::try_from(n).ok())
            .ok_or_else(|| Failure::invalid(format!("{count} such images are too many bytes")))?;
        if pixels_size < bytes {
            return Err(Failure::invalid(format!(
                "pixels_size is {pixels_size}, but {count} images of {} x {} x 3 need {bytes} bytes",
                options.height, options.width
            )));
        }
        if images.count == 0 {
            return Ok(());
        }
        let pixels = out(pixels, "pixels")?;
        if options.floats && !pixels.cast::<f32>().is_aligned() {
            return Err(Failure::invalid("pixels is not aligned for floats"));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            for i in 0..images.count {
                let row = images.first + i;
                let encoded = images.get(i).map_err(|e| e.with_detail(row))?;
                // SAFETY: `pixels` has `bytes` bytes, so `count` images of `size` values; checked and aligned above.
                let target = unsafe {
                    if options.floats {
                        let start = pixels.cast::<f32>().add(i * size);
                        Target::Floats(std::slice::from_raw_parts_mut(start, size))
                    } else {
                        let start = pixels.cast::<u8>().add(i * size);
                        Target::Bytes(std::slice::from_raw_parts_mut(start, size))
                    }
                };
                scratch.decode(encoded, &options, target).map_err(|e| {
                    e.with_detail(row)
                        .while_doing(&format!("the image in row {row} of the column"))
                })?;
            }
            Ok(())
        })
    })
}

/// `lt_image_options`, checked.
#[derive(Clone, Copy, Debug)]
struct Options {
    height: usize,
    width: usize,
    floats: bool,
    orient: bool,
    max_pixels: u64,
}

impl Options {
    fn new(options: &LtImageOptions) -> Result<Self> {
        let side = |value: i32, name: &str| {
            if (1..=MAX_SIDE).contains(&value) {
                Ok(value as usize)
            } else {
                Err(Failure::invalid(format!(
                    "{name} is {value}, but must be between 1 and {MAX_SIDE}"
                )))
            }
        };
        Ok(Self {
            height: side(options.height, "height")?,
            width: side(options.width, "width")?,
            floats: match options.dtype {
                0 => false,
                1 => true,
                other => {
                    return Err(Failure::invalid(format!(
                        "dtype is {other}, which is neither LT_IMAGE_UINT8 nor LT_IMAGE_FLOAT32"
                    )));
                }
            },
            orient: options.apply_orientation != 0,
            max_pixels: match options.max_pixels {
                0 => MAX_PIXELS as u64,
                n => {
                    u64::try_from(n).map_err(|_| Failure::invalid(format!("max_pixels is {n}")))?
                }
            },
        })
    }

    /// The values of one output image.
    fn values(&self) -> usize {
        self.height * self.width * 3
    }
}

/// Rows of a column of encoded images.
struct Images {
    first: usize,
    count: usize,
    /// Where the first row is in the buffers.
    start: usize,
    validity: *const u8,
    offsets: Offsets,
    bytes: *const u8,
}

enum Offsets {
    Small(*const i32),
    Large(*const i64),
}

impl Images {
    /// # Safety
    /// `column` is an array of `format` that outlives this.
    unsafe fn new(column: &FFI_ArrowArray, format: &str, first: i64, count: i64) -> Result<Self> {
        let large = match format {
            "z" | "u" => false,
            "Z" | "U" => true,
            other => {
                return Err(Failure::new(
                    Code::Unsupported,
                    format!(
                        "images are in a column of format \"z\", \"Z\", \"u\" or \"U\", not \"{other}\""
                    ),
                ));
            }
        };
        if column.n_buffers != 3 || column.buffers.is_null() {
            return Err(Failure::invalid(format!(
                "the column has {} buffers, where an array of format \"{format}\" has 3",
                column.n_buffers
            )));
        }
        if first < 0
            || count < 0
            || column.offset < 0
            || first
                .checked_add(count)
                .is_none_or(|end| end > column.length)
        {
            return Err(Failure::invalid(format!(
                "the rows from {first}, {count} of them, are not within the column, which has {}",
                column.length
            )));
        }
        // SAFETY: 3 buffers.
        let [validity, offsets, bytes] = unsafe { *column.buffers.cast::<[*const u8; 3]>() };
        if count > 0 && offsets.is_null() {
            return Err(Failure::invalid("the column's offsets are NULL"));
        }
        Ok(Self {
            first: first as usize,
            count: count as usize,
            start: (column.offset + first) as usize,
            validity: if column.null_count == 0 {
                std::ptr::null()
            } else {
                validity
            },
            offsets: if large {
                Offsets::Large(offsets.cast())
            } else {
                Offsets::Small(offsets.cast())
            },
            bytes,
        })
    }

    /// The bytes of the i-th row.
    fn get(&self, i: usize) -> Result<&[u8]> {
        let at = self.start + i;
        let row = self.first + i;
        // SAFETY: the buffers have a bit and an offset for each row, and one offset more.
        let (begin, end) = unsafe {
            if !self.validity.is_null() && (*self.validity.add(at / 8) >> (at % 8)) & 1 == 0 {
                return Err(Failure::new(
                    Code::CorruptData,
                    format!("row {row} of the column is null, so there is no image"),
                ));
            }
            match self.offsets {
                Offsets::Small(o) => (
                    i64::from(o.add(at).read_unaligned()),
                    i64::from(o.add(at + 1).read_unaligned()),
                ),
                Offsets::Large(o) => (o.add(at).read_unaligned(), o.add(at + 1).read_unaligned()),
            }
        };
        if begin < 0 || end < begin || (end > begin && self.bytes.is_null()) {
            return Err(Failure::invalid(format!(
                "row {row} of the column has the offsets {begin} and {end}"
            )));
        }
        if begin == end {
            return Ok(&[]);
        }
        // SAFETY: an array of this format has the bytes that its offsets point to.
        Ok(unsafe {
            std::slice::from_raw_parts(self.bytes.add(begin as usize), (end - begin) as usize)
        })
    }
}

/// Where an image goes.
enum Target<'a> {
    Bytes(&'a mut [u8]),
    Floats(&'a mut [f32]),
}

/// What a thread keeps from image to image.
#[derive(Default)]
struct Scratch {
    jpeg: Option<Decoder>,
    resizer: Resizer,
    /// The image as it was decoded.
    decoded: Vec<u8>,
    /// Four inks, before they are colours.
    inks: Vec<u8>,
    resized: Vec<u8>,
    turned: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A decoded image is kept for reuse up to this size.
const KEPT: usize = 64 << 20;

impl Scratch {
    fn decode(&mut self, encoded: &[u8], options: &Options, target: Target) -> Result<()> {
        let (size, turn) = match kind(encoded)? {
            Format::Jpeg => {
                let turn = if options.orient {
                    jpeg_orientation(encoded)
                } else {
                    1
                };
                (self.decode_jpeg(encoded, options.max_pixels)?, turn)
            }
            Format::Png => {
                let (size, turn) = decode_png(
                    encoded,
                    options.max_pixels,
                    &mut self.decoded,
                    &mut self.inks,
                )?;
                (size, if options.orient { turn } else { 1 })
            }
        };
        self.finish(size, turn, options, target)?;
        for buffer in [&mut self.decoded, &mut self.inks] {
            if buffer.capacity() > KEPT {
                *buffer = Vec::new();
            }
        }
        Ok(())
    }

    /// Resizes and turns what is in `decoded`, and writes it out.
    fn finish(
        &mut self,
        (width, height): (usize, usize),
        turn: u8,
        options: &Options,
        target: Target,
    ) -> Result<()> {
        // Orientations from 5 on exchange rows and columns; the small image is cheaper to turn than the large one.
        let (to_width, to_height) = if turn >= 5 {
            (options.height, options.width)
        } else {
            (options.width, options.height)
        };
        let same = (width, height) == (to_width, to_height);
        let decoded = &self.decoded[..width * height * 3];
        match target {
            Target::Bytes(bytes) if turn == 1 => {
                if same {
                    bytes.copy_from_slice(decoded);
                    Ok(())
                } else {
                    resize(
                        &mut self.resizer,
                        decoded,
                        (width, height),
                        bytes,
                        (to_width, to_height),
                    )
                }
            }
            target => {
                let mut image = decoded;
                if !same {
                    self.resized.resize(options.values(), 0);
                    resize(
                        &mut self.resizer,
                        decoded,
                        (width, height),
                        &mut self.resized,
                        (to_width, to_height),
                    )?;
                    image = &self.resized;
                }
                match target {
                    Target::Bytes(bytes) => turn_image(image, (to_width, to_height), turn, bytes),
                    Target::Floats(floats) => {
                        if turn != 1 {
                            self.turned.resize(options.values(), 0);
                            turn_image(image, (to_width, to_height), turn, &mut self.turned);
                            image = &self.turned;
                        }
                        to_floats(image, floats);
                    }
                }
                Ok(())
            }
        }
    }

    /// Decodes to `decoded` and answers width and height.
    fn decode_jpeg(&mut self, encoded: &[u8], max_pixels: u64) -> Result<(usize, usize)> {
        let decoder = match &mut self.jpeg {
            Some(decoder) => decoder,
            none => none.insert(Decoder::new()?),
        };
        let header = decoder.header(encoded)?;
        check_pixels(header.width, header.height, max_pixels)?;
        let pixels = header.width * header.height;
        if header.inks {
            grow(&mut self.inks, pixels * 4);
            decoder.decode(encoded, &header, &mut self.inks, raw::TJPF_TJPF_CMYK)?;
            grow(&mut self.decoded, pixels * 3);
            inks_to_rgb(&self.inks[..pixels * 4], &mut self.decoded[..pixels * 3]);
        } else {
            grow(&mut self.decoded, pixels * 3);
            decoder.decode(encoded, &header, &mut self.decoded, raw::TJPF_TJPF_RGB)?;
        }
        Ok((header.width, header.height))
    }
}

fn grow(buffer: &mut Vec<u8>, size: usize) {
    if buffer.len() < size {
        buffer.resize(size, 0);
    }
}

fn check_pixels(width: usize, height: usize, max_pixels: u64) -> Result<()> {
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

fn corrupt(message: impl Into<String>) -> Failure {
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

// ---- JPEG --------------------------------------------------------------------------------------------------------------

struct Header {
    width: usize,
    height: usize,
    inks: bool,
}

/// A TurboJPEG instance. Used directly rather than by the crate's wrapper, which cannot tell a warning from an error.
struct Turbo(NonNull<std::ffi::c_void>);

impl Turbo {
    fn new(kind: raw::TJINIT) -> Result<Self> {
        // SAFETY: a plain call.
        let handle = unsafe { raw::tj3Init(kind as c_int) };
        NonNull::new(handle).map(Self).ok_or_else(|| {
            Failure::new(
                Code::OutOfMemory,
                "TurboJPEG cannot be set up: out of memory",
            )
        })
    }

    fn set(&mut self, parameter: raw::TJPARAM, value: c_int) -> Result<()> {
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

    fn message(&mut self) -> String {
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

struct Decoder(Turbo);

impl Decoder {
    fn new() -> Result<Self> {
        let mut turbo = Turbo::new(raw::TJINIT_TJINIT_DECOMPRESS)?;
        turbo.set(raw::TJPARAM_TJPARAM_SCANLIMIT, MAX_SCANS)?;
        Ok(Self(turbo))
    }

    fn header(&mut self, encoded: &[u8]) -> Result<Header> {
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
        })
    }

    fn decode(
        &mut self,
        encoded: &[u8],
        header: &Header,
        pixels: &mut [u8],
        format: raw::TJPF,
    ) -> Result<()> {
        // libjpeg fills up what a cut file lacks, and only warns: TurboJPEG tells the first warning.
        let Some(warning) = self.decode_once(encoded, header, pixels, format, 1)? else {
            return Ok(());
        };
        if harmless(&warning) && has_end(encoded) {
            self.decode_once(encoded, header, pixels, format, 0)?;
            return Ok(());
        }
        Err(corrupt(format!("JPEG: {warning}")))
    }

    /// Decodes, and answers the warning if there was one.
    fn decode_once(
        &mut self,
        encoded: &[u8],
        header: &Header,
        pixels: &mut [u8],
        format: raw::TJPF,
        stop: c_int,
    ) -> Result<Option<String>> {
        let channels = if format == raw::TJPF_TJPF_CMYK { 4 } else { 3 };
        let pitch = header.width * channels;
        assert!(pixels.len() >= pitch * header.height);
        let turbo = &mut self.0;
        turbo.set(raw::TJPARAM_TJPARAM_STOPONWARNING, stop)?;
        // SAFETY: a live handle, the bytes as they are, and room for the image whose header was read from those bytes.
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
        ended |= *mark == [0xff, 0xd9];
        *mark == [0xff, 0xda]
    });
    ended
}

/// Pillow's conversion, which takes the inks of every CMYK JPEG for inverted, as Adobe writes them.
fn inks_to_rgb(inks: &[u8], rgb: &mut [u8]) {
    for ([c, m, y, k], rgb) in inks
        .as_chunks::<4>()
        .0
        .iter()
        .zip(rgb.as_chunks_mut::<3>().0)
    {
        let light = u32::from(*k);
        for (to, ink) in rgb.iter_mut().zip([c, m, y]) {
            let product = u32::from(255 - ink) * light + 128;
            let dark = ((product >> 8) + product) >> 8;
            *to = (light - dark.min(light)) as u8;
        }
    }
}

/// The orientation in a JPEG's EXIF block, 1 (as it is) where there is none.
fn jpeg_orientation(encoded: &[u8]) -> u8 {
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
fn exif_orientation(tiff: &[u8]) -> u8 {
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

// ---- PNG ---------------------------------------------------------------------------------------------------------------

/// Decodes to `rgb` and answers width and height, and the orientation.
fn decode_png(
    encoded: &[u8],
    max_pixels: u64,
    rgb: &mut Vec<u8>,
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
    if color == png::ColorType::Rgb {
        grow(rgb, size);
        reader.next_frame(&mut rgb[..size]).map_err(failed)?;
    } else {
        grow(scratch, size);
        reader.next_frame(&mut scratch[..size]).map_err(failed)?;
        grow(rgb, pixels * 3);
        let rgb = rgb[..pixels * 3].as_chunks_mut::<3>().0;
        let from = &scratch[..size];
        match color {
            png::ColorType::Grayscale => {
                rgb.iter_mut().zip(from).for_each(|(to, g)| *to = [*g; 3]);
            }
            png::ColorType::GrayscaleAlpha => {
                let from = from.as_chunks::<2>().0;
                rgb.iter_mut()
                    .zip(from)
                    .for_each(|(to, [g, _])| *to = [*g; 3]);
            }
            png::ColorType::Rgba => {
                let from = from.as_chunks::<4>().0;
                rgb.iter_mut()
                    .zip(from)
                    .for_each(|(to, [r, g, b, _])| *to = [*r, *g, *b]);
            }
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

// ---- Pixels ------------------------------------------------------------------------------------------------------------

fn resize(
    resizer: &mut Resizer,
    from: &[u8],
    (width, height): (usize, usize),
    to: &mut [u8],
    (to_width, to_height): (usize, usize),
) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| Failure::internal(format!("resizing: {e}"));
    let from = ImageRef::new(width as u32, height as u32, from, PixelType::U8x3)
        .map_err(|e| failed(&e))?;
    let mut to = Image::from_slice_u8(to_width as u32, to_height as u32, to, PixelType::U8x3)
        .map_err(|e| failed(&e))?;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false);
    resizer
        .resize(&from, &mut to, &options)
        .map_err(|e| failed(&e))
}

/// Writes an image of `size` to `to`, turned as the EXIF orientation says.
fn turn_image(from: &[u8], (width, height): (usize, usize), turn: u8, to: &mut [u8]) {
    let from = from.as_chunks::<3>().0;
    let to = to.as_chunks_mut::<3>().0;
    if turn == 1 {
        to.copy_from_slice(&from[..to.len()]);
        return;
    }
    let (to_width, to_height) = if turn >= 5 {
        (height, width)
    } else {
        (width, height)
    };
    let (right, bottom) = (width - 1, height - 1);
    for y in 0..to_height {
        for x in 0..to_width {
            // Which pixel of the stored image is seen at (x, y).
            let (column, row) = match turn {
                2 => (right - x, y),
                3 => (right - x, bottom - y),
                4 => (x, bottom - y),
                5 => (y, x),
                6 => (y, bottom - x),
                7 => (right - y, bottom - x),
                _ => (right - y, x),
            };
            to[y * to_width + x] = from[row * width + column];
        }
    }
}

/// i / 255 for every byte.
static FLOATS: [f32; 256] = {
    let mut table = [0.0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = i as f32 / 255.0;
        i += 1;
    }
    table
};

fn to_floats(bytes: &[u8], floats: &mut [f32]) {
    for (float, byte) in floats.iter_mut().zip(bytes) {
        *float = FLOATS[usize::from(*byte)];
    }
}

// ---- Encoding ----------------------------------------------------------------------------------------------------------

/// `lt_image_encode_jpeg` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_image_encode_jpeg(
    pixels: *const u8,
    height: i32,
    width: i32,
    quality: i32,
    jpeg: *mut u8,
    capacity: i64,
    size: *mut i64,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        let side = |value: i32, name: &str| {
            (1..=MAX_SIDE)
                .contains(&value)
                .then_some(())
                .ok_or_else(|| {
                    Failure::invalid(format!(
                        "{name} is {value}, but must be between 1 and {MAX_SIDE}"
                    ))
                })
        };
        side(height, "height")?;
        side(width, "width")?;
        if !(1..=100).contains(&quality) {
            return Err(Failure::invalid(format!(
                "quality is {quality}, but must be between 1 and 100"
            )));
        }
        let room = usize::try_from(capacity)
            .map_err(|_| Failure::invalid(format!("capacity is {capacity}")))?;
        if pixels.is_null() {
            return Err(Failure::invalid("pixels is NULL"));
        }
        if room > 0 {
            out(jpeg, "jpeg")?;
        }
        let size = out(size, "size")?;
        // SAFETY: lance.h: height x width x 3 bytes.
        let encoded = unsafe { Encoded::new(pixels, height, width, quality) }?;
        let bytes = encoded.bytes();
        if bytes.len() > room {
            // The one case in which an out-parameter is written though the call fails; lance.h says so.
            // SAFETY: checked above.
            unsafe { size.write(bytes.len() as i64) };
            return Err(Failure::invalid(format!(
                "the JPEG is {} bytes, more than the capacity of {capacity}",
                bytes.len()
            )));
        }
        // SAFETY: checked above.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), jpeg, bytes.len());
            size.write(bytes.len() as i64);
        }
        Ok(())
    })
}

/// A JPEG in memory of TurboJPEG's.
struct Encoded {
    start: *mut u8,
    size: raw::size_t,
}

impl Encoded {
    /// # Safety
    /// `pixels` has height x width x 3 bytes.
    unsafe fn new(pixels: *const u8, height: i32, width: i32, quality: i32) -> Result<Self> {
        let mut turbo = Turbo::new(raw::TJINIT_TJINIT_COMPRESS)?;
        turbo.set(raw::TJPARAM_TJPARAM_QUALITY, quality)?;
        // Pillow's default, too.
        turbo.set(raw::TJPARAM_TJPARAM_SUBSAMP, raw::TJSAMP_TJSAMP_420)?;
        let mut encoded = Self {
            start: std::ptr::null_mut(),
            size: 0,
        };
        // SAFETY: a live handle, the caller's pixels, and a buffer that TurboJPEG allocates.
        let code = unsafe {
            raw::tj3Compress8(
                turbo.0.as_ptr(),
                pixels,
                width,
                0,
                height,
                raw::TJPF_TJPF_RGB as c_int,
                &mut encoded.start,
                &mut encoded.size,
            )
        };
        if code != 0 || encoded.start.is_null() {
            return Err(Failure::internal(format!("JPEG: {}", turbo.message())));
        }
        Ok(encoded)
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: what TurboJPEG has written.
        unsafe { std::slice::from_raw_parts(self.start, self.size as usize) }
    }
}

impl Drop for Encoded {
    fn drop(&mut self) {
        // SAFETY: TurboJPEG's own memory, or NULL.
        unsafe { raw::tj3Free(self.start.cast()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use arrow::array::{Array, ArrayRef, BinaryArray, LargeBinaryArray};
    use std::path::{Path, PathBuf};
    use std::time::Instant;

    /// A picture with edges and gradients, so that mistakes show.
    fn picture(width: usize, height: usize) -> Vec<u8> {
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
    fn jpeg(
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

    fn rgb_jpeg(width: usize, height: usize) -> Vec<u8> {
        jpeg(
            &picture(width, height),
            (width, height),
            raw::TJPF_TJPF_RGB,
            &[],
        )
    }

    fn png_of(
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

    fn options(width: usize, height: usize) -> LtImageOptions {
        LtImageOptions {
            height: height as i32,
            width: width as i32,
            dtype: 0,
            apply_orientation: 0,
            max_pixels: 0,
        }
    }

    fn decode_column(
        column: &dyn Array,
        format: &CStr,
        options: &LtImageOptions,
    ) -> Result<Vec<u8>> {
        let array = FFI_ArrowArray::new(&column.to_data());
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
                pixels.as_mut_ptr().cast(),
                (one * column.len()) as i64,
                err,
            )
        })?;
        assert_eq!(pixels.split_off(one * column.len()), [0xa5; 4]);
        Ok(pixels)
    }

    fn decode(image: &[u8], options: &LtImageOptions) -> Result<Vec<u8>> {
        decode_column(&BinaryArray::from_iter_values([image]), c"z", options)
    }

    fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    #[test]
    fn a_jpeg_decodes_to_its_pixels() {
        let decoded = decode(&rgb_jpeg(64, 48), &options(64, 48)).unwrap();
        let difference = largest_difference(&decoded, &picture(64, 48));
        assert!(difference < 30, "{difference}");
        // the encoder of this library, subsampled
        let mut file = vec![0u8; 100_000];
        let mut size = 0;
        ok(|err| unsafe {
            lt_image_encode_jpeg(
                picture(64, 48).as_ptr(),
                48,
                64,
                95,
                file.as_mut_ptr(),
                100_000,
                &mut size,
                err,
            )
        });
        let again = decode(&file[..size as usize], &options(64, 48)).unwrap();
        assert!(largest_difference(&again, &decoded) < 80);
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
        let floats: Vec<f32> = floats
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_ne_bytes(*b))
            .collect();
        let expected: Vec<f32> = bytes.iter().map(|b| f32::from(*b) / 255.0).collect();
        assert_eq!(floats, expected);
    }

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
    fn garbage_is_corrupt_and_other_formats_are_unsupported() {
        for garbage in [
            &b""[..],
            b"x",
            b"hello, world",
            &[0xff, 0xd8, 0xff],
            &[0; 100],
        ] {
            let failure = decode(garbage, &options(8, 8)).unwrap_err();
            assert_eq!(failure.code, Code::CorruptData, "{failure:?}");
        }
        for (other, name) in [
            (&b"GIF89a......"[..], "GIF"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
            (b"BM\x36\0\0\0\0\0\0\0\x36\0", "BMP"),
            (b"II*\0\x08\0\0\0", "TIFF"),
        ] {
            let failure = decode(other, &options(8, 8)).unwrap_err();
            assert_eq!(failure.code, Code::Unsupported);
            assert!(failure.message.contains(name), "{failure:?}");
        }
    }

    #[test]
    fn damaged_images_never_panic() {
        let rgba: Vec<u8> = (0..32 * 32 * 4).map(|i| (i * 7) as u8).collect();
        let files = [
            rgb_jpeg(40, 30),
            jpeg(
                &picture(40, 30),
                (40, 30),
                raw::TJPF_TJPF_RGB,
                &[(raw::TJPARAM_TJPARAM_PROGRESSIVE, 1)],
            ),
            with_exif(&rgb_jpeg(40, 30), &exif(6, true)),
            png_of(
                &rgba,
                (32, 32),
                png::ColorType::Rgba,
                png::BitDepth::Eight,
                |_| {},
            ),
        ];
        let mut random = 3u64;
        let options = LtImageOptions {
            apply_orientation: 1,
            max_pixels: 1 << 20,
            ..options(16, 16)
        };
        for file in &files {
            for _ in 0..3000 {
                let mut damaged = file.clone();
                for _ in 0..3 {
                    random = random
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    let at = (random >> 33) as usize % damaged.len();
                    damaged[at] = (random >> 20) as u8;
                }
                if let Err(failure) = decode(&damaged, &options) {
                    assert!(
                        matches!(failure.code, Code::CorruptData | Code::Unsupported),
                        "{failure:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn large_images_and_many_scans_are_refused_before_decoding() {
        let file = rgb_jpeg(64, 48);
        let limited = |max_pixels| LtImageOptions {
            max_pixels,
            ..options(8, 8)
        };
        let failure = decode(&file, &limited(64 * 48 - 1)).unwrap_err();
        assert_eq!(failure.code, Code::CorruptData);
        assert!(failure.message.contains("64 x 48"), "{failure:?}");
        decode(&file, &limited(64 * 48)).unwrap();
        let gray = vec![9u8; 64 * 48];
        let file = png_of(
            &gray,
            (64, 48),
            png::ColorType::Grayscale,
            png::BitDepth::Eight,
            |_| {},
        );
        let failure = decode(&file, &limited(64 * 48 - 1)).unwrap_err();
        assert_eq!(failure.code, Code::CorruptData);
        // a header that claims to be enormous
        let mut bomb = rgb_jpeg(64, 48);
        let frame = bomb.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        bomb[frame + 5..frame + 9].fill(0xff);
        let failure = decode(&bomb, &options(8, 8)).unwrap_err();
        assert_eq!(failure.code, Code::CorruptData, "{failure:?}");
        // the same last scan over and over
        let progressive = jpeg(
            &picture(64, 48),
            (64, 48),
            raw::TJPF_TJPF_RGB,
            &[(raw::TJPARAM_TJPARAM_PROGRESSIVE, 1)],
        );
        let scan = progressive
            .array_windows()
            .rposition(|w| *w == [0xff, 0xda])
            .unwrap();
        let end = progressive.len() - 2;
        let mut bomb = progressive[..end].to_vec();
        for _ in 0..200 {
            bomb.extend_from_slice(&progressive[scan..end]);
        }
        bomb.extend([0xff, 0xd9]);
        assert_eq!(
            decode(&bomb, &options(8, 8)).unwrap_err().code,
            Code::CorruptData
        );
    }

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

    fn exif(orientation: u8, big: bool) -> Vec<u8> {
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

    fn with_exif(file: &[u8], tiff: &[u8]) -> Vec<u8> {
        let mut out = file[..2].to_vec();
        out.extend([0xff, 0xe1]);
        out.extend((tiff.len() as u16 + 8).to_be_bytes());
        out.extend(b"Exif\0\0");
        out.extend(tiff);
        out.extend(&file[2..]);
        out
    }

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

    #[test]
    fn an_offset_and_a_part_of_a_column_are_respected() {
        let files: Vec<Vec<u8>> = (1..6).map(|i| rgb_jpeg(8 * i, 8)).collect();
        let columns: [(ArrayRef, &CStr); 2] = [
            (
                std::sync::Arc::new(BinaryArray::from_iter_values(files.iter())),
                c"z",
            ),
            (
                std::sync::Arc::new(LargeBinaryArray::from_iter_values(files.iter())),
                c"Z",
            ),
        ];
        for (column, format) in columns {
            let all = decode_column(column.as_ref(), format, &options(8, 8)).unwrap();
            let one = 8 * 8 * 3;
            let slice = column.slice(2, 3);
            let part = decode_column(slice.as_ref(), format, &options(8, 8)).unwrap();
            assert_eq!(part, all[2 * one..]);
            let array = FFI_ArrowArray::new(&slice.to_data());
            let mut pixels = vec![0u8; one];
            ok(|err| unsafe {
                lt_image_decode(
                    &array,
                    format.as_ptr(),
                    1,
                    1,
                    &options(8, 8),
                    pixels.as_mut_ptr().cast(),
                    one as i64,
                    err,
                )
            });
            assert_eq!(pixels, all[3 * one..4 * one]);
        }
    }

    #[test]
    fn the_row_of_a_bad_image_is_told_and_the_rows_before_are_written() {
        let good = rgb_jpeg(8, 8);
        for (bad, code) in [
            (Some(&b"nonsense"[..]), Code::CorruptData),
            (None, Code::CorruptData),
            (Some(b"GIF89a.........."), Code::Unsupported),
        ] {
            let rows = [Some(&good[..]), Some(&good), bad, Some(&good)];
            let column = BinaryArray::from_iter(rows);
            let array = FFI_ArrowArray::new(&column.to_data());
            let one = 8 * 8 * 3;
            let mut pixels = vec![0u8; one * 3];
            // rows 1 .. 4, so the bad one is the second
            let f = failure(|err| unsafe {
                lt_image_decode(
                    &array,
                    c"z".as_ptr(),
                    1,
                    3,
                    &options(8, 8),
                    pixels.as_mut_ptr().cast(),
                    (one * 3) as i64,
                    err,
                )
            });
            assert_eq!((f.code, f.detail), (code, 2), "{f:?}");
            assert!(f.message.contains("row 2"), "{f:?}");
            assert_eq!(pixels[..one], decode(&good, &options(8, 8)).unwrap());
        }
    }

    #[test]
    fn wrong_arguments_are_refused() {
        let column = BinaryArray::from_iter_values([rgb_jpeg(8, 8)]);
        let array = FFI_ArrowArray::new(&column.to_data());
        let mut pixels = vec![0u8; 8 * 8 * 3 * 4];
        let mut call = |format: &CStr, first, count, options: LtImageOptions, size| {
            failure(|err| unsafe {
                lt_image_decode(
                    &array,
                    format.as_ptr(),
                    first,
                    count,
                    &options,
                    pixels.as_mut_ptr().cast(),
                    size,
                    err,
                )
            })
            .code
        };
        let good = options(8, 8);
        assert_eq!(call(c"i", 0, 1, good, 192), Code::Unsupported);
        assert_eq!(call(c"vz", 0, 1, good, 192), Code::Unsupported);
        for (first, count) in [(-1, 1), (0, 2), (2, 0), (i64::MAX, i64::MAX), (0, -1)] {
            assert_eq!(call(c"z", first, count, good, 192), Code::InvalidArgument);
        }
        assert_eq!(call(c"z", 0, 1, good, 191), Code::InvalidArgument);
        assert_eq!(
            call(c"z", 0, 1, LtImageOptions { dtype: 1, ..good }, 192),
            Code::InvalidArgument
        );
        assert_eq!(
            call(c"z", 0, 1, LtImageOptions { dtype: 2, ..good }, 192),
            Code::InvalidArgument
        );
        assert_eq!(call(c"z", 0, 1, options(0, 8), 192), Code::InvalidArgument);
        assert_eq!(
            call(c"z", 0, 1, options(8, 70_000), 192),
            Code::InvalidArgument
        );
        assert_eq!(
            call(
                c"z",
                0,
                1,
                LtImageOptions {
                    max_pixels: -1,
                    ..good
                },
                192
            ),
            Code::InvalidArgument
        );
    }

    #[test]
    fn encoding_says_how_much_room_it_needs() {
        let pixels = picture(64, 48);
        let mut size = -1;
        let call = |jpeg: *mut u8, capacity, size: &mut i64, quality, height| {
            outcome(|err| unsafe {
                lt_image_encode_jpeg(
                    pixels.as_ptr(),
                    height,
                    64,
                    quality,
                    jpeg,
                    capacity,
                    size,
                    err,
                )
            })
        };
        let failure = call(std::ptr::null_mut(), 0, &mut size, 90, 48).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
        assert!(size > 100);
        let needed = size;
        let mut file = vec![0u8; needed as usize];
        assert!(call(file.as_mut_ptr(), needed - 1, &mut size, 90, 48).is_err());
        call(file.as_mut_ptr(), needed, &mut size, 90, 48).unwrap();
        assert_eq!(size, needed);
        assert_eq!(decode(&file, &options(64, 48)).unwrap().len(), 64 * 48 * 3);
        for (quality, height) in [(0, 48), (101, 48), (90, 0), (90, -5), (90, 70_000)] {
            let failure = call(file.as_mut_ptr(), needed, &mut size, quality, height).unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument);
        }
    }

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
        let folder = std::env::var("LANCETORCH_PHOTOS")
            .unwrap_or_else(|_| "/work/shared/data/clothing".to_string());
        let mut files = Vec::new();
        visit(Path::new(&folder), &mut files);
        files.sort();
        let photos: Vec<_> = files
            .iter()
            .map(|f| std::fs::read(f).unwrap())
            .filter(|f| f.starts_with(&[0xff, 0xd8]))
            .collect();
        assert!(
            !photos.is_empty(),
            "no photos in {folder}: set LANCETORCH_PHOTOS"
        );
        photos
    }

    /// `cargo test --release image_speed -- --ignored --nocapture`, with a folder of JPEGs in LANCETORCH_PHOTOS or in
    /// /work/shared/data/clothing: each to 512 px and back as JPEG, then decoded on one thread, beside the bare parts.
    #[test]
    #[ignore = "a benchmark"]
    fn image_speed() {
        let mut resizer = Resizer::new();
        let mut files = Vec::new();
        for photo in photos().iter().take(400) {
            let mut decoder = Decoder::new().unwrap();
            let header = decoder.header(photo).unwrap();
            if header.inks {
                continue;
            }
            let mut rgb = vec![0u8; header.width * header.height * 3];
            decoder
                .decode(photo, &header, &mut rgb, raw::TJPF_TJPF_RGB)
                .unwrap();
            let scale = 512.0 / header.width.max(header.height) as f64;
            let to = (
                (header.width as f64 * scale).round() as usize,
                (header.height as f64 * scale).round() as usize,
            );
            let mut small = vec![0u8; to.0 * to.1 * 3];
            resize(
                &mut resizer,
                &rgb,
                (header.width, header.height),
                &mut small,
                to,
            )
            .unwrap();
            let quality = std::env::var("LANCETORCH_QUALITY").map_or(90, |q| q.parse().unwrap());
            files.push(jpeg(
                &small,
                to,
                raw::TJPF_TJPF_RGB,
                &[
                    (raw::TJPARAM_TJPARAM_QUALITY, quality),
                    (raw::TJPARAM_TJPARAM_SUBSAMP, raw::TJSAMP_TJSAMP_420),
                ],
            ));
        }
        let bytes: usize = files.iter().map(Vec::len).sum();
        println!(
            "{} images, {} bytes each on average",
            files.len(),
            bytes / files.len()
        );
        let column = BinaryArray::from_iter_values(files.iter());
        let rate = |name: &str, body: &mut dyn FnMut()| {
            let best = (0..5)
                .map(|_| {
                    let start = Instant::now();
                    body();
                    files.len() as f64 / start.elapsed().as_secs_f64()
                })
                .fold(0.0, f64::max);
            println!("{name:45} {best:7.0} img/s");
        };
        let mut turbo = Decoder::new().unwrap();
        let mut rgb = vec![0u8; 512 * 512 * 3];
        let mut small = vec![0u8; 224 * 224 * 3];
        for _ in 0..2 {
            rate("turbojpeg full decode", &mut || {
                for file in &files {
                    let header = turbo.header(file).unwrap();
                    turbo
                        .decode(file, &header, &mut rgb, raw::TJPF_TJPF_RGB)
                        .unwrap();
                }
            });
            rate("turbojpeg + fast_image_resize", &mut || {
                for file in &files {
                    let header = turbo.header(file).unwrap();
                    turbo
                        .decode(file, &header, &mut rgb, raw::TJPF_TJPF_RGB)
                        .unwrap();
                    let size = (header.width, header.height);
                    let image = &rgb[..size.0 * size.1 * 3];
                    resize(&mut resizer, image, size, &mut small, (224, 224)).unwrap();
                }
            });
            rate("lt_image_decode, uint8", &mut || {
                decode_column(&column, c"z", &options(224, 224)).unwrap();
            });
            let floats = LtImageOptions {
                dtype: 1,
                ..options(224, 224)
            };
            let array = FFI_ArrowArray::new(&column.to_data());
            let mut pixels = vec![0f32; 224 * 224 * 3 * 64];
            rate("lt_image_decode, float32, by 64", &mut || {
                let mut first = 0;
                while first < files.len() {
                    let count = (files.len() - first).min(64);
                    ok(|err| unsafe {
                        lt_image_decode(
                            &array,
                            c"z".as_ptr(),
                            first as i64,
                            count as i64,
                            &floats,
                            pixels.as_mut_ptr().cast(),
                            (pixels.len() * 4) as i64,
                            err,
                        )
                    });
                    first += count;
                }
            });
        }
    }
}
