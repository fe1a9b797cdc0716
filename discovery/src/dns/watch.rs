//! One name, watched by its time to live.
//!
//! In: what to look up. Out: [`News`], for ever. Cost: a round of questions per time to live; see [`super`].

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use weir_balance::Weight;

use super::client::{Client, Line, now};
use super::gather::{Gathered, Memory, gather};
use super::name::{DomainName, NamePort};
use super::pace::Pace;
use crate::source::{Found, Listing, News, Source, SourceError, Stale};

/// Default of [`Query::least_pause`]: an answer that holds for 0 s is asked for once a second.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// Default of [`Query::most_pause`]: records that hold for a day are looked at once a minute all the same, which costs
/// a resolver nothing, as it has them.
const MOST_PAUSE: Duration = Duration::from_mins(1);

/// What to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Which records.
    pub records: Records,
    /// Which addresses.
    pub families: Families,
    /// Between two rounds at least, however short the time to live.
    pub least_pause: Duration,
    /// Between two rounds at most, however long the time to live.
    pub most_pause: Duration,
}

/// Which records name the endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// A and AAAA: each address, at this port, with this weight.
    Addresses {
        /// The name and the port.
        name: NamePort,
        /// Of each address.
        weight: Weight,
        /// Whether they are to get no new exchanges.
        drained: bool,
        /// Exchanges that each of them serves at once, when that is said.
        capacity: Option<NonZeroU32>,
    },
    /// SRV: they have ports, weights and priorities of their own.
    Services {
        /// As `_http._tcp.optimizer.example`, or as a registry names its services.
        name: DomainName,
    },
}

/// Which addresses count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// IPv4 and IPv6: the union.
    #[default]
    Both,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

impl Query {
    /// All addresses of a name, each with weight 1.
    pub fn addresses(name: NamePort) -> Self {
        Self::new(Records::Addresses { name, weight: Weight::ONE, drained: false, capacity: None }, Families::default())
    }

    /// A service by its SRV records.
    pub fn services(name: DomainName) -> Self {
        Self::new(Records::Services { name }, Families::default())
    }

    /// With the default pauses.
    pub fn new(records: Records, families: Families) -> Self {
        Self { records, families, least_pause: LEAST_PAUSE, most_pause: MOST_PAUSE }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.records {
            Records::Addresses { name, .. } => write!(f, "dns {name}"),
            Records::Services { name } => write!(f, "dns srv {name}"),
        }
    }
}

/// A watch on one name. Nothing is asked until [`Source::next`].
pub struct Watch(Course<Client>);

impl Watch {
    /// `seed` spreads the rounds: different for each process.
    pub fn new(client: &Client, query: Query, seed: u64) -> Self {
        Self(Course::new(client.clone(), query, seed))
    }
}

impl Source for Watch {
    async fn next(&mut self) -> News {
        self.0.next().await
    }

    fn describe(&self) -> String {
        self.0.query.to_string()
    }
}

struct Course<L> {
    line: L,
    query: Query,
    pace: Pace,
    due: Option<Instant>,
    memory: Memory,
    /// What was told last, when no failure was told since.
    told: Option<Listing>,
}

impl<L: Line> Course<L> {
    fn new(line: L, query: Query, seed: u64) -> Self {
        let pace = Pace::new((seed, query.to_string()), query.least_pause, query.most_pause.max(query.least_pause));
        Self { line, query, pace, due: None, memory: Memory::new(), told: None }
    }

    async fn next(&mut self) -> News {
        if let Some(due) = self.due {
            sleep_until(due).await;
        }
        let gathered = match gather(&self.line, &self.query, &self.memory).await {
            Ok(gathered) => gathered,
            Err(error) => {
                self.told = None;
                self.due = Some(now() + self.pace.failed());
                return News::Failed(SourceError { reason: error.label(), text: error.explain() });
            }
        };
        let Gathered { mut endpoints, ttl, remarks, missing, memory } = gathered;
        self.memory = memory;
        let pause = match missing {
            Some(_) => self.pace.partly(ttl),
            None => self.pace.answered(ttl, endpoints.is_empty()),
        };
        self.due = Some(now() + pause);
        endpoints.sort_by_key(|found: &Found| (found.tier, found.address));
        let stale =
            missing.map(|(error, last_contact)| Stale { last_contact, known_leader: true, because: error.explain() });
        let listing = Listing { endpoints, stale, remarks };
        if self.told.as_ref() == Some(&listing) {
            return News::Unchanged;
        }
        self.told = Some(listing.clone());
        News::Endpoints(listing)
    }
}

#[cfg(test)]
mod tests;
