//! Which endpoints of a service get less than their share because they came a short time ago.
//!
//! In: when each began to serve, the time that a slow start takes. Out: a [`Ramp`] for each, as long as there is one.
//! Cost: one load a pick while none ramps; nothing for services without slow start.
//! An endpoint begins to serve when it joins, when its first probe succeeds, and when it is restored. The first fleet begins
//! as well: all of it, so that who is found a moment later than the others is not left behind; see `weir_balance::Ramp`.

use std::num::NonZeroU32;
use std::sync::Arc;
// Not the model checker's: nothing is decided by when a moment is seen, and each of its steps would double the cases.
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use weir_balance::{Nanos, Ramp};

use crate::{Live, Member, Millis, Moment, Tier};

/// When an endpoint of a service last began to serve. Shared by the endpoints of the service.
#[derive(Debug, Default)]
pub struct Starts(AtomicU64);

impl Starts {
    /// None ever began.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn began(&self, now: Moment) {
        self.0.fetch_max(now.as_nanos(), Relaxed);
    }
}

/// When one endpoint began to serve.
#[derive(Debug, Default)]
pub(crate) struct Began(AtomicU64);

impl Began {
    pub(crate) fn set(&self, now: Moment) {
        self.0.store(now.as_nanos(), Relaxed);
    }

    /// Moment zero if it was never set.
    pub(crate) fn get(&self) -> Moment {
        // Relaxed, because the ramp that follows from it is a hint, as loads are.
        Moment::from_nanos(self.0.load(Relaxed))
    }
}

/// The slow start of a service.
#[derive(Clone, Debug)]
pub struct SlowStart {
    /// How long it takes until an endpoint gets its whole share.
    pub span: Millis,
    /// Of the endpoints of the service.
    pub starts: Arc<Starts>,
}

impl SlowStart {
    pub(crate) fn percent(&self, now: Moment, members: &[Member]) -> Percent {
        Percent(self.at(now).map(|ramps| ramps.furthest(members)))
    }

    /// `None` when all endpoints have served for long enough.
    pub(crate) fn at(&self, now: Moment) -> Option<Ramps> {
        let newest = Moment::from_nanos(self.starts.0.load(Relaxed));
        let ramping = now.since(newest) < self.span.duration();
        ramping.then(|| Ramps { now, span: Nanos::from_millis(self.span.get()) })
    }
}

/// A moment at which endpoints ramp.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ramps {
    now: Moment,
    span: Nanos,
}

impl Ramps {
    pub(crate) fn of(self, live: &Live) -> Ramp {
        let age = self.now.since(live.began()).as_nanos();
        Ramp::of(Nanos(u64::try_from(age).unwrap_or(u64::MAX)), self.span)
    }

    /// How far they are that serve: permits are parted relative to the furthest of a tier.
    pub(crate) fn furthest(self, members: &[Member]) -> Furthest {
        let same = members.chunk_by(|one, other| one.tier == other.tier);
        let most =
            |tier: &[Member]| tier.iter().filter(|member| serves(member)).map(|member| self.of(&member.live)).max();
        let tiers = same.filter_map(|tier| Some((tier.first()?.tier, most(tier)?))).collect();
        Furthest { ramps: self, tiers }
    }
}

fn serves(member: &Member) -> bool {
    !member.drained && !member.live.is_ejected()
}

/// The furthest endpoint of each tier.
#[derive(Debug)]
pub(crate) struct Furthest {
    ramps: Ramps,
    tiers: Vec<(Tier, Ramp)>,
}

impl Furthest {
    /// What an endpoint of this capacity has of it, at least one.
    pub(crate) fn part_of(&self, capacity: NonZeroU32, member: &Member) -> NonZeroU32 {
        let most = self.tiers.iter().find(|(tier, _)| *tier == member.tier).map_or(Ramp::FULL, |tier| tier.1);
        let part = self.ramps.of(&member.live).part_of(capacity.get(), most);
        NonZeroU32::new(part).unwrap_or(NonZeroU32::MIN)
    }
}

/// How much of its share each endpoint of a service gets.
#[derive(Debug)]
pub struct Percent(Option<Furthest>);

impl Percent {
    /// 1 to 100, next to the endpoint of its tier that is furthest; 100 of one that is ejected or drained, for that is not
    /// what holds it back.
    pub fn of(&self, member: &Member) -> u32 {
        const ALL: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
        let furthest = self.0.as_ref().filter(|_| serves(member));
        furthest.map_or(ALL, |furthest| furthest.part_of(ALL, member)).get()
    }
}
