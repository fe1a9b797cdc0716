//! What `weir-bench peers` can be told.

use std::path::PathBuf;

use clap::{Args, builder::PossibleValuesParser};

use super::contender;
use super::cores::Discipline;
use super::fleet::Scenario;
use super::trace::Bytes;

/// Endpoints and cores of each, emulated and real: real work needs real cores, and few machines have eight to spare.
const EMULATED: (u16, u16) = (4, 2);
const REAL: (u16, u16) = (2, 1);
/// Loads in percent, emulated and real: with real work the proxy and the load take from the same cores.
const EMULATED_LOADS: [f64; 5] = [50.0, 70.0, 85.0, 95.0, 105.0];
const REAL_LOADS: [f64; 2] = [50.0, 75.0];

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Seconds of arrivals per run
    #[arg(long, default_value_t = 30.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// How many seeds: each gives every contender the same requests
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) seeds: u16,
    /// The first seed; the others follow it
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub(crate) first_seed: u32,
    /// Offered work in percent of what all endpoints can do [default: 50,70,85,95,105; 50,75 with --real]
    #[arg(long, value_delimiter = ',', value_name = "PERCENT", value_parser = percent)]
    loads: Vec<f64>,
    /// Only these contenders; one that is not installed is left out
    #[arg(long, value_delimiter = ',', value_name = "NAME", value_parser = PossibleValuesParser::new(contender::all().map(|contender| contender.name)))]
    pub(crate) only: Vec<String>,
    /// What the endpoints go through
    #[arg(long, value_enum, default_value_t = Scenario::Steady)]
    pub(crate) scenario: Scenario,
    /// Whether bytes tell how much work a photo is
    #[arg(long, value_enum, default_value_t = Bytes::Telling)]
    pub(crate) bytes: Bytes,
    /// How the requests of an endpoint share its cores
    #[arg(long, value_enum, default_value_t = Discipline::Sharing)]
    pub(crate) discipline: Discipline,
    /// How many endpoints [default: 4; 2 with --real]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    endpoints: Option<u16>,
    /// Cores of each endpoint [default: 2; 1 with --real]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    cores: Option<u16>,
    /// Threads of each proxy
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,
    /// Real optimizers that draw on real photos, instead of emulated ones
    #[arg(long, conflicts_with_all = ["scenario", "bytes", "discipline"])]
    pub(crate) real: bool,
    /// The same photos and the times they take, but on emulated endpoints that work in order: what --real is to be held against
    #[arg(long, requires = "real")]
    pub(crate) emulate: bool,
    /// Start optimizers by these words, such as `chrt --other 0`, to have them stand back behind the proxy and the load
    #[arg(long, value_name = "WORDS", requires = "real", allow_hyphen_values = true)]
    pub(crate) under: Option<String>,
    /// The optimizer for --real [default: `weir-optimizer` beside this program, else target/dist/weir-optimizer]
    #[arg(long, value_name = "PATH", requires = "real")]
    pub(crate) optimizer: Option<PathBuf>,
    /// A folder of photos for --real [default: three that are made at the beginning]
    #[arg(long, value_name = "FOLDER", requires = "real")]
    pub(crate) photos: Option<PathBuf>,
    /// The weir to compare [default: `weir` beside this program, else target/dist/weir]
    #[arg(long, value_name = "PATH")]
    pub(crate) weir: Option<PathBuf>,
    /// Write one line per run to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Write the report, with every configuration word for word, to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Write a plot of latency over load to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Run nothing: plot the runs in these files of --csv into the file of --svg
    #[arg(long, value_delimiter = ',', value_name = "FILE", requires = "svg")]
    pub(crate) redraw: Vec<PathBuf>,
    /// Write the trace of every load and seed into this folder, as `sim` reads them
    #[arg(long, value_name = "FOLDER")]
    pub(crate) traces: Option<PathBuf>,
    /// Print the configurations too
    #[arg(long)]
    pub(crate) show_configs: bool,
}

impl Arguments {
    /// Loads as shares of the capacity, in the order given.
    pub(crate) fn loads(&self) -> Vec<f64> {
        let default: &[f64] = if self.real { &REAL_LOADS } else { &EMULATED_LOADS };
        let loads = if self.loads.is_empty() { default } else { &self.loads };
        loads.iter().map(|percent| percent / 100.0).collect()
    }

    /// How many endpoints, with how many cores each.
    pub(crate) fn fleet(&self) -> (usize, u32) {
        let (endpoints, cores) = if self.real { REAL } else { EMULATED };
        (usize::from(self.endpoints.unwrap_or(endpoints)), u32::from(self.cores.unwrap_or(cores)))
    }

    /// Whether `name` takes part.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.5..=3600.0).contains(&value) { Ok(value) } else { Err("between 0.5 and 3600".to_owned()) }
}

fn percent(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (1.0..=1000.0).contains(&value) { Ok(value) } else { Err("between 1 and 1000".to_owned()) }
}
