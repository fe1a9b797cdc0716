//! The permits of one service, and those who wait for one.
//!
//! In: a [`Wish`] per exchange. Out: a [`Lease`] that holds one of its endpoint's permits, a place to wait for it, or why
//! not. A permit is a lease under a cap: an endpoint never serves more than its capacity, and who comes when all are
//! taken waits here, in one queue per service, for whichever endpoint has room first (late binding).
//!
//! One lock per service with a queue; services without one never come here. Every change happens under it, so that
//! three things hold between any two of its holders: an endpoint has no more permits out than its capacity; nobody is in
//! the queue who could be served; everybody in the queue could be served once a permit comes back. One permit that comes
//! back wakes one waiter.
//! Cost: with room 100 ns and no allocation; waiting three allocations and O(log n); nothing is polled.
//! The order is `weir_balance::Queue`'s. Interleavings: `tests/loom.rs`.

use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use weir_balance::{Client, Entry, Fit, KeyHash, Nanos, Pace, Queue, Rules, Slot, Ticket};

use crate::lease::Permit;
use crate::sync::{Mutex, MutexGuard};
use crate::waiting::{Seat, Waiting};
use crate::{Clock, Lease, Live, Member, Millis, Moment, Outlook, Pool};

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

/// How a queue stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueReport {
    /// Its rules.
    pub rules: QueueRules,
    /// How many wait.
    pub waiting: usize,
    /// When it is worth coming back for who is refused now: whole seconds, ≥ 1.
    pub retry_after: Duration,
    /// How many were refused since the service is known, because the queue was full.
    pub full: u64,
    /// Because one of a better class took their place.
    pub displaced: u64,
    /// Because they had waited as long as they may.
    pub too_late: u64,
    /// Because the queue was late for too long.
    pub shed: u64,
    /// Because no endpoint was left that might take them.
    pub no_endpoint: u64,
}

/// How many were refused, by why.
#[derive(Clone, Copy, Debug, Default)]
struct Refused {
    full: u64,
    displaced: u64,
    too_late: u64,
    shed: u64,
    no_endpoint: u64,
}

/// The permits of one service. Shared by the snapshots of the service, as the live state of its endpoints is.
#[derive(Debug)]
pub struct Permits {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rules: QueueRules,
    queue: Queue<Waiter>,
    /// The pool of the newest snapshot. Weak, since pools hold their permits.
    newest: Weak<Pool>,
    /// The same while somebody waits, so that it cannot go away under them.
    held: Option<Arc<Pool>>,
    pace: Pace,
    /// Small ones that are being served.
    small: u32,
    refused: Refused,
}

/// One who waits.
#[derive(Debug)]
struct Waiter {
    seat: Arc<Seat>,
    since: Moment,
    key: Option<KeyHash>,
    tried: Tried,
    small: bool,
}

/// What is left to do once the lock is let go: wake waiters, and let go of a pool.
#[derive(Default)]
struct After {
    wakers: Vec<Waker>,
    pool: Option<Arc<Pool>>,
}

impl Permits {
    /// All permits of a service, none of them out.
    pub fn new(rules: QueueRules, clock: Clock) -> Self {
        let queue = Queue::new(rules.order);
        let (newest, pace, refused) = (Weak::new(), Pace::default(), Refused::default());
        let state = State { rules, queue, newest, held: None, pace, small: 0, refused };
        Self { clock, state: Mutex::new(state) }
    }

