//! What a configuration says, typed: every value is legal and every reference resolved.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;

use weir_balance::{Policy, Weight};
use weir_snapshot::{
    Bytes, HealthRules, KeySource, ListenerSettings, LogRules, Millis, QueueRules, RouteSettings, TrustedProxies,
    WhenAllEjected, WorkFrom,
};

/// A whole configuration. Lists are in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The process.
    pub server: Server,
    /// Metrics, health, and what operators ask for.
    pub admin: Admin,
    /// The access log.
    pub log: Log,
    /// What the sources of endpoints have in common.
    pub discovery: Discovery,
    /// This weir as an instance of a service in Consul, if it shall be one.
    pub register: Option<Register>,
    /// Where clients connect: at least one, no two that cannot both be bound.
    pub listeners: Vec<ListenerSettings>,
    /// Which requests go where: at least one, no two of one host, path and listener.
    pub routes: Vec<Route>,
    /// Who answers: at least one, no two of one name; some may be used by no route.
    pub services: Vec<Service>,
}

/// What holds for the whole process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Threads that serve, 0..=1024; 0 is one per core.
    pub threads: usize,
    /// From the signal, when readiness begins to fail, to the closing of the listeners; at most a day, may be zero.
    pub shutdown_delay: Millis,
    /// How long exchanges that run when the listeners close may take to end; at most a day, may be zero.
    pub shutdown_deadline: Millis,
    /// Networks whose `X-Forwarded-For` and `Forwarded` are believed.
    pub trusted_proxies: TrustedProxies,
    /// Most that all held bodies take together; zero holds none.
    pub body_memory: Bytes,
}

/// Where metrics and health are served, and weir is looked at and told what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// A loopback address unless there is a token; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What it holds must be shown for changes, and at another than a loopback address for everything under `/api`.
    pub token_file: Option<PathBuf>,
    /// How many of the newest exchanges are kept to be looked at; 0 keeps none.
    pub recent: usize,
}

/// What is logged besides the process's own messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Where the access log goes.
    pub access: AccessLog,
    /// Which exchanges have a line, and what is in it.
    pub rules: LogRules,
    /// Permissions of a file that is created, less what the umask takes: some of 0o666, and 0o200.
    pub mode: u32,
}

/// Where the access log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    #[default]
    Off,
    /// To standard output.
    Stdout,
    /// To the end of this file.
    File(PathBuf),
}

/// What the sources of endpoints have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// The folder in which the last good endpoints of each service are kept for the next start; `None` keeps none.
    pub cache_dir: Option<PathBuf>,
    /// How long a start waits for the first answer of every source before it goes on without; may be zero, at most 5 min.
    pub start_wait: Millis,
}

/// Which requests go to which service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Lower case, without port; `*.example.org` is every name below `example.org`, of any depth. `None` is any host.
    pub host: Option<Box<str>>,
    /// What the path begins with, byte for byte: starts with `/`, has no empty, `.` or `..` segments; percent-escapes as
    /// they were written.
    pub path: Box<str>,
    /// Whether [`Route::path`] is the whole path, not what it begins with.
    pub exact: bool,
    /// The addresses of those of [`Config::listeners`] whose requests it is for; empty for all.
    pub listeners: Box<[SocketAddr]>,
    /// The name of one of [`Config::services`]; empty where the route answers by itself, [`RouteSettings::answer`].
    pub service: Box<str>,
    /// What happens to the requests.
    pub settings: RouteSettings,
}

/// A named group of endpoints that can stand in for one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// 1 to 63 letters, digits, `-`, `_` and `.`.
    pub name: Box<str>,
    /// How an endpoint is picked.
    pub policy: Policy,
    /// What a hash policy hashes, as in the [`RouteSettings::key`] of each of its routes; the others do not look at it.
    pub key: KeySource,
    /// At most [`weir_balance::Endpoints::MAX`], no two of one address; perhaps all drained; none only when there are
    /// sources.
    pub endpoints: Vec<Endpoint>,
    /// Where further endpoints come from: Consul, files and DNS in this order, then the endpoints that are written by name.
    pub sources: Vec<Source>,
    /// After this time a source that says once more that there are none is believed; zero believes it at once.
    pub empty_after: Millis,
    /// How endpoints are found broken and found well again.
    pub health: HealthRules,
    /// What happens when none is healthy.
    pub when_all_ejected: WhenAllEjected,
    /// How long it takes until an endpoint that joined or came back gets its whole share; `None`: it does at once.
    pub slow_start: Option<Millis>,
    /// How exchanges wait for an endpoint to have room; `None` lets every endpoint have as many as come.
    pub queue: Option<QueueRules>,
    /// What the work of an exchange is predicted from, as in the [`RouteSettings::queueing`] of each of its routes;
    /// nothing without a queue.
    pub work: WorkFrom,
    /// Whether an endpoint that answers 503 with `Retry-After` gets fewer for that long, as there; `false` without a queue.
    pub adaptive: bool,
}

