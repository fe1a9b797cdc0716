//! The endpoint behind every proxy: reads a request whole, answers with bytes made beforehand.
//!
//! In: the case. Out: the address it serves on, until it is dropped. Cost: two system calls per small request; a large
//! body is read into a buffer and forgotten. It runs in this process, on the load's core, so that the proxy has its
//! own. A request that is not the one of its case is answered 400, which the load reports.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::head;
use crate::case::Case;

/// How much of a body is read at once: what makes the endpoint cheap, since only the proxy is to be measured.
const BUFFER: usize = 256 * 1024;

const REFUSED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A running endpoint; ends, with its connections, when dropped.
pub(crate) struct Endpoint {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Endpoint {
    /// Serves `case` on a free loopback port.
    pub(crate) async fn start(case: Case) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, case.answer(), case.body()));
        Ok(Self { address, accepting })
    }

    /// Where it serves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, answer: Bytes, body: usize) {
    let mut connections = JoinSet::new();
    // An error of accept ends it; the load then sees the proxy's 502 and says so.
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(stream, answer.clone(), body));
    }
}

/// Serves one connection until either side has had enough.
async fn serve(mut stream: TcpStream, answer: Bytes, body: usize) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut buffer = vec![0; if body == 0 { 4096 } else { BUFFER }];
    loop {
        match request(&mut stream, &mut buffer, body).await {
            Some(true) if stream.write_all(&answer).await.is_ok() => {}
            Some(false) => return drop(stream.write_all(REFUSED).await),
            Some(true) | None => return,
        }
    }
}

/// Reads one request; says whether it was the expected one. `None` at the end of the connection.
async fn request(stream: &mut TcpStream, buffer: &mut [u8], body: usize) -> Option<bool> {
    let mut filled = 0;
    let head = loop {
        filled += match stream.read(buffer.get_mut(filled..)?).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => count,
        };
        if let Some(head) = buffer.get(..filled).and_then(head::parse) {
            break head;
        }
    };
    if head.encoded || head.length.unwrap_or(0) != body || filled > head.end + body {
        return Some(false);
    }
    let mut left = head.end + body - filled;
    while left > 0 {
        match stream.read(buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) if count > left => return Some(false),
            Ok(count) => left -= count,
        }
    }
    Some(true)
}
