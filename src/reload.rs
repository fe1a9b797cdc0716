//! The configuration is read again while everything runs.
//!
//! In: a file, and reasons to look at it: it changed, SIGHUP, an operator asks. Out: everything that may change while weir
//! runs is as the file says, or nothing has changed and every problem is told; a line in the log for each difference.
//! Cost: reading and comparing happen on threads that may block, assembling too; no exchange waits for any of it.
//! One reload at a time; who asks meanwhile gets what the next one comes to, which began after it asked.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tracing::{error, info, warn};
use weir_config::{Change, Config};
use weir_discovery::observe::{self, Reloaded};
use weir_discovery::{Applied, Control};
use weir_proxy::Proxy;
use weir_snapshot::{Clock, Reader};

use crate::notify::Supervisor;
use crate::signals::Hangups;
use crate::{log, watch};

/// How long a reload waits for the access log to be opened.
const OPENING: Duration = Duration::from_secs(5);
/// How long a reload waits for the file to be read: a hundred times what the largest one takes.
const READING: Duration = Duration::from_mins(1);
/// How many reloads are remembered.
const REMEMBERED: usize = 20;
/// Most bytes of a file: a thousand times more than a large one has.
const MOST: u64 = 256 << 20;

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
    /// Everything is as it was.
    Rejected {
        /// All that is wrong, as `weir check` prints it.
        problems: Arc<str>,
    },
}

/// A configuration that is not the one that holds.
struct Read {
    config: Arc<Config>,
    /// Whether its routes and services are.
    is_snapshot_same: bool,
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
        let reloading = tokio::spawn(async move { reloader.in_turn(came, trigger).await });
        reloading.await.unwrap_or_else(|broken| {
            error!(%broken, "a reload stopped by a fault of weir's own");
            Outcome::Rejected { problems: "the reload stopped by a fault of weir's own, see the log".into() }
        })
    }

    async fn in_turn(&self, came: u64, trigger: Trigger) -> Outcome {
        let mut turn = self.0.turn.lock().await;
        if let (number, Some(outcome)) = &*turn
            && *number > came
        {
            return outcome.clone();
        }
        let number = self.0.begun.fetch_add(1, SeqCst) + 1;
        self.0.supervisor.reloading();
        let outcome = self.carry_out(trigger).await;
        self.0.supervisor.reloaded(outcome.result().label());
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
        let rejected = |problems: String| {
            error!("the reload is rejected ({trigger}), everything stays as it was:\n{}", problems.trim_end());
            Outcome::Rejected { problems: problems.into() }
        };
        let old = self.config();
        let (new, is_snapshot_same) = match self.read(&old).await {
            Ok(Some(read)) => (read.config, read.is_snapshot_same),
            Ok(None) => {
                info!(%trigger, "the configuration is unchanged");
                return Outcome::Unchanged;
            }
            Err(problems) => return rejected(problems),
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
                Ok(Ok(Err(error))) => return rejected(with_causes(&error)),
                Ok(Err(broken)) => return rejected(with_causes(&broken)),
                Err(_) => return rejected(format!("error: the access log cannot be opened within {OPENING:?}")),
            }
        };
        let applied = if is_snapshot_same {
            Applied { revision: self.0.reader.load().revision, unanswered: Vec::new() }
        } else {
            match self.0.control.reload(Arc::clone(&new)).await {
                Ok(applied) => applied,
                Err(error) => return rejected(format!("error: {error}")),
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
    async fn read(&self, held: &Arc<Config>) -> Result<Option<Read>, String> {
        let Some(file) = self.0.file.clone() else {
            return Err("error: this is the demo: there is no file to be read again".to_owned());
        };
        let held = Arc::clone(held);
        let read = tokio::task::spawn_blocking(move || {
            let config = load(&file)?;
            if config == *held {
                return Ok(None);
            }
            let is_snapshot_same = config.routes == held.routes && config.services == held.services;
            Ok(Some(Read { config: Arc::new(config), is_snapshot_same }))
        });
        match tokio::time::timeout(READING, read).await {
            Ok(Ok(read)) => read,
            Ok(Err(broken)) => Err(format!("error: the file cannot be read, by a fault of weir's own: {broken}")),
            // Its thread is lost; whoever waits for a turn must not be.
            Err(_) => Err(format!("error: the file cannot be read within {READING:?}: does its file system hang?")),
        }
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

/// Reads a configuration; blocks.
///
/// # Errors
/// All that is wrong with it, as it is printed.
fn load(file: &Path) -> Result<Config, String> {
    let name = file.display();
    let cannot = |why: &dyn fmt::Display| format!("error: cannot read `{name}`: {why}");
    // Asked before it is opened: to open a pipe waits for whoever writes to it, for ever.
    let seen = std::fs::metadata(file).map_err(|error| cannot(&error))?;
    if !seen.is_file() {
        return Err(cannot(&"it is no regular file"));
    }
    if seen.len() > MOST {
        return Err(cannot(&format!("it is larger than {} MiB", MOST >> 20)));
    }
    let text = std::fs::read_to_string(file).map_err(|error| cannot(&error))?;
    weir_config::parse(&name.to_string(), &text).map_err(|problems| problems.to_string())
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
