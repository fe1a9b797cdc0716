//! Healthy or ejected: the decision alone.
//!
//! In: failures and successes with their moments, and the [`HealthRules`]. Out: a [`Transition`] when the verdict turns.
//! Cost: O(1) a signal; the moments of the newest `failures` failures are kept, 8 bytes each.
//! Probes and real exchanges feed one machine, so two failed probes and one reset connection are three failures.
//! While healthy a success proves nothing about the failures before it (one in three may fail for hours): they age out.

use std::collections::VecDeque;

use crate::{HealthRules, Moment};

/// The verdict turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// From healthy to ejected.
    Ejected {
        /// Failures within the window that led to it.
        failures: u16,
    },
    /// From ejected to healthy.
    Restored,
}

/// The verdict on one endpoint. Pure: time comes in with each signal.
#[derive(Debug)]
pub struct Verdict {
    /// Newest last; never more than `failures`, oldest dropped first. Empty once ejected.
    failures: VecDeque<Moment>,
    ejected: bool,
    /// In a row, while ejected.
    successes: u16,
    since: Moment,
    last_failure: Option<Moment>,
}

/// Room that is made ahead for failures; configured windows are far smaller, larger ones grow as they fill.
const ROOM: usize = 64;

impl Verdict {
    /// Healthy, nothing known. Makes room for the window ahead, so that a failure does not allocate.
    pub fn new(rules: &HealthRules) -> Self {
        Self {
            failures: VecDeque::with_capacity(usize::from(rules.failures).min(ROOM)),
            ejected: false,
            successes: 0,
            since: Moment::default(),
            last_failure: None,
        }
    }

    /// One failure. Ejects when it and the `failures` - 1 before it are at most `window` apart.
    ///
    /// The rules may differ from call to call: a reload changes them, what was counted stays counted.
    pub fn failed(&mut self, now: Moment, rules: &HealthRules) -> Option<Transition> {
        // Threads read the clock before they get here, so moments arrive slightly out of order.
        let now = self.last_failure.map_or(now, |last| last.max(now));
        self.last_failure = Some(now);
        self.successes = 0;
        if self.ejected {
            return None;
        }
        let needed = usize::from(rules.failures.max(1));
        while self.failures.len() >= needed {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        let first = *self.failures.front()?;
        if self.failures.len() < needed || now.since(first) > rules.window.duration() {
            return None;
        }
        self.turn_out(now);
        Some(Transition::Ejected { failures: rules.failures.max(1) })
    }

    /// One failure that is enough, of an endpoint that was never seen to work.
    pub fn eject(&mut self, now: Moment) -> Option<Transition> {
        self.last_failure = Some(now);
        if self.ejected {
            return None;
        }
        self.turn_out(now);
        Some(Transition::Ejected { failures: 1 })
    }

    /// It is healthy, whoever says otherwise; failures before count no more.
    pub fn restore(&mut self, now: Moment) -> Option<Transition> {
        self.failures.clear();
        if !self.ejected {
            return None;
        }
        self.successes = 0;
        self.ejected = false;
        self.since = self.since.max(now);
        Some(Transition::Restored)
    }

    fn turn_out(&mut self, now: Moment) {
        self.failures.clear();
        self.successes = 0;
        self.ejected = true;
        self.since = now;
    }

    /// One success. Restores an ejected endpoint when it is the last of `successes` in a row; otherwise changes nothing.
    pub fn succeeded(&mut self, now: Moment, rules: &HealthRules) -> Option<Transition> {
        if !self.ejected {
            return None;
        }
        self.successes = self.successes.saturating_add(1);
        if self.successes < rules.successes.max(1) {
            return None;
        }
        self.restore(now)
    }

    /// Whether it is ejected.
    pub fn is_ejected(&self) -> bool {
        self.ejected
    }

    /// When the verdict last turned; moment zero if it never did.
    pub fn since(&self) -> Moment {
        self.since
    }

    /// The newest failure, healthy or not.
    pub fn last_failure(&self) -> Option<Moment> {
        self.last_failure
    }
}
