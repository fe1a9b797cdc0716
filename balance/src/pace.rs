//! How a queue moves: how often room comes free, and whether those who wait are served in time.
//!
//! In: moments at which room came free, and how long those had waited who got it. Out: how long so many take to get
//! through, and, once the queue runs late, how many may go on waiting. Pure. Cost: a few operations, 40 bytes.
//!
//! **Late.** A burst makes everybody wait for a moment and is gone; too much work makes everybody wait for good. What tells
//! them apart is the *least* wait: a queue begins to run late when for `target`, and as long again, nobody was served who
//! had waited for `target` at most, and never was it empty. **The most.** From then on only as many may wait as get through within
//! `target` at the pace of late (Little's law), whatever the order, one at least; so whoever stays waits for about `target`, and
//! what comes free finds somebody. It ends when less than half of that wait: the load was the reason, and is gone.
//! Source: the standing queue of `CoDel` (Nichols and Jacobson 2012). Not its control law: that lets one go, then another
//! one sooner, until the senders slow down. Clients of a web server do not slow down.

use crate::Nanos;

/// How a queue moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// When room came free for the last time.
    last: Option<Nanos>,
    /// Mean nanoseconds between two times, of some sixteen of late; 0 while unknown.
    between: u64,
    /// When the queue was last empty.
    began: Nanos,
    /// When it was last empty, or somebody was served in time.
    in_time: Nanos,
    late: bool,
}

impl Pace {
    /// Room came free; `busy`: somebody waits for it.
    pub fn freed(&mut self, now: Nanos, busy: bool) {
        let last = self.last.replace(now);
        // Between two of which the one came before anybody waited there may be any time.
        if let Some(last) = last.filter(|last| busy && *last >= self.began) {
            let gap = now.0.saturating_sub(last.0).max(1);
            self.between =
                if self.between == 0 { gap } else { (self.between / 16 * 15).saturating_add(gap / 16).max(1) };
        }
    }

    /// How long until this many are through; `None` while unknown.
    pub fn through(&self, count: usize) -> Option<Nanos> {
        if self.between == 0 {
            return None;
        }
        Some(Nanos(self.between.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX))))
    }

    /// Somebody comes to wait, and finds nobody.
    pub fn began(&mut self, now: Nanos) {
        (self.began, self.in_time, self.late) = (now, now, false);
    }

    /// Somebody was served who had waited for `waited`.
    pub fn served(&mut self, now: Nanos, waited: Nanos, target: Nanos) {
        if waited <= target {
            self.in_time = now;
        }
    }

    /// How many may wait, of `length` who do; `None` unless the queue runs late.
    pub fn most(&mut self, now: Nanos, length: usize, target: Nanos) -> Option<usize> {
        // Nothing came free yet that somebody waited for: as if it did now.
        let between = if self.between == 0 { now.0.saturating_sub(self.began.0) } else { self.between };
        let most = usize::try_from(target.0 / between.max(1)).unwrap_or(usize::MAX).max(1);
        let begins = now.0 >= self.in_time.0.saturating_add(target.0.saturating_mul(2));
        self.late = (self.late && length.saturating_mul(2) >= most) || (begins && length > most);
        self.late.then_some(most)
    }
}
