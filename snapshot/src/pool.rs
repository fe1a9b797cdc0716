//! A service at run time: its endpoints with their live state, and the table its policy built.
//!
//! In: [`PoolParts`]. Out: leases. Cost: a lease is one `fetch_add` for the turn, the policy's pick, one `fetch_add` for
//! the count and one for the pool's `Arc`; no allocation, no lock.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use weir_balance::{
    Ask, Endpoint, Endpoints, EndpointsError, KeyHash, Latency, Loads, Policy, Ramp, Selector, Slot, Weight, dice,
};

use crate::lease::{Hold, Lease};
use crate::live::{Admission, Live};
use crate::slow_start::{Percent, Ramps};
use crate::sync::AtomicU64;
use crate::sync::Ordering::Relaxed;
use crate::{Answer, HealthRules, Moment, Permits, SlowStart, WhenAllEjected, Wish};

/// Rank among the endpoints of a service: one is picked only when no endpoint of a lower tier admits. Numbers need not be
/// dense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tier(pub u16);

impl Tier {
    /// Serves always.
    pub const PRIMARY: Self = Self(0);
    /// After all others.
    pub const BACKUP: Self = Self(u16::MAX);
}

/// What configuration and sources say of an endpoint that an operator says otherwise of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Believed {
    /// Share of traffic.
    pub weight: Weight,
    /// Whether it gets no new exchanges.
    pub drained: bool,
}

/// One endpoint of a pool.
#[derive(Clone, Debug)]
pub struct Member {
    /// Where it listens.
    pub address: SocketAddr,
    /// The address as text, for logs and metrics.
    pub label: Arc<str>,
    /// Share of traffic.
    pub weight: Weight,
    /// Gets no new exchanges, by the operator's wish; outlasts every verdict.
    pub drained: bool,
    /// What is believed beneath an operator's override; `None` when there is no override.
    pub believed: Option<Believed>,
    /// Whether it serves always, or only when those before it cannot.
    pub tier: Tier,
    /// Exchanges that it wants at most at once, when it or the configuration says so.
    pub capacity: Option<NonZeroU32>,
    /// Which of those that were at this address one after the other: a connection to another one is not used for it.
    pub generation: u64,
    /// The state that all snapshots share.
    pub live: Arc<Live>,
}

impl Member {
    /// A primary one of weight 1, not drained, the first at its address.
    pub fn new(address: SocketAddr, live: Arc<Live>) -> Self {
        Self {
            address,
            label: address.to_string().into(),
            weight: Weight::ONE,
            drained: false,
            believed: None,
            tier: Tier::PRIMARY,
            capacity: None,
            generation: 0,
            live,
        }
    }
}

/// What a pool is made of.
#[derive(Debug)]
pub struct PoolParts {
    /// The service's name.
    pub service: Arc<str>,
    /// The choice as configured.
    pub policy: Policy,
    /// The endpoints; slots count them in this order, those of lower tiers first.
    pub members: Vec<Member>,
    /// How endpoints are found broken and well again.
    pub health: Arc<HealthRules>,
    /// What happens when all endpoints that are not drained are ejected.
    pub when_all_ejected: WhenAllEjected,
    /// Counts the picks. Shared by the snapshots of a service, so that a reload does not begin the cycle anew.
    pub turn: Arc<AtomicU64>,
    /// Whether an endpoint that joins or comes back gets less than its share for a while. Its state must know of the same
    /// starts: [`Live::of_service`].
    pub slow_start: Option<SlowStart>,
}

/// A service at run time. Immutable but for the live state of its members.
pub struct Pool {
    service: Arc<str>,
    policy: Policy,
    /// In ascending order; one in most pools, none in an empty one.
    tiers: Box<[Rank]>,
    members: Box<[Member]>,
    health: Arc<HealthRules>,
    when_all_ejected: WhenAllEjected,
    turn: Arc<AtomicU64>,
    /// What dice are made from. Another in each process, so that several in front of one fleet do not draw alike.
    seed: u64,
    slow_start: Option<SlowStart>,
    permits: Option<Arc<Permits>>,
}

