//! Keeps one probing task for each endpoint of the current snapshot that has probes.
//!
//! In: the snapshots, as they come. Out: tasks. Said as a state, not as changes: whatever ran before, after a snapshot
//! has been seen exactly its endpoints are probed. Those that are in it as they were go on in their rhythm, new and
//! changed ones are probed at once, the others stop. Drained endpoints are probed too, so that their state is known when
//! they return.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::error;
use weir_snapshot::{Clock, Probe, Reader, Snapshot};

use crate::probe;
use crate::watch::Watched;

/// The probes of all endpoints.
#[derive(Debug)]
pub struct Health {
    clock: Clock,
    tasks: JoinSet<()>,
    running: HashMap<(Arc<str>, SocketAddr), (Watched, AbortHandle)>,
}

impl Health {
    /// Probes what the current snapshot lists, until `shutdown` completes or the publisher is gone.
    /// Then, or when this future is dropped, all probes stop where they are.
    pub async fn run(reader: Reader, clock: Clock, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut health = Self { clock, tasks: JoinSet::new(), running: HashMap::new() };
        // Before the load, so that a snapshot that comes in between is seen as new.
        let mut revisions = reader.revisions();
        loop {
            health.fit(&reader.load());
            tokio::select! {
                () = &mut shutdown => return,
                changed = revisions.changed() => if changed.is_err() { return },
                Some(ended) = health.tasks.join_next_with_id() => health.ended(&ended),
            }
        }
    }

    fn fit(&mut self, snapshot: &Snapshot) {
        let mut before = std::mem::take(&mut self.running);
        for pool in &snapshot.pools {
            let Some(probe) = &pool.health().probe else { continue };
            for member in pool.members() {
                let watched = Watched {
                    service: Arc::clone(pool.service()),
                    member: member.clone(),
                    rules: Arc::clone(pool.health()),
                };
                let key = (Arc::clone(pool.service()), member.address);
                let task = match before.remove(&key) {
                    Some((old, task)) if old.is_like(&watched) => task,
                    other => {
                        if let Some((_, task)) = other {
                            task.abort();
                        }
                        self.spawn(watched.clone(), probe.clone(), Duration::ZERO)
                    }
                };
                self.running.insert(key, (watched, task));
            }
        }
        for (_, task) in before.into_values() {
            task.abort();
        }
    }

    fn spawn(&mut self, watched: Watched, probe: Probe, after: Duration) -> AbortHandle {
        let (clock, address) = (self.clock, watched.member.address);
        self.tasks.spawn(async move {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            watched.run(probe, clock, async move |probe: &_| probe::ask(address, probe).await).await;
        })
    }

    /// A task ends when it is aborted, or by a panic. An endpoint whose probes are gone would never return, so they
    /// begin again, an interval later: what breaks each time must not fill the log.
    fn ended(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(broken) => broken.id(),
        };
        let Some(key) = self.running.iter().find(|(_, (_, task))| task.id() == id).map(|(key, _)| key.clone()) else {
            return;
        };
        let Some((watched, _)) = self.running.remove(&key) else { return };
        error!(service = %key.0, endpoint = %key.1, ?ended, "probes stopped by a fault of weir's own, and begin again");
        if let Some(probe) = watched.rules.probe.clone() {
            let interval = probe.interval.duration();
            let task = self.spawn(watched.clone(), probe, interval);
            self.running.insert(key, (watched, task));
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_snapshot::{HealthRules, Live, Member, Millis, ProbeKind};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn probes_that_panic_begin_again() {
        let probe = Probe { kind: ProbeKind::Tcp, interval: Millis::from_secs(5), timeout: Millis::from_secs(1) };
        let (failures, window) = (3, Millis::from_secs(30));
        let rules = HealthRules { failures, window, successes: 1, statuses: Vec::new(), probe: Some(probe) };
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let live = Arc::new(Live::new(&rules));
        let member = Member::new(address, live);
        let watched = Watched { service: "optimizers".into(), member, rules: Arc::new(rules) };
        let mut health = Health { clock: Clock::start(), tasks: JoinSet::new(), running: HashMap::new() };
        let broken = health.tasks.spawn(async { panic!("on purpose") });
        let key = (Arc::clone(&watched.service), address);
        health.running.insert(key.clone(), (watched, broken.clone()));

        let ended = health.tasks.join_next_with_id().await.unwrap();
        health.ended(&ended);

        let (_, again) = &health.running[&key];
        assert_ne!(again.id(), broken.id());
        assert!(!again.is_finished());
    }
}
