//! A connection whose writes never wait.
//!
//! In: a transport stream. Out: a stream that takes every write at once and keeps what the socket would not, and a
//! [`Handle`] to ask for the backlog and to push it on. Cost: one mutex, never contended, since both halves live in one
//! task; no copy while the socket keeps up.
//!
//! Why: the library's sessions take `&mut self` for both directions and their writes are not cancel-safe, so "send the
//! body and watch for the answer" cannot be said with them: an endpoint that answers before it has read, and a client
//! that does not read before it has sent, wait for each other for ever. With writes that return at once one poll
//! function drives both directions. Whoever writes hands over the next piece only when [`Handle::backlog`] is at most
//! [`GATHER`], so the backlog is that and one piece. A head and the body behind it leave in one system call.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType, raw_connect::ProxyDigest,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::chunked::Chunked;

/// Writes up to this size wait for the next write or flush, so that a head leaves together with what follows it.
pub(crate) const GATHER: usize = 4096;

/// Pieces in one system call, what waits included: a held MiB is 16 pieces of the 64 KiB that one read brings.
const AT_ONCE: usize = 17;

/// The buffer that is kept between two messages; a larger one is given back.
const KEPT: usize = 8192;

/// The stream that is handed to a session.
pub(crate) struct Wire(Handle);

/// The same connection for the one who drives it.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Mutex<Inner>>);

struct Inner {
    io: Stream,
    out: BytesMut,
    /// A write failed: what is written from now on is lost, but the answer may still be read.
    dead: Option<io::ErrorKind>,
    muted: bool,
    received: u64,
    sent: u64,
    /// The framing of the body that the session reads, while it is chunked.
    chunked: Option<Chunked>,
}

impl Wire {
    /// Wraps a transport stream.
    pub(crate) fn new(io: Stream) -> (Self, Handle) {
        let handle = Handle(Arc::new(Mutex::new(Inner {
            io,
            out: BytesMut::new(),
            dead: None,
            muted: false,
            received: 0,
            sent: 0,
            chunked: None,
        })));
        (Self(handle.clone()), handle)
    }
}

impl Handle {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that the socket has not taken yet.
    pub(crate) fn backlog(&self) -> usize {
        self.lock().out.len()
    }

    /// Whether a write has failed.
    pub(crate) fn is_dead(&self) -> bool {
        self.lock().dead.is_some()
    }

    /// Bytes read from the connection since it was opened.
    pub(crate) fn received(&self) -> u64 {
        self.lock().received
    }

    /// Bytes that the socket has taken since it was opened.
    pub(crate) fn sent(&self) -> u64 {
        self.lock().sent
    }

    /// While muted, what is written is taken and dropped.
    pub(crate) fn mute(&self, muted: bool) {
        self.lock().muted = muted;
    }

    /// Takes `bytes` for sending. They leave with the next [`Handle::poll_drained`].
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        if inner.dead.is_none() {
            inner.out.extend_from_slice(bytes);
        }
    }

    /// Takes `bytes`, trying the socket first, so that nothing is copied while it keeps up.
    pub(crate) fn send(&self, cx: &mut Context<'_>, bytes: &[u8]) {
        self.lock().send(cx, bytes);
    }

    /// Sends `pieces`, many in one system call and none copied; what the socket has not taken stays in them. Ready when
    /// none is left, or a write has failed.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, pieces: &mut VecDeque<Bytes>) -> Poll<()> {
        self.lock().poll_send(cx, pieces)
    }

    /// Ready when the socket has taken everything.
    ///
    /// # Errors
    /// The first write error, again and again.
    pub(crate) fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().poll_drained(cx)
    }

    /// Gives the write buffer back; for a connection that goes idle.
    pub(crate) fn rest(&self) {
        let mut inner = self.lock();
        if inner.out.is_empty() && inner.out.capacity() > 0 {
            inner.out = BytesMut::new();
        }
    }

    /// Checks what the session reads from now on as a chunked body, of which `read` has come already; checks nothing
    /// when `None`. [`Handle::has_broken_chunks`] tells of the first fault.
    pub(crate) fn check_chunks(&self, read: Option<&[u8]>) {
        self.lock().chunked = read.map(|read| {
            let mut chunked = Chunked::new();
            chunked.feed(read);
            chunked
        });
    }

    /// Whether the chunked body that the session reads is broken.
    pub(crate) fn has_broken_chunks(&self) -> bool {
        self.lock().chunked.as_ref().is_some_and(Chunked::is_broken)
    }

    /// Reads what is there into `buf`.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.lock().poll_read(cx, buf)
    }

    /// Sends FIN.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().io).poll_shutdown(cx)
    }
}

