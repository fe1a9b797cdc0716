//! Moments as others read them: seconds since 1970.

use std::time::{Duration, SystemTime};

use weir_snapshot::{Clock, Moment};

/// The moment it is, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// By weir's own.
    pub(crate) now: Moment,
    /// Seconds since 1970.
    wall: f64,
}

impl Times {
    pub(crate) fn read(clock: Clock) -> Self {
        #[expect(clippy::disallowed_methods, reason = "what people compare with their own clocks is wall time")]
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { now: clock.now(), wall: wall.as_secs_f64() }
    }

    /// Now, in seconds since 1970.
    pub(crate) fn unix_now(&self) -> f64 {
        thousandths(self.wall)
    }

    /// This moment, which may be one to come, in seconds since 1970.
    pub(crate) fn unix(&self, moment: Moment) -> f64 {
        let ahead = moment.since(self.now).as_secs_f64() - self.now.since(moment).as_secs_f64();
        thousandths(self.wall + ahead)
    }
}

/// A moment, said as the time since 1970, in seconds.
pub(crate) fn unix(since: Duration) -> f64 {
    thousandths(since.as_secs_f64())
}

/// A span in seconds, to the microsecond.
pub(crate) fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e6
}

fn thousandths(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}
