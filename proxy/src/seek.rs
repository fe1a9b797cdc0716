//! An endpoint for the next try: now, or after a wait in the service's queue.
//!
//! In: a plan, and where it has been. Out: a lease, a place in the queue, or why there is neither. A service without a queue is
//! asked for a lease and no more.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use smallvec::SmallVec;
use weir_balance::{Client as Share, Nanos, Slot, key_hash};
use weir_snapshot::{Answer, Lease, Moment, Pool, Tried, Unserved, Waiting, Wish};

use crate::client::Client;
use crate::exchange::Plan;
use crate::key::network;
use crate::refusal::Refusal;
use crate::work::{self, Prediction};

/// How the next try gets its endpoint.
#[derive(Debug)]
pub(crate) enum Next {
    /// It has one.
    Lease(Lease),
    /// It waits for one.
    Queued(Waiting),
}

/// The endpoints tried so far. Where there is a queue not by slot: the endpoints may change while an exchange waits.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    slots: SmallVec<[Slot; 4]>,
    endpoints: Tried,
}

impl Visited {
    /// The endpoint of this lease is tried now.
    pub(crate) fn push(&mut self, plan: &Plan<'_>, lease: &Lease) {
        match plan.demand {
            Some(_) => self.endpoints.push(lease),
            None => self.slots.push(lease.slot()),
        }
    }
}

/// What the queue is told of an exchange.
#[derive(Debug)]
pub(crate) struct Demand {
    /// When it first asked for an endpoint: a retry keeps its place.
    arrival: Moment,
    share: Share,
    prediction: Option<Prediction>,
}

/// What share a client has: a host, or a network, since an IPv6 client has 2^64 addresses of its own.
const SHARE_PREFIXES: (u8, u8) = (32, 64);

impl Demand {
    /// What this client, whose exchange begins to ask for an endpoint now, demands.
    pub(crate) fn new(arrival: Moment, client: &Client, prediction: Option<Prediction>) -> Self {
        let (v4, v6) = SHARE_PREFIXES;
        let share = Share(key_hash(&network(client.address, v4, v6)).0);
        Self { arrival, share, prediction }
    }

    fn work(&self) -> Nanos {
        self.prediction.as_ref().map_or(Nanos(0), |prediction| prediction.work)
    }
}

impl Plan<'_> {
    /// Asks this pool, of the snapshot or of the try before.
    pub(crate) fn seek(&self, pool: &Arc<Pool>, visited: &Visited) -> Result<Next, Unserved> {
        let now = self.core.clock.now();
        let Some(demand) = &self.demand else {
            let lease = pool.lease(now, self.key, &visited.slots);
            return lease.map(Next::Lease).ok_or(Unserved::NoEndpoint);
        };
        let wish = Wish {
            now,
            arrival: demand.arrival,
            deadline: self.deadline,
            work: demand.work(),
            class: self.route.settings.queueing.priority,
            client: demand.share,
            key: self.key,
            tried: &visited.endpoints,
        };
        match pool.ask(&wish) {
            Answer::Served(lease) => Ok(Next::Lease(lease)),
            Answer::Waits(waiting) => Ok(Next::Queued(waiting)),
            Answer::Refused(why) => Err(why),
        }
    }

    /// An endpoint is through with the exchange, as far as it is work: learns from that, and charges the client.
    ///
    /// `answer`: status and fields of the answer, if there was one that was no "busy". `taken`: from the sending of the
    /// request. `waited`: whether the lease came out of the queue, which charged the prediction.
    pub(crate) fn settle(&self, lease: &Lease, answer: Option<(u16, &HeaderMap)>, taken: Duration, waited: bool) {
        let Some(demand) = &self.demand else { return };
        let real = answer.and_then(|(_, fields)| work::told(fields)).unwrap_or(taken);
        // What was turned away, or went wrong, tells little of the work of what is not.
        if let (Some(prediction), Some((200..300, _))) = (&demand.prediction, answer) {
            prediction.metrics().learnt(prediction.learn(real));
        }
        if let (Some(permits), true) = (lease.pool().permits(), waited) {
            let real = Nanos(u64::try_from(real.as_nanos()).unwrap_or(u64::MAX));
            permits.correct(demand.share, demand.work(), real);
        }
    }
}

/// What a client is told that got no endpoint.
pub(crate) fn refusal_for(why: Unserved) -> Refusal {
    let seconds = |span: Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
    match why {
        Unserved::NoEndpoint => Refusal::NoEndpoint,
        Unserved::Full { retry_after } => Refusal::QueueFull { retry_after: seconds(retry_after) },
        Unserved::Displaced { retry_after } => Refusal::QueueDisplaced { retry_after: seconds(retry_after) },
        Unserved::Shed { retry_after } => Refusal::QueueShed { retry_after: seconds(retry_after) },
        Unserved::TooLate { retry_after } => Refusal::QueueTimeout { retry_after: seconds(retry_after) },
    }
}

/// How long an endpoint is busy that says 503 but not for how many seconds.
const BUSY: Duration = Duration::from_secs(1);
/// The longest that an endpoint's word is taken for: it may be well sooner, and one exchange less is felt.
const LONGEST_BUSY: Duration = Duration::from_mins(1);

/// How long an endpoint says that it is busy: `Retry-After` in seconds; a date counts as a second.
pub(crate) fn busy_span(answer: &HeaderMap) -> Duration {
    let value = answer.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = value.and_then(|value| value.trim().parse().ok());
    seconds.map_or(BUSY, Duration::from_secs).clamp(BUSY, LONGEST_BUSY)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_endpoint_is_busy_for_a_second_to_a_minute() {
        for (said, seconds) in [("7", 7), ("0", 1), ("86400", 60), ("Wed, 21 Oct 2026 07:28:00 GMT", 1), ("-3", 1)] {
            let mut fields = HeaderMap::new();
            fields.insert(http::header::RETRY_AFTER, HeaderValue::from_static(said));
            assert_eq!(busy_span(&fields), Duration::from_secs(seconds), "{said}");
        }
        assert_eq!(busy_span(&HeaderMap::new()), BUSY);
    }
}
