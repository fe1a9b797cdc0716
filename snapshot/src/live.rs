//! What is known of one endpoint right now: exchanges in flight, the verdict, and whether it was ever seen to work.
//!
//! One per service and address, shared by every snapshot that lists the endpoint, so a reload forgets nothing.
//! Cost: a pick reads one word of state and one count; a success of a healthy endpoint reads the state and no more.
//! The lock is taken for a failure, and for a success while ejected: both are rare.
//! How threads meet here is tried exhaustively in `tests/loom.rs`.

use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use weir_balance::Latency;

use crate::failure::{Failure, Failures};
use crate::slow_start::Began;
use crate::speed::Speed;
use crate::sync::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::{AtomicU32, AtomicU64, Mutex};
use crate::verdict::{Transition, Verdict};
use crate::{HealthRules, Moment, Permits, Starts};

/// The two low bits of [`Live::state`].
const PHASE: u32 = 0b11;
const HEALTHY: u32 = 0;
const EJECTED: u32 = 1;
/// Ejected, and one trial exchange is out.
const TRIAL: u32 = 2;
/// Joined a fleet that serves, and its first probe is still out.
const NEW: u32 = 3;

/// The live state of one endpoint. Aligned to two cache lines, which x86 fetches as a pair, so that counting on one
/// endpoint does not slow down the count of its neighbour.
#[derive(Debug)]
#[repr(align(128))]
pub struct Live {
    in_flight: AtomicU32,
    /// A phase, and above it a number that grows with every change of phase. The number is what a trial is held by:
    /// one that comes back late cannot be mistaken for the trial that is out then.
    state: AtomicU32,
    /// The moment of the ejection or of the last failed trial, in nanoseconds; while new, until when that counts.
    waiting_since: AtomicU64,
    /// The truth that `state` mirrors; every turn of the verdict is made under this lock, hence reported once.
    verdict: Mutex<Verdict>,
    /// How fast it answers, where the policy asks.
    pub(crate) speed: Speed,
    /// Permits that leases hold. Changes only under the lock of the service's permits.
    permits: AtomicU32,
    /// What the capacity is lowered to until [`Live::lowered_until`].
    lowered: AtomicU32,
    /// In nanoseconds; the capacity is what it is from then on.
    lowered_until: AtomicU64,
    /// Who wants to know when the verdict turns.
    permits_of: Mutex<Weak<Permits>>,
    /// What went wrong of late; no decision reads it.
    failures: Failures,
    /// When it joined or was last restored.
    began: Began,
    /// The same of the endpoints of its service.
    starts: Option<Arc<Starts>>,
}

/// How an endpoint stands, for status pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It gets exchanges.
    Healthy,
    /// Its first probe is out: it gets exchanges only while no other can have them.
    Unproven,
    /// It gets none.
    Ejected,
    /// It is ejected and the next exchange may find out whether it is well again: there is no probe to do so.
    TrialDue,
    /// It is ejected and that exchange is under way.
    Trial,
}

/// The right to one trial exchange: the state it was taken in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket(u32);

/// What an endpoint may be given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Admission {
    Healthy,
    /// Nothing, while another endpoint can have it: the first probe is about to tell.
    Unproven,
    /// Not before the compare-exchange of [`Live::take_trial`].
    TrialDue(Ticket),
    Ejected,
}

