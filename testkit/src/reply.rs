//! Answers a scripted endpoint gives, correct by default and wrong on request.
//!
//! In: status, fields, body, framing. Out: bytes.

use std::io::{self, Write};

use bytes::Bytes;

use crate::pattern::write_pattern;

/// One answer. By default the body is counted by a correct `Content-Length`.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    fields: Vec<(String, String)>,
    content: Content,
    framing: Framing,
    trailers: String,
}

#[derive(Clone, Debug)]
enum Content {
    Held(Bytes),
    Pattern { seed: u64, length: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Counted,
    Claimed(u64),
    Chunked,
    UntilClose,
}

impl Reply {
    /// An answer with `status`, without fields and with an empty body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            fields: Vec::new(),
            content: Content::Held(Bytes::new()),
            framing: Framing::Counted,
            trailers: String::new(),
        }
    }

    /// Adds a field after those already there; names may repeat.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.content = Content::Held(body.into());
        self
    }

    /// Sets the body to the first `length` bytes of [`crate::pattern`] of `seed`, made while they are written.
    #[must_use]
    pub fn pattern(mut self, seed: u64, length: u64) -> Self {
        self.content = Content::Pattern { seed, length };
        self
    }

    /// Sends the body chunked, in chunks of at most 64 KiB.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// Sends the body chunked with this trailer field behind it.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers += &field(name, value);
        self.chunked()
    }

    /// Sends neither `Content-Length` nor chunks: the body ends with the connection.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::UntilClose;
        self
    }

    /// Says `Content-Length: length` whatever the body is.
    #[must_use]
    pub fn claim_length(mut self, length: u64) -> Self {
        self.framing = Framing::Claimed(length);
        self
    }

    /// The bytes of the whole answer to a request with `method` (a `HEAD` gets no body).
    pub fn to_bytes(&self, method: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes, method).expect("a Vec takes every write");
        bytes
    }

    /// Whether the connection must end behind this answer.
    pub(crate) fn closes(&self) -> bool {
        self.framing == Framing::UntilClose
            || self.fields.iter().any(|(name, value)| {
                name.eq_ignore_ascii_case("connection") && value.to_ascii_lowercase().contains("close")
            })
    }

    /// The bytes of the head alone.
    pub fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.fields {
            head += &field(name, value);
        }
        let length = match &self.content {
            Content::Held(body) => body.len() as u64,
            Content::Pattern { length, .. } => *length,
        };
        match self.framing {
            // A 1xx, 204 or 304 has no body; `claim_length` can still give it one to announce.
            Framing::Counted if self.status < 200 || self.status == 204 || self.status == 304 => {}
            Framing::Counted => head += &field("Content-Length", &length.to_string()),
            Framing::Claimed(length) => head += &field("Content-Length", &length.to_string()),
            Framing::Chunked => head += &field("Transfer-Encoding", "chunked"),
            Framing::UntilClose => {}
        }
        head.push_str("\r\n");
        head
    }

    /// Writes head and body; a body that fits one packet goes with its head.
    pub(crate) fn write(&self, out: &mut dyn Write, method: &str) -> io::Result<()> {
        let mut first = self.head().into_bytes();
        if method == "HEAD" {
            return out.write_all(&first);
        }
        match &self.content {
            Content::Held(body) if self.framing != Framing::Chunked => {
                first.extend_from_slice(body);
                out.write_all(&first)
            }
            Content::Held(body) => {
                out.write_all(&first)?;
                let mut chunks = Chunks(out);
                body.chunks(64 * 1024).try_for_each(|piece| chunks.write_all(piece))?;
                self.finish_chunks(out)
            }
            Content::Pattern { seed, length } if self.framing == Framing::Chunked => {
                out.write_all(&first)?;
                write_pattern(&mut Chunks(out), *seed, *length)?;
                self.finish_chunks(out)
            }
            Content::Pattern { seed, length } => {
                out.write_all(&first)?;
                write_pattern(out, *seed, *length)
            }
        }
    }

    fn finish_chunks(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(format!("0\r\n{}\r\n", self.trailers).as_bytes())
    }
}

/// Writes each buffer as one chunk.
pub(crate) struct Chunks<'a>(pub(crate) &'a mut dyn Write);

impl Write for Chunks<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        self.0.write_all(&chunk)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn field(name: &str, value: &str) -> String {
    format!("{name}: {value}\r\n")
}

fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        204 => "No Content",
        304 => "Not Modified",
        413 => "Content Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Scripted",
    }
}
