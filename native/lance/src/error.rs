// SPDX-License-Identifier: Apache-2.0

//! Failures: the status codes of error.h, how other libraries' errors become one of them, and the guard around exports.

use std::any::Any;
use std::cell::RefCell;
use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use arrow::error::ArrowError;
use futures::FutureExt;
use lance::deps::datafusion::error::DataFusionError;

use crate::abi::{LtError, MESSAGE_SIZE};
use crate::memory::{code_of_panic, fail_gently};

/// The codes of error.h, with the same names and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    InvalidArgument = 1,
    NotFound = 2,
    Io = 3,
    CorruptData = 4,
    OutOfMemory = 5,
    Timeout = 6,
    Cancelled = 8,
    Unsupported = 9,
    Internal = 10,
}

/// What `lt_status` is when a call succeeds.
pub const OK: i32 = 0;

/// One failed call: a code to act on, the row it is about (or -1), and a message for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: Code,
    pub detail: i32,
    pub message: String,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            detail: -1,
            message: message.into(),
        }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message)
    }

    pub fn with_detail(mut self, detail: usize) -> Self {
        self.detail = i32::try_from(detail).unwrap_or(i32::MAX);
        self
    }

    /// The same failure, its message preceded by what was being done.
    pub fn while_doing(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

/// Which part of the work an error comes from; the same error of Lance's means different things there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Opening: what is not found is the caller's dataset, version or tag.
    Open,
    /// Reading data files: what does not decode, or is not found, is damage.
    Read,
    /// Reading with a filter: what cannot be computed is the filter's fault.
    Filter,
    /// Writing: what does not fit is the caller's data.
    Write,
}

/// Turns an error of Lance's into a failure with a clean message.
pub fn from_lance(error: &lance::Error, stage: Stage) -> Failure {
    let kind = classify(error);
    let message = describe(error);
    let is_missing = kind == Kind::NotFound && message.contains("status code: 404");
    if is_of_object_store(&message) && !is_missing {
        return of_object_store(message);
    }
    let code = match (kind, stage) {
        (Kind::NotFound, Stage::Read | Stage::Filter) => {
            return Failure::new(
                Code::CorruptData,
                format!("a file of the dataset is missing: {message}"),
            );
        }
        (Kind::NotFound, _) => Code::NotFound,
        (Kind::Invalid | Kind::Other, Stage::Read) => Code::CorruptData,
        (Kind::Invalid, _) => Code::InvalidArgument,
        (Kind::Other, Stage::Filter) => Code::InvalidArgument,
        (Kind::Other, Stage::Open | Stage::Write) => Code::Internal,
        (Kind::Corrupt, _) => Code::CorruptData,
        (Kind::Io, _) => Code::Io,
        (Kind::Unsupported, _) => Code::Unsupported,
        (Kind::Timeout, _) => Code::Timeout,
        (Kind::OutOfMemory, _) => Code::OutOfMemory,
        (Kind::Internal, Stage::Read | Stage::Filter) => Code::CorruptData,
        (Kind::Internal, _) => Code::Internal,
    };
    Failure::new(code, message)
}

/// Whether a message is about a request to an object store. Lance hands many errors on as text alone, so the text has to tell.
fn is_of_object_store(message: &str) -> bool {
    ["S3", "GCS", "MicrosoftAzure"]
        .iter()
        .any(|store| message.contains(&format!("Generic {store} error")))
        || message.contains("Error performing ") && message.contains("://")
        || message.contains(NO_CREDENTIALS)
}

/// What Lance says where credentials are neither given nor found; what follows is a dump of Amazon's client.
const NO_CREDENTIALS: &str = "Failed to get AWS credentials";

/// A request that failed: what the store answered, or why there was no answer, and what may help.
fn of_object_store(message: String) -> Failure {
    if message.contains(NO_CREDENTIALS) {
        return Failure::new(
            Code::Io,
            "no credentials for the object store were found: give access_key_id and secret_access_key in the storage \
             options, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
        );
    }
    let message = without_xml(&message.replace("LanceError(IO): ", ""));
    let status = |code: &str| message.contains(&format!("status code: {code}"));
    let (code, advice) = if message.contains("NoSuchBucket")
        || message.contains("ContainerNotFound")
    {
        (
            Code::NotFound,
            "check the name of the bucket, and endpoint in the storage options",
        )
    } else if status("401") || status("403") {
        (
            Code::Io,
            "the object store refuses these credentials: check access_key_id, secret_access_key and, where they are \
             temporary, session_token, in the storage options or the environment, and what they give a right to",
        )
    } else if ["301", "307", "400", "404"].iter().any(|code| status(code)) {
        (
            Code::Io,
            "this is not what an object store answers: check region and endpoint in the storage options",
        )
    } else if message.contains("builder error") {
        (
            Code::Io,
            "check endpoint in the storage options; one that begins with http: needs allow_http = true",
        )
    } else {
        (
            Code::Io,
            "check endpoint in the storage options, and the network; client_retry_timeout says for how long a request \
             is tried again",
        )
    };
    Failure::new(code, format!("{message}; {advice}"))
}

