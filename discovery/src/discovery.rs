//! From sources to published snapshots: the thin part.
//!
//! In: a configuration, and commands by a [`Control`]. Out: snapshots, by the one [`Publisher`], and a [`Report`] of how
//! the sources stand.
//! Cost: a task per source and one for all; a snapshot is assembled off the request path, a large one on a blocking thread.
//! The first change is published at once, those of the next [`GATHER`] together: a deployment that changes a hundred
//! endpoints one after the other is a few snapshots, and a single change waits for nothing.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{error, info, warn};
use weir_config::{Config, SourceKind};
use weir_snapshot::{Clock, Moment, Publisher, Reader, Snapshot};

use crate::assemble::fixed;
use crate::cache::Cache;
use crate::control::{Change, Command, Commands};
use crate::membership::{Membership, Note, Outcome};
use crate::observe;
use crate::source::{Kind, Opener, Source, SourceError, Variables};
use crate::{
    AssembleError, Control, Found, Lives, News, Overridden, OverrideError, Overrides, Report, SetupError, assemble,
};

/// How long changes are gathered after one was published.
const GATHER: Duration = Duration::from_millis(50);
/// From how many endpoints of changed services on a snapshot is assembled on a blocking thread: about a millisecond.
const LARGE: usize = 500;
/// After which a source that broke by a fault of weir's own begins anew; what breaks each time must not fill the log.
const AGAIN: Duration = Duration::from_secs(5);
/// News under way to the membership. A source waits when there are more.
const QUEUE: usize = 64;

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
    cache: Option<Cache>,
    report: watch::Sender<Arc<Report>>,
}

/// What all services are believed to have.
#[derive(Debug)]
struct Memberships {
    /// Name, and whether a route leads there.
    names: Vec<(Arc<str>, bool)>,
    all: Vec<Membership>,
    /// What is to be in the next snapshot.
    found: Vec<Arc<[Found]>>,
    /// Services whose endpoints are not in a snapshot yet.
    changed: Vec<usize>,
}

/// Which source of which service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    service: usize,
    source: usize,
}

/// The tasks that follow the sources.
struct Sources {
    tasks: JoinSet<()>,
    places: HashMap<Id, Place>,
    told: mpsc::Sender<(Place, News)>,
    news: mpsc::Receiver<(Place, News)>,
    opener: Opener,
}

