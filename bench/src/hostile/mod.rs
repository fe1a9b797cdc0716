//! A real optimizer under mixed load, some of it hostile.
//!
//! In: a program, photos, a time. Out: whether it lived, stayed within its memory, and every good picture was right.
//! The bound on memory is that of `docs/guide/optimizer-memory.md`, with budgets small enough to be felt.

mod bad;
mod client;
mod dice;
mod good;
mod report;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::bad::{Bombs, KINDS, Kind};
use self::client::Reply;
use self::dice::Dice;
use self::good::Good;
pub(crate) use self::report::Hostile;
use crate::error::BenchError;
use crate::rig::child::Child;
use crate::rig::clock;
use crate::rig::machine::Machine;

/// Clients at once: more than there are workers, fewer than the queue holds, so that a good request is never refused.
const CLIENTS: usize = 12;
/// One request in so many is hostile.
const HOSTILE: usize = 20;
/// One good request in so many says that it has the picture.
const KNOWN: usize = 10;
const KERNEL_MEMORY: u64 = 1 << 30;
const BODY_MEMORY: u64 = 128 << 20;
/// See the guide: connections, and what is fixed.
const CONNECTION: u64 = 64 << 10;
const FIXED: u64 = 64 << 20;
/// How long it may take to listen, and to be idle again at the end.
const PATIENCE: Duration = Duration::from_secs(30);
const BEAT: Duration = Duration::from_millis(20);
/// How long a client that dawdles does.
const DAWDLE: Duration = Duration::from_secs(2);

/// What to do.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) program: PathBuf,
    pub(crate) photos: Option<PathBuf>,
    pub(crate) time: Duration,
}

/// What a client has seen.
#[derive(Debug, Default)]
struct Seen {
    good: report::Counts,
    hostile: BTreeMap<Kind, report::Counts>,
    faults: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// When the optimizer does not start, or the photos cannot be read. Whatever it does wrong later is in the result.
pub(crate) async fn run(options: &Options, note: impl Fn(&str)) -> Result<Hostile, BenchError> {
    let machine = Machine::here();
    let folder = tempfile::tempdir()?;
    let (kernel, bodies) = (KERNEL_MEMORY.to_string(), BODY_MEMORY.to_string());
    let flags = ["--listen", "127.0.0.1:0", "--queue", "64", "--kernel-memory", &kernel, "--body-memory", &bodies];
    let mut child = Child::start(&options.program, &flags, folder.path().join("log"), None)?;
    let address = listening(&mut child).await?;

    let mut faults = Vec::new();
    let photos = good::photos(options.photos.as_deref())?;
    let requests = good::requests(address, &photos, &mut faults).await;
    note(&format!("{} good requests are right when nothing else happens", requests.len()));
    if requests.is_empty() {
        return Err(BenchError::NoPhotos);
    }
    let shared = std::sync::Arc::new((requests, Bombs::new()));
    let end = clock::now() + options.time;
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let shared = std::sync::Arc::clone(&shared);
        clients.spawn(async move { client(address, &shared.0, &shared.1, Dice::new(number as u64), end).await });
    }
    let (mut good, mut bad) = (report::Counts::new(), BTreeMap::<_, report::Counts>::new());
    while let Some(seen) = clients.join_next().await {
        let seen =
            seen.unwrap_or_else(|error| Seen { faults: vec![format!("a client failed: {error}")], ..Seen::default() });
        add(&mut good, &seen.good);
        for (kind, counts) in &seen.hostile {
            add(bad.entry(kind.name()).or_default(), counts);
        }
        faults.extend(seen.faults);
    }
    aftermath(&mut child, address, &shared.0, &mut faults).await;
    let peak = peak(child.pid())?;
    let bound = KERNEL_MEMORY + 2 * BODY_MEMORY + CONNECTION * CLIENTS as u64 + FIXED;
    if peak > bound {
        faults.push(format!("{} MiB of memory, and {} were to be enough", peak >> 20, bound >> 20));
    }
    Ok(Hostile {
        machine,
        program: options.program.display().to_string(),
        seconds: options.time.as_secs_f64(),
        requests: shared.0.len(),
        good,
        bad,
        peak,
        bound,
        faults,
    })
}

fn add(all: &mut report::Counts, more: &report::Counts) {
    for (status, count) in more {
        *all.entry(*status).or_default() += count;
    }
}

/// Waits until it says where it listens.
async fn listening(child: &mut Child) -> Result<SocketAddr, BenchError> {
    let deadline = clock::now() + PATIENCE;
    loop {
        let output = child.output();
        let said = output.lines().find_map(|line| line.split_once("listening on http://")?.1.trim().parse().ok());
        if let Some(address) = said {
            return Ok(address);
        }
        let reason = if !child.runs() {
            "it ended"
        } else if clock::now() > deadline {
            "it took too long"
        } else {
            sleep(BEAT).await;
            continue;
        };
        return Err(BenchError::NotReady { name: "weir-optimizer", reason, output });
    }
}

