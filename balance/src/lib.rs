//! Choose one endpoint: pure policies, no clock, no I/O, no atomics, no chance of their own.
//!
//! In: a [`Policy`] and [`Endpoints`] once, then an [`Ask`] and [`Loads`] per exchange. Out: a [`Slot`].
//! Everything that varies between two picks is an argument, so a logged pick can be replayed and a simulator runs the
//! very code that the proxy runs. [`Queue`] orders those who wait for an endpoint to have room, [`Pace`] says when they are
//! too many.
//!
//! ```
//! use weir_balance::{Ask, Endpoint, Endpoints, Loads, Policy, Selector, Slot, Weight};
//!
//! struct AllIdle;
//! impl Loads for AllIdle {
//!     fn admits(&self, _: Slot) -> bool {
//!         true
//!     }
//!     fn in_flight(&self, _: Slot) -> u32 {
//!         0
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoints = Endpoints::new(vec![
//!     Endpoint { identity: "10.0.0.1:80".into(), weight: Weight::new(3)? },
//!     Endpoint { identity: "10.0.0.2:80".into(), weight: Weight::ONE },
//! ])?;
//! let selector = Selector::build(&Policy::Weighted, &endpoints);
//! let picked: Vec<usize> = (0..4)
//!     .filter_map(|turn| selector.pick(&Ask { turn, dice: 0, key: None, tried: &[] }, &AllIdle))
//!     .map(Slot::index)
//!     .collect();
//! assert_eq!(picked, [0, 0, 1, 0]);
//! # Ok(())
//! # }
//! ```

mod ask;
mod endpoint;
mod entry;
mod fair;
mod keyed;
mod latency;
mod least_connections;
mod maglev;
mod pace;
mod policy;
mod queue;
mod ramp;
mod random;
mod rendezvous;
mod ring;
mod round_robin;
mod selector;
mod slots;
mod two_choices;
mod weighted;

pub use ask::{Ask, KeyHash, Loads, key_hash};
pub use endpoint::{Endpoint, Endpoints, EndpointsError, Slot, Weight, WeightError};
pub use entry::{Client, Entry, Nanos, Rules};
pub use fair::dice;
pub use latency::{Latency, smoothed};
pub use pace::Pace;
pub use policy::{LoadFactor, Policy, VirtualNodes};
pub use queue::{Fit, Pushed, Queue, Ticket};
pub use ramp::Ramp;
pub use selector::Selector;
pub use slots::slot_hash;
