//! One instance of a service, as Consul lists it.

use std::collections::BTreeMap;

/// One instance of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The id of the instance, unique on its node.
    pub id: Box<str>,
    /// Where it answers: an IP address or a name. That of its node when it registered none.
    pub address: Box<str>,
    /// The port it answers on, never 0.
    pub port: u16,
    /// The weights it registered; 1 and 1 when it registered none.
    pub weights: Weights,
    /// What it says about itself.
    pub meta: BTreeMap<Box<str>, Box<str>>,
    /// Its tags.
    pub tags: Vec<Box<str>>,
    /// The name of the node it runs on.
    pub node: Box<str>,
    /// What its checks and those of its node say together.
    pub status: Status,
}

/// Shares of the traffic: 0..=65535, no unit. What is out of that range is brought to its nearest end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// While all checks pass.
    pub passing: u16,
    /// While one warns.
    pub warning: u16,
}

impl Default for Weights {
    /// Consul's own default.
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

/// The worst that the checks of an instance and its node say. The worst is last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// All pass; or there are none.
    Passing,
    /// At least one warns, none is worse. Consul's `?passing` leaves these out.
    Warning,
    /// At least one is critical.
    Critical,
    /// An operator put the instance or its node into maintenance.
    Maintenance,
}

impl Instance {
    /// Its share of the traffic as its status wants it: 0..=65535; 0 means none.
    ///
    /// `Service.Weights`; when it registered none, the meta `weight`, as those write it who cannot set weights.
    pub fn weight(&self) -> u16 {
        if self.status == Status::Warning {
            return self.weights.warning;
        }
        let meta = || self.number("weight").filter(|weight| *weight > 0);
        if self.weights.passing == 1 { meta().unwrap_or(1) } else { self.weights.passing }
    }

    /// How many exchanges it wants at most at once, when its meta `capacity` says so: 1..=65535.
    pub fn capacity(&self) -> Option<u16> {
        self.number("capacity").filter(|capacity| *capacity > 0)
    }

    fn number(&self, key: &str) -> Option<u16> {
        self.meta.get(key)?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(weights: Weights, status: Status, meta: &[(&str, &str)]) -> Instance {
        let meta = meta.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let (id, address, node) = ("a".into(), "10.0.0.1".into(), "n".into());
        Instance { id, address, port: 80, weights, meta, tags: Vec::new(), node, status }
    }

    #[test]
    fn registered_weights_win_over_meta_and_a_warning_has_its_own() {
        let set = Weights { passing: 7, warning: 2 };
        let meta = [("weight", "5"), ("capacity", "3")];
        assert_eq!(instance(set, Status::Passing, &meta).weight(), 7);
        assert_eq!(instance(set, Status::Warning, &meta).weight(), 2);
        assert_eq!(instance(Weights::default(), Status::Passing, &meta).weight(), 5);
        assert_eq!(instance(Weights::default(), Status::Passing, &meta).capacity(), Some(3));
    }

    #[test]
    fn meta_that_is_no_number_counts_as_none() {
        for text in ["", "0", "-1", "65536", "1.5", "many"] {
            let one = instance(Weights::default(), Status::Passing, &[("weight", text), ("capacity", text)]);
            assert_eq!((one.weight(), one.capacity()), (1, None), "{text}");
        }
    }
}
