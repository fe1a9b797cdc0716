//! Connections to endpoints that wait for their next exchange.
//!
//! In: a connection that ended an exchange clean. Out: the one used last, if it is still open. Cost: one lock, one
//! non-blocking read to see a close that has happened meanwhile; no task and no timer per connection, a sweep closes
//! those that waited too long. Last in, first out: a pool that shrinks lets its oldest connections time out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pingora_core::protocols::Stream;
use tokio::io::ReadBuf;
use weir_snapshot::{Member, Moment};

use crate::wire::Handle;

/// Most idle connections to one endpoint; the oldest goes when another comes.
const MOST: usize = 256;

/// A connection to an endpoint.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) wire: Handle,
}

struct Resting {
    connection: Connection,
    since: Moment,
    until: Moment,
}

/// Whom a connection leads to: the address, and which of those that were there one after the other. A newcomer at an
/// address is not asked over a connection to whoever was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Whom {
    pub(crate) address: SocketAddr,
    pub(crate) generation: u64,
}

impl From<&Member> for Whom {
    fn from(member: &Member) -> Self {
        Self { address: member.address, generation: member.generation }
    }
}

/// The idle connections of all endpoints.
#[derive(Clone, Default)]
pub(crate) struct Idle(Arc<Mutex<HashMap<Whom, Vec<Resting>>>>);

impl Idle {
    /// The connection to `whom` that was used last and is still open, if it rested no longer than `at_most`.
    pub(crate) fn take(&self, whom: Whom, now: Moment, at_most: Duration) -> Option<Connection> {
        loop {
            let resting = {
                let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let list = map.get_mut(&whom)?;
                if list.last()?.until <= now || now.since(list.last()?.since) > at_most {
                    return None;
                }
                list.pop()?
            };
            if is_open(&resting.connection.wire) {
                return Some(resting.connection);
            }
        }
    }

    /// Keeps a connection for `timeout`.
    pub(crate) fn put(&self, whom: Whom, connection: Connection, now: Moment, timeout: Duration) {
        connection.wire.rest();
        let resting = Resting { connection, since: now, until: now.after(timeout) };
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let list = map.entry(whom).or_default();
        let oldest = (list.len() >= MOST).then(|| list.remove(0));
        list.push(resting);
        drop(map);
        // Closing is a system call; not under the lock.
        drop(oldest);
    }

    /// Closes those whose time is up, and those to whom `keep` says no.
    pub(crate) fn sweep(&self, now: Moment, keep: impl Fn(&Whom) -> bool) {
        let mut gone = Vec::new();
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (whom, list) in map.iter_mut() {
            let kept = keep(whom);
            gone.extend(list.extract_if(.., |resting| !kept || resting.until <= now));
        }
        map.retain(|_, list| !list.is_empty());
        drop(map);
        drop(gone);
    }
}

/// Whether the endpoint has neither closed the connection nor said anything unasked.
fn is_open(wire: &Handle) -> bool {
    let mut byte = [0_u8; 1];
    let mut buf = ReadBuf::new(&mut byte);
    let mut cx = Context::from_waker(Waker::noop());
    // The budget of the task is not for this look: without it a busy task would take every connection for closed.
    let look = std::pin::pin!(tokio::task::unconstrained(std::future::poll_fn(|cx| wire.poll_read(cx, &mut buf))));
    matches!(look.poll(&mut cx), Poll::Pending)
}
