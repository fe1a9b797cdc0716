//! The newest exchanges, for whoever asks why a request went where it went.
//!
//! In: an exchange that is over. Out: the newest ones, as many as configured. Memory: fixed, at most 1 KiB for each.
//! Cost: an addition to a shared counter, a lock that nobody else wants but one who reads this very place, and copies into
//! buffers that are there already. An exchange never waits: whose place is being read is not kept.
//! Queries are left out, for they may hold secrets; so are all fields but the host.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use weir_snapshot::Moment;

use crate::access_log::Traffic;
use crate::head::Head;
use crate::record::{Record, Tries};

/// The longest that is kept of a path, in bytes.
const LONGEST_PATH: usize = 256;
/// The longest that is kept of a host.
const LONGEST_HOST: usize = 128;
/// The longest that is kept of a method.
const LONGEST_METHOD: usize = 16;

/// An exchange that is over.
#[derive(Clone, Debug, Default)]
pub struct RecentExchange {
    /// Counts the exchanges since the start, from 1.
    pub number: u64,
    /// Its id, the client's own or ours; empty when its head was refused.
    pub id: String,
    /// When its head was complete.
    pub arrived: Moment,
    /// The listener that had it, by its configured address; none when its head was refused.
    pub listener: Option<SocketAddr>,
    /// The client's address, the real one behind trusted proxies.
    pub client: Option<IpAddr>,
    /// As sent, at most 16 bytes; empty when its head was refused, as the following two.
    pub method: String,
    /// As sent, at most 128 bytes.
    pub host: String,
    /// As sent, at most 256 bytes, without the query.
    pub path: String,
    /// Method, host or path were longer, or no text.
    pub shortened: bool,
    /// Names of the route and of its service.
    pub route: Option<(Arc<str>, Arc<str>)>,
    /// The hash of what the policy hashes.
    pub key: Option<u64>,
    /// Each endpoint tried and how that ended: `answered`, `connect`, `timeout`, ….
    pub tries: Vec<(Arc<str>, &'static str)>,
    /// Of the answer; 499 when the client left first, 0 when there was none.
    pub status: u16,
    /// Why weir answered by itself, if it did.
    pub refusal: Option<&'static str>,
    /// The answer broke off before its end.
    pub cut: bool,
    /// From the arrival to the answer's last byte.
    pub total: Duration,
    /// Of the try that answered: from the request's sending to the answer's head.
    pub first_byte: Option<Duration>,
    /// Opening the last connection that had to be opened.
    pub connect: Option<Duration>,
    /// Waiting for an endpoint to have room; `None` where there is no queue.
    pub queued: Option<Duration>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
}

/// Places for the newest exchanges.
#[derive(Debug)]
pub(crate) struct Ring {
    places: Box<[Mutex<Place>]>,
    next: AtomicU64,
}

/// Kept apart from what is shown, since a list of one try is stored in place.
#[derive(Debug, Default)]
struct Place {
    exchange: RecentExchange,
    tries: Tries,
}

impl Ring {
    /// With this many places; none keeps nothing.
    pub(crate) fn new(places: usize) -> Self {
        Self { places: (0..places).map(|_| Mutex::default()).collect(), next: AtomicU64::new(0) }
    }

    /// An exchange is over.
    pub(crate) fn note(&self, head: Option<&Head>, record: Record, traffic: Traffic, total: Duration) {
        if self.places.is_empty() {
            return;
        }
        // Relaxed, because only the number matters: each gets its own, and with it a place of its own.
        let number = self.next.fetch_add(1, Relaxed);
        let index = usize::try_from(number % self.places.len() as u64).unwrap_or_default();
        let Some(place) = self.places.get(index) else { return };
        let mut place = match place.try_lock() {
            Ok(place) => place,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let Place { exchange, tries } = &mut *place;
        let whole = [
            keep(&mut exchange.method, head.map_or(b"", Head::method), LONGEST_METHOD),
            keep(&mut exchange.host, head.and_then(Head::host).unwrap_or_default().as_bytes(), LONGEST_HOST),
            keep(&mut exchange.path, head.map_or(b"", Head::path), LONGEST_PATH),
        ];
        exchange.shortened = whole.contains(&false);
        exchange.number = number + 1;
        exchange.arrived = record.arrived;
        exchange.listener = record.listener;
        exchange.client = record.client;
        exchange.id = record.id;
        exchange.route = record.route.as_ref().map(|route| (Arc::clone(&route.name), Arc::clone(route.pool.service())));
        exchange.key = record.key.map(|key| key.0);
        exchange.status = record.status;
        exchange.refusal = record.refusal.map(crate::refusal::Refusal::label);
        exchange.cut = record.cut;
        exchange.total = total;
        exchange.first_byte = record.first_byte;
        exchange.connect = record.connect;
        exchange.queued = record.queued;
        exchange.bytes_in = traffic.bytes_in;
        exchange.bytes_out = traffic.bytes_out;
        *tries = record.endpoints;
    }

    /// All that are kept, newest first.
    pub(crate) fn newest(&self) -> Vec<RecentExchange> {
        let kept = self.places.iter().filter_map(|place| {
            let place = place.lock().unwrap_or_else(PoisonError::into_inner);
            (place.exchange.number > 0)
                .then(|| RecentExchange { tries: place.tries.to_vec(), ..place.exchange.clone() })
        });
        let mut kept: Vec<_> = kept.collect();
        kept.sort_unstable_by_key(|exchange| std::cmp::Reverse(exchange.number));
        kept
    }
}

/// Copies at most so many bytes as text; whether that is all of them as they were.
fn keep(kept: &mut String, bytes: &[u8], longest: usize) -> bool {
    kept.clear();
    let text = String::from_utf8_lossy(bytes.get(..longest).unwrap_or(bytes));
    kept.push_str(&text);
    bytes.len() <= longest && matches!(text, Cow::Borrowed(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(ring: &Ring, id: &str) {
        let mut record = Record::new(Moment::default());
        record.id = id.to_owned();
        ring.note(None, record, Traffic { bytes_in: 0, bytes_out: 0 }, Duration::ZERO);
    }

    #[test]
    fn the_newest_are_kept_newest_first_and_no_more_than_there_are_places() {
        let ring = Ring::new(3);
        assert!(ring.newest().is_empty());
        for id in ["a", "b", "c", "d", "e"] {
            note(&ring, id);
        }
        let ids: Vec<_> = ring.newest().into_iter().map(|exchange| (exchange.id, exchange.number)).collect();
        assert_eq!(ids, [("e".to_owned(), 5), ("d".to_owned(), 4), ("c".to_owned(), 3)]);
    }

    #[test]
    fn an_exchange_does_not_wait_for_whoever_reads() {
        let ring = Ring::new(1);
        note(&ring, "a");
        let reading = ring.places[0].lock().unwrap();
        note(&ring, "b");
        drop(reading);
        assert_eq!(ring.newest()[0].id, "a");
    }

    #[test]
    fn a_ring_without_places_keeps_nothing() {
        let ring = Ring::new(0);
        note(&ring, "a");
        assert!(ring.newest().is_empty());
    }
}
