//! Everything a request reads, in one immutable value behind one atomic pointer.

mod access;
mod budget;
mod clock;
mod edits;
mod failure;
mod fields;
mod lease;
mod live;
mod outlook;
mod path;
mod permits;
mod pool;
mod publish;
mod room;
mod route;
mod settings;
mod slow_start;
mod speed;
mod sync;
mod template;
mod units;
mod verdict;
mod waiting;
mod wish;

pub use access::{LogField, LogFormat, LogRules, Sample};
pub use budget::Budget;
pub use clock::Clock;
pub use edits::{Edits, FieldEdits, FixedAnswer};
pub use failure::{Failure, Witness};
pub use fields::{FRAMING, FieldNames, OF_ONE_HOP, is_plain, same_field};
pub use lease::{Lease, LeaseKind};
pub use live::{Condition, Live};
pub use outlook::{Chosen, Outlook};
pub use path::{RoutePath, decoded};
pub use permits::{Permits, QueueReport};
pub use pool::{Believed, Member, Pool, PoolParts, Tier};
pub use publish::{Publisher, Reader, Snapshot};
pub use route::{Route, RouteTable};
pub use settings::{
    BudgetRules, HealthRules, KeySource, ListenerSettings, Probe, ProbeKind, Queueing, RetryRules, RouteSettings,
    Timeouts, TrustedProxies, WhenAllEjected, WorkFrom,
};
pub use slow_start::{Percent, SlowStart, Starts};
pub use template::{Part, Template, TemplateError, VARIABLES, Variable};
pub use units::{Bytes, Millis, Moment};
pub use verdict::{Transition, Verdict};
pub use waiting::Waiting;
pub use wish::{Answer, QueueRules, Tried, Unserved, Wish};
