//! One line per exchange, written by a thread of its own.
//!
//! An exchange never waits for the log: a line that finds the queue full is dropped and counted. Nor does the end of the
//! process, for longer than a moment: whoever should read the log may have stopped. `line` is what a line says, `writer`
//! the file and its failures.

mod line;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use weir_snapshot::LogRules;

pub(crate) use line::{Facts, Traffic};
pub use writer::LogTo;
use writer::Writer;

use crate::observe::Observe;

/// Lines that may wait for the disk: at 1 KiB a line 8 MiB, at 20,000 exchanges a second 0.4 s.
const QUEUE: usize = 8192;

/// How long the end of the process waits for the disk: far longer than a queue takes that is being written at all.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// An open log.
#[derive(Debug)]
pub struct AccessLog {
    rules: LogRules,
    queue: SyncSender<Message>,
    /// Whether the file shall be opened anew. No message, because there may be no room for one.
    reopen: Arc<AtomicBool>,
    /// Of the exchanges that went well: how many there were.
    turn: AtomicU32,
}

#[derive(Debug)]
enum Message {
    Line(String),
    /// Dropped once everything before it is written.
    Flush(SyncSender<()>),
    /// Look at `reopen`.
    Wake,
}

impl AccessLog {
    /// Opens the file and starts the thread that writes to it.
    ///
    /// # Errors
    /// When the file cannot be opened, or the system has no thread to give.
    pub fn start(to: LogTo, rules: LogRules) -> std::io::Result<Self> {
        let writer = Writer::open(to)?;
        let (queue, messages) = sync_channel(QUEUE);
        let reopen = Arc::new(AtomicBool::new(false));
        let asked = reopen.clone();
        std::thread::Builder::new().name("access-log".into()).spawn(move || write_all(&messages, &asked, writer))?;
        Ok(Self { rules, queue, reopen, turn: AtomicU32::new(0) })
    }

    /// Writes the line of an exchange, if it is to have one.
    pub(crate) fn note(&self, facts: &Facts<'_>) {
        if facts.are_usual() && !self.rules.sample.takes(self.turn.fetch_add(1, Relaxed)) {
            return;
        }
        let line = Message::Line(facts.line(&self.rules.format));
        if let Err(TrySendError::Full(_)) = self.queue.try_send(line) {
            Observe::log_lines_dropped(1);
        }
    }

    /// Asks for the file to be closed, and opened under its name, soon; never waits. No line is lost by it.
    pub(crate) fn reopen(&self) {
        self.reopen.store(true, Relaxed);
        // To a full queue nothing needs to be sent: the thread is about to look. The queue itself orders the two stores.
        drop(self.queue.try_send(Message::Wake));
    }

    /// Waits until what is queued is written, for two seconds at most; blocks the thread.
    pub(crate) fn flush(&self) {
        let (queue, (done, flushed)) = (self.queue.clone(), sync_channel(0));
        // Taking a place in a full queue may wait as well, hence another thread.
        std::thread::spawn(move || queue.send(Message::Flush(done)));
        // Nothing is ever sent: the end of waiting is that the other half was dropped.
        if flushed.recv_timeout(LAST_WAIT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the access log is not being written: its last lines are lost");
        }
    }
}

fn write_all(messages: &Receiver<Message>, reopen: &AtomicBool, mut writer: Writer) {
    while let Ok(first) = messages.recv() {
        let mut flushed = Vec::new();
        for message in std::iter::once(first).chain(messages.try_iter().take(QUEUE)) {
            match message {
                Message::Line(line) => writer.take(line.as_bytes()),
                Message::Flush(done) => flushed.push(done),
                Message::Wake => {}
            }
        }
        writer.write();
        // After every batch: one with the wake in it, or one of a queue that had no room for it.
        if reopen.swap(false, Relaxed) {
            writer.reopen();
        }
        if !flushed.is_empty() && writer.lines_waiting() > 0 {
            tracing::warn!(lines = writer.lines_waiting(), "the access log cannot be written: its last lines are lost");
        }
        drop(flushed);
    }
}