    /// Other rules from now on. Who waits keeps its place, and its deadline.
    pub fn change(&self, rules: QueueRules) {
        self.with(self.clock.now(), |state, _| {
            state.rules = rules;
            state.queue.change(rules.order);
            state.queue.limit(usize::MAX);
        });
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    /// How the queue stands. Takes the lock: for status pages, not for requests.
    pub fn report(&self) -> QueueReport {
        let state = self.lock();
        let Refused { full, displaced, too_late, shed, no_endpoint } = state.refused;
        QueueReport {
            rules: state.rules,
            waiting: state.queue.len(),
            retry_after: state.retry_after(),
            full,
            displaced,
            too_late,
            shed,
            no_endpoint,
        }
    }

    /// What would become of an exchange with this key and this much work that asked now.
    pub(crate) fn outlook(&self, pool: &Arc<Pool>, now: Moment, key: Option<KeyHash>, work: Nanos) -> Outlook {
        let state = self.lock();
        let rules = state.rules;
        let beside = work <= rules.order.small && state.serves_beside();
        let chosen = || pool.outlook_where(now, key, has_room(pool, &rules, now, beside));
        if let Some(chosen) = state.queue.is_empty().then(chosen).flatten() {
            return chosen;
        }
        if !pool.might_serve(now, &[]) {
            return Outlook::Refused(Unserved::NoEndpoint);
        }
        let (ahead, retry_after) = (state.queue.len(), state.retry_after());
        match state.queue.is_full() {
            true if ahead < state.queue.rules().max => Outlook::Refused(Unserved::Shed { retry_after }),
            true => Outlook::Refused(Unserved::Full { retry_after }),
            false => Outlook::Waits { ahead },
        }
    }

    /// What an exchange that waited really cost its endpoint, so that a client gains nothing by understating it.
    pub fn correct(&self, client: Client, predicted: Nanos, real: Nanos) {
        self.lock().queue.correct(client, predicted, real);
    }

    /// From now on waiters are served by this pool's endpoints. [`crate::Publisher`] does this with every snapshot.
    pub(crate) fn install(self: &Arc<Self>, pool: &Arc<Pool>) {
        for member in pool.members() {
            member.live.report_to(self);
        }
        self.with(self.clock.now(), |state, after| {
            state.newest = Arc::downgrade(pool);
            if !state.queue.is_empty() {
                after.pool = state.held.replace(Arc::clone(pool));
            }
            state.refuse_the_hopeless(self.clock.now(), after);
        });
    }

    /// A verdict turned: some endpoint admits again, or none does.
    pub(crate) fn verdict_turned(&self) {
        let now = self.clock.now();
        self.with(now, |state, after| state.refuse_the_hopeless(now, after));
    }

    /// A permit comes back.
    pub(crate) fn give_back(&self, live: &Live, permit: Permit) {
        let now = self.clock.now();
        self.with(now, |state, _| {
            live.return_permit();
            state.small -= u32::from(permit.small);
            state.pace.freed(nanos(now), !state.queue.is_empty());
        });
    }

    /// Serves the wish, or lets it wait.
    pub(crate) fn ask(self: &Arc<Self>, pool: &Arc<Pool>, wish: &Wish<'_>) -> Answer {
        let mut answer = None;
        self.with(wish.now, |state, after| answer = Some(state.ask(self, pool, wish, after)));
        let Some((first, seat)) = answer else { return Answer::Refused(Unserved::NoEndpoint) };
        // It may have been served at once after all: permits that had come free by time passing, or that no other waiter
        // may take.
        match seat.and_then(|seat| seat.take()) {
            Some(Ok(lease)) => Answer::Served(lease),
            Some(Err(why)) => Answer::Refused(why),
            None => first,
        }
    }

    /// A waiter left, because it was `too_late` or for a reason of its own. Its seat may hold a lease by now: the caller lets go of that, without the lock.
    pub(crate) fn leave(&self, ticket: &Ticket, too_late: bool) {
        let mut left = None;
        self.with(self.clock.now(), |state, _| {
            left = state.queue.remove(ticket);
            state.refused.too_late += u64::from(too_late && left.is_some());
        });
        // Without the lock, since with it goes a waker, and whatever that holds.
        drop(left);
    }

    /// When it is worth coming back.
    pub(crate) fn retry_after(&self) -> Duration {
        self.lock().retry_after()
    }

    /// Changes something, serves whoever can be served then, and wakes them without the lock.
    fn with(&self, now: Moment, change: impl FnOnce(&mut State, &mut After)) {
        let mut after = After::default();
        {
            let mut state = self.lock();
            change(&mut state, &mut after);
            state.serve(now, &mut after);
        }
        after.wakers.into_iter().for_each(Waker::wake);
        drop(after.pool);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock would leave counts and queue as they are: each is changed whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ask(
        &mut self,
        permits: &Arc<Permits>,
        pool: &Arc<Pool>,
        wish: &Wish<'_>,
        after: &mut After,
    ) -> (Answer, Option<Arc<Seat>>) {
        let slots = wish.tried.slots(pool);
        let small = wish.work <= self.rules.order.small;
        if self.queue.is_empty()
            && let Some(lease) =
                grant(&self.rules, pool, wish.now, wish.key, &slots, Permit { small }, self.serves_beside())
        {
            self.small += u32::from(small);
            return (Answer::Served(lease), None);
        }
        let newest = self.newest.upgrade().unwrap_or_else(|| Arc::clone(pool));
        if !newest.might_serve(wish.now, &wish.tried.slots(&newest)) {
            self.refused.no_endpoint += 1;
            return (Answer::Refused(Unserved::NoEndpoint), None);
        }
        if self.queue.is_empty() {
            self.pace.began(nanos(wish.now));
        }
        self.shed(wish.now, after);
        if self.queue.is_full() {
            // Those whose time is up must not keep others out.
            self.expire(wish.now, after);
        }
        let late = self.queue.len() < self.queue.rules().max;
        let deadline = wish.now.after(self.rules.timeout).min(wish.deadline);
        let entry = Entry {
            arrival: nanos(wish.arrival),
            work: wish.work,
            class: wish.class,
            client: wish.client,
            deadline: nanos(deadline),
        };
        let seat = Arc::new(Seat::new());
        let (key, tried) = (wish.key, wish.tried.clone());
        let waiter = Waiter { seat: Arc::clone(&seat), since: wish.now, key, tried, small };
        match self.queue.push(&entry, waiter) {
            Err(_) => {
                let retry_after = self.retry_after();
                let (why, count) = if late {
                    (Unserved::Shed { retry_after }, &mut self.refused.shed)
                } else {
                    (Unserved::Full { retry_after }, &mut self.refused.full)
                };
                *count += 1;
                (Answer::Refused(why), None)
            }
            Ok(pushed) => {
                if let Some(displaced) = pushed.displaced {
                    let retry_after = self.retry_after();
                    let (why, count) = if late {
                        (Unserved::Shed { retry_after }, &mut self.refused.shed)
                    } else {
                        (Unserved::Displaced { retry_after }, &mut self.refused.displaced)
                    };
                    *count += 1;
                    after.wakers.extend(displaced.seat.give(Err(why)));
                }
                self.held.get_or_insert(newest);
                let waiting = Waiting::new(Arc::clone(permits), Arc::clone(&seat), pushed.ticket, deadline);
                (Answer::Waits(waiting), Some(seat))
            }
        }
    }

    /// Serves those who can be served, in order.
    fn serve(&mut self, now: Moment, after: &mut After) {
        if self.queue.is_empty() {
            after.pool = after.pool.take().or_else(|| self.held.take());
            return;
        }
        self.expire(now, after);
        let Some(pool) = self.held.clone() else { return };
        let rules = self.rules;
        // Whoever is served takes a permit of an endpoint that has one left, a small one maybe beyond its capacity. So
        // while there is none nobody is asked, which after most changes is so, and costs less than one in vain.
        loop {
            let beside = self.serves_beside();
            if !some_have_room(&pool, &rules, now, beside) {
                break;
            }
            let taken = self.queue.take(|waiter| {
                let tried = waiter.tried.slots(&pool);
                match grant(&rules, &pool, now, waiter.key, &tried, Permit { small: waiter.small }, beside) {
                    Some(lease) => Fit::Takes(lease),
                    None if !waiter.tried.0.is_empty() => Fit::NotThis,
                    // Whoever tried nothing can go anywhere: if it cannot, nobody of its size can.
                    None if !waiter.small && beside => Fit::OnlySmall,
                    None => Fit::Nothing,
                }
            });
            let Some((waiter, lease)) = taken else { break };
            self.small += u32::from(waiter.small);
            if let Some(target) = rules.target {
                let waited = Nanos(nanos(now).0.saturating_sub(nanos(waiter.since).0));
                self.pace.served(nanos(now), waited, Nanos::from_millis(target.get()));
            }
            after.wakers.extend(waiter.seat.give(Ok(lease)));
        }
        self.shed(now, after);
    }

    /// Whether a small one may be served beside the permits of an endpoint: see [`QueueRules::extra`].
    const fn serves_beside(&self) -> bool {
        self.rules.extra > 0 && (self.small == 0 || self.queue.small() > 1)
    }

    /// Refuses who is too many if the queue runs late.
    fn shed(&mut self, now: Moment, after: &mut After) {
        let Some(target) = self.rules.target else { return };
        let most = self.pace.most(nanos(now), self.queue.len(), Nanos::from_millis(target.get()));
        self.queue.limit(most.unwrap_or(usize::MAX));
        while let Some(waiter) = self.queue.trim() {
            self.refused.shed += 1;
            after.wakers.extend(waiter.seat.give(Err(Unserved::Shed { retry_after: self.retry_after() })));
        }
    }

    fn expire(&mut self, now: Moment, after: &mut After) {
        while let Some(waiter) = self.queue.expire(nanos(now)) {
            self.refused.too_late += 1;
            after.wakers.extend(waiter.seat.give(Err(Unserved::TooLate { retry_after: self.retry_after() })));
        }
    }

    /// Refuses everybody whom no endpoint would take, however many permits come back.
    fn refuse_the_hopeless(&mut self, now: Moment, after: &mut After) {
        let Some(pool) = &self.held else { return };
        let hopeless: Vec<Ticket> = self
            .queue
            .iter()
            .filter(|(_, waiter)| !pool.might_serve(now, &waiter.tried.slots(pool)))
            .map(|(ticket, _)| ticket)
            .collect();
        for ticket in hopeless {
            if let Some(waiter) = self.queue.remove(&ticket) {
                self.refused.no_endpoint += 1;
                after.wakers.extend(waiter.seat.give(Err(Unserved::NoEndpoint)));
            }
        }
    }

    /// Whole seconds, at least one: at the pace of late, or, while that is unknown, as long as anybody waits.
    fn retry_after(&self) -> Duration {
        let waiting = self.queue.len();
        let through =
            self.pace.through(waiting).map_or(self.rules.timeout.duration(), |Nanos(span)| Duration::from_nanos(span));
        let seconds = through.as_nanos().div_ceil(1_000_000_000).max(1);
        Duration::from_secs(if waiting == 0 { 1 } else { u64::try_from(seconds).unwrap_or(u64::MAX) })
    }
}

const fn nanos(moment: Moment) -> Nanos {
    Nanos(moment.as_nanos())
}

/// A lease with this permit, on an endpoint of the policy's choice among those that have one left, or, if it is small and
/// may be served `beside` them, room for it. Only under the lock.
fn grant(
    rules: &QueueRules,
    pool: &Arc<Pool>,
    now: Moment,
    key: Option<KeyHash>,
    tried: &[Slot],
    permit: Permit,
    beside: bool,
) -> Option<Lease> {
    let lease = pool.lease_where(now, key, tried, has_room(pool, rules, now, permit.small && beside))?;
    Some(lease.with_permit(permit))
}

/// Whether any endpoint has a permit left for anybody: without one [`grant`] finds none, whoever asks and whatever it tried.
fn some_have_room(pool: &Pool, rules: &QueueRules, now: Moment, beside: bool) -> bool {
    let has_room = has_room(pool, rules, now, beside);
    pool.members().iter().any(|member| !member.drained && has_room(member))
}

/// Whether an endpoint has a permit left, or may serve one `beside` them.
fn has_room(pool: &Pool, rules: &QueueRules, now: Moment, beside: bool) -> impl Fn(&Member) -> bool {
    let extra = if beside { rules.extra } else { 0 };
    let capacity = rules.capacity;
    let furthest = pool.ramps(now).map(|ramps| ramps.furthest(pool.members()));
    move |member: &Member| {
        let capacity = member.capacity.unwrap_or(capacity);
        let capacity = furthest.as_ref().map_or(capacity, |furthest| furthest.part_of(capacity, member));
        member.live.permits() < member.live.lowered(capacity, now).get().saturating_add(extra)
    }
}
