//! `upstream` to a service.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::note::Notes;
use crate::toml::Table;
use crate::tree::Directive;
use crate::value::{key, millis, quoted, show_millis};
use crate::variables::{Piece, pieces};
use crate::words::{Fate, fate};

/// Where an endpoint is, as weir writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Spot {
    Socket(SocketAddr),
    /// A name and a port.
    Named(String, u16),
    /// A name of SRV records.
    Records(String),
}

/// One `server`.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) spot: Spot,
    pub(crate) directive: Directive,
    weight: u64,
    max_fails: u64,
    fail_timeout: u64,
    max_conns: u64,
    slow_start: u64,
    backup: bool,
    down: bool,
}

/// An `upstream`, or what a `proxy_pass` to a host stands for.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// As nginx calls it.
    pub(crate) name: String,
    pub(crate) directive: Directive,
    pub(crate) servers: Vec<Server>,
    /// Lines of the service that say how one is picked; none is in turn.
    policy: Vec<(&'static str, String, Option<String>)>,
    pub(crate) keepalive_timeout: Option<u64>,
    queue: Option<(u64, u64)>,
}

/// nginx's own default, as long as nothing else is written.
const FAIL_TIMEOUT: u64 = 10_000;
/// The most that weir counts.
const MOST_FAILURES: u64 = 100;
const MOST_CAPACITY: u64 = 65_535;
const MOST_WEIGHT: u64 = 1000;

impl Upstream {
    /// Reads an `upstream`.
    pub(crate) fn read(directive: &Directive, notes: &mut Notes) -> Self {
        let mut upstream = Self::bare(directive.word(0), directive);
        for inside in directive.inside() {
            match inside.name.as_str() {
                "server" => upstream.server(inside, notes),
                "least_conn" => upstream.choose("least-connections", None),
                "ip_hash" => {
                    upstream.choose("ip-hash", Some("clients stay together, but on other endpoints than with nginx"));
                    upstream.policy.push(("ip_prefix", "{ v4 = 24, v6 = 128 }".to_owned(), None));
                }
                "hash" => upstream.hash(inside, notes),
                "random" => match (inside.word(0), inside.word(1)) {
                    ("", _) => upstream.choose("random", None),
                    ("two", "" | "least_conn") => upstream.choose("p2c", None),
                    _ => upstream.choose("peak-ewma", Some("the faster of two, by weir's own measure")),
                },
                "least_time" => upstream.choose("peak-ewma", Some("the faster of two, by weir's own measure")),
                "keepalive_timeout" => upstream.keepalive_timeout = millis(inside.word(0)),
                "queue" => {
                    let timeout = inside.word(1).strip_prefix("timeout=").and_then(millis).unwrap_or(60_000);
                    upstream.queue = inside.word(0).parse().ok().map(|max: u64| (max.min(1_000_000), timeout));
                }
                "keepalive" => notes.unneeded(inside, "weir keeps every connection until it is idle for `timeout.idle`"),
                "zone" => notes.unneeded(inside, "weir is one process: its counts are for all threads"),
                "keepalive_requests" | "keepalive_time" | "resolver" | "resolver_timeout" | "state" => match fate(&inside.name) {
                    Fate::Unneeded(why) => notes.unneeded(inside, why),
                    _ => notes.lost(inside, "weir keeps no list of endpoints in such a file; see `cache_dir`"),
                },
                "sticky" | "sticky_cookie_insert" => notes.lost(
                    inside,
                    "weir sets no cookies; `consistent-hash` with `key = \"cookie:NAME\"` follows one that the endpoints set",
                ),
                _ => notes.lost(inside, "weir has nothing like it in a service"),
            }
        }
        upstream
    }

    /// What a `proxy_pass` to a host that is no upstream stands for.
    pub(crate) fn of_host(host: &str, directive: &Directive, notes: &mut Notes) -> Self {
        let mut upstream = Self::bare(host, directive);
        let server = Directive { name: "server".to_owned(), words: vec![host.to_owned()], ..directive.clone() };
        let before = upstream.servers.len();
        upstream.server(&server, notes);
        if upstream.servers.len() == before {
            notes.lost(directive, format!("`{host}` is no host that weir can connect to"));
        }
        upstream
    }

