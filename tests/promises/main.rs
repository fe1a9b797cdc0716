//! What weir promises, kept by the real binaries: retries, health, policies, bodies, life and death.
//!
//! Endpoints are scripted ([`weir_testkit::Endpoint`]) or real `weir-optimizer` processes, clients are raw sockets or
//! the real programs. Nothing here sleeps to let things settle or looks at the clock; whatever takes time is waited for.
#![expect(clippy::unwrap_used, reason = "test code: a failed expectation is a failed test")]

mod admin;
mod bodies;
mod check;
mod cli;
mod clients;
mod demo;
mod deploy;
mod discovery;
mod dns;
mod events;
mod explain;
mod fleet;
mod health;
mod life;
mod load;
mod log;
mod metrics;
mod outages;
mod overload;
mod page;
mod policies;
mod queue;
mod readme;
mod register;
mod reload;
mod retries;
mod slow_start;
mod supervised;
mod support;
mod work;
