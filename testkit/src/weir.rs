//! A running `weir`, started from configuration text.
//!
//! In: the path of the binary and TOML, usually with port 0 everywhere. Out: the addresses it says it listens on,
//! and its metrics. The configuration file lies in a folder of its own, so that reloads can be tested.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::deadline::{Deadline, PATIENCE};
use crate::metrics::Metrics;
use crate::process::Process;
use crate::raw::Raw;

/// A running `weir`; dereferences to its [`Process`]. Killed when dropped.
pub struct Weir {
    process: Process,
    listeners: Vec<SocketAddr>,
    admin: SocketAddr,
    folder: TempDir,
}

impl Weir {
    /// Runs `binary run FILE` with `toml` in the file, and waits until it has said `listening on http://ADDRESS` once
    /// per `[[listener]]` and `admin on http://ADDRESS`. Panics with its output when it does not.
    pub fn start(binary: impl AsRef<Path>, toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.toml");
        std::fs::write(&file, toml).unwrap();
        let mut process = Process::start(binary, ["run".as_ref(), file.as_os_str()]);
        let count = toml.lines().filter(|line| line.trim_start().starts_with("[[listener]]")).count();
        let listeners =
            process.wait_for_lines("listening on http://", count).iter().map(|said| address(said)).collect();
        let admin = address(&process.wait_for_line("admin on http://"));
        Self { process, listeners, admin, folder }
    }

    /// The first listener.
    pub fn address(&self) -> SocketAddr {
        *self.listeners.first().expect("a configuration has a listener")
    }

    /// All listeners, in the order they were announced.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.listeners
    }

    /// The admin listener.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The configuration file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("weir.toml")
    }

    /// Replaces the configuration file in one step, as an editor does; weir may notice by itself.
    pub fn rewrite(&self, toml: &str) {
        let new = self.folder.path().join("weir.toml.new");
        std::fs::write(&new, toml).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    /// One scrape of `/metrics`.
    pub fn metrics(&self) -> Metrics {
        let response = Raw::get(self.admin, "/metrics");
        assert_eq!(response.status, 200, "the admin listener answers /metrics: {}", response.text());
        Metrics::parse(&response.text())
    }

    /// The sum of the series called `name` with at least these labels; 0 when there is none.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metrics().sum(name, labels)
    }

    /// Scrapes until `condition` holds for [`Weir::metric`] and gives that value. Panics after [`PATIENCE`].
    pub fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], condition: impl Fn(f64) -> bool) -> f64 {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let metrics = self.metrics();
            let value = metrics.sum(name, labels);
            if condition(value) {
                return value;
            }
            assert!(!deadline.passed(), "{name}{labels:?} is still {value}: {:?}", metrics.matching(name, &[]));
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Asks it to end (SIGTERM) and waits until it has. Panics when that takes longer than [`PATIENCE`].
    pub fn stop(mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.wait(PATIENCE)
    }
}

impl Deref for Weir {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Weir {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn address(said: &str) -> SocketAddr {
    let word = said.split([' ', '/']).next().unwrap_or_default();
    word.parse().unwrap_or_else(|_| panic!("`{said}` does not start with an address"))
}
