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
use crate::causes::with_causes;
use crate::source::{Kind, Opener, Source as _, SourceError};

/// After which a source that broke by a fault of weir's own begins anew; what breaks each time must not fill the log.
const AGAIN: Duration = Duration::from_secs(5);
/// The longest pause between two tries to open a source that cannot begin anew: a token that is back is found soon.
const LONGEST: Duration = Duration::from_mins(1);
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
        let (told, id) = (self.told.clone(), order.id);
        self.spawn(order, listen(source, id, told));
    }

    fn spawn(&mut self, order: Order, task: impl Future<Output = ()> + Send + 'static) {
        let (id, task) = (order.id, self.tasks.spawn(task));
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
        let (id, told, opener) = (order.id, self.told.clone(), self.opener.clone());
        self.spawn(order.clone(), async move {
            if let Some(source) = reopened(&order, opener, &told).await {
                listen(source, id, told).await;
            }
        });
        Some(id)
    }

    #[cfg(test)]
    pub(super) fn teller(&self) -> mpsc::Sender<(SourceId, News)> {
        self.told.clone()
    }

    /// A source that breaks at once.
    #[cfg(test)]
    pub(super) fn follow_broken(&mut self, order: Order) {
        self.spawn(order, async { panic!("on purpose") });
    }
}

/// Tells what the source tells, until nobody listens any more.
async fn listen(mut source: Kind, id: SourceId, told: mpsc::Sender<(SourceId, News)>) {
    while told.send((id, source.next().await)).await.is_ok() {}
}

/// The source, opened anew after a pause, and another one that grows for as long as it cannot be; each failure is told.
/// `None` when nobody listens any more.
async fn reopened(order: &Order, opener: Opener, told: &mpsc::Sender<(SourceId, News)>) -> Option<Kind> {
    let mut pause = AGAIN;
    loop {
        tokio::time::sleep(pause).await;
        let (mut opener, settings, empty_after) = (opener.clone(), order.settings.clone(), order.empty_after);
        // It reads files.
        let opening = tokio::task::spawn_blocking(move || opener.open(&settings, &[], empty_after));
        let why = match opening.await {
            Ok(Ok(opened)) => return Some(opened.kind),
            Ok(Err(error)) => with_causes(&error),
            Err(broken) => broken.to_string(),
        };
        pause = (pause * 2).min(LONGEST);
        let text = format!("after a fault of weir's own it cannot begin again, which is tried on and on: {why}");
        let news = News::Failed(SourceError { reason: "fault", text });
        told.send((order.id, news)).await.ok()?;
    }
}
