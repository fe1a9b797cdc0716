//! A child process that never outlives its handle.
//!
//! In: a command, and the core that it and its threads shall run on. Out: what it writes, in a file. When the handle is
//! dropped — at the end, at Ctrl-C, in a panic — the process is asked to end, and killed with its children when it has
//! not after [`GRACE`]. Only process ids that this file saw begin are ever signalled.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child as Started, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{clock, cpu};
use crate::error::BenchError;

/// How long a process may take to end once asked: all three proxies do at once when nothing is under way.
const GRACE: Duration = Duration::from_secs(3);
const BEAT: Duration = Duration::from_millis(10);

/// A running process.
pub(crate) struct Child {
    started: Started,
    output: PathBuf,
}

impl Child {
    /// Starts `program`, with both its outputs in the file `output`, on `core` if one is given.
    ///
    /// # Errors
    /// [`BenchError::Start`], or [`BenchError::Core`] when there is no such core.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&str],
        output: PathBuf,
        core: Option<usize>,
    ) -> Result<Self, BenchError> {
        let failed = |source| BenchError::Start { program: program.to_owned(), source };
        let file = File::create(&output).map_err(failed)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(file.try_clone().map_err(failed)?).stderr(file);
        // A child inherits the affinity of the thread that starts it; nothing runs between the two changes.
        let ours = sched_getaffinity(None).map_err(|error| BenchError::Io(error.into()))?;
        if let Some(core) = core {
            pin(core)?;
        }
        let started = command.spawn();
        sched_setaffinity(None, &ours).map_err(|error| BenchError::Io(error.into()))?;
        Ok(Self { started: started.map_err(failed)?, output })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.started.id()
    }

    /// All it wrote so far.
    pub(crate) fn output(&self) -> String {
        fs::read(&self.output).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.started.try_wait(), Ok(None))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Listed while the parent lives, which keeps the children's ids from being given to others.
        let tree = cpu::tree(self.pid()).unwrap_or_default();
        if !self.runs() {
            return;
        }
        signal(self.pid(), Signal::TERM);
        let deadline = clock::now() + GRACE;
        while clock::now() < deadline {
            if !self.runs() {
                return;
            }
            clock::pause(BEAT);
        }
        for pid in tree.into_iter().rev() {
            signal(pid, Signal::KILL);
        }
        drop(self.started.wait());
    }
}

/// Keeps this thread, and what it starts from now on, on one core.
///
/// # Errors
/// [`BenchError::Core`] when there is no such core, or it is not ours to use.
pub(crate) fn pin(core: usize) -> Result<(), BenchError> {
    let failed = |source| BenchError::Core { core, source };
    if core >= CpuSet::MAX_CPU {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(|error| failed(error.into()))
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself meanwhile, which is what is wanted.
        kill_process(pid, signal).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_and_its_children_are_gone_when_the_handle_is() {
        let folder = tempfile::tempdir().unwrap();
        // A shell that does not end when asked, with a child of its own.
        let script = "trap '' TERM; sleep 60 & echo ready; wait; wait";
        let child = Child::start(Path::new("sh"), &["-c", script], folder.path().join("log"), None).unwrap();
        while !child.output().contains("ready") {
            clock::pause(BEAT);
        }
        let tree = cpu::tree(child.pid()).unwrap();
        assert_eq!(tree.len(), 2);
        drop(child);
        // A killed process is gone a moment later, and stays listed until its parent has looked.
        let lives = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        let deadline = clock::now() + GRACE;
        while tree.iter().any(lives) {
            assert!(clock::now() < deadline, "of {tree:?} some still run");
            clock::pause(BEAT);
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let started = Child::start(Path::new("/nowhere/weir"), &[], folder.path().join("log"), None);
        assert!(matches!(started, Err(BenchError::Start { .. })));
    }
}
