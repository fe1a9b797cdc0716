//! A closed loop of clients: each connection sends its next request when the last answer has arrived whole.
//!
//! In: an address, a case, a number of connections. Out: how many answers arrived, or the first [`Fault`]. Every answer
//! is checked: status 200, the right length, nothing behind it. A connection that the proxy announces to close (nginx
//! does after 1,000 requests) is opened anew, as any client would. Cost: two system calls per small request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::head;
use crate::case::Case;

/// How long a connection may take to open, and the last answers to arrive: a proxy that needs more hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of an answer is read at once.
const BUFFER: usize = 256 * 1024;

/// What makes a round worthless.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    #[error("a connection failed: {0}")]
    Broken(#[from] std::io::Error),
    #[error("a connection was closed {0} bytes into an answer")]
    Closed(usize),
    #[error("an answer had status {0}")]
    Status(u16),
    #[error("an answer had a head of more than {BUFFER} bytes")]
    Endless,
    #[error("an answer announced {found:?} bytes instead of {expected}")]
    Length { found: Option<usize>, expected: usize },
    #[error("more bytes than announced followed an answer")]
    Surplus,
    #[error("an answer did not arrive within {PATIENCE:?}")]
    Hung,
    #[error("the load failed: {0}")]
    Load(#[from] tokio::task::JoinError),
}

/// Clients at work.
pub(crate) struct Load {
    clients: JoinSet<Result<(), Fault>>,
    tally: Arc<Tally>,
}

#[derive(Default)]
struct Tally {
    answers: AtomicU64,
    reconnects: AtomicU64,
    stopping: AtomicBool,
}

impl Load {
    /// Opens `connections` to `address` and begins to send.
    ///
    /// # Errors
    /// [`Fault::Connect`] or [`Fault::Hung`].
    pub(crate) async fn start(address: SocketAddr, case: Case, connections: usize) -> Result<Self, Fault> {
        let (request, tally) = (case.request(), Arc::new(Tally::default()));
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            let client = Client::connect(address, request.clone(), case.reply()).await?;
            clients.spawn(client.run(tally.clone()));
        }
        Ok(Self { clients, tally })
    }

    /// Answers that have arrived whole so far.
    pub(crate) fn answers(&self) -> u64 {
        self.tally.answers.load(Relaxed)
    }

    /// Connections that were opened again so far, because the proxy closed them as it had announced.
    pub(crate) fn reconnects(&self) -> u64 {
        self.tally.reconnects.load(Relaxed)
    }

    /// Lets every client finish its request.
    ///
    /// # Errors
    /// The first fault that any client met since [`Load::start`].
    pub(crate) async fn finish(mut self) -> Result<(), Fault> {
        self.tally.stopping.store(true, Relaxed);
        let all = async {
            while let Some(client) = self.clients.join_next().await {
                client??;
            }
            Ok(())
        };
        timeout(PATIENCE, all).await.unwrap_or(Err(Fault::Hung))
    }
}

/// One client with its connection.
pub(crate) struct Client {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
    request: Bytes,
    reply: usize,
}

impl Client {
    /// Opens a connection.
    ///
    /// # Errors
    /// [`Fault::Connect`] or [`Fault::Hung`].
    pub(crate) async fn connect(address: SocketAddr, request: Bytes, reply: usize) -> Result<Self, Fault> {
        let buffer = vec![0; if reply > BUFFER / 2 { BUFFER } else { 4096 }];
        Ok(Self { address, stream: open(address).await?, buffer, request, reply })
    }

    /// One request and its answer; says whether the connection stays open.
    ///
    /// # Errors
    /// Any [`Fault`].
    pub(crate) async fn ask(&mut self) -> Result<bool, Fault> {
        self.stream.write_all(&self.request).await?;
        let mut filled = 0;
        let head = loop {
            let room = self.buffer.get_mut(filled..).filter(|room| !room.is_empty()).ok_or(Fault::Endless)?;
            match self.stream.read(room).await? {
                0 => return Err(Fault::Closed(filled)),
                count => filled += count,
            }
            if let Some(head) = self.buffer.get(..filled).and_then(head::parse) {
                break head;
            }
        };
        let status = head::status(&self.buffer);
        if status != 200 {
            return Err(Fault::Status(status));
        }
        if head.length != Some(self.reply) || head.encoded {
            return Err(Fault::Length { found: head.length, expected: self.reply });
        }
        let mut left = (head.end + self.reply).checked_sub(filled).ok_or(Fault::Surplus)?;
        while left > 0 {
            let count = self.stream.read(&mut self.buffer).await?;
            if count == 0 {
                return Err(Fault::Closed(head.end + self.reply - left));
            }
            left = left.checked_sub(count).ok_or(Fault::Surplus)?;
        }
        Ok(!head.close)
    }

    /// The connection, for one who only wants to keep it open.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    async fn run(mut self, tally: Arc<Tally>) -> Result<(), Fault> {
        while !tally.stopping.load(Relaxed) {
            let stays = self.ask().await?;
            tally.answers.fetch_add(1, Relaxed);
            if !stays {
                tally.reconnects.fetch_add(1, Relaxed);
                self.stream = open(self.address).await?;
            }
        }
        Ok(())
    }
}

async fn open(address: SocketAddr) -> Result<TcpStream, Fault> {
    let stream = timeout(PATIENCE, TcpStream::connect(address)).await.map_err(|_| Fault::Hung)?;
    let stream = stream.map_err(Fault::Connect)?;
    stream.set_nodelay(true).map_err(Fault::Connect)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::endpoint::Endpoint;
    use super::*;

    /// What a client of the small case makes of a server that answers `answer` and then closes.
    async fn outcome(answer: &'static str) -> Result<bool, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; Case::Small.request().len()];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let mut client = Client::connect(address, Case::Small.request(), 4).await.unwrap();
        let outcome = client.ask().await;
        server.await.unwrap();
        outcome
    }

    #[tokio::test]
    async fn only_a_whole_answer_of_the_right_length_counts() {
        let good = outcome("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody").await;
        assert!(matches!(good, Ok(true)), "{good:?}");
        let last = outcome("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody").await;
        assert!(matches!(last, Ok(false)), "{last:?}");
        let refused = outcome("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nbody").await;
        assert!(matches!(refused, Err(Fault::Status(502))), "{refused:?}");
        let short = outcome("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo").await;
        assert!(matches!(short, Err(Fault::Closed(_))), "{short:?}");
        let other = outcome("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbod").await;
        assert!(matches!(other, Err(Fault::Length { found: Some(3), expected: 4 })), "{other:?}");
        let long = outcome("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody.").await;
        assert!(matches!(long, Err(Fault::Surplus)), "{long:?}");
    }

    #[tokio::test]
    async fn one_wrong_answer_spoils_the_whole_load() {
        // The endpoint of one case refuses the requests of the other.
        let endpoint = Endpoint::start(Case::Large).await.unwrap();
        let load = Load::start(endpoint.address(), Case::Small, 2).await.unwrap();
        let spoiled = load.finish().await;
        assert!(matches!(spoiled, Err(Fault::Status(400))), "{spoiled:?}");
    }

    #[tokio::test]
    async fn a_load_counts_every_answer_of_its_case() {
        for case in [Case::Small, Case::Large] {
            let endpoint = Endpoint::start(case).await.unwrap();
            let load = Load::start(endpoint.address(), case, 2).await.unwrap();
            while load.answers() < 20 {
                tokio::task::yield_now().await;
            }
            assert_eq!(load.reconnects(), 0);
            load.finish().await.unwrap();
        }
    }
}
