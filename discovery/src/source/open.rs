//! From a configured source to a running one.
//!
//! In: what is configured. Out: one value for all kinds, so that whoever runs sources need not know which there are.
//! A new kind is a variant of [`SourceKind`], one of [`Kind`], and a line in each `match` here.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use weir_config::SourceKind;

use super::consul::ConsulSource;
use super::file::FileSource;
use super::{ConsulSetupError, News, Source, Variables};

/// A source of any kind.
pub(crate) enum Kind {
    Consul(Box<ConsulSource>),
    File(FileSource),
}

/// Why a source cannot be set up as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// One in Consul.
    #[error(transparent)]
    Consul(#[from] ConsulSetupError),
    /// DNS
    #[error("DNS is not in this build")]
    Dns,
}

/// A source that was set up, and the name it goes by.
pub(crate) struct Opened {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
}

impl Opened {
    /// Sets the source up; asks nothing yet. Blocks on files. `others` are the names of the other sources of its service:
    /// two of one name (a service in two datacenters) are told apart by a number.
    ///
    /// # Errors
    /// [`SetupError`] when what is configured cannot be used.
    pub(crate) fn new(
        settings: &SourceKind,
        variables: Variables,
        others: &[(Arc<str>, bool)],
    ) -> Result<Self, SetupError> {
        // Another one in each process, so that a fleet of proxies does not ask in step.
        let seed = RandomState::new().hash_one(others.len());
        let kind = match settings {
            SourceKind::Consul(consul) => Kind::Consul(Box::new(ConsulSource::open(consul.clone(), variables, seed)?)),
            SourceKind::File(path) => Kind::File(FileSource::new(path.clone())),
            SourceKind::Dns(_) => return Err(SetupError::Dns),
        };
        let plain = kind.describe();
        let taken = |name: &str| others.iter().any(|(other, _)| **other == *name);
        let numbered = (2..=others.len() + 1).map(|number| format!("{plain} ({number})"));
        let name = std::iter::once(plain.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(plain);
        Ok(Self { name: name.into(), kind })
    }
}

impl Source for Kind {
    async fn next(&mut self) -> News {
        match self {
            Self::Consul(source) => source.next().await,
            Self::File(source) => source.next().await,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Consul(source) => source.describe(),
            Self::File(source) => source.describe(),
        }
    }
}
