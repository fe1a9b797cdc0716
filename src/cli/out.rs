//! Words on standard output and standard error, their colours, and the exit status.

use std::io::{self, IsTerminal as _, Write};
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
    /// No weir answers.
    Nobody,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::Nobody => 3,
        })
    }
}

/// Prints a line that a person, or a script that started us, waits for.
pub(crate) fn say(line: &str) {
    // Whoever closed our standard output does not want to know; that is no reason to stop serving.
    drop(writeln!(io::stdout().lock(), "{line}"));
}

/// Prints a text as it is; a reader that went away early, as a pager does, is no failure.
pub(super) fn print(text: &str) {
    drop(io::stdout().lock().write_all(text.as_bytes()));
}

/// Says on standard error what is wrong.
pub(super) fn complain(text: &str) -> Exit {
    drop(writeln!(io::stderr().lock(), "{}", text.trim_end()));
    Exit::Refused
}

/// How words look on a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Paint {
    #[default]
    Plain,
    Strong,
    Faint,
    Good,
    Doubtful,
    Bad,
}

impl Paint {
    /// The text, in colours if they are wanted.
    pub(super) fn over(self, text: &str, colours: bool) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Strong => 1,
            Self::Faint => 2,
            Self::Good => 32,
            Self::Doubtful => 33,
            Self::Bad => 31,
        };
        if colours && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Whether standard output is a terminal on which colours are wanted.
pub(super) fn wants_colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Without control characters: what an endpoint or a registry wrote must not steer the terminal.
pub(super) fn visible(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
