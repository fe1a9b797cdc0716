//! The one pointer that requests and configuration meet in.
//!
//! In: whole snapshots, by the one [`Publisher`]. Out: the newest one, by any number of [`Reader`]s.
//! Cost: a load is one atomic increment and no lock; a publication waits for nobody.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::{Pool, RouteTable};

/// Everything a request reads. Immutable but for the live state of endpoints.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Grows with every snapshot.
    pub revision: u64,
    /// From host and path to a route.
    pub routes: RouteTable,
    /// Every service, in the order configured, also those that no route leads to.
    pub pools: Vec<Arc<Pool>>,
}

impl Snapshot {
    /// The pool of this service.
    pub fn pool(&self, service: &str) -> Option<&Arc<Pool>> {
        self.pools.iter().find(|pool| &**pool.service() == service)
    }

    /// Moves who waits for a permit over to the endpoints of this snapshot.
    fn install(&self) {
        for pool in &self.pools {
            if let Some(permits) = pool.permits() {
                permits.install(pool);
            }
        }
    }
}

/// Publishes snapshots. There is one for each pointer, and no other way to change it.
#[derive(Debug)]
pub struct Publisher {
    snapshot: Arc<ArcSwap<Snapshot>>,
    revision: watch::Sender<u64>,
}

impl Publisher {
    /// A pointer to the first snapshot: readers exist only once there is one.
    pub fn new(first: Snapshot) -> Self {
        let revision = watch::Sender::new(first.revision);
        first.install();
        Self { snapshot: Arc::new(ArcSwap::from_pointee(first)), revision }
    }

    /// Replaces the snapshot as a whole. Exchanges that run keep theirs; the next ones read this one. Gives the one before,
    /// so that whoever publishes a large one may choose where it is taken apart.
    pub fn publish(&mut self, snapshot: Snapshot) -> Arc<Snapshot> {
        let revision = snapshot.revision;
        let snapshot = Arc::new(snapshot);
        let before = self.snapshot.swap(Arc::clone(&snapshot));
        // After the store, so that who waits is not served from a snapshot that nobody else has yet.
        snapshot.install();
        // After the store, so that whoever is woken loads the new one.
        self.revision.send_replace(revision);
        before
    }

    /// A reader of this pointer.
    pub fn reader(&self) -> Reader {
        Reader { snapshot: Arc::clone(&self.snapshot), revision: self.revision.subscribe() }
    }
}

/// Reads the newest snapshot. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    snapshot: Arc<ArcSwap<Snapshot>>,
    revision: watch::Receiver<u64>,
}

impl Reader {
    /// The newest snapshot. An exchange loads it once and keeps it.
    pub fn load(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The newest revision, to wait on: marked seen as of this call, closed when the publisher is gone.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        let mut revisions = self.revision.clone();
        revisions.mark_unchanged();
        revisions
    }
}
