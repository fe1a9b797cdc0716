//! One try under way: both directions between a client and one endpoint, driven by one poll function.
//!
//! In: a client, a connection to an endpoint that the request head was written to, and the body to send. Out: an
//! [`Event`] when something happens that the exchange must decide on. Cost: no task, no channel, no allocation per piece.
//!
//! Each step polls, in this order: the endpoint's answer, what the client has not taken, the request body, what the
//! endpoint has not taken, the client's leaving. A side with more than a few KiB of backlog is given nothing more, which is the
//! back-pressure; a write error towards the endpoint is remembered but not acted on, because an answer may be on its
//! way all the same. All futures polled here may be dropped and made anew (ADR 2 has the table).

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_error::{BError, ErrorType};
use pingora_http::ResponseHeader;
use weir_snapshot::{Millis, Moment};

use crate::downstream::Downstream;
use crate::forward::Sending;
use crate::timer::Timer;
use crate::wire::{GATHER, Handle};

/// What the exchange must decide on.
#[derive(Debug)]
pub(crate) enum Event {
    /// An answer head has come, interim or final: see [`Pump::answer`].
    Head,
    /// The answer was delivered to its last byte.
    Delivered,
    /// The endpoint's connection ended or broke.
    Broken,
    /// What the endpoint sent is not HTTP.
    BadAnswer,
    /// The client left, or stopped taking its answer.
    ClientGone,
    /// The request body's framing is broken, or the client left in the middle of it.
    BadBody,
    /// The request body exceeds the route's limit.
    BodyTooLarge,
    /// A deadline passed.
    Late(Late),
}

/// Which deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// The endpoint's answer, or its next piece.
    Answer,
    /// The endpoint does not take what we send.
    EndpointWrite,
    /// The client does not send what it promised.
    ClientRead,
    /// The client does not take its answer.
    ClientWrite,
    /// The whole exchange.
    Total,
}

/// The limits of each wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) answer: Millis,
    pub(crate) endpoint_write: Millis,
    pub(crate) client_read: Millis,
    pub(crate) client_write: Millis,
    /// `None` in a tunnel.
    pub(crate) total: Option<Moment>,
}

/// The request body on its way to the endpoint.
pub(crate) struct Upload {
    /// What is held already.
    pub(crate) pieces: VecDeque<Bytes>,
    /// Whether more comes from the client behind the pieces.
    pub(crate) streams: bool,
    pub(crate) sending: Sending,
    /// The most that may come from the client, held pieces included.
    pub(crate) max: u64,
    /// Bytes that are held.
    pub(crate) held: u64,
    /// Bytes that came from the client, held ones included.
    pub(crate) taken: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Head,
    Body,
    Tunnel,
    Done,
}

/// A wait that progress renews: since when, and how many bytes had been sent by then.
#[derive(Clone, Copy, Debug, Default)]
struct Wait(Option<(Moment, u64)>);

impl Wait {
    /// Since when it goes on, given what has been sent so far. Not the backlog: that of a slow reader who is given the
    /// next piece as soon as there is room is never smaller than it was.
    fn on(&mut self, now: Moment, sent: u64) -> Moment {
        match self.0 {
            Some((since, before)) if sent == before => since,
            _ => {
                self.0 = Some((now, sent));
                now
            }
        }
    }

    fn over(&mut self) {
        self.0 = None;
    }
}

/// A try under way.
pub(crate) struct Pump<'a> {
    pub(crate) down: &'a mut Downstream,
    pub(crate) up: HttpSession,
    pub(crate) up_wire: Handle,
    timer: &'a mut Timer,
    limits: Limits,
    upload: Upload,
    uploaded: bool,
    state: Answer,
    waits: Waits,
    /// Bytes that the connection had received before this try.
    received_before: u64,
}

#[derive(Default)]
struct Waits {
    answer: Wait,
    endpoint_write: Wait,
    client_read: Wait,
    client_write: Wait,
}

impl<'a> Pump<'a> {
    /// Starts on a connection whose request head is written, to the wire or its backlog.
    pub(crate) fn new(
        down: &'a mut Downstream,
        up: HttpSession,
        up_wire: Handle,
        timer: &'a mut Timer,
        limits: Limits,
        upload: Upload,
    ) -> Self {
        let received_before = up_wire.received();
        let (waits, state) = (Waits::default(), Answer::Head);
        // An answer may be whole before the first look at an upload of nothing.
        let uploaded = upload.pieces.is_empty() && !upload.streams;
        Self { down, up, up_wire, timer, limits, upload, uploaded, state, waits, received_before }
    }

    /// The head that [`Event::Head`] announced.
    pub(crate) fn answer(&self) -> Option<&ResponseHeader> {
        self.up.resp_header()
    }

    /// Whether the endpoint has said anything in this try.
    pub(crate) fn heard(&self) -> bool {
        self.up_wire.received() > self.received_before
    }

