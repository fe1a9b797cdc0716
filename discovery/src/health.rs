//! Keeps one probing task for each endpoint of the current snapshot that has probes.
//!
//! In: the snapshots, as they come. Out: tasks. Said as a state, not as changes: whatever ran before, after a snapshot
//! has been seen exactly its endpoints are probed. Those that are in it as they were go on in their rhythm, new and
//! changed ones are probed at once, the others stop. Drained endpoints are probed too, so that their state is known when
//! they return. A pool that is in two snapshots is not looked at twice: a change of one service among thousands is cheap.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::error;
use weir_snapshot::{Clock, Pool, Probe, Reader, Snapshot};

use crate::probe;
use crate::watch::Watched;

/// The probes of all endpoints.
#[derive(Debug)]
pub struct Health {
    clock: Clock,
    tasks: JoinSet<()>,
    running: HashMap<Arc<str>, OfPool>,
    /// Whose task it is, until it has ended: those that were aborted have nobody.
    keys: HashMap<Id, Key>,
}

/// The probes of one service.
#[derive(Debug)]
struct OfPool {
    pool: Arc<Pool>,
    endpoints: Probes,
}

type Probes = HashMap<SocketAddr, (Watched, AbortHandle)>;

/// Service and address.
type Key = (Arc<str>, SocketAddr);

