// SPDX-License-Identifier: Apache-2.0

//! The limits that the benchmarks show beside lancetorch's figures: what the libraries below it do alone, without our shim.
//!
//! ```text
//! cmake --build build/native --target limits      # makes build/native/bin/limits
//!
//! limits decode DATASET COLUMN [--size 224] [--threads 1] [--stage decode|resize|float] [--batch 32]
//! limits scan DATASET COLUMN [--batch 1024]
//! limits take DATASET COLUMN [--rows 256]
//! limits memcpy [--bytes 3145728]
//! ```
//!
//! Each takes `--seconds S` (of one run, default 2) and `--runs N` (default 5), and prints one line of JSON,
//! `{"case": .., "score": .., "unit": .., "runs": [..]}`: the median of the runs after one more to warm up.
//!
//! - `decode`: libjpeg-turbo in full size, then (stage `resize`) `fast_image_resize`'s bilinear convolution, then (stage
//!   `float`, the default) floats, channels last, into a batch that is reused; images/s of all threads together.
//! - `scan`: Lance's own scanner, its batches dropped; bytes of the column's buffers/s.
//! - `take`: Lance's own take of random rows, one call after another; rows/s.
//! - `memcpy`: from one block to another, both warm; bytes/s.
//!
//! Memory comes and goes by the MB: give it the malloc settings (GLIBC_TUNABLES) of what it is compared with.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use futures::TryStreamExt;
use lance::Dataset;
use lance::dataset::ProjectionRequest;
use tokio::runtime::Runtime;
use turbojpeg::{Decompressor, PixelFormat};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "usage: limits decode|scan|take DATASET COLUMN [OPTION VALUE]... | limits memcpy [OPTION VALUE]...
options: --size --threads --stage --batch --rows --bytes --seconds --runs";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("limits: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<String> {
    let (words, options) = Options::parse(arguments)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (rates, unit) = match words[..] {
        ["decode", dataset, column] => (decode(dataset, column, &options)?, "images/s"),
        ["scan", dataset, column] => (scan(dataset, column, &options)?, "bytes/s"),
        ["take", dataset, column] => (take(dataset, column, &options)?, "rows/s"),
        ["memcpy"] => (memcpy(&options)?, "bytes/s"),
        _ => return Err(USAGE.into()),
    };
    let mut sorted = rates.clone();
    sorted.sort_by(f64::total_cmp);
    let runs: Vec<String> = rates.iter().map(|rate| format!("{rate:.1}")).collect();
    Ok(format!(
        r#"{{"case": "{}", "score": {:.1}, "unit": "{unit}", "runs": [{}]}}"#,
        words[0],
        sorted[sorted.len() / 2],
        runs.join(", ")
    ))
}

/// How far an image goes.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Stage {
    Decode,
    Resize,
    Float,
}

struct Options {
    size: u32,
    threads: usize,
    stage: Stage,
    batch: Option<usize>,
    rows: usize,
    bytes: usize,
    seconds: f64,
    runs: usize,
}

impl Options {
    /// What is no option, and the options.
    fn parse(arguments: &[String]) -> Result<(Vec<String>, Self)> {
        let mut options = Self {
            size: 224,
            threads: 1,
            stage: Stage::Float,
            batch: None,
            rows: 256,
            bytes: 3 << 20,
            seconds: 2.0,
            runs: 5,
        };
        let mut words = Vec::new();
        let mut rest = arguments.iter();
        while let Some(word) = rest.next() {
            if !word.starts_with("--") {
                words.push(word.clone());
                continue;
            }
            let value = rest.next().ok_or_else(|| format!("{word} needs a value"))?;
            let number = || -> Result<usize> {
                let number = value.parse().ok().filter(|n| *n > 0);
                number.ok_or_else(|| format!("{word} is '{value}', not a positive number").into())
            };
            match word.as_str() {
                "--size" => options.size = u32::try_from(number()?)?,
                "--threads" => options.threads = number()?,
                "--batch" => options.batch = Some(number()?),
                "--rows" => options.rows = number()?,
                "--bytes" => options.bytes = number()?,
                "--runs" => options.runs = number()?,
                "--seconds" => options.seconds = value.parse()?,
                "--stage" => {
                    options.stage = match value.as_str() {
                        "decode" => Stage::Decode,
                        "resize" => Stage::Resize,
                        "float" => Stage::Float,
                        other => return Err(format!("there is no stage '{other}'").into()),
                    }
                }
                _ => return Err(format!("there is no option {word}\n{USAGE}").into()),
            }
        }
        Ok((words, options))
    }

    /// Units a second of each run; `body` answers how many units it did, and runs again and again.
    fn rates(&self, mut body: impl FnMut() -> Result<usize>) -> Result<Vec<f64>> {
        let time = Duration::from_secs_f64(self.seconds);
        let mut one = || -> Result<f64> {
            let start = Instant::now();
            let mut done = 0;
            while start.elapsed() < time || done == 0 {
                done += body()?;
            }
            Ok(done as f64 / start.elapsed().as_secs_f64())
        };
        one()?;
        (0..self.runs).map(|_| one()).collect()
    }
}

// ---- Lance -------------------------------------------------------------------------------------------------------------

/// A runtime such as the shim has.
fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.enable_all().build()?)
}

fn scan(uri: &str, column: &str, options: &Options) -> Result<Vec<f64>> {
    let runtime = runtime()?;
    let dataset = runtime.block_on(Dataset::open(uri))?;
    options.rates(|| {
        let mut scanner = dataset.scan();
        scanner.project(&[column])?;
        scanner.batch_size(options.batch.unwrap_or(1024));
        let reading = async move {
            let mut stream = scanner.try_into_stream().await?;
            let mut bytes = 0;
            while let Some(batch) = stream.try_next().await? {
                bytes += batch.column(0).to_data().get_slice_memory_size()?;
            }
            Result::Ok(bytes)
        };
        runtime.block_on(runtime.spawn(reading))?
    })
}

