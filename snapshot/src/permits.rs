//! The permits of one service, and those who wait for one.
//!
//! In: a [`Wish`] per exchange. Out: a [`Lease`] that holds one of its endpoint's permits, a place to wait for it, or why
//! not. A permit is a lease under a cap: an endpoint never serves more than its capacity, and who comes when all are
//! taken waits here, in one queue per service, for whichever endpoint has room first (late binding).
//!
//! One lock per service with a queue; services without one never come here. Every change happens under it, so that
//! three things hold between any two of its holders: an endpoint has no more permits out than its capacity; nobody is in
//! the queue who could be served; everybody in the queue could be served once a permit comes back. One permit that comes
//! back wakes one waiter. Where time alone makes room (`room.rs`) one of those who wait is told when, and looks then: the
//! watch, which goes to another one when it leaves.
//! Cost: with room 100 ns and no allocation; waiting three allocations and O(log n); nothing is polled.
//! The order is `weir_balance::Queue`'s. Interleavings: `tests/loom.rs`.

use std::sync::{Arc, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use weir_balance::{Client, Entry, Fit, KeyHash, Nanos, Pace, Queue, Slot, Ticket};

use crate::lease::Permit;
use crate::room::{Look, Rooms};
use crate::slow_start::Furthest;
use crate::sync::{Mutex, MutexGuard};
use crate::waiting::{Seat, Waiting};
use crate::{Answer, Clock, Lease, Live, Millis, Moment, Outlook, Pool, QueueRules, Tried, Unserved, Wish};

/// The shortest time between two looks of the watch: nobody is late by more, and timers are no finer.
const BEAT: Millis = Millis::new(1);

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
    furthest: Furthest,
    /// Who of those who wait looks when time alone may have made room.
    watch: Option<Watch>,
    pace: Pace,
    /// Small ones that are being served.
    small: u32,
    refused: Refused,
}

