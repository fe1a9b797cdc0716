//! What a file says becomes a `Config`, and what is wrong with it becomes problems that a reader can act on.

#![expect(clippy::unwrap_used, reason = "functions that tests share may fail the test")]

mod cases;
mod diff;
mod documents;
mod mutations;
mod printed;
mod values;
