//! `weir-bench peers`: which choice of endpoints keeps photos waiting the least, weir's or a peer's.
//!
//! In: arguments. Out: percentiles per contender and load, ratios, verdicts; as text, CSV, Markdown and a plot. Every contender gets the
//! same requests at the same moments, one after the other, each with a fleet of its own; the order is another for every
//! seed. Numbers are medians over the seeds. A run with an error in it has no result.

mod client;
mod contender;
mod contenders;
mod cores;
mod csv;
mod dice;
mod endpoint;
mod fleet;
mod load;
mod options;
mod picture;
mod plot;
mod promise;
mod real;
mod redraw;
mod report;
mod result;
mod simulated;
mod summary;
mod trace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use tokio::time::sleep;

use self::client::Client;
use self::contender::{Contender, Lines, Setting};
use self::cores::Discipline;
use self::endpoint::{Plan, WORK};
use self::fleet::{Fleet, Scenario};
use self::load::Target;
use self::promise::Conditions;
use self::result::{Cell, Entry, Outcome, Run, Table};
use self::summary::Summary;
use self::trace::{Class, Trace, Wanted};
use crate::error::{BenchError, chain};
use crate::rig::machine::Machine;
use crate::rig::proxy::{Kind, Proxy, UNOPTIMISED, beside, own_weir};
use crate::rig::{clock, cpu};
use crate::rounds::order;

pub(crate) use self::options::Arguments;

/// From the moment at which a proxy is ready to the first arrival.
const LEAD: Duration = Duration::from_millis(100);
/// Answers in a row that make a proxy ready: more than any fleet has endpoints that may be unknown to it yet.
const READY: usize = 16;
/// How often it is asked, and the pause after one that was not good.
const ATTEMPTS: usize = 500;
const BEAT: Duration = Duration::from_millis(20);

/// Carries out `arguments`; `say` prints the report, `note` is told of progress.
///
/// # Errors
/// [`BenchError`] when there is nothing to measure, or a file cannot be written. A contender that fails is no error of ours; then
/// the exit code is a failure.
pub(crate) async fn run(
    arguments: &Arguments,
    say: impl Fn(&str),
    note: impl Fn(&str),
) -> Result<ExitCode, BenchError> {
    if !arguments.redraw.is_empty() {
        return redrawn(arguments);
    }
    let contenders = contenders(arguments, &note)?;
    // Each request in flight takes a file on the client's side and one on the endpoint's; the proxies inherit the limit.
    rlimit::increase_nofile_limit(u64::MAX)?;
    let work = Work::prepare(arguments).await?;
    let entry = |(contender, program): &(&'static Contender, PathBuf)| Entry {
        contender,
        version: contender.kind.version(program),
        configuration: String::new(),
    };
    let mut outcome = Outcome {
        machine: Machine::here(),
        seconds: arguments.seconds,
        seeds: (0..arguments.seeds).map(|number| u64::from(arguments.first_seed) + u64::from(number)).collect(),
        plans: work.plans.clone(),
        threads: arguments.threads,
        photos: work.described(),
        entries: contenders.iter().map(entry).collect(),
        tables: Vec::new(),
    };
    for load in arguments.loads() {
        let conditions = Conditions {
            scenario: arguments.scenario,
            bytes: arguments.bytes,
            discipline: if arguments.emulate { Discipline::Fifo } else { arguments.discipline },
            real: arguments.real,
            load,
        };
        if let Some(folder) = &arguments.traces {
            for seed in &outcome.seeds {
                let path = folder.join(format!("load-{:.0}-seed-{seed}.trace", load * 100.0));
                write(Some(&path), || work.trace(arguments, load, *seed).text())?;
            }
        }
        let table = table(arguments, &conditions, &work, &contenders, &mut outcome, &note).await;
        outcome.tables.push(table);
    }
    say(report::text(&outcome).trim_end());
    if arguments.show_configs {
        say(&format!("\n{}", report::configurations(&outcome).trim_end()));
    }
    write(arguments.csv.as_deref(), || csv::text(&outcome))?;
    write(arguments.markdown.as_deref(), || report::markdown(&outcome))?;
    write(arguments.svg.as_deref(), || plot::svg(&outcome))?;
    Ok(if outcome.complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The picture of earlier runs.
fn redrawn(arguments: &Arguments) -> Result<ExitCode, BenchError> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|source| BenchError::Runs { path: path.clone(), why: source.to_string() })
    };
    let files = arguments.redraw.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let shown = arguments.redraw.first().cloned().unwrap_or_default();
    let panels = redraw::panels(&files).map_err(|why| BenchError::Runs { path: shown, why })?;
    write(arguments.svg.as_deref(), || crate::plot::svg(&panels))?;
    Ok(ExitCode::SUCCESS)
}

