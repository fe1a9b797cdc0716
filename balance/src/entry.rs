//! What a queue is told of those who wait, and where that puts each of them in the order.
//!
//! In: [`Rules`] and an [`Entry`]. Out: a key; the smallest is first. Pure. Why these keys: `queue.rs`.

/// Nanoseconds: a span, or a moment counted from a start that the caller chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// This many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }
}

/// Whose an entry is: a hash of the client's address, or of whatever a share is granted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(pub u64);

/// How a queue orders and bounds its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The most entries that wait. 0 is a queue that refuses everybody who cannot be served at once.
    pub max: usize,
    /// How long one unit of predicted work makes an entry stand back, in units of time: 0 is first come, first served.
    pub factor: u16,
    /// The most predicted work that is believed; more counts as this. Bounds how long a large entry can be overtaken,
    /// and what a lie costs the liar.
    pub believed: Nanos,
    /// The least predicted work that is believed; less counts as this. What an entry without a prediction is charged.
    pub least: Nanos,
    /// How much later than class 0 each further class counts as having arrived.
    pub handicap: Nanos,
    /// How much work a client may be ahead of its share before it stands back.
    pub slack: Nanos,
    /// Up to this predicted work an entry is small: it may be served where others find no room, see [`Fit::OnlySmall`].
    pub small: Nanos,
}

/// What is known of an exchange that wants to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// When its exchange began to wait for the first time; a retry keeps it.
    pub arrival: Nanos,
    /// What it will cost its endpoint, as far as one can tell.
    pub work: Nanos,
    /// 0 is served first; each further class stands back by [`Rules::handicap`].
    pub class: u8,
    /// Whose share it counts against.
    pub client: Client,
    /// When it no longer wants to be served.
    pub deadline: Nanos,
}

impl Rules {
    /// Predicted work within the bounds of belief.
    pub(crate) fn believe(&self, work: Nanos) -> u64 {
        work.0.min(self.believed.0).max(self.least.0)
    }

    /// Where an entry stands in the order.
    pub(crate) fn key(&self, entry: &Entry) -> u64 {
        let stands_back = self.believe(entry.work).saturating_mul(u64::from(self.factor));
        let handicap = self.handicap.0.saturating_mul(u64::from(entry.class));
        entry.arrival.0.saturating_add(stands_back).saturating_add(handicap)
    }
}
