//! Least connections: the endpoint with the fewest (in flight + 1) / weight.
//!
//! In: weights, and the in-flight counts of the moment. Out: the least loaded endpoint that admits; equals take turns.
//! Cost: O(endpoints), one scan, and half of another one where several are equal; four bytes per endpoint.
//! Why + 1: it is the load *after* this exchange, so that of two idle endpoints the heavier one gets it.
//! Why turns are counted among the equals only: to start the scan at `turn` would give the neighbour of a busy or
//! ejected endpoint two shares.
//! Source: nginx's `least_conn` and `HAProxy`'s `leastconn`, which weigh the same way. Laws: `tests/it/laws.rs`.

use crate::{Ask, Loads, Slot, fair};

/// The endpoints with their weights.
#[derive(Clone, Debug)]
pub(crate) struct LeastConnections {
    members: Box<[(Slot, u16)]>,
}

/// A fraction (in flight + 1) / weight, compared by cross multiplication: exact, and no division.
#[derive(Clone, Copy)]
struct Load {
    held: u64,
    weight: u64,
}

impl Load {
    fn of(slot: Slot, weight: u16, loads: &impl Loads) -> Self {
        Self { held: u64::from(loads.in_flight(slot)) + 1, weight: u64::from(weight) }
    }

    /// Both products fit: 2^32 × 1000.
    fn cmp(self, other: Self) -> std::cmp::Ordering {
        (self.held * other.weight).cmp(&(other.held * self.weight))
    }
}

impl LeastConnections {
    pub(crate) const fn build(members: Box<[(Slot, u16)]>) -> Self {
        Self { members }
    }

    /// The least loaded endpoint that admits; `None` if none does.
    pub(crate) fn pick(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<Slot> {
        let mut best = None;
        // A weight of zero makes it infinitely loaded: worse than any endpoint.
        let mut least = Load { held: 1, weight: 0 };
        let mut equals = 0;
        for &(slot, weight) in &self.members {
            if !ask.may_go_to(slot, loads) {
                continue;
            }
            let load = Load::of(slot, weight, loads);
            match load.cmp(least) {
                std::cmp::Ordering::Less => (best, least, equals) = (Some(slot), load, 1),
                std::cmp::Ordering::Equal => equals += 1,
                std::cmp::Ordering::Greater => {}
            }
        }
        let rank = fair::due(ask.turn, equals);
        if rank == 0 {
            return best;
        }
        let equal = |&&(slot, weight): &&(Slot, u16)| {
            ask.may_go_to(slot, loads) && Load::of(slot, weight, loads).cmp(least).is_eq()
        };
        // Other exchanges come and go between the two scans, so there may be fewer equals by now.
        self.members.iter().filter(equal).nth(rank).map(|&(slot, _)| slot).or(best)
    }
}