    /// Whether bytes of a body that cannot be replayed have left the client's connection for this endpoint.
    pub(crate) fn consumed(&self) -> bool {
        self.upload.taken > self.upload.held
    }

    /// Passes the final answer head on; its body follows.
    ///
    /// # Errors
    /// When the client's connection is broken.
    pub(crate) fn deliver(&mut self, head: Box<ResponseHeader>) -> pingora_error::Result<()> {
        let tunnel = head.status == 101;
        self.down.write_head(head)?;
        if tunnel {
            self.state = Answer::Tunnel;
            let sending = Sending::Nothing;
            self.upload = Upload { pieces: VecDeque::new(), streams: true, sending, max: u64::MAX, held: 0, taken: 0 };
            self.uploaded = false;
            self.limits.total = None;
            self.up.maybe_upgrade_body_writer();
        } else if self.up.is_body_done() {
            self.end_answer()?;
        } else {
            self.state = Answer::Body;
        }
        self.waits.answer.over();
        Ok(())
    }

    fn end_answer(&mut self) -> pingora_error::Result<()> {
        self.state = Answer::Done;
        self.down.finish_answer()
    }

    /// Whether, when the last deadline passed, it was the endpoint that was waited for.
    pub(crate) fn awaited_the_endpoint(&self) -> bool {
        self.waits.answer.0.is_some() || self.waits.endpoint_write.0.is_some()
    }

    /// Ends the try; the endpoint's session if it is in a state to be used again.
    pub(crate) fn into_clean(self) -> Option<HttpSession> {
        // The answer may be read before anybody asked for the piece behind the last one.
        let uploaded = self.uploaded || (!self.upload.streams && self.upload.pieces.is_empty());
        let sent = uploaded && self.up_wire.backlog() == 0 && !self.up_wire.is_dead();
        (self.state == Answer::Done && sent).then_some(self.up)
    }

