//! Wall time, read in this one file.

use std::time::Instant;

/// Now.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Pauses this thread, exactly to some fifty microseconds: for one that has nothing else to do, or no runtime left.
#[expect(clippy::disallowed_methods, reason = "for threads of their own and destructors, which cannot await")]
pub(crate) fn pause(span: std::time::Duration) {
    std::thread::sleep(span);
}
