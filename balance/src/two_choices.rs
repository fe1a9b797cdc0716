//! The better of two endpoints drawn at random: by exchanges in flight (`p2c`), or by latency too (`peak-ewma`).
//!
//! In: weights; the in-flight counts, and for peak-EWMA the latencies, of the moment. Out: of two different endpoints that
//! admit, drawn in proportion to their weights, the cheaper one; equals take turns.
//! Cost: two draws from the table of `random.rs` and four load reads, whatever the number of endpoints.
//! Source: Mitzenmacher, "The power of two choices in randomized load balancing", 2001; draws by weight and loads by
//! weight as `HAProxy`'s `random(2)`. Laws: `tests/it/laws.rs`.
//!
//! **Peak-EWMA**: latency × (in flight + 1) / weight, as Finagle and Linkerd, with latencies that age: `latency.rs`.

use std::cmp::Ordering;

use crate::{Ask, Loads, Slot, random::Random};

/// What makes one of two cheaper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    InFlight,
    PeakEwma,
}

/// The table to draw from, and how to compare.
#[derive(Clone, Debug)]
pub(crate) struct TwoChoices {
    table: Random,
    measure: Measure,
}

/// A fraction cost / weight, compared by cross multiplication: exact, and no division.
#[derive(Clone, Copy)]
struct Cost {
    cost: u128,
    weight: u128,
}

impl Cost {
    /// Both products fit: 2^64 × 2^33 × 2^9 × 1000.
    fn cmp(self, other: Self) -> Ordering {
        (self.cost * other.weight).cmp(&(other.cost * self.weight))
    }
}

impl TwoChoices {
    pub(crate) fn build(members: Box<[(Slot, u16)]>, measure: Measure) -> Self {
        Self { table: Random::build(members), measure }
    }

    /// The cheaper of two that admit; `None` if none does.
    pub(crate) fn pick(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<Slot> {
        let (first, second) = self.table.pair(ask, loads)?;
        let Some(second) = second else { return Some(first) };
        let (low, high) = (first.min(second), first.max(second));
        let low_wins = match self.cost(low, loads).cmp(self.cost(high, loads)) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => ask.turn.is_multiple_of(2),
        };
        Some(if low_wins { low } else { high })
    }

    fn cost(&self, slot: Slot, loads: &impl Loads) -> Cost {
        let held = u128::from(loads.in_flight(slot)) + 1;
        let each = match self.measure {
            Measure::InFlight => 1,
            Measure::PeakEwma => loads.latency(slot).aged(),
        };
        Cost { cost: each * held, weight: u128::from(self.table.weight(slot)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Latency, Nanos};

    #[test]
    fn the_longest_time_with_the_most_in_flight_does_not_overflow() {
        let each = Latency { estimate: Some(Nanos(u64::MAX)), unasked: Nanos(0) }.aged();
        let most = Cost { cost: each * (u128::from(u32::MAX) + 1), weight: 1 };
        assert_eq!(most.cmp(Cost { cost: 1, weight: 1000 }), Ordering::Greater);
    }
}
