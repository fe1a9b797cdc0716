//! The tasks that follow the sources: one for each, until it is stopped.
//!
//! In: opened sources. Out: what they tell, by the number of the source. Numbers are never given out twice, so that what a
//! source has told before it was stopped is not taken for another one's.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::error;
use weir_config::SourceKind;

use crate::News;
use crate::source::{Kind, Opener, Source as _};

/// After which a source that broke by a fault of weir's own begins anew; what breaks each time must not fill the log.
const AGAIN: Duration = Duration::from_secs(5);
/// News under way to the membership. A source waits when there are more.
const QUEUE: usize = 64;

/// A source that runs, as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SourceId(u64);

/// Gives numbers to sources.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers(u64);

/// What a source was opened with.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) id: SourceId,
    pub(super) settings: SourceKind,
    pub(super) empty_after: Duration,
}

/// The tasks.
pub(super) struct Sources {
    pub(super) tasks: JoinSet<()>,
    running: HashMap<SourceId, (Order, AbortHandle)>,
    ids: HashMap<Id, SourceId>,
    told: mpsc::Sender<(SourceId, News)>,
    pub(super) news: mpsc::Receiver<(SourceId, News)>,
    pub(super) opener: Opener,
    pub(super) numbers: Numbers,
}

impl Numbers {
    pub(super) fn next(&mut self) -> SourceId {
        self.0 += 1;
        SourceId(self.0)
    }
}

impl Sources {
    pub(super) fn new(opener: Opener) -> Self {
        let (told, news) = mpsc::channel(QUEUE);
        let (tasks, running, ids) = (JoinSet::new(), HashMap::new(), HashMap::new());
        Self { tasks, running, ids, told, news, opener, numbers: Numbers::default() }
    }

    pub(super) fn follow(&mut self, order: Order, source: Kind) {
        self.follow_after(Duration::ZERO, order, source);
    }

    fn follow_after(&mut self, after: Duration, order: Order, mut source: Kind) {
        let (told, id) = (self.told.clone(), order.id);
        let task = self.tasks.spawn(async move {
            tokio::time::sleep(after).await;
            // Nobody listens any more: the end.
            while told.send((id, source.next().await)).await.is_ok() {}
        });
        self.ids.insert(task.id(), id);
        self.running.insert(id, (order, task));
    }

    /// Stops all but those that `keep` says yes to.
    pub(super) fn retain(&mut self, keep: impl Fn(SourceId) -> bool) {
        self.running.retain(|&id, (_, task)| {
            let kept = keep(id);
            if !kept {
                self.ids.remove(&task.id());
                task.abort();
            }
            kept
        });
    }

    /// Begins a source anew whose task has ended, which is by a panic alone; gives the number it goes on with. `None` for
    /// those that were stopped.
    pub(super) fn begin_again(&mut self, ended: &Result<(Id, ()), JoinError>) -> Option<SourceId> {
        let task = match ended {
            Ok((id, ())) => *id,
            Err(broken) => broken.id(),
        };
        let (order, _) = self.running.remove(&self.ids.remove(&task)?)?;
        error!(?ended, "a source stopped by a fault of weir's own, and begins again");
        let id = order.id;
        match self.opener.open(&order.settings, &[], order.empty_after) {
            Ok(opened) => self.follow_after(AGAIN, order, opened.kind),
            Err(error) => error!(%error, "it cannot begin again"),
        }
        Some(id)
    }

    #[cfg(test)]
    pub(super) fn teller(&self) -> mpsc::Sender<(SourceId, News)> {
        self.told.clone()
    }
}
