//! A Consul client for services that come and go.
//!
//! In: the address of an agent's HTTP API, an ACL token, TLS material. Out: a [`Watch`] that tells of every change of a
//! service, and a [`Registration`] that makes this process one of its instances and keeps it so.
//! Cost: one connection and one request per watched service and wait; one request a second per registration.
//! Source: the HTTP API of Consul 1.8, and what a real agent was seen to do: `docs/adr/0006-own-consul-client.md`.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use weir_consul::{Client, Event, Options, Query, Watch};
//!
//! let client = Client::new(Options::new("http://127.0.0.1:8500".parse()?))?;
//! let mut watch = Watch::new(&client, Query::new("optimizer"), 42);
//! loop {
//!     match watch.next().await {
//!         Event::Update(update) => println!("{} instances", update.instances.len()),
//!         Event::Unchanged => {}
//!         Event::Failed(error) => println!("{}", error.explain()),
//!     }
//! }
//! # }
//! ```

mod address;
mod client;
mod connection;
mod dice;
mod error;
mod instance;
mod pace;
mod place;
mod registration;
mod secret;
mod text;
mod tls;
mod watch;
mod wire;

pub use address::{Address, AddressError};
pub use client::{Client, Options};
pub use error::ConsulError;
pub use instance::{Instance, Status, Weights};
pub use place::{Advertised, NotAdvertised, Place, PlaceError};
pub use registration::{Check, Registration, Service};
pub use secret::{Secret, SecretError};
pub use tls::{Identity, Tls, TlsError};
pub use watch::{Event, Include, Query, Stale, Update, Watch};
