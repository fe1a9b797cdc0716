//! A response body of several pieces.
//!
//! In: bytes, and the permit to hold them. Out: one frame a piece. Cost: none; hyper writes pieces with one `writev`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

/// Pieces still to be sent.
#[derive(Debug)]
pub(super) struct Pieces {
    rest: std::vec::IntoIter<Bytes>,
    /// Given back when the last piece is sent, or nobody waits for it.
    _memory: Option<OwnedSemaphorePermit>,
}

impl Pieces {
    /// A body of `pieces`, which keeps `memory` for as long.
    pub(super) fn new(pieces: Vec<Bytes>, memory: Option<OwnedSemaphorePermit>) -> Self {
        Self { rest: pieces.into_iter(), _memory: memory }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.rest.next().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_slice().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.as_slice().iter().map(|piece| piece.len() as u64).sum())
    }
}
