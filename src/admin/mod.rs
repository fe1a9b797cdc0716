//! The admin listener: health and metrics for machines; status, explanations and changes for operators.
//!
//! In: HTTP. Out: text and JSON, from the snapshot that exchanges read. Who may ask for what: `access.rs`. Each call with
//! an example: `docs/reference/admin.md`.

mod access;
mod actions;
mod answer;
mod door;
mod endpoint;
mod events;
mod explain;
mod guard;
mod lookers;
mod looks;
mod observe;
mod page;
mod places;
mod query;
mod recent;
mod reloads;
mod status;
mod times;
mod token;
mod told;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_discovery::{Control, Report};
use weir_proxy::Proxy;
use weir_snapshot::{Clock, Moment, Reader};

pub(crate) use access::{Access, TokenError};

use crate::metrics::present;
use crate::reload::Reloader;
use crate::series::Exposition;
use places::Places;
use status::Ready;
use times::Times;

/// What the admin listener tells about.
pub(crate) struct AdminParts {
    pub(crate) clock: Clock,
    pub(crate) reader: Reader,
    pub(crate) report: watch::Receiver<Arc<Report>>,
    pub(crate) exposition: Exposition,
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) control: Control,
    pub(crate) reloader: Reloader,
    pub(crate) access: Access,
    /// How many of the newest exchanges are kept.
    pub(crate) recent: usize,
}

/// The admin listener of one weir.
pub(crate) struct Admin {
    clock: Clock,
    /// Read once: what two clocks say differs a little each time.
    started_unix_seconds: f64,
    reader: Reader,
    report: watch::Receiver<Arc<Report>>,
    exposition: Exposition,
    proxy: Arc<Proxy>,
    control: Control,
    reloader: Reloader,
    access: Access,
    recent: usize,
    lookers: Arc<lookers::Lookers>,
    /// Changes that are being carried out, whether their callers wait or not.
    changes: TaskTracker,
    /// Cancelled at the end: answers that have none end then.
    over: CancellationToken,
    draining: AtomicBool,
    broken: AtomicBool,
}

impl Admin {
    /// An admin of a weir that is not draining.
    pub(crate) fn new(parts: AdminParts) -> Self {
        observe::describe(access::Denied::ALL.into_iter().map(access::Denied::label));
        let AdminParts { clock, reader, report, exposition, proxy, control, reloader, access, recent } = parts;
        Self {
            clock,
            started_unix_seconds: Times::read(clock).unix(Moment::default()),
            reader,
            report,
            exposition,
            proxy,
            control,
            reloader,
            access,
            recent,
            lookers: Arc::default(),
            changes: TaskTracker::new(),
            over: CancellationToken::new(),
            draining: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        }
    }

    fn report(&self) -> Arc<Report> {
        Arc::clone(&self.report.borrow())
    }

    /// Whether clients should be sent here. Degraded is: they are served with what is known.
    fn readiness(&self) -> Ready {
        if self.draining.load(Relaxed) {
            return Ready { state: "draining", text: String::new() };
        }
        if self.broken.load(Relaxed) {
            let text = "a part of weir has stopped by a fault of its own (see the log): start it again\n";
            return Ready { state: "broken", text: text.to_owned() };
        }
        self.report().readiness(self.clock.now()).into()
    }

    /// Makes `/readyz` answer 503 from now on.
    pub(crate) fn fail_readiness(&self) {
        // Relaxed: whoever asks a moment too early asks again.
        self.draining.store(true, Relaxed);
    }

    /// Makes `/readyz` answer 503 from now on, because a part of weir has stopped by a fault of its own.
    pub(crate) fn tell_broken(&self) {
        self.broken.store(true, Relaxed);
    }

    /// Bounds the memory of the metrics. Often.
    pub(crate) fn upkeep(&self) {
        self.exposition.upkeep(&present(&self.reader.load()));
    }
}

/// Serves until `end`, and a moment longer for the calls that are under way then.
pub(crate) async fn serve(socket: TcpListener, admin: Arc<Admin>, end: impl Future<Output = ()> + Send + 'static) {
    let (over, changes, places) = (admin.over.clone(), admin.changes.clone(), Places::new(admin.clock));
    let router = page::routes(Router::new())
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(looks::readyz))
        .route("/metrics", get(looks::metrics))
        .route("/api/status", get(looks::status))
        .route("/api/events", get(events::events))
        .route("/api/recent", get(looks::recent))
        .route("/api/explain", get(looks::explain))
        .route("/api/overrides", get(actions::overrides).delete(actions::clear))
        .route("/api/reload", post(reloads::reload))
        .route("/api/services/{service}/endpoints/{address}/{action}", post(actions::endpoint))
        .fallback(guard::nothing)
        .method_not_allowed_fallback(guard::another_method)
        .layer(from_fn_with_state(Arc::clone(&admin), guard::guard))
        .with_state(admin);
    door::serve(socket, router, places, over, end).await;
    changes.close();
    // Each has its line in the log, for whatever they wait for has ended too.
    drop(timeout(door::GRACE, changes.wait()).await);
}