/// Those that are wanted and installed, with their programs.
fn contenders(arguments: &Arguments, note: &impl Fn(&str)) -> Result<Vec<(&'static Contender, PathBuf)>, BenchError> {
    let weir = arguments.weir.clone().unwrap_or_else(own_weir);
    let mut missing: Vec<Kind> = Vec::new();
    let mut found = Vec::new();
    for contender in contender::all().filter(|contender| arguments.wants(contender.name)) {
        match contender.kind.find(&weir) {
            Some(program) => found.push((contender, program)),
            None if contender.kind == Kind::Weir => return Err(BenchError::NoWeir { path: weir }),
            None if missing.contains(&contender.kind) => {}
            None => missing.push(contender.kind),
        }
    }
    for kind in missing {
        let (name, install) = (kind.name(), kind.install());
        note(&format!("warning: {name} is not installed ({install}), so there is no comparison with it"));
    }
    if found.iter().any(|(contender, program)| contender.kind.unoptimised(program)) {
        note(UNOPTIMISED);
    }
    if found.is_empty() { Err(BenchError::NoProxy) } else { Ok(found) }
}

/// What is worked on, and by whom.
struct Work {
    plans: Vec<Plan>,
    /// The optimizer, where work is real.
    program: Option<PathBuf>,
    /// What each photo takes; empty where work is emulated.
    lessons: Vec<(Class, Duration)>,
    lines: Lines,
    target: Arc<Target>,
}

impl Work {
    async fn prepare(arguments: &Arguments) -> Result<Self, BenchError> {
        let (count, cores) = arguments.fleet();
        let plans = arguments.scenario.plans(count, cores);
        if !arguments.real {
            let target = Target { path: "/optimize", photos: Vec::new() };
            let lines = Lines::emulated();
            return Ok(Self { plans, program: None, lessons: Vec::new(), lines, target: Arc::new(target) });
        }
        let default = || beside("weir-optimizer").unwrap_or_else(|| PathBuf::from("target/dist/weir-optimizer"));
        let program = arguments.optimizer.clone().unwrap_or_else(default);
        let photos = real::photos(arguments.photos.as_deref())?;
        let teachers = optimizers(&program, arguments.under.as_deref(), &plans).await?;
        let addresses: Vec<_> = teachers.iter().map(real::Optimizer::address).collect();
        let lessons = real::lessons(&addresses, &photos).await?;
        let lines = real::lines(&lessons, &photos);
        let target = Target { path: real::PATH, photos };
        let program = Some(program).filter(|_| !arguments.emulate);
        Ok(Self { plans, program, lessons, lines, target: Arc::new(target) })
    }

    fn described(&self) -> Vec<(&'static str, f64)> {
        let name = |class: &Class| match class {
            Class::Small => "small",
            Class::Medium => "medium",
            Class::Large => "large",
        };
        self.lessons.iter().map(|(class, work)| (name(class), work.as_secs_f64() * 1e3)).collect()
    }

    fn trace(&self, arguments: &Arguments, load: f64, seed: u64) -> Trace {
        let capacity = self.plans.iter().map(Plan::capacity).sum();
        let wanted = Wanted { seed, load, span: Duration::from_secs_f64(arguments.seconds), capacity };
        if self.lessons.is_empty() {
            Trace::emulated(&wanted, arguments.bytes)
        } else {
            Trace::of_photos(&wanted, &self.lessons)
        }
    }

    async fn fleet(&self, arguments: &Arguments) -> Result<Fleet, BenchError> {
        let discipline = if arguments.emulate { Discipline::Fifo } else { arguments.discipline };
        let Some(program) = &self.program else { return Ok(Fleet::emulated(&self.plans, discipline).await?) };
        Ok(Fleet::Real(optimizers(program, arguments.under.as_deref(), &self.plans).await?))
    }
}

/// An optimizer for each plan.
async fn optimizers(program: &Path, under: Option<&str>, plans: &[Plan]) -> Result<Vec<real::Optimizer>, BenchError> {
    let mut all = Vec::new();
    for (number, plan) in plans.iter().enumerate() {
        all.push(real::Optimizer::start(program, under, number, plan.cores).await?);
    }
    Ok(all)
}