/// One client after another on the same task, until the time is over.
async fn client(
    address: SocketAddr,
    requests: &[Good],
    bombs: &Bombs,
    mut dice: Dice,
    end: std::time::Instant,
) -> Seen {
    let mut seen = Seen::default();
    while clock::now() < end {
        let Some(request) = dice.pick(requests) else { break };
        if dice.roll(HOSTILE) > 0 {
            let known = dice.roll(KNOWN) == 0;
            let status = ask_well(address, request, known, &mut seen.faults).await;
            *seen.good.entry(status).or_default() += 1;
        } else if let Some(kind) = dice.pick(&KINDS).copied() {
            let status = ask_badly(address, kind, &bombs.body(kind, &request.photo, &mut dice), &mut dice).await;
            *seen.hostile.entry(kind).or_default().entry(status).or_default() += 1;
            if !kind.takes(status) {
                seen.faults.push(format!("{}: answered with {status}", kind.name()));
            }
        }
    }
    seen
}

/// Sends a good request and holds the answer against the right one.
async fn ask_well(address: SocketAddr, request: &Good, known: bool, faults: &mut Vec<String>) -> u16 {
    let Good { name, photo, query, right } = request;
    let etag = right.field("etag").unwrap_or_default();
    let fields = if known { format!("If-None-Match: {etag}\r\n") } else { String::new() };
    let Some(reply) = client::ask(address, &client::head(query, &fields, photo.len()), photo).await else {
        faults.push(format!("{name}: no answer"));
        return 0;
    };
    let Reply { status, body, .. } = &reply;
    if known && *status != 412 {
        faults.push(format!("{name}: {status} for a picture that the client has"));
    }
    if !known && *status != 200 {
        faults.push(format!("{name}: {status} {}", String::from_utf8_lossy(body).trim()));
    }
    if !known && *status == 200 && (reply.field("etag") != Some(etag) || *body != right.body) {
        faults.push(format!("{name}: another picture than when nothing else happened"));
    }
    *status
}

/// Sends a hostile request; 0 when there is no answer.
async fn ask_badly(address: SocketAddr, kind: Kind, body: &Bytes, dice: &mut Dice) -> u16 {
    let plain = client::head("", "", body.len());
    let head = match kind {
        Kind::Option => client::head(["size=big", "sise=1", "text=%ff"][dice.roll(3)], "", body.len()),
        Kind::Multipart => {
            let fields =
                ["Content-Type: multipart/form-data; boundary=XX\r\n", "Content-Type: multipart/form-data\r\n"];
            client::head("", fields[dice.roll(2)], body.len())
        }
        Kind::SlowBody | Kind::AbortedUpload | Kind::SilentReader => {
            dawdle(address, kind, &plain, body).await;
            return 0;
        }
        Kind::Garbage => String::new(),
        _ => plain,
    };
    client::ask(address, &head, body).await.map_or(0, |reply| reply.status)
}

/// Sends a part of a body, in time or over time, or all of it, and leaves without having read anything.
async fn dawdle(address: SocketAddr, kind: Kind, head: &str, body: &[u8]) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    let send = async {
        stream.write_all(head.as_bytes()).await?;
        match kind {
            Kind::SlowBody => {
                for byte in body.chunks(1) {
                    stream.write_all(byte).await?;
                    sleep(BEAT).await;
                }
                Ok(())
            }
            Kind::AbortedUpload => stream.write_all(body.get(..body.len() / 2).unwrap_or_default()).await,
            _ => {
                stream.write_all(body).await?;
                sleep(DAWDLE).await;
                Ok(())
            }
        }
    };
    // Only leaving is of interest, not what became of the rest.
    drop(timeout(DAWDLE, send).await);
}

/// What must be so when all is over.
async fn aftermath(child: &mut Child, address: SocketAddr, requests: &[Good], faults: &mut Vec<String>) {
    if !child.runs() {
        faults.push(format!("it ended: {}", child.output()));
        return;
    }
    let healthy = client::get(address, "/healthz").await.is_some_and(|reply| reply.status == 200);
    if !healthy {
        faults.push("/healthz is not 200".to_owned());
    }
    if child.output().contains("panicked at") {
        faults.push(format!("it panicked: {}", child.output()));
    }
    let deadline = clock::now() + PATIENCE;
    let idle = |text: &str| {
        ["running", "waiting", "kernel_memory_bytes", "body_memory_bytes"]
            .iter()
            .all(|name| text.lines().any(|line| line == format!("weir_optimizer_{name} 0")))
    };
    loop {
        let metrics = client::get(address, "/metrics").await.map(|reply| reply.body).unwrap_or_default();
        let text = String::from_utf8_lossy(&metrics);
        if idle(&text) {
            break;
        }
        if clock::now() > deadline {
            faults.push(format!("it still holds something: {text}"));
            break;
        }
        sleep(BEAT).await;
    }
    for request in requests {
        ask_well(address, request, false, faults).await;
    }
}

/// The most resident memory of a process, in bytes.
fn peak(pid: u32) -> Result<u64, BenchError> {
    let path = format!("/proc/{pid}/status");
    let read = fs::read_to_string(Path::new(&path));
    let status = read.map_err(|source| BenchError::Proc { path: path.clone(), source })?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Ok(kib.ok_or(BenchError::ProcForm { path })? * 1024)
}
