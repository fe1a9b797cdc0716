//! A response body of several pieces.
//!
//! In: bytes, and the permit to hold them. Out: one frame a piece. Cost: one small allocation; hyper writes pieces with
//! one `writev`.

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
}

/// The last piece, which is in memory until all is written or nobody waits for it.
struct Last {
    bytes: Bytes,
    _memory: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Last {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Pieces {
    /// A body of `pieces`. `memory` is given back when the last of them is written.
    pub(super) fn new(mut pieces: Vec<Bytes>, memory: Option<OwnedSemaphorePermit>) -> Self {
        // Not a field of the body: hyper takes pieces out of it, and drops it, long before a slow client has read them.
        if let (Some(memory), Some(last)) = (memory, pieces.last_mut()) {
            *last = Bytes::from_owner(Last { bytes: std::mem::take(last), _memory: memory });
        }
        Self { rest: pieces.into_iter() }
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
