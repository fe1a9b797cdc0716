//! What a listener, a route and a service were configured to do: plain values, legal by construction.
//! `weir-config` fills them from TOML and holds the defaults; `weir-proxy` and `weir-discovery` obey them.

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::{Bytes, Edits, FieldNames, FixedAnswer, Millis};

/// Where clients connect, and what is demanded of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Address to bind; port 0 takes a free one.
    pub address: SocketAddr,
    /// Connections served at once; further ones wait in the kernel's backlog.
    pub max_connections: usize,
    /// From the first byte of a request head to its last, in total.
    pub header_timeout: Millis,
    /// How long a kept-alive connection may wait for its next request.
    pub idle_timeout: Millis,
    /// The longest pause between two reads of a request body.
    pub read_timeout: Millis,
    /// The longest a write to the client may wait for the client to read.
    pub write_timeout: Millis,
    /// Largest request head: request line and fields.
    pub max_head: Bytes,
    /// Most fields in a request head.
    pub max_fields: usize,
    /// Longest request target.
    pub max_target: Bytes,
    /// Which fields of a request come in.
    pub field_names: FieldNames,
}

/// Networks whose `X-Forwarded-For` and `Forwarded` are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(pub Vec<IpNet>);

/// What a route does with its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSettings {
    /// Largest request body; a larger one is answered 413.
    pub max_body: Bytes,
    /// Bodies up to this size are held whole, so that they can be sent again to another endpoint.
    pub buffer_body: Bytes,
    /// Deadlines towards the endpoint.
    pub timeouts: Timeouts,
    /// When a failed try is followed by another.
    pub retry: RetryRules,
    /// What a hash policy hashes.
    pub key: KeySource,
    /// What the queue of the service, if it has one, is told about the exchanges.
    pub queueing: Queueing,
    /// What is changed in the messages, if anything.
    pub edits: Option<Arc<Edits>>,
    /// What is answered in place of the service.
    pub answer: Option<Arc<FixedAnswer>>,
}

/// What the queue of a service is told about the exchanges of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queueing {
    /// What their work is predicted from.
    pub work: WorkFrom,
    /// 0 before 1 before 2, with ageing.
    pub priority: u8,
    /// Whether an endpoint that answers 503 with `Retry-After` gets fewer of them for that long.
    pub adaptive: bool,
}

/// What the work of an exchange is predicted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkFrom {
    /// Nothing: all are alike.
    #[default]
    Nothing,
    /// The length of the request body.
    Length,
    /// The dimensions of the picture in the request body, and its length.
    Image,
}

/// Deadlines of an exchange towards its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// One TCP connection attempt.
    pub connect: Millis,
    /// From the request's last byte to the answer's head, and between two reads of the answer.
    pub read: Millis,
    /// The longest an endpoint may leave a write of ours waiting.
    pub write: Millis,
    /// How long an unused connection to the endpoint is kept.
    pub idle: Millis,
    /// The whole exchange, from the request head to the answer's last byte, tries and waits included.
    pub total: Millis,
}

/// When a failed try is followed by another, on another endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryRules {
    /// Connection refused, reset or broken.
    pub on_error: bool,
    /// A connect, read or write deadline passed.
    pub on_timeout: bool,
    /// Statuses that count as a failed try, ascending.
    pub on_statuses: Vec<u16>,
    /// Tries in all, the first included: 1 means never again.
    pub tries: u8,
    /// Whether POST, PATCH and other methods that may change something are sent again once they were sent.
    pub non_idempotent: bool,
    /// Retries as a share of requests.
    pub budget: BudgetRules,
}

/// Retries as a share of requests, so that they cannot double the load of a service in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetRules {
    /// Retries per hundred requests of the last ten seconds.
    pub percent: u8,
    /// Retries per second that are always allowed, so that a quiet route can retry at all.
    pub floor_per_second: u32,
}

/// What a hash policy hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The client's address (the real one, behind trusted proxies); IPv4 cut to `v4_prefix` bits, IPv6 to `v6_prefix`.
    ClientIp {
        /// 1..=32.
        v4_prefix: u8,
        /// 1..=128.
        v6_prefix: u8,
    },
    /// The path, without the query.
    Path,
    /// The value of a query argument, undecoded.
    Query(Arc<str>),
    /// The value of a request header, lower-case name.
    Header(Arc<str>),
    /// The value of a cookie.
    Cookie(Arc<str>),
    /// The whole request body; a body too large to be held counts as no key.
    Body,
}

/// How a service's endpoints are found broken and found well again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthRules {
    /// Failures within [`HealthRules::window`] that eject.
    pub failures: u16,
    /// Over which failures are counted; without probes also how long until an ejected endpoint gets a trial exchange.
    pub window: Millis,
    /// Successes in a row that restore.
    pub successes: u16,
    /// Answer statuses of real exchanges that count as failures, ascending.
    pub statuses: Vec<u16>,
    /// Active probes, if any.
    pub probe: Option<Probe>,
}

/// An active probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub kind: ProbeKind,
    /// From one probe's start to the next one's, spread by ± 10 %.
    pub interval: Millis,
    /// For the whole probe: connection, request, answer.
    pub timeout: Millis,
}

/// What a probe asks and what it takes for well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// A TCP connection opens.
    Tcp,
    /// `GET path` answers with one of `statuses`, and with `body` in the first 64 KiB of the body if given.
    Http {
        /// Request target, starts with `/`.
        path: Arc<str>,
        /// The `Host` field; the endpoint's address when absent.
        host: Option<Arc<str>>,
        /// Accepted statuses as inclusive ranges.
        statuses: Vec<(u16, u16)>,
        /// Text that must occur in the answer's body.
        body: Option<Arc<str>>,
    },
}

/// What happens when every endpoint of a service is ejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenAllEjected {
    /// Try them all the same: a broken probe must not take a working service down.
    #[default]
    TryAll,
    /// Answer 503.
    Refuse,
}
