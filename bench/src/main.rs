//! `weir-bench`: what weir costs, next to the peers that people would run instead.
//!
//! In: a command line. Out: a table on standard output and, if asked for, the same as JSON.
//! `overhead` compares CPU time per request with nginx and HAProxy, `idle` measures memory per idle connection; the
//! method and what can be held against it: `docs/guide/overhead.md`. `kernel` compares the optimizer's kernel with libvips
//! and ImageMagick: `docs/guide/kernel.md`. `hostile` sends a real optimizer good and bad files and says whether it
//! lived through them within its memory: `docs/guide/optimizer-memory.md`.
//! `peers` compares latency under load: `docs/guide/peers.md`; `sim` compares choices of endpoints in a simulator:
//! `docs/benchmarks.md`; `discovery` measures how quickly endpoints come and go: `docs/guide/discovery.md`;
//! `reload` what reloads cost whom: `docs/guide/reload.md`; `status` what a look at all endpoints costs:
//! `docs/reference/admin.md`; `page` what the page that shows them costs a browser: `docs/guide/operate.md`.

mod case;
mod cli;
mod discovery;
mod error;
mod hostile;
mod idle;
mod kernel;
mod overhead;
mod page;
mod peers;
mod plot;
mod reload;
mod report;
mod rig;
mod rounds;
mod sim;
mod status;

use std::process::ExitCode;

use clap::Parser;

/// The optimizer's own, since `kernel` measures what the service would cost.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::Cli::parse().run()
}
