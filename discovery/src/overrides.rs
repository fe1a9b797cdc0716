//! What operators have changed at run time, on top of what configuration and sources say.
//!
//! In: one change at a time. Out: what holds for an endpoint. Pure. Cost: a change copies the list of its service; a
//! look-up is two searches.
//! An override outlasts snapshots, reloads and its endpoint's absence: who drained an endpoint for repair must not find it
//! in service because its registry forgot it for a minute. It goes when it is cleared, or with the process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use weir_balance::{Policy, Weight};
use weir_snapshot::Believed;

use crate::Found;

/// What an operator says of one endpoint; what is `None` stays as it is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// Whether it gets no new exchanges, whatever configuration and sources say.
    pub drain: Option<bool>,
    /// Its share of traffic. Not in effect while the policy of its service is [`Policy::RoundRobin`].
    pub weight: Option<Weight>,
}

/// Those of one service.
pub(crate) type OfService = BTreeMap<SocketAddr, Override>;

/// All overrides, by service and address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides(BTreeMap<Box<str>, Arc<OfService>>);

impl Override {
    /// Whether it changes nothing.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// This one, and `later` where that says something. What `believed` says anyway is no override, except that an
    /// operator's drain stays when a source drains the endpoint too: the source may change its mind.
    fn with(self, later: Self, believed: &Found) -> Self {
        let drain = later.drain.or(self.drain);
        let weight = later.weight.or(self.weight);
        Self {
            drain: drain.filter(|&drain| drain || believed.drained),
            weight: weight.filter(|&weight| weight != believed.weight),
        }
    }

    /// The endpoint as it takes part, and what is believed of it, if that is another thing.
    pub(crate) fn over(self, found: Found, policy: Policy) -> (Found, Believed) {
        let Found { weight, drained, .. } = found;
        let effective = Found {
            weight: self.weight.filter(|_| policy != Policy::RoundRobin).unwrap_or(weight),
            drained: self.drain.unwrap_or(drained),
            ..found
        };
        (effective, Believed { weight, drained })
    }
}

impl Overrides {
    /// What is said of this endpoint.
    pub fn get(&self, service: &str, address: SocketAddr) -> Option<Override> {
        self.0.get(service)?.get(&address).copied()
    }

    /// All, by service and address, also those whose service or endpoint there is not at the moment.
    pub fn iter(&self) -> impl Iterator<Item = (&str, SocketAddr, Override)> {
        self.0.iter().flat_map(|(service, all)| all.iter().map(|(&address, &it)| (&**service, address, it)))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn of(&self, service: &str) -> Option<&Arc<OfService>> {
        self.0.get(service)
    }

    /// Whether an endpoint of this service gets new exchanges.
    pub(crate) fn serves(&self, service: &str, found: &Found) -> bool {
        let said = self.of(service).and_then(|all| all.get(&found.address)?.drain);
        !said.unwrap_or(found.drained)
    }

    /// Says this of the endpoint that `believed` describes, beside what was said of it before.
    pub(crate) fn set(&mut self, service: &str, believed: &Found, change: Override) {
        let address = believed.address;
        let merged = self.get(service, address).unwrap_or_default().with(change, believed);
        if merged.is_empty() {
            self.clear(service, Some(address));
        } else {
            Arc::make_mut(self.0.entry(service.into()).or_default()).insert(address, merged);
        }
    }

    /// Takes back what was said of this endpoint, or of all of the service; `false` when that was nothing.
    pub(crate) fn clear(&mut self, service: &str, address: Option<SocketAddr>) -> bool {
        let Some(all) = self.0.get_mut(service) else { return false };
        let cleared = match address {
            Some(address) => all.contains_key(&address) && Arc::make_mut(all).remove(&address).is_some(),
            None => true,
        };
        if address.is_none() || all.is_empty() {
            self.0.remove(service);
        }
        cleared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Override = Override { drain: Some(true), weight: None };
    const UNDRAIN: Override = Override { drain: Some(false), weight: None };

    fn found() -> Found {
        Found::new(([127, 0, 0, 1], 1).into())
    }

    fn weighing(weight: u16) -> Override {
        Override { drain: None, weight: Weight::new(weight).ok() }
    }

    #[test]
    fn what_is_said_later_is_added_and_what_is_believed_anyway_is_no_override() {
        let (mut all, found) = (Overrides::default(), found());
        all.set("s", &found, DRAIN);
        all.set("s", &found, weighing(3));
        assert_eq!(all.get("s", found.address), Some(Override { drain: Some(true), ..weighing(3) }));
        all.set("s", &found, UNDRAIN);
        assert_eq!(all.get("s", found.address), Some(weighing(3)));
        all.set("s", &found, weighing(1));
        assert!(all.is_empty(), "{all:?}");
    }

    #[test]
    fn an_endpoint_drained_by_its_source_is_drained_or_undrained_by_the_operator_all_the_same() {
        let drained = Found { drained: true, ..found() };
        let mut all = Overrides::default();
        all.set("s", &drained, DRAIN);
        assert!(!all.serves("s", &found()), "it stays so when the source changes its mind");
        all.set("s", &drained, UNDRAIN);
        assert!(all.serves("s", &drained));
    }

    #[test]
    fn one_is_cleared_or_all_of_a_service() {
        let (mut all, found) = (Overrides::default(), found());
        let other = Found { address: ([127, 0, 0, 1], 2).into(), ..found };
        for (service, found) in [("a", &found), ("a", &other), ("b", &found)] {
            all.set(service, found, DRAIN);
        }
        assert!(all.clear("a", Some(found.address)));
        assert!(!all.clear("a", Some(found.address)));
        assert!(all.clear("b", None) && !all.clear("b", None));
        assert_eq!(all.iter().collect::<Vec<_>>(), [("a", other.address, DRAIN)]);
    }

    #[test]
    fn a_weight_is_not_in_effect_where_all_are_alike() {
        let heavy = |policy| weighing(7).over(found(), policy).0.weight.get();
        assert_eq!((heavy(Policy::RoundRobin), heavy(Policy::Weighted)), (1, 7));
    }
}