impl Inner {
    fn fail(&mut self, error: &io::Error) -> io::Error {
        self.dead = Some(error.kind());
        self.out = BytesMut::new();
        error.kind().into()
    }

    fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) {
        if self.dead.is_some() || self.muted {
            return;
        }
        let sent = if bytes.len() <= GATHER {
            0
        } else {
            // What waits goes first, in the same system call.
            let pieces = [io::IoSlice::new(&self.out), io::IoSlice::new(bytes)];
            match Pin::new(&mut self.io).poll_write_vectored(cx, &pieces) {
                Poll::Ready(Ok(sent)) => {
                    self.sent += sent as u64;
                    let waited = sent.min(self.out.len());
                    self.out.advance(waited);
                    sent - waited
                }
                Poll::Ready(Err(error)) => {
                    self.fail(&error);
                    return;
                }
                Poll::Pending => 0,
            }
        };
        self.out.extend_from_slice(bytes.get(sent..).unwrap_or_default());
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, pieces: &mut VecDeque<Bytes>) -> Poll<()> {
        while self.dead.is_none() && !pieces.is_empty() {
            // What waits goes first, in the same system call.
            let mut slices = [io::IoSlice::new(&self.out); AT_ONCE];
            let mut count = 1;
            for (slice, piece) in slices.iter_mut().skip(1).zip(pieces.iter()) {
                *slice = io::IoSlice::new(piece);
                count += 1;
            }
            let slices = slices.get(..count).unwrap_or_default();
            match ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices)) {
                Ok(0) => drop(self.fail(&io::ErrorKind::WriteZero.into())),
                Ok(sent) => {
                    self.sent += sent as u64;
                    let waited = sent.min(self.out.len());
                    self.out.advance(waited);
                    advance(pieces, sent - waited);
                }
                Err(error) => drop(self.fail(&error)),
            }
        }
        Poll::Ready(())
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(kind) = self.dead {
            return Poll::Ready(Err(kind.into()));
        }
        while !self.out.is_empty() {
            match Pin::new(&mut self.io).poll_write(cx, &self.out) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.fail(&io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(sent)) => {
                    self.sent += sent as u64;
                    self.out.advance(sent);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.fail(&error))),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.out.capacity() > KEPT {
            self.out = BytesMut::new();
        }
        // The transport below may gather too (TLS does); on plain TCP this is free.
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.io).poll_read(cx, buf);
        self.received += (buf.filled().len() - before) as u64;
        outcome
    }
}

/// Takes `sent` bytes off the front.
fn advance(pieces: &mut VecDeque<Bytes>, mut sent: usize) {
    while let Some(piece) = pieces.front_mut() {
        if sent < piece.len() {
            piece.advance(sent);
            return;
        }
        sent -= piece.len();
        pieces.pop_front();
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        let before = buf.filled().len();
        ready!(inner.poll_read(cx, buf))?;
        let read = buf.filled().get(before..).unwrap_or_default();
        if inner.chunked.as_mut().is_some_and(|chunked| !chunked.feed(read)) {
            buf.set_filled(before);
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        inner.send(cx, buf);
        match inner.dead {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None => Poll::Ready(Ok(buf.len())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        for buf in bufs {
            inner.send(cx, buf);
        }
        match inner.dead {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None => Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Pushes and never waits: what stays is the backlog, which the driver of the connection drains.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.poll_drained(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Wire {
    async fn shutdown(&mut self) {
        // The peer may be gone already; there is nobody to tell.
        drop(tokio::io::AsyncWriteExt::shutdown(self).await);
    }
}

impl UniqueID for Wire {
    fn id(&self) -> UniqueIDType {
        self.0.lock().io.id()
    }
}

impl Ssl for Wire {}
impl Peek for Wire {}

impl GetTimingDigest for Wire {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Wire {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Wire {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_gone_from_the_pieces_and_the_rest_is_untouched() {
        let all = b"one, two, three";
        for sent in 0..=all.len() {
            let mut pieces: VecDeque<Bytes> = [&all[..5], &all[5..10], &all[10..]].map(Bytes::copy_from_slice).into();
            advance(&mut pieces, sent);
            assert_eq!(pieces.iter().flatten().copied().collect::<Vec<u8>>(), &all[sent..]);
            assert!(pieces.iter().all(|piece| !piece.is_empty()), "an empty piece looks like a dead socket");
        }
    }
}