impl Live {
    /// Healthy and idle.
    pub fn new(rules: &HealthRules) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            state: AtomicU32::new(HEALTHY),
            waiting_since: AtomicU64::new(0),
            verdict: Mutex::new(Verdict::new(rules)),
            speed: Speed::new(),
            permits: AtomicU32::new(0),
            lowered: AtomicU32::new(0),
            lowered_until: AtomicU64::new(0),
            permits_of: Mutex::new(Weak::new()),
            failures: Failures::default(),
            began: Began::default(),
            starts: None,
        }
    }

    /// The same as one of a service's endpoints: slow starts are counted from when it begins to serve, see [`Live::begins`].
    #[must_use]
    pub fn of_service(self, starts: &Arc<Starts>) -> Self {
        Self { starts: Some(Arc::clone(starts)), ..self }
    }

    /// It joins, or comes back: it begins to serve now, or as soon as its first probe has told.
    pub fn begins(&self, now: Moment) {
        self.began.set(now);
        if let Some(starts) = &self.starts {
            starts.began(now);
        }
    }

    /// When it began to serve; moment zero for one that was never said to.
    pub fn began(&self) -> Moment {
        self.began.get()
    }

    /// Idle, and new until the first probe has told, at the latest until `until`: exchanges go to others while there are
    /// any. A failure meanwhile ejects at once, since nothing ever spoke for it. Only for services with probes.
    pub fn unproven(rules: &HealthRules, until: Moment) -> Self {
        let live = Self::new(rules);
        live.waiting_since.store(until.as_nanos(), Relaxed);
        live.state.store(NEW, Relaxed);
        live
    }

    /// Exchanges that hold a lease on it.
    pub fn in_flight(&self) -> u32 {
        // Relaxed, because the count is a hint: a stale read picks a busier endpoint, never a wrong one.
        self.in_flight.load(Relaxed)
    }

    /// How fast it answers, as far as a policy that asks had it measured.
    pub fn latency(&self, now: Moment) -> Latency {
        self.speed.latency(now)
    }

    /// Whether it is ejected; an ejected endpoint with a trial out is ejected still.
    pub fn is_ejected(&self) -> bool {
        matches!(self.state.load(Relaxed) & PHASE, EJECTED | TRIAL)
    }

    fn is_new(&self) -> bool {
        self.state.load(Relaxed) & PHASE == NEW
    }

    /// When the verdict last turned; moment zero if it never did. Takes the lock: for status pages, not for requests.
    pub fn since(&self) -> Moment {
        self.with(|verdict| verdict.since())
    }

    /// The newest failure. Takes the lock: for status pages, not for requests.
    pub fn last_failure(&self) -> Option<Moment> {
        self.with(|verdict| verdict.last_failure())
    }

    /// How it stands now.
    pub fn condition(&self, now: Moment, rules: &HealthRules) -> Condition {
        if self.state.load(Relaxed) & PHASE == TRIAL {
            return Condition::Trial;
        }
        match self.admission(now, rules) {
            Admission::Healthy => Condition::Healthy,
            Admission::Unproven => Condition::Unproven,
            Admission::TrialDue(_) => Condition::TrialDue,
            Admission::Ejected => Condition::Ejected,
        }
    }

    /// From when on an exchange may find out whether it is well again: of one that is ejected, where no probe does so.
    pub fn trial_from(&self, rules: &HealthRules) -> Option<Moment> {
        let waits = rules.probe.is_none() && self.state.load(Acquire) & PHASE == EJECTED;
        waits.then(|| Moment::from_nanos(self.waiting_since.load(Relaxed)).after(rules.window))
    }

    /// Keeps what went wrong for [`Live::failures`]; [`Live::failed`] is what counts it.
    pub fn remember(&self, failure: Failure) {
        self.failures.push(failure);
    }

    /// The newest failures, newest first. Takes a lock: for status pages, not for requests.
    pub fn failures(&self) -> Vec<Failure> {
        self.failures.newest()
    }

    /// An operator takes it out, as if health had decided so: probes, or without them a trial once the window has passed,
    /// bring it back. `None` when it is out already.
    pub fn eject(&self, now: Moment) -> Option<Transition> {
        let transition = self.with(|verdict| {
            let transition = verdict.eject(now);
            if transition.is_some() {
                self.waiting_since.store(now.as_nanos(), Relaxed);
                self.turn_to(EJECTED);
            }
            transition
        });
        self.report(transition.is_some());
        transition
    }

    /// An operator brings it back, and past failures count no more. `None` when it is not ejected; one that waits for its
    /// first probe waits no longer.
    pub fn restore(&self, now: Moment) -> Option<Transition> {
        let (transition, turned) = self.with(|verdict| {
            let transition = verdict.restore(now);
            let turned = transition.is_some() || self.is_new();
            if turned {
                self.turn_to(HEALTHY);
                self.begins(now);
            }
            (transition, turned)
        });
        self.report(turned);
        transition
    }

    /// One failure, of a probe or of an exchange. The transition is given to exactly one caller.
    pub fn failed(&self, now: Moment, rules: &HealthRules) -> Option<Transition> {
        let transition = self.with(|verdict| {
            let new = self.is_new();
            let unproven = new && now.as_nanos() < self.waiting_since.load(Relaxed);
            let transition = if unproven { verdict.eject(now) } else { verdict.failed(now, rules) };
            if transition.is_some() {
                self.waiting_since.store(now.as_nanos(), Relaxed);
                self.turn_to(EJECTED);
            } else if new {
                self.turn_to(HEALTHY);
            }
            transition
        });
        self.report(transition.is_some());
        transition
    }

    /// One success, of a probe or of an exchange that was let through to find out. The transition is given to exactly
    /// one caller. Costs one load while healthy.
    pub fn succeeded(&self, now: Moment, rules: &HealthRules) -> Option<Transition> {
        if self.state.load(Relaxed) & PHASE == HEALTHY {
            return None;
        }
        let (transition, turned) = self.with(|verdict| {
            let new = self.is_new();
            let transition = if new { None } else { verdict.succeeded(now, rules) };
            let turned = new || transition.is_some();
            if turned {
                self.begins(now);
                self.turn_to(HEALTHY);
            }
            (transition, turned)
        });
        self.report(turned);
        transition
    }

    /// What the endpoint may be given now; trials only where no probe finds out instead.
    pub(crate) fn admission(&self, now: Moment, rules: &HealthRules) -> Admission {
        // Acquire, so that the waiting time is at least as new as the phase.
        let state = self.state.load(Acquire);
        match state & PHASE {
            HEALTHY => Admission::Healthy,
            NEW if now.as_nanos() >= self.waiting_since.load(Relaxed) => Admission::Healthy,
            NEW => Admission::Unproven,
            EJECTED if rules.probe.is_none() => {
                let waiting_since = Moment::from_nanos(self.waiting_since.load(Relaxed));
                let due = now.since(waiting_since) >= rules.window.duration();
                if due { Admission::TrialDue(Ticket(state)) } else { Admission::Ejected }
            }
            _ => Admission::Ejected,
        }
    }

    /// Takes the trial that was due; `None` when another exchange took it first, or the verdict turned.
    pub(crate) fn take_trial(&self, Ticket(due): Ticket) -> Option<Ticket> {
        let out = next(due, TRIAL);
        self.state.compare_exchange(due, out, AcqRel, Relaxed).is_ok().then_some(Ticket(out))
    }

    /// The trial failed: the next one is due a window later. Nothing if the trial is over already.
    pub(crate) fn fail_trial(&self, Ticket(out): Ticket, now: Moment) {
        // Before the phase, so that whoever sees the endpoint without a trial sees the new waiting time too.
        // If the trial is over already, this delays another one by less than a window, and harms nothing.
        self.waiting_since.fetch_max(now.as_nanos(), Relaxed);
        self.return_trial(Ticket(out));
    }

    /// The trial found nothing out: the next pick may have it. Nothing if the trial is over already.
    pub(crate) fn return_trial(&self, Ticket(out): Ticket) {
        // A lost exchange means that the verdict turned or that the trial was returned before: nothing is left to do.
        self.state.compare_exchange(out, next(out, EJECTED), Release, Relaxed).ok();
    }

    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Permits that are out.
    pub fn permits(&self) -> u32 {
        // Relaxed, because whoever decides by it holds the lock under which it changes.
        self.permits.load(Relaxed)
    }

    pub(crate) fn take_permit(&self) {
        self.permits.fetch_add(1, Relaxed);
    }

    pub(crate) fn return_permit(&self) {
        self.permits.fetch_sub(1, Relaxed);
    }

    /// Lowers the capacity for a while to one less than what is out now, at least one: where one is always let through,
    /// exchanges find out when the endpoint is less busy, and those who wait are never stuck.
    pub(crate) fn lower(&self, now: Moment, span: Duration) {
        self.lowered.store(self.permits().saturating_sub(1).max(1), Relaxed);
        self.lowered_until.fetch_max(now.after(span).as_nanos(), Relaxed);
    }

    /// The capacity as it is now: an endpoint that said it is busy has less for a while.
    #[inline]
    pub fn lowered(&self, capacity: NonZeroU32, now: Moment) -> NonZeroU32 {
        // Each pick asks this of each endpoint, and almost none was ever busy.
        if now.as_nanos() >= self.lowered_until.load(Relaxed) {
            return capacity;
        }
        NonZeroU32::new(self.lowered.load(Relaxed)).map_or(capacity, |lowered| lowered.min(capacity))
    }

    /// What the capacity is lowered to, and until when.
    pub(crate) fn lowered_to(&self, now: Moment) -> Option<(u32, Moment)> {
        let until = Moment::from_nanos(self.lowered_until.load(Relaxed));
        (now < until).then(|| (self.lowered.load(Relaxed), until))
    }

    /// From now on these permits are told when the verdict turns.
    pub(crate) fn report_to(&self, permits: &Arc<Permits>) {
        *self.permits_of.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(permits);
    }

    /// Tells of a turn, if there was one, after the verdict's lock: those who are told read the state.
    fn report(&self, turned: bool) {
        if turned {
            let told = self.permits_of.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
            if let Some(permits) = told {
                permits.verdict_turned();
            }
        }
    }

    /// Changes the phase, whatever trials do meanwhile. Only under the lock.
    fn turn_to(&self, phase: u32) {
        let mut state = self.state.load(Relaxed);
        while let Err(newer) = self.state.compare_exchange_weak(state, next(state, phase), Release, Relaxed) {
            state = newer;
        }
        if let Some(starts) = &self.starts {
            starts.changed();
        }
    }

    fn with<T>(&self, read: impl FnOnce(&mut Verdict) -> T) -> T {
        // A panic under the lock would leave a verdict that is whole: each signal writes plain fields.
        read(&mut self.verdict.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The state after `state` with this phase. The number may wrap: a trial would have to last a billion others.
fn next(state: u32, phase: u32) -> u32 {
    (state & !PHASE).wrapping_add(PHASE + 1) | phase
}
