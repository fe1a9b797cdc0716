//! Reads HTTP/1 heads off a socket, leniently: a test must see what was sent, not what should have been.
//!
//! In: a connected socket and a deadline. Out: heads with their raw bytes, and the bytes that follow.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use crate::deadline::Deadline;

/// One message head as it stood on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Every byte of it, up to and including the empty line.
    pub raw: Bytes,
    /// The first line, without its line end.
    pub line: String,
    /// The fields in order, names as sent, values without the blanks around them. Bytes above 127 are read as Latin-1.
    pub fields: Vec<(String, String)>,
}

impl Head {
    fn parse(raw: Bytes) -> Self {
        let text: String = raw.iter().copied().map(char::from).collect();
        let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
        let line = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Self { raw, line, fields }
    }

    /// The value of the first field called `name`, letter case ignored.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The values of all fields called `name`, in order, letter case ignored.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether a field called `name` lists `token` among its comma-separated values, letter case ignored.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    }

    /// The `n`th word of the first line, counted from 0: method, target, version, or version, status.
    pub fn word(&self, n: usize) -> &str {
        self.line.split(' ').nth(n).unwrap_or_default()
    }
}

/// A socket with what was read from it and not yet used.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) buffer: BytesMut,
    pub(crate) deadline: Deadline,
    /// The last bytes read, for failure messages.
    pub(crate) total: u64,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, deadline: Deadline) -> Self {
        Self { stream, buffer: BytesMut::new(), deadline, total: 0 }
    }

    /// Reads once; 0 is the end. `TimedOut` once the deadline has passed.
    pub(crate) fn fill(&mut self) -> io::Result<usize> {
        let left = self.deadline.left().ok_or(ErrorKind::TimedOut)?;
        self.stream.set_read_timeout((left != Duration::MAX).then_some(left))?;
        let held = self.buffer.len();
        self.buffer.resize(held + 64 * 1024, 0);
        let (_, room) = self.buffer.split_at_mut(held);
        let read = loop {
            match self.stream.read(room) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Err(ErrorKind::TimedOut.into()),
                other => break other,
            }
        };
        self.buffer.truncate(held + read.as_ref().copied().unwrap_or(0));
        self.total += read.as_ref().map_or(0, |read| *read as u64);
        read
    }

    /// The next head; `None` when the peer ended the connection without another byte.
    /// `UnexpectedEof` when it ended within one; what came stays in the buffer.
    pub(crate) fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = head_end(&self.buffer) {
                return Ok(Some(Head::parse(self.buffer.split_to(end).freeze())));
            }
            if self.fill()? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// The next line without its line end.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.fill()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// At least one and at most `most` bytes; `None` at the end.
    pub(crate) fn some(&mut self, most: u64) -> io::Result<Option<Bytes>> {
        if self.buffer.is_empty() && self.fill()? == 0 {
            return Ok(None);
        }
        let take = usize::try_from(most).map_or(self.buffer.len(), |most| most.min(self.buffer.len()));
        Ok(Some(self.buffer.copy_to_bytes(take)))
    }
}

/// The length of the head at the start of `bytes`: through the first empty line, whichever way its lines end.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let mut line_start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' {
            let line = bytes.get(line_start..at).unwrap_or_default();
            if (line.is_empty() || line == b"\r") && line_start > 0 {
                return Some(at + 1);
            }
            line_start = at + 1;
        }
    }
    None
}
