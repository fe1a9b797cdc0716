//! One JSON line per exchange, written by a thread of its own.
//!
//! An exchange never waits for the log: a line that finds the queue full is dropped and counted. Nor does the end of the
//! process, for longer than a moment: whoever should read the log may have stopped.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use crate::head::Head;
use crate::record::Record;

/// Lines that may wait for the disk: at 1 KiB a line 8 MiB, at 20,000 exchanges a second 0.4 s.
const QUEUE: usize = 8192;

/// How long the end of the process waits for the disk: far longer than a queue takes that is being written at all.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Where lines go.
#[derive(Debug)]
pub struct AccessLog {
    queue: SyncSender<Message>,
}

#[derive(Debug)]
enum Message {
    Line(String),
    /// Dropped once everything before it is written.
    Flush(SyncSender<()>),
}

impl AccessLog {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE);
        std::thread::Builder::new().name("access-log".into()).spawn(move || write_all(&messages, out))?;
        Ok(Self { queue })
    }

    /// Takes a line; `false` when it was dropped.
    pub(crate) fn write(&self, line: String) -> bool {
        !matches!(self.queue.try_send(Message::Line(line)), Err(TrySendError::Full(_)))
    }

    /// Waits until what is queued is written, for two seconds at most; blocks the thread.
    pub(crate) fn flush(&self) {
        let (queue, (done, flushed)) = (self.queue.clone(), sync_channel(0));
        // Taking a place in a full queue may wait as well, hence another thread.
        std::thread::spawn(move || queue.send(Message::Flush(done)));
        // Nothing is ever sent: the end of waiting is that the other half was dropped.
        if flushed.recv_timeout(LAST_WAIT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("the access log is not being written: its last lines are lost");
        }
    }
}

fn write_all(messages: &Receiver<Message>, out: impl Write) {
    let mut out = std::io::BufWriter::with_capacity(64 * 1024, out);
    while let Ok(first) = messages.recv() {
        let (mut failed, mut flushed) = (false, Vec::new());
        for message in std::iter::once(first).chain(messages.try_iter().take(QUEUE)) {
            match message {
                Message::Line(line) => failed |= out.write_all(line.as_bytes()).is_err(),
                Message::Flush(done) => flushed.push(done),
            }
        }
        if out.flush().is_err() || failed {
            tracing::warn!("the access log cannot be written");
        }
        drop(flushed);
    }
}

/// Body bytes of one exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// From the client.
    pub(crate) bytes_in: u64,
    /// To the client.
    pub(crate) bytes_out: u64,
}

/// The line of one exchange; without a head when that was refused.
pub(crate) fn line(head: Option<&Head>, record: &Record, traffic: Traffic, total: Duration, now: SystemTime) -> String {
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
        "id": (!record.id.is_empty()).then_some(&record.id),
        "client": record.client.map(|address| address.to_string()),
        "method": head.map(|head| text(head.method())),
        "host": head.and_then(Head::host),
        "target": head.map(|head| text(head.target())),
        "route": record.route.as_ref().map(|route| &*route.name),
        "service": record.route.as_ref().map(|route| &**route.pool.service()),
        "tried": tried,
        "status": record.status,
        "cut": record.cut,
        "refusal": record.refusal.map(crate::refusal::Refusal::label),
        "bytes_in": traffic.bytes_in,
        "bytes_out": traffic.bytes_out,
        "first_byte_ms": record.first_byte.map(millis),
        "connect_ms": record.connect.map(millis),
        "queue_ms": record.queued.map(millis),
        "total_ms": millis(total),
    })
    .to_string();
    line.push('\n');
    line
}
