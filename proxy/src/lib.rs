//! The exchange: listener → route → admit → pick → forward → observe.
//!
//! Pingora lives here and only here: its HTTP sessions parse and frame messages, its connector opens transports. The
//! loop around them is ours (`docs/adr/0002-own-exchange-loop.md`).

mod access_log;
mod attempt;
mod body;
mod chunked;
mod client;
mod connection;
mod core;
mod downstream;
mod edits;
mod exchange;
mod explain;
mod forward;
mod head;
mod idle;
mod key;
mod listener;
mod observe;
mod places;
mod proxy;
mod pump;
mod recent;
mod record;
mod refusal;
mod retry;
mod seek;
mod timer;
mod wire;
mod work;

pub use access_log::{AccessLog, LogTo};
pub use explain::{Explanation, Question, Refused};
pub use listener::ListenerReport;
pub use observe::{METRICS, Metric, RATIO_METRIC, RATIOS, SECONDS, describe as describe_metrics};
pub use proxy::{BindError, Proxy, ProxyParts};
pub use recent::RecentExchange;
pub use work::{Coefficients, WorkReport};
