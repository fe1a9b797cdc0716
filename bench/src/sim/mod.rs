//! A seeded simulator of a site: what a choice of endpoint is worth, before anybody builds it.
//!
//! In: scenarios. Out: tables, as text and as CSV; the same seed gives the same bytes. The decisions are made by the
//! selectors and the queue of `weir-balance`, as in the proxy; what is simulated is time, clients and endpoints.
//! Left out: the network, the proxy's own cost, the caches of endpoints.

mod chance;
mod endpoint;
mod engine;
mod figures;
mod report;
mod rings;
mod scenario;
mod trace;
mod tune;

use std::path::PathBuf;

pub(crate) use scenario::Scenario;

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
    /// Jobs from a file instead: the second of arrival and the seconds of work, one job a line; loads are not read then
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Write the tables as CSV to this file, too
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
}

/// What came out.
pub(crate) struct Tables {
    /// For people, as Markdown.
    pub(crate) text: String,
    /// For programs.
    pub(crate) csv: String,
}

/// Runs everything that was asked for. `note` is told what is being done.
///
/// # Errors
/// What is wrong with the trace file.
pub(crate) fn run(options: &Options, mut note: impl FnMut(&str)) -> Result<Tables, String> {
    let mut tables = Tables { text: String::new(), csv: report::CSV_HEAD.to_owned() };
    for &scenario in &options.scenario {
        note(&format!("simulating {}", scenario.name()));
        match scenario {
            Scenario::Rings => tables.text.push_str(&rings::table()),
            Scenario::Tune => tables.text.push_str(&tune::table(options)),
            _ => {
                for table in scenario.tables(options)? {
                    table.write(&mut tables);
                }
            }
        }
        tables.text.push('\n');
    }
    Ok(tables)
}
