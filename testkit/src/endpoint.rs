//! A fake HTTP/1 endpoint on a loopback port that does what its script says and remembers what it received.
//!
//! In: a [`Script`]. Out: [`Seen`]: connections, requests with bodies, who closed. Cost: one thread per connection.
//! It can be stopped (connections are refused) and restarted on the same port.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use crate::body::Body;
use crate::connection::Connection;
use crate::deadline::{Deadline, PATIENCE};
use crate::plan::Plan;
use crate::port::free_port;
use crate::reply::Reply;
use crate::wire::Head;

/// A request whose head has arrived, as the script sees it. All numbers count from 0.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which connection, in the order they were accepted.
    pub connection: usize,
    /// Which request on this connection.
    pub nth: usize,
    /// Which request of all.
    pub index: usize,
    /// Its head.
    pub head: Head,
}

impl Call {
    /// The method as sent.
    pub fn method(&self) -> &str {
        self.head.word(0)
    }

    /// The request target as sent.
    pub fn target(&self) -> &str {
        self.head.word(1)
    }
}

/// One request as received; its body may still be on its way.
#[derive(Clone, Debug)]
pub struct Received {
    /// Which connection it came on, counted from 0.
    pub connection: usize,
    /// Its head.
    pub head: Head,
    /// What has been read of its body.
    pub body: Body,
}

impl Received {
    /// The method as sent.
    pub fn method(&self) -> &str {
        self.head.word(0)
    }

    /// The request target as sent.
    pub fn target(&self) -> &str {
        self.head.word(1)
    }
}

/// All that an endpoint has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Connections accepted.
    pub accepted: usize,
    /// Connections now open.
    pub open: usize,
    /// Connections that the other side closed or reset first.
    pub closed_by_peer: usize,
    /// Requests in the order their heads were complete.
    pub requests: Vec<Received>,
    /// Bytes that never became a whole head, one entry per connection that ended so.
    pub stray: Vec<Bytes>,
}

/// What an endpoint does with connections and requests.
#[derive(Clone)]
pub struct Script {
    on_accept: Arc<dyn Fn(usize) -> Plan + Send + Sync>,
    on_request: Arc<dyn Fn(&Call) -> Plan + Send + Sync>,
}

impl Script {
    /// Asks `on_request` for the plan of each request.
    pub fn new(on_request: impl Fn(&Call) -> Plan + Send + Sync + 'static) -> Self {
        Self { on_accept: Arc::new(|_| Plan::new()), on_request: Arc::new(on_request) }
    }

    /// Carries out `on_accept(connection)` before the first byte of each connection is read: reset it, hang, say
    /// something unasked.
    #[must_use]
    pub fn on_accept(mut self, on_accept: impl Fn(usize) -> Plan + Send + Sync + 'static) -> Self {
        self.on_accept = Arc::new(on_accept);
        self
    }

    pub(crate) fn accepted(&self, connection: usize) -> Plan {
        (self.on_accept)(connection)
    }

    pub(crate) fn requested(&self, call: &Call) -> Plan {
        (self.on_request)(call)
    }
}

/// What the threads of one endpoint share.
pub(crate) struct Shared {
    pub(crate) script: Mutex<Script>,
    seen: Mutex<Seen>,
    changed: Condvar,
    sockets: Mutex<HashMap<usize, TcpStream>>,
}

impl Shared {
    /// Changes what was seen and wakes whoever waits for it.
    pub(crate) fn note<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        let result = change(&mut self.seen.lock().unwrap());
        self.changed.notify_all();
        result
    }
}

/// A running (or stopped) scripted endpoint. Stops when dropped.
pub struct Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Option<Running>,
}

struct Running {
    stopping: Arc<AtomicBool>,
    acceptor: JoinHandle<()>,
}

impl Endpoint {
    /// Starts on a free loopback port and asks `on_request` for the plan of each request.
    pub fn start(on_request: impl Fn(&Call) -> Plan + Send + Sync + 'static) -> Self {
        Self::with(Script::new(on_request))
    }

    /// As [`Endpoint::start`] on this address: any of 127.0.0.0/8, with a port from [`free_port`] or of another endpoint.
    pub fn start_at(address: SocketAddr, on_request: impl Fn(&Call) -> Plan + Send + Sync + 'static) -> Self {
        Self::listening(address, Script::new(on_request))
    }

    /// Answers every request with `reply`, after reading its body.
    pub fn replying(reply: Reply) -> Self {
        Self::start(move |_| reply.clone().into())
    }

    /// Follows the plans in order, one per request over all connections; the last one repeats.
    pub fn scripted(plans: impl IntoIterator<Item = Plan>) -> Self {
        let plans: Vec<Plan> = plans.into_iter().collect();
        assert!(!plans.is_empty(), "a script has at least one plan");
        Self::start(move |call| plans.get(call.index).or(plans.last()).cloned().unwrap())
    }

