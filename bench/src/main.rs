//! `weir-bench`: what weir costs, next to the peers that people would run instead.
//!
//! In: a command line. Out: a table on standard output and, if asked for, the same as JSON.
//! `overhead` compares CPU time per request with nginx and HAProxy, `idle` measures memory per idle connection; the
//! method and what can be held against it: `docs/guide/overhead.md`. `peers` compares latency under load.

mod case;
mod cli;
mod error;
mod idle;
mod overhead;
mod peers;
mod report;
mod rig;
mod rounds;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::Cli::parse().run()
}
