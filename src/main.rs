//! The binary `weir`: wires configuration, discovery and proxy together.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser;

mod admin;
mod cli;
mod demo;
mod metrics;
mod open_files;
mod reload;
mod run;
mod series;
mod signals;
mod watch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_env_var("WEIR_LOG")
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy()
        // Pingora reports every broken connection as an error; weir counts and logs them itself.
        .add_directive("pingora_core=off".parse().unwrap_or_default());
    // Colours are for people: a file or a journal gets none.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .init();
    cli::Cli::parse().run()
}