/// By what right an endpoint is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// It admits: it is healthy, or its trial is due.
    Admits,
    /// None admits, and its first probe is still out.
    Unproven,
    /// All are ejected, and the service prefers that to refusing.
    LastResort,
}

/// The endpoints of one tier: their table, which counts slots from zero, and the slot of the first of them.
struct Rank {
    selector: Selector,
    first: u16,
}

impl Pool {
    /// Builds the policy's table for each tier; costs what [`Selector::build`] costs.
    ///
    /// # Errors
    /// [`EndpointsError`] when there are too many members, or two share a label.
    pub fn new(parts: PoolParts) -> Result<Self, EndpointsError> {
        let PoolParts { service, policy, mut members, health, when_all_ejected, turn, slow_start } = parts;
        members.sort_by_key(|member| member.tier);
        // All together first: no two may share a label across tiers either, and there must be a slot for each.
        Endpoints::new(members.iter().map(endpoint).collect())?;
        let mut tiers = Vec::new();
        let mut first = 0;
        for same in members.chunk_by(|one, other| one.tier == other.tier) {
            let selector = Selector::build(&policy, &Endpoints::new(same.iter().map(endpoint).collect())?);
            tiers.push(Rank { selector, first });
            first += u16::try_from(same.len()).unwrap_or_default();
        }
        let (tiers, members) = (tiers.into(), members.into());
        // The standard library's hashers are seeded by the operating system, each in another way.
        let seed = RandomState::new().hash_one(());
        Ok(Self { service, policy, tiers, members, health, when_all_ejected, turn, seed, slow_start, permits: None })
    }

    /// The same for a service whose exchanges wait for permits: lease with [`Pool::ask`]. `permits` are shared by the
    /// snapshots of the service, as `turn` is.
    ///
    /// # Errors
    /// As [`Pool::new`].
    pub fn queued(parts: PoolParts, permits: Arc<Permits>) -> Result<Self, EndpointsError> {
        Self::new(parts).map(|pool| Self { permits: Some(permits), ..pool })
    }

    /// The permits of its endpoints, if the service has a queue.
    pub fn permits(&self) -> Option<&Arc<Permits>> {
        self.permits.as_ref()
    }

    /// The service's name.
    pub fn service(&self) -> &Arc<str> {
        &self.service
    }

    /// The choice as configured.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The endpoints, in slot order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The endpoint in this slot.
    ///
    /// # Panics
    /// When the slot is from another pool and past the end of this one.
    pub fn member(&self, slot: Slot) -> &Member {
        &self.members[slot.index()]
    }

    /// How endpoints are found broken and well again.
    pub fn health(&self) -> &Arc<HealthRules> {
        &self.health
    }

    /// What happens when [`Pool::all_ejected`].
    pub fn when_all_ejected(&self) -> WhenAllEjected {
        self.when_all_ejected
    }

    /// Whether every endpoint that is not drained is ejected; false when none is left to eject.
    pub fn all_ejected(&self) -> bool {
        let mut undrained = self.members.iter().filter(|member| !member.drained).peekable();
        undrained.peek().is_some() && undrained.all(|member| member.live.is_ejected())
    }

    /// Picks an endpoint that admits and is not in `tried`, and counts the exchange on it.
    ///
    /// Admits: healthy and not drained; without a configured probe also an ejected one, for one trial exchange at a time,
    /// once `window` has passed since its ejection or its last failed trial. An endpoint of a higher tier only when none
    /// of a lower one does; one that waits for its first probe only when no other does. When all are ejected, what
    /// [`WhenAllEjected`] says. `key` is for the hash policies. `None`: nobody admits, or all that do were tried.
    ///
    /// Two picks at the same instant may both see the count before either raised it; every later one sees both.
    pub fn lease(self: &Arc<Self>, now: Moment, key: Option<KeyHash>, tried: &[Slot]) -> Option<Lease> {
        self.lease_where(now, key, tried, |_| true)
    }

