//! What `GET /api/status` costs with many endpoints.
//!
//! In: a real weir with one large service. Out: milliseconds for each answer, from the call's first byte to the answer's
//! last, and CPU milliseconds of it. Numbers: `docs/reference/admin.md`.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::BenchError;
use crate::measured::Measured;
use crate::rig::clock;
use crate::rig::machine::Machine;
use crate::rig::proxy::{Kind, Proxy};

/// Most milliseconds of an answer.
const TARGET: f64 = 50.0;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Endpoints of the service
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    endpoints: u16,
    /// How often it is asked
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    calls: u16,
    #[command(flatten)]
    pub(crate) measured: Measured,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    machine: Machine,
    version: String,
    endpoints: u16,
    bytes: usize,
    /// Of each answer.
    milliseconds: Vec<f64>,
    /// Of all answers together.
    processor_milliseconds: f64,
}

/// Asks, one call after the other.
///
/// # Errors
/// [`BenchError`] when weir cannot be started or does not answer.
pub(crate) async fn run(options: &Options, weir: &Path) -> Result<Outcome, BenchError> {
    let machine = Machine::here();
    let admin = SocketAddr::from(([127, 0, 0, 1], weir_testkit::free_port()));
    let mut list = String::new();
    for number in 0..options.endpoints {
        let [high, low] = number.to_be_bytes();
        // Writing to a String does not fail.
        write!(list, "\"127.1.{high}.{low}:9\", ").ok();
    }
    let text = format!(
        "[admin]\nlisten = \"{admin}\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"s\"\n\
         [[service]]\nname = \"s\"\npolicy = \"least-connections\"\nendpoints = [{list}]\n"
    );
    let proxy = Proxy::launch(Kind::Weir, weir, 1, None, |_, _| text).await?;
    let mut stream = TcpStream::connect(admin).await?;
    let before = proxy.spent()?;
    let (mut milliseconds, mut bytes) = (Vec::new(), 0);
    for _ in 0..options.calls {
        let start = clock::now();
        bytes = ask(&mut stream, admin).await?;
        milliseconds.push(millis(clock::now() - start));
    }
    milliseconds.sort_by(f64::total_cmp);
    let processor_milliseconds = millis(proxy.spent()?.since(&before));
    let version = Kind::Weir.version(weir);
    Ok(Outcome { machine, version, endpoints: options.endpoints, bytes, milliseconds, processor_milliseconds })
}

/// One call; gives the bytes of the answer's body.
async fn ask(stream: &mut TcpStream, admin: SocketAddr) -> Result<usize, BenchError> {
    stream.write_all(format!("GET /api/status HTTP/1.1\r\nHost: {admin}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::with_capacity(4 << 20);
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::Error::other("weir closed the connection").into());
        }
        let Some(end) = memchr::memmem::find(&answer, b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        match length {
            Some(length) if head.starts_with("http/1.1 200") => {
                if answer.len() >= end + 4 + length {
                    return Ok(length);
                }
            }
            _ => return Err(std::io::Error::other(format!("weir answered {head}")).into()),
        }
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

impl Outcome {
    fn at(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a short list"
        )]
        let index = ((self.milliseconds.len() - 1) as f64 * share).round() as usize;
        self.milliseconds.get(index).copied().unwrap_or(f64::NAN)
    }

    /// Whether half of the answers kept the target: one may have waited for the core.
    pub(crate) fn kept(&self) -> bool {
        self.at(0.5) <= TARGET
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "at most 10,000 calls")]
        let processor = self.processor_milliseconds / self.milliseconds.len().max(1) as f64;
        writeln!(f, "{}, {}", self.version, self.machine.processor)?;
        writeln!(f, "{} endpoints, {} calls, {} KB each", self.endpoints, self.milliseconds.len(), self.bytes / 1000)?;
        writeln!(f, "median {:.1} ms, longest {:.1} ms (target {TARGET} ms)", self.at(0.5), self.at(1.0))?;
        writeln!(f, "processor {processor:.1} ms each")
    }
}
