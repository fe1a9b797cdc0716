//! What a policy knows of an endpoint: a slot, an identity, a weight.

use std::num::NonZeroU16;

/// Position of an endpoint in the list a selector was built from. Means nothing after a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// The slot with this index; indices past `u16::MAX` cannot exist, see [`Endpoints::new`].
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// The index into the list of endpoints.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Share of traffic relative to the sibling endpoints: 1..=1000, no unit.
/// Zero is not a weight: an endpoint that should get nothing is drained, which is a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(NonZeroU16);

impl Weight {
    /// The heaviest weight.
    pub const MAX: u16 = 1000;
    /// The weight of an endpoint that does not say.
    pub const ONE: Self = Self(NonZeroU16::MIN);

    /// # Errors
    /// [`WeightError`] when `raw` is 0 or more than [`Weight::MAX`].
    pub fn new(raw: u16) -> Result<Self, WeightError> {
        NonZeroU16::new(raw).filter(|weight| weight.get() <= Self::MAX).map(Self).ok_or(WeightError { raw })
    }

    /// The number, 1..=1000.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

/// A number that is no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a weight is between 1 and {max}, not {raw}", max = Weight::MAX)]
pub struct WeightError {
    /// What was asked for.
    pub raw: u16,
}

/// One endpoint as a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What stays the same when the list is reordered or rebuilt: the address, as text.
    /// Places on a hash ring derive from it.
    pub identity: Box<str>,
    /// Share of traffic.
    pub weight: Weight,
}

/// The endpoints that a selector is built from: at most [`Endpoints::MAX`], no two with one identity. May be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints(Box<[Endpoint]>);

impl Endpoints {
    /// The most endpoints of one service; a schedule entry takes two bytes because of it.
    pub const MAX: usize = u16::MAX as usize;

    /// # Errors
    /// [`EndpointsError`] when there are too many, or two share an identity.
    pub fn new(list: Vec<Endpoint>) -> Result<Self, EndpointsError> {
        if list.len() > Self::MAX {
            return Err(EndpointsError::TooMany { count: list.len() });
        }
        let mut seen = std::collections::HashSet::with_capacity(list.len());
        if let Some(twin) = list.iter().find(|endpoint| !seen.insert(&endpoint.identity)) {
            return Err(EndpointsError::Twice { identity: twin.identity.clone() });
        }
        Ok(Self(list.into_boxed_slice()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All, in slot order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Slot, &Endpoint)> {
        self.0.iter().enumerate().map(|(index, endpoint)| (Slot(u16::try_from(index).unwrap_or(u16::MAX)), endpoint))
    }
}

/// A list that no selector can be built from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointsError {
    /// More than [`Endpoints::MAX`].
    #[error("{count} endpoints in one service, the most is {max}", max = Endpoints::MAX)]
    TooMany {
        /// How many there were.
        count: usize,
    },
    /// One identity twice.
    #[error("endpoint `{identity}` is listed twice")]
    Twice {
        /// The identity.
        identity: Box<str>,
    },
}
