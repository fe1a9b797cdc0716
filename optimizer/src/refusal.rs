//! Every reason an image does not come back with a mark.
//!
//! In: what went wrong. Out: one HTTP status, one short label for metrics, one sentence for the caller.
//! Cost: none. The one `match` below is the whole mapping, so that a new reason cannot forget its status.

use std::time::Duration;

use http::StatusCode;

use crate::kernel::Format;
use crate::plan::OptionError;

/// Why a request got no picture. The text is for the caller: it says what is wrong and, where it helps, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such path.
    #[error("there is nothing at `{path}`: POST an image to /optimize, or GET /healthz or /metrics")]
    NotFound {
        /// The path asked for.
        path: String,
    },
    /// The path exists and takes another method.
    #[error("`{path}` takes {allow}, not {method}")]
    Method {
        /// The path asked for.
        path: &'static str,
        /// The methods it takes, as in an `Allow` header.
        allow: &'static str,
        /// The method used.
        method: String,
    },
    /// A query option is unknown or has a value out of range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The multipart body is not one, or has another field than `file`.
    #[error("{why}")]
    Multipart {
        /// What is wrong and what to send instead.
        why: String,
    },
    /// The body is empty.
    #[error("the body is empty: send the bytes of an image, or multipart/form-data with a field `file`")]
    NoImage,
    /// The body comes compressed by HTTP.
    #[error("the body has Content-Encoding `{coding}`: send the image as it is")]
    ContentEncoding {
        /// The coding named by the request.
        coding: String,
    },
    /// The first bytes are those of no image format.
    #[error("the body is not an image: send a JPEG, a PNG or a WebP")]
    NotAnImage,
    /// An image, of a kind that is not read here.
    #[error("{what} is not read here: send a JPEG, a PNG or a WebP")]
    Unsupported {
        /// The format or the variant of it.
        what: String,
    },
    /// More than one frame. Never flattened silently.
    #[error("the {format} is animated, and a mark is drawn on a single picture: send one frame")]
    Animated {
        /// Which format.
        format: Format,
    },
    /// The header claims more pixels than the limit.
    #[error("the image is {width} x {height}, and at most {limit} pixels are read here")]
    TooManyPixels {
        /// Pixels across, as claimed by the header.
        width: u32,
        /// Pixels down, as claimed by the header.
        height: u32,
        /// The most pixels allowed.
        limit: u64,
    },
    /// The body is longer than the limit.
    #[error("the body is more than {limit} bytes, the most that is read here")]
    BodyTooLarge {
        /// The most bytes allowed.
        limit: u64,
    },
    /// The data ends before the picture does.
    #[error("the {format} is truncated: {at}")]
    Truncated {
        /// Which format.
        format: Format,
        /// Where it ends.
        at: &'static str,
    },
    /// The data cannot be what it says it is.
    #[error("the {format} is corrupt: {why}")]
    Corrupt {
        /// Which format.
        format: Format,
        /// The first fault found.
        why: String,
    },
    /// A third-party decoder panicked on this input.
    #[error("the {format} is corrupt: its decoder gave up on it")]
    DecoderPanicked {
        /// Which format.
        format: Format,
    },
    /// The picture does not fit in the format asked for.
    #[error("a {format} holds at most {side} pixels a side, and the picture is {width} x {height}")]
    TooLargeFor {
        /// The format asked for.
        format: Format,
        /// The longest side it can hold.
        side: u32,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// The client stopped sending.
    #[error(
        "the body is too slow: no byte of it came for {} seconds, or fewer than {pace} a second after those",
        .limit.as_secs()
    )]
    SlowBody {
        /// How long is waited for the next bytes.
        limit: Duration,
        /// Bytes a second that must come on average.
        pace: u64,
    },
    /// The client went away, or broke the framing, in the middle of the body.
    #[error("the body ended early")]
    BodyAborted,
    /// The picture takes more memory to work on than all images together may.
    #[error(
        "the image takes up to {} MiB of memory to work on, and {} MiB are set aside here: send a smaller one",
        .needed.div_ceil(1 << 20),
        .limit >> 20
    )]
    KernelMemory {
        /// The most bytes it may take.
        needed: u64,
        /// The bytes for all images.
        limit: u64,
    },
    /// `If-Match` names another picture, or `If-None-Match` this one.
    #[error("the picture has the entity tag \"{etag}\", and the request is for another case")]
    Precondition {
        /// The tag of the picture there would be, without quotes.
        etag: String,
        /// Whether another `Accept` header could have given another picture.
        varies: bool,
    },
    /// Every worker is busy and the queue is full.
    #[error("every worker is busy and the queue is full: try again, or elsewhere")]
    QueueFull,
    /// The bodies held at this moment take all the memory set aside for them.
    #[error("too many bodies are being received or sent: try again, or elsewhere")]
    BodyMemory,
    /// A fault of this program.
    #[error("the picture could not be written: {why}")]
    Internal {
        /// What failed.
        why: String,
    },
}

impl Refusal {
    /// The HTTP status, and the label under which the refusal is counted.
    pub fn status_and_label(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound { .. } => (StatusCode::NOT_FOUND, "not_found"),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method"),
            Self::Option(_) => (StatusCode::BAD_REQUEST, "bad_option"),
            Self::Multipart { .. } => (StatusCode::BAD_REQUEST, "bad_multipart"),
            Self::NoImage => (StatusCode::BAD_REQUEST, "no_image"),
            Self::BodyAborted => (StatusCode::BAD_REQUEST, "body_aborted"),
            Self::SlowBody { .. } => (StatusCode::REQUEST_TIMEOUT, "slow_body"),
            Self::TooManyPixels { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_pixels"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::KernelMemory { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "kernel_memory"),
            Self::Precondition { .. } => (StatusCode::PRECONDITION_FAILED, "precondition"),
            Self::ContentEncoding { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding"),
            Self::NotAnImage => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_an_image"),
            Self::Unsupported { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_image"),
            Self::Animated { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "animated"),
            Self::Truncated { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "truncated"),
            Self::Corrupt { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "corrupt"),
            Self::DecoderPanicked { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "decoder_panicked"),
            Self::TooLargeFor { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "too_large_for_format"),
            Self::QueueFull => (StatusCode::SERVICE_UNAVAILABLE, "queue_full"),
            Self::BodyMemory => (StatusCode::SERVICE_UNAVAILABLE, "body_memory"),
            Self::Internal { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}
