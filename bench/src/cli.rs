//! The command line, and the only place that prints.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::case::Case;
use crate::error::{BenchError, chain};
use crate::kernel;
use crate::overhead::Overhead;
use crate::rig::machine;
use crate::rig::proxy::{Kind, UNOPTIMISED, own_weir};
use crate::{discovery, hostile, idle, overhead, page, peers, reload, sim, status};

/// Connections in the large case: enough to keep the proxy busy, few enough for their bodies to stay in the caches that
/// a proxy has in real life.
const LARGE_CONNECTIONS: usize = 8;

/// What weir costs, next to nginx and HAProxy on this machine.
#[derive(Debug, Parser)]
#[command(name = "weir-bench", version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// CPU time per request: proxies in turns on one core, load and endpoint on another
    Overhead {
        #[command(flatten)]
        chosen: Chosen,
        /// Turns of each proxy
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=1000))]
        rounds: u16,
        /// Seconds per turn
        #[arg(long, default_value_t = 2.0, value_parser = seconds)]
        seconds: f64,
        /// Connections in the small case
        #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
        connections: u16,
        /// Which work
        #[arg(long, value_enum, default_value_t = Work::All)]
        case: Work,
        /// The core that the proxies run on
        #[arg(long, value_name = "CORE", default_value_t = 0)]
        proxy_core: usize,
        /// The core that the load and the endpoint run on
        #[arg(long, value_name = "CORE", default_value_t = 1)]
        load_core: usize,
        /// Print the configuration of each proxy too
        #[arg(long)]
        show_configs: bool,
    },
    /// Memory per idle keep-alive connection
    Idle {
        #[command(flatten)]
        chosen: Chosen,
        /// How many connections
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..=25_000))]
        connections: u16,
    },
    /// CPU time and memory of the optimizer's kernel, next to libvips and ImageMagick on the same files
    Kernel(KernelArgs),
    /// Whether an optimizer lives through hostile files, and every good picture is right meanwhile
    Hostile(HostileArgs),
    /// Latency under load: which choice of endpoints keeps photos waiting the least
    Peers(peers::Arguments),
    /// How quickly endpoints come and go in a real Consul, and what an update of thousands costs
    Discovery(discovery::Options),
    /// How long the status of thousands of endpoints takes
    Status(status::Options),
    /// What the live page of thousands of endpoints costs a browser
    Page(page::Options),
    /// What reloads of the configuration cost the exchanges beside them
    Reload(reload::Options),
    /// Choices of endpoints compared in a simulator: the same seed gives the same bytes
    Sim(sim::Options),
    /// One contender of `kernel`, driven over standard input and output
    #[command(hide = true)]
    KernelChild {
        /// Which one
        role: kernel::Role,
    },
}

#[derive(Debug, Args)]
struct KernelArgs {
    /// Turns of each contender; 0 lists only which path each file takes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=1000))]
    rounds: u16,
    /// Take the pictures in this folder instead of the made ones
    #[arg(long, value_name = "DIR")]
    photos: Option<PathBuf>,
    /// Only files with this in their name; may be given often, or as a list with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Where the made files are kept [default: `corpus-1` beside this program]
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Write the results, every round of them, as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct HostileArgs {
    /// How long
    #[arg(long, default_value_t = 60.0, value_parser = seconds)]
    seconds: f64,
    /// Good photos besides our own: the JPEG, PNG and WebP files in this folder
    #[arg(long, value_name = "DIR")]
    photos: Option<PathBuf>,
    /// The optimizer [default: `weir-optimizer` beside this program, else target/dist/weir-optimizer]
    #[arg(long, value_name = "PATH")]
    optimizer: Option<PathBuf>,
    /// Write the result as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Chosen {
    /// The weir to measure [default: `weir` beside this program, else target/dist/weir]
    #[arg(long, value_name = "PATH")]
    weir: Option<PathBuf>,
    /// Which proxies to run; a peer that is not installed is left out
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["weir", "nginx", "haproxy"])]
    proxies: Vec<Kind>,
    /// Write the results, every round of them, as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Work {
    Small,
    Large,
    All,
}

impl Cli {
    /// Carries out the command.
    pub(crate) fn run(self) -> ExitCode {
        if let Command::KernelChild { role } = self.command {
            // Without a runtime, whose memory would be taken for the contender's.
            return match role.answer() {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    note(&format!("error: {}", chain(&error)));
                    ExitCode::FAILURE
                }
            };
        }
        // One thread: the load and the endpoint must not spread over the core of the proxy.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let result = runtime.map_err(BenchError::Io).and_then(|runtime| {
            runtime.block_on(async {
                // Whichever ends first; dropping the other ends its children.
                tokio::select! {
                    done = self.command.run() => done,
                    interrupted = interrupt() => Err(interrupted),
                }
            })
        });
        match result {
            Ok(code) => code,
            Err(error) => {
                note(&format!("error: {}", chain(&error)));
                ExitCode::FAILURE
            }
        }
    }
}

