//! Tells systemd when weir serves and when it leaves (`Type=notify`).
//!
//! In: `NOTIFY_SOCKET`. Out: a datagram at each change. Cost: none without that variable. Nobody waits for an answer, and
//! a datagram that cannot be sent changes nothing but the log. Source: `sd_notify(3)`.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Who started weir and wants to know how it does, if anybody.
#[derive(Debug)]
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
