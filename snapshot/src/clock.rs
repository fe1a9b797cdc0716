//! The one way to tell time.

use std::time::Duration;

use tokio::time::Instant;

use crate::Moment;

/// Reads tokio's clock, so a test on paused time owns it. Made once in `main` and passed down; a copy reads the same.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose moment zero is now.
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads time")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The moment it is.
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads time")]
    pub fn now(&self) -> Moment {
        let nanos = Instant::now().saturating_duration_since(self.start).as_nanos();
        Moment::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The moment as tokio's timers want it.
    pub fn instant(&self, moment: Moment) -> Instant {
        self.start + Duration::from_nanos(moment.as_nanos())
    }
}
