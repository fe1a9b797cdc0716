//! When to ask next, and with which index. Pure: time and chance come from outside.
//!
//! In: what each query brought. Out: the moment of the next one and its index. Cost: none worth naming.
//! The rules, each seen on a real agent (`docs/adr/0006-own-consul-client.md`):
//! - an index comes from a 200 alone; error replies carry `X-Consul-Index: 1`;
//! - an index of 0, or lower than before, or any error: the next query has none. A restarted agent counts from the
//!   beginning, and a query with an index it has not reached yet sleeps over every change;
//! - after errors, pauses that double and are spread;
//! - answers that come at once, time after time, are slowed down: what is meant as one query a minute must not become
//!   a busy loop, whatever an agent does.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::dice::Dice;

/// First pause after an error, before it is spread: an agent that restarts is back within a second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause after errors: what a returning agent costs at most, beyond its absence.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Queries that may follow each other at once: a deploy of twenty instances is not slowed down.
const BURST: u32 = 20;
/// The pace beyond the burst, 20 queries a second: changes that quick are told together.
const GAP: Duration = Duration::from_millis(50);
/// First pause after an answer that came early and said what was known.
const FIRST_EARLY_PAUSE: Duration = Duration::from_millis(10);
/// Longest such pause. Short, because Consul wakes those who wait for a service without instances at every change of
/// any other, so this is what the first instance may wait.
const LONGEST_EARLY_PAUSE: Duration = Duration::from_millis(250);

/// What a 200 brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Something that was not known.
    Changed,
    /// What was known, after the whole wait.
    WaitedInVain,
    /// What was known, before the wait was over.
    Early,
}

#[derive(Debug)]
pub(crate) struct Pace {
    index: Option<NonZeroU64>,
    /// Errors in a row.
    failures: u32,
    /// Early answers in a row.
    early: u32,
    /// Not before this, for errors and early answers.
    not_before: Duration,
    /// When all queries so far would have been due at the steady pace.
    due: Duration,
    dice: Dice,
}

impl Pace {
    pub(crate) fn new(seed: u64) -> Self {
        let none = Duration::ZERO;
        Self { index: None, failures: 0, early: 0, not_before: none, due: none, dice: Dice::new(seed) }
    }

    /// When the next query may start: now or later.
    pub(crate) fn next(&self, now: Duration) -> Duration {
        let steady = self.due.saturating_sub(GAP * (BURST - 1));
        now.max(self.not_before).max(steady)
    }

    /// A query starts; gives its index.
    pub(crate) fn started(&mut self, now: Duration) -> Option<NonZeroU64> {
        self.due = self.due.max(now) + GAP;
        self.index
    }

    /// The connection is another one, so perhaps is the agent.
    pub(crate) fn reconnects(&mut self) {
        self.index = None;
    }

    /// A 200 came. `index` is that of the answer, `None` when it had none that is a number.
    pub(crate) fn answered(&mut self, now: Duration, index: Option<u64>, news: News) {
        let index = index.and_then(NonZeroU64::new);
        // `None < Some(_)`, so a first index passes.
        self.index = index.filter(|index| self.index <= Some(*index));
        self.failures = 0;
        self.early = if news == News::Early { self.early.saturating_add(1) } else { 0 };
        self.not_before = match self.early {
            0 => now,
            early => now + doubled(FIRST_EARLY_PAUSE, early, LONGEST_EARLY_PAUSE),
        };
    }

    /// A 200 came whose list is not believed yet.
    pub(crate) fn doubted(&mut self, now: Duration) {
        self.index = None;
        self.not_before = now + self.dice.half_to_all_of(FIRST_PAUSE);
    }

    /// No 200 came.
    pub(crate) fn failed(&mut self, now: Duration) {
        self.index = None;
        self.early = 0;
        self.failures = self.failures.saturating_add(1);
        let pause = doubled(FIRST_PAUSE, self.failures, LONGEST_PAUSE);
        self.not_before = now + self.dice.half_to_all_of(pause);
    }
}

