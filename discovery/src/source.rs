//! Where endpoints come from, one of several for a service.
//!
//! In: time, and whatever a source asks. Out: [`News`]: whole lists, never changes to one, so that nothing can be missed.
//! A source judges nothing: whether an empty list is believed, and how long an old one is kept, is the membership's
//! affair. It paces itself: `next` is called again as soon as it has returned, so it waits before it asks once more.

mod consul;
mod ears;
mod file;
mod open;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use weir_balance::Weight;
pub use weir_snapshot::Tier;

pub use ears::Ears;
pub use open::SetupError;
pub(crate) use open::{Kind, Opener};

/// Looks an environment variable up: who reads the environment is the binary's affair.
pub type Variables = fn(&str) -> Option<String>;

/// Something that knows endpoints: a registry, a name, a file.
pub trait Source: Send + 'static {
    /// The next thing to tell: the first time as soon as there is an answer or a failure, then when something changed.
    /// An [`News::Unchanged`] at least every few minutes shows that the source is alive.
    ///
    /// May be dropped while it waits, and then is not called again.
    fn next(&mut self) -> impl Future<Output = News> + Send;

    /// What it is, from configuration alone: `consul optimizer`, `dns optimizer.example:3001`. Different from the other
    /// sources of its service; the `source` label of metrics, and in every line of the log.
    fn describe(&self) -> String;
}

/// What a source tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// An answer. An empty list is an answer too: the source was reached and knows of no endpoint.
    Endpoints(Listing),
    /// The source was reached, and what it said last holds.
    Unchanged,
    /// No answer. What was said last is the best that is known.
    Failed(SourceError),
}

/// A whole list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// All endpoints there are, in any order. Of two with one address the first counts.
    pub endpoints: Vec<Found>,
    /// How old the list may be; `None` when the source vouches for it.
    pub stale: Option<Stale>,
    /// What a person should know of this list, each in a sentence that says what to write or to check: entries that were
    /// left out, a name that nobody knows. Logged when it changes.
    pub remarks: Vec<String>,
}

/// One endpoint, as a source sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it listens.
    pub address: SocketAddr,
    /// Share of traffic; see [`share`] for numbers in other scales.
    pub weight: Weight,
    /// Whether it serves always, or only when those before it cannot. A source with priorities of its own (SRV) makes the
    /// best of them [`Tier::PRIMARY`] and counts up from there.
    pub tier: Tier,
    /// Exchanges that it wants at most at once, when it says so.
    pub capacity: Option<NonZeroU32>,
    /// Known but to get no new exchanges: drained in the configuration, terminating, of weight 0 in a registry.
    pub drained: bool,
}

impl Found {
    /// A primary endpoint of weight 1 without a capacity.
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, weight: Weight::ONE, tier: Tier::PRIMARY, capacity: None, drained: false }
    }
}

/// Why a list may be old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// How long ago the one who answered last heard of the one who knows.
    pub last_contact: Duration,
    /// Whether there is one who knows.
    pub known_leader: bool,
    /// Why it could not be asked.
    pub because: String,
}

/// Why a source gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SourceError {
    /// The `reason` label in metrics: a word of the source's own few.
    pub reason: &'static str,
    /// What happened, and what to write or to check. One line, without secrets.
    pub text: String,
}

/// A weight of a registry (Consul, SRV: 0..=65535) as a share, given the largest weight of its list: as it is while that
/// fits into a [`Weight`], else divided, so that proportions stay, and at least 1. `None` for 0, which is not a weight.
pub fn share(raw: u16, largest: u16) -> Option<Weight> {
    let scaled = match u32::from(largest).max(u32::from(raw)) {
        0..=0 => return None,
        largest if largest > u32::from(Weight::MAX) => u32::from(raw) * u32::from(Weight::MAX) / largest,
        _ => u32::from(raw),
    };
    (raw > 0).then(|| u16::try_from(scaled.max(1)).ok().and_then(|scaled| Weight::new(scaled).ok())).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_as_it_was_written_until_one_of_its_list_is_too_large() {
        let shares = |weights: &[u16]| -> Vec<_> {
            let largest = weights.iter().copied().max().unwrap_or_default();
            weights.iter().map(|&weight| share(weight, largest).map(Weight::get)).collect()
        };
        assert_eq!(shares(&[1, 2, 1000]), [Some(1), Some(2), Some(1000)]);
        assert_eq!(shares(&[65_535, 32_768, 65, 1, 0]), [Some(1000), Some(500), Some(1), Some(1), None]);
        assert_eq!(shares(&[0, 0]), [None, None]);
    }
}
