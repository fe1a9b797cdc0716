//! What an exchange asks of a queue, and what it is told: rules, wish, answer.
//!
//! Plain values. In [`crate::Permits`] they become leases and places.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use weir_balance::{Client, KeyHash, Nanos, Rules, Slot};

use crate::{Lease, Live, Member, Millis, Moment, Pool, Waiting};

/// How a service's exchanges wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRules {
    /// The permits of an endpoint that does not say: how many exchanges it serves at once, usually its cores.
    pub capacity: NonZeroU32,
    /// How many more than its permits an endpoint serves when they are small ([`Rules::small`]), while several small ones wait
    /// or none is being served: a small one beside large ones costs them little, and must not wait for one of them to end.
    /// One alone waits for the end of another small one, which is near: that everybody shares the cores is worth less.
    pub extra: u32,
    /// The longest an exchange waits at a stretch.
    pub timeout: Millis,
    /// When for this long, and as long again, nobody was served who had waited for less, only as many may wait as get
    /// through within this time; see [`Pace`]. `None`: as many as [`Rules::max`], however late.
    pub target: Option<Millis>,
    /// Their order, and how many may wait.
    pub order: Rules,
}

/// One exchange's wish for an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The moment it is.
    pub now: Moment,
    /// When the exchange asked for an endpoint for the first time: a retry keeps its place.
    pub arrival: Moment,
    /// When the exchange must be over; it waits until then at most.
    pub deadline: Moment,
    /// What it will cost an endpoint, as far as one can tell.
    pub work: Nanos,
    /// 0 before 1 before 2, with ageing.
    pub class: u8,
    /// Whose share it counts against.
    pub client: Client,
    /// For the hash policies.
    pub key: Option<KeyHash>,
    /// The endpoints that it tried already.
    pub tried: &'a Tried,
}

/// The endpoints that an exchange tried. Not slots, because the endpoint list may change while it waits.
#[derive(Clone, Debug, Default)]
pub struct Tried(Vec<Arc<Live>>);

impl Tried {
    /// None yet.
    pub const EMPTY: Self = Self(Vec::new());

    /// The endpoint of this lease was tried.
    pub fn push(&mut self, lease: &Lease) {
        self.0.push(Arc::clone(&lease.member().live));
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The slots that they have in this pool; none for those it does not list. Allocates only if there are any.
    pub fn slots(&self, pool: &Pool) -> Vec<Slot> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let tried = |member: &Member| self.0.iter().any(|live| Arc::ptr_eq(live, &member.live));
        pool.slots().filter(|&slot| tried(pool.member(slot))).collect()
    }
}

/// What became of a wish.
#[derive(Debug)]
pub enum Answer {
    /// There was room.
    Served(Lease),
    /// There will be.
    Waits(Waiting),
    /// There is no point in waiting.
    Refused(Unserved),
}

/// Why an exchange gets no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// No endpoint admits that it has not tried, however many permits come back.
    NoEndpoint,
    /// The queue is full.
    Full {
        /// When it is worth coming back: what waits will be through by then, at the pace of late. Whole seconds, ≥ 1.
        retry_after: Duration,
    },
    /// The queue is full, and an exchange of a better class, or of a client with fewer waiting, took its place.
    Displaced {
        /// As in [`Unserved::Full`].
        retry_after: Duration,
    },
    /// The queue runs late, and it was the newest of the last class.
    Shed {
        /// As in [`Unserved::Full`].
        retry_after: Duration,
    },
    /// It waited as long as it may.
    TooLate {
        /// As in [`Unserved::Full`].
        retry_after: Duration,
    },
}
