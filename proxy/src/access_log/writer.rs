//! The file of the access log.
//!
//! In: lines. Out: the same in the file, whole and in order, or counted as dropped. A disk that takes nothing costs
//! [`HELD`] of memory: what fits waits for it, what does not is dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::observe::Observe;

/// Bytes that wait for the disk beside the queue's: a write of this size is one call, and 150 lines are not missed.
const HELD: usize = 64 * 1024;

/// Where lines go.
#[derive(Clone, Debug)]
pub enum LogTo {
    /// To standard output, past its buffer.
    Stdout,
    /// To the end of this file, created with these permissions less what the umask takes.
    File {
        /// Relative to where weir was started.
        path: PathBuf,
        /// Such as `0o640`.
        mode: u32,
    },
}

impl LogTo {
    fn open(&self) -> io::Result<File> {
        match self {
            Self::Stdout => io::stdout().as_fd().try_clone_to_owned().map(File::from),
            Self::File { path, mode } => OpenOptions::new().append(true).create(true).mode(*mode).open(path),
        }
    }

    /// What is opened anew when asked to.
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdout => None,
            Self::File { path, .. } => Some(path),
        }
    }
}

/// An open file, and what waits to be written to it.
pub(super) struct Writer {
    to: LogTo,
    out: File,
    waiting: Vec<u8>,
    /// Whether the file ends in the middle of the line that `waiting` begins with the rest of.
    torn: bool,
    failing: bool,
    /// Lines dropped since it fails.
    dropped: u64,
}

impl Writer {
    pub(super) fn open(to: LogTo) -> io::Result<Self> {
        let out = to.open()?;
        Ok(Self { to, out, waiting: Vec::with_capacity(HELD), torn: false, failing: false, dropped: 0 })
    }

    /// Takes a line, whole or not at all.
    pub(super) fn take(&mut self, line: &[u8]) {
        let has_room = |waiting: &[u8]| waiting.is_empty() || waiting.len() + line.len() <= HELD;
        if !has_room(&self.waiting) {
            self.write();
        }
        if has_room(&self.waiting) {
            self.waiting.extend_from_slice(line);
        } else {
            self.drop_lines(1);
        }
    }

    /// Writes what waits, as far as the disk takes it.
    pub(super) fn write(&mut self) {
        let mut done = 0;
        let outcome = loop {
            let rest = self.waiting.get(done..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match self.out.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        if let Some(last) = done.checked_sub(1).and_then(|last| self.waiting.get(last)) {
            self.torn = *last != b'\n';
        }
        self.waiting.drain(..done);
        // Said once, not for every line.
        match outcome {
            Ok(()) if self.failing => {
                tracing::warn!(dropped = self.dropped, "the access log is written again");
                (self.failing, self.dropped) = (false, 0);
            }
            Err(error) if !self.failing => {
                tracing::error!(%error, "the access log cannot be written: what does not fit in memory is dropped");
                self.failing = true;
            }
            _ => {}
        }
    }

    /// Closes the file and opens what its path names by now; what waits goes to the old one if that takes it, else to the
    /// new. Stays with the old one, and says so, when there is no new one to be had.
    pub(super) fn reopen(&mut self) {
        let Some(path) = self.to.path().map(|path| path.display().to_string()) else {
            tracing::info!("the access log is standard output, which cannot be opened anew");
            return;
        };
        self.write();
        match self.to.open() {
            Ok(new) => {
                tracing::info!(%path, "the access log is opened anew");
                self.out = new;
                if self.torn {
                    // The rest of a line whose beginning is in the old file.
                    let end = self.waiting.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
                    self.waiting.drain(..end);
                    self.torn = false;
                    self.drop_lines(1);
                }
                self.write();
            }
            Err(error) => {
                tracing::error!(%path, %error, "the access log cannot be opened anew: the old file is written on");
            }
        }
    }

    /// What was never written.
    pub(super) fn lines_waiting(&self) -> usize {
        memchr::memchr_iter(b'\n', &self.waiting).count()
    }

    fn drop_lines(&mut self, count: u64) {
        self.dropped += count;
        Observe::log_lines_dropped(count);
    }
}
