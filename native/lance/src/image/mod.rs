// SPDX-License-Identifier: Apache-2.0

//! Images: JPEG and PNG to RGB of one size, as Pillow and torchvision would make it; and RGB to JPEG.
//!
//! - [`rows`]: the column of encoded images; [`options`]: what is wanted, checked
//! - [`decode`]: one image from file to output, through [`jpeg`] or [`png`], [`geometry`] (which part, what size, how turned),
//!   [`pixels`] (resizing, floats) and [`orientation`]
//! - [`encode`]: RGB to JPEG

mod decode;
mod encode;
mod geometry;
mod jpeg;
mod options;
mod orientation;
mod pixels;
mod png;
mod rows;
#[cfg(test)]
mod speed;
#[cfg(test)]
mod testing;

use std::ffi::{c_char, c_void};

use arrow::ffi::FFI_ArrowArray;

use crate::abi::{LtError, LtImageOptions, borrowed, live_array, out, slice, text};
use crate::error::{Failure, OK, guard};
use decode::{Target, with_scratch};
use options::{Floats, Options};
use rows::Images;

/// `lt_image_decode` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_image_decode(
    column: *const FFI_ArrowArray,
    format: *const c_char,
    first: i64,
    count: i64,
    options: *const LtImageOptions,
    row_keys: *const u64,
    row_codes: *mut i32,
    pixels: *mut c_void,
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
        let floats = options.floats.is_some();
        let bytes = images
            .count
            .checked_mul(size)
            .and_then(|n| n.checked_mul(if floats { 4 } else { 1 }))
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
        if floats && !pixels.cast::<f32>().is_aligned() {
            return Err(Failure::invalid("pixels is not aligned for floats"));
        }
        if options.is_random() && row_keys.is_null() {
            return Err(Failure::invalid(
                "row_keys is NULL, but a random crop or a flip_probability between 0 and 1 needs each row's key",
            ));
        }
        with_scratch(|scratch| {
            for i in 0..images.count {
                let row = images.first + i;
                // SAFETY: `pixels` has `bytes` bytes, so `count` images of `size` values; checked and aligned above.
                let mut target = unsafe {
                    if let Some(how) = options.floats {
                        let start = pixels.cast::<f32>().add(i * size);
                        Target::Floats(std::slice::from_raw_parts_mut(start, size), how)
                    } else {
                        let start = pixels.cast::<u8>().add(i * size);
                        Target::Bytes(std::slice::from_raw_parts_mut(start, size))
                    }
                };
                let key = if row_keys.is_null() {
                    0
                } else {
                    // SAFETY: lance.h: `count` keys.
                    unsafe { *row_keys.add(i) }
                };
                let done = images.get(i).and_then(|encoded| {
                    scratch
                        .decode(encoded, &options, key, &mut target)
                        .map_err(|e| {
                            e.while_doing(&format!("the image in row {row} of the column"))
                        })
                });
                if row_codes.is_null() {
                    done.map_err(|e| e.with_detail(row))?;
                    continue;
                }
                let code = done.map_or_else(|failure| failure.code as i32, |()| OK);
                if code != OK {
                    target.clear();
                }
                // SAFETY: lance.h: `count` codes.
                unsafe { *row_codes.add(i) = code };
            }
            Ok(())
        })
    })
}

