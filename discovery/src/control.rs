//! Changing what runs, from outside the one loop that publishes.
//!
//! In: what an operator wants. Out: the revision of the snapshot in which it holds, or why it does not. Cost: a message to
//! the loop and one back; the answer comes after the snapshot was published, so who has it may rely on it.
//! Only the loop changes anything: overrides, sources' news and reloads meet there, one after the other.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use weir_balance::Policy;
use weir_config::Config;

use crate::{AssembleError, DiscoveryError, Found, Override, Overrides};

/// Commands under way to the loop. Who has more waits.
const QUEUE: usize = 64;
/// How many names an error lists.
const LISTED: usize = 5;

/// Sends commands to [`crate::Discovery::run`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    changes: mpsc::Sender<Asked>,
    reloads: mpsc::Sender<Reload>,
    overrides: watch::Receiver<Arc<Overrides>>,
}

/// What a change of overrides has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overridden {
    /// The snapshot it holds in; later ones have it too.
    pub revision: u64,
    /// How many endpoints of the service get new exchanges now, unless they are ejected.
    pub serving: usize,
}

/// Why an override is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// There is no such service.
    #[error("there is no service `{service}`: {known}")]
    NoService {
        /// Its name.
        service: Box<str>,
        /// Those there are.
        known: String,
    },
    /// The service does not have this endpoint now.
    #[error("service `{service}` has no endpoint `{address}`: {known}")]
    NoEndpoint {
        /// The service.
        service: Box<str>,
        /// The endpoint.
        address: SocketAddr,
        /// Those it has.
        known: String,
    },
    /// The policy knows no weights.
    #[error(
        "service `{service}` has the policy `round-robin`, which knows no weights: write `policy = \"weighted\"` and reload"
    )]
    Weightless {
        /// The service.
        service: Box<str>,
    },
    /// Nothing was asked for.
    #[error("nothing to change: say whether to drain, or a weight")]
    Nothing,
    /// There is nothing to take back.
    #[error("nothing is overridden there: list the overrides to see what is")]
    NotOverridden,
    /// The snapshot was not assembled, by a fault of weir's own; nothing has changed.
    #[error("no snapshot could be made of it, by a fault of weir's own (see the log): nothing has changed")]
    Unpublished,
    /// The loop has ended: weir leaves.
    #[error("weir is leaving, nothing is changed any more")]
    Ended,
}

/// What a reload has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The snapshot it holds in; later ones have it too.
    pub revision: u64,
    /// New sources that have not answered within `start_wait`, each with its service. Until they do, what the source in
    /// their place said last counts, or what was kept, or nothing.
    pub unanswered: Vec<String>,
}

/// Why a configuration is not taken over. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Sources cannot be set up as they are configured.
    #[error("{}", lines(.0))]
    Sources(Vec<DiscoveryError>),
    /// The configuration is sound but no snapshot can be made of it.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// A file that a source needs cannot be read in time: a disk hangs.
    #[error(
        "the files of new sources (tokens, certificates) cannot be read within {limit:?}: does a file system hang?"
    )]
    TooSlow {
        /// How long that may take.
        limit: Duration,
    },
    /// A part of weir has a fault.
    #[error("it failed by a fault of weir's own, see the log")]
    Fault,
    /// The loop has ended: weir leaves.
    #[error("weir is leaving, nothing is changed any more")]
    Ended,
}

/// A change, and who waits for the answer.
pub(crate) type Asked = (Change, oneshot::Sender<Result<Overridden, OverrideError>>);

/// A configuration to be taken over, and who waits for the answer.
pub(crate) type Reload = (Arc<Config>, oneshot::Sender<Result<Applied, ReloadError>>);

/// A change of overrides.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Set { service: Box<str>, address: SocketAddr, to: Override },
    Clear { service: Box<str>, address: Option<SocketAddr> },
}

/// The loop's end of a [`Control`].
#[derive(Debug)]
pub(crate) struct Commands {
    pub(crate) control: Control,
    pub(crate) changes: mpsc::Receiver<Asked>,
    pub(crate) reloads: mpsc::Receiver<Reload>,
    pub(crate) overrides: watch::Sender<Arc<Overrides>>,
}

impl Control {
    /// Overrides what configuration and sources say of this endpoint, until it is cleared; what was overridden before and
    /// is not mentioned stays so. To override something with what is believed anyway takes the override back.
    ///
    /// # Errors
    /// [`OverrideError`]; then nothing has changed.
    pub async fn set(&self, service: &str, address: SocketAddr, to: Override) -> Result<Overridden, OverrideError> {
        self.change(Change::Set { service: service.into(), address, to }).await
    }

