//! Endpoints that say who they are and remember when they were last asked.
//!
//! In: a name, or a port for every address of the machine itself. Out: HTTP/1.1 answers of a line. Cost: two system
//! calls per request; they run on this process's one thread, beside the clients.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, spawn_local};

use crate::rig::{clock, head};

/// When the last request arrived; `None` before the first.
type Last = Rc<Cell<Option<Instant>>>;

/// A running endpoint; takes no more connections when dropped, those that are open go on.
pub(crate) struct Endpoint {
    address: SocketAddr,
    last: Last,
    accepting: JoinHandle<()>,
}

impl Endpoint {
    /// Answers with `name` on a free loopback port.
    pub(crate) async fn start(name: &str) -> io::Result<Self> {
        Self::listen(Ipv4Addr::LOCALHOST, name).await
    }

    /// Answers with `name` on a free port of every loopback address: 127.0.0.0/8 is a fleet of any size. Who connects
    /// from elsewhere gets nothing.
    pub(crate) async fn everywhere(name: &str) -> io::Result<Self> {
        Self::listen(Ipv4Addr::UNSPECIFIED, name).await
    }

    async fn listen(ip: Ipv4Addr, name: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((ip, 0)).await?;
        let address = listener.local_addr()?;
        let answer: Rc<[u8]> =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()).into_bytes().into();
        let last = Last::default();
        let accepting = spawn_local(accept(listener, answer, Rc::clone(&last)));
        Ok(Self { address, last, accepting })
    }

    /// Where it serves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// When it was last asked.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.last.get()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, answer: Rc<[u8]>, last: Last) {
    while let Ok((stream, _)) = listener.accept().await {
        if stream.local_addr().is_ok_and(|address| address.ip().is_loopback()) {
            spawn_local(serve(stream, Rc::clone(&answer), Rc::clone(&last)));
        }
    }
}

/// Serves one connection until either side has had enough.
async fn serve(mut stream: TcpStream, answer: Rc<[u8]>, last: Last) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut buffer = [0; 2048];
    loop {
        let mut filled = 0;
        while buffer.get(..filled).and_then(head::parse).is_none() {
            match stream.read(buffer.get_mut(filled..).unwrap_or_default()).await {
                Ok(0) | Err(_) => return,
                Ok(count) => filled += count,
            }
        }
        last.set(Some(clock::now()));
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}
