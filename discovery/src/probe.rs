//! One probe of one endpoint.
//!
//! In: an address and a [`Probe`]. Out: well, or why not. Cost: one connection, opened and closed; at most 64 KiB of body.
//! The deadline covers all of it.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use weir_snapshot::{Millis, Probe, ProbeKind};

use crate::causes::with_causes;

/// Why a probe did not find its endpoint well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeFailure {
    #[error("no whole answer within {limit}")]
    Timeout { limit: Millis },
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("the exchange broke")]
    Broken(#[source] hyper::Error),
    #[error("answered {0}")]
    Status(u16),
    #[error("the expected text is not in the answer's first 64 KiB")]
    Body,
    /// Nothing was found out: this machine could not even ask.
    #[error("cannot ask")]
    Unasked(#[source] Box<dyn Error + Send + Sync>),
}

impl ProbeFailure {
    /// The whole reason in one line: hyper and the system say what happened in the causes.
    pub(crate) fn chain(&self) -> String {
        with_causes(self)
    }

    /// The `result` label in metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "timeout",
            Self::Connect(_) => "connect",
            Self::Broken(_) => "broken",
            Self::Status(_) => "status",
            Self::Body => "body",
            Self::Unasked(_) => "unasked",
        }
    }
}

/// How much of an answer's body is searched.
const SEARCHED: usize = 64 << 10;
/// What probes call themselves.
const USER_AGENT: &str = concat!("weir-health/", env!("CARGO_PKG_VERSION"));

/// Asks once.
pub(crate) async fn ask(address: SocketAddr, probe: &Probe) -> Result<(), ProbeFailure> {
    let asked = async {
        let stream = connect(address).await?;
        match &probe.kind {
            ProbeKind::Tcp => Ok(()),
            ProbeKind::Http { path, host, statuses, body } => {
                let request = request(address, path, host.as_deref())?;
                http(stream, request, statuses, body.as_deref()).await
            }
        }
    };
    let limit = probe.timeout;
    tokio::time::timeout(limit.duration(), asked).await.unwrap_or(Err(ProbeFailure::Timeout { limit }))
}

async fn connect(address: SocketAddr) -> Result<TcpStream, ProbeFailure> {
    let stream = TcpStream::connect(address).await.map_err(|error| {
        // The endpoint has no part in these: blaming it would eject the whole fleet when this process runs out.
        if is_ours(&error) { ProbeFailure::Unasked(error.into()) } else { ProbeFailure::Connect(error) }
    })?;
    // A port that nobody listens on may be lent to the very connection that asks for it, which then talks to itself
    // (and would keep the endpoint from coming back to its port).
    match stream.local_addr() {
        Ok(local) if local == address => Err(ProbeFailure::Connect(io::ErrorKind::ConnectionRefused.into())),
        _ => Ok(stream),
    }
}

/// No descriptors (process, system), no memory, no buffers, no free local port.
fn is_ours(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    matches!(error.kind(), io::ErrorKind::OutOfMemory | io::ErrorKind::AddrNotAvailable)
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOBUFS))
}

fn request(address: SocketAddr, path: &str, host: Option<&str>) -> Result<Request<Empty<Bytes>>, ProbeFailure> {
    let host = host.map_or_else(|| address.to_string(), Into::into);
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close");
    request.body(Empty::new()).map_err(|error| ProbeFailure::Unasked(error.into()))
}

async fn http(
    stream: TcpStream,
    request: Request<Empty<Bytes>>,
    statuses: &[(u16, u16)],
    text: Option<&str>,
) -> Result<(), ProbeFailure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(ProbeFailure::Broken)?;
    let mut exchange = pin!(async {
        let answer = sender.send_request(request).await.map_err(ProbeFailure::Broken)?;
        let status = answer.status().as_u16();
        if !statuses.iter().any(|&(first, last)| (first..=last).contains(&status)) {
            return Err(ProbeFailure::Status(status));
        }
        match text {
            Some(text) => find(answer.into_body(), text.as_bytes()).await,
            None => Ok(()),
        }
    });
    tokio::select! {
        found = &mut exchange => found,
        // The connection may be done before its answer has been looked at; what broke it, the exchange is told as well.
        _ = connection => exchange.await,
    }
}

/// Reads until the text was found, so that an endless answer is none the worse for it.
async fn find(
    mut body: impl Body<Data = Bytes, Error = hyper::Error> + Unpin,
    text: &[u8],
) -> Result<(), ProbeFailure> {
    let mut read: Vec<u8> = Vec::new();
    loop {
        if text.is_empty() {
            return Ok(());
        }
        let Some(frame) = body.frame().await.transpose().map_err(ProbeFailure::Broken)? else {
            return Err(ProbeFailure::Body);
        };
        let Ok(data) = frame.into_data() else { continue };
        // What was searched already ends with up to one byte less than the text.
        let from = read.len().saturating_sub(text.len() - 1);
        read.extend(data.iter().take(SEARCHED - read.len()));
        if read[from..].windows(text.len()).any(|window| window == text) {
            return Ok(());
        }
        if read.len() == SEARCHED {
            return Err(ProbeFailure::Body);
        }
    }
}