#[derive(Clone, Copy, Debug)]
struct Watch {
    ticket: Ticket,
    at: Moment,
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
    /// All permits of a service, none of them out. These rules hold until a pool with others is published.
    pub fn new(rules: QueueRules, clock: Clock) -> Self {
        let queue = Queue::new(rules.order);
        let state = State {
            rules,
            queue,
            newest: Weak::new(),
            held: None,
            furthest: Furthest::default(),
            watch: None,
            pace: Pace::default(),
            small: 0,
            refused: Refused::default(),
        };
        Self { clock, state: Mutex::new(state) }
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
        let mut state = self.lock();
        let state = &mut *state;
        let small = work <= state.rules.order.small;
        if state.queue.is_empty() {
            let rooms = state.rooms(pool, now);
            if let Some(chosen) = pool.outlook_where(now, key, |member| rooms.has(member, small)) {
                return chosen;
            }
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

    /// From now on waiters are served by this pool's endpoints, under its rules; who waits keeps its place, and its
    /// deadline. [`crate::Publisher`] does this with every snapshot.
    pub(crate) fn install(self: &Arc<Self>, pool: &Arc<Pool>) {
        for member in pool.members() {
            member.live.report_to(self);
        }
        let now = self.clock.now();
        self.with(now, |state, after| {
            if let Some(rules) = pool.queue_rules().filter(|rules| *rules != state.rules) {
                state.rules = rules;
                state.queue.change(rules.order);
                state.queue.limit(usize::MAX);
            }
            state.newest = Arc::downgrade(pool);
            if !state.queue.is_empty() {
                after.pool = state.held.replace(Arc::clone(pool));
            }
            state.refuse_the_hopeless(now, after);
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

    /// A waiter left, because it was `too_late` or for a reason of its own. Its seat may hold a lease by now: the caller
    /// lets go of that, without the lock.
    pub(crate) fn leave(&self, ticket: &Ticket, too_late: bool) {
        let now = self.clock.now();
        let mut left = None;
        self.with(now, |state, after| {
            if too_late {
                // What came free by time passing may be its own.
                state.grant_all(now, after);
            }
            left = state.queue.remove(ticket);
            state.refused.too_late += u64::from(too_late && left.is_some());
        });
        // Without the lock, since with it goes a waker, and whatever that holds.
        drop(left);
    }

    /// Whoever has the watch looks, at the moment that it was told.
    pub(crate) fn look(&self, ticket: &Ticket, now: Moment) {
        self.with(now, |state, _| {
            // Told anew below, or another one is.
            if let Some(waiter) = state.queue.get(ticket) {
                waiter.seat.watch(None);
            }
            state.watch.take_if(|watch| watch.ticket == *ticket);
        });
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
        let small = wish.work <= self.rules.order.small;
        if self.queue.is_empty()
            && let Some(lease) = self.grant_now(pool, wish, small)
        {
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
            self.grant_all(wish.now, after);
            // Nor those who cannot have what is free: they are large, or have tried it.
            if let Some(lease) = self.grant_now(&newest, wish, small) {
                return (Answer::Served(lease), None);
            }
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

    /// A lease for who asks now, if there is room.
    fn grant_now(&mut self, pool: &Arc<Pool>, wish: &Wish<'_>, small: bool) -> Option<Lease> {
        let rooms = self.rooms(pool, wish.now);
        let lease = grant(&rooms, pool, wish.key, &wish.tried.slots(pool), small)?;
        self.small += u32::from(small);
        Some(lease)
    }

    fn rooms(&mut self, pool: &Arc<Pool>, now: Moment) -> Rooms<'_> {
        let beside = self.serves_beside();
        Rooms::new(&self.rules, beside, pool, now, &mut self.furthest)
    }

    /// Whether a small one may be served beside the permits of an endpoint: see [`QueueRules::extra`].
    const fn serves_beside(&self) -> bool {
        self.rules.extra > 0 && (self.small == 0 || self.queue.small() > 1)
    }

    /// Serves those who can be served, in order.
    fn serve(&mut self, now: Moment, after: &mut After) {
        if self.queue.is_empty() {
            after.pool = after.pool.take().or_else(|| self.held.take());
            return;
        }
        self.expire(now, after);
        let opens = self.grant_all(now, after);
        self.shed(now, after);
        self.post(opens, now, after);
    }

    /// The same without refusing anybody. Gives from when on time alone may let somebody in.
    fn grant_all(&mut self, now: Moment, after: &mut After) -> Option<Moment> {
        let pool = self.held.clone()?;
        // Whoever is served takes a permit of an endpoint that has one left, a small one maybe beyond its capacity. So
        // while there is none nobody is asked, which after most changes is so, and costs less than one in vain.
        while !self.queue.is_empty() {
            let beside = self.serves_beside();
            let Self { rules, queue, furthest, .. } = &mut *self;
            let rooms = Rooms::new(rules, beside, &pool, now, furthest);
            if let Look::Full(opens) = rooms.look(&pool) {
                return opens;
            }
            let taken = queue.take(|waiter| {
                let tried = waiter.tried.slots(&pool);
                match grant(&rooms, &pool, waiter.key, &tried, waiter.small) {
                    Some(lease) => Fit::Takes(lease),
                    None if !waiter.tried.is_empty() => Fit::NotThis,
                    // Whoever tried nothing can go anywhere: if it cannot, nobody of its size can.
                    None if !waiter.small && beside => Fit::OnlySmall,
                    None => Fit::Nothing,
                }
            });
            let Some((waiter, lease)) = taken else { return rooms.opens(&pool) };
            self.small += u32::from(waiter.small);
            if let Some(target) = self.rules.target {
                let waited = Nanos(nanos(now).0.saturating_sub(nanos(waiter.since).0));
                self.pace.served(nanos(now), waited, Nanos::from_millis(target.get()));
            }
            after.wakers.extend(waiter.seat.give(Ok(lease)));
        }
        None
    }

    /// Sees to it that somebody looks at this moment, of those who wait.
    fn post(&mut self, opens: Option<Moment>, now: Moment, after: &mut After) {
        // Who has the watch looks in vain, once.
        let Some(at) = opens else { return };
        let at = at.max(now.after(BEAT));
        let posted = self.watch.filter(|watch| self.queue.get(&watch.ticket).is_some());
        if posted.is_some_and(|watch| now < watch.at && watch.at <= at) {
            return;
        }
        let ticket = posted.map(|watch| watch.ticket).or_else(|| Some(self.queue.most_patient()?.0));
        self.watch = ticket.map(|ticket| Watch { ticket, at });
        if let Some(waiter) = ticket.and_then(|ticket| self.queue.get(&ticket)) {
            after.wakers.extend(waiter.seat.watch(Some(at)));
        }
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

/// A lease with a permit, on an endpoint of the policy's choice among those that have one left. Only under the lock.
fn grant(rooms: &Rooms<'_>, pool: &Arc<Pool>, key: Option<KeyHash>, tried: &[Slot], small: bool) -> Option<Lease> {
    pool.lease_where(rooms.now(), key, tried, |member| rooms.has(member, small))
        .map(|lease| lease.with_permit(Permit { small }))
}
