//! Configurations of nginx become configurations of weir, and nothing that is said in them is lost in silence.

#![expect(clippy::unwrap_used, reason = "functions that tests share may fail the test")]

mod cases;
mod refusals;
mod support;
mod syntax;
mod trees;
