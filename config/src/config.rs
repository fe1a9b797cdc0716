//! What a configuration says, typed: every value is legal and every reference resolved.

use std::net::SocketAddr;
use std::path::PathBuf;

use weir_balance::{Policy, Weight};
use weir_snapshot::{Bytes, HealthRules, ListenerSettings, Millis, RouteSettings, TrustedProxies, WhenAllEjected};

/// A whole configuration. Lists are in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The process.
    pub server: Server,
    /// Metrics and health.
    pub admin: Admin,
    /// The access log.
    pub log: Log,
    /// Where clients connect: at least one, no two that cannot both be bound.
    pub listeners: Vec<ListenerSettings>,
    /// Which requests go where: at least one, no two of one host and path.
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

/// Where metrics and health are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admin {
    /// A loopback address, since it asks for no token; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// What is logged besides the process's own messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// One line of JSON per exchange.
    pub access: AccessLog,
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

/// Which requests go to which service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Lower case, without port; `*.example.org` is every name below `example.org`, of any depth. `None` is any host.
    pub host: Option<Box<str>>,
    /// What the path begins with, byte for byte: starts with `/`, has no empty, `.` or `..` segments; percent-escapes as
    /// they were written.
    pub path: Box<str>,
    /// The name of one of [`Config::services`].
    pub service: Box<str>,
    /// What happens to the requests.
    pub settings: RouteSettings,
}

/// A named group of endpoints that can stand in for one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// 1 to 63 letters, digits, `-`, `_` and `.`.
    pub name: Box<str>,
    /// How an endpoint is picked. What a hash policy hashes is in each route's [`RouteSettings::key`].
    pub policy: Policy,
    /// 1 to [`weir_balance::Endpoints::MAX`], no two of one address; perhaps all drained.
    pub endpoints: Vec<Endpoint>,
    /// How endpoints are found broken and found well again.
    pub health: HealthRules,
    /// What happens when none is healthy.
    pub when_all_ejected: WhenAllEjected,
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
}
