//! `weir-bench`: what weir costs, next to the peers that people would run instead.
//!
//! In: a command line. Out: a table on standard output and, if asked for, the same as JSON.
//! `overhead` compares CPU time per request with nginx and HAProxy, `idle` measures memory per idle connection;
//! `sim` compares choices of endpoints in a simulator (`docs/benchmarks.md`). The method and what can be held against it: `docs/guide/overhead.md`.

mod case;
mod cli;
mod error;
mod idle;
mod overhead;
mod report;
mod rig;
mod rounds;
mod sim;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::Cli::parse().run()
}
