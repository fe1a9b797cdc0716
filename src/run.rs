//! A weir from its configuration to its end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use weir_config::{Config, Server};
use weir_discovery::{Discovery, DiscoveryError, Health, Readiness, RegisterError, Registration, Report};
use weir_proxy::{BindError, Proxy, ProxyParts};
use weir_snapshot::Clock;

use crate::admin::{self, Access, Admin, AdminParts, TokenError};
use crate::cli::say;
use crate::notify::Supervisor;
use crate::reload::{self, Reloader};
use crate::signals::{Hangups, Signals};
use crate::{log, metrics, open_files};

/// How long threads that are blocked are waited for at the end.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Why a weir did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The system gave no threads or signals.
    #[error("cannot start")]
    System(#[from] io::Error),
    /// A listener's address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The admin address cannot be had.
    #[error("cannot listen on `{address}` for the admin endpoints")]
    BindAdmin { address: SocketAddr, source: io::Error },
    /// The admin listener's token cannot be had.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The access log cannot be opened.
    #[error("cannot open the access log `{}`", .path.display())]
    AccessLog { path: PathBuf, source: io::Error },
    /// A source of endpoints cannot be set up, or no pools can be built.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// Nobody would find it, or the agent cannot be asked.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The demo's own configuration is refused, which is a bug.
    #[error("the demo's configuration is refused:\n{0}")]
    Demo(String),
}

/// Runs `config`, which is what `file` says, on a runtime of its own.
pub(crate) fn blocking(config: Config, file: PathBuf) -> Result<(), RunError> {
    let runtime = runtime(config.server.threads)?;
    let outcome = runtime.block_on(run(config, Some(file), |_, _| {}));
    // To drop it would wait for a read of a file system that hangs, for ever.
    runtime.shutdown_timeout(LAST_WAIT);
    outcome
}

/// The runtime everything runs on: as many workers as configured, 0 for one per core.
pub(crate) fn runtime(threads: usize) -> io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    builder.enable_all().thread_name("weir").build()
}

/// Runs `config` until the first of `signals`; `ready` is told the first listener's address and the admin's once clients
/// are served. What `file` says is read again whenever it changes.
pub(crate) async fn run(
    config: Config,
    file: Option<PathBuf>,
    ready: impl FnOnce(SocketAddr, SocketAddr),
) -> Result<(), RunError> {
    open_files::raise();
    let mut signals = Signals::listen()?;
    let hangups = Hangups::listen()?;
    let reopen = log::Reopen::listen()?;
    let supervisor = Supervisor::of(variable);
    let clock = Clock::start();
    let exposition = metrics::install();
    let config = Arc::new(config);
    // The first whole snapshot, before anything listens.
    let discovery = tokio::select! {
        discovery = Discovery::start(config.clone(), clock, variable) => discovery?,
        () = signals.next() => {
            tracing::info!("told to leave before the start was over");
            return Ok(());
        }
    };
    let reader = discovery.reader();

    let mut proxy = Proxy::bind(ProxyParts {
        clock,
        reader: reader.clone(),
        listeners: config.listeners.clone(),
        trusted_proxies: config.server.trusted_proxies.clone(),
        body_memory: config.server.body_memory,
        access_log: log::open(&config.log)?,
        recent: config.admin.recent,
    })?;
    let access = Access::open(&config.admin)?;
    let address = config.admin.listen;
    let socket = TcpListener::bind(address).await.map_err(|source| RunError::BindAdmin { address, source })?;
    let admin_address = socket.local_addr()?;
    let registration = match (&config.register, proxy.addresses().first()) {
        (Some(settings), Some(&listener)) => {
            Some(weir_discovery::registration(settings, listener, admin_address, variable)?)
        }
        _ => None,
    };
    proxy.start();
    for address in proxy.addresses() {
        say(&format!("listening on http://{address}"));
    }
    say(&format!("admin on http://{admin_address}"));

    let ended = CancellationToken::new();
    let proxy = Arc::new(proxy);
    let recent = config.admin.recent;
    let reloader =
        Reloader::new(file, config, clock, discovery.control(), reader.clone(), proxy.clone(), supervisor.clone());
    let admin = Arc::new(Admin::new(AdminParts {
        clock,
        reader: reader.clone(),
        report: discovery.reports(),
        exposition,
        proxy: proxy.clone(),
        control: discovery.control(),
        reloader: reloader.clone(),
        access,
        recent,
    }));
    let reports = discovery.reports();
    let leaving = CancellationToken::new();
    let registered = registration.map(|registration| {
        tokio::spawn(stay_registered(registration, reports, clock, leaving.clone().cancelled_owned()))
    });
    let mut background = JoinSet::new();
    background.spawn(discovery.run(ended.clone().cancelled_owned()));
    background.spawn(reload::follow(reloader.clone(), hangups, leaving.clone().cancelled_owned()));
    background.spawn(Health::run(reader, clock, ended.clone().cancelled_owned()));
    background.spawn(admin::serve(socket, admin.clone(), ended.clone().cancelled_owned()));
    background.spawn(reopen.serve(proxy.clone(), ended.clone().cancelled_owned()));
    background.spawn(metrics::upkeep(admin.clone(), ended.clone().cancelled_owned()));
    if let Some(&address) = proxy.addresses().first() {
        ready(address, admin_address);
    }
    supervisor.ready();

    watch_over(&mut background, signals.next(), || admin.tell_broken()).await;
    reloader.leave();
    supervisor.stopping();
    let server = reloader.config().server.clone();
    tracing::info!("draining: readiness fails now, listeners close in {}", server.shutdown_delay);
    admin.fail_readiness();
    proxy.begin_drain();
    leaving.cancel();
    let drained = drain(&proxy, &server, registered, signals).await;
    if drained {
        tracing::info!("drained");
    } else {
        tracing::warn!("exchanges were cut off");
    }
    ended.cancel();
    while let Some(task) = background.join_next().await {
        if let Err(error) = task {
            tracing::error!(%error, "a background task failed");
        }
    }
    proxy.finish();
    Ok(())
}

