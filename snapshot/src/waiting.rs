//! An exchange in the queue.
//!
//! In: nothing; [`crate::Permits`] serves it. Out: a lease, or why not. Dropping it leaves the queue at once, and hands a
//! lease that was granted but never taken on to the next.
//! Cost: a poll takes a lock of its own, not the service's.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use weir_balance::Ticket;

use crate::permits::{Permits, Unserved};
use crate::sync::Mutex;
use crate::{Clock, Lease, Moment};

/// A place in the queue. A future: the lease, or why there is none. It knows no clock, see [`Waiting::served`].
#[derive(Debug)]
#[must_use = "dropping it leaves the queue"]
pub struct Waiting {
    permits: Arc<Permits>,
    seat: Arc<Seat>,
    ticket: Ticket,
    deadline: Moment,
}

/// Where the queue puts what became of a waiter.
#[derive(Debug)]
pub(crate) struct Seat(Mutex<Became>);

#[derive(Debug)]
enum Became {
    Waits(Option<Waker>),
    Done(Result<Lease, Unserved>),
    Taken,
}

impl Waiting {
    pub(crate) fn new(permits: Arc<Permits>, seat: Arc<Seat>, ticket: Ticket, deadline: Moment) -> Self {
        Self { permits, seat, ticket, deadline }
    }

    /// When it will be too late.
    pub fn deadline(&self) -> Moment {
        self.deadline
    }

    /// Waits until served, refused, or the deadline; cancelled by being dropped.
    ///
    /// # Errors
    /// Why it was not served.
    pub async fn served(mut self, clock: Clock) -> Result<Lease, Unserved> {
        if let Ok(served) = tokio::time::timeout_at(clock.instant(self.deadline), &mut self).await {
            return served;
        }
        self.give_up()
    }

    /// Leaves the queue because it is too late, for whoever keeps time by himself.
    ///
    /// # Errors
    /// [`Unserved::TooLate`]; a lease if it was served in between.
    pub fn give_up(self) -> Result<Lease, Unserved> {
        self.permits.leave(&self.ticket, true);
        self.seat.take().unwrap_or_else(|| Err(Unserved::TooLate { retry_after: self.permits.retry_after() }))
    }
}

impl Future for Waiting {
    type Output = Result<Lease, Unserved>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.seat.poll(context.waker())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.permits.leave(&self.ticket, false);
        // Granted but not wanted: dropped here, without any lock, so that it gives its permit to the next.
        drop(self.seat.take());
    }
}

impl Seat {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Became::Waits(None)))
    }

    /// Puts down what became of the waiter, once; gives whom to wake.
    pub(crate) fn give(&self, done: Result<Lease, Unserved>) -> Option<Waker> {
        self.with(|became| match std::mem::replace(became, Became::Done(done)) {
            Became::Waits(waker) => waker,
            Became::Done(_) | Became::Taken => None,
        })
    }

    /// Takes what became of the waiter, once.
    pub(crate) fn take(&self) -> Option<Result<Lease, Unserved>> {
        self.with(|became| match std::mem::replace(became, Became::Taken) {
            Became::Done(done) => Some(done),
            waits @ Became::Waits(_) => {
                *became = waits;
                None
            }
            Became::Taken => None,
        })
    }

    fn poll(&self, waker: &Waker) -> Poll<Result<Lease, Unserved>> {
        self.with(|became| match std::mem::replace(became, Became::Taken) {
            Became::Done(done) => Poll::Ready(done),
            Became::Waits(known) => {
                let known = known.filter(|known| known.will_wake(waker)).unwrap_or_else(|| waker.clone());
                *became = Became::Waits(Some(known));
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
