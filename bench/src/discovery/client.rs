//! Clients that ask again as soon as they have an answer.
//!
//! In: the proxy's address. Out: who answered when, and how long each exchange took. Cost: a core, by intention: the
//! moment of a change is known to an exchange.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_local};

use crate::rig::{clock, head};

/// What the clients have seen since the last [`Clients::take`].
#[derive(Default)]
pub(crate) struct Seen {
    /// When each endpoint answered first.
    pub(crate) first: HashMap<Box<str>, Instant>,
    /// How long each exchange took.
    pub(crate) spans: Vec<Duration>,
    /// What was no answer of an endpoint.
    pub(crate) failures: Vec<String>,
}

/// Clients at work; they stop when dropped.
pub(crate) struct Clients {
    seen: Rc<RefCell<Seen>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    /// Starts so many, each with a connection of its own.
    pub(crate) fn start(proxy: SocketAddr, count: usize) -> Self {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let tasks = (0..count).map(|_| spawn_local(ask_for_ever(proxy, Rc::clone(&seen)))).collect();
        Self { seen, tasks }
    }

    /// What was seen so far; it begins anew.
    pub(crate) fn take(&self) -> Seen {
        self.seen.take()
    }

    /// How many exchanges were answered since the last [`Clients::take`].
    pub(crate) fn answered(&self) -> usize {
        self.seen.borrow().spans.len()
    }

    /// When this endpoint answered first since then.
    pub(crate) fn first(&self, name: &str) -> Option<Instant> {
        self.seen.borrow().first.get(name).copied()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn ask_for_ever(proxy: SocketAddr, seen: Rc<RefCell<Seen>>) {
    loop {
        if let Err(error) = ask_on(proxy, &seen).await {
            seen.borrow_mut().failures.push(error.to_string());
        }
        // A proxy that is gone would otherwise be asked without a pause for anybody else.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Asks over one connection until it ends.
async fn ask_on(proxy: SocketAddr, seen: &RefCell<Seen>) -> io::Result<()> {
    let mut stream = TcpStream::connect(proxy).await?;
    stream.set_nodelay(true)?;
    let mut buffer = [0; 2048];
    let mut number = 0_u64;
    loop {
        number += 1;
        // Another path each time, so that a hash spreads them.
        let request = format!("GET /{number} HTTP/1.1\r\nHost: bench.test\r\n\r\n");
        let start = clock::now();
        stream.write_all(request.as_bytes()).await?;
        let mut filled = 0;
        let (head, body) = loop {
            match stream.read(buffer.get_mut(filled..).unwrap_or_default()).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
            let Some(head) = buffer.get(..filled).and_then(head::parse) else { continue };
            if let Some(body) = buffer
                .get(head.end..head.end + head.length.unwrap_or(0))
                .filter(|_| filled >= head.end + head.length.unwrap_or(0))
            {
                break (head, body);
            }
        };
        let end = clock::now();
        let mut seen = seen.borrow_mut();
        let name = String::from_utf8_lossy(body);
        if head::status(&buffer) == 200 {
            seen.spans.push(end - start);
            if !seen.first.contains_key(&*name) {
                seen.first.insert(name.into(), end);
            }
        } else {
            seen.failures.push(name.into_owned());
        }
        if head.close {
            return Ok(());
        }
    }
}
