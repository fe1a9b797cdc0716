//! CPU time per request of weir and its peers, on the same work at the same time.
//!
//! In: which proxies, which work, how long. Out: an [`Overhead`]. All proxies of a case run from its beginning to its
//! end, on one core; only one of them gets requests at a time, in turns of a few seconds. The load and the endpoint
//! share another core. A round in which any answer was wrong has no result.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use crate::case::Case;
use crate::error::{BenchError, chain};
use crate::rig::child::pin;
use crate::rig::endpoint::Endpoint;
use crate::rig::load::Load;
use crate::rig::machine::Machine;
use crate::rig::proxy::{Kind, Place, Proxy};
use crate::rig::{clock, cpu};
use crate::rounds::{Counted, Ratio, Sample, least, median, order};

/// Before each window: connections to the endpoint open, buffers grow, and the core's caches forget the one before.
const WARM_UP: Duration = Duration::from_millis(500);

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The proxies with their programs; the first is compared with the others.
    pub(crate) proxies: Vec<(Kind, PathBuf)>,
    /// The work, each with its number of connections.
    pub(crate) cases: Vec<(Case, usize)>,
    /// Turns of each proxy.
    pub(crate) rounds: usize,
    /// Length of a turn, without its warm-up.
    pub(crate) window: Duration,
    /// The core that the proxies run on.
    pub(crate) proxy_core: usize,
    /// The core that the load and the endpoint run on.
    pub(crate) load_core: usize,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Overhead {
    pub(crate) machine: Machine,
    pub(crate) seconds: f64,
    pub(crate) tables: Vec<Table>,
}

/// One kind of work.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    pub(crate) case: Case,
    pub(crate) connections: usize,
    pub(crate) rounds: usize,
    pub(crate) rows: Vec<Row>,
}

/// One proxy at one kind of work.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) version: String,
    /// Its configuration, word for word.
    pub(crate) configuration: String,
    /// One per round; `None` where the round failed.
    pub(crate) samples: Vec<Option<Sample>>,
    /// Why rounds failed.
    pub(crate) faults: Vec<String>,
    /// Resident memory after the last round, in bytes; `None` when it did not live to see it.
    pub(crate) resident: Option<u64>,
}

impl Table {
    /// weir's CPU time as a multiple of `peer`'s; `None` when either has no result.
    pub(crate) fn ratio(&self, peer: Kind) -> Option<Ratio> {
        let samples = |kind| self.rows.iter().find(|row| row.kind == kind).map(|row| row.samples.as_slice());
        Ratio::new(samples(Kind::Weir)?, samples(peer)?)
    }

    /// How many microseconds more of CPU time a request takes than plain weir's: median, least and greatest of the rounds in
    /// which both have a result; `None` when there is none.
    pub(crate) fn beyond(&self, kind: Kind) -> Option<(f64, f64, f64)> {
        let samples = |kind| self.rows.iter().find(|row| row.kind == kind).map(|row| row.samples.as_slice());
        let pairs = samples(kind)?.iter().zip(samples(Kind::Weir)?);
        let more = pairs.filter_map(|(one, plain)| Some(one.as_ref()?.micros - plain.as_ref()?.micros));
        let all: Vec<f64> = more.collect();
        let of = || all.iter().copied();
        Some((median(of())?, least(of())?, -least(of().map(|micros| -micros))?))
    }
}

/// Runs all cases; `say` is told of progress, line by line.
///
/// # Errors
/// [`BenchError`] when a proxy cannot be started or there is no such core. A round that fails is no error.
pub(crate) async fn run(options: &Options, say: impl Fn(&str)) -> Result<Overhead, BenchError> {
    let machine = Machine::here();
    pin(options.load_core)?;
    let mut tables = Vec::new();
    for (case, connections) in &options.cases {
        tables.push(table(options, *case, *connections, &say).await?);
    }
    Ok(Overhead { machine, seconds: options.window.as_secs_f64(), tables })
}

async fn table(options: &Options, case: Case, connections: usize, say: &impl Fn(&str)) -> Result<Table, BenchError> {
    let endpoint = Endpoint::start(case).await?;
    let place = Place { endpoint: endpoint.address(), connections, core: Some(options.proxy_core) };
    let (mut proxies, mut rows) = (Vec::new(), Vec::new());
    for (kind, program) in &options.proxies {
        let proxy = Proxy::start(*kind, program, &place).await?;
        rows.push(Row {
            kind: *kind,
            version: kind.version(program),
            configuration: proxy.configuration().to_owned(),
            samples: Vec::new(),
            faults: Vec::new(),
            resident: None,
        });
        proxies.push(proxy);
    }
    for round in 0..options.rounds {
        let mut words = vec![format!("{}, round {} of {}:", case.name(), round + 1, options.rounds)];
        for number in order(proxies.len(), round) {
            let (Some(proxy), Some(row)) = (proxies.get(number), rows.get_mut(number)) else { continue };
            match turn(proxy, case, connections, options).await {
                Ok(sample) => {
                    words.push(format!("{} {:.1} µs", row.kind.name(), sample.micros));
                    row.samples.push(Some(sample));
                }
                Err(fault) => {
                    words.push(format!("{} no result ({fault})", row.kind.name()));
                    row.samples.push(None);
                    row.faults.push(format!("round {}: {fault}", round + 1));
                }
            }
        }
        say(&words.join("  "));
    }
    for (proxy, row) in proxies.iter().zip(&mut rows) {
        row.resident = proxy.resident().ok();
    }
    Ok(Table { case, connections, rounds: options.rounds, rows })
}

/// One turn of one proxy, or what spoiled it.
async fn turn(proxy: &Proxy, case: Case, connections: usize, options: &Options) -> Result<Sample, String> {
    let load = Load::start(proxy.address(), case, connections).await.map_err(|fault| fault.to_string())?;
    sleep(WARM_UP).await;
    let before = Reading::take(proxy, &load, options.proxy_core).map_err(|error| chain(&error))?;
    sleep(options.window).await;
    let after = Reading::take(proxy, &load, options.proxy_core).map_err(|error| chain(&error))?;
    load.finish().await.map_err(|fault| fault.to_string())?;
    after.since(&before).ok_or_else(|| "no answer arrived".to_owned())
}

/// All counters at one moment.
struct Reading {
    at: std::time::Instant,
    answers: u64,
    reconnects: u64,
    proxy: cpu::Spent,
    load: Duration,
    core: Duration,
}

impl Reading {
    fn take(proxy: &Proxy, load: &Load, core: usize) -> Result<Self, BenchError> {
        Ok(Self {
            at: clock::now(),
            answers: load.answers(),
            reconnects: load.reconnects(),
            proxy: proxy.spent()?,
            load: cpu::own()?,
            core: cpu::busy(core)?,
        })
    }

    fn since(&self, earlier: &Self) -> Option<Sample> {
        Sample::new(&Counted {
            requests: self.answers - earlier.answers,
            reconnects: self.reconnects - earlier.reconnects,
            proxy: self.proxy.since(&earlier.proxy),
            load: self.load.saturating_sub(earlier.load),
            core: self.core.saturating_sub(earlier.core),
            window: self.at - earlier.at,
        })
    }
}