/// A message in which an answer such as `<Error><Code>A</Code><Message>B</Message>...</Error>` is `A: B`.
fn without_xml(message: &str) -> String {
    let element = |name: &str| {
        let begin = message.find(&format!("<{name}>"))? + name.len() + 2;
        let end = begin + message[begin..].find(&format!("</{name}>"))?;
        Some(&message[begin..end])
    };
    let (Some(begin), Some(code)) = (message.find("<Error>"), element("Code")) else {
        return message.to_string();
    };
    let begin = message[..begin].rfind("<?xml").unwrap_or(begin);
    let end = message
        .rfind("</Error>")
        .map_or(message.len(), |end| end + "</Error>".len());
    let answer = match element("Message") {
        Some(text) => format!("{code}: {text}"),
        None => code.to_string(),
    };
    format!("{}{answer}{}", &message[..begin], &message[end..])
}

/// Turns an error of Arrow's about the caller's data into a failure.
pub fn from_arrow(error: &ArrowError) -> Failure {
    Failure::invalid(describe(error))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    NotFound,
    Invalid,
    Corrupt,
    Io,
    Unsupported,
    Timeout,
    OutOfMemory,
    Internal,
    Other,
}

fn classify(error: &(dyn StdError + 'static)) -> Kind {
    use lance::Error as E;
    if let Some(error) = error.downcast_ref::<lance::Error>() {
        return match error {
            E::DatasetNotFound { .. }
            | E::NotFound { .. }
            | E::IndexNotFound { .. }
            | E::RefNotFound { .. }
            | E::VersionNotFound { .. } => Kind::NotFound,
            E::InvalidInput { .. }
            | E::DatasetAlreadyExists { .. }
            | E::SchemaMismatch { .. }
            | E::Schema { .. }
            | E::InvalidRef { .. }
            | E::InvalidTableLocation { .. }
            | E::FieldNotFound { .. } => Kind::Invalid,
            E::CorruptFile { .. } => Kind::Corrupt,
            E::NotSupported { .. } | E::VersionConflict { .. } => Kind::Unsupported,
            E::Timeout { .. } => Kind::Timeout,
            E::CommitConflict { .. }
            | E::IncompatibleTransaction { .. }
            | E::RetryableCommitConflict { .. }
            | E::TooMuchWriteContention { .. } => Kind::Io,
            E::IO { source, .. } => match classify(source.as_ref()) {
                Kind::Other => Kind::Io,
                kind => kind,
            },
            E::Wrapped { error, .. } => classify(error.as_ref()),
            E::External { source } => classify(source.as_ref()),
            E::Internal { .. } | E::PrerequisiteFailed { .. } => Kind::Internal,
            _ => Kind::Other,
        };
    }
    if let Some(error) = error.downcast_ref::<DataFusionError>() {
        return match error {
            DataFusionError::External(inner) => classify(inner.as_ref()),
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                classify(inner.as_ref())
            }
            DataFusionError::Shared(inner) => classify(inner.as_ref()),
            DataFusionError::ArrowError(inner, _) => classify(inner.as_ref()),
            DataFusionError::IoError(inner) => classify(inner),
            DataFusionError::ResourcesExhausted(_) => Kind::OutOfMemory,
            DataFusionError::SQL(..)
            | DataFusionError::Plan(_)
            | DataFusionError::SchemaError(..) => Kind::Invalid,
            DataFusionError::NotImplemented(_) => Kind::Unsupported,
            _ => Kind::Other,
        };
    }
    if let Some(error) = error.downcast_ref::<ArrowError>() {
        return match error {
            ArrowError::ExternalError(inner) => classify(inner.as_ref()),
            ArrowError::IoError(_, inner) => classify(inner),
            ArrowError::MemoryError(_) => Kind::OutOfMemory,
            ArrowError::NotYetImplemented(_) => Kind::Unsupported,
            _ => Kind::Other,
        };
    }
    if let Some(error) = error.downcast_ref::<std::io::Error>() {
        return match error.kind() {
            std::io::ErrorKind::NotFound => Kind::NotFound,
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData => Kind::Corrupt,
            std::io::ErrorKind::OutOfMemory => Kind::OutOfMemory,
            std::io::ErrorKind::TimedOut => Kind::Timeout,
            _ => error.get_ref().map_or(Kind::Io, |inner| {
                match classify(inner as &(dyn StdError + 'static)) {
                    Kind::Other => Kind::Io,
                    kind => kind,
                }
            }),
        };
    }
    match error.source() {
        Some(source) => classify(source),
        None => Kind::Other,
    }
}

/// What an error says, without the source positions, report requests and backtraces that libraries append.
pub fn describe(error: &(dyn StdError + 'static)) -> String {
    clean(&raw_text(error))
}

fn raw_text(error: &(dyn StdError + 'static)) -> String {
    use lance::Error as E;
    if let Some(error) = error.downcast_ref::<lance::Error>() {
        return match error {
            E::InvalidInput { source, .. }
            | E::NotSupported { source, .. }
            | E::IO { source, .. }
            | E::External { source } => raw_text(source.as_ref()),
            E::Wrapped { error, .. } => raw_text(error.as_ref()),
            E::CorruptFile { path, source, .. } => {
                format!(
                    "the file '{path}' is damaged: {}",
                    raw_text(source.as_ref())
                )
            }
            E::NotFound { uri, .. } => format!("'{uri}' is not there"),
            E::SchemaMismatch { difference, .. } => {
                format!("the schemas do not match: {difference}")
            }
            E::Arrow { message, .. }
            | E::Schema { message, .. }
            | E::Internal { message, .. }
            | E::Execution { message, .. }
            | E::Cloned { message, .. } => message.clone(),
            other => other.to_string(),
        };
    }
    if let Some(error) = error.downcast_ref::<DataFusionError>() {
        return match error {
            DataFusionError::External(inner) => raw_text(inner.as_ref()),
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                raw_text(inner.as_ref())
            }
            DataFusionError::Shared(inner) => raw_text(inner.as_ref()),
            DataFusionError::ArrowError(inner, _) => raw_text(inner.as_ref()),
            other => other.strip_backtrace(),
        };
    }
    if let Some(ArrowError::ExternalError(inner)) = error.downcast_ref::<ArrowError>() {
        return raw_text(inner.as_ref());
    }
    let text = error.to_string();
    if is_of_object_store(&text) {
        with_cause(text, error)
    } else {
        text
    }
}

/// The text of an error of an HTTP client's, which says nothing of the connection that was refused or reset.
fn with_cause(text: String, error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let cause = cause.to_string();
    if text.contains(&cause) {
        text
    } else {
        format!("{text}: {cause}")
    }
}

fn clean(text: &str) -> String {
    let mut text = text;
    for end in [
        "\n\nbacktrace:",
        "\nbacktrace:",
        "backtrace: ",
        "stack backtrace",
    ] {
        if let Some(at) = text.find(end) {
            text = &text[..at];
        }
    }
    let text = text.replace(
        "Encountered internal error. Please file a bug report at https://github.com/lance-format/lance/issues. ",
        "",
    );
    let mut words: Vec<&str> = Vec::new();
    for word in text.split_whitespace() {
        if is_source_position(word) {
            if words
                .last()
                .is_some_and(|w| *w == "location:" || *w == "at")
            {
                words.pop();
            }
            // The comma that led to the position goes with it.
            if let Some(last) = words.last_mut() {
                *last = last.trim_end_matches(',');
            }
            continue;
        }
        words.push(word);
    }
    words
        .join(" ")
        .trim_end_matches([' ', ',', ':'])
        .to_string()
}

/// Whether a word is a place in Rust source, as in `/x/src/y.rs:12:34`.
fn is_source_position(word: &str) -> bool {
    let word = word.trim_end_matches([',', '.', ')', ':']);
    let Some(at) = word.rfind(".rs:") else {
        return false;
    };
    let digits = &word[at + 4..];
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == ':')
}

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps panics from being printed: each one is caught and becomes a failure with its message and place. The hook belongs to
/// this library's own copy of the Rust runtime, so it changes nothing for other libraries of the process.
pub fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        fail_gently();
        let test_hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let place = info
                .location()
                .map(|l| format!(" ({}:{})", file_name(l.file()), l.line()));
            LAST_PANIC.with(|last| *last.borrow_mut() = place);
            if cfg!(test) {
                test_hook(info);
            }
        }));
    });
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// What a caught panic said, and where.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    let place = LAST_PANIC
        .with(|last| last.borrow_mut().take())
        .unwrap_or_default();
    format!("{}{place}", panic_message(payload))
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        clean(text)
    } else if let Some(text) = payload.downcast_ref::<String>() {
        clean(text)
    } else {
        "a panic without a message".to_string()
    }
}

