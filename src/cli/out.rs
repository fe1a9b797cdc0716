//! Words on standard output and standard error, and the exit status.

use std::io::Write;
use std::process::ExitCode;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// It did what it was told.
    Done,
    /// Something is wrong, or was refused.
    Refused,
    /// It was called in a way that makes no sense; clap's own status for that.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
        })
    }
}

/// Prints a line that a person, or a script that started us, waits for.
pub(crate) fn say(line: &str) {
    // Whoever closed our standard output does not want to know; that is no reason to stop serving.
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// Says on standard error what is wrong.
pub(super) fn complain(text: &str) -> Exit {
    drop(writeln!(std::io::stderr().lock(), "{}", text.trim_end()));
    Exit::Refused
}
