//! A seeded simulator of a site: what a choice of endpoint is worth, before anybody builds it.
//!
//! In: scenarios. Out: tables, as text and as CSV; the same seed gives the same bytes. The decisions are made by the
//! selectors and the queue of `weir-balance`, as in the proxy; what is simulated is time, clients and endpoints.
//! Left out: the network, the proxy's own cost, the caches of endpoints.

mod bound;
mod chance;
pub(crate) mod endpoint;
pub(crate) mod engine;
mod figures;
mod overload;
mod report;
mod rings;
pub(crate) mod scenario;
pub(crate) mod trace;
mod tune;

use std::path::PathBuf;

use scenario::Scenario;

/// What to simulate.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Which tables
    #[arg(long, value_enum, value_delimiter = ',', default_value = "base")]
    pub(crate) scenario: Vec<Scenario>,
    /// Simulated seconds of each run
    #[arg(long, default_value_t = 1800, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub(crate) seconds: u32,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Runs with consecutive seeds; the tables show medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) seeds: u16,
    /// Endpoints of the site
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) endpoints: u16,
    /// Cores of each endpoint
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) cores: u32,
    /// How jobs share an endpoint
    #[arg(long, value_enum, default_value = "sharing")]
    pub(crate) discipline: endpoint::Discipline,
    /// Offered loads in percent of what the endpoints can do
    #[arg(long, value_delimiter = ',', default_values_t = [70, 85, 95, 105], value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) loads: Vec<u16>,
    /// How long a unit of predicted work stands back under smallest-first
    #[arg(long, default_value_t = scenario::FACTOR)]
    pub(crate) factor: u16,
    /// Up to so many milliseconds of predicted work a job is small for the queue
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) small: u64,
    /// Milliseconds that a job is under way to its endpoint and back, while nobody works on it and its permit is out
    #[arg(long, value_name = "MS", default_value_t = 0.0, value_parser = millis)]
    pub(crate) turnaround: f64,
    /// Jobs from a file instead: the second of arrival and the seconds of work, one job a line; loads are not read then
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Write the tables as CSV to this file, too
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Write the tables to this file, too
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Write a plot of each scenario over the loads into this folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) svg: Option<PathBuf>,
}

fn millis(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number of milliseconds".to_owned())?;
    if (0.0..=1000.0).contains(&value) { Ok(value) } else { Err("between 0 and 1000".to_owned()) }
}

/// What came out.
pub(crate) struct Tables {
    /// For people, as Markdown.
    pub(crate) text: String,
    /// For programs.
    pub(crate) csv: String,
    /// Pictures, by the name of their file.
    pub(crate) pictures: Vec<(String, String)>,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// What is being simulated.
    pub(crate) what: &'static str,
    /// Runs that are done, of `all`.
    pub(crate) done: usize,
    pub(crate) all: usize,
}

/// Counts runs, and tells of each.
struct Steps<'a> {
    done: usize,
    all: usize,
    tell: &'a mut dyn FnMut(Step),
}

impl Steps<'_> {
    fn step(&mut self, what: &'static str) {
        self.done += 1;
        (self.tell)(Step { what, done: self.done, all: self.all });
    }
}

/// Runs everything that was asked for; `tell` hears of every run that is done.
///
/// # Errors
/// What is wrong with the trace file.
pub(crate) fn run(options: &Options, mut tell: impl FnMut(Step)) -> Result<Tables, String> {
    let mut tables = Tables { text: String::new(), csv: report::CSV_HEAD.to_owned(), pictures: Vec::new() };
    let runs = |scenario: &Scenario| match scenario {
        Scenario::Rings => 1,
        Scenario::Tune => tune::runs(options),
        Scenario::Overload => overload::runs(options),
        _ => scenario.runs(options),
    };
    let mut steps = Steps { done: 0, all: options.scenario.iter().map(runs).sum(), tell: &mut tell };
    for &scenario in &options.scenario {
        match scenario {
            Scenario::Rings => {
                tables.text.push_str(&rings::table());
                steps.step(scenario.name());
            }
            Scenario::Tune => tables.text.push_str(&tune::table(options, &mut steps)),
            Scenario::Overload => tables.text.push_str(&overload::table(options, &mut steps)),
            _ => {
                let found = scenario.tables(options, &mut steps)?;
                for table in &found {
                    table.write(&mut tables);
                }
                tables.pictures.push((format!("sim-{}.svg", scenario.name()), report::picture(&found)));
            }
        }
        tables.text.push('\n');
    }
    Ok(tables)
}
