//! How long a test waits for an event before it fails.
//!
//! In: a span. Out: what is left of it. Cost: one clock read per question.

use std::time::{Duration, Instant};

/// How long anything here waits by default, 10 s: far beyond what a healthy run needs on a loaded machine, short enough
/// that a hang is reported and not waited out.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Asks again and again until `condition` holds. Panics after [`PATIENCE`], saying `what`.
/// For what wakes nobody: a port that closes, a file that grows.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Deadline::after(PATIENCE);
    while !condition() {
        assert!(!deadline.passed(), "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A moment after which waiting is a failure; `None` is never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(span: Duration) -> Self {
        Self(Some(Instant::now() + span))
    }

    pub(crate) const fn never() -> Self {
        Self(None)
    }

    /// What is left; `None` when the deadline has passed.
    pub(crate) fn left(self) -> Option<Duration> {
        match self.0 {
            None => Some(Duration::MAX),
            Some(end) => end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()),
        }
    }

    pub(crate) fn passed(self) -> bool {
        self.left().is_none()
    }
}
