//! Which endpoints have room for one more exchange, and when time alone makes some.
//!
//! In: rules, a pool, a moment. Out: whether an endpoint has a permit left, whether any has, and if none has, from when on
//! one may have, although nothing happens: it ramps up, was busy until then, or is tried again after an ejection.
//! Cost: O(1) for one endpoint; O(n) loads for all of them, no allocation. Only under the lock of the service's permits.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::slow_start::{Furthest, Ramps};
use crate::{Member, Moment, Pool, QueueRules};

/// The room that rules leave at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rooms<'a> {
    now: Moment,
    capacity: NonZeroU32,
    extra: u32,
    /// While any endpoint ramps.
    ramps: Option<(Ramps, &'a Furthest)>,
}

/// What a look at all endpoints finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// One has room, if only for a small exchange.
    Room,
    /// None has, whoever asks; nor before this moment, unless something happens.
    Full(Option<Moment>),
}

/// How one endpoint stands.
#[derive(Clone, Copy, Default)]
struct Standing {
    /// It has room, if only for a small exchange.
    room: bool,
    /// When time alone gives it room, or more of it.
    opens: Option<Moment>,
}

impl<'a> Rooms<'a> {
    /// For the endpoints of this pool; `beside`: whether a small one may be served beside their permits.
    pub(crate) fn new(
        rules: &QueueRules,
        beside: bool,
        pool: &Arc<Pool>,
        now: Moment,
        furthest: &'a mut Furthest,
    ) -> Self {
        let ramps = pool.ramps(now).map(|ramps| {
            furthest.refresh(pool);
            (ramps, &*furthest)
        });
        let extra = if beside { rules.extra } else { 0 };
        Self { now, capacity: rules.capacity, extra, ramps }
    }

    /// The moment that this is about.
    pub(crate) fn now(&self) -> Moment {
        self.now
    }

    /// Whether the endpoint has a permit left for an exchange that is small, or is not.
    #[inline]
    pub(crate) fn has(&self, member: &Member, small: bool) -> bool {
        let extra = if small { self.extra } else { 0 };
        member.live.permits() < self.capacity(member).get().saturating_add(extra)
    }

    /// Whether any endpoint has a permit left for anybody; stops at the first.
    pub(crate) fn look(&self, pool: &Pool) -> Look {
        let (mut opens, mut last_resort) = (None, None);
        for member in pool.members() {
            let standing = self.standing(pool, member, &mut last_resort);
            if standing.room {
                return Look::Room;
            }
            opens = sooner(opens, standing.opens);
        }
        Look::Full(opens)
    }

    /// From when on there may be more room than now, unless something happens before.
    pub(crate) fn opens(&self, pool: &Pool) -> Option<Moment> {
        let mut last_resort = None;
        let members = pool.members().iter();
        members.fold(None, |opens, member| sooner(opens, self.standing(pool, member, &mut last_resort).opens))
    }

    /// How many it serves at once now.
    #[inline]
    fn capacity(&self, member: &Member) -> NonZeroU32 {
        let whole = member.capacity.unwrap_or(self.capacity);
        let grown = match self.ramps {
            None => whole,
            Some((ramps, furthest)) => furthest.part_of(ramps, whole, member),
        };
        member.live.lowered(grown, self.now)
    }

    /// `last_resort`: whether even ejected ones are given out, once it is known.
    #[inline]
    fn standing(&self, pool: &Pool, member: &Member, last_resort: &mut Option<bool>) -> Standing {
        let whole = member.capacity.unwrap_or(self.capacity).get();
        let held = member.live.permits();
        // The usual case while somebody waits: all is taken that there can be.
        if member.drained || held >= whole.saturating_add(self.extra) {
            return Standing::default();
        }
        let now = self.capacity(member).get();
        let room = held < now.saturating_add(self.extra);
        let grows = if held < now { None } else { self.grows(member, whole, held - if room { 0 } else { self.extra }) };
        if !pool.turns_away(member, self.now) || *last_resort.get_or_insert_with(|| pool.is_last_resort()) {
            return Standing { room, opens: grows };
        }
        // Without a trial to come a probe or an exchange will tell.
        let trial = member.live.trial_from(pool.health());
        let opens = if room { trial } else { trial.zip(grows).map(|(trial, grows)| trial.max(grows)) };
        Standing { room: false, opens }
    }

    /// When the capacity comes to be more than this many by time alone; `None` if it never does.
    fn grows(&self, member: &Member, whole: u32, than: u32) -> Option<Moment> {
        if whole <= than {
            return None;
        }
        let grown = self.ramps.map(|(ramps, furthest)| furthest.exceeds(ramps, whole, member, than));
        let raised = member.live.lowered_to(self.now).filter(|(lowered, _)| *lowered <= than).map(|(_, until)| until);
        grown.max(raised).filter(|at| *at > self.now)
    }
}

fn sooner(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    one.into_iter().chain(other).min()
}
