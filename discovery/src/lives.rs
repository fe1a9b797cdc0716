//! What outlasts a snapshot: verdicts, counts, turns, retry budgets.
//!
//! In: who is configured. Out: the shared state of the same endpoint, service or route as before, or a fresh one.
//! An endpoint is the same when service and address are, whatever its weight; a service by its name; a route by host
//! and path. What is configured no more is forgotten once no snapshot and no exchange holds it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use weir_snapshot::{Budget, HealthRules, Live};

/// The state that snapshots share, and the last revision. One for each [`weir_snapshot::Publisher`].
#[derive(Debug, Default)]
pub struct Lives {
    revision: u64,
    endpoints: HashMap<(Box<str>, SocketAddr), Arc<Live>>,
    turns: HashMap<Box<str>, Arc<AtomicU64>>,
    budgets: HashMap<Box<str>, Arc<Budget>>,
}

impl Lives {
    /// Nothing known yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    pub(crate) fn endpoint(&mut self, service: &str, address: SocketAddr, rules: &HealthRules) -> Arc<Live> {
        shared(&mut self.endpoints, (service.into(), address), || Live::new(rules))
    }

    pub(crate) fn turn(&mut self, service: &str) -> Arc<AtomicU64> {
        shared(&mut self.turns, service.into(), AtomicU64::default)
    }

    pub(crate) fn budget(&mut self, route: &str) -> Arc<Budget> {
        shared(&mut self.budgets, route.into(), Budget::new)
    }

    /// Drops what nobody else holds. Called before an assembly: the snapshot that is current then still holds its own,
    /// so that what goes and comes back within one reload is the same.
    pub(crate) fn forget_unused(&mut self) {
        self.endpoints.retain(|_, live| Arc::strong_count(live) > 1);
        self.turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        self.budgets.retain(|_, budget| Arc::strong_count(budget) > 1);
    }
}

fn shared<K: Eq + Hash, V>(known: &mut HashMap<K, Arc<V>>, key: K, fresh: impl FnOnce() -> V) -> Arc<V> {
    match known.entry(key) {
        Entry::Occupied(entry) => Arc::clone(entry.get()),
        Entry::Vacant(entry) => Arc::clone(entry.insert(Arc::new(fresh()))),
    }
}
