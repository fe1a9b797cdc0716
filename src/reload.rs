//! The configuration is read again while everything runs.
//!
//! In: a file, and reasons to look at it: it changed, SIGHUP, an operator asks. Out: everything that may change while weir
//! runs is as the file says, or nothing has changed and every problem is told; a line in the log for each difference.
//! Cost: reading and comparing happen on threads that may block, assembling too; no exchange waits for any of it.
//! One reload at a time; who asks meanwhile gets what the next one comes to, which began after it asked.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::task::JoinError;
use tracing::{error, info, warn};
use weir_config::{Change, Config};
use weir_discovery::observe::{self, Reloaded};
use weir_discovery::{Applied, Control, ReloadError};
use weir_proxy::Proxy;
use weir_snapshot::{Clock, Reader};

use self::read::Read;
use crate::notify::Supervisor;
use crate::signals::Hangups;
use crate::{log, watch};

mod read;

/// How long a reload waits for the access log to be opened.
const OPENING: Duration = Duration::from_secs(5);
/// How many reloads are remembered.
const REMEMBERED: usize = 20;

/// Reads the configuration again. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reloader(Arc<Shared>);

struct Shared {
    /// `None` in the demo, which has no file.
    file: Option<PathBuf>,
    clock: Clock,
    control: Control,
    reader: Reader,
    proxy: Arc<Proxy>,
    supervisor: Supervisor,
    /// What weir was started with.
    started: Arc<Config>,
    /// Reloads begun so far.
    begun: AtomicU64,
    /// Nothing is taken over any more.
    leaving: AtomicBool,
    /// The number of the last reload and what it came to. Held while one is under way.
    turn: tokio::sync::Mutex<(u64, Option<Outcome>)>,
    state: Mutex<State>,
}

struct State {
    config: Arc<Config>,
    pending: Arc<[Change]>,
    history: VecDeque<Entry>,
}

/// Why the file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// It changed.
    File,
    /// SIGHUP.
    Signal,
    /// Somebody asked on the admin listener.
    Admin,
}

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The configuration holds, but for what is pending.
    Applied {
        /// The snapshot it holds in.
        revision: u64,
        /// What is different now.
        changes: Arc<[Change]>,
        /// What the file says and does not hold before weir is started again, since whichever reload.
        pending: Arc<[Change]>,
        /// New sources that have not answered yet, each with its service.
        unanswered: Vec<String>,
    },
    /// The file says what holds already.
    Unchanged,
    /// The file is not taken over, everything is as it was.
    Rejected {
        /// All that is wrong, as `weir check` prints it.
        problems: Arc<str>,
    },
    /// It broke, by a fault of weir's own. The next one is compared with what held before.
    Failed {
        /// What is known of it.
        problems: Arc<str>,
    },
    /// weir leaves: nothing is changed any more.
    Abandoned,
}

/// What changed, and what is pending.
type Changes = (Arc<[Change]>, Arc<[Change]>);

/// A reload that was.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// When it ended.
    pub(crate) at: SystemTime,
    pub(crate) trigger: Trigger,
    pub(crate) outcome: Outcome,
    /// The snapshot that was current then.
    pub(crate) revision: u64,
}

impl Trigger {
    /// In a word, for the log and for status pages.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Signal => "signal",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl Outcome {
    /// As metrics count it.
    pub(crate) fn result(&self) -> Reloaded {
        match self {
            Self::Applied { .. } => Reloaded::Applied,
            Self::Unchanged => Reloaded::Unchanged,
            Self::Rejected { .. } => Reloaded::Rejected,
            Self::Failed { .. } => Reloaded::Failed,
            Self::Abandoned => Reloaded::Abandoned,
        }
    }

    fn rejected(problems: impl Into<Arc<str>>) -> Self {
        Self::Rejected { problems: problems.into() }
    }

    fn failed(fault: &dyn fmt::Display) -> Self {
        Self::Failed {
            problems: format!("error: the reload broke by a fault of weir's own, see the log: {fault}").into(),
        }
    }
}