fn take(uri: &str, column: &str, options: &Options) -> Result<Vec<f64>> {
    let runtime = runtime()?;
    let dataset = runtime.block_on(Dataset::open(uri))?;
    let total = runtime.block_on(dataset.count_rows(None))? as u64;
    if total == 0 {
        return Err("the dataset has no rows".into());
    }
    let projection = ProjectionRequest::from_schema(dataset.schema().project(&[column])?);
    let mut random = 1u64;
    options.rates(|| {
        let rows: Vec<u64> = (0..options.rows)
            .map(|_| {
                random = random
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                (random >> 33) % total
            })
            .collect();
        let batch = runtime.block_on(dataset.take(&rows, projection.clone()))?;
        Ok(batch.num_rows())
    })
}

// ---- Images ------------------------------------------------------------------------------------------------------------

/// The bytes of a column's rows.
fn encoded(uri: &str, column: &str) -> Result<Vec<Vec<u8>>> {
    const MOST: usize = 1024;
    let runtime = runtime()?;
    let batches = runtime.block_on(async {
        let dataset = Dataset::open(uri).await?;
        let mut scanner = dataset.scan();
        scanner.project(&[column])?.limit(Some(MOST as i64), None)?;
        let batches: Vec<_> = scanner.try_into_stream().await?.try_collect().await?;
        Result::Ok(batches)
    })?;
    let mut images = Vec::new();
    for batch in &batches {
        let array = batch.column(0);
        match array.data_type() {
            DataType::Binary => {
                images.extend(array.as_binary::<i32>().iter().flatten().map(Vec::from))
            }
            DataType::LargeBinary => {
                images.extend(array.as_binary::<i64>().iter().flatten().map(Vec::from));
            }
            other => return Err(format!("the column '{column}' is {other}, not binary").into()),
        }
    }
    if images.is_empty() {
        return Err(format!("the column '{column}' has no images").into());
    }
    Ok(images)
}

fn decode(uri: &str, column: &str, options: &Options) -> Result<Vec<f64>> {
    let images = Arc::new(encoded(uri, column)?);
    let per_thread: Vec<Vec<f64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads)
            .map(|thread| {
                let images = images.clone();
                scope.spawn(move || {
                    let mut decoder = Decoding::new(options)?;
                    // Each thread begins elsewhere, so that not all decode the same image at once.
                    let mut next = images.len() * thread / options.threads;
                    options.rates(|| {
                        decoder.image(&images[next])?;
                        next = (next + 1) % images.len();
                        Ok(1)
                    })
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| {
            let rates = thread.join();
            rates.unwrap_or_else(|_| Err("a thread panicked".into()))
        });
        joined.collect::<Result<_>>()
    })?;
    // Run i of one thread is at the same time as run i of the others, give or take an image.
    Ok((0..options.runs)
        .map(|run| per_thread.iter().map(|rates| rates[run]).sum())
        .collect())
}

/// One thread's decoder and memory.
struct Decoding {
    stage: Stage,
    size: u32,
    jpeg: Decompressor,
    resizer: Resizer,
    how: ResizeOptions,
    decoded: Vec<u8>,
    resized: Image<'static>,
    batch: Vec<f32>,
    /// Where in the batch the next image goes.
    at: usize,
}

impl Decoding {
    fn new(options: &Options) -> Result<Self> {
        let values = options.size as usize * options.size as usize * 3;
        Ok(Self {
            stage: options.stage,
            size: options.size,
            jpeg: Decompressor::new()?,
            resizer: Resizer::new(),
            how: ResizeOptions::new()
                .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
                .use_alpha(false),
            decoded: Vec::new(),
            resized: Image::new(options.size, options.size, PixelType::U8x3),
            batch: vec![0.0; values * options.batch.unwrap_or(32)],
            at: 0,
        })
    }

    fn image(&mut self, encoded: &[u8]) -> Result<()> {
        let header = self.jpeg.read_header(encoded)?;
        let bytes = header.width * header.height * 3;
        if self.decoded.len() < bytes {
            self.decoded.resize(bytes, 0);
        }
        let target = turbojpeg::Image {
            pixels: &mut self.decoded[..bytes],
            width: header.width,
            pitch: header.width * 3,
            height: header.height,
            format: PixelFormat::RGB,
        };
        self.jpeg.decompress(encoded, target)?;
        if self.stage == Stage::Decode {
            return Ok(());
        }
        let source = ImageRef::new(
            u32::try_from(header.width)?,
            u32::try_from(header.height)?,
            &self.decoded[..bytes],
            PixelType::U8x3,
        )?;
        self.resizer.resize(&source, &mut self.resized, &self.how)?;
        if self.stage == Stage::Resize {
            return Ok(());
        }
        let values = self.size as usize * self.size as usize * 3;
        let floats = &mut self.batch[self.at..self.at + values];
        for (float, byte) in floats.iter_mut().zip(self.resized.buffer()) {
            *float = f32::from(*byte) / 255.0;
        }
        self.at = (self.at + values) % self.batch.len();
        Ok(())
    }
}

// ---- Memory ------------------------------------------------------------------------------------------------------------

fn memcpy(options: &Options) -> Result<Vec<f64>> {
    let source = vec![1u8; options.bytes];
    let mut target = vec![2u8; options.bytes];
    options.rates(|| {
        target.copy_from_slice(std::hint::black_box(&source));
        std::hint::black_box(&mut target);
        Ok(options.bytes)
    })
}
