//! Tests of the optimizer through its public interface, and of its binary over real sockets.

#![expect(clippy::unwrap_used, reason = "what fails here fails its test, as it should")]

mod bad_input;
mod chromium;
mod codec;
mod coefficients;
mod condition;
mod consul;
mod dice;
mod fixture;
mod fuzz;
mod golden;
mod http;
mod marks;
mod memory;
mod metadata;
mod options;
mod picture;
mod shutdown;
mod splice;
mod strict;
