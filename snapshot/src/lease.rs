//! One exchange's hold on one endpoint.
//!
//! Made by [`Pool::lease`], which counts it in flight at once, so that the next pick sees it; dropping it counts it out,
//! on every path an exchange can end by.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use weir_balance::Slot;

use crate::live::Ticket;
use crate::verdict::Transition;
use crate::{Live, Member, Moment, Pool};

/// A hold on an endpoint, from the pick until it is dropped.
#[derive(Debug)]
#[must_use = "dropping a lease gives the endpoint back"]
pub struct Lease {
    pool: Arc<Pool>,
    slot: Slot,
    hold: Hold,
    /// The endpoint's permit that it holds, if any.
    permit: Option<Permit>,
}

/// One of an endpoint's permits, or one beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permit {
    /// Whether its exchange is small.
    pub(crate) small: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Hold {
    Normal,
    Trial(Ticket),
    LastResort,
}

/// Why the endpoint was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseKind {
    /// It is healthy.
    Normal,
    /// It is ejected, no probe would tell when it is well again, and this exchange finds out.
    Trial,
    /// Every endpoint of the pool is ejected, and the service prefers that to refusing.
    LastResort,
}

impl Lease {
    pub(crate) fn new(pool: Arc<Pool>, slot: Slot, hold: Hold, now: Moment) -> Self {
        let lease = Self { pool, slot, hold, permit: None };
        lease.live().begin();
        if lease.pool.policy().reads_latency() {
            lease.live().speed.asked(now);
        }
        lease
    }

    /// With one of the endpoint's permits. Only under the lock of the service's permits.
    pub(crate) fn with_permit(mut self, permit: Permit) -> Self {
        self.live().take_permit();
        self.permit = Some(permit);
        self
    }

    /// The endpoint's slot in [`Lease::pool`]: what goes into `tried`.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The endpoint.
    pub fn member(&self) -> &Member {
        self.pool.member(self.slot)
    }

    /// The endpoint's address.
    pub fn address(&self) -> SocketAddr {
        self.member().address
    }

    /// Why the endpoint was given out.
    pub fn kind(&self) -> LeaseKind {
        match self.hold {
            Hold::Normal => LeaseKind::Normal,
            Hold::Trial(_) => LeaseKind::Trial,
            Hold::LastResort => LeaseKind::LastResort,
        }
    }

    /// The pool it was taken from.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The exchange failed by the endpoint's fault. A failed trial makes the next one wait for another window.
    ///
    /// Call this or [`Lease::succeeded`] once, or neither when nothing was found out (the client left, the endpoint was
    /// merely busy): then a trial is handed back for the next pick. `Some` when this failure was the one that ejects.
    pub fn failed(&self, now: Moment) -> Option<Transition> {
        let transition = self.live().failed(now, self.pool.health());
        if let Hold::Trial(ticket) = self.hold {
            self.live().fail_trial(ticket, now);
        }
        transition
    }

    /// The endpoint did its part. `Some` when this success was the one that restores.
    ///
    /// An exchange that began while the endpoint was healthy says nothing about what it did since: it restores nothing.
    /// Where probes are configured only they restore, or an endpoint that fails its probes would come and go.
    pub fn succeeded(&self, now: Moment) -> Option<Transition> {
        let rules = self.pool.health();
        match self.hold {
            Hold::Normal => None,
            Hold::LastResort if rules.probe.is_some() => None,
            Hold::Trial(_) | Hold::LastResort => self.live().succeeded(now, rules),
        }
    }

    /// The head of a good answer came this long after the request was sent, or none came for so long. For policies that
    /// read latencies; otherwise nothing.
    pub fn answered(&self, now: Moment, took: Duration) {
        if self.pool.policy().reads_latency() {
            self.live().speed.answered(now, took);
        }
    }

    /// The endpoint answered that it is busy, which is no failure: for `span` it gets one exchange less at a time than it
    /// has now, at least one. For services with a queue; otherwise nothing.
    pub fn busy(&self, now: Moment, span: Duration) {
        if self.permit.is_some() {
            self.live().lower(now, span);
        }
    }

    fn live(&self) -> &Live {
        &self.member().live
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Hold::Trial(ticket) = self.hold {
            // A trial that was reported failed is over, and this does nothing; see `Live::return_trial`.
            self.live().return_trial(ticket);
        }
        self.live().end();
        if let (Some(permit), Some(permits)) = (self.permit, self.pool.permits()) {
            permits.give_back(self.live(), permit);
        }
    }
}
