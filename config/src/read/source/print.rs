//! Writes `consul`, `dns` and `file` of a `[[service]]`, and how an agent is reached.

use std::collections::HashSet;

use super::{
    AGENT, BACKUP, CA_FILE, CERT_FILE, CONSUL, CONSUL_SERVICE, DATACENTER, DNS, DNS_NAME, FILE, FILTER, KEY_FILE,
    NAMESPACE, PATH, PORT, RECORDS, RESOLVERS, STATUS, TAGS, TOKEN_ENV, TOKEN_FILE, WAIT, Wanted,
};
use crate::names::Place;
use crate::raw::Page;
use crate::read::endpoints::Row;
use crate::{Agent, Consul, Dns, Family, Records, Source, SourceKind, TokenFrom, defaults};

/// The sources of a service by how they are written: in tables of their own, or as endpoints that have names.
pub(in crate::read) struct Written<'a> {
    tables: &'a [Source],
    names: &'a [Source],
}

/// Most names in DNS could be written either way, and mean the same; here they are endpoints if they can be. Tables come
/// first among the sources, and no two endpoints have one name and port.
pub(in crate::read) fn written_as(sources: &[Source]) -> Written<'_> {
    let last_table = sources.iter().rposition(|source| !may_be_named(source)).map_or(0, |at| at + 1);
    let fits = |at: &usize| {
        let mut places = HashSet::new();
        sources.iter().skip(*at).all(|source| places.insert(place_of(source)))
    };
    let first_name = (last_table..sources.len()).find(fits).unwrap_or(sources.len());
    let (tables, names) = sources.split_at(first_name);
    Written { tables, names }
}

/// What an endpoint that is written by name becomes.
fn may_be_named(source: &Source) -> bool {
    matches!(&source.kind, SourceKind::Dns(Dns { records: Records::Addresses { family: Family::Both, .. }, resolvers, .. })
        if resolvers.is_empty())
}

fn place_of(source: &Source) -> Option<Place> {
    match &source.kind {
        SourceKind::Dns(Dns { name, records: Records::Addresses { port, .. }, .. }) => {
            Some(Place::Name(name.clone(), *port))
        }
        _ => None,
    }
}

impl Written<'_> {
    /// The endpoints that have names.
    pub(in crate::read) fn named(&self) -> impl Iterator<Item = Row> {
        self.names.iter().filter_map(|source| {
            let SourceKind::Dns(Dns { weight, drain, capacity, .. }) = source.kind else { return None };
            Some(Row { place: place_of(source)?, weight, drain, backup: source.backup, capacity })
        })
    }
}

pub(in crate::read) fn print(written: &Written<'_>, page: &mut Page) {
    for Source { kind, backup } in written.tables {
        match kind {
            SourceKind::Consul(consul) => print_consul(consul, page),
            SourceKind::Dns(dns) => print_dns(dns, page),
            SourceKind::File(path) => {
                page.table(&several(FILE.header));
                page.key(&PATH, path);
            }
        }
        page.key(&BACKUP, backup);
    }
}

/// The header of a table that may be there several times.
fn several(header: &str) -> String {
    format!("[{header}]")
}

fn print_consul(consul: &Consul, page: &mut Page) {
    let Consul { agent, service, tags, filter, datacenter, status, wait } = consul;
    page.table(&several(CONSUL.header));
    page.key(&CONSUL_SERVICE, service);
    page.key(&TAGS, tags);
    page.key(&FILTER, filter);
    page.key(&STATUS, status);
    page.key(&DATACENTER, datacenter);
    page.key(&WAIT, wait);
    print_agent(agent, page);
}

/// The keys that every table about an agent has.
pub(in crate::read) fn print_agent(agent: &Agent, page: &mut Page) {
    let Agent { address, namespace, token, ca_file, identity } = agent;
    let (token_file, token_env) = match token {
        TokenFrom::Usual => (None, None),
        TokenFrom::File(path) => (Some(path.clone()), None),
        TokenFrom::Variable(name) => (None, Some(name.clone())),
    };
    let (cert_file, key_file) = identity.clone().unzip();
    page.settled(&AGENT, address, &defaults::CONSUL_ADDRESS.into());
    page.key(&NAMESPACE, namespace);
    page.key(&TOKEN_FILE, &token_file);
    page.key(&TOKEN_ENV, &token_env);
    page.key(&CA_FILE, ca_file);
    page.key(&CERT_FILE, &cert_file);
    page.key(&KEY_FILE, &key_file);
}

fn print_dns(dns: &Dns, page: &mut Page) {
    // A table has none of these three: with others than the defaults it is an endpoint that has a name.
    let Dns { name, records, resolvers, weight: _, drain: _, capacity: _ } = dns;
    let (wanted, port) = match records {
        Records::Services => (Wanted::Services, None),
        Records::Addresses { family: Family::Both, port } => (Wanted::Both, Some(port.get())),
        Records::Addresses { family: Family::V4, port } => (Wanted::V4, Some(port.get())),
        Records::Addresses { family: Family::V6, port } => (Wanted::V6, Some(port.get())),
    };
    page.table(&several(DNS.header));
    page.key(&DNS_NAME, name);
    page.key(&RECORDS, &wanted);
    if port.is_some() {
        page.key(&PORT, &port);
    }
    page.key(&RESOLVERS, resolvers);
}