/// Awaits work on the files of a dataset. Lance's decoders take bytes on trust in places, and panic where they were wrong.
pub async fn decoding<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|payload| {
            let text = panic_message(payload.as_ref());
            std::mem::forget(payload);
            Err(Failure::new(
                code_of_panic(&text, Code::CorruptData),
                format!("the bytes of a file make no sense, so it is probably damaged: {text}"),
            ))
        })
}

/// Runs the body of an export: an `Err` and a panic are written to `err`, success clears it.
pub fn guard(err: *mut LtError, body: impl FnOnce() -> Result<()>) -> i32 {
    quiet_panics();
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(payload) => {
            let text = panic_text(payload.as_ref());
            // A payload's own drop could panic once more.
            std::mem::forget(payload);
            Some(Failure::new(
                code_of_panic(&text, Code::Internal),
                format!("panic in the Lance library: {text}"),
            ))
        }
    };
    // SAFETY: error.h: `err` is NULL or points to an lt_error of the caller's.
    let err = unsafe { err.as_mut() };
    match failure {
        None => {
            if let Some(err) = err {
                err.code = OK;
                err.detail = -1;
                err.message[0] = 0;
            }
            OK
        }
        Some(failure) => {
            if let Some(err) = err {
                write(err, &failure);
            }
            failure.code as i32
        }
    }
}

