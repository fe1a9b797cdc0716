//! From sources to published snapshots: the thin part.
//!
//! In: a configuration, and commands by a [`Control`]. Out: snapshots, by the one [`Publisher`], and a [`Report`] of how
//! the sources stand.
//! Cost: a task per source and one for all; a snapshot is assembled off the request path, a large one on a blocking thread.
//! The first change is published at once, those of the next [`GATHER`] together: a deployment that changes a hundred
//! endpoints one after the other is a few snapshots, and a single change waits for nothing.
//! A reload is prepared beside what runs (`plan`, `reload`), and takes its place in one step.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{error, info};
use weir_config::Config;
use weir_snapshot::{Clock, Moment, Publisher, Reader, Snapshot};

use self::memberships::Memberships;
use self::plan::{Opening, kept_as};
use self::reload::Reloading;
use self::retired::Retired;
use self::sources::{Numbers, Sources};
use crate::cache::Cache;
use crate::control::{Asked, Commands};
use crate::membership::Standing;
use crate::source::{Opener, SourceError, Variables};
use crate::{
    AssembleError, Control, Found, Lives, News, Overridden, OverrideError, Overrides, Report, SetupError, assemble,
};

mod memberships;
mod plan;
mod reload;
mod retired;
mod sources;

/// How long changes are gathered after one was published.
const GATHER: Duration = Duration::from_millis(50);
/// After which a snapshot that could not be assembled is tried again; what fails each time must not fill the log.
const AGAIN: Duration = Duration::from_secs(5);
/// From how many endpoints of changed services, services and routes on a snapshot is assembled on a blocking thread:
/// about a millisecond.
const LARGE: usize = 500;

