//! What reloads cost the exchanges beside them.
//!
//! In: a real weir whose configuration file is replaced again and again, clients and endpoints in this process. Out: failed
//! exchanges, latency with and without reloads in turns, memory; for a configuration of thousands of services how long weir
//! takes for one, and the longest exchange meanwhile. Method and numbers: `docs/guide/reload.md`.

mod report;

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use tokio::task::LocalSet;
use tokio::time::{sleep, sleep_until};

pub(crate) use self::report::Outcome;
use self::report::{Large, Pair, Waits};
use crate::discovery::client::{Clients, Seen};
use crate::discovery::fleet::Endpoint;
use crate::error::BenchError;
use crate::measured::Measured;
use crate::rig::clock;
use crate::rig::machine::Machine;
use crate::rig::proxy::{Kind, Proxy};

/// Endpoints, of which a few are absent at any time.
const FLEET: u8 = 8;
/// For anything to happen that must.
const PATIENCE: Duration = Duration::from_secs(20);
const BEAT: Duration = Duration::from_millis(5);
/// How long exchanges are watched around one large reload, and without one.
const WINDOW: Duration = Duration::from_secs(1);
/// What weir says when a reload is over.
const DONE: &str = "the configuration is reloaded";
/// Within that line, the milliseconds it took.
const TOOK: &str = "took_ms=";

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Pairs of a run with reloads and one without
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pairs: u16,
    /// Reloads in a run
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    reloads: u16,
    /// Milliseconds from one reload to the next
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(200..=60_000))]
    every: u64,
    /// Clients, each with a connection, that ask again as soon as they have an answer
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    clients: u16,
    /// Services of the large configuration
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    services: u16,
    /// Reloads of the large configuration, of each kind
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    large: u16,
    #[command(flatten)]
    pub(crate) measured: Measured,
}

/// Runs all of it.
///
/// # Errors
/// [`BenchError`] when weir cannot be started, or does not do what it must.
pub(crate) async fn run(options: &Options, weir: &Path, note: impl Fn(&str)) -> Result<Outcome, BenchError> {
    // Endpoints and clients share this thread, and so need no locks.
    LocalSet::new().run_until(measure(options, weir, note)).await
}

async fn measure(options: &Options, weir: &Path, note: impl Fn(&str)) -> Result<Outcome, BenchError> {
    let machine = Machine::here();
    let fleet = Endpoint::everywhere("fleet").await?;
    let port = fleet.address().port();
    note(&format!("{} pairs of runs with and without {} reloads", options.pairs, options.reloads));
    let proxy = Proxy::launch(Kind::Weir, weir, 0, None, |_, _| small(port, 0)).await?;
    let clients = Clients::start(proxy.address(), usize::from(options.clients));
    until("the first answers", || clients.answered() > 1000).await?;
    let mut pairs = Vec::new();
    let mut reloads = 0;
    let mut resident = Vec::new();
    for number in 0..options.pairs {
        // Which of the two comes first changes: what drifts must not favour one.
        let (mut with, mut without) = (Seen::default(), Seen::default());
        for reloading in [number % 2 == 0, number % 2 == 1] {
            clients.take();
            let began = tokio::time::Instant::from_std(clock::now());
            for step in 1..=u32::from(options.reloads) {
                if reloading {
                    reloads += 1;
                    proxy.rewrite(&small(port, reloads))?;
                }
                sleep_until(began + Duration::from_millis(options.every) * step).await;
            }
            *(if reloading { &mut with } else { &mut without }) = clients.take();
        }
        resident.push(proxy.resident()?);
        pairs.push(Pair { with: Waits::of(with), without: Waits::of(without) });
    }
    until("every reload is done", || done(&proxy).len() >= usize::from(reloads)).await?;
    let applied = done(&proxy).len();
    drop((clients, proxy));

    let mut large = Vec::new();
    for all in [false, true] {
        note(&format!("reloads of {} services, of which {} change", options.services, if all { "all" } else { "one" }));
        large.push(thousands(options, weir, port, all).await?);
    }
    let version = Kind::Weir.version(weir);
    Ok(Outcome { machine, version, clients: options.clients, reloads, applied, pairs, resident, large })
}

/// Reloads of a large configuration: of one service, or of all.
async fn thousands(options: &Options, weir: &Path, port: u16, all: bool) -> Result<Large, BenchError> {
    let text = |round| services(port, options.services, if all { round } else { 0 }, round);
    let proxy = Proxy::launch(Kind::Weir, weir, 0, None, |_, _| text(0)).await?;
    let clients = Clients::start(proxy.address(), 2);
    until("the first answers", || clients.answered() > 200).await?;
    let (mut with, mut without) = (Seen::default(), Seen::default());
    for round in 1..=options.large {
        clients.take();
        sleep(WINDOW).await;
        merge(&mut without, clients.take());
        let text = text(round);
        let before = done(&proxy).len();
        proxy.rewrite(&text)?;
        sleep(WINDOW).await;
        until("a large reload is done", || done(&proxy).len() > before).await?;
        merge(&mut with, clients.take());
    }
    let took = done(&proxy);
    Ok(Large { services: options.services, all, took, with: Waits::of(with), without: Waits::of(without) })
}

/// Eight endpoints but one, with weights that are others each time.
fn small(port: u16, round: u16) -> String {
    let present = (0..FLEET).filter(|number| u16::from(*number) != round % u16::from(FLEET));
    let endpoints = present.map(|number| {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 1, 0, number + 1)), port);
        format!("{{ address = \"{address}\", weight = {} }}", 1 + (u16::from(number) * 7 + round) % 10)
    });
    let list = endpoints.collect::<Vec<_>>().join(", ");
    format!(
        "{HEAD}[[route]]\nservice = \"s\"\n[[service]]\nname = \"s\"\npolicy = \"weighted\"\nendpoints = [{list}]\n"
    )
}

/// So many services of two endpoints, with a route to each. The first has the weight of `first`, the others of `others`.
fn services(port: u16, count: u16, others: u16, first: u16) -> String {
    let mut text = format!("{HEAD}[[route]]\nservice = \"s0\"\n");
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        let [one, other] = [1, 2].map(|net| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, net, high, low)), port));
        let weight = 1 + if number == 0 { first } else { others } % 5;
        // Writing to a String does not fail.
        write!(
            text,
            "[[route]]\nhost = \"h{number}.example\"\nservice = \"s{number}\"\n[[service]]\nname = \"s{number}\"\n\
             policy = \"weighted\"\nendpoints = [{{ address = \"{one}\", weight = {weight} }}, \"{other}\"]\n"
        )
        .unwrap_or_default();
    }
    text
}

const HEAD: &str = "[server]\nshutdown_delay = \"0s\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[[listener]]\n\
                    address = \"127.0.0.1:0\"\n";

/// How long each reload took that was applied so far, in milliseconds.
fn done(proxy: &Proxy) -> Vec<u32> {
    let output = proxy.output();
    let lines = output.lines().filter(|line| line.contains(DONE));
    lines.filter_map(|line| line.split(TOOK).nth(1)?.split_whitespace().next()?.parse().ok()).collect()
}

fn merge(all: &mut Seen, more: Seen) {
    all.spans.extend(more.spans);
    all.failures.extend(more.failures);
}

async fn until(what: &'static str, condition: impl Fn() -> bool) -> Result<(), BenchError> {
    let deadline = clock::now() + PATIENCE;
    while !condition() {
        sleep(BEAT).await;
        if clock::now() > deadline {
            return Err(io::Error::other(format!("not within {} s: {what}", PATIENCE.as_secs())).into());
        }
    }
    Ok(())
}
