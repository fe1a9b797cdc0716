//! What happened in one exchange, for the metrics and the access log.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use weir_balance::KeyHash;
use weir_snapshot::{Lease, Moment, Route};

use crate::refusal::Refusal;

/// Endpoints and how the tries at them ended.
pub(crate) type Tries = SmallVec<[(Arc<str>, &'static str); 1]>;

/// Notes on one exchange.
#[derive(Debug)]
pub(crate) struct Record {
    /// When the head was complete.
    pub(crate) arrived: Moment,
    /// Where it came in, by the configured address.
    pub(crate) listener: Option<SocketAddr>,
    pub(crate) client: Option<IpAddr>,
    pub(crate) id: String,
    pub(crate) route: Option<Arc<Route>>,
    /// Of what a hash policy hashes.
    pub(crate) key: Option<KeyHash>,
    /// Of the answer, ours or the endpoint's; 499 when the client left first, 0 when there was none.
    pub(crate) status: u16,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) tries: u8,
    /// Each endpoint tried and how that ended.
    pub(crate) endpoints: Tries,
    /// Of the try that answered: from the request's sending to the answer's head.
    pub(crate) first_byte: Option<Duration>,
    /// Of the last try that needed a connection: how long opening it took.
    pub(crate) connect: Option<Duration>,
    /// Waiting in queues, all tries together; `None` where there is no queue.
    pub(crate) queued: Option<Duration>,
    /// The answer broke off before its end.
    pub(crate) cut: bool,
}

impl Record {
    /// The record of an exchange that begins.
    pub(crate) fn new(arrived: Moment) -> Self {
        Self {
            arrived,
            listener: None,
            client: None,
            id: String::new(),
            route: None,
            key: None,
            status: 0,
            refusal: None,
            tries: 0,
            endpoints: SmallVec::new(),
            first_byte: None,
            connect: None,
            queued: None,
            cut: false,
        }
    }

    /// An endpoint was tried.
    pub(crate) fn tried(&mut self, lease: &Lease, outcome: &'static str) {
        self.endpoints.push((lease.member().label.clone(), outcome));
    }

    /// An endpoint answered.
    pub(crate) fn answered(&mut self, status: u16, first_byte: Duration) {
        self.status = status;
        self.first_byte = Some(first_byte);
    }

    /// weir said no.
    pub(crate) fn refused(&mut self, refusal: Refusal) {
        self.status = refusal.status();
        self.refusal = Some(refusal);
    }
}
