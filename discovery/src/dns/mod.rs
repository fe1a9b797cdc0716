//! Names as a source of endpoints.
//!
//! In: a name with a port (A and AAAA records), or the name of a service (SRV records), and resolvers to ask. Out: a
//! [`Watch`], which is a [`crate::Source`]. Cost: a query per address family and time to live; for SRV one more per
//! target and family that did not come along.
//! What the answers mean is decided in `answer`, `gather` and `tiers`, which are pure or follow a script in tests; the
//! sockets are hickory's. Source: RFC 1035, 2181, 2308 (negative answers), 2782 (SRV), 6761 (`localhost`), 6891 (EDNS).
//!
//! - No answer and the answer "nothing" are different things: a name that does not exist is an empty list, a resolver
//!   that is silent or says SERVFAIL is a failure.
//! - Nothing is cached between rounds, neither here nor by hickory, whose own resolver would hide changes behind a cache:
//!   what is asked is one server at a time, through its connection pool.

mod answer;
mod client;
mod error;
mod gather;
mod name;
mod pace;
mod resolver;
mod system;
mod tiers;
mod watch;

pub(crate) use client::WeakClient;
pub use client::{Client, Options, Resolvers};
pub use error::{DnsError, Fault};
pub use name::{DomainName, NameError, NamePort};
pub use watch::{Families, Query, Records, Watch};
