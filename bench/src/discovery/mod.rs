//! How quickly endpoints come and go, and what an update of many costs.
//!
//! In: a real Consul agent in development mode, a real weir, endpoints in this process. Out: from a registration to the
//! first exchange that its endpoint served, from a deregistration to the last one; CPU time of one update of a large
//! service, and whether an exchange waited for it. Method and numbers: `docs/guide/discovery.md`.

mod agent;
pub(crate) mod client;
pub(crate) mod fleet;
mod report;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::LocalSet;
use tokio::time::sleep;
use weir_testkit::Consul;

use self::agent::{Agent, SERVICE};
use self::client::{Clients, Seen};
use self::fleet::Endpoint;
use self::report::{Change, Update, Waits};
pub(crate) use self::report::{Outcome, share};
use crate::error::BenchError;
use crate::measured::Measured;
use crate::rig::clock;
use crate::rig::cpu::Spent;
use crate::rig::machine::Machine;
use crate::rig::proxy::{Kind, Proxy};

/// Endpoints that are there all the time.
const STEADY: usize = 3;
/// Between two changes: longer than weir gathers changes for, as in a deploy.
const APART: Duration = Duration::from_millis(100);
/// For anything to happen that must.
const PATIENCE: Duration = Duration::from_secs(20);
const BEAT: Duration = Duration::from_millis(1);
/// An update is over when so long nothing was spent.
const QUIET: Duration = Duration::from_millis(150);
/// What a process that does nothing spends in that time at most.
const NOTHING: Duration = Duration::from_micros(500);
/// What it spends on an update, however small, at least.
const SOMETHING: Duration = Duration::from_micros(100);
/// Exchanges are watched for so long, with a change and without: Consul needs a part of it to tell of thousands.
const WINDOW: Duration = Duration::from_millis(400);

/// The policies whose update is measured: name, the lines of the service, most CPU milliseconds of an update.
const POLICIES: [(&str, &str, f64); 4] = [
    ("round-robin", "policy = \"round-robin\"", report::TABLE_TARGET),
    ("least-connections", "policy = \"least-connections\"", report::TABLE_TARGET),
    ("weighted", "policy = \"weighted\"", report::TABLE_TARGET),
    ("consistent-hash", "policy = \"consistent-hash\"\nhash = { key = \"path\" }", report::RING_TARGET),
];

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often an endpoint comes and goes
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    changes: u16,
    /// Endpoints of the large service
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    endpoints: u16,
    /// Updates of the large service, under each policy
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=1000))]
    updates: u16,
    /// The Consul to use [default: target/tools/consul, which scripts/get-consul makes]
    #[arg(long, value_name = "PATH")]
    consul: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) measured: Measured,
}

/// Runs all of it; `None` without a Consul.
///
/// # Errors
/// [`BenchError`] when a program cannot be started, or something that must happen does not.
pub(crate) async fn run(options: &Options, weir: &Path, note: impl Fn(&str)) -> Result<Option<Outcome>, BenchError> {
    let program = match &options.consul {
        Some(program) => program.clone(),
        None => match Consul::program() {
            Some(program) => program,
            None => return Ok(None),
        },
    };
    // Endpoints and clients share this thread, and so need no locks.
    LocalSet::new().run_until(measure(options, weir, &program, note)).await.map(Some)
}

async fn measure(options: &Options, weir: &Path, program: &Path, note: impl Fn(&str)) -> Result<Outcome, BenchError> {
    let machine = Machine::here();
    note(&format!("{} endpoints that come and go", options.changes));
    let changes = changes(options, weir, program).await?;
    let mut updates = Vec::new();
    for (policy, lines, target) in POLICIES {
        note(&format!("updates of {} endpoints under {policy}", options.endpoints));
        updates.push(update(options, weir, program, (policy, lines, target)).await?);
    }
    Ok(Outcome { machine, version: Kind::Weir.version(weir), changes, endpoints: options.endpoints, updates })
}

/// A weir in front of what `consul` lists.
async fn proxy(weir: &Path, consul: &Consul, lines: &str) -> Result<Proxy, BenchError> {
    let api = consul.api();
    let text = format!(
        "[server]\nshutdown_delay = \"0s\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\nservice = \"s\"\n[[service]]\nname = \"s\"\n{lines}\n\
         consul = {{ address = \"http://{api}\", service = \"{SERVICE}\" }}\n"
    );
    Proxy::launch(Kind::Weir, weir, 1, None, |_, _| text).await
}