impl Discovery {
    /// Sets the sources up, waits until each has answered or failed once, `start_wait` at most, and publishes the first
    /// snapshot. What no source has told by then is what was kept from before, or nothing.
    ///
    /// # Errors
    /// [`DiscoveryError`].
    pub async fn start(config: Arc<Config>, clock: Clock, variables: Variables) -> Result<Self, DiscoveryError> {
        let mut sources = Sources::new(variables);
        let mut memberships =
            Memberships { names: Vec::new(), all: Vec::new(), found: Vec::new(), changed: Vec::new() };
        for (service, settings) in config.services.iter().enumerate() {
            let mut names: Vec<(Arc<str>, bool)> = Vec::new();
            for (source, configured) in settings.sources.iter().enumerate() {
                let patience = settings.empty_after.duration();
                let opened = sources.opener.open(&configured.kind, &names, patience).map_err(|error| {
                    let (service, kind) = (settings.name.clone(), kind(&configured.kind));
                    DiscoveryError::Source { service, kind, source: error }
                })?;
                names.push((Arc::clone(&opened.name), configured.backup));
                sources.follow(Place { service, source }, opened.kind, Duration::ZERO);
            }
            let routed = config.routes.iter().any(|route| route.service == settings.name);
            memberships.names.push((settings.name.as_ref().into(), routed));
            memberships.all.push(Membership::new(fixed(settings), settings.empty_after.duration(), names));
        }
        let cache = match &config.discovery.cache_dir {
            Some(folder) => Some(open_cache(folder, &config, &mut memberships)?),
            None => None,
        };
        let deadline = clock.instant(clock.now().after(config.discovery.start_wait));
        while memberships.awaited() {
            match tokio::time::timeout_at(deadline, sources.news.recv()).await {
                Ok(Some((place, news))) => memberships.hear(place, news, clock.now()),
                _ => break,
            }
        }
        memberships.found = memberships.all.iter().map(Membership::endpoints).collect();
        let kept = std::mem::take(&mut memberships.changed);
        let mut lives = Lives::new();
        let overrides = Arc::default();
        let publisher = Publisher::new(assemble(&config, &memberships.found, &overrides, &mut lives, clock)?);
        let report = watch::Sender::new(Arc::new(memberships.report(&overrides)));
        let commands = Commands::new();
        let discovery =
            Self { config, clock, publisher, lives, memberships, sources, overrides, commands, cache, report };
        discovery.keep(&kept);
        Ok(discovery)
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
        let mut quiet_until = Moment::default();
        loop {
            let gathered = (!self.memberships.changed.is_empty()).then_some(quiet_until);
            tokio::select! {
                () = &mut shutdown => return,
                Some((place, news)) = self.sources.news.recv() => {
                    self.memberships.hear(place, news, self.clock.now());
                    while let Ok((place, news)) = self.sources.news.try_recv() {
                        self.memberships.hear(place, news, self.clock.now());
                    }
                }
                Some(command) = self.commands.queue.recv() => {
                    self.obey(command).await;
                    quiet_until = self.clock.now().after(GATHER);
                }
                () = until(self.clock, gathered) => {}
                Some(ended) = self.sources.tasks.join_next_with_id() => self.begin_again(&ended),
            }
            let now = self.clock.now();
            if !self.memberships.changed.is_empty() && now >= quiet_until {
                self.publish().await;
                quiet_until = self.clock.now().after(GATHER);
            }
            self.report.send_replace(Arc::new(self.memberships.report(&self.overrides)));
        }
    }

    /// Carries out this command and those that wait behind it, and publishes once: an operator's change waits for nothing.
    async fn obey(&mut self, first: Command) {
        let mut overrides = Overrides::clone(&self.overrides);
        let mut obeyed: Vec<(Change, oneshot::Sender<Result<Overridden, OverrideError>>)> = Vec::new();
        let mut next = Some(first);
        while let Some(Command::Change(change, answer)) = next {
            match change.apply(&mut overrides, &self.config, &self.memberships.found) {
                Ok(()) => {
                    self.memberships.touch(change.service());
                    obeyed.push((change, answer));
                }
                // Who asked may have left.
                Err(error) => drop(answer.send(Err(error))),
            }
            next = self.commands.queue.try_recv().ok();
        }
        if obeyed.is_empty() {
            return;
        }
        let before = std::mem::replace(&mut self.overrides, Arc::new(overrides));
        let published = self.publish().await;
        if !published {
            self.overrides = before;
        }
        self.commands.overrides.send_replace(Arc::clone(&self.overrides));
        for (change, answer) in obeyed {
            let outcome = if published {
                info!(?change, "endpoints overridden");
                let revision = self.lives.revision();
                Ok(Overridden { revision, serving: self.memberships.serving(change.service(), &self.overrides) })
            } else {
                Err(OverrideError::Unpublished)
            };
            drop(answer.send(outcome));
        }
    }

