//! All blocks together: who listens where, which server is the default, which routes and services come out.

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::context;
use crate::listen::Listen;
use crate::note::Notes;
use crate::route::{self, Whose};
use crate::scope::Scope;
use crate::services::Services;
use crate::site::{Action, Answer, Location, Shape, Site};
use crate::toml::Table;
use crate::tree::{Directive, Place};
use crate::value::quoted;
use crate::{ImportError, Imported};

/// Where weir's own metrics are, unless a listener is there.
const ADMIN: u16 = 9090;

/// Makes the result of all directives.
pub(crate) fn plan(name: &str, all: &[Directive], mut notes: Notes) -> Result<Imported, ImportError> {
    let place = Place { file: name.into(), line: 1, order: 0 };
    let http = unwrapped(all, &place, &mut notes);
    context::check(&http, "http", &mut notes);
    let scope = Scope::default().inner(&http, &mut notes);
    let mut services = Services::read(&http, &mut notes);
    let mut sites: Vec<Site> = http
        .iter()
        .filter(|directive| directive.name == "server" && directive.block.is_some())
        .flat_map(|directive| Site::read(directive, &scope, &mut notes))
        .collect();
    settle(&mut sites, &mut notes);
    note_maps(&http, &mut notes);
    let listeners = listeners(&sites);
    services.gather(&sites, &listeners, &mut notes);
    let lost = notes.about(&http);
    let mut head = vec![
        format!("# From {}, by `weir import`. What could not be taken over was listed on standard error.", shown(name)),
        "# What differs everywhere is in docs/guide/from-nginx.md. Check changes with `weir check FILE`.".to_owned(),
    ];
    head.extend(lost.iter().map(|lost| format!("# {}", shown(lost))));
    let mut tables = server_tables(all, &http, &scope, &sites, &listeners, &mut notes);
    tables.extend(listeners.iter().map(|listener| listener_table(listener, &sites, &mut notes)));
    let routes = route_tables(&sites, &listeners, &services, &mut notes);
    let services = services.tables(&mut notes);
    if services.is_empty() {
        let what = "nothing in it passes requests on to an endpoint that weir can reach".to_owned();
        return Err(ImportError { place, what, notes: notes.into_list() });
    }
    if routes.is_empty() {
        let what = "no server in it listens where weir can".to_owned();
        return Err(ImportError { place, what, notes: notes.into_list() });
    }
    tables.extend(routes);
    tables.extend(services);
    head.push(String::new());
    head.extend(tables.iter().map(Table::text));
    Ok(Imported { toml: head.join("\n"), notes: notes.into_list() })
}

fn shown(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// What is in `http`; a text without it is such a part, and one of locations or upstreams alone gets what is around them.
fn unwrapped(all: &[Directive], place: &Place, notes: &mut Notes) -> Vec<Directive> {
    let blocks: Vec<&Directive> = all.iter().filter(|directive| directive.name == "http").collect();
    if !blocks.is_empty() {
        let around: Vec<Directive> = all.iter().filter(|directive| directive.name != "http").cloned().collect();
        let _scope = Scope::default().inner(&around, notes);
        context::check(&around, "main", notes);
        return blocks.iter().flat_map(|block| block.inside().iter().cloned()).collect();
    }
    let made = |name: &str, words: &[&str], block: Option<Vec<Directive>>| Directive {
        name: name.to_owned(),
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        block,
        place: place.clone(),
    };
    let has = |name: &str| all.iter().any(|directive| directive.name == name);
    if has("server") {
        return all.to_vec();
    }
    let upper = ["upstream", "map", "geo", "split_clients", "log_format", "limit_req_zone", "limit_conn_zone"];
    let (mut http, mut inside): (Vec<Directive>, Vec<Directive>) =
        all.iter().cloned().partition(|directive| upper.contains(&directive.name.as_str()));
    if !has("location") {
        let Some(first) = http.iter().find(|directive| directive.name == "upstream") else { return all.to_vec() };
        let to = format!("http://{}", first.word(0));
        let pass = made("proxy_pass", &[&to], None);
        inside.push(made("location", &["/"], Some(vec![pass])));
    }
    let mut server = made("server", &[], Some(inside));
    notes.lost(&server, "no `server` is written: weir listens on port 80, as nginx would");
    server.place.line = 1;
    http.push(server);
    http
}

/// Where weir listens, and the server whose settings a listener has.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    tls: bool,
    /// The index of the default server.
    default: usize,
}

/// Leaves out what cannot be bound beside the rest.
fn settle(sites: &mut [Site], notes: &mut Notes) {
    let wide: HashSet<(u16, bool)> = sites
        .iter()
        .flat_map(|site| &site.listens)
        .filter(|listen| listen.address.ip().is_unspecified())
        .map(|listen| (listen.address.port(), listen.address.is_ipv4()))
        .collect();
    for site in sites {
        site.listens.retain(|listen| {
            let ip = listen.address.ip();
            let covered = wide.contains(&(listen.address.port(), listen.address.is_ipv4())) && !ip.is_unspecified();
            if covered {
                notes.lost(
                    &listen.directive,
                    format!(
                        "weir listens on all addresses with port {} already, and cannot tell this one from them",
                        listen.address.port()
                    ),
                );
            }
            !covered
        });
        if site.listens.is_empty() {
            notes.lost(&site.directive, "not taken over: it listens nowhere that weir can");
        }
    }
}