/// Runs the body of an export that cannot fail; a panic ends there.
pub fn guard_void<T: Default>(body: impl FnOnce() -> T) -> T {
    quiet_panics();
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            std::mem::forget(payload);
            T::default()
        }
    }
}

fn write(err: &mut LtError, failure: &Failure) {
    err.code = failure.code as i32;
    err.detail = failure.detail;
    let text = cut(&failure.message, MESSAGE_SIZE - 1);
    for (to, from) in err.message.iter_mut().zip(text.bytes()) {
        // A NUL inside would end the message early.
        *to = if from == 0 { b' ' } else { from };
    }
    err.message[text.len()] = 0;
}

/// The longest start of `text` that has at most `size` bytes and ends at a character.
fn cut(text: &str, size: usize) -> &str {
    if text.len() <= size {
        return text;
    }
    let mut end = size;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(err: &LtError) -> &str {
        let end = err.message.iter().position(|b| *b == 0).unwrap();
        std::str::from_utf8(&err.message[..end]).unwrap()
    }

    #[test]
    fn success_clears_the_error() {
        let mut err = LtError::default();
        assert_eq!(
            guard(&mut err, || Err(Failure::invalid("x").with_detail(3))),
            1
        );
        assert_eq!((err.code, err.detail, message(&err)), (1, 3, "x"));
        assert_eq!(guard(&mut err, || Ok(())), 0);
        assert_eq!((err.code, err.detail, message(&err)), (0, -1, ""));
    }

    #[test]
    fn a_null_error_is_allowed() {
        assert_eq!(
            guard(std::ptr::null_mut(), || Err(Failure::invalid("x"))),
            1
        );
        assert_eq!(guard(std::ptr::null_mut(), || Ok(())), 0);
    }

    #[test]
    fn a_panic_becomes_internal_with_its_message() {
        let mut err = LtError::default();
        assert_eq!(guard(&mut err, || panic!("boom {}", 7)), 10);
        assert!(message(&err).contains("boom 7"), "{}", message(&err));
        assert!(message(&err).contains("error.rs"), "{}", message(&err));
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let mut err = LtError::default();
        // 3 bytes a character, 2039 is no multiple of 3
        guard(&mut err, || Err(Failure::invalid("€".repeat(2000))));
        assert_eq!(message(&err).len(), 2037);
        assert!(message(&err).chars().all(|c| c == '€'));
    }

    #[test]
    fn source_positions_and_backtraces_are_stripped() {
        assert_eq!(
            clean("Field 'x' not found, /root/.cargo/a/b.rs:12:34\n\nbacktrace: 0: foo"),
            "Field 'x' not found"
        );
        assert_eq!(clean("a, location: src/x.rs:1:2, b"), "a b");
        assert_eq!(
            clean("see main.rs: it is not a place"),
            "see main.rs: it is not a place"
        );
    }

    /// An error of the store's as Lance hands it on.
    fn of_s3(source: impl StdError + Send + Sync + 'static) -> lance::Error {
        lance::Error::from(object_store::Error::Generic {
            store: "S3",
            source: Box::new(source),
        })
    }

    #[derive(Debug)]
    struct Outer(std::io::Error);

    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("error sending request")
        }
    }

    impl StdError for Outer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_network_that_fails_is_no_damage_of_the_dataset() {
        use std::io::ErrorKind as K;
        for kind in [
            K::UnexpectedEof,
            K::TimedOut,
            K::ConnectionReset,
            K::NotFound,
        ] {
            let cause = std::io::Error::new(kind, "the cause");
            let error = of_s3(Outer(cause));
            // Also where Lance has kept the text alone.
            let cloned = lance::Error::cloned(error.to_string());
            for (error, text) in [
                (error, "error sending request: the cause; check"),
                (cloned, "error sending request"),
            ] {
                let failure = from_lance(&error, Stage::Read);
                assert_eq!(failure.code, Code::Io, "{failure:?}");
                assert!(!failure.message.contains("LanceError"), "{failure:?}");
                assert!(failure.message.contains(text), "{failure:?}");
                assert!(failure.message.contains("endpoint"), "{failure:?}");
            }
        }
    }

    #[test]
    fn what_a_store_answers_tells_what_to_do() {
        let answer = |status: &str, code: &str| {
            let text = format!(
                "Error performing GET http://h/b in 1ms - Server returned non-2xx status code: {status}: \
                 <?xml version=\"1.0\" encoding=\"UTF-8\"?> <Error><Code>{code}</Code><Message>Because.</Message>\
                 <Resource>/b</Resource></Error>"
            );
            from_lance(&of_s3(std::io::Error::other(text)), Stage::Open)
        };
        let refused = answer("403 Forbidden", "InvalidAccessKeyId");
        assert_eq!(refused.code, Code::Io);
        let text = "status code: 403 Forbidden: InvalidAccessKeyId: Because.; the object store refuses these credentials";
        assert!(refused.message.contains(text), "{refused:?}");
        assert!(!refused.message.contains('<'), "{refused:?}");
        let missing = answer("404 Not Found", "NoSuchBucket");
        assert_eq!(missing.code, Code::NotFound);
        assert!(missing.message.contains("NoSuchBucket: Because.; check"));
        let text = "Error performing HEAD http://h/b in 1ms - Server returned non-2xx status code: 404 Not Found";
        let missing = lance::Error::dataset_not_found("b", text.into());
        assert_eq!(from_lance(&missing, Stage::Open).code, Code::NotFound);
        let none = format!("LanceError(IO): {NO_CREDENTIALS}: ProviderError(...)");
        let none = from_lance(
            &lance::Error::io_source(std::io::Error::other(none).into()),
            Stage::Open,
        );
        assert_eq!(none.code, Code::Io);
        assert!(none.message.contains("give access_key_id"), "{none:?}");
        for status in ["400 Bad Request", "404 Not Found"] {
            let other = answer(status, "SomethingElse");
            assert_eq!(other.code, Code::Io);
            assert!(other.message.contains("check region and endpoint"));
        }
        assert_eq!(without_xml("<Error>cut short"), "<Error>cut short");
    }

    #[test]
    fn lance_errors_lose_their_positions() {
        let failure = from_lance(&lance::Error::invalid_input("no such thing"), Stage::Open);
        assert_eq!(failure, Failure::invalid("no such thing"), "{failure:?}");
        let nested = lance::Error::from(ArrowError::ExternalError(Box::new(
            lance::Error::not_found("a/b"),
        )));
        assert_eq!(from_lance(&nested, Stage::Open).code, Code::NotFound);
        assert_eq!(from_lance(&nested, Stage::Read).code, Code::CorruptData);
    }
}
