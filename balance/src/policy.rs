//! The policies by name, and the table each one builds.

/// The choice as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// In turn, each endpoint once. Weights must all be 1; configuration sees to that.
    RoundRobin,
    /// Smooth weighted round robin: A A B A, not A A A B.
    Weighted,
    /// Fewest (in flight + 1) / weight; ties rotate.
    LeastConnections,
    /// Of two drawn by weight, the one with fewer (in flight + 1) / weight; ties rotate.
    P2c,
    /// Drawn by weight.
    Random,
    /// Of two drawn by weight, the one with less latency × (in flight + 1) / weight, where the latency of one that is not
    /// asked ages.
    PeakEwma,
    /// One client, one endpoint: a ring whose key is the client's address.
    IpHash,
    /// A ring with virtual nodes, weight-aware.
    ConsistentHash {
        /// Places on the ring of an endpoint of weight 1.
        virtual_nodes: VirtualNodes,
        /// How busy a key's own endpoint may be.
        bounded_load: Option<LoadFactor>,
    },
    /// Maglev's table, weight-aware: the most even shares, and few keys move when the list changes.
    Maglev {
        /// How busy a key's own endpoint may be.
        bounded_load: Option<LoadFactor>,
    },
    /// Redis Cluster's 16,384 slots, given out by weight. Hash keys with [`slot_hash`](crate::slot_hash).
    Slots {
        /// How busy a key's own endpoint may be.
        bounded_load: Option<LoadFactor>,
    },
}

impl Policy {
    /// Its name, as configurations have it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::Weighted => "weighted",
            Self::LeastConnections => "least-connections",
            Self::P2c => "p2c",
            Self::Random => "random",
            Self::PeakEwma => "peak-ewma",
            Self::IpHash => "ip-hash",
            Self::ConsistentHash { .. } => "consistent-hash",
            Self::Maglev { .. } => "maglev",
            Self::Slots { .. } => "slots",
        }
    }

    /// How it chooses among the endpoints that admit, for people.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::RoundRobin => "it is the endpoint's turn",
            Self::Weighted => "it is the endpoint's turn, by weight",
            Self::LeastConnections => "it has the fewest (in flight + 1) / weight; equals take turns",
            Self::P2c => "of two that this turn draws by weight it has fewer (in flight + 1) / weight",
            Self::Random => "this turn draws it by weight",
            Self::PeakEwma => "of two that this turn draws by weight it has less latency x (in flight + 1) / weight",
            Self::IpHash | Self::ConsistentHash { .. } => "it comes first after the key on the ring",
            Self::Maglev { .. } => "the key's place in the table is its own",
            Self::Slots { .. } => "the key's slot is its own",
        }
    }

    /// Whether picks depend on [`Ask::key`](crate::Ask::key).
    pub const fn reads_keys(&self) -> bool {
        matches!(self, Self::IpHash | Self::ConsistentHash { .. } | Self::Maglev { .. } | Self::Slots { .. })
    }

    /// Whether picks depend on [`Loads::latency`](crate::Loads::latency).
    pub const fn reads_latency(&self) -> bool {
        matches!(self, Self::PeakEwma)
    }
}

/// How many times the mean load, by weight, an endpoint may have before its keys go to others: 1.00..=100.00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadFactor(u16);

impl LoadFactor {
    /// The least, in hundredths: with less there might be nobody who has room.
    pub const MIN: u16 = 100;
    /// The most, in hundredths.
    pub const MAX: u16 = 10_000;

    /// `None` unless 100..=10,000 hundredths.
    pub fn from_hundredths(raw: u16) -> Option<Self> {
        (Self::MIN..=Self::MAX).contains(&raw).then_some(Self(raw))
    }

    /// The factor × 100.
    pub const fn hundredths(self) -> u16 {
        self.0
    }
}

/// Places on the ring of an endpoint of weight 1: 1..=1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualNodes(u16);

impl VirtualNodes {
    /// 160, as ketama and nginx: peak-to-mean below 1.2 for a handful of endpoints, for 1.8 KB of ring each.
    pub const DEFAULT: Self = Self(160);
    /// The most.
    pub const MAX: u16 = 1000;

    /// `None` unless 1..=1000.
    pub fn new(raw: u16) -> Option<Self> {
        (1..=Self::MAX).contains(&raw).then_some(Self(raw))
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}
