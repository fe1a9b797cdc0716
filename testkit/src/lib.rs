//! Scripted endpoints, raw clients and real processes for tests.
//!
//! In: scripts and bytes. Out: what was received, exactly. Cost: one thread per connection; no runtime needed.
//! Everything waits for an event under a deadline ([`PATIENCE`]), and panics with what it saw when that passes, so a
//! test neither hangs nor sleeps.
//!
//! - [`Endpoint`]: a fake HTTP/1 endpoint that follows a [`Plan`] per request, faults included.
//! - [`Raw`]: a client that writes what it is told, however malformed, and reads one [`Response`] at a time.
//! - [`Process`], [`Weir`]: a real binary, its output, its memory, its metrics.
//! - [`Nginx`], [`HaProxy`]: the real peers, in the foreground, on free loopback ports.
//! - [`Browser`]: a real one, without a window.
//! - [`Consul`]: a real agent, or a cluster of them.
//! - [`Knot`]: a real DNS server whose zone is edited live; [`DnsServer`]: a scripted one, for faults.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    reason = "test code: a failed expectation is a failed test, and it owns real time"
)]

mod body;
mod browser;
mod connection;
mod consul;
mod deadline;
mod dns;
mod endpoint;
mod gate;
mod knot;
mod metrics;
mod pattern;
mod peers;
mod plan;
mod port;
mod process;
mod raw;
mod reply;
mod weir;
mod wire;

pub use body::Body;
pub use browser::Browser;
pub use consul::Consul;
pub use deadline::{PATIENCE, eventually};
pub use dns::{DnsData, DnsMessage, DnsQuestion, DnsRecord, DnsReply, DnsServer};
pub use endpoint::{Call, Endpoint, Received, Script, Seen};
pub use gate::Gate;
pub use knot::Knot;
pub use metrics::Metrics;
pub use pattern::{hash, pattern, pattern_hash};
pub use peers::{HaProxy, Nginx, require};
pub use plan::{Act, Plan};
pub use port::free_port;
pub use process::{Memory, Process};
pub use raw::{End, Raw, Response};
pub use reply::Reply;
pub use rustix::process::Signal;
pub use weir::Weir;
pub use wire::Head;