    /// Publishes what has changed; `false` when that failed, and the last snapshot stays.
    async fn publish(&mut self) -> bool {
        let changed = self.memberships.settle();
        let (config, found, clock) = (Arc::clone(&self.config), self.memberships.found.clone(), self.clock);
        let overrides = Arc::clone(&self.overrides);
        let bare = self.lives.bare();
        let mut lives = std::mem::take(&mut self.lives);
        let size: usize = changed.iter().filter_map(|&service| Some(found.get(service)?.len())).sum();
        let build = move || {
            let assembled = assemble(&config, &found, &overrides, &mut lives, clock);
            (assembled, lives)
        };
        let built = if size < LARGE { Ok(build()) } else { tokio::task::spawn_blocking(build).await };
        let published = match built {
            Ok((assembled, lives)) => {
                self.lives = lives;
                self.show(assembled)
            }
            // The lives are lost with it: the next snapshot begins with fresh ones, and is right all the same.
            Err(error) => {
                self.lives = bare;
                error!(%error, "a snapshot was not assembled, by a fault of weir's own");
                false
            }
        };
        self.keep(&changed);
        published
    }

    fn show(&mut self, assembled: Result<Snapshot, AssembleError>) -> bool {
        match assembled {
            Ok(snapshot) => {
                self.publisher.publish(snapshot);
                true
            }
            Err(error) => {
                error!(%error, "a snapshot cannot be assembled, the last one stays");
                false
            }
        }
    }

    /// Keeps what these services have for the next start.
    fn keep(&self, services: &[usize]) {
        let Some(cache) = &self.cache else { return };
        for &service in services {
            let (Some(membership), Some(settings)) =
                (self.memberships.all.get(service), self.config.services.get(service))
            else {
                continue;
            };
            let sources = membership.sources().iter().zip(&settings.sources);
            let saved = sources.map(|(source, settings)| (kept_as(&source.name, settings), source.held().to_vec()));
            cache.save(&settings.name, saved.collect());
        }
    }

    /// A source's task ends by a panic alone. Its endpoints stay, and it begins anew.
    fn begin_again(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(broken) => broken.id(),
        };
        let Some(place) = self.sources.places.remove(&id) else { return };
        let text = "it stopped by a fault of weir's own, and begins again".to_owned();
        error!(?ended, "a source stopped by a fault of weir's own, and begins again");
        let failed = News::Failed(SourceError { reason: "fault", text });
        self.memberships.hear(place, failed, self.clock.now());
        let service = self.config.services.get(place.service);
        let Some((service, settings)) = service.and_then(|service| Some((service, service.sources.get(place.source)?)))
        else {
            return;
        };
        match self.sources.opener.open(&settings.kind, &[], service.empty_after.duration()) {
            Ok(opened) => self.sources.follow(place, opened.kind, AGAIN),
            Err(error) => error!(%error, "it cannot begin again"),
        }
    }
}

impl Memberships {
    fn awaited(&self) -> bool {
        self.all.iter().flat_map(Membership::sources).any(crate::membership::Belief::is_awaited)
    }

    fn hear(&mut self, place: Place, news: News, now: Moment) {
        let Some(membership) = self.all.get_mut(place.service) else { return };
        let Some((service, _)) = self.names.get(place.service) else { return };
        let Some(source) = membership.sources().get(place.source).map(|source| Arc::clone(&source.name)) else {
            return;
        };
        observe::news(service, &source, &news);
        let outcome = membership.hear(place.source, news, now);
        self.take(place, &source, outcome);
    }

    fn take(&mut self, place: Place, source: &str, outcome: Outcome) {
        if outcome.changed && !self.changed.contains(&place.service) {
            self.changed.push(place.service);
        }
        if let Some((service, _)) = self.names.get(place.service) {
            outcome.notes.into_iter().for_each(|note| say(service, source, note));
        }
    }

    /// Brings the lists of the changed services up to date, and gives those services.
    fn settle(&mut self) -> Vec<usize> {
        let changed = std::mem::take(&mut self.changed);
        for &service in &changed {
            if let (Some(found), Some(membership)) = (self.found.get_mut(service), self.all.get(service)) {
                *found = membership.endpoints();
            }
        }
        changed
    }

    /// The endpoints of this service are to be published anew.
    fn touch(&mut self, service: &str) {
        let index = self.names.iter().position(|(name, _)| **name == *service);
        self.changed.extend(index.filter(|index| !self.changed.contains(index)));
    }

