//! One JSON line per exchange, written by a thread of its own.
//!
//! An exchange never waits for the log: a line that finds the queue full is dropped and counted.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use crate::downstream::Downstream;
use crate::head::Head;
use crate::record::Record;

/// Lines that may wait for the disk: at 1 KiB a line 8 MiB, at 20,000 exchanges a second 0.4 s.
const QUEUE: usize = 8192;

/// Where lines go.
#[derive(Debug)]
pub struct AccessLog {
    lines: SyncSender<String>,
    writer: std::thread::JoinHandle<()>,
}

impl AccessLog {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (lines, queue) = sync_channel(QUEUE);
        let writer = std::thread::Builder::new().name("access-log".into()).spawn(move || write_all(&queue, out))?;
        Ok(Self { lines, writer })
    }

    /// Takes a line; `false` when it was dropped.
    pub(crate) fn write(&self, line: String) -> bool {
        !matches!(self.lines.try_send(line), Err(TrySendError::Full(_)))
    }

    /// Writes what is queued and ends.
    pub fn finish(self) {
        drop(self.lines);
        // The writer has no way to panic that would not have been seen on standard error.
        drop(self.writer.join());
    }
}

fn write_all(queue: &Receiver<String>, out: impl Write) {
    let mut out = std::io::BufWriter::with_capacity(64 * 1024, out);
    while let Ok(line) = queue.recv() {
        let mut failed = out.write_all(line.as_bytes()).is_err();
        for line in queue.try_iter().take(QUEUE) {
            failed |= out.write_all(line.as_bytes()).is_err();
        }
        if out.flush().is_err() || failed {
            tracing::warn!("the access log cannot be written");
        }
    }
}

/// The line of one exchange.
pub(crate) fn line(head: &Head, record: &Record, down: &Downstream, total: Duration, now: SystemTime) -> String {
    let millis = |span: Duration| serde_json::json!((span.as_secs_f64() * 1e6).round() / 1e3);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let tried: Vec<_> = record
        .endpoints
        .iter()
        .map(|(endpoint, outcome)| serde_json::json!({ "endpoint": &**endpoint, "outcome": outcome }))
        .collect();
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut line = serde_json::json!({
        "time": (since_epoch.as_secs_f64() * 1e3).round() / 1e3,
        "id": record.id,
        "client": record.client.map(|address| address.to_string()),
        "method": text(head.method()),
        "host": head.host(),
        "target": text(head.target()),
        "route": record.route.as_ref().map(|route| &*route.name),
        "service": record.route.as_ref().map(|route| &**route.pool.service()),
        "tried": tried,
        "status": record.status,
        "refusal": record.refusal.map(crate::refusal::Refusal::label),
        "bytes_in": down.bytes_in,
        "bytes_out": down.bytes_out,
        "first_byte_ms": record.first_byte.map(millis),
        "connect_ms": record.connect.map(millis),
        "total_ms": millis(total),
    })
    .to_string();
    line.push('\n');
    line
}
