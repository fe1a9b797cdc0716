//! Which endpoints of a service get less than their share because they came a short time ago.
//!
//! In: when each began to serve, the time that a slow start takes. Out: a [`Ramp`] for each, as long as there is one.
//! Cost: one load a pick while none ramps; nothing for services without slow start.
//! An endpoint begins to serve when it joins, when its first probe succeeds, and when it is restored. The first fleet begins
//! as well: all of it, so that who is found a moment later than the others is not left behind; see `weir_balance::Ramp`.

use std::num::NonZeroU32;
use std::sync::{Arc, Weak};
// Not the model checker's: nothing is decided by when a moment is seen, and each of its steps would double the cases.
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use weir_balance::{Nanos, Ramp};

use crate::{Live, Member, Millis, Moment, Pool, Tier};

/// When an endpoint of a service last began to serve. Shared by the endpoints of the service.
#[derive(Debug, Default)]
pub struct Starts {
    newest: AtomicU64,
    /// Counts the beginnings, ejections and returns, each after it was made.
    changes: AtomicU64,
}

impl Starts {
    /// None ever began.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn began(&self, now: Moment) {
        self.newest.fetch_max(now.as_nanos(), Relaxed);
        self.changed();
    }

    /// An endpoint began to serve, was ejected or came back.
    pub(crate) fn changed(&self) {
        // Release, so that who reads the count sees what was counted.
        self.changes.fetch_add(1, Release);
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
        let furthest = || Furthest { began: first_of_tiers(members).collect(), ..Furthest::default() };
        Percent(self.at(now).map(|ramps| (ramps, furthest())))
    }

    /// `None` when all endpoints have served for long enough.
    pub(crate) fn at(&self, now: Moment) -> Option<Ramps> {
        let newest = Moment::from_nanos(self.starts.newest.load(Relaxed));
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
        self.from(live.began())
    }

    fn from(self, began: Moment) -> Ramp {
        let age = self.now.since(began).as_nanos();
        Ramp::of(Nanos(u64::try_from(age).unwrap_or(u64::MAX)), self.span)
    }

    /// When who began then is so far.
    fn reached(self, began: Moment, ramp: Ramp) -> Moment {
        began.after(Duration::from_nanos(ramp.age(self.span).0))
    }
}

/// When the first of those began that serve, of each tier: permits are parted relative to the furthest of a tier. Kept
/// until one of them begins, comes back or is ejected, so that nobody looks at all of them for each permit.
#[derive(Debug, Default)]
pub(crate) struct Furthest {
    /// Weak, but as long as it is here no other pool has its address.
    pool: Weak<Pool>,
    changes: u64,
    /// Sorted, as the endpoints of a pool are.
    began: Vec<(Tier, Moment)>,
}

impl Furthest {
    /// Makes it true of this pool. Cost: two loads while nothing has changed, else one look at each endpoint.
    pub(crate) fn refresh(&mut self, pool: &Arc<Pool>) {
        let Some(slow_start) = pool.slow_start() else { return };
        // Before the endpoints are looked at: what changes meanwhile is looked at again.
        let changes = slow_start.starts.changes.load(Acquire);
        if self.changes == changes && self.pool.as_ptr() == Arc::as_ptr(pool) {
            return;
        }
        self.began.clear();
        self.began.extend(first_of_tiers(pool.members()));
        (self.pool, self.changes) = (Arc::downgrade(pool), changes);
    }

    /// What an endpoint of this capacity has of it, at least one.
    pub(crate) fn part_of(&self, ramps: Ramps, capacity: NonZeroU32, member: &Member) -> NonZeroU32 {
        let part = ramps.of(&member.live).part_of(capacity.get(), self.most(ramps, member));
        NonZeroU32::new(part).unwrap_or(NonZeroU32::MIN)
    }

    /// When it has more than so many of its capacity, which are fewer than all: not before, and not long after unless the
    /// furthest one still grows as well.
    pub(crate) fn exceeds(&self, ramps: Ramps, capacity: u32, member: &Member, than: u32) -> Moment {
        let ramp = Ramp::exceeding(than, capacity, self.most(ramps, member));
        ramps.reached(member.live.began(), ramp)
    }

    fn most(&self, ramps: Ramps, member: &Member) -> Ramp {
        let at = self.began.binary_search_by_key(&member.tier, |(tier, _)| *tier);
        at.ok().and_then(|at| self.began.get(at)).map_or(Ramp::FULL, |(_, began)| ramps.from(*began))
    }
}

fn serves(member: &Member) -> bool {
    !member.drained && !member.live.is_ejected()
}

/// When the first of each tier began, of those that serve.
fn first_of_tiers(members: &[Member]) -> impl Iterator<Item = (Tier, Moment)> {
    let same = members.chunk_by(|one, other| one.tier == other.tier);
    let first = |tier: &[Member]| tier.iter().filter(|member| serves(member)).map(|member| member.live.began()).min();
    same.filter_map(move |tier| Some((tier.first()?.tier, first(tier)?)))
}

/// How much of its share each endpoint of a service gets.
#[derive(Debug)]
pub struct Percent(Option<(Ramps, Furthest)>);

impl Percent {
    /// 1 to 100, next to the endpoint of its tier that is furthest; 100 of one that is ejected or drained, for that is not
    /// what holds it back.
    pub fn of(&self, member: &Member) -> u32 {
        const ALL: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
        let furthest = self.0.as_ref().filter(|_| serves(member));
        furthest.map_or(ALL, |(ramps, furthest)| furthest.part_of(*ramps, ALL, member)).get()
    }
}