/// The listeners, in the order of the text.
fn listeners(sites: &[Site]) -> Vec<Listener> {
    let mut all: Vec<(Listener, bool)> = Vec::new();
    for (index, site) in sites.iter().enumerate() {
        for Listen { address, tls, is_default, .. } in &site.listens {
            match all.iter_mut().find(|(listener, _)| listener.address == *address) {
                Some((listener, chosen)) => {
                    if *is_default && !*chosen {
                        (listener.default, *chosen) = (index, true);
                    }
                }
                None => all.push((Listener { address: *address, tls: *tls, default: index }, *is_default)),
            }
        }
    }
    all.into_iter().map(|(listener, _)| listener).collect()
}

fn listener_table(listener: &Listener, sites: &[Site], notes: &mut Notes) -> Table {
    let default = sites.get(listener.default);
    let from = default.map_or_else(String::new, |site| format!("{} {}", site.directive.place, site.directive.shown()));
    let mut table = Table::new("[[listener]]", from);
    let comment = "TLS in nginx, and in the clear here: for what speaks TLS on this machine".to_owned();
    table.put("address", quoted(&listener.address.to_string()), listener.tls.then_some(comment));
    if let Some(site) = default {
        route::put_listener(&mut table, &site.scope, notes);
    }
    table
}

/// `[server]`, `[admin]` and `[log]`, as far as they say anything.
fn server_tables(
    all: &[Directive],
    http: &[Directive],
    scope: &Scope,
    sites: &[Site],
    listeners: &[Listener],
    notes: &mut Notes,
) -> Vec<Table> {
    let mut tables = Vec::new();
    let mut server = Table::new("[server]", String::new());
    server.above.clear();
    for directive in all.iter().filter(|directive| directive.name == "worker_processes") {
        match directive.word(0).parse::<u64>() {
            Ok(count @ 1..=1024) => server.put("threads", count.to_string(), None),
            _ if directive.word(0) == "auto" => {}
            _ => notes.lost(directive, "weir has 1 to 1024 threads, or one per core"),
        }
    }
    let trusted = trusted(http, notes);
    if !trusted.is_empty() {
        let comment = "their X-Forwarded-For is believed on every listener".to_owned();
        server.put("trusted_proxies", format!("[{}]", trusted.join(", ")), Some(comment));
    }
    if server.len() > 0 {
        tables.push(server);
    }
    let taken: HashSet<u16> = listeners.iter().map(|listener| listener.address.port()).collect();
    if let Some(port) = (ADMIN..=u16::MAX).find(|port| !taken.contains(port)) {
        let from =
            "For `weir status`, `reload`, `drain` and the page at /, from this machine alone; /metrics for Prometheus.";
        let mut admin = Table::new("[admin]", from.to_owned());
        let moved =
            (port != ADMIN).then(|| format!("{ADMIN} is a listener's: the commands need `--admin 127.0.0.1:{port}`"));
        admin.put("listen", quoted(&format!("127.0.0.1:{port}")), moved);
        tables.push(admin);
    }
    // What most servers say; another log of one server is noted.
    let logs: Vec<_> = sites.iter().map(|site| route::access(&site.scope, notes)).collect();
    let log = route::access(scope, notes).or_else(|| logs.iter().flatten().next().cloned());
    if let Some((value, comment)) = log {
        for (site, other) in sites.iter().zip(&logs) {
            if other.as_ref().is_none_or(|(other, _)| *other != value) {
                let directive = site.scope.all("access_log").first().unwrap_or(&site.directive);
                notes.lost(directive, "weir writes one access log, for all hosts");
            }
        }
        let mut table = Table::new("[log]", String::new());
        table.above.clear();
        table.put("access", value, comment);
        tables.push(table);
    }
    tables
}

/// The networks of `set_real_ip_from`, wherever it stands.
fn trusted(http: &[Directive], notes: &mut Notes) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut header: Option<&Directive> = None;
    let mut first: Option<&Directive> = None;
    let mut left: Vec<&Directive> = http.iter().rev().collect();
    while let Some(directive) = left.pop() {
        if matches!(directive.name.as_str(), "server" | "location") {
            left.extend(directive.inside().iter().rev());
        }
        match directive.name.as_str() {
            "real_ip_header" => header = header.or(Some(directive)),
            "set_real_ip_from" => {
                let text = directive.word(0);
                let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
                let Some(network) = network else {
                    notes.lost(directive, "weir trusts addresses and networks, no names and sockets");
                    continue;
                };
                first = first.or(Some(directive));
                let network = quoted(&network.trunc().to_string());
                if !found.contains(&network) {
                    found.push(network);
                }
            }
            "real_ip_recursive" if directive.word(0) != "on" => {
                notes.unneeded(
                    directive,
                    "weir goes back through the chain as long as it finds proxies that are trusted",
                );
            }
            _ => {}
        }
    }
    let named = header.map_or("X-Real-IP", |directive| directive.word(0));
    let known = ["X-Forwarded-For", "Forwarded"].iter().any(|known| known.eq_ignore_ascii_case(named));
    if let Some(directive) = first.filter(|_| !known) {
        notes.lost(
            header.unwrap_or(directive),
            format!(
                "weir reads X-Forwarded-For and Forwarded, not `{named}`: let the proxies in front send one of these"
            ),
        );
    }
    found
}

