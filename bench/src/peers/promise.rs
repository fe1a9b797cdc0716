//! What weir promises in comparison, and whether a run kept it.
//!
//! In: summaries of two contenders, seed by seed. Out: ratios, and the most that each may be. Pure. A ratio is the median of the
//! ratios of the seeds: both sides had the same jobs. The promises hold for the emulated mix on endpoints that share their
//! cores; elsewhere ratios have no target.

use super::contender::Contender;
use super::cores::Discipline;
use super::fleet::Scenario;
use super::summary::Summary;
use super::trace::Bytes;
use crate::rig::proxy::Kind;
use crate::rounds::median;

/// A number that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    P50,
    P99,
    SmallP99,
    Mean,
}

impl Metric {
    /// All of them, in the order of tables.
    pub(crate) const ALL: [Self; 4] = [Self::P50, Self::P99, Self::SmallP99, Self::Mean];

    /// Its name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::SmallP99 => "small p99",
            Self::Mean => "mean",
        }
    }

    /// Its value, in milliseconds.
    pub(crate) fn of(self, summary: &Summary) -> f64 {
        match self {
            Self::P50 => summary.p50,
            Self::P99 => summary.p99,
            Self::SmallP99 => summary.small_p99,
            Self::Mean => summary.mean,
        }
    }
}

/// Under which conditions a run was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Conditions {
    pub(crate) scenario: Scenario,
    pub(crate) bytes: Bytes,
    pub(crate) discipline: Discipline,
    /// Whether the work was real.
    pub(crate) real: bool,
    /// Offered work as a share of the capacity.
    pub(crate) load: f64,
}

/// Least goodput, as a share of the capacity, when more is offered than that.
pub(crate) const GOODPUT: f64 = 0.97;

/// How far weir may be from the simulator on the same requests, as a share.
pub(crate) const NEAR: f64 = 0.2;

impl Conditions {
    /// The most that weir's `metric` may be, as a multiple of `peer`'s; `None` when nothing is promised.
    pub(crate) fn target(&self, peer: &Contender, metric: Metric) -> Option<f64> {
        if self.real || self.discipline != Discipline::Sharing {
            return None;
        }
        match self.scenario {
            Scenario::Slow => (peer.kind == Kind::Nginx && metric == Metric::P99).then_some(0.6),
            Scenario::Steady if self.overloaded() => {
                (peer.kind == Kind::Nginx && metric == Metric::SmallP99).then_some(0.5)
            }
            Scenario::Steady if self.load >= 0.9 => Some(self.busy(peer, metric)),
            Scenario::Steady if (0.65..=0.75).contains(&self.load) => Some(1.05),
            Scenario::Killed | Scenario::Weights | Scenario::Steady => None,
        }
    }

    /// Whether more is offered than all endpoints can do: refusals are answers then.
    pub(crate) fn overloaded(&self) -> bool {
        self.load > 1.0
    }

    /// Whether a run with errors says nothing: in [`Scenario::Killed`], how many there are is the question.
    pub(crate) fn errors_spoil(&self) -> bool {
        self.scenario != Scenario::Killed
    }

    /// Near the capacity.
    fn busy(&self, peer: &Contender, metric: Metric) -> f64 {
        match (peer.kind, metric) {
            (Kind::Haproxy, _) if self.bytes == Bytes::Misleading => 0.8,
            (Kind::Haproxy, Metric::SmallP99) if peer.name == "haproxy-class" => 0.9,
            (Kind::Haproxy, _) if peer.name == "haproxy-class" => 0.8,
            (Kind::Haproxy | Kind::Weir | Kind::Permits | Kind::Queue | Kind::NoRecent, _) => 1.0,
            (Kind::Nginx | Kind::Envoy, Metric::P50 | Metric::Mean) => 0.65,
            (Kind::Nginx | Kind::Envoy, Metric::P99) => 0.7,
            (Kind::Nginx | Kind::Envoy, Metric::SmallP99) => 0.75,
        }
    }
}

/// The median over the seeds of `ours / theirs`; `None` when no seed has both.
pub(crate) fn ratio(ours: &[Option<&Summary>], theirs: &[Option<&Summary>], metric: Metric) -> Option<f64> {
    let pairs = ours.iter().zip(theirs).filter_map(|(ours, theirs)| Some(metric.of((*ours)?) / metric.of((*theirs)?)));
    median(pairs)
}

/// In how many of the seeds that both have `ours` is less than `theirs`, and of how many.
pub(crate) fn less(ours: &[Option<&Summary>], theirs: &[Option<&Summary>], metric: Metric) -> (usize, usize) {
    let pairs =
        || ours.iter().zip(theirs).filter_map(|(ours, theirs)| Some((metric.of((*ours)?), metric.of((*theirs)?))));
    (pairs().filter(|(ours, theirs)| ours < theirs).count(), pairs().count())
}

#[cfg(test)]
mod tests {
    use super::super::contender::all;
    use super::*;

    fn at(load: f64) -> Conditions {
        Conditions {
            scenario: Scenario::Steady,
            bytes: Bytes::Telling,
            discipline: Discipline::Sharing,
            real: false,
            load,
        }
    }

    fn targets(conditions: &Conditions, name: &str) -> [Option<f64>; 4] {
        let peer = all().find(|contender| contender.name == name).unwrap();
        Metric::ALL.map(|metric| conditions.target(peer, metric))
    }

    #[test]
    fn targets_are_the_promised_ones() {
        let (busy, half) = (at(0.95), at(0.7));
        assert_eq!(targets(&busy, "nginx"), [0.65, 0.7, 0.75, 0.65].map(Some));
        assert_eq!(targets(&busy, "envoy"), [0.65, 0.7, 0.75, 0.65].map(Some));
        assert_eq!(targets(&busy, "haproxy-class"), [0.8, 0.8, 0.9, 0.8].map(Some));
        assert_eq!(targets(&busy, "haproxy-offset-8"), [Some(1.0); 4]);
        let misleading = Conditions { bytes: Bytes::Misleading, ..busy };
        assert_eq!(targets(&misleading, "haproxy-sjf"), [Some(0.8); 4]);
        assert_eq!(targets(&half, "envoy-scan"), [Some(1.05); 4]);
        assert_eq!(targets(&at(1.05), "nginx"), [None, None, Some(0.5), None]);
        assert_eq!(
            targets(&Conditions { scenario: Scenario::Slow, ..at(0.85) }, "nginx"),
            [None, Some(0.6), None, None]
        );
    }

    #[test]
    fn nothing_is_promised_elsewhere() {
        for conditions in
            [at(0.5), Conditions { real: true, ..at(0.95) }, Conditions { discipline: Discipline::Fifo, ..at(0.95) }]
        {
            assert_eq!(targets(&conditions, "nginx"), [None; 4]);
        }
    }
}
