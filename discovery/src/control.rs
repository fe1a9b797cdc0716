//! Changing what runs, from outside the one loop that publishes.
//!
//! In: what an operator wants. Out: the revision of the snapshot in which it holds, or why it does not. Cost: a message to
//! the loop and one back; the answer comes after the snapshot was published, so who has it may rely on it.
//! Only the loop changes anything: overrides, sources' news and reloads meet there, one after the other.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use weir_balance::Policy;
use weir_config::Config;

use crate::{Found, Override, Overrides};

/// Commands under way to the loop. Who has more waits.
const QUEUE: usize = 64;
/// How many names an error lists.
const LISTED: usize = 5;

/// Sends commands to [`crate::Discovery::run`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    commands: mpsc::Sender<Command>,
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

/// What the loop is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Set or clear an override.
    Change(Change, oneshot::Sender<Result<Overridden, OverrideError>>),
}

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
    pub(crate) queue: mpsc::Receiver<Command>,
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

    /// All overrides there are now.
    pub fn overrides(&self) -> Arc<Overrides> {
        Arc::clone(&self.overrides.borrow())
    }

    async fn change(&self, change: Change) -> Result<Overridden, OverrideError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.commands.send(Command::Change(change, answer)).await;
        sent.map_err(|_| OverrideError::Ended)?;
        answered.await.unwrap_or(Err(OverrideError::Ended))
    }
}

impl Commands {
    pub(crate) fn new() -> Self {
        let (commands, queue) = mpsc::channel(QUEUE);
        let overrides = watch::Sender::default();
        Self { control: Control { commands, overrides: overrides.subscribe() }, queue, overrides }
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
    pub(crate) fn apply(
        &self,
        overrides: &mut Overrides,
        config: &Config,
        found: &[Arc<[Found]>],
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
