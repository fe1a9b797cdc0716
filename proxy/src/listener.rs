//! Where clients connect: bind, accept, and not too many at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora_core::protocols::l4::stream::Stream;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_snapshot::ListenerSettings;

use crate::connection;
use crate::core::Core;
use crate::places::{Place, Places};

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
    door: Arc<Door>,
    address: SocketAddr,
}

/// A listener as its owner sees it.
#[derive(Clone, Debug)]
pub struct ListenerReport {
    /// The address it got.
    pub address: SocketAddr,
    /// Client connections that are open now.
    pub open: usize,
    /// What is demanded of clients now.
    pub settings: Arc<ListenerSettings>,
}

/// What may change about a listener while it accepts.
#[derive(Debug)]
pub(crate) struct Door {
    /// A connection reads them anew for each exchange.
    pub(crate) settings: ArcSwap<ListenerSettings>,
    places: Places,
    /// Connections that are open.
    open: AtomicUsize,
}

impl Door {
    /// How the listener at this address stands.
    pub(crate) fn report(&self, address: SocketAddr) -> ListenerReport {
        // Relaxed: a count for a person to read.
        ListenerReport { address, open: self.open.load(Relaxed), settings: self.settings.load_full() }
    }

    /// Demands this of clients from their next exchange on. The address is not looked at.
    pub(crate) fn change(&self, settings: ListenerSettings) {
        self.places.change(settings.max_connections);
        self.settings.store(Arc::new(settings));
    }
}

impl Listener {
    /// Binds the configured address.
    pub(crate) fn bind(settings: ListenerSettings) -> io::Result<Self> {
        let socket = if settings.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        if settings.address.is_ipv6() {
            // Or `[::]` would take the port from `0.0.0.0` as well. As nginx, whose default is `ipv6only=on`.
            SockRef::from(&socket).set_only_v6(true)?;
        }
        socket.bind(settings.address)?;
        let socket = socket.listen(BACKLOG)?;
        let address = socket.local_addr()?;
        let places = Places::new(settings.max_connections);
        let door = Door { settings: ArcSwap::from_pointee(settings), places, open: AtomicUsize::new(0) };
        Ok(Self { socket, door: Arc::new(door), address })
    }

    /// The address it got.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What may be changed about it.
    pub(crate) fn door(&self) -> Arc<Door> {
        Arc::clone(&self.door)
    }

    /// Accepts until `stop`.
    pub(crate) async fn run(self, core: Arc<Core>, tasks: TaskTracker, stop: CancellationToken) {
        let name = self.address.to_string();
        let metrics = core.observe.listener(&name);
        let places = self.door.places.clone();
        let serve = |io: TcpStream, peer: SocketAddr, place: Place, patience: Duration| {
            if io.set_nodelay(true).is_err() {
                // Gone already.
                return;
            }
            metrics.accepted.increment(1);
            let (core, door) = (core.clone(), self.door.clone());
            let counted = Counted::new(metrics.open.clone(), Arc::clone(&self.door));
            tasks.spawn(async move {
                // Serving looks at what has come before it looks whether the end has; this lets it come.
                if patience.is_zero() || tokio::time::timeout(patience, io.readable()).await.is_ok() {
                    connection::serve(core, &door.settings, Box::new(Stream::from(io)), peer).await;
                }
                drop((counted, place));
            });
        };
        loop {
            // A place first: a connection that cannot be served waits in the kernel, not in a descriptor of ours.
            let accepted = async {
                let place = places.take().await;
                (place, self.socket.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accepted => accepted,
            };
            match (place, accepted) {
                (Some(place), Ok((io, peer))) => serve(io, peer, place, Duration::ZERO),
                (_, Err(error)) => self.rest(&core, &name, &error).await,
                // Nobody closes the semaphore.
                (None, _) => break,
            }
        }
        // What the kernel has accepted by now is served: closing the listener would reset it, with its request unread.
        // The system is asked directly, since the runtime may not have heard of the newest yet.
        let Ok(socket) = self.socket.into_std() else { return };
        for _ in 0..MOST_LATE {
            let Some(place) = places.try_take() else { return };
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
    door: Arc<Door>,
}

impl Counted {
    fn new(gauge: metrics::Gauge, door: Arc<Door>) -> Self {
        gauge.increment(1.0);
        door.open.fetch_add(1, Relaxed);
        Self { gauge, door }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
        self.door.open.fetch_sub(1, Relaxed);
    }
}
