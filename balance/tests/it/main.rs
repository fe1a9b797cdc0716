//! The policies from outside: laws over all of them at once, and examples of what a law cannot say.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only functions marked as tests")]

mod examples;
mod fleet;
mod laws;
mod pace;
mod places;
mod queue;
mod ramps;
mod spread;
