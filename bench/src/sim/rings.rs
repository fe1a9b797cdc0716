//! What a hash policy moves when the list of endpoints changes, and how evenly it spreads keys.
//!
//! In: nothing. Out: two tables over the selectors of `weir-balance`, with fixed keys.

#![expect(clippy::cast_precision_loss, reason = "counts of keys are far below 2^53")]

use std::fmt::Write;

use weir_balance::{Ask, Endpoint, Endpoints, KeyHash, Loads, Policy, Selector, Slot, VirtualNodes, Weight, key_hash};

const KEYS: u32 = 200_000;

/// Every endpoint admits.
struct Idle;

impl Loads for Idle {
    fn admits(&self, _: Slot) -> bool {
        true
    }
    fn in_flight(&self, _: Slot) -> u32 {
        0
    }
}

fn ring(virtual_nodes: u16) -> Policy {
    Policy::ConsistentHash {
        virtual_nodes: VirtualNodes::new(virtual_nodes).unwrap_or(VirtualNodes::DEFAULT),
        bounded_load: None,
    }
}

const MAGLEV: Policy = Policy::Maglev { bounded_load: None };
const SLOTS: Policy = Policy::Slots { bounded_load: None };

/// Where each key goes among this many endpoints.
fn homes(policy: Policy, count: u16) -> Vec<usize> {
    let endpoint = |index| Endpoint { identity: format!("10.0.0.{}:3000", 1 + index).into(), weight: Weight::ONE };
    let endpoints = Endpoints::new((0..count).map(endpoint).collect()).unwrap_or_default();
    let selector = Selector::build(&policy, &endpoints);
    let home = |key| selector.pick(&Ask { turn: 0, dice: 0, key: Some(key), tried: &[] }, &Idle);
    keys().filter_map(home).map(Slot::index).collect()
}

fn modulo(count: u64) -> Vec<usize> {
    keys().map(|KeyHash(hash)| usize::try_from(hash % count).unwrap_or(0)).collect()
}

fn keys() -> impl Iterator<Item = KeyHash> {
    (0..KEYS).map(|index| key_hash(format!("/photos/{index}.jpg").as_bytes()))
}

fn moved(before: &[usize], after: &[usize]) -> f64 {
    before.iter().zip(after).filter(|(was, is)| was != is).count() as f64 / f64::from(KEYS)
}

fn peak(homes: &[usize], count: usize) -> f64 {
    let mut hits = vec![0_u32; count];
    for &home in homes {
        hits[home] += 1;
    }
    f64::from(hits.iter().copied().max().unwrap_or(0)) * count as f64 / f64::from(KEYS)
}

/// Both tables.
pub(crate) fn table() -> String {
    let mut text = format!("keys moved when a fourth endpoint joins three, of {KEYS}\n\n");
    writeln!(text, "| choice         | moved   |\n|----------------|--------:|").ok();
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    writeln!(text, "| hash mod N     | {:>7} |", percent(moved(&modulo(3), &modulo(4)))).ok();
    let moves = |policy| percent(moved(&homes(policy, 3), &homes(policy, 4)));
    for virtual_nodes in [1, 10, 160, 1000] {
        writeln!(text, "| ring, {virtual_nodes:>4} pl. | {:>7} |", moves(ring(virtual_nodes))).ok();
    }
    writeln!(text, "| maglev         | {:>7} |", moves(MAGLEV)).ok();
    writeln!(text, "| slots          | {:>7} |", moves(SLOTS)).ok();
    writeln!(text, "| the least      | {:>7} |", percent(0.25)).ok();
    writeln!(text, "\nbusiest endpoint by the mean, by places of each on the ring, and by table\n").ok();
    let counts = [3_u16, 4, 8, 16, 64];
    writeln!(text, "| places | {} |", counts.map(|count| format!("{count:>3} endpoints")).join(" | ")).ok();
    writeln!(text, "|-------:|{}", counts.map(|_| "--------------:|").concat()).ok();
    let rings = [1, 10, 40, 160, 500, 1000].map(|virtual_nodes| (virtual_nodes.to_string(), ring(virtual_nodes)));
    for (name, policy) in rings.into_iter().chain([("maglev".to_owned(), MAGLEV), ("slots".to_owned(), SLOTS)]) {
        let peaks = counts.map(|count| format!("{:>13.2}", peak(&homes(policy, count), usize::from(count))));
        writeln!(text, "| {name:>6} | {} |", peaks.join(" | ")).ok();
    }
    text
}
