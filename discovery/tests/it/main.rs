//! Configurations become snapshots; endpoints that stop answering are ejected, and come back.

mod assemble;
mod dns;
// Said again, so that clippy sees that helpers are test code.
#[cfg(test)]
mod file;
mod health;
mod observe;
mod probe;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod support;
