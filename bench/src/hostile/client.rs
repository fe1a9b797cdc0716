//! One request and its answer.
//!
//! In: an address, a head, a body. Out: the answer, or how there was none. Cost: a connection each.
//! The answer is read while the body is still being written, as a refusal may come before all of it is taken.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::head;

/// How long an answer may take: a large picture behind a whole queue of them.
const PATIENCE: Duration = Duration::from_mins(1);

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The head, in lower case.
    head: String,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The value of a header field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }
}

/// The head of a request for a picture.
pub(crate) fn head(query: &str, fields: &str, length: usize) -> String {
    let mark = if query.is_empty() { "" } else { "?" };
    format!(
        "POST /optimize{mark}{query} HTTP/1.1\r\nHost: o\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n"
    )
}

/// Sends a request and reads the whole answer; `None` when there is none that is whole.
pub(crate) async fn ask(address: SocketAddr, head: &str, body: &[u8]) -> Option<Reply> {
    timeout(PATIENCE, exchange(address, head, body)).await.ok().flatten()
}

/// `GET path`.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Option<Reply> {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n"), &[]).await
}

async fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> Option<Reply> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let (mut reader, mut writer) = stream.split();
    let write = async {
        // Who refuses early may close before all is written; what counts is the answer.
        drop(writer.write_all(head.as_bytes()).await);
        drop(writer.write_all(body).await);
    };
    let mut bytes = Vec::new();
    let read = async {
        // An end by a reset may come right behind an answer.
        drop(reader.read_to_end(&mut bytes).await);
    };
    tokio::join!(write, read);
    let found = head::parse(&bytes)?;
    let status = head::status(&bytes);
    let head = String::from_utf8_lossy(bytes.get(..found.end)?).to_lowercase();
    let body = Bytes::from(bytes).slice(found.end..);
    // A 304 has no body whatever it says.
    (status == 304 || found.length == Some(body.len())).then_some(Reply { status, head, body })
}
