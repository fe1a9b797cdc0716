//! A service at run time: its endpoints with their live state, and the table its policy built.
//!
//! In: [`PoolParts`]. Out: leases. Cost: a lease is one `fetch_add` for the turn, the policy's pick, one `fetch_add` for
//! the count and one for the pool's `Arc`; no allocation, no lock.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use weir_balance::{Ask, Endpoint, Endpoints, EndpointsError, KeyHash, Loads, Policy, Selector, Slot, Weight};

use crate::lease::{Hold, Lease};
use crate::live::{Admission, Live};
use crate::sync::AtomicU64;
use crate::sync::Ordering::Relaxed;
use crate::{Answer, HealthRules, Moment, Permits, WhenAllEjected, Wish};

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
    /// Exchanges that it wants at most at once, when it or the configuration says so.
    pub capacity: Option<NonZeroU32>,
    /// The state that all snapshots share.
    pub live: Arc<Live>,
}

/// What a pool is made of.
#[derive(Debug)]
pub struct PoolParts {
    /// The service's name.
    pub service: Arc<str>,
    /// The choice as configured.
    pub policy: Policy,
    /// The endpoints, in the order that slots count them.
    pub members: Vec<Member>,
    /// How endpoints are found broken and well again.
    pub health: Arc<HealthRules>,
    /// What happens when all endpoints that are not drained are ejected.
    pub when_all_ejected: WhenAllEjected,
    /// Counts the picks. Shared by the snapshots of a service, so that a reload does not begin the cycle anew.
    pub turn: Arc<AtomicU64>,
}

/// A service at run time. Immutable but for the live state of its members.
pub struct Pool {
    service: Arc<str>,
    policy: Policy,
    selector: Selector,
    members: Box<[Member]>,
    health: Arc<HealthRules>,
    when_all_ejected: WhenAllEjected,
    turn: Arc<AtomicU64>,
    permits: Option<Arc<Permits>>,
}

impl Pool {
    /// Builds the policy's table; costs what [`Selector::build`] costs.
    ///
    /// # Errors
    /// [`EndpointsError`] when there are too many members, or two share a label.
    pub fn new(parts: PoolParts) -> Result<Self, EndpointsError> {
        let PoolParts { service, policy, members, health, when_all_ejected, turn } = parts;
        let endpoints =
            members.iter().map(|member| Endpoint { identity: (&*member.label).into(), weight: member.weight });
        let selector = Selector::build(&policy, &Endpoints::new(endpoints.collect())?);
        Ok(Self { service, policy, selector, members: members.into(), health, when_all_ejected, turn, permits: None })
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
    /// once `window` has passed since its ejection or its last failed trial. When all are ejected, what
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
        let untried = |slot: &Slot| !tried.contains(slot);
        let admitting = Admitting { pool: self, now, has_room: |_: &Member| true };
        let last_resort = || {
            self.when_all_ejected == WhenAllEjected::TryAll
                && self.all_ejected()
                && self.slots().filter(untried).any(|slot| !self.member(slot).drained)
        };
        self.slots().filter(untried).any(|slot| admitting.admits(slot)) || last_resort()
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
        let ask = Ask { turn: self.turn.fetch_add(1, Relaxed), key, tried };
        let admitting = Admitting { pool: self, now, has_room: &has_room };
        // Goes round again only when another thread turned a verdict, or took a trial, since the pick.
        loop {
            if let Some(slot) = self.selector.pick(&ask, &admitting) {
                match self.hold(slot, now) {
                    Some(hold) => return Some(Lease::new(Arc::clone(self), slot, hold)),
                    None => continue,
                }
            }
            if self.all_ejected() {
                let slot = match self.when_all_ejected {
                    WhenAllEjected::TryAll => {
                        self.selector.pick(&ask, &Undrained { pool: self, has_room: &has_room })?
                    }
                    WhenAllEjected::Refuse => return None,
                };
                return Some(Lease::new(Arc::clone(self), slot, Hold::LastResort));
            }
            // An endpoint that was restored between the pick and here must not end in a refusal.
            if !self.slots().any(|slot| !tried.contains(&slot) && admitting.admits(slot)) {
                return None;
            }
        }
    }

    fn hold(&self, slot: Slot, now: Moment) -> Option<Hold> {
        let live = &self.member(slot).live;
        match live.admission(now, &self.health) {
            Admission::Healthy => Some(Hold::Normal),
            Admission::TrialDue(ticket) => live.take_trial(ticket).map(Hold::Trial),
            Admission::Ejected => None,
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

/// Those that take an exchange in the ordinary way, or as a trial.
struct Admitting<'a, F> {
    pool: &'a Pool,
    now: Moment,
    has_room: F,
}

impl<F: Fn(&Member) -> bool> Loads for Admitting<'_, F> {
    fn admits(&self, slot: Slot) -> bool {
        let member = self.pool.member(slot);
        !member.drained
            && !matches!(member.live.admission(self.now, &self.pool.health), Admission::Ejected)
            && (self.has_room)(member)
    }

    fn in_flight(&self, slot: Slot) -> u32 {
        self.pool.member(slot).live.in_flight()
    }
}

/// Those that may be tried when all are ejected.
struct Undrained<'a, F> {
    pool: &'a Pool,
    has_room: F,
}

impl<F: Fn(&Member) -> bool> Loads for Undrained<'_, F> {
    fn admits(&self, slot: Slot) -> bool {
        let member = self.pool.member(slot);
        !member.drained && (self.has_room)(member)
    }

    fn in_flight(&self, slot: Slot) -> u32 {
        self.pool.member(slot).live.in_flight()
    }
}
