//! What the live page costs a browser with many endpoints whose numbers all change, and the network beside it.
//!
//! In: a real weir with one large service under load, a real browser (Chromium, by `chromedriver`). Out: the time between
//! frames, tasks of the page's that were longer than 50 ms (W3C Long Tasks), where its time went, and bytes of events.
//! All endpoints are this process, at as many loopback addresses. Numbers: `docs/guide/operate.md`.

use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use weir_testkit::Browser;

use crate::case::Case;
use crate::error::BenchError;
use crate::rig::clock;
use crate::rig::load::Load;
use crate::rig::machine::Machine;
use crate::rig::proxy::{Kind, Proxy};

/// Exchanges at once.
const CONNECTIONS: usize = 48;
/// How long an answer takes: 5 to 67 ms, each endpoint in turn another time, so that about a thousand answers a second
/// come and every estimate of latency moves.
const DELAYS: std::ops::Range<u64> = 5..68;
/// A longer task than this is felt (W3C Long Tasks).
const TARGET: f64 = 50.0;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Endpoints of the service
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    endpoints: u16,
    /// Seconds to look at the page
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// Pixels of the window's width
    #[arg(long, default_value_t = 1280, value_parser = clap::value_parser!(u32).range(300..=4000))]
    width: u32,
    /// The weir to measure [default: `weir` beside this program, else target/dist/weir]
    #[arg(long, value_name = "PATH")]
    pub(crate) weir: Option<PathBuf>,
    /// Write the results as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    machine: Machine,
    version: String,
    endpoints: u16,
    seconds: u16,
    exchanges: u64,
    seen: Seen,
    /// Milliseconds of processor time of the page's main thread.
    spent: Spent,
    /// Bytes of the first event.
    whole_bytes: u64,
    /// Bytes of those that follow, each second.
    change_bytes: u64,
}

/// What the page says of itself.
#[derive(Debug, Deserialize, Serialize)]
struct Seen {
    /// Milliseconds from each frame to the next.
    frames: Vec<f64>,
    /// Milliseconds of each long task.
    tasks: Vec<f64>,
    /// Changes of the document.
    changes: u64,
    rows: u64,
}

#[derive(Debug, Serialize)]
struct Spent {
    script: f64,
    style: f64,
    layout: f64,
    all: f64,
}

/// Counts in the page, until [`END`].
const BEGIN: &str = "
    const seen = { frames: [], tasks: [], changes: 0, rows: document.querySelectorAll('tbody tr').length };
    window.seen = seen;
    let last = null;
    const frame = (now) => {
        if (last !== null) seen.frames.push(now - last);
        last = now;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    new PerformanceObserver((list) => { for (const task of list.getEntries()) seen.tasks.push(task.duration); })
        .observe({ type: 'longtask' });
    new MutationObserver((records) => { seen.changes += records.length; })
        .observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
";
const END: &str = "return window.seen";

/// Looks at the page for a while.
///
/// # Errors
/// [`BenchError`] when weir or the browser cannot be started, or an exchange went wrong.
pub(crate) async fn run(options: &Options, weir: &Path) -> Result<Outcome, BenchError> {
    let driver = weir_testkit::require("chromium").and(weir_testkit::require("chromedriver"));
    let driver = driver.ok_or(BenchError::NoBrowser)?;
    let machine = Machine::here();
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, weir_testkit::free_port()));
    // Of every loopback address.
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    let port = listener.local_addr()?.port();
    let mut serving = JoinSet::new();
    serving.spawn(serve(listener));
    let mut list = String::new();
    for number in 0..options.endpoints {
        let [high, low] = number.to_be_bytes();
        // Writing to a String does not fail.
        write!(list, "\"127.1.{high}.{low}:{port}\", ").ok();
    }
    let text = format!(
        "[admin]\nlisten = \"{admin}\"\n[log]\naccess = \"off\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\nservice = \"s\"\n[[service]]\nname = \"s\"\npolicy = \"peak-ewma\"\nendpoints = [{list}]\n"
    );
    let proxy = Proxy::launch(Kind::Weir, weir, 1, None, |_, _| text).await?;
    let load = Load::start(proxy.address(), Case::Small, CONNECTIONS).await.map_err(std::io::Error::other)?;
    let (width, seconds, endpoints) = (options.width, options.seconds, options.endpoints);
    let page = tokio::task::spawn_blocking(move || look(&driver, admin, width, endpoints, seconds));
    let events = events(admin, seconds);
    let (page, events) = tokio::join!(page, events);
    let (seen, spent) = page.map_err(std::io::Error::other)??;
    let (whole_bytes, change_bytes) = events?;
    let exchanges = load.answers();
    load.finish().await.map_err(std::io::Error::other)?;
    let version = Kind::Weir.version(weir);
    Ok(Outcome { machine, version, endpoints, seconds, exchanges, seen, spent, whole_bytes, change_bytes })
}

