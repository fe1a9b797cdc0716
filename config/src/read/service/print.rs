//! Writes `[[service]]` with all that is in it.

use weir_balance::{LoadFactor, Policy, VirtualNodes};
use weir_snapshot::KeySource;

use super::{
    ALL_EJECTED, BOUNDED, Choice, EMPTY_AFTER, HASH, HASH_KEY, IP_PREFIX, KeyWord, NAME, POLICY, SERVICE, V4, V6,
    VIRTUAL,
};
use crate::Service;
use crate::raw::Page;
use crate::read::queue::{QUEUE_TABLE, WORK};
use crate::read::{endpoints, health, queue, source};

pub(in crate::read) fn print(service: &Service, page: &mut Page) {
    let Service { name, policy, key, endpoints, sources, empty_after, health, when_all_ejected, queue, work, adaptive } =
        service;
    page.table(SERVICE.header);
    page.key(&NAME, name);
    page.key(&POLICY, &Choice::of(*policy));
    let written = source::written_as(sources);
    endpoints::print(endpoints, written.named(), page);
    page.key(&EMPTY_AFTER, empty_after);
    page.key(&ALL_EJECTED, when_all_ejected);
    match queue {
        Some(_) => page.key(&WORK, work),
        None => page.no_table(&QUEUE_TABLE),
    }
    print_hash(*policy, key, page);
    source::print(&written, page);
    health::print(health, page);
    if let Some(rules) = queue {
        queue::print(rules, *work, *adaptive, page);
    }
}

fn print_hash(policy: Policy, key: &KeySource, page: &mut Page) {
    let (virtual_nodes, bounded_load) = match policy {
        Policy::ConsistentHash { virtual_nodes, bounded_load } => (Some(virtual_nodes), bounded_load),
        Policy::Maglev { bounded_load } | Policy::Slots { bounded_load } => (None, bounded_load),
        Policy::IpHash => return print_prefix(key, page),
        _ => return,
    };
    page.table(HASH.header);
    page.key(&HASH_KEY, &KeyWord::of(key));
    if let Some(nodes) = virtual_nodes.map(VirtualNodes::get) {
        page.key(&VIRTUAL, &nodes);
    }
    page.key(&BOUNDED, &bounded_load.map(LoadFactor::hundredths));
    print_prefix(key, page);
}

fn print_prefix(key: &KeySource, page: &mut Page) {
    if let KeySource::ClientIp { v4_prefix, v6_prefix } = key {
        page.table(IP_PREFIX.header);
        page.key(&V4, v4_prefix);
        page.key(&V6, v6_prefix);
    }
}

impl Choice {
    fn of(policy: Policy) -> Self {
        match policy {
            Policy::RoundRobin => Self::RoundRobin,
            Policy::Weighted => Self::Weighted,
            Policy::LeastConnections => Self::LeastConnections,
            Policy::P2c => Self::P2c,
            Policy::Random => Self::Random,
            Policy::PeakEwma => Self::PeakEwma,
            Policy::IpHash => Self::IpHash,
            Policy::ConsistentHash { .. } => Self::ConsistentHash,
            Policy::Maglev { .. } => Self::Maglev,
            Policy::Slots { .. } => Self::Slots,
        }
    }
}

impl KeyWord {
    fn of(key: &KeySource) -> Self {
        match key {
            KeySource::ClientIp { .. } => Self::ClientIp,
            KeySource::Path => Self::Path,
            KeySource::Body => Self::Body,
            KeySource::Header(name) => Self::Header(name.clone()),
            KeySource::Cookie(name) => Self::Cookie(name.clone()),
            KeySource::Query(name) => Self::Query(name.clone()),
        }
    }
}
