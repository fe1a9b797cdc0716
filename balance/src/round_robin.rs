//! Round robin: in turn, each endpoint once.
//!
//! In: how many endpoints there are. Out: slot `turn % count`, or, if that one does not admit, one drawn evenly from
//! those that do, see `fair.rs`.
//! Cost: build O(1), pick one division and one load read; with endpoints ejected as `fair.rs` says.
//! Weights are not read; configuration refuses a weight other than 1 here and says to write `weighted`.
//! Source: nginx's `ngx_http_upstream_round_robin` without weights, except for the stand-in. Laws: `tests/it/laws.rs`.

use crate::{Ask, Loads, Slot, fair};

/// The count is all there is to know: the schedule is the slots in order.
#[derive(Clone, Debug)]
pub(crate) struct RoundRobin {
    count: u16,
}

impl RoundRobin {
    pub(crate) const fn new(count: u16) -> Self {
        Self { count }
    }

    /// The endpoint whose turn it is, or its stand-in; `None` if none admits.
    pub(crate) fn pick(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<Slot> {
        let length = usize::from(self.count);
        let first = self.slot(fair::due(ask.turn, length))?;
        if ask.may_go_to(first, loads) {
            return Some(first);
        }
        let members = (0..self.count).map(|index| (Slot::new(index), 1));
        let draw = |bits| self.slot(fair::below(bits, length));
        fair::draw_one(ask.turn, draw, members, |slot| ask.may_go_to(slot, loads))
    }

    fn slot(&self, index: usize) -> Option<Slot> {
        u16::try_from(index).ok().filter(|&index| index < self.count).map(Slot::new)
    }
}
