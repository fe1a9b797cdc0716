//! What requests and probes may rely on.
#![cfg(not(loom))]

mod budget;
// Said again, so that clippy sees that its helpers are test code.
#[cfg(test)]
mod latency;
mod lease;
#[cfg(test)]
mod outlook;
#[cfg(test)]
mod permits;
mod publish;
mod route;
#[cfg(test)]
mod support;
mod verdict;
