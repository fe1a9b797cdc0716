//! From a configured source to a running one.
//!
//! In: what is configured. Out: one value for all kinds, so that whoever runs sources need not know which there are.
//! A new kind is a variant of [`SourceKind`], one of [`Kind`], and a line in each `match` here.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use weir_config::{Dns, Family, Records, SourceKind};

use super::consul::ConsulSource;
use super::file::FileSource;
use super::{News, Source, Variables};
use crate::agent::ConsulSetupError;
use crate::dns;

/// A source of any kind.
pub(crate) enum Kind {
    Consul(Box<ConsulSource>),
    Dns(Box<dns::Watch>),
    File(Box<FileSource>),
}

/// Why a source cannot be set up as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// One in Consul.
    #[error(transparent)]
    Consul(#[from] ConsulSetupError),
    /// One in DNS, by its name.
    #[error(transparent)]
    Dns(#[from] dns::NameError),
}

/// A source that was set up, and the name it goes by.
pub(crate) struct Opened {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
}

/// Sets sources up, and holds what they share. A clone shares it too.
#[derive(Clone)]
pub(crate) struct Opener {
    variables: Variables,
    /// One for each list of resolvers, as long as a source has it: what several names ask at once is asked once.
    clients: HashMap<Vec<SocketAddr>, dns::WeakClient>,
    /// Another one in each process, so that a fleet of proxies does not ask in step.
    seeds: RandomState,
}

impl Opener {
    pub(crate) fn new(variables: Variables) -> Self {
        Self { variables, clients: HashMap::new(), seeds: RandomState::new() }
    }

    /// Sets the source up; asks nothing yet. Blocks on files. `others` are the names of the other sources of its service:
    /// two of one name (a service in two datacenters) are told apart by a number. `empty_after` is how long an empty list
    /// is doubted: a source that could be silent for longer asks sooner then.
    ///
    /// # Errors
    /// [`SetupError`] when what is configured cannot be used.
    pub(crate) fn open(
        &mut self,
        settings: &SourceKind,
        others: &[(Arc<str>, bool)],
        empty_after: Duration,
    ) -> Result<Opened, SetupError> {
        let seed = self.seeds.hash_one(others.len());
        let kind = match settings {
            SourceKind::Consul(consul) => {
                Kind::Consul(Box::new(ConsulSource::open(consul.clone(), self.variables, seed, empty_after)?))
            }
            SourceKind::Dns(dns) => Kind::Dns(Box::new(self.dns(dns, seed)?)),
            SourceKind::File(path) => Kind::File(Box::new(FileSource::new(path.clone()))),
        };
        let plain = kind.describe();
        let taken = |name: &str| others.iter().any(|(other, _)| **other == *name);
        let numbered = (2..=others.len() + 1).map(|number| format!("{plain} ({number})"));
        let name = std::iter::once(plain.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(plain);
        Ok(Opened { name: name.into(), kind })
    }

    fn dns(&mut self, settings: &Dns, seed: u64) -> Result<dns::Watch, dns::NameError> {
        let name: dns::DomainName = settings.name.parse()?;
        let (records, families) = match settings.records {
            Records::Addresses { family, port } => {
                let name = dns::NamePort { name, port: port.get() };
                let Dns { weight, drain: drained, capacity, .. } = *settings;
                let records = dns::Records::Addresses { name, weight, drained, capacity };
                let families = match family {
                    Family::Both => dns::Families::Both,
                    Family::V4 => dns::Families::V4,
                    Family::V6 => dns::Families::V6,
                };
                (records, families)
            }
            Records::Services => (dns::Records::Services { name }, dns::Families::Both),
        };
        let resolvers = &settings.resolvers;
        let client = self.clients.get(resolvers).and_then(dns::WeakClient::upgrade).unwrap_or_else(|| {
            // Who reloads often with other resolvers each time must not fill the memory with those of before.
            self.clients.retain(|_, client| client.upgrade().is_some());
            let list = resolvers.clone();
            let options = if list.is_empty() { dns::Options::system() } else { dns::Options::list(list) };
            let client = dns::Client::new(options);
            self.clients.insert(resolvers.clone(), client.downgrade());
            client
        });
        Ok(dns::Watch::new(&client, dns::Query::new(records, families), seed))
    }
}

impl Source for Kind {
    async fn next(&mut self) -> News {
        match self {
            Self::Consul(source) => source.next().await,
            Self::Dns(source) => source.next().await,
            Self::File(source) => source.next().await,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Consul(source) => source.describe(),
            Self::Dns(source) => source.describe(),
            Self::File(source) => source.describe(),
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_balance::Weight;

    use super::*;

    #[test]
    fn resolvers_are_shared_while_a_source_asks_them_and_forgotten_then() {
        let mut opener = Opener::new(|_| None);
        let open = |opener: &mut Opener, port: u16| {
            let records = Records::Addresses { family: Family::Both, port: port.try_into().unwrap() };
            let resolvers = vec![SocketAddr::from(([127, 0, 0, 1], port))];
            let (name, weight) = ("a.example".into(), Weight::ONE);
            let dns = Dns { name, records, resolvers, weight, drain: false, capacity: None };
            opener.open(&SourceKind::Dns(dns), &[], Duration::ZERO).unwrap()
        };
        let kept = [open(&mut opener, 1), open(&mut opener, 1)];
        for port in 2..1000 {
            drop(open(&mut opener, port));
        }
        assert!(opener.clients.len() <= 2, "{}", opener.clients.len());
        let client = opener.clients[&vec![SocketAddr::from(([127, 0, 0, 1], 1))]].clone();
        assert!(client.upgrade().is_some());
        drop(kept);
        assert!(client.upgrade().is_none());
    }
}