/// Endpoints come and go, one after another.
async fn changes(options: &Options, weir: &Path, program: &Path) -> Result<Change, BenchError> {
    let consul = Consul::start(program, "{}");
    let agent = Agent(consul.api());
    let mut steady = Vec::new();
    for number in 0..STEADY {
        let endpoint = Endpoint::start("steady").await?;
        agent.register(&format!("steady-{number}"), endpoint.address()).await?;
        steady.push(endpoint);
    }
    let proxy = proxy(weir, &consul, "policy = \"round-robin\"").await?;
    // One: a second would find the endpoint no sooner, and take the core that weir may need.
    let clients = Clients::start(proxy.address(), 1);
    until(&clients, "the first answers", || clients.answered() > 10).await?;
    let mut change = Change::default();
    for number in 0..options.changes {
        let name = format!("new-{number}");
        let endpoint = Endpoint::start(&name).await?;
        sleep(APART).await;
        change.failures.extend(clients.take().failures);
        let start = clock::now();
        agent.register(&name, endpoint.address()).await?;
        change.registered.push(clock::now() - start);
        until(&clients, "a new endpoint serves", || clients.first(&name).is_some()).await?;
        change.first.extend(clients.first(&name).map(|first| first - start));
        sleep(APART).await;
        let start = clock::now();
        agent.deregister(&name).await?;
        // Once nothing came to it for longer than a round through all of them takes, nothing will.
        let silent = || endpoint.last().is_none_or(|last| clock::now() - last > APART);
        until(&clients, "an endpoint that left is left alone", silent).await?;
        change.last.push(endpoint.last().map_or(Duration::ZERO, |last| last.saturating_duration_since(start)));
    }
    change.failures.extend(clients.take().failures);
    Ok(change)
}

/// One endpoint comes and goes beside thousands.
async fn update(
    options: &Options,
    weir: &Path,
    program: &Path,
    (policy, lines, target): (&'static str, &str, f64),
) -> Result<Update, BenchError> {
    let consul = Consul::start(program, "{}");
    let agent = Agent(consul.api());
    let fleet = Endpoint::everywhere("fleet").await?;
    let addresses: Vec<SocketAddr> = (0..options.endpoints)
        .map(|number| {
            let [high, low] = number.to_be_bytes();
            SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 1, high, low)), fleet.address().port())
        })
        .collect();
    agent.fill(&addresses).await?;
    let proxy = proxy(weir, &consul, lines).await?;
    let newcomer = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 2, 0, 1)), fleet.address().port());
    let change = async |number: u16| {
        if number.is_multiple_of(2) {
            agent.register("newcomer", newcomer).await
        } else {
            agent.deregister("newcomer").await
        }
    };

    // CPU time, with nothing else to do.
    let mut spent = Vec::new();
    settled(&proxy, None).await?;
    for number in 0..options.updates {
        let before = proxy.spent()?;
        change(number).await?;
        spent.push(settled(&proxy, Some(&before)).await?);
    }

    // Exchanges: the same time with updates and without, in turns.
    let clients = Clients::start(proxy.address(), 2);
    until(&clients, "the first answers", || clients.answered() > 200).await?;
    let (mut without, mut with) = (Seen::default(), Seen::default());
    for number in 0..options.updates {
        clients.take();
        sleep(WINDOW).await;
        merge(&mut without, clients.take());
        change(number).await?;
        sleep(WINDOW).await;
        merge(&mut with, clients.take());
    }
    let failures = [without.failures, with.failures].concat();
    Ok(Update { policy, target, spent, without: Waits::of(without.spans), with: Waits::of(with.spans), failures })
}

fn merge(all: &mut Seen, more: Seen) {
    all.spans.extend(more.spans);
    all.failures.extend(more.failures);
}

/// Waits until the proxy spends no more, and gives what it has spent since `before`; with that, at least something.
async fn settled(proxy: &Proxy, before: Option<&Spent>) -> Result<Duration, BenchError> {
    let deadline = clock::now() + PATIENCE;
    loop {
        let now = proxy.spent()?;
        sleep(QUIET).await;
        let later = proxy.spent()?;
        let spent = before.map(|before| later.since(before));
        if later.since(&now) < NOTHING && spent.is_none_or(|spent| spent > SOMETHING) {
            return Ok(spent.unwrap_or_default());
        }
        in_time(deadline, "weir has taken in an update", "")?;
    }
}

async fn until(clients: &Clients, what: &'static str, condition: impl Fn() -> bool) -> Result<(), BenchError> {
    let deadline = clock::now() + PATIENCE;
    while !condition() {
        sleep(BEAT).await;
        if clock::now() > deadline {
            let failures = clients.take().failures;
            in_time(deadline, what, failures.last().map_or("", String::as_str))?;
        }
    }
    Ok(())
}

fn in_time(deadline: Instant, what: &str, seen: &str) -> Result<(), BenchError> {
    if clock::now() <= deadline {
        return Ok(());
    }
    let colon = if seen.is_empty() { "" } else { ": " };
    Err(io::Error::other(format!("not within {} s: {what}{colon}{seen}", PATIENCE.as_secs())).into())
}
