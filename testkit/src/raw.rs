//! A client that writes exactly what it is told and reads one answer at a time.
//!
//! In: bytes, in pieces if wanted. Out: [`Response`]s, or how the connection ended.
//! One deadline covers the whole conversation; when it passes, the test panics with what was received.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::body::{Body, BodyReader};
use crate::deadline::{Deadline, PATIENCE};
use crate::pattern::write_pattern;
use crate::wire::{Head, Wire};

/// How the other side ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// An orderly end.
    Eof,
    /// A reset.
    Reset,
}

/// One answer, with the interim heads before it.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code; 0 when the first line has none.
    pub status: u16,
    /// The final head.
    pub head: Head,
    /// The body with the framing taken off; not `complete` when the connection ended before the framing said so.
    pub body: Body,
    /// The 1xx heads that came before, with their statuses.
    pub interim: Vec<(u16, Head)>,
}

impl Response {
    /// The body as text, as far as it was kept.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body.kept).into_owned()
    }

    /// The value of the first field called `name`, letter case ignored.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }
}

/// A client connection.
pub struct Raw {
    wire: Wire,
    peer: SocketAddr,
}

impl Raw {
    /// Connects; the whole conversation must end within [`PATIENCE`].
    pub fn connect(peer: SocketAddr) -> Self {
        Self::connect_within(peer, PATIENCE)
    }

    /// Connects; the whole conversation must end within `patience`.
    pub fn connect_within(peer: SocketAddr, patience: Duration) -> Self {
        Self::try_connect(peer, patience).unwrap_or_else(|error| panic!("cannot connect to {peer}: {error}"))
    }

    /// As [`Raw::connect_within`].
    ///
    /// # Errors
    /// When the connection is refused or not made in time.
    pub fn try_connect(peer: SocketAddr, patience: Duration) -> io::Result<Self> {
        // Not `TcpStream::connect_timeout`: that one reports a reset right behind the accept as a failed connect. The
        // write timeout bounds the connect as well.
        let socket = Socket::new(Domain::for_address(peer), Type::STREAM, None)?;
        socket.set_write_timeout(Some(patience))?;
        socket.connect(&peer.into())?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        Ok(Self { wire: Wire::new(stream, Deadline::after(patience)), peer })
    }

    /// Sends one request on a new connection and reads its answer.
    pub fn ask(peer: SocketAddr, request: impl AsRef<[u8]>) -> Response {
        let mut raw = Self::connect(peer);
        raw.write(request);
        raw.response()
    }

    /// `GET target` on a new connection that ends with it.
    pub fn get(peer: SocketAddr, target: &str) -> Response {
        Self::ask(peer, format!("GET {target} HTTP/1.1\r\nHost: {peer}\r\nConnection: close\r\n\r\n"))
    }

    /// This side's address.
    pub fn address(&self) -> SocketAddr {
        self.wire.stream.local_addr().unwrap()
    }

    /// Starts the patience anew.
    pub fn extend(&mut self, patience: Duration) -> &mut Self {
        self.wire.deadline = Deadline::after(patience);
        self.wire.stream.set_write_timeout(Some(patience)).unwrap();
        self
    }

