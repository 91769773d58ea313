// SPDX-License-Identifier: Apache-2.0

//! Local files, read on the calling thread where the kernel has their bytes in its page cache.
//!
//! Lance hands each range of a local file to a thread of its own for blocking calls. For a take of a few hundred rows of a
//! few KB each that is most of the time: several times what the reading itself costs. Here a read that needs no disk is done
//! at once (`RWF_NOWAIT`), and only one that would block goes to such a thread.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, once};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use tokio::sync::Semaphore;
use turbojpeg::libc;

/// Open files; more are closed, and opened again when they are read again.
const OPEN_FILES: usize = 256;

/// Reads that wait for a disk at once.
const BLOCKING_READS: usize = 32;

/// Neighbouring ranges are read as one across a gap of so many bytes, as Lance does for local files.
const GAP: usize = 4096;

/// The store from which to read rows at random that are in `store`: one of this kind for the files of this machine.
pub fn for_rows(
    store: &Arc<lance_io::object_store::ObjectStore>,
) -> Option<Arc<lance_io::object_store::ObjectStore>> {
    if !store.has_direct_local_paths() {
        return None;
    }
    // The scheme of a store without a root of its own, so that Lance asks this one for the bytes.
    let location = url::Url::parse("memory:///").expect("a URL");
    Some(Arc::new(lance_io::object_store::ObjectStore::new(
        Arc::new(PageCache::new()),
        location,
        Some(GAP),
        None,
        false,
        true,
        BLOCKING_READS,
        0,
        None,
    )))
}

/// Files by their absolute paths, read only.
#[derive(Debug)]
struct PageCache {
    files: Mutex<HashMap<Path, Arc<Opened>>>,
    blocking: Arc<Semaphore>,
}

#[derive(Debug)]
struct Opened {
    file: File,
    size: u64,
    /// Not every file system can tell whether a read would block.
    may_ask: AtomicBool,
}

impl PageCache {
    fn new() -> Self {
        Self {
            files: Mutex::default(),
            blocking: Arc::new(Semaphore::new(BLOCKING_READS)),
        }
    }

    fn open(&self, path: &Path) -> Result<Arc<Opened>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = files.get(path) {
            return Ok(opened.clone());
        }
        let file = File::open(format!("/{path}")).map_err(|e| failed(path, e))?;
        let size = file.metadata().map_err(|e| failed(path, e))?.len();
        let opened = Arc::new(Opened {
            file,
            size,
            may_ask: AtomicBool::new(cfg!(target_os = "linux")),
        });
        if files.len() >= OPEN_FILES {
            files.clear();
        }
        files.insert(path.clone(), opened.clone());
        Ok(opened)
    }

    async fn read(&self, path: &Path, opened: &Arc<Opened>, range: Range<u64>) -> Result<Bytes> {
        let size = (range.end - range.start) as usize;
        let mut bytes = Vec::with_capacity(size);
        opened.read_cached(range.start, size, &mut bytes);
        if bytes.len() < size {
            let permit = self.blocking.clone().acquire_owned().await;
            let opened = opened.clone();
            let rest = tokio::task::spawn_blocking(move || {
                let done = bytes.len();
                bytes.resize(size, 0);
                let result = opened
                    .file
                    .read_exact_at(&mut bytes[done..], range.start + done as u64);
                drop(permit);
                result.map(|()| bytes)
            });
            bytes = rest.await?.map_err(|e| failed(path, e))?;
        }
        Ok(Bytes::from(bytes))
    }
}

impl Opened {
    /// Appends to `bytes`, whose capacity is `size`, what is in the page cache from `offset` on, without a gap.
    #[cfg(target_os = "linux")]
    fn read_cached(&self, offset: u64, size: usize, bytes: &mut Vec<u8>) {
        if !self.may_ask.load(Ordering::Relaxed) {
            return;
        }
        let room = libc::iovec {
            iov_base: bytes.spare_capacity_mut().as_mut_ptr().cast(),
            iov_len: size,
        };
        // SAFETY: an open file, and room for `size` bytes.
        let count = unsafe {
            libc::preadv2(
                self.file.as_raw_fd(),
                &room,
                1,
                offset as libc::off_t,
                libc::RWF_NOWAIT,
            )
        };
        match usize::try_from(count) {
            // SAFETY: so many bytes were written.
            Ok(count) => unsafe { bytes.set_len(count.min(size)) },
            Err(_) => {
                let error = io::Error::last_os_error().raw_os_error();
                if !matches!(error, Some(libc::EAGAIN | libc::EINTR)) {
                    self.may_ask.store(false, Ordering::Relaxed);
                }
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn read_cached(&self, _offset: u64, _size: usize, _bytes: &mut Vec<u8>) {}
}

fn failed(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        Error::NotFound {
            path: path.to_string(),
            source: error.into(),
        }
    } else {
        Error::Generic {
            store: "LocalFileSystem",
            source: error.into(),
        }
    }
}

fn read_only<T>(operation: &str) -> Result<T> {
    Err(Error::NotImplemented {
        operation: operation.to_string(),
        implementer: "a store that is for reading rows".to_string(),
    })
}

impl fmt::Display for PageCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("local files")
    }
}

