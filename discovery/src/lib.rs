//! Where endpoints come from and whether they answer.
//!
//! [`Source`]s tell which endpoints exist, [`Discovery`] believes them or not and publishes what follows from it as a
//! whole snapshot, which [`assemble`] builds; [`Health::run`] probes the endpoints of whichever snapshot is current.
//! Why it is as it is: `docs/adr/0010-membership.md`.

mod agent;
mod assemble;
mod cache;
mod causes;
mod control;
mod discovery;
pub mod dns;
mod health;
mod lives;
mod membership;
pub mod observe;
mod overrides;
mod pace;
mod probe;
mod register;
mod report;
mod source;
mod watch;

pub use agent::ConsulSetupError;
pub use assemble::{AssembleError, assemble, fixed};
pub use control::{Applied, Control, Overridden, OverrideError, ReloadError};
pub use discovery::{Discovery, DiscoveryError};
pub use health::Health;
pub use lives::Lives;
pub use overrides::{Override, Overrides};
pub use register::{RegisterError, registration};
pub use report::{Readiness, Report, ServiceReport, SourceReport};
pub use source::{Ears, Found, Listing, News, SetupError, Source, SourceError, Stale, Tier, Variables, share};
pub use weir_balance::{Weight, WeightError};
pub use weir_consul::Registration;