    fn bare(name: &str, directive: &Directive) -> Self {
        Self {
            name: name.to_owned(),
            directive: directive.clone(),
            servers: Vec::new(),
            policy: Vec::new(),
            keepalive_timeout: None,
            queue: None,
        }
    }

    fn choose(&mut self, policy: &str, comment: Option<&str>) {
        self.policy = vec![("policy", quoted(policy), comment.map(str::to_owned))];
    }

    fn hash(&mut self, directive: &Directive, notes: &mut Notes) {
        let value = directive.word(0);
        let names: Vec<&str> = pieces(value)
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Variable(name) => Some(name),
                Piece::Text(_) => None,
            })
            .collect();
        // The scheme and the name of the service are the same in all requests to it.
        let telling: Vec<&str> =
            names.into_iter().filter(|name| !matches!(*name, "scheme" | "proxy_host" | "server_name")).collect();
        let named =
            |prefix: &str, name: &str| name.strip_prefix(prefix).filter(|rest| !rest.is_empty()).map(str::to_owned);
        let hashed = match telling.as_slice() {
            ["uri" | "document_uri"] => Some(("path".to_owned(), None)),
            ["request_uri"] | ["uri" | "document_uri", "is_args", "args"] | ["uri", "args"] => {
                Some(("path".to_owned(), Some("nginx hashes the query as well")))
            }
            ["remote_addr" | "binary_remote_addr"] => Some(("client-ip".to_owned(), None)),
            ["host" | "http_host"] => Some(("header:host".to_owned(), None)),
            [name] => named("arg_", name)
                .map(|rest| format!("query:{rest}"))
                .or_else(|| named("cookie_", name).map(|rest| format!("cookie:{rest}")))
                .or_else(|| named("http_", name).map(|rest| format!("header:{}", rest.replace('_', "-"))))
                .map(|key| (key, None)),
            _ => None,
        };
        let Some((key, comment)) = hashed else {
            notes.lost(
                directive,
                "weir hashes the path, the client's address, the body, a field, a cookie or an argument",
            );
            return;
        };
        let consistent = directive.words.iter().any(|word| word == "consistent");
        let moved = "keys stay together, but on other endpoints than with nginx";
        self.choose(
            "consistent-hash",
            Some(if consistent { moved } else { "nginx moves most keys when an endpoint comes or goes; weir few" }),
        );
        let v6 = if key == "client-ip" { Some("{ v4 = 32, v6 = 128 }".to_owned()) } else { None };
        self.policy.push(("hash", format!("{{ key = {} }}", quoted(&key)), comment.map(str::to_owned)));
        self.policy.extend(v6.map(|prefix| ("ip_prefix", prefix, None)));
    }

    fn server(&mut self, directive: &Directive, notes: &mut Notes) {
        let mut server = Server {
            spot: Spot::Records(String::new()),
            directive: directive.clone(),
            weight: 1,
            max_fails: 1,
            fail_timeout: FAIL_TIMEOUT,
            max_conns: 0,
            slow_start: 0,
            backup: false,
            down: false,
        };
        let mut service = None;
        for word in directive.words.iter().skip(1) {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let number = || value.parse::<u64>().ok();
            let known = match name {
                "weight" => number().map(|number| server.weight = number.max(1)),
                "max_fails" => number().map(|number| server.max_fails = number),
                "fail_timeout" => millis(value).map(|span| server.fail_timeout = span),
                "max_conns" => number().map(|number| server.max_conns = number),
                "backup" => {
                    server.backup = true;
                    Some(())
                }
                "down" | "drain" => {
                    server.down = true;
                    Some(())
                }
                // weir follows names in DNS anyway.
                "resolve" => Some(()),
                "service" => {
                    service = Some(value);
                    Some(())
                }
                "slow_start" => millis(value).map(|span| server.slow_start = span),
                _ => None,
            };
            if known.is_none() {
                notes.lost(directive, format!("`{word}` is nothing that weir knows of an endpoint"));
            }
        }
        let host = directive.word(0);
        let spot = match service {
            Some(service) if !service.is_empty() => {
                let name =
                    if service.contains('.') { format!("{service}.{host}") } else { format!("_{service}._tcp.{host}") };
                is_dns_name(&name).then(|| Spot::Records(name.to_ascii_lowercase()))
            }
            _ => spot(host),
        };
        match spot {
            Some(spot) => self.servers.push(Server { spot, ..server }),
            None if host.starts_with("unix:") => {
                notes.lost(directive, "weir does not connect to Unix sockets: let it listen on a port");
            }
            None => {
                notes.lost(directive, format!("`{host}` is no address or name with a port that weir can connect to"));
            }
        }
    }

    /// How many tries reach every endpoint once, as far as that is known.
    pub(crate) fn tries(&self) -> u64 {
        let serving = self.servers.iter().filter(|server| !server.down);
        let least = if serving.clone().any(|server| !matches!(server.spot, Spot::Socket(_))) { 3 } else { 1 };
        (serving.count() as u64).clamp(least, 10)
    }

    /// The lines of the service; `blame` are the statuses that count as failures.
    pub(crate) fn table(&self, name: &str, blame: &BTreeSet<u16>, notes: &mut Notes) -> Table {
        let mut table = Table::new("[[service]]", format!("{} {}", self.directive.place, self.directive.shown()));
        table.put("name", quoted(name), (name != self.name).then(|| format!("`{}` in nginx", self.name)));
        let servers = self.distinct(notes);
        let weighted = servers.iter().any(|server| server.weight != 1);
        if self.policy.is_empty() {
            table.put("policy", quoted(if weighted { "weighted" } else { "round-robin" }), None);
        }
        for (key, value, comment) in &self.policy {
            table.put(key, value.clone(), comment.clone());
        }
        let queued = servers.iter().any(|server| server.max_conns > 0);
        let lines: Vec<String> = servers
            .iter()
            .filter_map(|server| Self::endpoint(server, queued))
            .map(|line| format!("  {line},\n"))
            .collect();
        if !lines.is_empty() {
            table.put("endpoints", format!("[\n{}]", lines.concat()), None);
        }
        let records: Vec<String> = servers.iter().filter_map(Self::records).collect();
        if !records.is_empty() {
            table.put(
                "dns",
                format!("[{}]", records.join(", ")),
                Some("weight and rank are those of the records".to_owned()),
            );
        }
        if queued {
            let (max, timeout) = self.queue.unwrap_or((0, 0));
            let timeout = if max > 0 { format!(", timeout = \"{}\"", show_millis(timeout)) } else { String::new() };
            let comment = "`max_conns`: 503 when all are full, where nginx says 502";
            table.put(
                "queue",
                format!("{{ capacity = {MOST_CAPACITY}, max = {max}{timeout} }}"),
                Some(comment.to_owned()),
            );
        }
        Self::health(&servers, blame, &mut table, notes);
        Self::slow_start(&servers, &mut table, notes);
        table.above.extend(notes.about(self.directive.inside()));
        table
    }

    fn health(servers: &[Server], blame: &BTreeSet<u16>, table: &mut Table, notes: &mut Notes) {
        let rules = |server: &Server| (server.max_fails, server.fail_timeout);
        let first = servers.iter().find(|server| !server.backup).or_else(|| servers.first());
        let (fails, timeout) = first.map_or((1, FAIL_TIMEOUT), rules);
        if let Some(other) = servers.iter().find(|server| rules(server) != (fails, timeout)) {
            notes.lost(
                &other.directive,
                "weir counts failures alike for all endpoints of a service: as for the first; see `health` there",
            );
        }
        let (failures, comment) = match fails {
            0 => (MOST_FAILURES, Some("nginx never takes these out; weir does after so many failures")),
            more if more > MOST_FAILURES => (MOST_FAILURES, Some("the most that weir counts")),
            written => (written, None),
        };
        let blame: Vec<String> = blame.iter().map(|status| format!("\"{status}\"")).collect();
        let blame = if blame.is_empty() { String::new() } else { format!(", blame = [{}]", blame.join(", ")) };
        let window = show_millis(timeout.max(1000));
        table.put(
            "health",
            format!("{{ failures = {failures}, window = \"{window}\"{blame} }}"),
            comment.map(str::to_owned),
        );
    }

    /// nginx has a time for each server, weir one for all.
    fn slow_start(servers: &[Server], table: &mut Table, notes: &mut Notes) {
        let Some(first) = servers.iter().find(|server| server.slow_start > 0) else { return };
        if let Some(other) = servers.iter().find(|server| server.slow_start != first.slow_start) {
            let why = "weir lets all endpoints of a service start alike: as slowly as the first that does";
            notes.lost(&other.directive, why);
        }
        table.put("slow_start", quoted(&show_millis(first.slow_start)), None);
    }

    /// The servers, each address once.
    fn distinct(&self, notes: &mut Notes) -> Vec<Server> {
        let mut all: Vec<Server> = Vec::new();
        for server in &self.servers {
            match all.iter_mut().find(|other| other.spot == server.spot) {
                Some(other) => {
                    other.weight += server.weight;
                    notes.lost(&server.directive, "listed twice: in weir it is one endpoint, with the weight of both");
                }
                None => all.push(server.clone()),
            }
        }
        for server in &mut all {
            if server.weight > MOST_WEIGHT {
                notes.lost(&server.directive, format!("a weight is at most {MOST_WEIGHT}"));
                server.weight = MOST_WEIGHT;
            }
        }
        // Nobody is there that they could stand in for.
        if all.iter().all(|server| server.backup) {
            for server in &mut all {
                server.backup = false;
            }
        }
        all
    }

    fn endpoint(server: &Server, queued: bool) -> Option<String> {
        let address = match &server.spot {
            Spot::Socket(address) => address.to_string(),
            Spot::Named(name, port) => format!("{name}:{port}"),
            Spot::Records(_) => return None,
        };
        let mut keys = Vec::new();
        if server.weight != 1 {
            keys.push(format!("weight = {}", server.weight));
        }
        if queued && server.max_conns > 0 {
            keys.push(format!("capacity = {}", server.max_conns.min(MOST_CAPACITY)));
        }
        if server.down {
            keys.push("drain = true".to_owned());
        }
        if server.backup {
            keys.push("backup = true".to_owned());
        }
        Some(if keys.is_empty() {
            quoted(&address)
        } else {
            format!("{{ address = {}, {} }}", quoted(&address), keys.join(", "))
        })
    }

    fn records(server: &Server) -> Option<String> {
        let Spot::Records(name) = &server.spot else { return None };
        let backup = if server.backup { ", backup = true" } else { "" };
        Some(format!("{{ name = {}, {} = \"SRV\"{backup} }}", quoted(name), key("type")))
    }
}

/// `host`, `host:port`, `[v6]:port`; port 80 when there is none.
pub(crate) fn spot(text: &str) -> Option<Spot> {
    let of = |ip: IpAddr, port: u16| (port != 0).then(|| Spot::Socket(SocketAddr::new(ip, port)));
    if let Some((ip, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = if port.is_empty() { 80 } else { port.strip_prefix(':')?.parse().ok()? };
        return of(ip.parse::<Ipv6Addr>().ok()?.into(), port);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse::<u16>().ok()?),
        None => (text, 80),
    };
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => of(ip.into(), port),
        Ok(IpAddr::V6(_)) => None,
        Err(_) => (port != 0 && is_dns_name(host)).then(|| Spot::Named(host.to_ascii_lowercase(), port)),
    }
}

/// As weir asks for one: letters, digits, `-` and `_` between dots, and no IP address.
fn is_dns_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let legal = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(letter) && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_number = name.split('.').next_back().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= 253 && !is_number && name.split('.').all(legal)
}
