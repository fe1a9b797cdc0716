//! An exchange in the queue.
//!
//! In: a clock and a timer, with each poll; [`crate::Permits`] serves it. Out: a lease, or why not. Dropping it leaves the
//! queue at once, and hands a lease that was granted but never taken on to the next.
//! Cost: a poll takes a lock of its own, not the service's, unless it is told to look whether there is room.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use weir_balance::Ticket;

use crate::permits::Permits;
use crate::sync::Mutex;
use crate::{Clock, Lease, Moment, Unserved};

/// A place in the queue, to be polled until it is served, refused or too late; cancelled by being dropped.
#[derive(Debug)]
#[must_use = "dropping it leaves the queue"]
pub struct Waiting {
    permits: Arc<Permits>,
    seat: Arc<Seat>,
    ticket: Ticket,
    deadline: Moment,
    /// Whether it knows what became of it: then it is out of the queue.
    over: bool,
}

/// Where the queue puts what became of a waiter.
#[derive(Debug)]
pub(crate) struct Seat(Mutex<Became>);

#[derive(Debug)]
enum Became {
    Waits {
        waker: Option<Waker>,
        /// When it is to look whether there is room.
        look: Option<Moment>,
    },
    Done(Result<Lease, Unserved>),
    Taken,
}

impl Waiting {
    pub(crate) fn new(permits: Arc<Permits>, seat: Arc<Seat>, ticket: Ticket, deadline: Moment) -> Self {
        Self { permits, seat, ticket, deadline, over: false }
    }

    /// When it will be too late.
    pub fn deadline(&self) -> Moment {
        self.deadline
    }

    /// When it wants to be polled, even if nobody wakes it: the deadline, or before that when it is to look whether time
    /// alone has made room. Another moment after each poll and each wake-up.
    pub fn wakes_at(&self) -> Moment {
        self.seat.look().map_or(self.deadline, |look| look.min(self.deadline))
    }

    /// What became of it; `None` when it is too late, for which see [`Waiting::give_up`]. `timer` is polled for the moment
    /// that it is given and is ready when `clock` says that it is that moment.
    pub fn poll(
        &mut self,
        context: &mut Context<'_>,
        clock: &Clock,
        mut timer: impl FnMut(&mut Context<'_>, Moment) -> Poll<()>,
    ) -> Poll<Option<Result<Lease, Unserved>>> {
        loop {
            if let Poll::Ready(served) = self.seat.poll(context.waker()) {
                self.over = true;
                return Poll::Ready(Some(served));
            }
            let until = self.wakes_at();
            if timer(context, until).is_pending() {
                return Poll::Pending;
            }
            if until >= self.deadline {
                return Poll::Ready(None);
            }
            self.permits.look(&self.ticket, clock.now().max(until));
        }
    }

    /// Waits until served, refused, or the deadline.
    ///
    /// # Errors
    /// Why it was not served.
    pub async fn served(mut self, clock: Clock) -> Result<Lease, Unserved> {
        let mut sleep = pin!(tokio::time::sleep_until(clock.instant(self.deadline)));
        let served = poll_fn(|context| {
            self.poll(context, &clock, |context, until| {
                if sleep.deadline() != clock.instant(until) {
                    sleep.as_mut().reset(clock.instant(until));
                }
                sleep.as_mut().poll(context)
            })
        })
        .await;
        served.unwrap_or_else(|| self.give_up())
    }

    /// Leaves the queue because it is too late, for whoever keeps time by himself.
    ///
    /// # Errors
    /// [`Unserved::TooLate`]; a lease if it was served in between.
    pub fn give_up(mut self) -> Result<Lease, Unserved> {
        self.permits.leave(&self.ticket, true);
        self.over = true;
        self.seat.take().unwrap_or_else(|| Err(Unserved::TooLate { retry_after: self.permits.retry_after() }))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over {
            self.permits.leave(&self.ticket, false);
        }
        // Granted but not wanted: dropped here, without any lock, so that it gives its permit to the next.
        drop(self.seat.take());
    }
}

impl Seat {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Became::Waits { waker: None, look: None }))
    }

    /// Puts down what became of the waiter, once; gives whom to wake.
    pub(crate) fn give(&self, done: Result<Lease, Unserved>) -> Option<Waker> {
        self.with(|became| match std::mem::replace(became, Became::Done(done)) {
            Became::Waits { waker, .. } => waker,
            Became::Done(_) | Became::Taken => None,
        })
    }

    /// Takes what became of the waiter, once.
    pub(crate) fn take(&self) -> Option<Result<Lease, Unserved>> {
        self.with(|became| match std::mem::replace(became, Became::Taken) {
            Became::Done(done) => Some(done),
            waits @ Became::Waits { .. } => {
                *became = waits;
                None
            }
            Became::Taken => None,
        })
    }

    /// From now on the waiter is to look at this moment; gives whom to tell.
    pub(crate) fn watch(&self, at: Option<Moment>) -> Option<Waker> {
        self.with(|became| match became {
            Became::Waits { waker, look } => {
                *look = at;
                at.and_then(|_| waker.clone())
            }
            Became::Done(_) | Became::Taken => None,
        })
    }

    fn look(&self) -> Option<Moment> {
        self.with(|became| match became {
            Became::Waits { look, .. } => *look,
            Became::Done(_) | Became::Taken => None,
        })
    }

    fn poll(&self, waker: &Waker) -> Poll<Result<Lease, Unserved>> {
        self.with(|became| match std::mem::replace(became, Became::Taken) {
            Became::Done(done) => Poll::Ready(done),
            Became::Waits { waker: known, look } => {
                let known = known.filter(|known| known.will_wake(waker)).unwrap_or_else(|| waker.clone());
                *became = Became::Waits { waker: Some(known), look };
                Poll::Pending
            }
            // Polled again after it was ready, which no one does; it has nothing left to give.
            Became::Taken => Poll::Pending,
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Became) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