    /// How many endpoints of this service get new exchanges.
    fn serving(&self, service: &str, overrides: &Overrides) -> usize {
        let of = self.names.iter().zip(&self.found).find(|((name, _), _)| **name == *service);
        of.map_or(0, |(_, found)| found.iter().filter(|found| overrides.serves(service, found)).count())
    }

    fn report(&self, overrides: &Overrides) -> Report {
        Report::of(&self.names, &self.all, &self.found, overrides)
    }
}

impl Sources {
    fn new(variables: Variables) -> Self {
        let (told, news) = mpsc::channel(QUEUE);
        Self { tasks: JoinSet::new(), places: HashMap::new(), told, news, opener: Opener::new(variables) }
    }

    fn follow(&mut self, place: Place, mut source: Kind, after: Duration) {
        let told = self.told.clone();
        let task = self.tasks.spawn(async move {
            tokio::time::sleep(after).await;
            // Nobody listens any more: the end.
            while told.send((place, source.next().await)).await.is_ok() {}
        });
        self.places.insert(task.id(), place);
    }
}

fn open_cache(folder: &Path, config: &Config, memberships: &mut Memberships) -> Result<Cache, DiscoveryError> {
    let cache = Cache::start(folder.to_path_buf())
        .map_err(|source| DiscoveryError::Cache { folder: folder.to_path_buf(), source })?;
    for (service, membership) in config.services.iter().zip(&mut memberships.all) {
        if service.sources.is_empty() {
            continue;
        }
        let names: Vec<_> = membership.sources().iter().map(|source| Arc::clone(&source.name)).collect();
        for (kept, endpoints) in cache.load(&service.name) {
            let known = names.iter().zip(&service.sources).find(|(name, settings)| kept_as(name, settings) == kept);
            if let Some((name, _)) = known {
                membership.restore(name, endpoints);
            }
        }
    }
    Ok(cache)
}

/// What the endpoints of a source are kept under: its name, and a number that is another one for other settings.
fn kept_as(name: &str, settings: &weir_config::Source) -> Arc<str> {
    let mut hasher = DefaultHasher::new();
    // All of them, whatever is added; another spelling after an update costs one start without.
    hasher.write(format!("{settings:?}").as_bytes());
    format!("{name} {:016x}", hasher.finish()).into()
}

async fn until(clock: Clock, due: Option<Moment>) {
    match due {
        Some(due) => tokio::time::sleep_until(clock.instant(due)).await,
        None => std::future::pending().await,
    }
}

/// The key that a source is configured by.
fn kind(kind: &SourceKind) -> &'static str {
    match kind {
        SourceKind::Consul(_) => "consul",
        SourceKind::Dns(_) => "dns",
        SourceKind::File(_) => "file",
    }
}

fn say(service: &str, source: &str, note: Note) {
    match note {
        Note::Changed { endpoints, added, removed } => {
            info!(service, source, endpoints, added, removed, "endpoints changed");
        }
        Note::Failing(SourceError { reason, text }) => {
            warn!(service, source, reason, why = %text, "the source does not answer, the last good endpoints stay");
        }
        Note::Recovered { after } => info!(service, source, ?after, "the source answers again"),
        Note::Doubted { kept } => warn!(
            service,
            source, kept, "the source lists no endpoints; those of before stay until it has said so for `empty_after`"
        ),
        Note::Emptied => {
            warn!(service, source, "the source has listed no endpoints for `empty_after`: now there are none");
        }
        Note::Stale(stale) => warn!(
            service,
            source,
            last_contact = ?stale.last_contact,
            known_leader = stale.known_leader,
            why = %stale.because,
            "the source's answers may be old"
        ),
        Note::Fresh => info!(service, source, "the source's answers are current again"),
        Note::Remark(remark) => warn!(service, source, "{remark}"),
    }
}

#[cfg(test)]
mod tests;
