//! The endpoints of one run, and what happens to them meanwhile.
//!
//! In: a scenario. Out: addresses, weights, and the events of the scenario, in real time. Every run gets a fleet of its own, so
//! that none inherits the jobs or the connections of another.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tokio::time::{sleep, sleep_until};

use super::cores::Discipline;
use super::endpoint::{Endpoint, Plan, after};
use super::real::Optimizer;

/// When the endpoint of [`Scenario::Killed`] is killed, and when it is back, as shares of the span.
const KILLED: f64 = 0.4;
const RESTARTED: f64 = 0.6;
/// How many times longer the endpoint of [`Scenario::Slow`] takes.
const SLOWER: f64 = 4.0;
/// How often a port that somebody else has taken meanwhile is asked for, and the pause in between.
const ATTEMPTS: u32 = 50;
const BEAT: Duration = Duration::from_millis(20);

/// What the endpoints go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// All alike, all well
    Steady,
    /// The first one takes four times longer
    Slow,
    /// The first one is killed after 40 % of the run and back after 60 %
    Killed,
    /// Three endpoints; the first has twice the cores and twice the weight
    Weights,
}

impl Scenario {
    /// Its name on the command line and in reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Slow => "slow",
            Self::Killed => "killed",
            Self::Weights => "weights",
        }
    }

    /// The endpoints: `count` of them with so many cores, except where the scenario says otherwise.
    pub(crate) fn plans(self, count: usize, cores: u32) -> Vec<Plan> {
        let count = if self == Self::Weights { 3 } else { count };
        let plan = |number| match (self, number) {
            (Self::Slow, 0) => Plan { cores, weight: 1, slowness: SLOWER },
            (Self::Weights, 0) => Plan { cores: cores * 2, weight: 2, slowness: 1.0 },
            _ => Plan { cores, weight: 1, slowness: 1.0 },
        };
        (0..count).map(plan).collect()
    }
}

/// The endpoints of one run; ended when dropped.
pub(crate) enum Fleet {
    /// Work is waited for.
    Emulated { plans: Vec<Plan>, discipline: Discipline, endpoints: Vec<Endpoint>, gone: u64 },
    /// Work is done, by processes.
    Real(Vec<Optimizer>),
}

impl Fleet {
    /// Starts emulated endpoints.
    ///
    /// # Errors
    /// When the system has no more ports or threads.
    pub(crate) async fn emulated(plans: &[Plan], discipline: Discipline) -> io::Result<Self> {
        let mut endpoints = Vec::new();
        for (number, plan) in plans.iter().enumerate() {
            endpoints.push(Endpoint::start(number, 0, *plan, discipline).await?);
        }
        Ok(Self::Emulated { plans: plans.to_vec(), discipline, endpoints, gone: 0 })
    }

    /// Where they serve, in the order of their numbers.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Emulated { endpoints, .. } => endpoints.iter().map(Endpoint::address).collect(),
            Self::Real(optimizers) => optimizers.iter().map(Optimizer::address).collect(),
        }
    }

    /// How many jobs were done in all; `None` when nobody counts.
    pub(crate) fn served(&self) -> Option<u64> {
        match self {
            Self::Emulated { endpoints, gone, .. } => Some(gone + endpoints.iter().map(Endpoint::served).sum::<u64>()),
            Self::Real(_) => None,
        }
    }

    /// Lets happen what `scenario` says, in a run that began at `start` and has arrivals for `span`.
    ///
    /// # Errors
    /// When the killed endpoint cannot be restarted, because another process took its port.
    pub(crate) async fn play(&mut self, scenario: Scenario, start: Instant, span: Duration) -> io::Result<()> {
        let Self::Emulated { plans, discipline, endpoints, gone } = self else { return Ok(()) };
        if scenario != Scenario::Killed || endpoints.is_empty() {
            return Ok(());
        }
        sleep_until(after(start, span.mul_f64(KILLED))).await;
        let first = endpoints.remove(0);
        let (port, plan) = (first.address().port(), plans.first().copied());
        *gone += first.served();
        drop(first);
        sleep_until(after(start, span.mul_f64(RESTARTED))).await;
        let Some(plan) = plan else { return Ok(()) };
        for _ in 1..ATTEMPTS {
            if let Ok(endpoint) = Endpoint::start(0, port, plan, *discipline).await {
                endpoints.insert(0, endpoint);
                return Ok(());
            }
            sleep(BEAT).await;
        }
        endpoints.insert(0, Endpoint::start(0, port, plan, *discipline).await?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_endpoint_counts_for_less_and_a_strong_one_for_more() {
        let capacity = |scenario: Scenario| scenario.plans(4, 2).iter().map(Plan::capacity).sum::<f64>();
        assert!((capacity(Scenario::Steady) - 8.0).abs() < 1e-9);
        assert!((capacity(Scenario::Slow) - 6.5).abs() < 1e-9);
        assert!((capacity(Scenario::Weights) - 8.0).abs() < 1e-9);
        let weights: Vec<u16> = Scenario::Weights.plans(4, 2).iter().map(|plan| plan.weight).collect();
        assert_eq!(weights, [2, 1, 1]);
    }

    #[tokio::test]
    async fn a_killed_endpoint_refuses_until_it_is_back_on_its_port() {
        let plans = Scenario::Killed.plans(2, 1);
        let mut fleet = Fleet::emulated(&plans, Discipline::Sharing).await.unwrap();
        let before = fleet.addresses();
        let start = crate::rig::clock::now();
        let watch = async {
            let mut refused = 0;
            while tokio::net::TcpStream::connect(before[0]).await.is_ok() {
                sleep(Duration::from_millis(1)).await;
            }
            while tokio::net::TcpStream::connect(before[0]).await.is_err() {
                refused += 1;
                sleep(Duration::from_millis(1)).await;
            }
            refused
        };
        let (played, refused) = tokio::join!(fleet.play(Scenario::Killed, start, Duration::from_millis(500)), watch);
        played.unwrap();
        assert!(refused > 0);
        assert_eq!(fleet.addresses(), before);
    }
}