impl Command {
    async fn run(self) -> Result<ExitCode, BenchError> {
        let others = if matches!(self, Self::Sim(_)) { Vec::new() } else { machine::left_over() };
        if !others.is_empty() {
            note(&format!(
                "warning: already running, and not touched: {}; they may disturb the numbers",
                others.join(", ")
            ));
        }
        match self {
            Self::Overhead { chosen, rounds, seconds, connections, case, proxy_core, load_core, show_configs } => {
                if proxy_core == load_core {
                    note("warning: the proxies share their core with the load; the caches of both suffer");
                }
                let cases = match case {
                    Work::Small => vec![(Case::Small, usize::from(connections))],
                    Work::Large => vec![(Case::Large, LARGE_CONNECTIONS)],
                    Work::All => vec![(Case::Small, usize::from(connections)), (Case::Large, LARGE_CONNECTIONS)],
                };
                let options = overhead::Options {
                    proxies: chosen.found()?,
                    cases,
                    rounds: usize::from(rounds),
                    window: Duration::from_secs_f64(seconds),
                    proxy_core,
                    load_core,
                };
                let result = overhead::run(&options, note).await?;
                if show_configs {
                    configurations(&result);
                }
                say(result.to_string().trim_end());
                chosen.write(&result)?;
                let empty = |row: &overhead::Row| row.samples.iter().all(Option::is_none);
                let lacking = result.tables.iter().flat_map(|table| &table.rows).any(empty);
                Ok(if lacking { ExitCode::FAILURE } else { ExitCode::SUCCESS })
            }
            Self::Discovery(options) => discover(&options).await,
            Self::Status(options) => ask_status(&options).await,
            Self::Page(options) => look_at_page(&options).await,
            Self::Reload(options) => reloads(&options).await,
            Self::Peers(arguments) => peers::run(&arguments, say, note).await,
            Self::Idle { chosen, connections } => {
                let result = idle::run(usize::from(connections), &chosen.found()?).await?;
                say(result.to_string().trim_end());
                chosen.write(&result)?;
                // HAProxy needs two open files for a connection and may have none to spare; that is its own affair.
                let lacking = result.rows.iter().any(|row| row.kind == Kind::Weir && row.memory.is_err());
                Ok(if lacking { ExitCode::FAILURE } else { ExitCode::SUCCESS })
            }
            Self::Kernel(arguments) => arguments.run().await,
            Self::Hostile(arguments) => arguments.run().await,
            // Answered before there was a runtime.
            Self::KernelChild { .. } => Ok(ExitCode::SUCCESS),
            Self::Sim(options) => {
                // On a thread that nobody waits for, so that an interrupt ends it with the process.
                let (csv, markdown, svg) = (options.csv.clone(), options.markdown.clone(), options.svg.clone());
                let (send, tables) = tokio::sync::oneshot::channel();
                let mut progress = Progress::new();
                std::thread::spawn(move || send.send(sim::run(&options, |step| progress.show(step))).is_ok());
                let tables = tables.await.map_err(io::Error::other)?.map_err(BenchError::Trace)?;
                say(tables.text.trim_end());
                let pictures = svg
                    .iter()
                    .flat_map(|folder| tables.pictures.iter().map(|(name, picture)| (folder.join(name), picture)));
                let texts = csv.into_iter().map(|path| (path, &tables.csv));
                let texts = texts.chain(markdown.into_iter().map(|path| (path, &tables.text)));
                for (path, text) in texts.chain(pictures) {
                    std::fs::write(&path, text).map_err(|source| BenchError::Write { path, source })?;
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl KernelArgs {
    async fn run(self) -> Result<ExitCode, BenchError> {
        if cfg!(debug_assertions) {
            note("warning: this kernel was built without optimisation; build with --profile dist");
        }
        let beside = || std::env::current_exe().map(|program| program.with_file_name(kernel::FOLDER));
        let corpus = self.corpus.map_or_else(beside, Ok)?;
        let options =
            kernel::Options { rounds: usize::from(self.rounds), photos: self.photos, only: self.only, corpus };
        let result = kernel::run(&options, note).await?;
        say(result.to_string().trim_end());
        write_json(self.json.as_deref(), &result)?;
        let lacking = result.lacks();
        Ok(if lacking { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

impl HostileArgs {
    async fn run(self) -> Result<ExitCode, BenchError> {
        let program = self.optimizer.unwrap_or_else(|| beside("weir-optimizer"));
        if !program.is_file() {
            return Err(BenchError::NoOptimizer { path: program });
        }
        let time = Duration::from_secs_f64(self.seconds);
        let result = hostile::run(&hostile::Options { program, photos: self.photos, time }, note).await?;
        say(result.to_string().trim_end());
        write_json(self.json.as_deref(), &result)?;
        Ok(if result.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The weir to measure.
fn weir(chosen: Option<&PathBuf>) -> Result<PathBuf, BenchError> {
    let weir = chosen.cloned().unwrap_or_else(own_weir);
    if !weir.is_file() {
        return Err(BenchError::NoWeir { path: weir });
    }
    if Kind::Weir.unoptimised(&weir) {
        note(UNOPTIMISED);
    }
    Ok(weir)
}

async fn ask_status(options: &status::Options) -> Result<ExitCode, BenchError> {
    let outcome = status::run(options, &weir(options.weir.as_ref())?).await?;
    say(outcome.to_string().trim_end());
    write_json(options.json.as_deref(), &outcome)?;
    Ok(if outcome.kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn look_at_page(options: &page::Options) -> Result<ExitCode, BenchError> {
    let outcome = page::run(options, &weir(options.weir.as_ref())?).await?;
    say(outcome.to_string().trim_end());
    write_json(options.json.as_deref(), &outcome)?;
    Ok(if outcome.kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn discover(options: &discovery::Options) -> Result<ExitCode, BenchError> {
    let weir = weir(options.weir.as_ref())?;
    // Without a Consul there is nothing to measure, which was said, and is no failure.
    let Some(outcome) = discovery::run(options, &weir, note).await? else { return Ok(ExitCode::SUCCESS) };
    say(outcome.to_string().trim_end());
    write_json(options.json.as_deref(), &outcome)?;
    Ok(if outcome.kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn reloads(options: &reload::Options) -> Result<ExitCode, BenchError> {
    let weir = weir(options.weir.as_ref())?;
    let outcome = reload::run(options, &weir, note).await?;
    say(outcome.to_string().trim_end());
    write_json(options.json.as_deref(), &outcome)?;
    Ok(if outcome.kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The program called `name` beside this one, or where it is when built for benchmarks.
fn beside(name: &str) -> PathBuf {
    let built =
        || std::env::current_exe().ok().map(|program| program.with_file_name(name)).filter(|path| path.is_file());
    built().unwrap_or_else(|| PathBuf::from("target/dist").join(name))
}

impl Chosen {
    /// The programs of the chosen proxies, each once.
    fn found(&self) -> Result<Vec<(Kind, PathBuf)>, BenchError> {
        let weir = self.weir.clone().unwrap_or_else(own_weir);
        let mut found: Vec<(Kind, PathBuf)> = Vec::new();
        for kind in &self.proxies {
            match kind.find(&weir) {
                Some(_) if found.iter().any(|(other, _)| other == kind) => {}
                Some(program) => found.push((*kind, program)),
                None if kind.is_weir() => return Err(BenchError::NoWeir { path: weir }),
                None => note(&format!(
                    "warning: {} is not installed ({}), so there is no comparison with it",
                    kind.name(),
                    kind.install()
                )),
            }
        }
        if found.iter().any(|(kind, path)| kind.unoptimised(path)) {
            note(UNOPTIMISED);
        }
        if found.is_empty() { Err(BenchError::NoProxy) } else { Ok(found) }
    }

    fn write(&self, result: &impl Serialize) -> Result<(), BenchError> {
        write_json(self.json.as_deref(), result)
    }
}

fn write_json(path: Option<&Path>, result: &impl Serialize) -> Result<(), BenchError> {
    let Some(path) = path else { return Ok(()) };
    let failed = |source| BenchError::Write { path: path.to_owned(), source };
    let text = serde_json::to_vec_pretty(result).map_err(|error| failed(error.into()))?;
    std::fs::write(path, text).map_err(failed)
}

fn configurations(result: &Overhead) {
    for table in &result.tables {
        for row in &table.rows {
            say(&format!("# {} in case {}\n{}", row.kind.name(), table.case.name(), row.configuration));
        }
    }
}

/// How far a simulation has come: a bar that moves on a terminal, else a line when something else begins.
struct Progress {
    moves: bool,
    what: &'static str,
}

impl Progress {
    /// Characters of a whole bar.
    const WIDTH: usize = 40;

    fn new() -> Self {
        Self { moves: io::stderr().is_terminal(), what: "" }
    }

    fn show(&mut self, sim::Step { what, done, all }: sim::Step) {
        if self.moves {
            let bar = "#".repeat(Self::WIDTH * done / all.max(1));
            let end = if done == all { "\n" } else { "" };
            beside_text(&format!("\r[{bar:<0$}] {done}/{all} {what:<10}{end}", Self::WIDTH));
        } else if self.what != what {
            note(&format!("simulating {what}"));
        }
        self.what = what;
    }
}

/// Waits until somebody wants this to end.
async fn interrupt() -> BenchError {
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (mut terminate, mut interrupt) = match (terminate, interrupt) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => return BenchError::Io(error),
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    BenchError::Interrupted
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.1..=600.0).contains(&value) { Ok(value) } else { Err("between 0.1 and 600".to_owned()) }
}

#[expect(clippy::print_stdout, reason = "the command line is where people are told")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the command line is where people are told")]
fn beside_text(text: &str) {
    eprint!("{text}");
}

#[expect(clippy::print_stderr, reason = "the command line is where people are told")]
fn note(text: &str) {
    eprintln!("{text}");
}