    /// Starts on a free loopback port with a whole script.
    pub fn with(script: Script) -> Self {
        Self::listening(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())), script)
    }

    fn listening(address: SocketAddr, script: Script) -> Self {
        let shared = Shared {
            script: Mutex::new(script),
            seen: Mutex::default(),
            changed: Condvar::new(),
            sockets: Mutex::default(),
        };
        let mut endpoint = Self { address, shared: Arc::new(shared), running: None };
        endpoint.restart();
        endpoint
    }

    /// A loopback address where nothing listens, nor will while this process lives: connections are refused.
    pub fn absent() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
    }

    /// Where it listens, also while it is stopped.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Follows another script from the next request on.
    pub fn follow(&self, on_request: impl Fn(&Call) -> Plan + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Script::new(on_request);
    }

    /// A copy of all that was seen so far.
    pub fn seen(&self) -> Seen {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The requests received so far.
    pub fn requests(&self) -> Vec<Received> {
        self.seen().requests
    }

    /// Waits until `condition` holds and gives what was seen then. Panics after [`PATIENCE`], saying `what`.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&Seen) -> bool) -> Seen {
        self.wait_within(PATIENCE, what, condition)
    }

    /// As [`Endpoint::wait_until`] with another patience.
    pub fn wait_within(&self, patience: Duration, what: &str, condition: impl Fn(&Seen) -> bool) -> Seen {
        let deadline = Deadline::after(patience);
        let mut seen = self.shared.seen.lock().unwrap();
        while !condition(&seen) {
            let Some(left) = deadline.left() else {
                panic!("not within {patience:?}: {what}; the endpoint saw {seen:#?}")
            };
            seen = self.shared.changed.wait_timeout(seen, left).unwrap().0;
        }
        seen.clone()
    }

    /// Waits until the heads of `count` requests, in total, have arrived.
    pub fn wait_for_requests(&self, count: usize) -> Vec<Received> {
        self.wait_until(&format!("{count} requests"), |seen| seen.requests.len() >= count).requests
    }

    /// Waits until `count` requests, in total, have arrived with their whole bodies.
    pub fn wait_for_bodies(&self, count: usize) -> Vec<Received> {
        let whole = |seen: &Seen| seen.requests.iter().filter(|request| request.body.complete).count();
        self.wait_until(&format!("{count} whole requests"), |seen| whole(seen) >= count).requests
    }

    /// Waits until the other side has closed or reset `count` connections, in total, before this endpoint did.
    pub fn wait_for_close(&self, count: usize) {
        self.wait_until(&format!("{count} connections closed by the peer"), |seen| seen.closed_by_peer >= count);
    }

    /// Waits until no connection is open.
    pub fn wait_until_idle(&self) -> Seen {
        self.wait_until("no open connection", |seen| seen.open == 0)
    }

    /// Stops listening and closes every connection, as a process that ends. Does nothing when stopped.
    pub fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.stopping.store(true, Ordering::SeqCst);
        // `accept` waits for ever; a connection of our own wakes it, and it then looks at the flag.
        drop(TcpStream::connect(self.address));
        running.acceptor.join().expect("the acceptor does not panic");
        for socket in self.shared.sockets.lock().unwrap().values() {
            drop(socket.shutdown(Shutdown::Both));
        }
        self.wait_until_idle();
    }

    /// Listens on the same port again; stops first when it is running.
    pub fn restart(&mut self) {
        self.stop();
        let deadline = Deadline::after(PATIENCE);
        let listener = loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(error) if error.kind() == ErrorKind::AddrInUse && !deadline.passed() => std::thread::yield_now(),
                Err(error) => panic!("cannot listen on {} again: {error}", self.address),
            }
        };
        let stopping = Arc::new(AtomicBool::new(false));
        let (shared, flag) = (self.shared.clone(), stopping.clone());
        let acceptor = std::thread::spawn(move || accept(&listener, &shared, &flag));
        self.running = Some(Running { stopping, acceptor });
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Do not wait, and so do not panic twice: the test has failed already.
            if let Some(running) = self.running.take() {
                running.stopping.store(true, Ordering::SeqCst);
                drop(TcpStream::connect(self.address));
            }
        } else {
            self.stop();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, stopping: &Arc<AtomicBool>) {
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        // Small pieces must leave at once: a test that writes two pieces means two packets.
        drop(stream.set_nodelay(true));
        let Ok(handle) = stream.try_clone() else { continue };
        let number = shared.note(|seen| {
            seen.accepted += 1;
            seen.open += 1;
            seen.accepted - 1
        });
        shared.sockets.lock().unwrap().insert(number, handle);
        let (shared, stopping) = (shared.clone(), stopping.clone());
        std::thread::spawn(move || {
            let mut connection = Connection::new(stream, number, &shared, &stopping);
            let peer_left = connection.run();
            // The clone goes first, so that dropping the connection really closes the socket.
            shared.sockets.lock().unwrap().remove(&number);
            drop(connection);
            shared.note(|seen| {
                seen.open -= 1;
                seen.closed_by_peer += usize::from(peer_left);
            });
        });
    }
}