/// The map that everybody copies for WebSocket is not needed; others are.
fn note_maps(http: &[Directive], notes: &mut Notes) {
    for directive in http.iter().filter(|directive| directive.name == "map") {
        if directive.word(0) == "$http_upgrade" {
            notes.unneeded(directive, "upgrades pass by themselves");
        } else {
            notes.lost(directive, "weir has no variables of one's own; often routes with `host` or `path` do it");
        }
    }
}

/// Whether a request for this host, or for all below it, is also one for the other.
fn covers(wildcard: &str, host: &str) -> bool {
    let Some(suffix) = wildcard.strip_prefix('*') else { return false };
    host != wildcard && host.strip_prefix('*').unwrap_or(host).ends_with(suffix)
}

fn route_tables(sites: &[Site], listeners: &[Listener], services: &Services, notes: &mut Notes) -> Vec<Table> {
    let everywhere: BTreeSet<SocketAddr> = listeners.iter().map(|listener| listener.address).collect();
    let line = |addresses: &BTreeSet<SocketAddr>| {
        let texts: Vec<String> = addresses.iter().map(|address| quoted(&address.to_string())).collect();
        (*addresses != everywhere).then(|| format!("[{}]", texts.join(", ")))
    };
    let mut tables = Vec::new();
    let mut claimed: HashSet<(SocketAddr, &str)> = HashSet::new();
    for (index, site) in sites.iter().enumerate() {
        let here: BTreeSet<SocketAddr> = site.listens.iter().map(|listen| listen.address).collect();
        let default: BTreeSet<SocketAddr> = listeners
            .iter()
            .filter(|listener| listener.default == index && here.contains(&listener.address))
            .map(|listener| listener.address)
            .collect();
        let mut variants: Vec<(Option<&str>, BTreeSet<SocketAddr>)> = Vec::new();
        for host in &site.hosts {
            let free: BTreeSet<SocketAddr> =
                here.iter().copied().filter(|address| claimed.insert((*address, host))).collect();
            if free.len() < here.len() {
                notes.lost(&site.directive, format!("`{host}` is another server's already, as nginx warns"));
            }
            // The default server gets what nobody else does, unless a wildcard takes it before.
            let others = sites.iter().enumerate().filter(|(other, _)| *other != index);
            let contested = others.flat_map(|(_, other)| &other.hosts).any(|other| covers(other, host));
            let needed: BTreeSet<SocketAddr> =
                free.into_iter().filter(|address| contested || !default.contains(address)).collect();
            variants.push((Some(host), needed));
        }
        variants.push((None, default));
        variants.retain(|(_, addresses)| !addresses.is_empty());
        if variants.is_empty() && !site.listens.is_empty() {
            notes.lost(
                &site.directive,
                "no request gets here: it has no name of its own, and is not the default server",
            );
        }
        let mut lost = site.lost.clone();
        for (host, addresses) in variants {
            let listeners = line(&addresses);
            let whose = Whose { host, listeners: listeners.as_deref(), port: site.port, tls: site.tls };
            let mut of_this = of_site(site, &whose, services, notes);
            if let Some(first) = of_this.first_mut() {
                first.above.extend(std::mem::take(&mut lost));
            }
            tables.extend(of_this);
        }
    }
    tables
}

/// The routes of one server for one host.
fn of_site(site: &Site, whose: &Whose<'_>, services: &Services, notes: &mut Notes) -> Vec<Table> {
    let mut tables = Vec::new();
    for location in &site.locations {
        let behind = match &location.action {
            Action::Pass(pass) => services.behind(pass),
            Action::Answer(_) => None,
        };
        if location.shape != Shape::Redirection {
            tables.push(route::table(location, whose, behind.as_ref(), notes));
        }
        let bare = location.path.strip_suffix('/');
        let is_bare = |other: &Location| Some(other.path.as_str()) == bare && other.shape != Shape::Redirection;
        if location.shape != Shape::Pattern && !site.locations.iter().any(is_bare) {
            tables.extend(route::slash(location, whose));
        }
    }
    let takes_all =
        |location: &Location| location.path == "/" && !location.exact && location.shape != Shape::Redirection;
    if whose.host.is_some() && !site.locations.iter().any(takes_all) {
        let from = format!("{} {}: paths without a location", site.directive.place, site.directive.shown());
        let mut table = route::begin(whose, "/", false, from);
        route::put_answer(&mut table, &Answer::of(404, "weir serves no files"));
        tables.push(table);
    }
    tables
}