#[async_trait]
impl ObjectStore for PageCache {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let opened = self.open(location)?;
        let size = opened.size;
        let range = match options.range {
            _ if options.head => 0..0,
            None => 0..size,
            Some(GetRange::Bounded(range)) => range,
            Some(GetRange::Offset(offset)) => offset.min(size)..size,
            Some(GetRange::Suffix(count)) => size.saturating_sub(count)..size,
        };
        let bytes = self.read(location, &opened, range.clone()).await?;
        Ok(GetResult {
            payload: GetResultPayload::Stream(once(async { Ok(bytes) }).boxed()),
            meta: ObjectMeta {
                location: location.clone(),
                last_modified: Default::default(),
                size,
                e_tag: None,
                version: None,
            },
            range,
            attributes: Default::default(),
            extensions: Default::default(),
        })
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        read_only("put")
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        read_only("put_multipart")
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        once(async { read_only("delete") }).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        once(async { read_only("list") }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        read_only("list_with_delimiter")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        read_only("copy")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::block_on;

    fn get(store: &PageCache, path: &Path, range: Option<GetRange>) -> Result<Bytes> {
        let options = GetOptions {
            range,
            ..GetOptions::default()
        };
        block_on(async { store.get_opts(path, options).await?.bytes().await })
    }

    #[test]
    fn ranges_of_a_file_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a file");
        let content: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&file, &content).unwrap();
        let path = Path::parse(file.to_str().unwrap().trim_start_matches('/')).unwrap();
        let store = PageCache::new();
        for asked in [true, false] {
            // also as it is where the file system cannot tell what would block
            store
                .open(&path)
                .unwrap()
                .may_ask
                .store(asked, Ordering::Relaxed);
            let bounded = get(&store, &path, Some(GetRange::Bounded(17..70_000)));
            assert_eq!(bounded.unwrap(), content[17..70_000]);
            let empty = get(&store, &path, Some(GetRange::Bounded(5..5)));
            assert!(empty.unwrap().is_empty());
            let offset = get(&store, &path, Some(GetRange::Offset(99_990)));
            assert_eq!(offset.unwrap(), content[99_990..]);
            let suffix = get(&store, &path, Some(GetRange::Suffix(3)));
            assert_eq!(suffix.unwrap(), content[99_997..]);
            assert_eq!(get(&store, &path, None).unwrap(), content);
        }
    }

    #[test]
    fn a_file_that_is_missing_or_short_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("short");
        std::fs::write(&file, [1; 100]).unwrap();
        let path = Path::parse(file.to_str().unwrap().trim_start_matches('/')).unwrap();
        let store = PageCache::new();
        let beyond = get(&store, &path, Some(GetRange::Bounded(90..110)));
        assert!(matches!(beyond, Err(Error::Generic { .. })), "{beyond:?}");
        let missing = get(&store, &Path::from("nothing/here"), None);
        assert!(
            matches!(missing, Err(Error::NotFound { .. })),
            "{missing:?}"
        );
    }

    #[test]
    fn files_beyond_the_limit_are_closed() {
        let dir = tempfile::tempdir().unwrap();
        let store = PageCache::new();
        for i in 0..OPEN_FILES + 10 {
            let file = dir.path().join(i.to_string());
            std::fs::write(&file, [i as u8]).unwrap();
            let path = Path::parse(file.to_str().unwrap().trim_start_matches('/')).unwrap();
            assert_eq!(get(&store, &path, None).unwrap(), [i as u8][..]);
            assert!(store.files.lock().unwrap().len() <= OPEN_FILES);
        }
    }
}
