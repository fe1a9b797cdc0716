//! The places of the admin listener: who holds one, and who must let go of it when all are taken.
//!
//! In: who comes. Out: a place; when none is free, that of the connection which has been without a word the longest is
//! taken back, of the client that has the most of them. Cost: a lock for each connection; a look at all of them, 128 at
//! most, when they are taken.
//! Why not the newest: whoever opens connections and says nothing must neither take the descriptors that clients need nor
//! lock an operator out, and an operator is who comes last and asks at once. Why not refuse by address: all who come
//! through a tunnel have the same one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use weir_snapshot::Clock;

/// How many may be connected: operators, scrapers and pages are few.
pub(crate) const PLACES: usize = 128;

/// All places.
pub(crate) struct Places {
    clock: Clock,
    held: Mutex<Held>,
    /// One was left.
    left: Notify,
}

#[derive(Default)]
struct Held {
    number: u64,
    all: HashMap<u64, Arc<Holder>>,
}

/// Who holds a place.
struct Holder {
    client: IpAddr,
    /// When bytes last went either way, in nanoseconds of weir's clock.
    heard: AtomicU64,
    /// A call of its is being carried out, or its answer is still being made.
    asks: AtomicBool,
    leave: CancellationToken,
}

/// A place; left when dropped.
pub(crate) struct Place {
    number: u64,
    holder: Arc<Holder>,
    places: Arc<Places>,
}

/// A call that is being carried out; over when dropped.
pub(crate) struct Asking(Arc<Place>);

impl Places {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self { clock, held: Mutex::default(), left: Notify::new() })
    }

    /// A place for this client; waits while all are taken by those whose calls are being carried out.
    pub(crate) async fn take(self: &Arc<Self>, client: IpAddr) -> Place {
        loop {
            if let Some(place) = self.try_take(client) {
                return place;
            }
            self.left.notified().await;
        }
    }

    fn try_take(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let mut held = self.held();
        if held.all.len() >= PLACES {
            held.make_room();
            return None;
        }
        held.number += 1;
        let (number, leave) = (held.number, CancellationToken::new());
        let (heard, asks) = (AtomicU64::new(self.clock.now().as_nanos()), AtomicBool::new(false));
        let holder = Arc::new(Holder { client: of_one(client), heard, asks, leave });
        held.all.insert(number, Arc::clone(&holder));
        Some(Place { number, holder, places: Arc::clone(self) })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Each change is a whole one, whoever panicked.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Tells one to leave, unless one that was told is still there.
    fn make_room(&self) {
        if self.all.values().any(|holder| holder.leave.is_cancelled()) {
            return;
        }
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for holder in self.all.values() {
            *counts.entry(holder.client).or_default() += 1;
        }
        let waits = self.all.values().filter(|holder| !holder.asks.load(Relaxed));
        let longest = waits.max_by_key(|holder| {
            let count = counts.get(&holder.client).copied().unwrap_or_default();
            (count, std::cmp::Reverse(holder.heard.load(Relaxed)))
        });
        if let Some(holder) = longest {
            tracing::debug!(client = %holder.client, "all places of the admin listener are taken: the most silent one leaves");
            holder.leave.cancel();
        }
    }
}

impl Place {
    /// Bytes went one way or the other.
    pub(crate) fn hear(&self) {
        // Relaxed: whoever decides by it a moment too early closes another silent connection.
        self.holder.heard.store(self.places.clock.now().as_nanos(), Relaxed);
    }

    /// A call is being carried out until what is given is dropped.
    pub(crate) fn ask(self: Arc<Self>) -> Asking {
        self.holder.asks.store(true, Relaxed);
        Asking(self)
    }

    /// Waits until this place is needed for another.
    pub(crate) async fn taken_back(&self) {
        self.holder.leave.cancelled().await;
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.hear();
        self.0.holder.asks.store(false, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.held().all.remove(&self.number);
        self.places.left.notify_one();
    }
}

/// What tells one client from another: its address, of IPv6 the first half, for the other one is the client's to choose.
pub(crate) fn of_one(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(client) => Ipv6Addr::from_bits(client.to_bits() >> 64 << 64).into(),
        client @ IpAddr::V4(_) => client,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    /// So many places of one client, taken a second apart.
    async fn taken(places: &Arc<Places>, client: IpAddr, count: usize) -> Vec<Arc<Place>> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(Arc::new(places.take(client).await));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        all
    }

    fn told(places: &[Arc<Place>]) -> Vec<usize> {
        let told = |place: &Arc<Place>| place.holder.leave.is_cancelled();
        (0..places.len()).filter(|&index| told(&places[index])).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_most_silent_one_of_the_client_that_has_the_most_makes_room() {
        let places = Places::new(Clock::start());
        let few = taken(&places, ONE, 28).await;
        let many = taken(&places, OTHER, PLACES - 28).await;
        many[0].hear();
        let _asking = Arc::clone(&many[1]).ask();
        assert!(places.try_take(ONE).is_none());
        assert!(told(&few).is_empty());
        assert_eq!(told(&many), [2]);
        assert!(places.try_take(ONE).is_none());
        assert_eq!(told(&many), [2], "one for each who comes, not one for each look");
        drop(many);
        assert!(places.try_take(ONE).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn whose_call_is_being_carried_out_is_not_told_to_leave() {
        let places = Places::new(Clock::start());
        let all = taken(&places, ONE, PLACES).await;
        let mut asking: Vec<Asking> = all.iter().map(|place| Arc::clone(place).ask()).collect();
        assert!(places.try_take(ONE).is_none());
        assert!(told(&all).is_empty());
        drop(asking.swap_remove(5));
        assert!(places.try_take(ONE).is_none());
        assert_eq!(told(&all), [5]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_place_gets_it_once_one_leaves() {
        let places = Places::new(Clock::start());
        let mut all = taken(&places, ONE, PLACES).await;
        let last = all.pop().unwrap();
        let _asking: Vec<Asking> = all.iter().map(|place| Arc::clone(place).ask()).collect();
        let leaving = async move {
            last.taken_back().await;
            drop(last);
        };
        let (_place, ()) = tokio::join!(places.take(OTHER), leaving);
    }

    #[test]
    fn a_client_of_ipv6_is_its_network() {
        let one = |text: &str| of_one(text.parse().unwrap());
        assert_eq!(one("2001:db8::1"), one("2001:db8::ffff:1"));
        assert_ne!(one("2001:db8::1"), one("2001:db8:0:1::1"));
        assert_eq!(one("::ffff:10.0.0.1"), ONE);
    }
}
