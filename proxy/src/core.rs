//! What all connections share.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::{ArcSwap, ArcSwapOption};
use pingora_core::connectors::TransportConnector;
use tokio_util::sync::CancellationToken;
use weir_snapshot::{Clock, Reader, TrustedProxies};

use crate::access_log::AccessLog;
use crate::body::Budget;
use crate::head::{Head, Kind};
use crate::idle::Idle;
use crate::observe::Observe;
use crate::recent::Ring;
use crate::work::Works;

/// Shared by all connections of a proxy.
pub(crate) struct Core {
    pub(crate) reader: Reader,
    pub(crate) clock: Clock,
    pub(crate) connector: TransportConnector,
    pub(crate) idle: Idle,
    pub(crate) body_budget: Budget,
    pub(crate) trusted_proxies: ArcSwap<TrustedProxies>,
    pub(crate) request_ids: RequestIds,
    pub(crate) observe: Observe,
    pub(crate) works: Works,
    pub(crate) access_log: ArcSwapOption<AccessLog>,
    pub(crate) recent: Ring,
    /// Answers say `Connection: close` from now on.
    pub(crate) draining: CancellationToken,
    /// Idle connections end, and exchanges end theirs.
    pub(crate) closing: CancellationToken,
}

impl Core {
    /// Whether clients are asked to go elsewhere.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }
}

/// Makes request ids: 128 bits as hex, different in every process and for every request.
pub(crate) struct RequestIds {
    seed: u64,
    count: AtomicU64,
}

/// A longer id than this is replaced, so that nobody fills our logs.
const LONGEST: usize = 128;

impl RequestIds {
    /// Seeds from the system's entropy, by way of the standard library's hasher.
    pub(crate) fn seeded() -> Self {
        let seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
        Self { seed, count: AtomicU64::new(0) }
    }

    /// The client's own id if it is a sane one, else a new one.
    pub(crate) fn of(&self, head: &Head) -> String {
        let own = head.values(Kind::RequestId).next().and_then(|id| std::str::from_utf8(id).ok());
        let sane = |id: &&str| {
            (1..=LONGEST).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
        };
        own.filter(sane).map_or_else(|| self.next(), str::to_owned)
    }

    fn next(&self) -> String {
        let count = self.count.fetch_add(1, Relaxed);
        let halves = [mixed(self.seed ^ count), mixed(self.seed.rotate_left(32).wrapping_add(count))];
        let nibbles = halves.iter().flat_map(|half| (0..16).rev().map(move |place| half >> (place * 4) & 0xf));
        let mut id = String::with_capacity(32);
        id.extend(nibbles.filter_map(|nibble| char::from_digit(u32::try_from(nibble).ok()?, 16)));
        id
    }
}

/// splitmix64's finaliser: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
fn mixed(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