    /// A lease with a permit of its endpoint, or a place in the queue for one. A service without a queue answers as
    /// [`Pool::lease`] does. The lease may be on an endpoint of a newer snapshot's pool: go on with [`Lease::pool`].
    pub fn ask(self: &Arc<Self>, wish: &Wish<'_>) -> Answer {
        if let Some(permits) = &self.permits {
            return permits.ask(self, wish);
        }
        let lease = self.lease(wish.now, wish.key, &wish.tried.slots(self));
        lease.map_or(Answer::Refused(crate::Unserved::NoEndpoint), Answer::Served)
    }

    /// Whether an endpoint would take this exchange, were no permit out.
    pub(crate) fn might_serve(&self, now: Moment, tried: &[Slot]) -> bool {
        let rest = self.slots().filter(|slot| !tried.contains(slot)).map(|slot| self.member(slot));
        let mut undrained = rest.filter(|member| !member.drained).peekable();
        let last_resort =
            undrained.peek().is_some() && self.when_all_ejected == WhenAllEjected::TryAll && self.all_ejected();
        last_resort || undrained.any(|member| !matches!(member.live.admission(now, &self.health), Admission::Ejected))
    }

    /// The same among those that have room.
    pub(crate) fn lease_where(
        self: &Arc<Self>,
        now: Moment,
        key: Option<KeyHash>,
        tried: &[Slot],
        has_room: impl Fn(&Member) -> bool,
    ) -> Option<Lease> {
        // Relaxed, because only the number matters: each pick gets its own.
        let turn = self.turn.fetch_add(1, Relaxed);
        let ask = Ask { turn, dice: dice(self.seed, turn), key, tried };
        // Goes round again only when another thread turned a verdict, or took a trial, since the choice.
        loop {
            let (slot, hold) = match self.choose(&ask, now, &has_room) {
                Some((slot, Basis::Admits)) => match self.hold(slot, now) {
                    Some(hold) => (slot, hold),
                    None => continue,
                },
                Some((slot, Basis::Unproven)) => (slot, Hold::Normal),
                Some((slot, Basis::LastResort)) => (slot, Hold::LastResort),
                // An endpoint that was restored between the choice and here must not end in a refusal.
                None if self.slots().any(|slot| !tried.contains(&slot) && self.admits(slot, now, &has_room)) => {
                    continue;
                }
                None => return None,
            };
            return Some(Lease::new(Arc::clone(self), slot, hold, now));
        }
    }

    /// Which endpoint an exchange gets, and by what right. Changes nothing.
    #[inline]
    pub(crate) fn choose(
        &self,
        ask: &Ask<'_>,
        now: Moment,
        has_room: &impl Fn(&Member) -> bool,
    ) -> Option<(Slot, Basis)> {
        let undrained = |member: &Member| !member.drained && has_room(member);
        let admits = |member: &Member| {
            undrained(member)
                && matches!(member.live.admission(now, &self.health), Admission::Healthy | Admission::TrialDue(_))
        };
        let unproven = |member: &Member| {
            undrained(member) && matches!(member.live.admission(now, &self.health), Admission::Unproven)
        };
        if let Some(slot) = self.pick(ask, now, self.ramps(now), &admits) {
            return Some((slot, Basis::Admits));
        }
        if let Some(slot) = self.pick(ask, now, None, &unproven) {
            return Some((slot, Basis::Unproven));
        }
        if self.when_all_ejected == WhenAllEjected::TryAll && self.all_ejected() {
            return self.pick(ask, now, None, &undrained).map(|slot| (slot, Basis::LastResort));
        }
        None
    }

    fn admits(&self, slot: Slot, now: Moment, has_room: &impl Fn(&Member) -> bool) -> bool {
        let member = self.member(slot);
        let admission = member.live.admission(now, &self.health);
        !member.drained && has_room(member) && matches!(admission, Admission::Healthy | Admission::TrialDue(_))
    }