    /// Writes `bytes`; panics when the other side no longer takes them.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.try_write(bytes)
            .unwrap_or_else(|error| panic!("{} does not take {} bytes: {error}", self.peer, bytes.len()));
        self
    }

    /// Writes `bytes`.
    ///
    /// # Errors
    /// When the other side has closed, or does not read in time.
    pub fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        (&self.wire.stream).write_all(bytes.as_ref())
    }

    /// Writes each piece as a packet of its own.
    pub fn write_pieces<P: AsRef<[u8]>>(&mut self, pieces: impl IntoIterator<Item = P>) -> &mut Self {
        for piece in pieces {
            self.write(piece);
        }
        self
    }

    /// Writes the first `length` bytes of [`crate::pattern`] of `seed` without holding them.
    ///
    /// # Errors
    /// When the other side has closed, or does not read in time.
    pub fn try_write_pattern(&mut self, seed: u64, length: u64) -> io::Result<()> {
        write_pattern(&mut &self.wire.stream, seed, length)
    }

    /// Another handle on the same socket, to write on one thread while reading on another.
    pub fn writer(&self) -> TcpStream {
        self.wire.stream.try_clone().unwrap()
    }

    /// Reads the next answer (to any method but `HEAD`); panics when the connection ends before its head does.
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads the next answer to a request with `method`.
    pub fn response_to(&mut self, method: &str) -> Response {
        self.try_response(method).unwrap_or_else(|end| panic!("{} ended ({end:?}) before an answer", self.peer))
    }

    /// Reads the next answer; the end of the connection when that comes before a whole head.
    ///
    /// # Errors
    /// [`End`] when the connection ended first; [`Raw::rest`] then gives what came.
    pub fn try_response(&mut self, method: &str) -> Result<Response, End> {
        let mut interim = Vec::new();
        loop {
            let head = match self.wire.head() {
                Ok(Some(head)) => head,
                Ok(None) => return Err(End::Eof),
                Err(error) => return Err(self.end_of(&error, "a response head")),
            };
            let status = head.word(1).parse().unwrap_or(0);
            if (100..200).contains(&status) && status != 101 {
                interim.push((status, head));
                continue;
            }
            let mut body = BodyReader::of_response(&head, status, method);
            loop {
                match body.piece(&mut self.wire, u64::MAX) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        self.end_of(&error, &format!("the body of {head:?}, of which {:?} came", body.body()));
                        break;
                    }
                }
            }
            return Ok(Response { status, head, body: body.body(), interim });
        }
    }

    /// The next interim head (100, 103) alone, without waiting for the answer behind it.
    pub fn interim(&mut self) -> (u16, Head) {
        let head = self.wire.head().ok().flatten().expect("a head comes");
        (head.word(1).parse().unwrap_or(0), head)
    }

    /// Exactly `count` bytes; panics when the connection ends before.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.wire.buffer.len() < count {
            match self.wire.fill() {
                Ok(0) => panic!("{} ended after {:?}, {count} bytes expected", self.peer, self.wire.buffer),
                Ok(_) => {}
                Err(error) => panic!("{}: {error} after {:?}, {count} bytes expected", self.peer, self.wire.buffer),
            }
        }
        self.wire.buffer.split_to(count).to_vec()
    }

    /// Reads until the other side ends: everything not yet read, and how it ended.
    pub fn read_to_end(&mut self) -> (Vec<u8>, End) {
        let end = loop {
            match self.wire.fill() {
                Ok(0) => break End::Eof,
                Ok(_) => {}
                Err(error) => break self.end_of(&error, "the end of the connection"),
            }
        };
        (self.rest(), end)
    }

    /// Whether some byte, or the end, comes within `span`: for a peer that is expected to stay silent.
    pub fn hears_within(&mut self, span: Duration) -> bool {
        if !self.wire.buffer.is_empty() {
            return true;
        }
        let deadline = std::mem::replace(&mut self.wire.deadline, Deadline::after(span));
        let heard = self.wire.fill();
        self.wire.deadline = deadline;
        !matches!(heard, Err(error) if error.kind() == ErrorKind::TimedOut)
    }

    /// What was received and not yet read as part of an answer; it stays there.
    pub fn received(&self) -> &[u8] {
        &self.wire.buffer
    }

    /// What was received and not yet read as part of an answer.
    pub fn rest(&mut self) -> Vec<u8> {
        self.wire.buffer.split().to_vec()
    }

    /// Whether the other side has nothing more to say and has ended the connection; panics if it does neither.
    pub fn is_ended(&mut self) -> bool {
        self.read_to_end().0.is_empty()
    }

    /// Ends this side only; reading goes on.
    pub fn half_close(&mut self) -> &mut Self {
        self.wire.stream.shutdown(Shutdown::Write).unwrap();
        self
    }

    /// Closes with a reset.
    pub fn reset(self) {
        SockRef::from(&self.wire.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Which end an error is; panics when it is the deadline or no end at all.
    fn end_of(&mut self, error: &io::Error, wanted: &str) -> End {
        match error.kind() {
            ErrorKind::UnexpectedEof => End::Eof,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => End::Reset,
            _ => {
                let held = self.rest();
                let shown = String::from_utf8_lossy(held.get(..2000).unwrap_or(&held)).into_owned();
                panic!(
                    "{}: {error} while waiting for {wanted}; {} bytes were received in all, not yet used: {shown:?}",
                    self.peer, self.wire.total
                )
            }
        }
    }
}
