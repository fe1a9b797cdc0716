//! `weir import`: nginx with its configuration, and weir with what comes out of it, are asked the same and do the same.
//!
//! Each configuration of the corpus (`config/import/tests/confs`) runs in the real nginx and, taken over, in the real weir,
//! before scripted endpoints that answer with what they were asked. Addresses in the texts stand for places: those in
//! `10.0.0.0/8` for endpoints, ports for free ones.

#![expect(clippy::unwrap_used, reason = "test code: a failed expectation is a failed test")]

mod asks;
mod command;
mod pair;
mod stage;
