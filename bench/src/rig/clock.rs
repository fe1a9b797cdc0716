//! Wall time, read in this one file.

use std::time::Instant;

/// Now.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Pauses this thread; for the end of a child, where no runtime may be left to wait on.
#[expect(clippy::disallowed_methods, reason = "runs in a destructor, which cannot await")]
pub(crate) fn pause(span: std::time::Duration) {
    std::thread::sleep(span);
}
