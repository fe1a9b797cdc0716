//! Choose one endpoint: pure policies, no clock, no I/O, no atomics, no chance of their own.

mod ask;
mod endpoint;
mod policy;

pub use ask::{Ask, KeyHash, Loads};
pub use endpoint::{Endpoint, Endpoints, EndpointsError, Slot, Weight, WeightError};
pub use policy::{Policy, VirtualNodes};