/// Waits for `leave`; tells at once of a task that ends before, which none does but by a fault. Clients are still served
/// with what was known then, so that is no reason to stop, but one to send them elsewhere.
async fn watch_over(background: &mut JoinSet<()>, leave: impl Future<Output = ()>, broken: impl Fn()) {
    let mut leave = pin!(leave);
    loop {
        tokio::select! {
            () = &mut leave => return,
            Some(ended) = background.join_next() => {
                tracing::error!(?ended, "a part of weir has stopped by a fault of its own: not ready from now on");
                broken();
            }
        }
    }
}

/// Registers once weir is ready, stays so until `leaving`, then deregisters.
async fn stay_registered(
    registration: Registration,
    mut reports: watch::Receiver<Arc<Report>>,
    clock: Clock,
    leaving: impl Future<Output = ()>,
) {
    let mut leaving = pin!(leaving);
    let ready = reports.wait_for(|report| !matches!(report.readiness(clock.now()), Readiness::NotReady(_)));
    tokio::select! {
        // Whose reports have ended is about to end too.
        ready = ready => if ready.is_err() { return },
        () = &mut leaving => return,
    }
    registration.keep(leaving).await;
    match registration.deregister().await {
        Ok(()) => tracing::info!("deregistered"),
        // The agent will find out by its check.
        Err(error) => tracing::error!("cannot deregister: {}", error.explain()),
    }
}

/// Waits out the delay, then the exchanges under way; `false` when the deadline or a second signal cut them off.
async fn drain(proxy: &Proxy, server: &Server, registered: Option<JoinHandle<()>>, mut signals: Signals) -> bool {
    let orderly = async {
        // The delay is for others to notice, and begins when they can.
        if let Some(registered) = registered
            && let Err(error) = registered.await
        {
            tracing::error!(%error, "the registration failed, by a fault of weir's own");
        }
        tokio::time::sleep(server.shutdown_delay.duration()).await;
        tokio::time::timeout(server.shutdown_deadline.duration(), proxy.drain()).await.is_ok()
    };
    first_of(orderly, async {
        signals.next().await;
        tracing::warn!("second signal: leaving now");
        false
    })
    .await
}

/// What an environment variable holds, for sources that take a token from one.
#[expect(
    clippy::disallowed_methods,
    reason = "the binary reads the environment, and passes on what is asked for by name"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn first_of<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        outcome = one => outcome,
        outcome = other => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_breaks_is_told_of_before_anyone_asks_weir_to_leave() {
        let mut background = JoinSet::new();
        background.spawn(async { panic!("on purpose") });
        background.spawn(std::future::pending());
        let (broken, mut told) = watch::channel(0);
        // Leaves when it was told: else never.
        let leave = async { _ = told.changed().await };
        watch_over(&mut background, leave, || broken.send_modify(|count| *count += 1)).await;
        assert_eq!((*broken.borrow(), background.len()), (1, 1));
    }
}
