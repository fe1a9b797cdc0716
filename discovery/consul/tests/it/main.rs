//! Tests of the client through its public interface: over real sockets against scripted agents, and against a real
//! Consul where there is one.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test, as it should")]

mod acl;
mod agent;
mod cluster;
mod registration;
mod scripted;
mod support;
mod tls;
mod transport;