/// `first` the first time, twice as much each time after that, at most `longest`.
fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    // 2^16 is beyond every longest pause here.
    first.saturating_mul(1 << times.saturating_sub(1).min(16)).min(longest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn index(pace: &mut Pace) -> Option<u64> {
        pace.started(NOW).map(NonZeroU64::get)
    }

    #[test]
    fn an_index_is_used_for_the_next_query_and_lower_zero_or_absent_ones_start_anew() {
        let mut pace = Pace::new(1);
        assert_eq!(index(&mut pace), None);
        for (got, next) in [
            (Some(13), Some(13)),
            (Some(13), Some(13)),
            (Some(29), Some(29)),
            (Some(10), None),
            (Some(10), Some(10)),
            (Some(0), None),
            (Some(7), Some(7)),
            (None, None),
        ] {
            pace.answered(NOW, got, News::Changed);
            assert_eq!(index(&mut pace), next, "after {got:?}");
        }
    }

    #[test]
    fn after_an_error_or_on_another_connection_no_index_is_sent() {
        let mut pace = Pace::new(1);
        pace.answered(NOW, Some(29), News::Changed);
        pace.failed(NOW);
        assert_eq!(index(&mut pace), None);
        pace.answered(NOW, Some(29), News::Changed);
        pace.reconnects();
        assert_eq!(index(&mut pace), None);
    }

    #[test]
    fn pauses_after_errors_double_to_five_seconds_spread_and_one_answer_ends_them() {
        let mut pace = Pace::new(7);
        let pauses: Vec<_> = (0..12)
            .map(|_| {
                pace.failed(NOW);
                pace.next(NOW).saturating_sub(NOW)
            })
            .collect();
        for (pause, most) in pauses.iter().zip([100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000, 5000, 5000]) {
            assert!((most / 2..=most).contains(&u64::try_from(pause.as_millis()).unwrap()), "{pauses:?}");
        }
        assert_ne!(pauses[7], pauses[8], "spread");
        pace.answered(NOW, Some(1), News::Changed);
        assert_eq!(pace.next(NOW), NOW);
    }

    #[test]
    fn two_seeds_do_not_pause_in_step() {
        let pauses = |seed| {
            let mut pace = Pace::new(seed);
            std::array::from_fn::<_, 8, _>(|_| {
                pace.failed(NOW);
                pace.next(NOW)
            })
        };
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }

    /// Queries within ten seconds, each answered at once.
    fn queries(index: Option<u64>, news: News) -> usize {
        let (mut pace, mut now, mut count) = (Pace::new(1), NOW, 0);
        loop {
            now = pace.next(now);
            if now > NOW + Duration::from_secs(10) {
                return count;
            }
            pace.started(now);
            count += 1;
            pace.answered(now, index, news);
        }
    }

    #[test]
    fn an_agent_that_answers_at_once_for_ever_is_asked_at_a_bounded_pace() {
        assert_eq!(queries(Some(5), News::Changed), 220, "20 at once, then 20 a second");
        for index in [Some(5), Some(0), None] {
            assert!((40..50).contains(&queries(index, News::Early)), "{}", queries(index, News::Early));
        }
    }

    #[test]
    fn a_quiet_minute_earns_the_burst_anew_and_no_more() {
        let mut pace = Pace::new(1);
        for minute in 1..=3 {
            let now = NOW + Duration::from_secs(60 * minute);
            for _ in 0..BURST {
                assert_eq!(pace.next(now), now);
                pace.started(now);
                pace.answered(now, Some(minute), News::Changed);
            }
            assert!(pace.next(now) > now);
        }
    }

    #[test]
    fn waits_in_vain_cause_no_pause() {
        let mut pace = Pace::new(1);
        pace.answered(NOW, Some(3), News::Early);
        assert!(pace.next(NOW) > NOW);
        pace.answered(NOW, Some(3), News::WaitedInVain);
        assert_eq!(pace.next(NOW), NOW);
    }

    proptest! {
        #[test]
        fn whatever_comes_the_next_query_is_at_most_five_seconds_and_the_guard_away(
            steps in prop::collection::vec((0u8..4, any::<Option<u64>>(), 0u64..10_000), 1..200)
        ) {
            let (mut pace, mut now) = (Pace::new(3), NOW);
            for (kind, index, millis) in steps {
                now = pace.next(now);
                pace.started(now);
                now += Duration::from_millis(millis);
                match kind {
                    0 => pace.failed(now),
                    1 => pace.answered(now, index, News::Changed),
                    2 => pace.answered(now, index, News::Early),
                    _ => pace.answered(now, index, News::WaitedInVain),
                }
                prop_assert!(pace.next(now) <= now + LONGEST_PAUSE.max(GAP * BURST));
            }
        }
    }
}
