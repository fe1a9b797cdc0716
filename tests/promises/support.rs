//! Configurations in a few words, and the binaries.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use weir_testkit::{Consul, Endpoint, Process, Raw, Response, Weir, eventually};

/// The proxy under test.
pub(crate) const WEIR: &str = env!("CARGO_BIN_EXE_weir");

/// The optimizer, which lies beside it.
pub(crate) fn optimizer_binary() -> PathBuf {
    let path = Path::new(WEIR).with_file_name("weir-optimizer");
    assert!(path.is_file(), "{} is missing: cargo build --workspace --bins first", path.display());
    path
}

/// A photo of 101 KB.
pub(crate) fn photo() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/optimizer/photos/life.jpg")).unwrap()
}

/// A running optimizer on this address.
pub(crate) fn optimizer(address: SocketAddr, id: &str) -> Process {
    let address = address.to_string();
    let mut process = Process::start(optimizer_binary(), ["--listen", &address, "--id", id, "--workers", "1"]);
    process.wait_for_line("weir-optimizer ");
    process
}

/// An optimizer on a free port that has registered as `shop`.
pub(crate) fn registered(consul: &Consul, id: &str) -> Process {
    optimizer_token(consul, id, "")
}

/// As [`registered`], with this ACL token unless it is empty.
pub(crate) fn optimizer_token(consul: &Consul, id: &str, token: &str) -> Process {
    let agent = format!("http://{}", consul.api());
    let mut command = Command::new(optimizer_binary());
    command.args(["--listen", "127.0.0.1:0", "--workers", "1", "--id", id]);
    command.args(["--consul", &agent, "--service", "shop"]).env("CONSUL_HTTP_TOKEN", token);
    let mut process = Process::spawn(command);
    process.wait_for_line("weir-optimizer ");
    process
}

/// A configuration whose service `s` is `shop` in Consul; `source` is added to the lines of the source, `route` to
/// those of the route.
pub(crate) fn consul_toml(consul: &Consul, source: &str, route: &str) -> String {
    let comma = if source.is_empty() { "" } else { ", " };
    format!(
        "[server]\nshutdown_delay = \"0s\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\npath = \"/\"\nservice = \"s\"\n{route}\n\
         [[service]]\nname = \"s\"\npolicy = \"least-connections\"\n\
         consul = {{ address = \"http://{}\", service = \"shop\"{comma}{source} }}\n",
        consul.api()
    )
}