/// All contenders at one load, seed by seed.
async fn table(
    arguments: &Arguments,
    conditions: &Conditions,
    work: &Work,
    contenders: &[(&'static Contender, PathBuf)],
    outcome: &mut Outcome,
    note: &impl Fn(&str),
) -> Table {
    let mut cells: Vec<Cell> =
        contenders.iter().map(|(contender, _)| Cell { contender, runs: Vec::new(), simulated: Vec::new() }).collect();
    for (round, seed) in outcome.seeds.iter().enumerate() {
        let trace = Arc::new(work.trace(arguments, conditions.load, *seed));
        for place in order(contenders.len(), round) {
            let (Some((contender, program)), Some(cell)) = (contenders.get(place), cells.get_mut(place)) else {
                continue;
            };
            let mut configuration = String::new();
            let run = one(arguments, conditions, work, contender, program, &trace, &mut configuration).await;
            if let Some(entry) = outcome.entries.get_mut(place).filter(|_| !configuration.is_empty()) {
                entry.configuration = configuration;
            }
            let said = match &run {
                Ok(Run { summary, .. }) => format!(
                    "p50 {:.1}, p99 {:.1}, small p99 {:.1}, mean {:.1} ms",
                    summary.p50, summary.p99, summary.small_p99, summary.mean
                ),
                Err(words) => format!("no result: {}", words.trim_end()),
            };
            note(&format!("{:.0} %, seed {seed}: {}: {said}", conditions.load * 100.0, contender.name));
            cell.runs.push(run);
            cell.simulated.push(simulated::run(contender, conditions, &trace, &work.plans));
        }
    }
    Table { conditions: *conditions, cells }
}

/// One run, or why it has no result. Leaves the configuration in `text`.
async fn one(
    arguments: &Arguments,
    conditions: &Conditions,
    work: &Work,
    contender: &'static Contender,
    program: &Path,
    trace: &Arc<Trace>,
    text: &mut String,
) -> Result<Run, String> {
    let said = |error: &BenchError| chain(error);
    let mut fleet = work.fleet(arguments).await.map_err(|error| said(&error))?;
    let endpoints = fleet.addresses().into_iter().zip(work.plans.iter().copied()).collect();
    let setting = Setting { endpoints, threads: arguments.threads, lines: work.lines };
    let write = |listen, folder: &str| {
        text.push_str(&contender.configuration(&setting, listen, folder));
        text.clone()
    };
    let proxy = Proxy::launch(contender.kind, program, arguments.threads, None, write).await;
    let proxy = proxy.map_err(|error| said(&error))?;
    warm(&proxy).await?;
    let (ours, its, stolen) = (cpu::Spent::of(std::process::id()), proxy.spent(), cpu::stolen());
    let served = fleet.served();
    let start = clock::now() + LEAD;
    let (records, played) = tokio::join!(
        load::run(proxy.address(), trace.clone(), work.target.clone(), start),
        fleet.play(conditions.scenario, start, trace.span),
    );
    let (records, elapsed) = (records?, clock::now().saturating_duration_since(start));
    played.map_err(|error| format!("the killed endpoint cannot be restarted: {error}"))?;
    let (ours_after, its_after) = (cpu::Spent::of(std::process::id()), proxy.spent());
    let summary = Summary::new(trace, &records, &work.plans)?;
    if let Some(error) = summary.error.as_ref().filter(|_| conditions.errors_spoil()) {
        return Err(format!("{} of {} requests failed: {error}", summary.errors, records.len()));
    }
    if summary.refused > 0 && !conditions.overloaded() && conditions.errors_spoil() {
        return Err(format!("{} of {} requests were refused", summary.refused, records.len()));
    }
    let spent =
        |before: Result<cpu::Spent, _>, after: Result<cpu::Spent, BenchError>| Some(after.ok()?.since(&before.ok()?));
    // The proxy is a child of ours, so its time is in ours.
    let (all, proxy_time) = (spent(ours, ours_after), spent(its, its_after));
    let answered =
        records.iter().filter(|record| matches!(&record.outcome, Ok(answer) if answer.status == 200)).count();
    let extra = fleet.served().zip(served).map(|(after, before)| (after - before).saturating_sub(answered as u64));
    let stolen = cpu::stolen().zip(stolen).map(|(after, before)| after.saturating_sub(before));
    Ok(Run {
        summary,
        stolen: stolen.map(|time| time.as_secs_f64() / elapsed.as_secs_f64()),
        proxy_micros: proxy_time.map(|time| time.as_secs_f64() * 1e6 / trace::to_f64(records.len().max(1))),
        rig_cores: all.zip(proxy_time).map(|(all, its)| all.saturating_sub(its).as_secs_f64() / elapsed.as_secs_f64()),
        extra,
    })
}

/// Waits until the proxy reaches its endpoints: the first checks are made, the first connections open.
async fn warm(proxy: &Proxy) -> Result<(), String> {
    let client = Client::new(proxy.address());
    let (mut good, mut last) = (0, "no answer".to_owned());
    for _ in 0..ATTEMPTS {
        let request = Request::get("/healthz").header("host", "bench.example").header(WORK, "0");
        let request = request.body(Full::new(Bytes::new())).map_err(|error| error.to_string())?;
        match client.ask(request).await {
            Ok(answer) if answer.status == 200 => good += 1,
            other => {
                good = 0;
                last = match other {
                    Ok(answer) => format!("status {}", answer.status),
                    Err(failure) => chain(&failure),
                };
                sleep(BEAT).await;
            }
        }
        if good == READY {
            return Ok(());
        }
    }
    Err(format!("it did not get ready: {last}"))
}

fn write(path: Option<&Path>, text: impl FnOnce() -> String) -> Result<(), BenchError> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, text()).map_err(|source| BenchError::Write { path: path.to_owned(), source })
}

/// The name of a scenario and the load, as every form of report says it.
fn title(conditions: &Conditions) -> String {
    let Conditions { scenario, load, .. } = conditions;
    match scenario {
        Scenario::Steady => format!("{:.0} %", load * 100.0),
        scenario => format!("{:.0} %, {}", load * 100.0, scenario.name()),
    }
}