impl Reloader {
    /// For a weir that runs `config` of this file.
    pub(crate) fn new(
        file: Option<PathBuf>,
        config: Arc<Config>,
        clock: Clock,
        control: Control,
        reader: Reader,
        proxy: Arc<Proxy>,
        supervisor: Supervisor,
    ) -> Self {
        observe::started(now());
        let state = State { config: Arc::clone(&config), pending: Arc::default(), history: VecDeque::new() };
        Self(Arc::new(Shared {
            file,
            clock,
            control,
            reader,
            proxy,
            supervisor,
            started: config,
            begun: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            turn: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
        }))
    }

    /// The configuration that holds, but for what is pending.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.state().config)
    }

    /// What of the configuration does not hold before weir is started again.
    pub(crate) fn pending(&self) -> Arc<[Change]> {
        Arc::clone(&self.state().pending)
    }

    /// The newest reloads, newest first, twenty at most.
    pub(crate) fn history(&self) -> Vec<Entry> {
        self.state().history.iter().cloned().collect()
    }

    /// Reads the file and takes over what it says. Who asks while a reload is under way waits for the next one, and all
    /// who wait share it. Goes on when the caller leaves.
    pub(crate) async fn reload(&self, trigger: Trigger) -> Outcome {
        let reloader = self.clone();
        let came = self.0.begun.load(SeqCst);
        let carry_out = move |reloader: Self| async move { reloader.carry_out(trigger).await };
        let reloading = tokio::spawn(async move { reloader.in_turn(came, trigger, carry_out).await });
        reloading.await.unwrap_or_else(|broken| {
            let outcome = broken_off(&broken);
            log_failure(&outcome, trigger);
            outcome
        })
    }

    /// Has every reload from now on abandoned.
    pub(crate) fn leave(&self) {
        self.0.leaving.store(true, SeqCst);
    }

    /// What comes of `work`, unless another one began after `came` and is over.
    async fn in_turn<F>(&self, came: u64, trigger: Trigger, work: impl FnOnce(Self) -> F) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut turn = self.0.turn.lock().await;
        if let (number, Some(outcome)) = &*turn
            && *number > came
        {
            return outcome.clone();
        }
        let number = self.0.begun.fetch_add(1, SeqCst) + 1;
        let outcome = if self.is_leaving() {
            Outcome::Abandoned
        } else {
            self.0.supervisor.reloading();
            // A task of its own: whatever breaks, it is answered and counted, and systemd is told that it is over.
            let outcome = tokio::spawn(work(self.clone())).await.unwrap_or_else(|broken| broken_off(&broken));
            // Else it was told something newer, that weir leaves.
            if !self.is_leaving() {
                self.0.supervisor.reloaded(outcome.result().label());
            }
            outcome
        };
        log_failure(&outcome, trigger);
        observe::reloaded(outcome.result(), now());
        let revision = self.0.reader.load().revision;
        let mut state = self.state();
        state.history.truncate(REMEMBERED - 1);
        state.history.push_front(Entry { at: now(), trigger, outcome: outcome.clone(), revision });
        drop(state);
        *turn = (number, Some(outcome.clone()));
        outcome
    }

    async fn carry_out(&self, trigger: Trigger) -> Outcome {
        let began = self.0.clock.now();
        let old = self.config();
        let (new, is_snapshot_same) = match self.read(&old).await {
            Ok(Some(read)) => (read.config, read.is_snapshot_same),
            Ok(None) => {
                info!(%trigger, "the configuration is unchanged");
                return Outcome::Unchanged;
            }
            Err(outcome) => return outcome,
        };
        // Whatever can fail comes before anything has changed.
        let log = if new.log == old.log {
            None
        } else {
            // Aside, and not for ever: to open a pipe that nobody reads, or a file on a disk that hangs, never ends.
            let wanted = new.log.clone();
            let opening = tokio::task::spawn_blocking(move || log::open(&wanted));
            match tokio::time::timeout(OPENING, opening).await {
                Ok(Ok(Ok(log))) => Some(log),
                Ok(Ok(Err(error))) => return Outcome::rejected(with_causes(&error)),
                Ok(Err(broken)) => return broken_off(&broken),
                Err(_) => {
                    return Outcome::rejected(format!("error: the access log cannot be opened within {OPENING:?}"));
                }
            }
        };
        let applied = if is_snapshot_same {
            Applied { revision: self.0.reader.load().revision, unanswered: Vec::new() }
        } else {
            match self.0.control.reload(Arc::clone(&new)).await {
                Ok(applied) => applied,
                Err(ReloadError::Ended) => return Outcome::Abandoned,
                Err(error @ ReloadError::Fault) => return Outcome::failed(&error),
                Err(error @ (ReloadError::Sources(_) | ReloadError::Assemble(_) | ReloadError::TooSlow { .. })) => {
                    return Outcome::rejected(format!("error: {error}"));
                }
            }
        };
        self.0.proxy.change(&new.listeners, &new.server.trusted_proxies, new.server.body_memory);
        if let Some(log) = log {
            self.0.proxy.log_to(log);
        }
        let took = self.0.clock.now().since(began);
        let (revision, started, read) = (applied.revision, Arc::clone(&self.0.started), Arc::clone(&new));
        let (changes, pending) = aside(move || {
            let (changes, pending) = compare(&started, &old, &read);
            let count = changes.len();
            info!(%trigger, revision, changes = count, took_ms = took.as_millis(), "the configuration is reloaded");
            for change in changes.iter() {
                info!("{change}");
            }
            for change in pending.iter() {
                warn!("{change}");
            }
            (changes, pending)
        })
        .await;
        let mut state = self.state();
        let before = std::mem::replace(&mut state.config, new);
        state.pending = Arc::clone(&pending);
        drop(state);
        // To take thousands of services apart would hold exchanges up.
        tokio::task::spawn_blocking(move || drop(before));
        Outcome::Applied { revision, changes, pending, unanswered: applied.unanswered }
    }

    /// What the file says; `None` when that is what holds.
    async fn read(&self, held: &Arc<Config>) -> Result<Option<Read>, Outcome> {
        let Some(file) = self.0.file.clone() else {
            return Err(Outcome::rejected("error: this is the demo: there is no file to be read again"));
        };
        read::read(file, Arc::clone(held)).await
    }

    fn is_leaving(&self) -> bool {
        self.0.leaving.load(SeqCst)
    }

    /// Whether the file says something else than what holds; also when it cannot be read.
    pub(crate) async fn is_stale(&self) -> bool {
        self.0.file.is_some() && self.read(&self.config()).await.map_or(true, |read| read.is_some())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one of whole values, whoever panicked.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reloads when the file changes or SIGHUP comes, until `end`.
pub(crate) async fn follow(reloader: Reloader, mut hangups: Hangups, end: impl Future<Output = ()>) {
    let watching = async {
        match reloader.0.file.clone() {
            Some(file) => watch::follow(&file, &reloader).await,
            None => std::future::pending().await,
        }
    };
    let asking = async {
        loop {
            hangups.next().await;
            reloader.reload(Trigger::Signal).await;
        }
    };
    tokio::select! {
        () = watching => {}
        () = asking => {}
        () = end => {}
    }
}

/// What is different, and what is pending then. Done aside, with all that it writes to the log: a thousand changes take
/// their time, and who reads the log may be slow.
async fn aside(compare: impl FnOnce() -> Changes + Send + 'static) -> Changes {
    tokio::task::spawn_blocking(compare).await.unwrap_or_else(|broken| {
        error!(%broken, "configurations cannot be compared, by a fault of weir's own");
        Default::default()
    })
}

/// What is different in `new`, and what of it needs a restart, in comparison with what weir was `started` with: that is
/// what runs, whatever the file said before.
fn compare(started: &Config, old: &Config, new: &Config) -> Changes {
    let changes = weir_config::diff(old, new).into_iter().filter(|change| change.restart.is_none());
    (changes.collect(), weir_config::pending(started, new).into())
}

/// What a part of a reload came to that did not come to its end: it broke, or the runtime has ended.
fn broken_off(broken: &JoinError) -> Outcome {
    if broken.is_cancelled() { Outcome::Abandoned } else { Outcome::failed(broken) }
}

/// Says why a reload has changed nothing.
fn log_failure(outcome: &Outcome, trigger: Trigger) {
    match outcome {
        Outcome::Rejected { problems } => {
            error!("the reload is rejected ({trigger}), everything stays as it was:\n{}", problems.trim_end());
        }
        Outcome::Failed { problems } => error!("the reload failed ({trigger}):\n{}", problems.trim_end()),
        Outcome::Abandoned => warn!(%trigger, "the reload is abandoned, for weir leaves"),
        Outcome::Applied { .. } | Outcome::Unchanged => {}
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(format!("error: {error}"), |text, cause| format!("{text}: {cause}"))
}

/// What the clock on the wall shows.
#[expect(clippy::disallowed_methods, reason = "people and Prometheus are told when a reload was")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;

    use weir_discovery::Discovery;
    use weir_proxy::ProxyParts;

    use super::read::load;
    use super::*;

    const TOML: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"s\"\n\
        [[service]]\nname = \"s\"\npolicy = \"random\"\nendpoints = [\"127.0.0.1:9\"]\n";

    /// A reloader of a weir that nobody can connect to; the discovery must be kept.
    async fn reloader(file: &Path, supervisor: Supervisor) -> (Reloader, Discovery) {
        std::fs::write(file, TOML).unwrap();
        let config = Arc::new(load(file).unwrap());
        let clock = Clock::start();
        let discovery = Discovery::start(Arc::clone(&config), clock, |_| None).await.unwrap();
        let proxy = Proxy::bind(ProxyParts {
            clock,
            reader: discovery.reader(),
            listeners: config.listeners.clone(),
            trusted_proxies: config.server.trusted_proxies.clone(),
            body_memory: config.server.body_memory,
            access_log: None,
            recent: 0,
        });
        let (control, reader, proxy) = (discovery.control(), discovery.reader(), Arc::new(proxy.unwrap()));
        (Reloader::new(Some(file.to_owned()), config, clock, control, reader, proxy, supervisor), discovery)
    }

    #[tokio::test]
    async fn a_reload_that_breaks_is_answered_remembered_and_told_to_systemd_and_the_next_one_works() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&socket).unwrap();
        let supervisor = Supervisor::of(|_| Some(socket.display().to_string()));
        let (reloader, _discovery) = reloader(&folder.path().join("weir.toml"), supervisor).await;
        let broken = reloader.in_turn(0, Trigger::Signal, |_| async { panic!("on purpose") }).await;
        assert!(matches!(&broken, Outcome::Failed { problems } if problems.contains("on purpose")), "{broken:?}");
        let told = || {
            let mut text = [0; 200];
            let length = systemd.recv(&mut text).unwrap();
            String::from_utf8_lossy(&text[..length]).into_owned()
        };
        assert!(told().starts_with("RELOADING=1\n"));
        assert_eq!(told(), "READY=1\nSTATUS=serving; the last reload: failed");
        assert_eq!(reloader.reload(Trigger::Admin).await, Outcome::Unchanged);
        let history: Vec<_> = reloader.history().into_iter().map(|entry| entry.outcome).collect();
        assert_eq!(history, [Outcome::Unchanged, broken]);
    }

    #[tokio::test]
    async fn a_weir_that_leaves_takes_nothing_over_and_tells_systemd_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&socket).unwrap();
        let supervisor = Supervisor::of(|_| Some(socket.display().to_string()));
        let (reloader, _discovery) = reloader(&folder.path().join("weir.toml"), supervisor).await;
        reloader.leave();
        assert_eq!(reloader.reload(Trigger::Admin).await, Outcome::Abandoned);
        systemd.set_nonblocking(true).unwrap();
        assert!(systemd.recv(&mut [0; 200]).is_err());
    }
}
