// SPDX-License-Identifier: Apache-2.0

//! The one tokio runtime of the process, made at first use and never ended.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use futures::FutureExt;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::error::{Failure, Result, panic_text, quiet_panics};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static THREADS: Mutex<Option<usize>> = Mutex::new(None);

/// Lance's own variable for the number of threads it computes with.
const LANCE_THREADS: &str = "LANCE_CPU_THREADS";

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn runtime() -> &'static Runtime {
    RUNTIME.get_or_init(|| {
        quiet_panics();
        let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        let count = *threads.get_or_insert_with(cores);
        Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name("lancetorch-lance")
            .enable_all()
            .build()
            .expect("threads for the tokio runtime can be started")
    })
}

/// Sets the number of threads; see `lt_lance_set_threads`.
pub fn set_threads(count: i32) -> Result<()> {
    let wanted = usize::try_from(count)
        .ok()
        .filter(|n| *n >= 1)
        .ok_or_else(|| Failure::invalid(format!("threads is {count}, but at least 1 is needed")))?;
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    if RUNTIME.get().is_some() {
        let has = threads.unwrap_or(wanted);
        if has != wanted {
            return Err(Failure::invalid(format!(
                "the runtime is running already with {has} threads: call lt_lance_set_threads({wanted}) before \
                 anything else is called, or not at all"
            )));
        }
        return Ok(());
    }
    *threads = Some(wanted);
    if std::env::var_os(LANCE_THREADS).is_none_or(|v| v == *owned_by_us().as_str()) {
        let value = wanted.to_string();
        // SAFETY: called once at start; the runtime's threads, the only other readers of this library, do not exist yet.
        unsafe { std::env::set_var(LANCE_THREADS, &value) };
        *OURS.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }
    Ok(())
}

/// What this library wrote to [`LANCE_THREADS`]; another value is the user's and stays.
static OURS: Mutex<String> = Mutex::new(String::new());

fn owned_by_us() -> String {
    OURS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Waits on the calling thread, which must not be one of the runtime's.
pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

/// A task of the runtime that ends when this is dropped. A panic in it becomes a failure.
pub struct Task<T> {
    handle: JoinHandle<Result<T>>,
}

/// Starts a task.
pub fn spawn<T, F>(future: F) -> Task<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let caught = AssertUnwindSafe(future).catch_unwind().map(|result| {
        result.unwrap_or_else(|payload| {
            let text = panic_text(payload.as_ref());
            std::mem::forget(payload);
            Err(Failure::internal(format!(
                "panic in the Lance library: {text}"
            )))
        })
    });
    Task {
        handle: runtime().spawn(caught),
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle).poll(cx).map(|result| {
            result.unwrap_or_else(|error| {
                Err(Failure::internal(format!("a task did not end: {error}")))
            })
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn the_number_of_threads_is_fixed_once_the_runtime_runs() {
        block_on(async {});
        let has = THREADS.lock().unwrap().unwrap();
        assert_eq!(set_threads(has as i32), Ok(()));
        let failure = set_threads(has as i32 + 1).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
        assert_eq!(set_threads(0).unwrap_err().code, Code::InvalidArgument);
    }

    #[test]
    fn a_panicking_task_is_a_failure() {
        let failure = block_on(spawn::<(), _>(async { panic!("in a task") })).unwrap_err();
        assert!(failure.message.contains("in a task"), "{failure:?}");
    }
}
