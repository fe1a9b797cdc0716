//! The HTTP shell: listens, bounds what is held and worked on at once, answers.
//!
//! In: [`Options`] and connections. Out: answers, metrics, and a clean end. Cost: one task per connection; images are
//! worked on in a bounded number of blocking threads. HTTP/1.1 with keep-alive, `Expect: 100-continue`, chunked bodies.

mod accept;
mod answer;
mod body;
mod budget;
mod condition;
mod metrics;
mod pieces;
mod tag;
mod work;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::metrics::Metrics;
use self::work::Workers;
use crate::kernel::{Kernel, Limits, Logos};

/// Longest wait for a request head, and for the next request of a kept connection. Longer than the minute for which
/// proxies usually keep idle connections, so that it is they who close.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Pause after an `accept` that failed: out of descriptors, trying again at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a connection holds of a body at most before it is counted: enough that a large body takes few system calls.
const CONNECTION_BUFFER: usize = 64 << 10;

/// What an optimizer is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Images worked on at once; 0 counts as 1.
    pub workers: usize,
    /// Images that may wait for a worker. Beyond: 503 with `Retry-After`.
    pub queue: usize,
    /// Value of the `X-Optimizer` header: 1 to 64 visible ASCII characters. `None`: `optimizer-PORT`.
    pub id: Option<String>,
    /// Largest image.
    pub limits: Limits,
    /// What `logo=NAME` may draw.
    pub logos: Logos,
    /// Bytes of all bodies held at once: received, waiting, and being sent. Beyond: 503 with `Retry-After`.
    pub body_memory: u64,
    /// Bytes that all images being worked on may take together. Others wait in the queue; one that could never have
    /// enough gets 413.
    pub kernel_memory: u64,
    /// How long a client may take nothing of an answer; then its connection is closed, and the memory given back. Kept
    /// by the operating system, on Linux.
    pub send_timeout: Duration,
    /// Whether a matching `If-None-Match` gets 304 instead of 412.
    pub not_modified: bool,
    /// Value of the `Cache-Control` header of pictures.
    pub cache_control: Option<String>,
    /// Time between failing `/healthz` and closing the listener.
    pub shutdown_delay: Duration,
    /// Time for running requests after that; then they are cut off.
    pub shutdown_deadline: Duration,
}

impl Options {
    /// A queue that keeps `workers` busy through a burst without making anybody wait for long.
    pub fn queue_for(workers: usize) -> usize {
        4 * workers + 16
    }
}

impl Default for Options {
    /// A free loopback port, one worker per core.
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            workers,
            queue: Self::queue_for(workers),
            id: None,
            limits: Limits::default(),
            logos: Logos::default(),
            body_memory: 512 << 20,
            // Any 64-megapixel photo, or a PNG of that size with transparency, decoded and turned and written.
            kernel_memory: 2 << 30,
            // As long as a client may take between two pieces of its own body.
            send_timeout: Duration::from_secs(30),
            not_modified: false,
            cache_control: None,
            shutdown_delay: Duration::ZERO,
            shutdown_deadline: Duration::from_secs(30),
        }
    }
}

/// What the connections of one optimizer share.
#[derive(Debug)]
struct Shared {
    id: String,
    kernel: Kernel,
    limits: Limits,
    workers: Workers,
    /// One permit per byte of a body that may still be held.
    body_memory: Arc<Semaphore>,
    body_limit: u64,
    send_timeout: Duration,
    not_modified: bool,
    cache_control: Option<HeaderValue>,
    metrics: Metrics,
    draining: AtomicBool,
}

/// An optimizer that listens and does not answer yet: see [`Optimizer::run`].
#[derive(Debug)]
pub struct Optimizer {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    delay: Duration,
    deadline: Duration,
}

impl Optimizer {
    /// Listens. Connections wait until [`Optimizer::run`].
    ///
    /// # Errors
    /// When the address cannot be listened on, the id is not 1 to 64 visible ASCII characters without quotes, or the
    /// `Cache-Control` is no header value.
    pub async fn bind(options: Options) -> io::Result<Self> {
        let kernel = Kernel::with_logos(options.logos).map_err(io::Error::other)?;
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let id = options.id.unwrap_or_else(|| format!("optimizer-{}", address.port()));
        let visible = id.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'));
        if id.is_empty() || id.len() > 64 || !visible {
            let why = format!("the id `{id}` is not 1 to 64 visible ASCII characters without quotes and backslashes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let cache_control = options.cache_control.map(HeaderValue::try_from).transpose().map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "the Cache-Control has characters that no header may have")
        })?;
        let bytes = usize::try_from(options.body_memory).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let shared = Shared {
            id,
            kernel,
            limits: options.limits,
            workers: Workers::new(options.workers, options.queue, options.kernel_memory),
            body_memory: Arc::new(Semaphore::new(bytes)),
            body_limit: bytes as u64,
            send_timeout: options.send_timeout,
            not_modified: options.not_modified,
            cache_control,
            metrics: Metrics::default(),
            draining: AtomicBool::new(false),
        };
        let shared = Arc::new(shared);
        Ok(Self { listener, address, shared, delay: options.shutdown_delay, deadline: options.shutdown_deadline })
    }

    /// Where it listens, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The value of its `X-Optimizer` header.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// Answers until `shutdown` is done; then fails `/healthz` for the delay, stops accepting, lets running requests
    /// finish within the deadline, and returns.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, shared, delay, deadline, .. } = self;
        let (stop, stopped) = watch::channel(());
        let mut connections = JoinSet::new();
        serve_until(shutdown, &listener, &shared, &stopped, &mut connections).await;
        // Relaxed: nothing else is published with it.
        shared.draining.store(true, Relaxed);
        if !delay.is_zero() {
            serve_until(sleep(delay), &listener, &shared, &stopped, &mut connections).await;
        }
        drop(listener);
        stop.send_replace(());
        let idle = async { while connections.join_next().await.is_some() {} };
        if timeout(deadline, idle).await.is_err() {
            tracing::warn!("{} requests were cut off at the shutdown deadline", connections.len());
            connections.shutdown().await;
        }
    }
}

/// Accepts and serves connections until `end` is done. They go on after that.
async fn serve_until(
    end: impl Future<Output = ()>,
    listener: &TcpListener,
    shared: &Arc<Shared>,
    stopped: &watch::Receiver<()>,
    connections: &mut JoinSet<()>,
) {
    let mut end = pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(shared), stopped.clone()));
                }
                Err(error) => {
                    tracing::warn!("cannot accept: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            // Takes finished connections off the set, which would grow for ever otherwise.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, mut stopped: watch::Receiver<()>) {
    // An answer is written in one go; waiting for more to send would only delay it. Without it all works too.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("cannot set TCP_NODELAY: {error}");
    }
    #[cfg(target_os = "linux")]
    {
        let span = u32::try_from(shared.send_timeout.as_millis()).unwrap_or(u32::MAX);
        if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(&stream, span) {
            tracing::debug!("cannot set TCP_USER_TIMEOUT: {error}");
        }
    }
    let service = service_fn(|request| answer::answer(Arc::clone(&shared), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(CONNECTION_BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("connection ended: {error}");
    }
}
