//! A real process with its output, its memory and its signals.
//!
//! In: a program and its arguments. Out: lines as they appear, resident memory, the exit status.
//! It is killed, by its own process id alone, when dropped.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::deadline::{Deadline, PATIENCE};

/// Resident memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub now: u64,
    /// The most there ever was.
    pub peak: u64,
}

/// A running program.
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Lines>,
}

#[derive(Default)]
struct Lines {
    text: Mutex<Vec<String>>,
    changed: Condvar,
}

impl Process {
    /// Starts `program` with `arguments`, without input and with its output captured.
    pub fn start<A: AsRef<OsStr>>(program: impl AsRef<Path>, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.args(arguments);
        Self::spawn(command)
    }

    /// Starts a prepared command (environment, working folder), without input and with its output captured.
    pub fn spawn(mut command: Command) -> Self {
        let name = PathBuf::from(command.get_program()).display().to_string();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start `{name}`: {error}"));
        let lines = Arc::new(Lines::default());
        collect(child.stdout.take().unwrap(), &lines);
        collect(child.stderr.take().unwrap(), &lines);
        Self { name, child, lines }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Both outputs so far, line by line as they came.
    pub fn output(&self) -> String {
        self.lines.text.lock().unwrap().join("\n")
    }

    /// Waits for a line, on either output, that starts with `prefix`, and gives what follows it.
    /// Panics with the whole output when the process ends first or [`PATIENCE`] is over.
    pub fn wait_for_line(&mut self, prefix: &str) -> String {
        self.wait_for_lines(prefix, 1).remove(0)
    }

    /// As [`Process::wait_for_line`], for the first `count` lines that start with `prefix`.
    pub fn wait_for_lines(&mut self, prefix: &str, count: usize) -> Vec<String> {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let ended = self.child.try_wait().unwrap();
            let text = self.lines.text.lock().unwrap();
            let found: Vec<String> =
                text.iter().filter_map(|line| line.strip_prefix(prefix)).take(count).map(str::to_owned).collect();
            if found.len() == count {
                return found;
            }
            if let Some(status) = ended {
                // Its last lines may still be in the pipe; one more look after a pause the collectors can use.
                let (text, waited) = self.lines.changed.wait_timeout(text, Duration::from_millis(200)).unwrap();
                assert!(
                    !waited.timed_out(),
                    "`{}` ended ({status}) before it wrote {count} × `{prefix}`:\n{}",
                    self.name,
                    text.join("\n")
                );
                continue;
            }
            assert!(!deadline.passed(), "`{}` wrote no {count} × `{prefix}`:\n{}", self.name, text.join("\n"));
            // Short, because the end of the process wakes nobody.
            drop(self.lines.changed.wait_timeout(text, Duration::from_millis(20)).unwrap());
        }
    }

    /// Waits until the output holds `text`; panics with the whole output when [`PATIENCE`] is over.
    pub fn wait_for_output(&self, text: &str) {
        let deadline = Deadline::after(PATIENCE);
        let mut lines = self.lines.text.lock().unwrap();
        while !lines.iter().any(|line| line.contains(text)) {
            let Some(left) = deadline.left() else {
                panic!("`{}` did not write `{text}`:\n{}", self.name, lines.join("\n"))
            };
            lines = self.lines.changed.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Resident memory now and at its peak; panics when the process is gone.
    pub fn memory(&self) -> Memory {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib: u64 = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap();
            kib * 1024
        };
        Memory { now: field("VmRSS:"), peak: field("VmHWM:") }
    }

    /// Sends `signal`; panics when the process is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot send {signal:?} to `{}`: {error}", self.name));
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end; panics with its output when that takes longer than `patience`.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Deadline::after(patience);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(!deadline.passed(), "`{}` still runs after {patience:?}:\n{}", self.name, self.output());
            // The standard library has no wait with a deadline.
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let said = self.lines.text.lock().map(|lines| lines.join("\n")).unwrap_or_default();
        if std::thread::panicking() {
            eprintln!("--- what `{}` wrote ---\n{said}", self.name);
        } else {
            // A panic in a task ends one connection and may show nowhere else.
            assert!(!said.contains("panicked at"), "`{}` panicked:\n{said}", self.name);
        }
    }
}

fn collect(pipe: impl Read + Send + 'static, lines: &Arc<Lines>) {
    let lines = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            lines.text.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
            lines.changed.notify_all();
        }
    });
}
