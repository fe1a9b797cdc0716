//! Large snapshots that are current no more, until nobody reads them.
//!
//! In: what was current. Out: nothing. Cost: a look at each every [`LOOK`] while there is one.
//! Why: whoever lets go of a snapshot last takes it apart, a thousand pools take milliseconds, and mostly that would be an
//! exchange on a thread that serves others. So one who holds it longer is kept here, and lets go on a thread that may block.

use std::sync::Arc;
use std::time::Duration;

use weir_snapshot::{Clock, Moment, Snapshot};

/// How often it is looked whether one is read no more. Its endpoints' state is remembered for as long.
const LOOK: Duration = Duration::from_secs(1);

/// Snapshots that exchanges may still read.
#[derive(Debug, Default)]
pub(super) struct Retired {
    snapshots: Vec<Arc<Snapshot>>,
    look_at: Moment,
}

impl Retired {
    /// Keeps one that was current.
    pub(super) fn push(&mut self, snapshot: Arc<Snapshot>, clock: Clock) {
        if self.snapshots.is_empty() {
            self.look_at = clock.now().after(LOOK);
        }
        self.snapshots.push(snapshot);
    }

    /// When to look again; `None` while there is nothing to look at.
    pub(super) fn due(&self) -> Option<Moment> {
        (!self.snapshots.is_empty()).then_some(self.look_at)
    }

    /// Takes those apart that nobody reads any more, elsewhere, if it is time to look.
    pub(super) fn sweep(&mut self, clock: Clock) {
        let now = clock.now();
        if self.due().is_none_or(|due| now < due) {
            return;
        }
        self.look_at = now.after(LOOK);
        // One that nobody else has, nobody gets any more.
        let unread = |snapshot: &mut Arc<Snapshot>| Arc::strong_count(snapshot) == 1;
        let unread: Vec<_> = self.snapshots.extract_if(.., unread).collect();
        if !unread.is_empty() {
            tokio::task::spawn_blocking(move || drop(unread));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_is_kept_for_as_long_as_somebody_reads_it_and_not_longer() {
        let (clock, mut retired) = (Clock::start(), Retired::default());
        let (read, unread) = (Arc::new(Snapshot::default()), Arc::new(Snapshot::default()));
        let gone = Arc::downgrade(&unread);
        retired.push(Arc::clone(&read), clock);
        retired.push(unread, clock);
        for _ in 0..3 {
            tokio::time::sleep_until(clock.instant(retired.due().unwrap())).await;
            retired.sweep(clock);
        }
        while gone.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!((Arc::strong_count(&read), retired.snapshots.len()), (2, 1));
        drop(read);
        tokio::time::sleep_until(clock.instant(retired.due().unwrap())).await;
        retired.sweep(clock);
        assert_eq!(retired.due(), None);
    }
}