/// Why discovery does not start.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// A source cannot be set up as it is configured.
    #[error("service `{service}`: cannot set up the source `{kind}`")]
    Source {
        /// Whose.
        service: Box<str>,
        /// Its key in the configuration.
        kind: &'static str,
        /// Why.
        source: SetupError,
    },
    /// The folder for kept endpoints cannot be used.
    #[error("cannot use `{}`, the `cache_dir` of `[discovery]`", .folder.display())]
    Cache {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration is sound but no snapshot can be made of it.
    #[error("cannot build the pools")]
    Assemble(#[from] AssembleError),
}

/// Discovery that has published its first snapshot.
pub struct Discovery {
    config: Arc<Config>,
    clock: Clock,
    publisher: Publisher,
    lives: Lives,
    memberships: Memberships,
    sources: Sources,
    overrides: Arc<Overrides>,
    commands: Commands,
    reloading: Reloading,
    retired: Retired,
    /// Changes are gathered until then.
    quiet_until: Moment,
    cache: Option<Cache>,
    report: watch::Sender<Arc<Report>>,
}

/// Why there is no snapshot.
enum Unbuilt {
    Refused(AssembleError),
    /// By a panic.
    Broken,
}

impl Discovery {
    /// Sets the sources up, waits until each has answered or failed once, `start_wait` at most, and publishes the first
    /// snapshot. What no source has told by then is what was kept from before, or nothing.
    ///
    /// # Errors
    /// [`DiscoveryError`].
    pub async fn start(config: Arc<Config>, clock: Clock, variables: Variables) -> Result<Self, DiscoveryError> {
        let cache = match &config.discovery.cache_dir {
            Some(folder) => Some(
                Cache::start(folder.clone())
                    .map_err(|source| DiscoveryError::Cache { folder: folder.clone(), source })?,
            ),
            None => None,
        };
        let (opener, numbers) = (Opener::new(variables), Numbers::default());
        let opening = Opening { config: Arc::clone(&config), running: None, opener, numbers, cache: cache.clone() };
        let opened = opening.open().map_err(|mut errors| errors.swap_remove(0))?;
        let mut sources = Sources::new(opened.opener);
        sources.numbers = opened.numbers;
        for (order, source) in opened.sources {
            sources.follow(order, source);
        }
        let mut plan = opened.plan;
        let deadline = clock.instant(clock.now().after(config.discovery.start_wait));
        while plan.is_awaited() {
            match tokio::time::timeout_at(deadline, sources.news.recv()).await {
                Ok(Some((id, news))) => plan.hear(id, news, clock.now()),
                _ => break,
            }
        }
        let (memberships, kept) = plan.carry_out(&Memberships::default());
        let discovery = Self::of(config, clock, memberships, sources, cache)?;
        discovery.keep(&kept);
        Ok(discovery)
    }

    fn of(
        config: Arc<Config>,
        clock: Clock,
        memberships: Memberships,
        sources: Sources,
        cache: Option<Cache>,
    ) -> Result<Self, DiscoveryError> {
        let (mut lives, overrides) = (Lives::new(), Arc::default());
        let publisher = Publisher::new(assemble(&config, &memberships.found(), &overrides, &mut lives, clock)?);
        let report = watch::Sender::new(Arc::new(memberships.report(&overrides)));
        let (commands, reloading, retired) = (Commands::new(), Reloading::default(), Retired::default());
        Ok(Self {
            config,
            clock,
            publisher,
            lives,
            memberships,
            sources,
            overrides,
            commands,
            reloading,
            retired,
            quiet_until: Moment::default(),
            cache,
            report,
        })
    }

    /// A reader of what is published.
    pub fn reader(&self) -> Reader {
        self.publisher.reader()
    }

    /// How the sources stand, now and at every change.
    pub fn reports(&self) -> watch::Receiver<Arc<Report>> {
        self.report.subscribe()
    }

    /// Changes what runs, once [`Discovery::run`] does.
    pub fn control(&self) -> Control {
        self.commands.control.clone()
    }

    /// Follows the sources until `shutdown` completes; then, or when this future is dropped, they stop where they are.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let gathered = self.memberships.is_changed().then_some(self.quiet_until);
            tokio::select! {
                () = &mut shutdown => return,
                Some((id, news)) = self.sources.news.recv() => {
                    self.hear(id, news);
                    while let Ok((id, news)) = self.sources.news.try_recv() {
                        self.hear(id, news);
                    }
                }
                Some(asked) = self.commands.changes.recv() => self.obey(asked).await,
                // One at a time: whoever comes meanwhile waits.
                Some(reload) = self.commands.reloads.recv(), if self.reloading.is_idle() => self.prepare(reload),
                step = self.reloading.next(self.clock) => self.go_on(step),
                () = until(self.clock, gathered) => {}
                () = until(self.clock, self.retired.due()) => {
                    self.retired.sweep(self.clock);
                    continue;
                }
                Some(ended) = self.sources.tasks.join_next_with_id() => {
                    if let Some(id) = self.sources.begin_again(&ended) {
                        let text = "it stopped by a fault of weir's own, and begins again".to_owned();
                        self.hear(id, News::Failed(SourceError { reason: "fault", text }));
                    }
                }
            }
            if let Some(ready) = self.reloading.take_ready(self.clock.now()) {
                self.take_over(ready).await;
            }
            if self.memberships.is_changed() && self.clock.now() >= self.quiet_until {
                self.publish().await;
            }
            self.report.send_replace(Arc::new(self.memberships.report(&self.overrides)));
        }
    }

    fn hear(&mut self, id: sources::SourceId, news: News) {
        let now = self.clock.now();
        if self.memberships.has(id) {
            if let Some(service) = self.memberships.hear(id, news, now) {
                self.keep(&[service]);
            }
        } else {
            self.reloading.hear(id, news, now);
        }
    }

    /// Carries out this change and those that wait behind it, and publishes once: an operator's change waits for nothing.
    async fn obey(&mut self, first: Asked) {
        let mut overrides = Overrides::clone(&self.overrides);
        let mut obeyed: Vec<Asked> = Vec::new();
        let mut refused = Vec::new();
        let mut next = Some(first);
        while let Some((change, answer)) = next {
            let found = self.memberships.services().iter().map(|known| &*known.found);
            match change.apply(&mut overrides, &self.config, found) {
                Ok(()) => {
                    self.memberships.touch(change.service());
                    obeyed.push((change, answer));
                }
                Err(error) => refused.push((error, answer)),
            }
            next = self.commands.changes.try_recv().ok();
        }
        if !obeyed.is_empty() {
            self.carry_out(overrides, obeyed).await;
        }
        // After what was obeyed: a change may be refused for what another one here has done, and who is told so looks.
        for (error, answer) in refused {
            // Who asked may have left.
            drop(answer.send(Err(error)));
        }
    }

    /// Publishes `overrides`, and answers those who asked for them.
    async fn carry_out(&mut self, overrides: Overrides, obeyed: Vec<Asked>) {
        let before = std::mem::replace(&mut self.overrides, Arc::new(overrides));
        let published = self.publish().await;
        if !published {
            self.overrides = before;
        }
        self.commands.overrides.send_replace(Arc::clone(&self.overrides));
        for (change, answer) in obeyed {
            let outcome = if published {
                info!("{change}");
                let revision = self.lives.revision();
                Ok(Overridden { revision, serving: self.memberships.serving(change.service(), &self.overrides) })
            } else {
                Err(OverrideError::Unpublished)
            };
            drop(answer.send(outcome));
        }
    }

    /// Publishes what has changed; `false` when that failed: the last snapshot stays, and it is tried again later.
    async fn publish(&mut self) -> bool {
        let changed = self.memberships.settle();
        let of_changed = changed.iter().filter_map(|&service| Some(self.memberships.at(service)?.found.len()));
        let size = of_changed.sum::<usize>() + self.config.services.len() + self.config.routes.len();
        let built = self.build(Arc::clone(&self.config), self.memberships.found(), size >= LARGE).await;
        let published = match built {
            Ok(snapshot) => {
                self.install(snapshot);
                self.keep(&changed);
                true
            }
            Err(Unbuilt::Refused(error)) => {
                error!(%error, "a snapshot cannot be assembled, the last one stays");
                false
            }
            Err(Unbuilt::Broken) => false,
        };
        if !published {
            self.memberships.unsettle(changed);
        }
        self.quiet_until = self.clock.now().after(if published { GATHER } else { AGAIN });
        published
    }

    /// Makes this one the current one.
    fn install(&mut self, snapshot: Snapshot) {
        let before = self.publisher.publish(snapshot);
        let endpoints = before.pools.iter().map(|pool| pool.members().len());
        if endpoints.sum::<usize>() + before.routes.routes().len() >= LARGE {
            self.retired.push(before, self.clock);
        }
    }

    /// Assembles a snapshot, and does not publish it.
    async fn build(
        &mut self,
        config: Arc<Config>,
        found: Vec<Arc<[Found]>>,
        is_large: bool,
    ) -> Result<Snapshot, Unbuilt> {
        let (clock, overrides) = (self.clock, Arc::clone(&self.overrides));
        let bare = self.lives.bare();
        let mut lives = std::mem::take(&mut self.lives);
        let build = move || {
            let assembled = assemble(&config, &found, &overrides, &mut lives, clock);
            (assembled, lives)
        };
        let built = if is_large { tokio::task::spawn_blocking(build).await } else { Ok(build()) };
        match built {
            Ok((assembled, lives)) => {
                self.lives = lives;
                assembled.map_err(Unbuilt::Refused)
            }
            // The lives are lost with it: the next snapshot begins with fresh ones, and is right all the same.
            Err(error) => {
                self.lives = bare;
                error!(%error, "a snapshot was not assembled, by a fault of weir's own");
                Err(Unbuilt::Broken)
            }
        }
    }

    /// Keeps what the sources of these services have said for the next start: what another source said is no answer to
    /// the question of this one, and where none has said anything what was kept before stays.
    fn keep(&self, services: &[usize]) {
        let Some(cache) = &self.cache else { return };
        for &service in services {
            let (Some(known), Some(settings)) = (self.memberships.at(service), self.config.services.get(service))
            else {
                continue;
            };
            let sources = known.membership.sources();
            if !sources.iter().any(|source| source.standing == Standing::Told) {
                continue;
            }
            let own = sources.iter().zip(&settings.sources);
            let own = own.filter(|(source, _)| source.standing.answers());
            let saved = own.map(|(source, settings)| (kept_as(&source.name, settings), source.held().to_vec()));
            cache.save(&settings.name, saved.collect());
        }
    }
}

async fn until(clock: Clock, due: Option<Moment>) {
    match due {
        Some(due) => tokio::time::sleep_until(clock.instant(due)).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