impl Health {
    /// Probes what the current snapshot lists, until `shutdown` completes or the publisher is gone.
    /// Then, or when this future is dropped, all probes stop where they are.
    pub async fn run(reader: Reader, clock: Clock, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut health = Self::new(clock);
        // Before the load, so that a snapshot that comes in between is seen as new.
        let mut revisions = reader.revisions();
        health.fit(&reader.load());
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                changed = revisions.changed() => match changed {
                    Ok(()) => health.fit(&reader.load()),
                    Err(_) => return,
                },
                Some(ended) = health.tasks.join_next_with_id() => health.ended(&ended),
            }
        }
    }

    fn new(clock: Clock) -> Self {
        Self { clock, tasks: JoinSet::new(), running: HashMap::new(), keys: HashMap::new() }
    }

    fn fit(&mut self, snapshot: &Snapshot) {
        // As large as the one before will be: to grow it step by step would cost more than all the rest.
        let room = HashMap::with_capacity(self.running.len());
        let mut before = std::mem::replace(&mut self.running, room);
        for pool in &snapshot.pools {
            let Some(probe) = &pool.health().probe else { continue };
            let now = match before.remove(pool.service()) {
                Some(old) if Arc::ptr_eq(&old.pool, pool) => old,
                old => {
                    let mut old = old.map(|old| old.endpoints).unwrap_or_default();
                    let endpoints = self.probed(pool, probe, &mut old);
                    self.stop(old);
                    OfPool { pool: Arc::clone(pool), endpoints }
                }
            };
            self.running.insert(Arc::clone(pool.service()), now);
        }
        for old in before.into_values() {
            self.stop(old.endpoints);
        }
    }

    /// The probes of this pool: those of `old` that go on are taken out of it, the others are new.
    fn probed(&mut self, pool: &Arc<Pool>, probe: &Probe, old: &mut Probes) -> Probes {
        let mut endpoints = HashMap::with_capacity(pool.members().len());
        for member in pool.members() {
            let (service, rules) = (Arc::clone(pool.service()), Arc::clone(pool.health()));
            let watched = Watched { service, member: member.clone(), rules };
            let goes_on = old.get(&member.address).is_some_and(|(old, _)| old.is_like(&watched));
            let kept = if goes_on { old.remove(&member.address) } else { None };
            let task = match kept {
                Some((_, task)) => task,
                None => self.spawn(watched.clone(), probe.clone(), Duration::ZERO),
            };
            endpoints.insert(member.address, (watched, task));
        }
        endpoints
    }

    fn stop(&mut self, probes: Probes) {
        for (_, task) in probes.into_values() {
            self.keys.remove(&task.id());
            task.abort();
        }
    }

    fn spawn(&mut self, watched: Watched, probe: Probe, after: Duration) -> AbortHandle {
        let (clock, address) = (self.clock, watched.member.address);
        let key = (Arc::clone(&watched.service), address);
        let task = self.tasks.spawn(async move {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            watched.run(probe, clock, async move |probe: &_| probe::ask(address, probe).await).await;
        });
        self.keys.insert(task.id(), key);
        task
    }

    /// A task ends when it is aborted, or by a panic. An endpoint whose probes are gone would never return, so they
    /// begin again, an interval later: what breaks each time must not fill the log.
    fn ended(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(broken) => broken.id(),
        };
        let Some(key) = self.keys.remove(&id) else { return };
        let Some((watched, _)) = self.running.get(&key.0).and_then(|of_pool| of_pool.endpoints.get(&key.1)) else {
            return;
        };
        let watched = watched.clone();
        error!(service = %key.0, endpoint = %key.1, ?ended, "probes stopped by a fault of weir's own, and begin again");
        if let Some(probe) = watched.rules.probe.clone() {
            let interval = probe.interval.duration();
            let task = self.spawn(watched.clone(), probe, interval);
            if let Some(of_pool) = self.running.get_mut(&key.0) {
                of_pool.endpoints.insert(key.1, (watched, task));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_snapshot::{Millis, ProbeKind};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn probes_that_panic_begin_again() {
        let mut health = Health::new(Clock::start());
        health.fit(&snapshot(1..2));
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let broken = health.tasks.spawn(async { panic!("on purpose") });
        let (_, task) = health.running.get_mut("s").unwrap().endpoints.get_mut(&address).unwrap();
        health.keys.remove(&task.id());
        task.abort();
        *task = broken.clone();
        health.keys.insert(broken.id(), ("s".into(), address));

        while health.keys.contains_key(&broken.id()) {
            let ended = health.tasks.join_next_with_id().await.unwrap();
            health.ended(&ended);
        }

        let (_, again) = &health.running["s"].endpoints[&address];
        assert_ne!(again.id(), broken.id());
        assert!(!again.is_finished());
        assert_eq!(health.keys.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_that_is_in_the_next_snapshot_too_is_probed_as_before() {
        let mut health = Health::new(Clock::start());
        let snapshot = snapshot(1..3);
        let tasks = |health: &Health| {
            let of_pool = health.running["s"].endpoints.iter();
            of_pool.map(|(at, (_, task))| (*at, task.id())).collect::<HashMap<_, _>>()
        };
        health.fit(&snapshot);
        let before = tasks(&health);
        health.fit(&snapshot);
        assert_eq!((tasks(&health), health.keys.len()), (before, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_of_endpoints_that_left_are_forgotten_at_once() {
        let mut health = Health::new(Clock::start());
        for ports in [1..4, 3..9, 3..4, 1..1] {
            health.fit(&snapshot(ports.clone()));
            let of_pools = health.running.values().flat_map(|of_pool| of_pool.endpoints.values());
            let running: Vec<Id> = of_pools.map(|(_, task)| task.id()).collect();
            assert_eq!((running.len(), health.keys.len()), (ports.len(), ports.len()));
            assert!(running.iter().all(|id| health.keys.contains_key(id)));
        }
    }

    /// With a probe for each of these ports.
    fn snapshot(ports: std::ops::Range<u16>) -> Snapshot {
        let text = "[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"s\"\n[[service]]\nname = \"s\"\n\
                    policy = \"weighted\"\nendpoints = [\"127.0.0.1:1\"]\n";
        let mut config = weir_config::parse("weir.toml", text).unwrap();
        let probe = Probe { kind: ProbeKind::Tcp, interval: Millis::from_secs(5), timeout: Millis::from_secs(1) };
        config.services[0].health.probe = Some(probe);
        let found = ports.map(|port| crate::Found::new(([127, 0, 0, 1], port).into())).collect();
        crate::assemble(
            &config,
            &[found],
            &crate::Overrides::default(),
            &mut crate::Lives::new(),
            weir_snapshot::Clock::start(),
        )
        .unwrap()
    }
}