/// What a call of Consul's API answers, which must be 200.
pub(crate) fn call(api: SocketAddr, method: &str, token: &str, path: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {api}\r\nX-Consul-Token: {token}\r\n");
    let answer = Raw::ask(api, format!("{head}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

/// A configuration with one listener, one route and one service, `s`.
#[derive(Clone)]
pub(crate) struct Setup {
    /// Lines of `[server]` beside a shutdown without delay.
    pub(crate) server: String,
    /// Lines of `[log]`.
    pub(crate) log: String,
    /// Lines of the `[[listener]]`.
    pub(crate) listener: String,
    /// Lines of the `[[route]]`.
    pub(crate) route: String,
    /// Lines of the `[[service]]` beside its endpoints.
    pub(crate) service: String,
    /// What stands between the brackets of `endpoints = [...]`.
    pub(crate) endpoints: String,
}

/// No endpoint is ejected, whatever happens to it.
pub(crate) const NEVER_EJECT: &str = "health = { failures = 100 }";

impl Setup {
    /// Round robin over these, in this order, with the defaults.
    pub(crate) fn of(addresses: &[SocketAddr]) -> Self {
        Self {
            server: "shutdown_delay = \"0s\"".to_owned(),
            log: String::new(),
            listener: String::new(),
            route: String::new(),
            service: "policy = \"round-robin\"".to_owned(),
            endpoints: addresses.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", "),
        }
    }

    /// As [`Setup::of`] for scripted endpoints.
    pub(crate) fn before(endpoints: &[&Endpoint]) -> Self {
        Self::of(&endpoints.iter().map(|endpoint| endpoint.address()).collect::<Vec<_>>())
    }

    /// Replaces the lines of `[server]`.
    pub(crate) fn server(self, lines: &str) -> Self {
        Self { server: lines.to_owned(), ..self }
    }

    /// Replaces the lines of `[log]`.
    pub(crate) fn log(self, lines: &str) -> Self {
        Self { log: lines.to_owned(), ..self }
    }

    /// Adds lines to the `[[listener]]`.
    pub(crate) fn listener(self, lines: &str) -> Self {
        Self { listener: format!("{}\n{lines}", self.listener), ..self }
    }

    /// Adds lines to the `[[route]]`.
    pub(crate) fn route(self, lines: &str) -> Self {
        Self { route: format!("{}\n{lines}", self.route), ..self }
    }

    /// Adds lines to the `[[service]]`.
    pub(crate) fn service(self, lines: &str) -> Self {
        Self { service: format!("{}\n{lines}", self.service), ..self }
    }

    /// Replaces the policy.
    pub(crate) fn policy(self, policy: &str) -> Self {
        Self { service: self.service.replace("\"round-robin\"", &format!("\"{policy}\"")), ..self }
    }

    /// Replaces the list of endpoints.
    pub(crate) fn endpoints(self, list: &str) -> Self {
        Self { endpoints: list.to_owned(), ..self }
    }

    /// The whole file.
    pub(crate) fn toml(&self) -> String {
        let Self { server, log, listener, route, service, endpoints } = self;
        format!(
            "[server]\n{server}\n[admin]\nlisten = \"127.0.0.1:0\"\n[log]\n{log}\n\
             [[listener]]\naddress = \"127.0.0.1:0\"\n{listener}\n\
             [[route]]\npath = \"/\"\nservice = \"s\"\n{route}\n\
             [[service]]\nname = \"s\"\n{service}\nendpoints = [{endpoints}]\n"
        )
    }

    /// A weir that runs it.
    pub(crate) fn start(&self) -> Weir {
        Weir::start(WEIR, &self.toml())
    }
}

/// `GET target`, to be sent over a connection that stays.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: weir.test\r\n\r\n")
}

/// `POST target` with this body.
pub(crate) fn post(target: &str, body: &[u8]) -> Vec<u8> {
    let mut request = post_head(target, body.len() as u64).into_bytes();
    request.extend_from_slice(body);
    request
}

/// The head of a `POST target` whose body of this length is sent by other means.
pub(crate) fn post_head(target: &str, length: u64) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: weir.test\r\nContent-Length: {length}\r\n\r\n")
}

/// One request over a connection that stays.
pub(crate) fn ask(client: &mut Raw, request: impl AsRef<[u8]>) -> Response {
    client.write(request);
    client.response()
}

/// The value of `weir_endpoint_up` of the endpoint.
pub(crate) fn up(weir: &Weir, endpoint: SocketAddr) -> f64 {
    let metrics = weir.metrics();
    let found = metrics.matching("weir_endpoint_up", &[("endpoint", &endpoint.to_string())]);
    assert_eq!(found.len(), 1, "{endpoint} has one series: {found:?}");
    found[0].1
}

/// Whether a metric has this whole value.
#[track_caller]
pub(crate) fn assert_metric(weir: &Weir, name: &str, labels: &[(&str, &str)], expected: u32) {
    let metrics = weir.metrics();
    let value = metrics.sum(name, labels);
    let all = metrics.matching(name, &[]);
    assert!((value - f64::from(expected)).abs() < f64::EPSILON, "{name}{labels:?} is {value}, not {expected}: {all:?}");
}

/// The exchange that a client has the answer of may not be counted yet: waits until `count` are.
pub(crate) fn wait_for_exchanges(weir: &Weir, count: u32) {
    weir.wait_for_metric("weir_requests_total", &[], |value| value >= f64::from(count));
}

/// Waits until its services have endpoints.
pub(crate) fn wait_until_ready(weir: &Weir) {
    eventually("/readyz answers 200", || Raw::get(weir.admin(), "/readyz").status == 200);
}

/// Waits until weir has written this; its last lines may come after its end.
pub(crate) fn wait_for_words(weir: &Weir, words: &str) {
    eventually(&format!("it says `{words}`"), || weir.output().contains(words));
}