    /// Goes on until there is something to decide.
    pub(crate) async fn next(&mut self) -> Event {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            let mut moved = false;
            // Read before drain: a head and the body that is already there leave in one system call.
            if self.down.wire.backlog() <= GATHER
                && let Poll::Ready(step) = self.poll_answer(cx)
            {
                match step {
                    Some(event) => return Poll::Ready(event),
                    None => moved = true,
                }
            }
            // A side that was too full to be given more and no longer is must be asked again: nothing else wakes us.
            let down_full = self.down.wire.backlog() > GATHER;
            let down_clear = match self.down.wire.poll_drained(cx) {
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(_)) => return Poll::Ready(Event::ClientGone),
                Poll::Pending => false,
            };
            moved |= down_full && self.down.wire.backlog() <= GATHER;
            if down_clear && self.state == Answer::Done && !self.owes_the_endpoint(cx) {
                return Poll::Ready(Event::Delivered);
            }
            if !self.uploaded
                && self.up_wire.backlog() <= GATHER
                && let Poll::Ready(step) = self.poll_upload(cx)
            {
                match step {
                    Some(event) => return Poll::Ready(event),
                    None => moved = true,
                }
            }
            // A write error is kept by the wire and counts as drained: what the endpoint says still matters.
            let up_full = self.up_wire.backlog() > GATHER;
            let up_clear =
                self.up_wire.poll_drained(cx).is_ready() && (self.upload.pieces.is_empty() || self.up_wire.is_dead());
            moved |= up_full && self.up_wire.backlog() <= GATHER;
            if moved {
                continue;
            }
            if !self.up.was_upgraded() && self.down.poll_gone(cx).is_ready() {
                return Poll::Ready(Event::ClientGone);
            }
            return self.poll_deadlines(cx, down_clear, up_clear);
        }
    }

    /// Whether a tunnel that the client has ended still holds bytes of it.
    fn owes_the_endpoint(&mut self, cx: &mut Context<'_>) -> bool {
        let ended_tunnel = self.up.was_upgraded() && self.uploaded;
        ended_tunnel && self.up_wire.poll_drained(cx).is_pending()
    }

    /// The next piece of the answer, passed on.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        match self.state {
            Answer::Head => {
                let outcome = ready!(pin!(self.up.read_response()).poll(cx));
                self.waits.answer.over();
                Poll::Ready(Some(match outcome {
                    Ok(_) => Event::Head,
                    Err(error) => broken_or_bad(&error),
                }))
            }
            Answer::Body | Answer::Tunnel => {
                let read = match ready!(pin!(self.up.read_body_ref()).poll(cx)) {
                    Ok(Some(piece)) => self.down.write_body(piece).map(|()| true),
                    Ok(None) => Ok(false),
                    Err(error) => return Poll::Ready(Some(broken_or_bad(&error))),
                };
                self.waits.answer.over();
                self.waits.client_read.over();
                let ended = match read {
                    Ok(true) if self.state == Answer::Body && self.up.is_body_done() => self.end_answer(),
                    Ok(true) => Ok(()),
                    Ok(false) => self.end_answer(),
                    Err(error) => Err(error),
                };
                Poll::Ready(ended.err().map(|_| Event::ClientGone))
            }
            Answer::Done => Poll::Pending,
        }
    }

    /// The next piece of the request body, handed to the endpoint's wire.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.up_wire.is_dead() {
            // Nobody takes it. Not read either: the answer decides what becomes of the client's connection.
            return Poll::Pending;
        }
        if !self.upload.pieces.is_empty() {
            if self.upload.sending == Sending::Chunked {
                if let Some(piece) = self.upload.pieces.pop_front() {
                    self.send(cx, &piece);
                }
            } else {
                ready!(self.up_wire.poll_send(cx, &mut self.upload.pieces));
            }
            // Ended with its last piece, not a step later: the answer may come in between, and a connection whose
            // request counts as unfinished is not used again.
            if self.upload.pieces.is_empty() && !self.upload.streams {
                self.end_upload();
            }
            return Poll::Ready(None);
        }
        if self.upload.streams {
            match ready!(self.down.poll_body(cx)) {
                Ok(Some(piece)) => {
                    self.upload.taken += piece.len() as u64;
                    self.waits.client_read.over();
                    if self.state == Answer::Tunnel {
                        self.waits.answer.over();
                    }
                    if self.upload.taken > self.upload.max {
                        return Poll::Ready(Some(Event::BodyTooLarge));
                    }
                    self.send(cx, &piece);
                    if self.state != Answer::Tunnel && self.down.body_done() {
                        self.end_upload();
                    }
                    return Poll::Ready(None);
                }
                Ok(None) if self.state == Answer::Tunnel => {
                    // A half-closed tunnel is over on both sides, as with nginx.
                    self.state = Answer::Done;
                    self.uploaded = true;
                    return Poll::Ready(None);
                }
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(bad_or_gone(&error))),
            }
        }
        self.end_upload();
        Poll::Ready(None)
    }

    fn end_upload(&mut self) {
        if self.upload.sending == Sending::Chunked {
            self.up_wire.push(b"0\r\n\r\n");
        }
        self.uploaded = true;
    }

    fn send(&mut self, cx: &mut Context<'_>, piece: &[u8]) {
        if piece.is_empty() {
            // The library yields one when a read ends between two chunks. A chunk of no bytes would end the body, and
            // the rest of it would be the endpoint's next request.
            return;
        }
        if self.upload.sending == Sending::Chunked {
            self.up_wire.push(format!("{:x}\r\n", piece.len()).as_bytes());
            self.up_wire.send(cx, piece);
            self.up_wire.push(b"\r\n");
        } else {
            self.up_wire.send(cx, piece);
        }
    }

    /// Nothing moves: which waits go on, and has one been too long?
    fn poll_deadlines(&mut self, cx: &mut Context<'_>, down_clear: bool, up_clear: bool) -> Poll<Event> {
        let now = self.timer.now();
        let mut first = (self.limits.total.unwrap_or(Moment::from_nanos(u64::MAX)), Late::Total);
        let mut consider = |since: Moment, limit: Millis, late: Late| {
            let deadline = since.after(limit);
            if deadline < first.0 {
                first = (deadline, late);
            }
        };
        if down_clear {
            self.waits.client_write.over();
        } else {
            consider(
                self.waits.client_write.on(now, self.down.wire.sent()),
                self.limits.client_write,
                Late::ClientWrite,
            );
        }
        if up_clear {
            self.waits.endpoint_write.over();
        } else {
            let since = self.waits.endpoint_write.on(now, self.up_wire.sent());
            consider(since, self.limits.endpoint_write, Late::EndpointWrite);
        }
        let awaits_client = up_clear && self.upload.streams && !self.uploaded && !self.up_wire.is_dead();
        if awaits_client && self.state != Answer::Tunnel {
            consider(self.waits.client_read.on(now, 0), self.limits.client_read, Late::ClientRead);
        } else {
            self.waits.client_read.over();
        }
        // As nginx: the endpoint's time runs from the last byte of the request. In a tunnel from the last byte of either.
        let awaits_endpoint = (self.uploaded && up_clear) || self.up_wire.is_dead() || self.state == Answer::Tunnel;
        if awaits_endpoint && down_clear && self.state != Answer::Done {
            consider(self.waits.answer.on(now, 0), self.limits.answer, Late::Answer);
        } else {
            self.waits.answer.over();
        }
        let (deadline, late) = first;
        self.timer.poll(cx, deadline).map(|()| Event::Late(late))
    }
}

fn broken_or_bad(error: &BError) -> Event {
    match error.etype() {
        ErrorType::ReadError | ErrorType::ConnectionClosed => Event::Broken,
        _ => Event::BadAnswer,
    }
}

fn bad_or_gone(error: &BError) -> Event {
    match error.etype() {
        ErrorType::ReadError | ErrorType::ConnectionClosed => Event::ClientGone,
        _ => Event::BadBody,
    }
}
