//! Message bodies, read piece by piece and remembered without being held.
//!
//! In: a head and the socket behind it. Out: pieces, and a [`Body`] with length and hash.

use std::io::{self, ErrorKind};

use bytes::{Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3;

use crate::wire::{Head, Wire};

/// How much of a body is kept as bytes; length and hash cover all of it.
const KEPT: usize = 1024 * 1024;

/// What is known of a body after, or while, it is received. The framing is taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// The first bytes, at most 1 MiB of them.
    pub kept: Bytes,
    /// Bytes received so far.
    pub length: u64,
    /// XXH3 of all bytes, as [`crate::hash`]; 0 until the body is complete.
    pub hash: u64,
    /// Whether the end that the framing promised was seen.
    pub complete: bool,
    /// The trailer section of a chunked body, without its line ends.
    pub trailers: Vec<String>,
}

/// Where the reader stands in the framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Counted(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    UntilEnd,
    Done,
}

/// Reads one body; may stop in the middle and go on later.
pub(crate) struct BodyReader {
    next: Next,
    hasher: Xxh3,
    kept: BytesMut,
    length: u64,
    trailers: Vec<String>,
}

impl BodyReader {
    fn new(next: Next) -> Self {
        let next = if next == Next::Counted(0) { Next::Done } else { next };
        Self { next, hasher: Xxh3::new(), kept: BytesMut::new(), length: 0, trailers: Vec::new() }
    }

    /// For the body of a request: chunked, counted, or none.
    pub(crate) fn of_request(head: &Head) -> Self {
        if head.lists("transfer-encoding", "chunked") {
            return Self::new(Next::ChunkSize);
        }
        Self::new(Next::Counted(head.field("content-length").and_then(|n| n.parse().ok()).unwrap_or(0)))
    }

    /// For the body of an answer with `status` to a request with `method`.
    pub(crate) fn of_response(head: &Head, status: u16, method: &str) -> Self {
        let bodiless = method == "HEAD" || status < 200 || status == 204 || status == 304;
        if bodiless {
            return Self::new(Next::Done);
        }
        if head.lists("transfer-encoding", "chunked") {
            return Self::new(Next::ChunkSize);
        }
        let counted = head.field("content-length").and_then(|n| n.parse().ok());
        Self::new(counted.map_or(Next::UntilEnd, Next::Counted))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.next == Next::Done
    }

    /// The next piece, at most `most` bytes; `None` once the body is complete.
    /// `UnexpectedEof` when the peer ended too early, `InvalidData` for a chunk size that is none.
    pub(crate) fn piece(&mut self, wire: &mut Wire, most: u64) -> io::Result<Option<Bytes>> {
        loop {
            match self.next {
                Next::Done => return Ok(None),
                Next::Counted(left) => {
                    let piece = wire.some(left.min(most))?.ok_or(ErrorKind::UnexpectedEof)?;
                    let left = left - piece.len() as u64;
                    self.next = if left == 0 { Next::Done } else { Next::Counted(left) };
                    return Ok(Some(self.note(piece)));
                }
                Next::Chunk(left) => {
                    let piece = wire.some(left.min(most))?.ok_or(ErrorKind::UnexpectedEof)?;
                    let left = left - piece.len() as u64;
                    self.next = if left == 0 { Next::ChunkEnd } else { Next::Chunk(left) };
                    return Ok(Some(self.note(piece)));
                }
                Next::UntilEnd => match wire.some(most)? {
                    Some(piece) => return Ok(Some(self.note(piece))),
                    None => self.next = Next::Done,
                },
                Next::ChunkSize => {
                    let line = wire.line()?;
                    let size = line.split(';').next().unwrap_or_default().trim();
                    let size = u64::from_str_radix(size, 16)
                        .map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("chunk size `{line}`")))?;
                    self.next = if size == 0 { Next::Trailers } else { Next::Chunk(size) };
                }
                Next::ChunkEnd => {
                    wire.line()?;
                    self.next = Next::ChunkSize;
                }
                Next::Trailers => match wire.line()? {
                    line if line.is_empty() => self.next = Next::Done,
                    line => self.trailers.push(line),
                },
            }
        }
    }

    fn note(&mut self, piece: Bytes) -> Bytes {
        self.hasher.update(&piece);
        self.length += piece.len() as u64;
        let room = KEPT - self.kept.len();
        self.kept.extend_from_slice(piece.get(..room).unwrap_or(&piece));
        piece
    }

    /// Bytes so far; cheap, for progress.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// What is known so far; copies what is kept.
    pub(crate) fn body(&self) -> Body {
        let complete = self.is_done();
        Body {
            kept: Bytes::copy_from_slice(&self.kept),
            length: self.length,
            hash: if complete { self.hasher.digest() } else { 0 },
            complete,
            trailers: self.trailers.clone(),
        }
    }
}
