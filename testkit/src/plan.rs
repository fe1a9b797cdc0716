//! What a scripted endpoint does with one request, step by step.
//!
//! In: steps in order. Out: nothing by themselves; the endpoint carries them out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::endpoint::Received;
use crate::gate::Gate;
use crate::reply::Reply;

/// Steps for one request, or for a connection just accepted.
///
/// Behind the last step the endpoint reads what is left of the body and then waits for the next request, unless the
/// request or the answer asked for the connection to be closed.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub(crate) acts: Vec<Act>,
}

/// One step of a [`Plan`].
#[derive(Clone)]
pub enum Act {
    /// Reads the rest of the request body.
    ReadBody,
    /// Reads this many further bytes of the request body, or to its end.
    ReadBytes(u64),
    /// Writes an answer; closes behind it when it says so or is delimited by the close.
    Reply(Reply),
    /// Writes these bytes as they are.
    Write(Bytes),
    /// Writes the bytes in pieces of the given size with a pause before each.
    Trickle(Bytes, usize, Duration),
    /// Waits until the gate is open, or the peer leaves, or the endpoint stops.
    Wait(Gate),
    /// Answers 200, chunked, with the request body, each piece as soon as it came.
    EchoBody,
    /// Sends back whatever comes, until the peer ends its side; then closes.
    Tunnel,
    /// Decides how to go on from what has been received so far.
    Then(Arc<dyn Fn(&Received) -> Plan + Send + Sync>),
    /// Ends the writing side and reads on until the peer ends its own.
    Finish,
    /// Closes (the kernel turns this into a reset when received bytes were left unread).
    Close,
    /// Closes with a reset.
    Reset,
    /// Does nothing until the peer leaves or the endpoint stops.
    Hang,
}

impl std::fmt::Debug for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ReadBody => f.write_str("ReadBody"),
            Self::ReadBytes(n) => write!(f, "ReadBytes({n})"),
            Self::Reply(reply) => write!(f, "Reply({:?})", reply.head()),
            Self::Write(bytes) => write!(f, "Write({} bytes)", bytes.len()),
            Self::Trickle(bytes, piece, pause) => write!(f, "Trickle({} bytes by {piece}, {pause:?})", bytes.len()),
            Self::Wait(_) => f.write_str("Wait"),
            Self::EchoBody => f.write_str("EchoBody"),
            Self::Tunnel => f.write_str("Tunnel"),
            Self::Then(_) => f.write_str("Then"),
            Self::Finish => f.write_str("Finish"),
            Self::Close => f.write_str("Close"),
            Self::Reset => f.write_str("Reset"),
            Self::Hang => f.write_str("Hang"),
        }
    }
}

/// Reads the whole body, then answers: what a well-behaved endpoint does.
impl From<Reply> for Plan {
    fn from(reply: Reply) -> Self {
        Self::new().read_body().reply(reply)
    }
}

impl Plan {
    /// No steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers 101 (`upgrade: websocket`) with `glued` in the same packet, then sends back what comes.
    pub fn upgrade_echo(glued: &[u8]) -> Self {
        let mut bytes =
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec();
        bytes.extend_from_slice(glued);
        Self::new().write(bytes).then_act(Act::Tunnel)
    }

    /// Any step.
    #[must_use]
    pub fn then_act(mut self, act: Act) -> Self {
        self.acts.push(act);
        self
    }

    /// [`Act::ReadBody`].
    #[must_use]
    pub fn read_body(self) -> Self {
        self.then_act(Act::ReadBody)
    }

    /// [`Act::ReadBytes`].
    #[must_use]
    pub fn read_bytes(self, count: u64) -> Self {
        self.then_act(Act::ReadBytes(count))
    }

    /// [`Act::Reply`]; without a [`Plan::read_body`] before it, this is an early answer.
    #[must_use]
    pub fn reply(self, reply: Reply) -> Self {
        self.then_act(Act::Reply(reply))
    }

    /// Writes an interim head (100, 103) before going on.
    #[must_use]
    pub fn interim(self, status: u16, fields: &[(&str, &str)]) -> Self {
        let head = fields.iter().fold(Reply::new(status), |reply, (name, value)| reply.header(name, value)).head();
        self.write(head)
    }

    /// The first `count` bytes of an answer; follow it with [`Plan::reset`], [`Plan::close`] or [`Plan::hang`].
    #[must_use]
    pub fn part_of(self, reply: &Reply, count: usize) -> Self {
        let bytes = reply.to_bytes("GET");
        self.write(bytes.get(..count).expect("a part is shorter than the answer").to_vec())
    }

    /// [`Act::Write`].
    #[must_use]
    pub fn write(self, bytes: impl Into<Bytes>) -> Self {
        self.then_act(Act::Write(bytes.into()))
    }

    /// [`Act::Trickle`].
    #[must_use]
    pub fn trickle(self, bytes: impl Into<Bytes>, piece: usize, pause: Duration) -> Self {
        self.then_act(Act::Trickle(bytes.into(), piece, pause))
    }

    /// [`Act::Wait`].
    #[must_use]
    pub fn wait(self, gate: &Gate) -> Self {
        self.then_act(Act::Wait(gate.clone()))
    }

    /// [`Act::EchoBody`].
    #[must_use]
    pub fn echo_body(self) -> Self {
        self.then_act(Act::EchoBody)
    }

    /// [`Act::Then`].
    #[must_use]
    pub fn then(self, next: impl Fn(&Received) -> Plan + Send + Sync + 'static) -> Self {
        self.then_act(Act::Then(Arc::new(next)))
    }

    /// [`Act::Finish`].
    #[must_use]
    pub fn finish(self) -> Self {
        self.then_act(Act::Finish)
    }

    /// [`Act::Close`].
    #[must_use]
    pub fn close(self) -> Self {
        self.then_act(Act::Close)
    }

    /// [`Act::Reset`].
    #[must_use]
    pub fn reset(self) -> Self {
        self.then_act(Act::Reset)
    }

    /// [`Act::Hang`].
    #[must_use]
    pub fn hang(self) -> Self {
        self.then_act(Act::Hang)
    }
}
