//! The exchange through the real binary: scripted endpoints on one side, raw clients on the other.
//!
//! One module per promise. Timeouts in the configurations are short so that they can be waited out; nothing is asserted
//! about how long anything took.
#![expect(clippy::unwrap_used, clippy::float_cmp, reason = "test code, whose metrics count whole things")]

mod abort;
mod answers;
mod crowd;
mod deadlines;
mod early;
mod edits;
mod expect;
mod faults;
mod fields;
mod limits;
mod messages;
mod mutations;
mod pressure;
mod routing;
mod setup;
mod sockets;
mod tunnel;
