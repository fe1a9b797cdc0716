//! What lies in `deploy/` and `docs/runbook/`, as far as it can be tried without a cluster: by the programs that would
//! read it where there are some, and for agreement with one another and with weir itself.
#![expect(clippy::unwrap_used, reason = "test code: a failed expectation is a failed test")]

mod agreement;
mod checkers;
mod dashboard;
mod files;
mod names;
mod pages;
mod programs;
mod rules;
