//! Everything a request reads, in one immutable value behind one atomic pointer.

mod clock;
mod settings;
mod units;

pub use clock::Clock;
pub use settings::{
    BudgetRules, HealthRules, KeySource, ListenerSettings, Probe, ProbeKind, RetryRules, RouteSettings, Timeouts,
    TrustedProxies, WhenAllEjected,
};
pub use units::{Bytes, Millis, Moment};
