//! All that was measured, as data: what every form of report is made from.

use super::contender::Contender;
use super::endpoint::Plan;
use super::promise::Conditions;
use super::summary::Summary;
use crate::rig::machine::Machine;

/// One run of one contender.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) summary: Summary,
    /// CPU time of the proxy per request, in microseconds; `None` when it could not be read.
    pub(crate) proxy_micros: Option<f64>,
    /// Cores that load and endpoints took together: near 1, the load itself is what is slow. `None` when it could not be read.
    pub(crate) rig_cores: Option<f64>,
    /// Cores that the hypervisor gave to others meanwhile; `None` when it could not be read.
    pub(crate) stolen: Option<f64>,
    /// Jobs that endpoints did beyond those that were answered: tried again, or for nobody. `None` with real work.
    pub(crate) extra: Option<u64>,
}

/// One contender at one load.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) contender: &'static Contender,
    /// One per seed: the run, or why it has no result.
    pub(crate) runs: Vec<Result<Run, String>>,
    /// The same in the simulator; `None` where it has no such contender or scenario.
    pub(crate) simulated: Vec<Option<Summary>>,
}

impl Cell {
    /// One per seed, where there is one.
    pub(crate) fn summaries(&self) -> Vec<Option<&Summary>> {
        self.runs.iter().map(|run| run.as_ref().ok().map(|run| &run.summary)).collect()
    }

    /// `of` every run that has a result and such a value.
    pub(crate) fn values(&self, of: impl Fn(&Run) -> Option<f64>) -> Vec<f64> {
        self.runs.iter().flatten().filter_map(of).collect()
    }
}

/// All contenders at one load.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) conditions: Conditions,
    pub(crate) cells: Vec<Cell>,
}

/// A contender as it ran.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) contender: &'static Contender,
    pub(crate) version: String,
    /// Its configuration of the last run, word for word.
    pub(crate) configuration: String,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) machine: Machine,
    pub(crate) seconds: f64,
    pub(crate) seeds: Vec<u64>,
    pub(crate) plans: Vec<Plan>,
    pub(crate) threads: u16,
    /// Milliseconds that each photo takes, where photos are real.
    pub(crate) photos: Vec<(&'static str, f64)>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) tables: Vec<Table>,
}

impl Outcome {
    /// Whether every contender has a result at every load.
    pub(crate) fn complete(&self) -> bool {
        let mut runs = self.tables.iter().flat_map(|table| &table.cells).flat_map(|cell| &cell.runs);
        runs.all(Result::is_ok)
    }
}
