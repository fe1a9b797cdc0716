//! The testkit itself: what it reports must be what happened.

mod endpoint;
mod peers;
mod process;
mod raw;
