//! The work that proxies are compared on.
//!
//! In: nothing. Out: the bytes of one request and of its answer. Both are made once, so that neither the load nor the
//! endpoint spends time on them.

use bytes::Bytes;
use serde::Serialize;

/// Bytes in the body of the small answer.
const SMALL_REPLY: usize = 100;
/// Bytes in the body of the large request: a photo of a few megapixels.
const LARGE_BODY: usize = 1024 * 1024;
/// Bytes in the body of the large answer: the same photo, compressed harder.
const LARGE_REPLY: usize = 300 * 1024;

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Case {
    /// A GET with an answer of 100 bytes: what a request costs.
    Small,
    /// A POST of 1 MiB with an answer of 300 KiB: what bytes cost.
    Large,
}

impl Case {
    /// Its name on the command line and in the report.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }

    /// What it is, for the head of a table.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Small => "GET /, 100-byte answer",
            Self::Large => "POST of 1 MiB, 300 KiB answer",
        }
    }

    /// How many times a peer's CPU time weir may take for this, as `(nginx, HAProxy)`.
    pub(crate) const fn targets(self) -> (f64, f64) {
        match self {
            Self::Small => (1.6, 1.6),
            Self::Large => (0.35, 0.85),
        }
    }

    /// Length of the request's body in bytes; 0 is a request without one.
    pub(crate) const fn body(self) -> usize {
        match self {
            Self::Small => 0,
            Self::Large => LARGE_BODY,
        }
    }

    /// Length of the answer's body in bytes.
    pub(crate) const fn reply(self) -> usize {
        match self {
            Self::Small => SMALL_REPLY,
            Self::Large => LARGE_REPLY,
        }
    }

    /// The whole request. The fields are those that a small HTTP client sends.
    pub(crate) fn request(self) -> Bytes {
        let mut all = match self {
            Self::Small => "GET / HTTP/1.1\r\n".to_owned(),
            Self::Large => {
                format!("POST / HTTP/1.1\r\nContent-Type: image/jpeg\r\nContent-Length: {LARGE_BODY}\r\n")
            }
        };
        all.push_str("Host: bench.example\r\nUser-Agent: weir-bench\r\nAccept: */*\r\n\r\n");
        with_body(all, self.body())
    }

    /// The whole answer.
    pub(crate) fn answer(self) -> Bytes {
        let kind = match self {
            Self::Small => "text/plain",
            Self::Large => "image/jpeg",
        };
        let length = self.reply();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        with_body(head, length)
    }
}

fn with_body(head: String, length: usize) -> Bytes {
    let mut all = head.into_bytes();
    all.resize(all.len() + length, b'w');
    all.into()
}
