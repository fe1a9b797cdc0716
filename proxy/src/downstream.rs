//! The client's side of an exchange: the one place that knows which protocol the client speaks.
//!
//! Today that is HTTP/1; HTTP/2 becomes a second form of this type, and the rest of the exchange does not change.
//! Over a [`Wire`](crate::wire::Wire) the library's writes never wait, so each is finished in one poll.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::v1::server::HttpSession;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;

use crate::head::{Framing, Head};
use crate::wire::Handle;

/// A client that waits for an answer.
pub(crate) struct Downstream {
    session: HttpSession,
    pub(crate) wire: Handle,
    /// Bytes behind this request, kept from the session; the next request starts with them.
    later: BytesMut,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
}

/// Finishes a future that never waits.
fn at_once<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    // The library's timeouts ask for the task's budget, which many pipelined requests in one go use up.
    match pin!(tokio::task::unconstrained(future)).poll(&mut Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Error::e_explain(ErrorType::InternalError, "a write over an elastic wire waited"),
    }
}

impl Downstream {
    /// Takes over a connection whose next request has the given head, with the bytes that were read behind it.
    ///
    /// # Errors
    /// When the library does not agree with our reading of the head; nothing is known that makes it.
    pub(crate) fn new(stream: Stream, wire: Handle, head: &Head, mut behind: BytesMut) -> Result<Self> {
        let of_body = match head.framing {
            _ if head.upgrade => behind.len(),
            Framing::None => 0,
            Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX).min(behind.len()),
            Framing::Chunked => behind.len(),
        };
        let later = behind.split_off(of_body);
        wire.check_chunks((head.framing == Framing::Chunked).then_some(&*behind));
        let mut session = HttpSession::new(stream);
        session.set_pipelining_enabled(true);
        session.set_read_timeout(None);
        session.set_pipelined_prefix(head.canonical(&behind));
        match at_once(session.read_request())? {
            Some(_) => Ok(Self { session, wire, later, bytes_out: 0, bytes_in: 0 }),
            None => Error::e_explain(ErrorType::InternalError, "the canonical head was not taken for a request"),
        }
    }

    /// Whether the request body was read to its end.
    pub(crate) fn body_done(&mut self) -> bool {
        self.session.is_body_done()
    }

    /// The next piece of the request body; `None` at its end.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        if self.wire.has_broken_chunks() {
            return Poll::Ready(Error::e_explain(ErrorType::InvalidHTTPHeader, "broken chunked framing"));
        }
        let piece = pin!(self.session.read_body_bytes()).poll(cx);
        if matches!(piece, Poll::Ready(Err(_))) && self.wire.has_broken_chunks() {
            return self.poll_body(cx);
        }
        if let Poll::Ready(Ok(Some(bytes))) = &piece {
            self.bytes_in += bytes.len() as u64;
        }
        piece
    }

    /// Ready when the client has left, which can be seen only once its body is read and while it sends nothing more.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.later.is_empty() || !self.session.is_body_done() {
            return Poll::Pending;
        }
        match pin!(self.session.read_body_or_idle(true)).poll(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// Asks for the body of a client that waits to be asked.
    pub(crate) fn ask_for_body(&mut self) -> Result<()> {
        let head = ResponseHeader::build(100, Some(0))?;
        self.write_head(Box::new(head))
    }

    /// Ends the connection after this exchange.
    pub(crate) fn close_afterwards(&mut self) {
        self.session.set_server_keepalive(None);
    }

    /// Writes an answer head; an interim one may be followed by more.
    pub(crate) fn write_head(&mut self, head: Box<ResponseHeader>) -> Result<()> {
        let interim = head.status.is_informational() && head.status != 101;
        // A final answer before the body's end costs the connection; 100 is there to get the body.
        self.session.set_close_on_response_before_downstream_finish(!interim);
        if head.status == 101 {
            // What follows is no HTTP.
            self.wire.check_chunks(None);
        }
        at_once(self.session.write_response_header(head))
    }

    /// Whether the head of a final answer was written.
    pub(crate) fn is_answered(&self) -> bool {
        self.session.response_written().is_some_and(|head| !head.status.is_informational() || head.status == 101)
    }

    /// Writes a piece of the answer's body.
    pub(crate) fn write_body(&mut self, piece: &[u8]) -> Result<()> {
        // An empty chunk would end a chunked body.
        if !piece.is_empty() {
            self.bytes_out += piece.len() as u64;
            at_once(self.session.write_body(piece))?;
        }
        Ok(())
    }

    /// Ends the answer's body.
    pub(crate) fn finish_answer(&mut self) -> Result<()> {
        at_once(self.session.finish_body()).map(drop)
    }

    /// Gives the connection back for its next request, with bytes of it that were read already; `None` when the
    /// connection is to end. Only after an answer that was written to its end.
    pub(crate) async fn release(mut self) -> Option<(Stream, BytesMut)> {
        if !self.session.will_keepalive() || !self.session.is_body_done() {
            return None;
        }
        let (stream, overread) = self.session.reuse().await.ok()??.into_parts();
        if let Some(overread) = overread {
            self.later.unsplit(overread);
        }
        Some((stream, self.later))
    }

    /// Whether the connection serves another request after this one.
    pub(crate) fn keeps_alive(&mut self) -> bool {
        self.session.will_keepalive() && self.session.is_body_done()
    }
}
