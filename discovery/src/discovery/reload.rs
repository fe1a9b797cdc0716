//! A configuration takes the place of another, in steps between which everything else goes on.
//!
//! In: a configuration. Out: one snapshot, or none and why. New sources are opened on a thread that may block, then
//! followed beside those that run until each has answered or failed once, `start_wait` at most; then memberships,
//! snapshot and configuration change together. What fails before that leaves no trace.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{error, warn};
use weir_config::Config;
use weir_snapshot::{Clock, Moment};

use super::plan::{Opened, Opening, Plan, Running};
use super::sources::SourceId;
use super::{Discovery, DiscoveryError, GATHER, Unbuilt, until};
use crate::control::Reload;
use crate::{Applied, News, ReloadError};

/// How long the files that new sources name may take to be read.
const OPENING: Duration = Duration::from_secs(10);

type Answer = oneshot::Sender<Result<Applied, ReloadError>>;

/// The reload under way.
#[derive(Default)]
pub(super) enum Reloading {
    #[default]
    Idle,
    /// Sources are being opened, until then at the latest.
    Opening { opening: JoinHandle<Result<Opened, Vec<DiscoveryError>>>, until: Moment, answer: Answer },
    /// New sources have not all answered.
    Waiting { plan: Plan, until: Moment, answer: Answer },
}

/// Something that a reload waited for.
pub(super) enum Step {
    Opened(Result<Box<Opened>, ReloadError>),
    /// No longer than this.
    Late,
}

/// A reload that waits for nothing more.
pub(super) struct Ready {
    plan: Plan,
    answer: Answer,
}

impl Reloading {
    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    /// Waits for the next step; for ever when there is none. May be dropped while it waits.
    pub(super) async fn next(&mut self, clock: Clock) -> Step {
        match self {
            Self::Idle => std::future::pending().await,
            Self::Opening { opening, until, .. } => Step::Opened(
                // The files of a source may be on a disk that hangs: its thread is lost, later reloads must not be.
                match tokio::time::timeout_at(clock.instant(*until), opening).await {
                    Ok(Ok(Ok(opened))) => Ok(Box::new(opened)),
                    Ok(Ok(Err(errors))) => Err(ReloadError::Sources(errors)),
                    Ok(Err(error)) => {
                        error!(%error, "sources were not opened, by a fault of weir's own");
                        Err(ReloadError::Fault)
                    }
                    Err(_) => Err(ReloadError::TooSlow { limit: OPENING }),
                },
            ),
            Self::Waiting { until: due, .. } => {
                until(clock, Some(*due)).await;
                Step::Late
            }
        }
    }

    /// A source that is none of those published told something.
    pub(super) fn hear(&mut self, id: SourceId, news: News, now: Moment) {
        if let Self::Waiting { plan, .. } = self {
            plan.hear(id, news, now);
        }
    }

    /// The reload under way, if there is nothing more to wait for.
    pub(super) fn take_ready(&mut self, now: Moment) -> Option<Ready> {
        match std::mem::take(self) {
            Self::Waiting { plan, until, answer } if !plan.is_awaited() || now >= until => Some(Ready { plan, answer }),
            other => {
                *self = other;
                None
            }
        }
    }
}

impl Discovery {
    /// Begins a reload.
    pub(super) fn prepare(&mut self, (config, answer): Reload) {
        let sources = self.memberships.services().iter().map(|known| {
            let names = known.membership.sources().iter().map(|source| Arc::clone(&source.name));
            known.ids.iter().copied().zip(names).collect()
        });
        let running = Some(Running { config: Arc::clone(&self.config), sources: sources.collect() });
        let (opener, numbers) = (self.sources.opener.clone(), self.sources.numbers);
        let opening = Opening { config, running, opener, numbers, cache: self.cache.clone() };
        let opening = tokio::task::spawn_blocking(move || opening.open());
        self.reloading = Reloading::Opening { opening, until: self.clock.now().after(OPENING), answer };
    }

    /// Follows what was opened.
    pub(super) fn go_on(&mut self, step: Step) {
        // When it is late, `take_ready` sees that.
        let Step::Opened(outcome) = step else { return };
        let Reloading::Opening { answer, .. } = std::mem::take(&mut self.reloading) else { return };
        match outcome {
            Ok(opened) => {
                let Opened { mut plan, sources, opener, numbers } = *opened;
                (self.sources.opener, self.sources.numbers) = (opener, numbers);
                for (order, source) in sources {
                    self.sources.follow(order, source);
                }
                plan.inherit(&self.memberships);
                let until = self.clock.now().after(plan.config.discovery.start_wait);
                self.reloading = Reloading::Waiting { plan, until, answer };
            }
            // Who asked may have left.
            Err(error) => drop(answer.send(Err(error))),
        }
    }

    /// Puts the new configuration in the place of the old one, or leaves everything as it is.
    pub(super) async fn take_over(&mut self, Ready { mut plan, answer }: Ready) {
        // The sources of before were followed while the new ones were waited for.
        plan.inherit(&self.memberships);
        let config: Arc<Config> = Arc::clone(&plan.config);
        let unanswered = plan.unanswered();
        let (memberships, touched) = plan.carry_out(&self.memberships);
        let outcome = match self.build(Arc::clone(&config), memberships.found(), true).await {
            Ok(snapshot) => {
                let revision = snapshot.revision;
                let before = std::mem::replace(&mut self.config, config);
                let before = (before, std::mem::replace(&mut self.memberships, memberships));
                self.install(snapshot);
                // A large one is not taken apart where exchanges are served.
                tokio::task::spawn_blocking(move || drop(before));
                self.quiet_until = self.clock.now().after(GATHER);
                self.keep(&touched);
                for source in &unanswered {
                    warn!("{source}: no answer yet, what was known before is used");
                }
                Ok(Applied { revision, unanswered })
            }
            Err(Unbuilt::Refused(error)) => Err(ReloadError::Assemble(error)),
            Err(Unbuilt::Broken) => Err(ReloadError::Fault),
        };
        // The sources that left, or those that were to come.
        self.sources.retain(|id| self.memberships.has(id));
        self.report.send_replace(Arc::new(self.memberships.report(&self.overrides)));
        drop(answer.send(outcome));
    }
}