    /// Takes back all that is overridden of this endpoint, or of all endpoints of the service. Those that are not there at
    /// the moment may be cleared too.
    ///
    /// # Errors
    /// [`OverrideError::NotOverridden`], [`OverrideError::Unpublished`], [`OverrideError::Ended`].
    pub async fn clear(&self, service: &str, address: Option<SocketAddr>) -> Result<Overridden, OverrideError> {
        self.change(Change::Clear { service: service.into(), address }).await
    }

    /// Takes `config` over: opens the sources that are new or changed, waits for their first answers, `start_wait` at
    /// most, and publishes one snapshot of it. Services, endpoints and sources that are in both go on as they are, with
    /// their connections, queues, verdicts and beliefs; exchanges that run end on what they began with. Sources of before
    /// are followed, and overrides obeyed, all the while. What is outside of services and routes is not looked at.
    ///
    /// # Errors
    /// [`ReloadError`]; then nothing has changed.
    pub async fn reload(&self, config: Arc<Config>) -> Result<Applied, ReloadError> {
        let (answer, answered) = oneshot::channel();
        self.reloads.send((config, answer)).await.map_err(|_| ReloadError::Ended)?;
        answered.await.unwrap_or(Err(ReloadError::Ended))
    }

    /// All overrides there are now.
    pub fn overrides(&self) -> Arc<Overrides> {
        Arc::clone(&self.overrides.borrow())
    }

    async fn change(&self, change: Change) -> Result<Overridden, OverrideError> {
        let (answer, answered) = oneshot::channel();
        self.changes.send((change, answer)).await.map_err(|_| OverrideError::Ended)?;
        answered.await.unwrap_or(Err(OverrideError::Ended))
    }
}

impl Commands {
    pub(crate) fn new() -> Self {
        let (change, changes) = mpsc::channel(QUEUE);
        let (reload, reloads) = mpsc::channel(1);
        let overrides = watch::Sender::default();
        let control = Control { changes: change, reloads: reload, overrides: overrides.subscribe() };
        Self { control, changes, reloads, overrides }
    }
}

impl Change {
    pub(crate) fn service(&self) -> &str {
        match self {
            Self::Set { service, .. } | Self::Clear { service, .. } => service,
        }
    }

    /// Carries it out on `overrides`; `found` is what each service of `config` has.
    ///
    /// # Errors
    /// [`OverrideError`]; then `overrides` are as they were.
    pub(crate) fn apply<'a>(
        &self,
        overrides: &mut Overrides,
        config: &Config,
        found: impl Iterator<Item = &'a [Found]>,
    ) -> Result<(), OverrideError> {
        match self {
            Self::Clear { service, address } => {
                if overrides.clear(service, *address) {
                    Ok(())
                } else {
                    Err(OverrideError::NotOverridden)
                }
            }
            Self::Set { service, address, to } => {
                let (settings, found) = config
                    .services
                    .iter()
                    .zip(found)
                    .find(|(settings, _)| settings.name == *service)
                    .ok_or_else(|| {
                        let known = config.services.iter().map(|other| &*other.name);
                        OverrideError::NoService { service: service.clone(), known: listed("the services are", known) }
                    })?;
                let believed = found.iter().find(|found| found.address == *address).ok_or_else(|| {
                    let known = found.iter().map(|found| found.address);
                    let known = listed("its endpoints are", known);
                    OverrideError::NoEndpoint { service: service.clone(), address: *address, known }
                })?;
                if to.is_empty() {
                    return Err(OverrideError::Nothing);
                }
                if to.weight.is_some() && settings.policy == Policy::RoundRobin {
                    return Err(OverrideError::Weightless { service: service.clone() });
                }
                overrides.set(service, believed, *to);
                Ok(())
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { service, address, to } => {
                write!(f, "service `{service}`: the operator has overridden `{address}`:")?;
                if let Some(drain) = to.drain {
                    f.write_str(if drain { " drained" } else { " not drained" })?;
                }
                to.weight.map_or(Ok(()), |weight| write!(f, " weight {}", weight.get()))
            }
            Self::Clear { service, address: Some(address) } => {
                write!(f, "service `{service}`: the override of `{address}` is cleared")
            }
            Self::Clear { service, address: None } => write!(f, "service `{service}`: all overrides are cleared"),
        }
    }
}

/// Each error with its causes, in a line.
fn lines(errors: &[DiscoveryError]) -> String {
    let line = |error: &DiscoveryError| {
        let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
    };
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A few of them in words.
fn listed(opening: &str, names: impl Iterator<Item = impl std::fmt::Display>) -> String {
    let mut names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        return "it has none now".to_owned();
    }
    let more = names.len().saturating_sub(LISTED);
    names.truncate(LISTED);
    let and = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{opening} {}{and}", names.join(", "))
}
