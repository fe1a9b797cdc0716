//! The binary `weir-optimizer`: flags, signals and one [`Optimizer`].
//!
//! In: the command line. Out: one line on standard output once it listens. SIGTERM or SIGINT drains and exits with 0, a
//! second one exits with 1 at once. With `--consul` it registers once it serves, and deregisters before it drains.

mod logo;
mod register;

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use weir_consul::Registration;
use weir_optimizer::kernel::Limits;
use weir_optimizer::{Optimizer, Options};

/// How long it serves on after it has deregistered: whoever watches knows within milliseconds, but requests may be on
/// their way, and a proxy whose agent is slow learns later.
const FAREWELL: Duration = Duration::from_secs(2);

// Pictures are large allocations that come and go; the system allocator gives them back to the kernel each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Draws a watermark on images: POST one to /optimize.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:3001")]
    listen: SocketAddr,
    /// Images worked on at once [default: one per core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
    /// Images that may wait for a worker [default: 4 per worker and 16]
    #[arg(long)]
    queue: Option<u16>,
    /// Name in the X-Optimizer header [default: optimizer-PORT]
    #[arg(long)]
    id: Option<String>,
    /// Most pixels of an image
    #[arg(long, value_name = "PIXELS", default_value_t = Limits::default().pixels)]
    max_pixels: u64,
    /// Most bytes of an image
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().bytes)]
    max_bytes: u64,
    /// A logo that requests may ask for with `logo=NAME`: a PNG, WebP or JPEG; may be given several times
    #[arg(long = "logo", value_name = "NAME=FILE")]
    logos: Vec<String>,
    /// Most bytes of all bodies held at once, received or being sent
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().body_memory)]
    body_memory: u64,
    /// Most bytes that all images being worked on take; others wait, and one that could never fit is refused
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().kernel_memory)]
    kernel_memory: u64,
    /// Time for which a client may take nothing of an answer, as `30s`; then its connection is closed
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    send_timeout: Duration,
    /// Answer a matching If-None-Match with 304 instead of 412, for callers that treat an optimisation as a GET
    #[arg(long)]
    not_modified: bool,
    /// Cache-Control of pictures [default: none]
    #[arg(long, value_name = "VALUE")]
    cache_control: Option<String>,
    /// Time between failing /healthz and closing the listener, as `2s` or `500ms`
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    shutdown_delay: Duration,
    /// Time for running requests after that, as `30s`
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    shutdown_deadline: Duration,
    #[command(flatten)]
    consul: register::Flags,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Colours are for people: a file or a journal gets none.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(colours).init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed("cannot start threads", &error),
    };
    #[expect(clippy::disallowed_methods, reason = "this is main")]
    let token = std::env::var(register::TOKEN_VARIABLE).ok();
    let code = runtime.block_on(run(cli, token));
    // Dropping the runtime would wait for pictures nobody waits for.
    runtime.shutdown_background();
    code
}

async fn run(cli: Cli, token: Option<String>) -> ExitCode {
    let defaults = Options::default();
    let workers = cli.workers.map_or(defaults.workers, usize::from);
    let logos = match logo::read(&cli.logos) {
        Ok(logos) => logos,
        Err(why) => {
            tracing::error!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let options = Options {
        listen: cli.listen,
        workers,
        queue: cli.queue.map_or(Options::queue_for(workers), usize::from),
        id: cli.id.clone(),
        limits: Limits { pixels: cli.max_pixels, bytes: cli.max_bytes },
        logos,
        body_memory: cli.body_memory,
        kernel_memory: cli.kernel_memory,
        send_timeout: cli.send_timeout,
        not_modified: cli.not_modified,
        cache_control: cli.cache_control.clone(),
        shutdown_delay: cli.shutdown_delay,
        shutdown_deadline: cli.shutdown_deadline,
    };
    // Before listening, so that a signal right after the line below is not the default one.
    let mut signals = match count_signals() {
        Ok(signals) => signals,
        Err(error) => return failed("cannot listen to signals", &error),
    };
    let mut second = signals.clone();
    let optimizer = match Optimizer::bind(options).await {
        Ok(optimizer) => optimizer,
        Err(error) => return failed(&format!("cannot listen on {}", cli.listen), &error),
    };
    let registration =
        match cli.consul.registration(cli.id.as_deref(), token.as_deref(), optimizer.local_addr(), workers) {
            Ok(registration) => registration,
            Err(why) => {
                tracing::error!("{why}");
                return ExitCode::FAILURE;
            }
        };
    let line = format!("weir-optimizer {} listening on http://{}\n", optimizer.id(), optimizer.local_addr());
    let mut out = std::io::stdout();
    if let Err(error) = out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
        return failed("cannot write to standard output", &error);
    }
    let first = async move {
        // An error means that nobody sends signals any more, which is no reason to stop.
        if signals.wait_for(|count| *count >= 1).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = optimizer.run(stay_registered(registration, first)) => ExitCode::SUCCESS,
        Ok(_) = second.wait_for(|count| *count >= 2) => ExitCode::FAILURE,
    }
}

/// Keeps this optimizer registered until `end` is done, then takes it off and gives everybody the time to notice.
async fn stay_registered(registration: Option<Registration>, end: impl Future<Output = ()>) {
    let Some(registration) = registration else { return end.await };
    registration.keep(end).await;
    match registration.deregister().await {
        Ok(()) => tracing::info!("deregistered"),
        // The agent will find out by its check; until then others hear it from us.
        Err(error) => tracing::error!("cannot deregister: {}", error.explain()),
    }
    tokio::time::sleep(FAREWELL).await;
}

/// How many SIGTERM and SIGINT have come.
fn count_signals() -> std::io::Result<watch::Receiver<u32>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (count, counted) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = term.recv() => {}
                Some(()) = int.recv() => {}
                else => return,
            }
            count.send_modify(|count| *count += 1);
        }
    });
    Ok(counted)
}

fn failed(what: &str, error: &std::io::Error) -> ExitCode {
    tracing::error!("{what}: {error}");
    ExitCode::FAILURE
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u32 = number.parse().map_err(|_| "write a whole number and a unit, as `2s` or `500ms`".to_owned())?;
    match unit {
        "s" => Ok(Duration::from_secs(u64::from(number))),
        "ms" => Ok(Duration::from_millis(u64::from(number))),
        _ => Err("write `s` or `ms` after the number, as `2s` or `500ms`".to_owned()),
    }
}