/// One address that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens; the port is not 0.
    pub address: SocketAddr,
    /// Share of traffic; 1 under [`Policy::RoundRobin`].
    pub weight: Weight,
    /// Whether it gets no new exchanges.
    pub drain: bool,
    /// Whether it is picked only when no other admits.
    pub backup: bool,
    /// Exchanges that it serves at once, if it is not [`QueueRules::capacity`]; only where there is a queue.
    pub capacity: Option<NonZeroU32>,
}

/// Something that knows endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What it is.
    pub kind: SourceKind,
    /// Whether its endpoints are picked only when no others admit.
    pub backup: bool,
}

/// The kinds of sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Instances of a service that is registered in Consul.
    Consul(Consul),
    /// Addresses or services behind a name.
    Dns(Dns),
    /// A list in a file, as [`crate::parse_endpoints`] reads it; watched.
    File(PathBuf),
}

/// How a Consul agent is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its HTTP API: `http://` or `https://`, a host, perhaps a port from 1 and a path; no user, no query.
    pub address: Box<str>,
    /// A feature of Consul Enterprise.
    pub namespace: Option<Box<str>>,
    /// Where the ACL token comes from.
    pub token: TokenFrom,
    /// PEM of whom to trust for `https`; `None` is the system's trust.
    pub ca_file: Option<PathBuf>,
    /// PEM of a client certificate, and of its key; only for `https`.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// This weir as an instance of a service in Consul.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Which agent shall know it.
    pub agent: Agent,
    /// What the service is called; not empty.
    pub service: Box<str>,
    /// Unique on the agent; `None` is made of the service and where it is reached.
    pub id: Option<Box<str>>,
    /// Its tags.
    pub tags: Vec<Box<str>>,
    /// Where others reach it; `None` is the first listener.
    pub advertise: Option<Advertise>,
}

/// Where others reach this weir.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// An IP address without brackets, or a name.
    pub host: Box<str>,
    /// `None` is that of the first listener.
    pub port: Option<NonZeroU16>,
}

/// A service in Consul.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consul {
    /// Which agent is asked.
    pub agent: Agent,
    /// What it is called there; not empty.
    pub service: Box<str>,
    /// Only instances with all of these.
    pub tags: Vec<Box<str>>,
    /// Only instances for which this expression of Consul's own is true.
    pub filter: Option<Box<str>>,
    /// `None` is the agent's own.
    pub datacenter: Option<Box<str>>,
    /// Which instances, by what their checks say.
    pub status: Status,
    /// How long a query waits for a change: a second to ten minutes.
    pub wait: Millis,
}

/// Which instances of a Consul service are endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Those whose checks all pass.
    #[default]
    Passing,
    /// Those that pass or warn.
    Warning,
}

/// Where a token comes from. The token itself is never part of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TokenFrom {
    /// The variable that Consul's own tools read, if it is set; else there is none.
    #[default]
    Usual,
    /// This file.
    File(PathBuf),
    /// This variable, which must be set.
    Variable(Box<str>),
}

/// A name in DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Lower case; with a dot at its end it is not searched for in other domains.
    pub name: Box<str>,
    /// What is looked up.
    pub records: Records,
    /// Whom to ask, in this order; empty for those of the system.
    pub resolvers: Vec<SocketAddr>,
    /// The weight of each endpoint behind addresses; SRV records have their own.
    pub weight: Weight,
    /// Whether the endpoints get no new exchanges.
    pub drain: bool,
    /// Exchanges that each of them serves at once, as [`Endpoint::capacity`].
    pub capacity: Option<NonZeroU32>,
}

/// What is looked up for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// Addresses, which all have this port, from 1.
    Addresses {
        /// Which of them.
        family: Family,
        /// The port of each.
        port: NonZeroU16,
    },
    /// SRV records, with ports, weights and priorities of their own; the lowest priority serves, the others are backups.
    Services,
}

/// Which addresses of a name are endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    #[default]
    Both,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}
