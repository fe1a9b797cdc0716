//! A client with as many connections as it takes: kept alive, and never one too few.
//!
//! In: requests. Out: answers read whole, or why there is none. A request takes the connection that was used last, or opens
//! one; nothing waits for a connection. A connection that its peer closed before the request went out is replaced, as every
//! client does; anything else is the contender's failure. Cost: one task per connection.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::endpoint::NUMBER;

/// How many kept connections may turn out closed for one request.
const STALE: usize = 16;

/// An answer that arrived whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The number of the endpoint, as the answer says it.
    pub(crate) endpoint: Option<usize>,
    /// How long the work took without waiting, in milliseconds, as the answer says it.
    pub(crate) work: Option<f64>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    #[error("no answer")]
    Broken(#[from] hyper::Error),
    #[error("{STALE} connections in a row were closed before a request went out")]
    Stale,
}

/// A client of one address.
pub(crate) struct Client {
    address: SocketAddr,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Client {
    /// A client without connections.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// Sends `request` and reads its answer whole.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn ask(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        for _ in 0..STALE {
            let mut connection = match self.kept() {
                Some(connection) => connection,
                None => self.open().await?,
            };
            match connection.try_send_request(request).await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    body.collect().await?;
                    // Not ready for another: it is closing.
                    if connection.ready().await.is_ok() {
                        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                    }
                    return Ok(Answer::read(&head));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        Err(Failure::Stale)
    }

    /// The connection that was used last and is still open.
    fn kept(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop()).find(SendRequest::is_ready)
    }

    async fn open(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let stream = TcpStream::connect(self.address).await.map_err(Failure::Connect)?;
        stream.set_nodelay(true).map_err(Failure::Connect)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its end shows in the sender.
        tokio::spawn(async move { connection.await.unwrap_or_default() });
        Ok(sender)
    }
}

impl Answer {
    fn read(head: &hyper::http::response::Parts) -> Self {
        let field = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let number = field(NUMBER).or_else(|| field("x-optimizer"));
        Self {
            status: head.status.as_u16(),
            endpoint: number.and_then(|text| text.parse().ok()),
            work: field("server-timing").and_then(work),
        }
    }
}

/// The duration of the metric `work` in a `Server-Timing` field, in milliseconds.
fn work(field: &str) -> Option<f64> {
    let metric = field.split(',').map(str::trim).find(|metric| metric.split(';').next() == Some("work"))?;
    metric.split(';').find_map(|part| part.trim().strip_prefix("dur=")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_found_among_other_metrics() {
        assert_eq!(work("work;dur=12.5"), Some(12.5));
        assert_eq!(work("queue;dur=3, work;desc=\"all\"; dur=7, decode;dur=1"), Some(7.0));
        assert_eq!(work("network;dur=3"), None);
    }
}
