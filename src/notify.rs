//! Tells systemd when weir serves, reads its configuration again, and leaves (`Type=notify`, `notify-reload`).
//!
//! In: `NOTIFY_SOCKET`. Out: a datagram at each change. Cost: none without that variable. Nobody waits for an answer, and
//! a datagram that cannot be sent changes nothing but the log. Source: `sd_notify(3)`.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Who started weir and wants to know how it does, if anybody.
#[derive(Clone, Debug)]
pub(crate) struct Supervisor(Option<SocketAddr>);

impl Supervisor {
    /// Whom the environment names.
    pub(crate) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let Some(name) = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return Self(None) };
        // An `@` stands for the zero byte that an abstract name begins with.
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(&name),
        };
        if let Err(error) = &address {
            tracing::warn!(%name, %error, "NOTIFY_SOCKET names no socket");
        }
        Self(address.ok())
    }

    /// Clients are served.
    pub(crate) fn ready(&self) {
        self.tell("READY=1\nSTATUS=serving");
    }

    /// The configuration is being read again; [`Supervisor::reloaded`] follows.
    pub(crate) fn reloading(&self) {
        // systemd 253 takes the time to tell this reload from the one before.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// It has been, with this result.
    pub(crate) fn reloaded(&self, result: &str) {
        self.tell(&format!("READY=1\nSTATUS=serving; the last reload: {result}"));
    }

    /// weir drains, then ends.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=draining");
    }

    fn tell(&self, state: &str) {
        let Some(address) = &self.0 else { return };
        if let Err(error) = send(address, state) {
            tracing::warn!(%error, "systemd cannot be told `{state}`");
        }
    }
}

fn send(address: &SocketAddr, state: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // Whoever does not read its socket must not hold up the start.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state.as_bytes(), address).map(drop)
}
