//! Where endpoints come from and whether they answer.
//!
//! [`assemble`] turns a configuration into a whole snapshot; [`Health::run`] probes the endpoints of whichever snapshot
//! is current. Neither publishes by itself: whoever holds the [`weir_snapshot::Publisher`] does.

mod assemble;
pub mod dns;
mod health;
mod lives;
pub mod observe;
mod pace;
mod probe;
mod source;
mod watch;

pub use assemble::{AssembleError, assemble};
pub use health::Health;
pub use lives::Lives;
pub use source::{Found, Listing, News, Source, SourceError, Stale, Tier, share};
