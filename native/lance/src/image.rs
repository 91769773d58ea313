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
                n => u64::try_from(n)
                    .map_err(|_| Failure::invalid(format!("max_pixels is {n}")))?,
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
            || first.checked_add(count).is_none_or(|end| end > column.length)
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
                let (size, turn) =
                    decode_png(encoded, options.max_pixels, &mut self.decoded, &mut self.inks)?;
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
                    resize(&mut self.resizer, decoded, (width, height), bytes, (to_width, to_height))
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
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => other("WebP"),
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
    progressive: bool,
}

/// A TurboJPEG instance. Used directly rather than by the crate's wrapper, which cannot tell a warning from an error.
struct Turbo(NonNull<std::ffi::c_void>);

impl Turbo {
    fn new(kind: raw::TJINIT) -> Result<Self> {
        // SAFETY: a plain call.
        let handle = unsafe { raw::tj3Init(kind as c_int) };
        NonNull::new(handle).map(Self).ok_or_else(|| {
            Failure::new(Code::OutOfMemory, "TurboJPEG cannot be set up: out of memory")
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
            progressive: turbo.get(raw::TJPARAM_TJPARAM_PROGRESSIVE) != 0,
        })
    }

    fn decode(
        &mut self,
        encoded: &[u8],
        header: &Header,
        pixels: &mut [u8],
        format: raw::TJPF,
    ) -> Result<()> {
        // libjpeg fills up what a cut file lacks and only warns. The first warning stops; only if that one is harmless
        // does the decoding go on past warnings, of which TurboJPEG then tells the last.
        for stop in [1, 0] {
            match self.decode_once(encoded, header, pixels, format, stop)? {
                None => return Ok(()),
                Some(warning) if harmless(&warning, header) => {}
                Some(warning) => return Err(corrupt(format!("JPEG: {warning}"))),
            }
        }
        Ok(())
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
fn harmless(warning: &str, header: &Header) -> bool {
    warning.contains("extraneous bytes before marker")
        || warning.contains("unknown JFIF revision")
        || warning.contains("Unknown Adobe color transform")
        || warning.contains("Invalid SOS parameters for sequential JPEG")
        || warning.contains("ICC")
        // The end mark is missing, after the last pixel. A progressive file would lack whole scans.
        || (warning.contains("Premature end of JPEG file") && !header.progressive)
}

/// Pillow's conversion, which takes the inks of every CMYK JPEG for inverted, as Adobe writes them.
fn inks_to_rgb(inks: &[u8], rgb: &mut [u8]) {
    for ([c, m, y, k], rgb) in inks.as_chunks::<4>().0.iter().zip(rgb.as_chunks_mut::<3>().0) {
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
            (1..=MAX_SIDE).contains(&value).then_some(()).ok_or_else(|| {
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