    /// The policy's choice in the lowest tier that has one.
    fn pick(
        &self,
        ask: &Ask<'_>,
        now: Moment,
        ramps: Option<Ramps>,
        admits: &impl Fn(&Member) -> bool,
    ) -> Option<Slot> {
        self.pick_by(ask, |members| Those { members, now, ramps, admits })
    }

    /// The same by loads that are made of the endpoints from the first of a tier on.
    #[inline]
    pub(crate) fn pick_by<'a, L: Loads>(&'a self, ask: &Ask<'_>, loads: impl Fn(&'a [Member]) -> L) -> Option<Slot> {
        self.tiers.iter().find_map(|tier| {
            let tried = tier.tried(ask.tried, self.tiers.len());
            let loads = loads(self.members.get(usize::from(tier.first)..)?);
            let slot = tier.selector.pick(&Ask { tried: &tried, ..*ask }, &loads)?;
            u16::try_from(slot.index()).ok()?.checked_add(tier.first).map(Slot::new)
        })
    }

    /// The turn that comes next.
    pub(crate) fn turn(&self) -> u64 {
        self.turn.load(Relaxed)
    }

    /// What dice are made from.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// How much of its share each endpoint gets; `None` for a service without slow start. For status pages, not for
    /// requests: it looks at every endpoint.
    pub fn slow_start(&self, now: Moment) -> Option<Percent> {
        Some(self.slow_start.as_ref()?.percent(now, &self.members))
    }

    /// How far endpoints are that came a short time ago; `None` while there are none.
    pub(crate) fn ramps(&self, now: Moment) -> Option<Ramps> {
        self.slow_start.as_ref()?.at(now)
    }

    fn hold(&self, slot: Slot, now: Moment) -> Option<Hold> {
        let live = &self.member(slot).live;
        match live.admission(now, &self.health) {
            Admission::Healthy => Some(Hold::Normal),
            Admission::TrialDue(ticket) => live.take_trial(ticket).map(Hold::Trial),
            Admission::Ejected | Admission::Unproven => None,
        }
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> {
        // `Endpoints::new` has seen to it that there are no more than a u16 counts.
        (0..u16::try_from(self.members.len()).unwrap_or(u16::MAX)).map(Slot::new)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("service", &self.service)
            .field("policy", &self.policy)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

impl Rank {
    /// Slots of the pool as this tier's table counts them; those of other tiers are left out.
    fn tried<'a>(&self, tried: &'a [Slot], tiers: usize) -> Cow<'a, [Slot]> {
        if tiers == 1 || tried.is_empty() {
            return Cow::Borrowed(tried);
        }
        let here = tried.iter().filter_map(|slot| u16::try_from(slot.index()).ok()?.checked_sub(self.first));
        Cow::Owned(here.map(Slot::new).collect())
    }
}

fn endpoint(member: &Member) -> Endpoint {
    Endpoint { identity: (&*member.label).into(), weight: member.weight }
}

/// The endpoints from the first of a tier on, and which of them may be picked.
struct Those<'a, F> {
    members: &'a [Member],
    now: Moment,
    ramps: Option<Ramps>,
    admits: &'a F,
}

impl<F: Fn(&Member) -> bool> Loads for Those<'_, F> {
    fn admits(&self, slot: Slot) -> bool {
        (self.admits)(&self.members[slot.index()])
    }

    fn in_flight(&self, slot: Slot) -> u32 {
        self.members[slot.index()].live.in_flight()
    }
    fn latency(&self, slot: Slot) -> Latency {
        self.members[slot.index()].live.latency(self.now)
    }
    fn ramping(&self) -> bool {
        self.ramps.is_some()
    }
    fn ramp(&self, slot: Slot) -> Ramp {
        self.ramps.map_or(Ramp::FULL, |ramps| ramps.of(&self.members[slot.index()].live))
    }
}
