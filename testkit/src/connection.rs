//! One connection of a scripted endpoint: reads heads, asks the script, carries out the plan.
//!
//! In: an accepted socket. Out: notes in what the endpoint has seen, and whether the peer left first.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use crate::body::BodyReader;
use crate::deadline::Deadline;
use crate::endpoint::{Call, Received, Shared};
use crate::plan::{Act, Plan};
use crate::reply::{Chunks, Reply};
use crate::wire::Wire;

/// How often a waiting step looks whether its gate is open; a peer that leaves is noticed at once.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

/// Why a plan did not lead on to the next request.
enum Stop {
    /// The peer closed or reset.
    PeerLeft,
    /// The script closed.
    Closed,
}

impl From<io::Error> for Stop {
    /// Whatever fails on a socket of ours, the other side has caused.
    fn from(_: io::Error) -> Self {
        Self::PeerLeft
    }
}

/// The request that a plan is about; a plan on accept has none.
struct Exchange {
    index: usize,
    method: String,
    body: BodyReader,
}

pub(crate) struct Connection<'a> {
    wire: Wire,
    number: usize,
    shared: &'a Shared,
    stopping: &'a AtomicBool,
}

impl<'a> Connection<'a> {
    pub(crate) fn new(stream: TcpStream, number: usize, shared: &'a Shared, stopping: &'a AtomicBool) -> Self {
        Self { wire: Wire::new(stream, Deadline::never()), number, shared, stopping }
    }

    /// Serves until the connection ends; true when the peer ended it.
    pub(crate) fn run(&mut self) -> bool {
        let plan = self.script().accepted(self.number);
        let mut stop = self.carry_out(plan, &mut None).err();
        let mut nth = 0;
        while stop.is_none() {
            stop = self.exchange(nth).err();
            nth += 1;
        }
        matches!(stop, Some(Stop::PeerLeft)) && !self.stopping.load(Ordering::SeqCst)
    }

    fn script(&self) -> crate::endpoint::Script {
        self.shared.script.lock().unwrap().clone()
    }

    fn exchange(&mut self, nth: usize) -> Result<(), Stop> {
        let head = match self.wire.head() {
            Ok(Some(head)) => head,
            Ok(None) => return Err(Stop::PeerLeft),
            Err(_) => {
                let stray = self.wire.buffer.split().freeze();
                self.shared.note(|seen| seen.stray.extend((!stray.is_empty()).then_some(stray)));
                return Err(Stop::PeerLeft);
            }
        };
        let body = BodyReader::of_request(&head);
        let received = Received { connection: self.number, head: head.clone(), body: body.body() };
        let index = self.shared.note(|seen| {
            seen.requests.push(received);
            seen.requests.len() - 1
        });
        let closing = head.lists("connection", "close")
            || (head.word(2) == "HTTP/1.0" && !head.lists("connection", "keep-alive"));
        let call = Call { connection: self.number, nth, index, head };
        let plan = self.script().requested(&call);
        let mut exchange = Some(Exchange { index, method: call.method().to_owned(), body });
        self.carry_out(plan, &mut exchange)?;
        self.read_body(&mut exchange, u64::MAX)?;
        if closing { Err(Stop::Closed) } else { Ok(()) }
    }

    fn carry_out(&mut self, plan: Plan, exchange: &mut Option<Exchange>) -> Result<(), Stop> {
        for act in plan.acts {
            match act {
                Act::ReadBody => self.read_body(exchange, u64::MAX)?,
                Act::ReadBytes(count) => self.read_body(exchange, count)?,
                Act::Reply(reply) => self.reply(&reply, exchange.as_ref())?,
                Act::Write(bytes) => (&self.wire.stream).write_all(&bytes)?,
                Act::Trickle(bytes, piece, pause) => {
                    for piece in bytes.chunks(piece.max(1)) {
                        let end = Deadline::after(pause);
                        self.watch(|| end.passed())?;
                        (&self.wire.stream).write_all(piece)?;
                    }
                }
                Act::Wait(gate) => {
                    gate.arrive();
                    self.watch(|| gate.is_open())?;
                }
                Act::EchoBody => self.echo_body(exchange)?,
                Act::Tunnel => {
                    while let Some(piece) = self.wire.some(u64::MAX)? {
                        (&self.wire.stream).write_all(&piece)?;
                    }
                    return Err(Stop::PeerLeft);
                }
                Act::Then(next) => {
                    let index = exchange.as_ref().expect("`then` belongs to a request").index;
                    let received = self.shared.note(|seen| seen.requests.get(index).cloned()).unwrap();
                    self.carry_out(next(&received), exchange)?;
                }
                Act::Finish => {
                    self.wire.stream.shutdown(Shutdown::Write)?;
                    while self.wire.some(u64::MAX)?.is_some() {}
                    return Err(Stop::Closed);
                }
                Act::Close => return Err(Stop::Closed),
                Act::Reset => {
                    SockRef::from(&self.wire.stream).set_linger(Some(Duration::ZERO))?;
                    return Err(Stop::Closed);
                }
                Act::Hang => self.watch(|| false)?,
            }
        }
        Ok(())
    }

    fn reply(&mut self, reply: &Reply, exchange: Option<&Exchange>) -> Result<(), Stop> {
        let method = exchange.map_or("GET", |exchange| exchange.method.as_str());
        reply.write(&mut &self.wire.stream, method)?;
        if reply.closes() { Err(Stop::Closed) } else { Ok(()) }
    }

    /// Reads up to `most` bytes of the body and notes them.
    fn read_body(&mut self, exchange: &mut Option<Exchange>, most: u64) -> Result<(), Stop> {
        let Some(exchange) = exchange else { return Ok(()) };
        let goal = exchange.body.length().saturating_add(most);
        let mut result = Ok(());
        while exchange.body.length() < goal {
            match self.next_piece(exchange, goal - exchange.body.length()) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(stop) => {
                    result = Err(stop);
                    break;
                }
            }
        }
        self.note_body(exchange);
        result
    }

    fn next_piece(&mut self, exchange: &mut Exchange, most: u64) -> Result<Option<bytes::Bytes>, Stop> {
        let piece = exchange.body.piece(&mut self.wire, most)?;
        let (index, length) = (exchange.index, exchange.body.length());
        self.shared.note(|seen| {
            if let Some(received) = seen.requests.get_mut(index) {
                received.body.length = length;
            }
        });
        Ok(piece)
    }

    fn note_body(&self, exchange: &Exchange) {
        let body = exchange.body.body();
        self.shared.note(|seen| {
            if let Some(received) = seen.requests.get_mut(exchange.index) {
                received.body = body;
            }
        });
    }

    fn echo_body(&mut self, exchange: &mut Option<Exchange>) -> Result<(), Stop> {
        let exchange = exchange.as_mut().expect("`echo_body` belongs to a request");
        (&self.wire.stream).write_all(Reply::new(200).chunked().head().as_bytes())?;
        while let Some(piece) = self.next_piece(exchange, u64::MAX)? {
            Chunks(&mut &self.wire.stream).write_all(&piece)?;
        }
        self.note_body(exchange);
        (&self.wire.stream).write_all(b"0\r\n\r\n")?;
        Ok(())
    }

    /// Waits for `done`; ends the plan when the peer leaves first, even with bytes of it unread.
    fn watch(&self, done: impl Fn() -> bool) -> Result<(), Stop> {
        while !done() {
            let mut socket = [PollFd::new(&self.wire.stream, PollFlags::RDHUP)];
            match poll(&mut socket, Some(&GLANCE)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Err(Stop::PeerLeft),
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Ok(())
    }
}
