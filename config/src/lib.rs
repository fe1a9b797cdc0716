//! TOML text to a typed [`Config`] and back, or every problem with its place and its cure.
//!
//! In: the name and the text of a file; nothing is opened or looked up. Out: a [`Config`] whose every value is legal and
//! whose every reference resolves, or [`Problems`] that print as a compiler's errors do.
//! Cost: one walk through the text by the TOML parser and one through its tree; 10 ms for 5,000 endpoints.
//! Where things are: `raw/` knows TOML, `read/` has one file per table, `defaults` the defaults and why they are what
//! they are. A key is defined once; reading, "did you mean" and the reference page all use that definition.

mod config;
pub mod defaults;
mod diff;
mod names;
mod near;
mod problem;
mod raw;
mod read;
mod reference;
mod sink;
mod text;

pub use config::{
    AccessLog, Admin, Advertise, Agent, Config, Consul, Discovery, Dns, Endpoint, Family, Log, Records, Register,
    Route, Server, Service, Source, SourceKind, Status, TokenFrom,
};
pub use diff::{Change, diff, pending};
pub use problem::{Problem, Problems};
pub use reference::reference;

/// A complete configuration with comments: every key, most with its default.
pub const EXAMPLE: &str = include_str!("../example.toml");

/// Reads a configuration; `file_name` appears in problems and is not opened.
///
/// # Errors
/// [`Problems`] with everything that is wrong, in the order of the text. Where TOML itself is violated, what depends on
/// the part that cannot be read is left out until that part can be.
pub fn parse(file_name: &str, text: &str) -> Result<Config, Problems> {
    read::read(text).map_err(|problems| Problems::new(file_name, text, problems))
}

/// The configuration as a file that says all of it, what was left to its default included, with comments on what is one.
/// To read it gives `config` again, if that came from [`parse`]. Cost: one walk; 2 ms for 5,000 endpoints.
pub fn print(config: &Config) -> String {
    read::print(config)
}

/// Reads a file of endpoints: `endpoints = [...]` as in a `[[service]]`, but by IP address alone; the list may be empty.
/// `file_name` appears in problems and is not opened.
///
/// # Errors
/// [`Problems`], as [`parse`].
pub fn parse_endpoints(file_name: &str, text: &str) -> Result<Vec<Endpoint>, Problems> {
    read::read_endpoints(text).map_err(|problems| Problems::new(file_name, text, problems))
}