/// `lt_image_to_floats` of lance.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lt_image_to_floats(
    pixels: *const u8,
    pixel_count: i64,
    options: *const LtImageOptions,
    floats: *mut f32,
    err: *mut LtError,
) -> i32 {
    guard(err, || {
        // SAFETY: lance.h: NULL or valid.
        let how = Floats::new(unsafe { borrowed(options, "options") }?)?;
        let values = pixel_count.checked_mul(3).ok_or_else(|| {
            Failure::invalid(format!("pixel_count is {pixel_count}, which is too many"))
        })?;
        // SAFETY: lance.h: three bytes for each pixel.
        let bytes = unsafe { slice(pixels, values, "pixels") }?;
        if bytes.is_empty() {
            return Ok(());
        }
        let floats = out(floats, "floats")?;
        if !floats.is_aligned() {
            return Err(Failure::invalid("floats is not aligned for floats"));
        }
        // SAFETY: lance.h: as many floats as bytes; aligned, as checked.
        let floats = unsafe { std::slice::from_raw_parts_mut(floats, bytes.len()) };
        pixels::to_floats(bytes, floats, &how);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use arrow::array::{Array, ArrayRef, BinaryArray, LargeBinaryArray};
    use turbojpeg::raw;

    use super::encode::lt_image_encode_jpeg;
    use super::testing::*;
    use super::*;
    use crate::error::Code;
    use crate::testing::*;
    use ::png::{BitDepth, ColorType};

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
            png_of(&rgba, (32, 32), ColorType::Rgba, BitDepth::Eight, |_| {}),
        ];
        let mut random = 3u64;
        let oriented = LtImageOptions {
            apply_orientation: 1,
            max_pixels: 1 << 20,
            ..options(16, 16)
        };
        let ways = [
            oriented,
            LtImageOptions {
                flip_probability: 0.5,
                ..center_crop(14)
            },
            LtImageOptions {
                apply_orientation: 1,
                dtype: 1,
                ..random_crop(9)
            },
            LtImageOptions {
                fast: 1,
                ..options(4, 4)
            },
            LtImageOptions {
                fast: 1,
                apply_orientation: 1,
                ..random_crop(4)
            },
        ];
        for file in &files {
            for i in 0..6000 {
                let options = &ways[i % ways.len()];
                let mut damaged = file.clone();
                for _ in 0..3 {
                    random = next(random);
                    let at = (random >> 33) as usize % damaged.len();
                    damaged[at] = (random >> 20) as u8;
                }
                match decode(&damaged, options) {
                    Err(failure) => {
                        assert!(
                            matches!(failure.code, Code::CorruptData | Code::Unsupported),
                            "{failure:?}"
                        );
                        let code = codes(&damaged, options);
                        assert_eq!(code, failure.code as i32);
                    }
                    Ok(pixels) => {
                        assert_eq!(decode(&damaged, options).unwrap(), pixels);
                        assert_eq!(codes(&damaged, options), 0);
                    }
                }
            }
        }
    }

    /// The code of an image decoded on its own.
    fn codes(image: &[u8], options: &LtImageOptions) -> i32 {
        let array = FFI_ArrowArray::new(&BinaryArray::from_iter_values([image]).to_data());
        let mut pixels = vec![0xa5u8; (options.width * options.height) as usize * 12];
        let mut code = -1;
        ok(|err| unsafe {
            lt_image_decode(
                &array,
                c"z".as_ptr(),
                0,
                1,
                options,
                &0,
                &mut code,
                pixels.as_mut_ptr().cast(),
                pixels.len() as i64,
                err,
            )
        });
        code
    }

    /// The same image as JPEG, of which parts are decoded, and as PNG, which is decoded as a whole.
    fn both(width: usize, height: usize) -> (Vec<u8>, Vec<u8>) {
        let parameters = [(raw::TJPARAM_TJPARAM_SUBSAMP, raw::TJSAMP_TJSAMP_420)];
        let size = (width, height);
        let file = jpeg(&noise(width, height), size, raw::TJPF_TJPF_RGB, &parameters);
        let pixels = decode(&file, &options(width, height)).unwrap();
        (file, rgb_png(&pixels, size))
    }

    #[test]
    fn a_center_crop_is_the_middle_of_the_resized_image() {
        for (size, shorter, to) in [
            ((300, 200), 128, (112, 112)),
            ((200, 301), 128, (112, 100)),
            ((640, 150), 64, (50, 64)),
            ((150, 333), 200, (150, 160)),
            ((90, 90), 128, (112, 112)),
            ((256, 320), 256, (224, 200)),
        ] {
            let (file, whole) = both(size.0, size.1);
            let middle = LtImageOptions {
                geometry: 1,
                resize_shorter: shorter as i32,
                ..options(to.0, to.1)
            };
            // torchvision: the longer side is rounded down, the margin to the nearest even number
            let long = |long: usize, short: usize| (shorter * long) / short;
            let grid = if size.0 <= size.1 {
                (shorter, long(size.1, size.0))
            } else {
                (long(size.0, size.1), shorter)
            };
            let margin = |of: usize, to: usize| ((of - to) as f64 / 2.0).round_ties_even() as usize;
            let resized = decode(&whole, &options(grid.0, grid.1)).unwrap();
            let part = geometry::Rect {
                left: margin(grid.0, to.0),
                top: margin(grid.1, to.1),
                width: to.0,
                height: to.1,
            };
            let expected = cut::<3>(&resized, grid.0, part);
            for image in [&file, &whole] {
                let pixels = decode(image, &middle).unwrap();
                assert!(largest_difference(&pixels, &expected) <= 1, "{size:?}");
                assert!(mean_difference(&pixels, &expected) < 0.01, "{size:?}");
            }
        }
    }

    #[test]
    fn a_random_crop_is_its_part_alone_resized() {
        let (file, whole) = both(300, 200);
        let upright = decode(&whole, &options(300, 200)).unwrap();
        let options = LtImageOptions {
            seed: 11,
            ..random_crop(48)
        };
        let checked = Options::new(&options).unwrap();
        let count = 200;
        let columns =
            [&file, &whole].map(|f| BinaryArray::from_iter_values(std::iter::repeat_n(f, count)));
        let [jpegs, pngs] = columns.map(|c| decode_column(&c, c"z", &options).unwrap());
        assert_eq!(jpegs, pngs);
        for (key, pixels) in jpegs.chunks(48 * 48 * 3).enumerate() {
            let part = geometry::View::new(&checked, (300, 200), 1, key as u64).part;
            let alone = rgb_png(&cut::<3>(&upright, 300, part), (part.width, part.height));
            let expected = decode(&alone, &super::testing::options(48, 48)).unwrap();
            assert_eq!(pixels, expected, "{part:?}");
        }
    }

    #[test]
    fn a_key_gives_the_same_pixels_whatever_the_batch_and_the_thread() {
        let files: Vec<_> = (0..12).map(|i| both(100 + 10 * i, 90).0).collect();
        let column = BinaryArray::from_iter_values(&files);
        let options = LtImageOptions {
            flip_probability: 0.5,
            seed: 3,
            dtype: 1,
            ..random_crop(20)
        };
        let all = decode_column(&column, c"z", &options).unwrap();
        let array = FFI_ArrowArray::new(&column.to_data());
        let one = 20 * 20 * 3 * 4;
        // backwards, each on a thread of its own
        for row in (0..files.len()).rev() {
            let array = &array;
            let options = &options;
            let pixels = std::thread::scope(|scope| {
                let run = move || {
                    let mut pixels = vec![0u8; one];
                    let key = row as u64;
                    ok(|err| unsafe {
                        lt_image_decode(
                            array,
                            c"z".as_ptr(),
                            row as i64,
                            1,
                            options,
                            &key,
                            std::ptr::null_mut(),
                            pixels.as_mut_ptr().cast(),
                            one as i64,
                            err,
                        )
                    });
                    pixels
                };
                scope.spawn(run).join().unwrap()
            });
            assert_eq!(pixels, all[row * one..][..one]);
        }
    }

    #[test]
    fn a_mirrored_image_is_the_plain_one_from_right_to_left() {
        let (file, _) = both(90, 60);
        for plain in [options(40, 30), center_crop(28), options(90, 60)] {
            let mirrored = LtImageOptions {
                flip_probability: 1.0,
                ..plain
            };
            let expected: Vec<u8> = decode(&file, &plain)
                .unwrap()
                .chunks(plain.width as usize * 3)
                .flat_map(|row| row.as_chunks::<3>().0.iter().rev().flatten().copied())
                .collect();
            assert_eq!(decode(&file, &mirrored).unwrap(), expected);
        }
    }

    #[test]
    fn the_geometry_applies_to_the_upright_image() {
        let (file, _) = both(120, 90);
        for orientation in 1..=8 {
            let turned = with_exif(&file, &exif(orientation, true));
            let (width, height) = if orientation >= 5 {
                (90, 120)
            } else {
                (120, 90)
            };
            let orient = |options| LtImageOptions {
                apply_orientation: 1,
                ..options
            };
            let upright = decode(&turned, &orient(options(width, height))).unwrap();
            let upright = rgb_png(&upright, (width, height));
            let random = LtImageOptions {
                flip_probability: 0.5,
                height: 31,
                ..random_crop(24)
            };
            for seed in 0..20 {
                for how in [center_crop(42), random] {
                    let how = LtImageOptions { seed, ..how };
                    let expected = decode(&upright, &how).unwrap();
                    let pixels = decode(&turned, &orient(how)).unwrap();
                    // rows and columns are resized in another order
                    assert!(largest_difference(&pixels, &expected) <= 1, "{orientation}");
                }
            }
        }
    }

    #[test]
    fn images_of_any_shape_fit_any_geometry() {
        for (width, height) in [(1, 1), (1, 300), (300, 1), (2, 1), (17, 3), (33, 33)] {
            let file = rgb_jpeg(width, height);
            for plain in [options(5, 7), center_crop(70), random_crop(7)] {
                for fast in [0, 1] {
                    for seed in 0..20 {
                        let how = LtImageOptions {
                            fast,
                            seed,
                            ..plain
                        };
                        decode(&file, &how).unwrap();
                    }
                }
            }
        }
    }

    #[test]
    fn fast_decoding_is_close_and_exact_where_it_cannot_be_faster() {
        let parameters = [(raw::TJPARAM_TJPARAM_SUBSAMP, raw::TJSAMP_TJSAMP_420)];
        let pixels = picture(640, 480);
        let file = jpeg(&pixels, (640, 480), raw::TJPF_TJPF_RGB, &parameters);
        let fast = |options| LtImageOptions { fast: 1, ..options };
        // the grid of the picture has edges of its own; 1/2, 1/4 and 1/8
        for side in [224, 112, 56] {
            for how in [options(side, side), center_crop(side), random_crop(side)] {
                let difference = mean_difference(
                    &decode(&file, &fast(how)).unwrap(),
                    &decode(&file, &how).unwrap(),
                );
                assert!(difference < 2.0, "{side}: {difference}");
            }
            let differs = decode(&file, &fast(options(side, side))).unwrap()
                != decode(&file, &options(side, side)).unwrap();
            assert!(differs, "{side}: nothing was decoded at a smaller size");
        }
        // one pixel less than twice the output
        let how = options(320, 241);
        let exact = decode(&file, &how).unwrap();
        assert_eq!(decode(&file, &fast(how)).unwrap(), exact);
        let png = rgb_png(&pixels, (640, 480));
        let how = options(64, 48);
        let exact = decode(&png, &how).unwrap();
        assert_eq!(decode(&png, &fast(how)).unwrap(), exact);
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
            ColorType::Grayscale,
            BitDepth::Eight,
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
                    std::ptr::null(),
                    std::ptr::null_mut(),
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
                    std::ptr::null(),
                    std::ptr::null_mut(),
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
    fn codes_tell_which_rows_failed_and_the_others_are_written() {
        let good = rgb_jpeg(8, 8);
        let rows = [
            Some(&b"nonsense"[..]),
            Some(&good[..]),
            None,
            Some(b"GIF89a.........."),
            Some(&good[..good.len() / 2]),
            Some(&good),
        ];
        let column = BinaryArray::from_iter(rows);
        let array = FFI_ArrowArray::new(&column.to_data());
        for (dtype, value) in [(0, 1), (1, 4)] {
            let options = LtImageOptions {
                dtype,
                ..options(8, 8)
            };
            let one = 8 * 8 * 3 * value;
            let mut pixels = vec![0xa5u8; one * rows.len()];
            let mut codes = [-1; 6];
            ok(|err| unsafe {
                lt_image_decode(
                    &array,
                    c"z".as_ptr(),
                    0,
                    6,
                    &options,
                    std::ptr::null(),
                    codes.as_mut_ptr(),
                    pixels.as_mut_ptr().cast(),
                    (one * rows.len()) as i64,
                    err,
                )
            });
            let (corrupt, unsupported) = (Code::CorruptData as i32, Code::Unsupported as i32);
            assert_eq!(codes, [corrupt, 0, corrupt, unsupported, corrupt, 0]);
            let expected = decode(&good, &options).unwrap();
            for (i, code) in codes.iter().enumerate() {
                let image = &pixels[i * one..][..one];
                if *code == 0 {
                    assert_eq!(image, expected);
                } else {
                    assert!(image.iter().all(|byte| *byte == 0), "row {i}");
                }
            }
        }
    }

    #[test]
    fn wrong_options_are_refused_by_name() {
        let good = options(8, 8);
        let floats = LtImageOptions { dtype: 1, ..good };
        let normal = LtImageOptions {
            normalize: 1,
            deviation: [1.0; 3],
            ..floats
        };
        let center = LtImageOptions {
            geometry: 1,
            resize_shorter: 8,
            ..good
        };
        let random = LtImageOptions {
            geometry: 2,
            scale_min: 0.1,
            scale_max: 1.0,
            ratio_min: 0.5,
            ratio_max: 2.0,
            ..good
        };
        let file = rgb_jpeg(8, 8);
        for right in [good, floats, normal, center, random] {
            decode(&file, &right).unwrap();
        }
        for (name, wrong) in [
            ("height", options(8, 0)),
            ("width", options(70_000, 8)),
            ("dtype", LtImageOptions { dtype: 2, ..good }),
            (
                "max_pixels",
                LtImageOptions {
                    max_pixels: -1,
                    ..good
                },
            ),
            (
                "geometry",
                LtImageOptions {
                    geometry: 3,
                    ..good
                },
            ),
            (
                "resize_shorter",
                LtImageOptions {
                    resize_shorter: 7,
                    ..center
                },
            ),
            (
                "resize_shorter",
                LtImageOptions {
                    resize_shorter: 70_000,
                    ..center
                },
            ),
            (
                "scale_min",
                LtImageOptions {
                    scale_min: 0.0,
                    ..random
                },
            ),
            (
                "scale_max",
                LtImageOptions {
                    scale_max: 0.05,
                    ..random
                },
            ),
            (
                "scale_max",
                LtImageOptions {
                    scale_max: 1.5,
                    ..random
                },
            ),
            (
                "scale_min",
                LtImageOptions {
                    scale_min: f64::NAN,
                    ..random
                },
            ),
            (
                "ratio_min",
                LtImageOptions {
                    ratio_min: -1.0,
                    ..random
                },
            ),
            (
                "ratio_max",
                LtImageOptions {
                    ratio_max: 0.1,
                    ..random
                },
            ),
            (
                "ratio_max",
                LtImageOptions {
                    ratio_max: f64::INFINITY,
                    ..random
                },
            ),
            (
                "flip_probability",
                LtImageOptions {
                    flip_probability: 1.1,
                    ..good
                },
            ),
            (
                "flip_probability",
                LtImageOptions {
                    flip_probability: f64::NAN,
                    ..good
                },
            ),
            ("normalize", LtImageOptions { dtype: 0, ..normal }),
            (
                "mean[1]",
                LtImageOptions {
                    mean: [0.0, f32::NAN, 0.0],
                    ..normal
                },
            ),
            (
                "deviation[2]",
                LtImageOptions {
                    deviation: [1.0, 1.0, 0.0],
                    ..normal
                },
            ),
        ] {
            let failure = decode(&file, &wrong).unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument, "{failure:?}");
            assert!(failure.message.contains(name), "{failure:?}");
        }
    }

    #[test]
    fn what_is_random_needs_keys_and_what_is_not_does_not() {
        let column = BinaryArray::from_iter_values([rgb_jpeg(8, 8)]);
        let array = FFI_ArrowArray::new(&column.to_data());
        let mut pixels = [0u8; 192];
        let mut call = |options: LtImageOptions| {
            outcome(|err| unsafe {
                lt_image_decode(
                    &array,
                    c"z".as_ptr(),
                    0,
                    1,
                    &options,
                    std::ptr::null(),
                    std::ptr::null_mut(),
                    pixels.as_mut_ptr().cast(),
                    192,
                    err,
                )
            })
        };
        let flip = |flip_probability| LtImageOptions {
            flip_probability,
            ..options(8, 8)
        };
        call(flip(0.0)).unwrap();
        call(flip(1.0)).unwrap();
        let failure = call(flip(0.5)).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
        assert!(failure.message.contains("row_keys"), "{failure:?}");
        let random = LtImageOptions {
            geometry: 2,
            scale_min: 0.5,
            scale_max: 0.5,
            ratio_min: 1.0,
            ratio_max: 1.0,
            ..options(8, 8)
        };
        assert!(call(random).unwrap_err().message.contains("row_keys"));
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
                    std::ptr::null(),
                    std::ptr::null_mut(),
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
}
