//! What would become of an exchange that asked for an endpoint now.
//!
//! In: a pool, a moment, a key, the work. Out: the endpoint it would be given, or why none. The very code that picks is
//! asked, with the turn that comes next; nothing is counted, taken or used up, so that asking changes no answer.
//! Cost: a pick, or two under a hash policy; with a queue the lock of the service, as an exchange.

use std::sync::Arc;

use weir_balance::{Ask, KeyHash, Latency, Loads, Nanos, Slot, dice};

use crate::lease::LeaseKind;
use crate::pool::Basis;
use crate::{Member, Moment, Pool, Unserved};

/// What would become of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It would be given this endpoint.
    Chosen(Chosen),
    /// No endpoint has room: it would wait behind so many.
    Waits {
        /// Those who wait already.
        ahead: usize,
    },
    /// It would be refused.
    Refused(Unserved),
}

/// An endpoint that would be given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its slot.
    pub slot: Slot,
    /// Why one may be given out at all.
    pub kind: LeaseKind,
    /// Which turn of the service it is; the round-robin policies count by it.
    pub turn: u64,
    /// Under a hash policy and with a key: whose key it is while all endpoints are well and idle.
    pub owner: Option<Slot>,
}

impl Pool {
    /// What would become of an exchange with this key and this much work that asked now.
    pub fn outlook(self: &Arc<Self>, now: Moment, key: Option<KeyHash>, work: Nanos) -> Outlook {
        match self.permits() {
            Some(permits) => permits.outlook(self, now, key, work),
            None => self.outlook_where(now, key, |_| true).unwrap_or(Outlook::Refused(Unserved::NoEndpoint)),
        }
    }

    /// The same among those that have room; `None` when none of them may have it.
    pub(crate) fn outlook_where(
        &self,
        now: Moment,
        key: Option<KeyHash>,
        has_room: impl Fn(&Member) -> bool,
    ) -> Option<Outlook> {
        let turn = self.turn();
        let ask = Ask { turn, dice: dice(self.seed(), turn), key, tried: &[] };
        let (slot, basis) = self.choose(&ask, now, &has_room)?;
        let kind = match basis {
            Basis::LastResort => LeaseKind::LastResort,
            Basis::Admits if self.member(slot).live.is_ejected() => LeaseKind::Trial,
            Basis::Admits | Basis::Unproven => LeaseKind::Normal,
        };
        let owner = key.filter(|_| self.policy().reads_keys()).and_then(|_| self.pick_by(&ask, |_| AllIdle));
        Some(Outlook::Chosen(Chosen { slot, kind, turn, owner }))
    }
}

/// Every endpoint well and idle.
struct AllIdle;

impl Loads for AllIdle {
    fn admits(&self, _: Slot) -> bool {
        true
    }

    fn in_flight(&self, _: Slot) -> u32 {
        0
    }

    fn latency(&self, _: Slot) -> Latency {
        Latency::UNKNOWN
    }
}
