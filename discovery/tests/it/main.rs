//! Configurations become snapshots; endpoints that stop answering are ejected, and come back.

mod assemble;
mod dns;
mod file;
mod health;
mod observe;
mod probe;
// Said again, so that clippy sees that its helpers are test code.
#[cfg(test)]
mod support;
