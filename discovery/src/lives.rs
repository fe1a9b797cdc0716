//! What outlasts a snapshot: verdicts, counts, turns, retry budgets, and pools that did not change.
//!
//! In: who is configured or found. Out: the shared state of the same endpoint, service or route as before, or a fresh one.
//! An endpoint is the same when service and address are, whatever its weight; a service by its name; a route by host
//! and path. What exists no more is forgotten once no snapshot and no exchange holds it.
//! Who left and came back is the same endpoint as long as it is remembered, but of a new generation: the process behind
//! an address is likely to be another one, so that no connection to the former one may be used.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};

use weir_config::Service;
use weir_snapshot::{Budget, Clock, HealthRules, Live, Millis, Moment, Permits, Pool, QueueRules, Starts};

use crate::Found;
use crate::overrides::OfService;

/// What a first probe may take beyond its timeout before the endpoint is taken for well: for the probe to be started on
/// a busy machine.
const GRACE: Millis = Millis::from_secs(1);

/// The state that snapshots share, and the last revision. One for each [`weir_snapshot::Publisher`].
#[derive(Debug, Default)]
pub struct Lives {
    revision: u64,
    generation: u64,
    services: HashMap<Box<str>, ServiceLives>,
    budgets: HashMap<Box<str>, Arc<Budget>>,
}

/// What is kept of one service.
#[derive(Debug, Default)]
pub(crate) struct ServiceLives {
    /// Pools built so far.
    builds: u64,
    endpoints: HashMap<SocketAddr, Known>,
    pub(crate) turn: Arc<AtomicU64>,
    pub(crate) starts: Arc<Starts>,
    last: Option<Built>,
    /// Of its queue.
    permits: Option<Arc<Permits>>,
}

#[derive(Debug)]
struct Known {
    /// The last pool that it was in.
    build: u64,
    generation: u64,
    label: Arc<str>,
    /// Whoever else looks at how many hold it must not find us among them: two who wait for each other never let go.
    live: Weak<Live>,
}

/// A pool and what it was built of.
#[derive(Debug)]
struct Built {
    found: Arc<[Found]>,
    overrides: Option<Arc<OfService>>,
    queue: Option<QueueRules>,
    slow_start: Option<Millis>,
    pool: Arc<Pool>,
}

/// The lasting part of a member.
pub(crate) struct Lasting {
    pub(crate) label: Arc<str>,
    pub(crate) generation: u64,
    pub(crate) live: Arc<Live>,
}

impl Lives {
    /// Nothing known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same counts, and nothing else: for who has lost the rest.
    pub(crate) fn bare(&self) -> Self {
        Self { revision: self.revision, generation: self.generation, ..Self::default() }
    }

    /// The last revision given out.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// What is kept of this service, and the count of generations.
    pub(crate) fn service(&mut self, name: &str) -> (&mut ServiceLives, &mut u64) {
        let Self { services, generation, .. } = self;
        // Not `entry`: that would copy the name each time.
        if !services.contains_key(name) {
            services.insert(name.into(), ServiceLives::default());
        }
        (services.entry(name.into()).or_default(), generation)
    }

    pub(crate) fn budget(&mut self, route: &str) -> Arc<Budget> {
        Arc::clone(self.budgets.entry(route.into()).or_default())
    }

    /// Drops what nobody else holds. Called before an assembly: the snapshot that is current then still holds its own,
    /// so that what goes and comes back within one reload is the same.
    pub(crate) fn forget_unused(&mut self) {
        for service in self.services.values_mut() {
            service.endpoints.retain(|_, known| known.live.strong_count() > 0);
        }
        self.services.retain(|_, service| !service.endpoints.is_empty() || Arc::strong_count(&service.turn) > 1);
        self.budgets.retain(|_, budget| Arc::strong_count(budget) > 1);
    }

    /// The services that are not among these are away. Called after an assembly: one that is refused takes none away.
    pub(crate) fn leave_out(&mut self, services: &[Service]) {
        let configured: HashSet<&str> = services.iter().map(|service| &*service.name).collect();
        for (name, service) in &mut self.services {
            if !configured.contains(&**name) && service.last.take().is_some() {
                // A pool without anyone, so that who comes back with the service was away.
                service.begin();
            }
        }
    }
}