/// The browser's part; blocks.
fn look(
    driver: &Path,
    admin: SocketAddr,
    width: u32,
    endpoints: u16,
    seconds: u16,
) -> Result<(Seen, Spent), std::io::Error> {
    let browser = Browser::start(driver, width, 800);
    // Time of the processor: that of the clock has others' in it.
    browser.devtools("Performance.enable", &json!({ "timeDomain": "threadTicks" }));
    browser.open(&format!("http://{admin}/"));
    let rows = "return document.querySelectorAll('tbody tr').length";
    weir_testkit::eventually("the page shows all endpoints", || browser.run(rows) == endpoints);
    browser.run(BEGIN);
    let before = metrics(&browser);
    #[expect(clippy::disallowed_methods, reason = "on a thread of its own, for as long as was asked for")]
    std::thread::sleep(Duration::from_secs(seconds.into()));
    let seen = serde_json::from_value(browser.run(END)).map_err(std::io::Error::other)?;
    let after = metrics(&browser);
    let spent = |name: &str| (value(&after, name) - value(&before, name)) * 1e3;
    let spent = Spent {
        script: spent("ScriptDuration"),
        style: spent("RecalcStyleDuration"),
        layout: spent("LayoutDuration"),
        all: spent("TaskDuration"),
    };
    Ok((seen, spent))
}

fn metrics(browser: &Browser) -> Value {
    browser.devtools("Performance.getMetrics", &json!({}))
}

/// Of `Performance.getMetrics`, in seconds.
fn value(metrics: &Value, name: &str) -> f64 {
    let all = metrics.get("metrics").and_then(Value::as_array);
    let found = all.and_then(|all| all.iter().find(|metric| metric.get("name").is_some_and(|known| known == name)));
    found.and_then(|metric| metric.get("value")?.as_f64()).unwrap_or(f64::NAN)
}

/// Bytes of the first event, and each second of those after it.
async fn events(admin: SocketAddr, seconds: u16) -> std::io::Result<(u64, u64)> {
    let mut stream = TcpStream::connect(admin).await?;
    stream.write_all(format!("GET /api/events HTTP/1.1\r\nHost: {admin}\r\n\r\n").as_bytes()).await?;
    let (mut room, mut bytes, mut whole) = (vec![0; 1 << 16], 0, None);
    let mut last = Vec::new();
    let mut end = clock::now() + Duration::from_secs(seconds.into());
    loop {
        let count = match tokio::time::timeout_at(end.into(), stream.read(&mut room)).await {
            Ok(count) => count?,
            Err(_) => return Ok((whole.unwrap_or(bytes), bytes / u64::from(seconds))),
        };
        if count == 0 {
            return Err(std::io::Error::other("weir ended the events"));
        }
        bytes += count as u64;
        last.extend_from_slice(room.get(..count).unwrap_or_default());
        if whole.is_none() && memchr::memmem::find(&last, b"\n\n\r\n").is_some() {
            whole = Some(std::mem::take(&mut bytes));
            end = clock::now() + Duration::from_secs(seconds.into());
        }
        let tail = last.len().saturating_sub(3);
        last.drain(..tail);
    }
}

/// Answers on every connection, each request after another while.
async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    let mut delays = DELAYS.cycle();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(answer(stream, Duration::from_millis(delays.next().unwrap_or_default())));
    }
}

async fn answer(mut stream: TcpStream, mut delay: Duration) {
    let (answer, mut room, mut held) = (Case::Small.answer(), [0; 4096], Vec::new());
    while let Ok(count @ 1..) = stream.read(&mut room).await {
        held.extend_from_slice(room.get(..count).unwrap_or_default());
        while let Some(end) = memchr::memmem::find(&held, b"\r\n\r\n") {
            held.drain(..end + 4);
            tokio::time::sleep(delay).await;
            delay = next(delay);
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}

/// Another while than the last.
fn next(delay: Duration) -> Duration {
    let longer = delay + Duration::from_millis(7);
    if longer < Duration::from_millis(DELAYS.end) { longer } else { Duration::from_millis(DELAYS.start) }
}

impl Outcome {
    /// Whether nothing was felt: no task of the page's longer than [`TARGET`].
    pub(crate) fn kept(&self) -> bool {
        self.longest() <= TARGET
    }

    fn longest(&self) -> f64 {
        self.seen.tasks.iter().copied().fold(0.0, f64::max)
    }

    fn frame(&self, share: f64) -> f64 {
        let mut frames = self.seen.frames.clone();
        frames.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a short list"
        )]
        let index = ((frames.len().saturating_sub(1)) as f64 * share).round() as usize;
        frames.get(index).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Outcome {
    #[expect(clippy::cast_precision_loss, reason = "counts of some thousands")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seen, spent, .. } = self;
        let seconds = f64::from(self.seconds);
        writeln!(f, "{}, {}", self.version, self.machine.processor)?;
        writeln!(
            f,
            "{} rows for {} s under {:.0} exchanges a second",
            seen.rows,
            self.seconds,
            self.exchanges as f64 / seconds
        )?;
        writeln!(
            f,
            "frames: {}, median {:.1} ms, 99 % within {:.1} ms, longest {:.1} ms",
            seen.frames.len(),
            self.frame(0.5),
            self.frame(0.99),
            self.frame(1.0)
        )?;
        writeln!(
            f,
            "tasks longer than 50 ms: {}, longest {:.0} ms (target {TARGET} ms)",
            seen.tasks.len(),
            self.longest()
        )?;
        writeln!(f, "changes of the document: {:.0} a second", seen.changes as f64 / seconds)?;
        let each = |spent: f64| spent / seconds;
        writeln!(
            f,
            "main thread, ms of processor each second: script {:.1}, style {:.1}, layout {:.1}, all {:.1}",
            each(spent.script),
            each(spent.style),
            each(spent.layout),
            each(spent.all)
        )?;
        writeln!(
            f,
            "events: {} KB at first, then {:.1} KB a second",
            self.whole_bytes / 1000,
            self.change_bytes as f64 / 1e3
        )
    }
}
