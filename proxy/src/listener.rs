//! Where clients connect: bind, accept, and not too many at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use pingora_core::protocols::l4::stream::Stream;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_snapshot::ListenerSettings;

use crate::connection;
use crate::core::Core;

/// Connections that may wait in the kernel; it cuts this to `net.core.somaxconn`.
const BACKLOG: u32 = 65_535;

/// Connections that are taken in after the end was asked for: what `net.core.somaxconn` lets wait by default, so that new
/// ones cannot keep a listener open for ever.
const MOST_LATE: u32 = 4096;

/// How long accepting rests when the process has no file descriptor left: long enough not to burn a core, short enough
/// not to be noticed once one is free. Also how long a client that was accepted at the very end may take for its request.
const REST: Duration = Duration::from_millis(50);

/// A bound listener.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    settings: Arc<ListenerSettings>,
    address: SocketAddr,
    open: Arc<AtomicUsize>,
}

/// A listener as its owner sees it.
#[derive(Clone, Debug)]
pub struct ListenerReport {
    /// The address it got.
    pub address: SocketAddr,
    /// Client connections that are open now.
    pub open: usize,
    /// What was configured.
    pub settings: Arc<ListenerSettings>,
}

/// Looks at a listener, also when it has been closed.
#[derive(Debug)]
pub(crate) struct Look {
    address: SocketAddr,
    open: Arc<AtomicUsize>,
    pub(crate) settings: Arc<ListenerSettings>,
}

impl Look {
    /// How it stands.
    pub(crate) fn report(&self) -> ListenerReport {
        // Relaxed: a count for a person to read.
        let (open, settings) = (self.open.load(Relaxed), Arc::clone(&self.settings));
        ListenerReport { address: self.address, open, settings }
    }
}

impl Listener {
    /// Binds the configured address.
    pub(crate) fn bind(settings: ListenerSettings) -> io::Result<Self> {
        let socket = if settings.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(settings.address)?;
        let socket = socket.listen(BACKLOG)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, settings: Arc::new(settings), address, open: Arc::default() })
    }

    /// The address it got.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A look at it that outlasts it.
    pub(crate) fn look(&self) -> Look {
        Look { address: self.address, open: Arc::clone(&self.open), settings: Arc::clone(&self.settings) }
    }

    /// Accepts until `stop`.
    pub(crate) async fn run(self, core: Arc<Core>, tasks: TaskTracker, stop: CancellationToken) {
        let name = self.address.to_string();
        let metrics = core.observe.listener(&name);
        let places = Arc::new(Semaphore::new(self.settings.max_connections.min(Semaphore::MAX_PERMITS)));
        let serve = |io: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit, patience: Duration| {
            if io.set_nodelay(true).is_err() {
                // Gone already.
                return;
            }
            metrics.accepted.increment(1);
            let counted = Counted::new(metrics.open.clone(), Arc::clone(&self.open));
            let (core, settings) = (core.clone(), self.settings.clone());
            tasks.spawn(async move {
                // Serving looks at what has come before it looks whether the end has; this lets it come.
                if patience.is_zero() || tokio::time::timeout(patience, io.readable()).await.is_ok() {
                    connection::serve(core, settings, Box::new(Stream::from(io)), peer).await;
                }
                drop((counted, place));
            });
        };
        loop {
            // A place first: a connection that cannot be served waits in the kernel, not in a descriptor of ours.
            let accepted = async {
                let place = places.clone().acquire_owned().await;
                (place, self.socket.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accepted => accepted,
            };
            match (place, accepted) {
                (Ok(place), Ok((io, peer))) => serve(io, peer, place, Duration::ZERO),
                (_, Err(error)) => self.rest(&core, &name, &error).await,
                // Nobody closes the semaphore.
                (Err(_), _) => break,
            }
        }
        // What the kernel has accepted by now is served: closing the listener would reset it, with its request unread.
        // The system is asked directly, since the runtime may not have heard of the newest yet.
        let Ok(socket) = self.socket.into_std() else { return };
        for _ in 0..MOST_LATE {
            let Ok(place) = places.clone().try_acquire_owned() else { return };
            let Ok((io, peer)) = socket.accept() else { return };
            if io.set_nonblocking(true).is_ok()
                && let Ok(io) = TcpStream::from_std(io)
            {
                serve(io, peer, place, REST);
            }
        }
    }

    async fn rest(&self, core: &Core, name: &str, error: &io::Error) {
        // accept(2): these mean that this process or the system is out of descriptors or memory; accept would fail
        // again at once. All other errors are of the one connection.
        const EXHAUSTED: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
        if error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code)) {
            core.observe.accept_failed(name, "exhausted");
            tracing::warn!(listener = name, %error, "cannot accept: raise the limit of open files or lower `max_connections`");
            tokio::time::sleep(REST).await;
        } else {
            core.observe.accept_failed(name, "connection");
        }
    }
}

/// Counts an open connection, down also when its task panics.
struct Counted {
    gauge: metrics::Gauge,
    open: Arc<AtomicUsize>,
}

impl Counted {
    fn new(gauge: metrics::Gauge, open: Arc<AtomicUsize>) -> Self {
        gauge.increment(1.0);
        open.fetch_add(1, Relaxed);
        Self { gauge, open }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
        self.open.fetch_sub(1, Relaxed);
    }
}