impl ServiceLives {
    /// The pool of the last assembly, if it is what would be built again.
    ///
    /// Where its endpoints are from is no part of a pool: another source with the same list is the same pool.
    pub(crate) fn unchanged(
        &self,
        service: &Service,
        found: &Arc<[Found]>,
        overrides: Option<&Arc<OfService>>,
    ) -> Option<Arc<Pool>> {
        let Service { policy, health, when_all_ejected, slow_start, queue, .. } = service;
        let last = self.last.as_ref()?;
        let same = (Arc::ptr_eq(&last.found, found) || last.found == *found)
            && last.overrides.as_ref() == overrides
            && last.pool.policy() == policy
            && **last.pool.health() == *health
            && last.pool.when_all_ejected() == *when_all_ejected
            && last.slow_start == *slow_start
            && last.queue == *queue;
        same.then(|| Arc::clone(&last.pool))
    }

    pub(crate) fn begin(&mut self) {
        self.builds += 1;
    }

    pub(crate) fn built(
        &mut self,
        service: &Service,
        found: &Arc<[Found]>,
        overrides: Option<&Arc<OfService>>,
        pool: &Arc<Pool>,
    ) {
        let (found, overrides, pool) = (Arc::clone(found), overrides.cloned(), Arc::clone(pool));
        let Service { queue, slow_start, .. } = *service;
        self.last = Some(Built { found, overrides, queue, slow_start, pool });
    }

    /// The permits of its queue, and those who wait for them. Other rules than before hold once a pool with them is
    /// published: an assembly that fails changes nothing of who waits.
    pub(crate) fn permits(&mut self, rules: QueueRules, clock: Clock) -> Arc<Permits> {
        Arc::clone(self.permits.get_or_insert_with(|| Arc::new(Permits::new(rules, clock))))
    }

    /// The endpoint at this address. One that joins a fleet waits for its first probe, if there are probes; the first
    /// fleet does not, for there is nobody to serve meanwhile.
    pub(crate) fn endpoint(
        &mut self,
        address: SocketAddr,
        rules: &HealthRules,
        now: Moment,
        generation: &mut u64,
    ) -> Lasting {
        let (build, builds) = (self.builds, self.builds);
        let mut next_generation = || {
            *generation += 1;
            *generation
        };
        let held = self.endpoints.get(&address).and_then(|known| known.live.upgrade());
        let live = held.unwrap_or_else(|| {
            self.endpoints.remove(&address);
            let live = match &rules.probe {
                Some(probe) if builds > 1 => {
                    Live::unproven(rules, now.after(probe.timeout.duration() + GRACE.duration()))
                }
                _ => Live::new(rules),
            }
            .of_service(&self.starts);
            live.begins(now);
            Arc::new(live)
        });
        let known = self.endpoints.entry(address).or_insert_with(|| {
            let label = address.to_string().into();
            Known { build, generation: next_generation(), label, live: Arc::downgrade(&live) }
        });
        // Not in the pool before this one: it was away.
        if known.build + 1 < build {
            known.generation = next_generation();
            live.begins(now);
        }
        known.build = build;
        Lasting { label: Arc::clone(&known.label), generation: known.generation, live }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_observer_alone_holds_is_held_by_nobody_else() {
        let config = weir_config::parse(
            "weir.toml",
            "[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"s\"\n[[service]]\nname = \"s\"\n\
             policy = \"weighted\"\nendpoints = [\"127.0.0.1:1\"]\n",
        )
        .unwrap();
        let found = |port| [Found::new(([127, 0, 0, 1], port).into())].into();
        let mut lives = Lives::new();
        let first = crate::assemble(
            &config,
            &[found(1)],
            &crate::Overrides::default(),
            &mut lives,
            weir_snapshot::Clock::start(),
        )
        .unwrap();
        let observed = Arc::clone(&first.pools[0].members()[0].live);
        let second = crate::assemble(
            &config,
            &[found(2)],
            &crate::Overrides::default(),
            &mut lives,
            weir_snapshot::Clock::start(),
        )
        .unwrap();
        drop((first, second));
        assert_eq!(Arc::strong_count(&observed), 1);
    }
}
