//! Connections of the admin listener: accepted, bounded, served.
//!
//! In: connections. Out: answered calls. Cost: a task for each, a place for each ([`Places`]).
//! Nobody holds a place for nothing: a head must be whole [`HEAD`] after the connection was opened or the last answer was
//! given, what is sent must be taken within [`STALL`], and when all places are taken the most silent connection makes room.
//! Not `axum::serve`: it sets no deadlines, and can close none of its connections.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::places::{Asking, Place, Places};

/// For a whole head, since the connection was opened or had its last answer: a scraper that asks every 15 s keeps its
/// connection, one that asks every minute opens another.
const HEAD: Duration = Duration::from_secs(30);
/// For what was sent to be taken, at least in part.
const STALL: Duration = Duration::from_secs(15);
/// The longest head: a token and an address are a few KiB.
const LONGEST: usize = 32 << 10;
/// For calls under way at the end.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// After the system had no descriptor left for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Whose connection it is.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Serves until `end`, then gives calls under way a moment. `over` is cancelled at the end, for answers that have none.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    places: Arc<Places>,
    over: CancellationToken,
    end: impl Future<Output = ()>,
) {
    let mut connections = JoinSet::new();
    let mut end = pin!(end);
    loop {
        tokio::select! {
            biased;
            () = &mut end => break,
            (stream, peer, place) = next(&listener, &places) => {
                let (router, over) = (router.clone(), over.clone());
                connections.spawn(async move {
                    prepare(&stream);
                    converse(stream, peer, place, router, &over).await;
                });
            }
        }
        // Takes those that have ended off the set, which would grow for ever otherwise. Not above: a connection that waits
        // for its place would be dropped.
        while connections.try_join_next().is_some() {}
    }
    over.cancel();
    let ending = async { while connections.join_next().await.is_some() {} };
    // Those that are left are cut off.
    drop(timeout(GRACE, ending).await);
}

/// The next connection there is a place for.
async fn next(listener: &TcpListener, places: &Arc<Places>) -> (TcpStream, SocketAddr, Place) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, places.take(peer.ip()).await),
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "the admin listener cannot accept");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Whether a connection was gone before it was accepted.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// What the system holds for a client that takes nothing is bounded as well. Without either all works too.
fn prepare(stream: &TcpStream) {
    let span = u32::try_from(STALL.as_millis()).unwrap_or(u32::MAX);
    let set = stream
        .set_nodelay(true)
        .and_then(|()| rustix::net::sockopt::set_tcp_user_timeout(stream, span).map_err(io::Error::from));
    if let Err(error) = set {
        tracing::debug!(%error, "a connection of the admin listener keeps the system's settings");
    }
}

/// Serves one connection to its end.
async fn converse<S>(stream: S, peer: SocketAddr, place: Place, router: Router, over: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let place = Arc::new(place);
    let router = TowerToHyperService::new(router);
    let asked = Arc::clone(&place);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(Peer(peer)));
        let (asking, answered) = (Arc::clone(&asked).ask(), router.call(request));
        async move {
            let answer: Result<Response<Body>, Infallible> = answered.await;
            answer.map(|answer| answer.map(|body| Body::new(Answer { body, _asking: asking })))
        }
    });
    let guest = Guest { stream, place: Arc::clone(&place), stalled: None };
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(LONGEST)
            .serve_connection(TokioIo::new(guest), service)
    );
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = place.taken_back() => return,
        () = over.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection of the admin listener broke");
    }
}

/// The body of an answer: until the last of it is made, which may take long (`/api/events`), the call is carried out.
struct Answer {
    body: Body,
    _asking: Asking,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose other side must take what it is sent.
struct Guest<S> {
    stream: S,
    place: Arc<Place>,
    /// Runs while nothing is taken.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Guest<S> {
    /// What became of sending, or that nothing was taken for too long.
    fn sent<T>(&mut self, sent: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.stalled = None;
            self.place.hear();
            return sent;
        }
        ready!(self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL))).as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not take what it asked for")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guest<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        if read.is_ready() {
            self.place.hear();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guest<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.sent(sent, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use weir_snapshot::Clock;

    use super::*;

    /// What a client that does this hears to the end, and how long that takes, in seconds.
    async fn heard(client: impl AsyncFnOnce(&mut DuplexStream)) -> (String, u64) {
        let endless = stream::repeat_with(|| Ok::<_, Infallible>("x".repeat(1000)));
        let router = Router::new()
            .route("/", get(|| async { "ok" }))
            .route("/endless", get(|| async { Body::from_stream(endless) }));
        let clock = Clock::start();
        let (mut near, far) = duplex(4096);
        let over = CancellationToken::new();
        let place = Places::new(clock).take([127, 0, 0, 1].into()).await;
        let serving = converse(far, ([127, 0, 0, 1], 1).into(), place, router, &over);
        let asking = async {
            client(&mut near).await;
            let mut text = Vec::new();
            near.read_to_end(&mut text).await.unwrap();
            String::from_utf8(text).unwrap()
        };
        let began = clock.now();
        let ((), text) = tokio::join!(serving, asking);
        (text, clock.now().since(began).as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_or_half_a_head_or_nothing_more_has_so_long() {
        assert_eq!(heard(async |_| {}).await, (String::new(), 30));
        let half = async |near: &mut DuplexStream| near.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
        assert_eq!(heard(half).await, (String::new(), 30));
        let drips = async |near: &mut DuplexStream| {
            // Until it is closed.
            while near.write_all(b"G").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        };
        assert_eq!(heard(drips).await.1, 30);
        let (text, after) = heard(async |near: &mut DuplexStream| {
            near.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            sleep(Duration::from_secs(20)).await;
            near.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        })
        .await;
        assert_eq!((text.matches("HTTP/1.1 200").count(), after), (2, 50));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_what_it_asked_for_is_cut_and_who_takes_it_slowly_is_not() {
        let (_, after) = heard(async |near: &mut DuplexStream| {
            near.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            // The connection is kept, and read only once the other side has given up.
            sleep(4 * STALL).await;
        })
        .await;
        assert_eq!(after, 60);
        let (text, after) = heard(async |near: &mut DuplexStream| {
            near.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            for _ in 0..20 {
                sleep(Duration::from_secs(10)).await;
                near.read_exact(&mut [0; 4096]).await.unwrap();
            }
            sleep(Duration::from_secs(20)).await;
        })
        .await;
        assert!(after == 220 && text.len() <= 4096, "{after}: {}", text.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_too_long_is_refused() {
        let (text, _) = heard(async |near: &mut DuplexStream| {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(LONGEST));
            // Not all of it is taken.
            drop(near.write_all(head.as_bytes()).await);
        })
        .await;
        assert!(text.starts_with("HTTP/1.1 431"), "{text}");
    }
}
