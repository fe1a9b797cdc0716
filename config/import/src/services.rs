//! The services that come out: `upstream`s, and the hosts that a `proxy_pass` names itself.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

use crate::note::Notes;
use crate::plan::Listener;
use crate::route::{self, Behind};
use crate::site::{Action, Pass, Site};
use crate::toml::Table;
use crate::tree::Directive;
use crate::upstream::{Spot, Upstream};

/// The services that come out, by what `proxy_pass` calls them.
pub(crate) struct Services {
    upstreams: HashMap<String, Upstream>,
    /// In the order in which they come out, with their name in weir and what is counted against their endpoints.
    order: Vec<(String, String, BTreeSet<u16>)>,
}

impl Services {
    pub(crate) fn read(http: &[Directive], notes: &mut Notes) -> Self {
        let mut services = Self { upstreams: HashMap::new(), order: Vec::new() };
        for directive in http.iter().filter(|directive| directive.name == "upstream") {
            let key = directive.word(0).to_ascii_lowercase();
            if services.upstreams.contains_key(&key) {
                notes.lost(directive, "another upstream has this name already");
                continue;
            }
            let upstream = Upstream::read(directive, notes);
            services.add(key, upstream);
        }
        services
    }

    fn add(&mut self, key: String, upstream: Upstream) {
        let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        let plain: String = key.chars().map(|letter| if legal(letter) { letter } else { '-' }).take(56).collect();
        let as_written = upstream.name.to_ascii_lowercase() == plain;
        let plain = if plain.is_empty() {
            "service".to_owned()
        } else if as_written {
            upstream.name.clone()
        } else {
            plain
        };
        let taken = |name: &str| self.order.iter().any(|(_, other, _)| other == name);
        let name = if taken(&plain) {
            (2..=u64::MAX).map(|number| format!("{plain}-{number}")).find(|name| !taken(name)).unwrap_or_default()
        } else {
            plain
        };
        self.order.push((key.clone(), name, BTreeSet::new()));
        self.upstreams.insert(key, upstream);
    }

    /// Finds the services of all that is passed on, makes those of plain hosts, and leaves out endpoints that are weir
    /// itself.
    pub(crate) fn gather(&mut self, sites: &[Site], listeners: &[Listener], notes: &mut Notes) {
        for location in sites.iter().filter(|site| !site.listens.is_empty()).flat_map(|site| &site.locations) {
            let Action::Pass(pass) = &location.action else { continue };
            let key = pass.to.to_ascii_lowercase();
            if !self.upstreams.contains_key(&key) {
                self.add(key.clone(), Upstream::of_host(&pass.to, &pass.directive, notes));
            }
            if let Some((_, _, blame)) = self.order.iter_mut().find(|(other, _, _)| *other == key) {
                blame.extend(route::blamed(&location.scope));
            }
        }
        for upstream in self.upstreams.values_mut() {
            upstream.servers.retain(|server| {
                let circle = listeners.iter().any(|listener| leads_to(&server.spot, listener.address));
                if circle {
                    let why =
                        "this is where weir itself listens now: let it pass requests to the endpoint behind at once";
                    notes.lost(&server.directive, why);
                }
                !circle
            });
        }
    }

    pub(crate) fn behind(&self, pass: &Pass) -> Option<Behind<'_>> {
        let key = pass.to.to_ascii_lowercase();
        let (_, name, _) = self.order.iter().find(|(other, _, _)| *other == key)?;
        let upstream = self.upstreams.get(&key).filter(|upstream| !upstream.servers.is_empty())?;
        Some(Behind { name, upstream })
    }

    pub(crate) fn tables(&self, notes: &mut Notes) -> Vec<Table> {
        let of = |(key, name, blame): &(String, String, BTreeSet<u16>)| {
            let upstream = self.upstreams.get(key)?;
            if upstream.servers.is_empty() {
                notes.lost(&upstream.directive, "not taken over: it has no endpoint that weir can reach");
                return None;
            }
            Some(upstream.table(name, blame, notes))
        };
        self.order.iter().filter_map(of).collect()
    }
}

/// Whether a connection to `spot` reaches `listener`.
fn leads_to(spot: &Spot, listener: SocketAddr) -> bool {
    match spot {
        Spot::Socket(address) => {
            let (ip, own) = (address.ip(), listener.ip());
            let near =
                ip == own || own.is_unspecified() && ip.is_loopback() || ip.is_unspecified() && own.is_loopback();
            address.port() == listener.port()
                && address.is_ipv4() == listener.is_ipv4()
                && (near || ip.is_unspecified())
        }
        Spot::Named(name, port) => {
            let near = listener.ip().is_loopback() || listener.ip().is_unspecified();
            name == "localhost" && *port == listener.port() && near
        }
        Spot::Records(_) => false,
    }
}
