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
mod looks;
mod observe;
mod page;
mod query;
mod recent;
mod reloads;
mod status;
mod times;
mod told;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use weir_discovery::{Control, Report};
use weir_proxy::Proxy;
use weir_snapshot::{Clock, Moment, Reader};

pub(crate) use access::{Access, TokenError};

use crate::metrics::present;
use crate::reload::Reloader;
use crate::series::Exposition;
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
    /// Places for those who look at events.
    lookers: Arc<Semaphore>,
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
            lookers: Arc::new(Semaphore::new(events::LOOKERS)),
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

/// Serves until `end`.
pub(crate) async fn serve(socket: TcpListener, admin: Arc<Admin>, end: impl Future<Output = ()> + Send + 'static) {
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
    let serving = axum::serve(door::Door::new(socket), router.into_make_service_with_connect_info::<door::Peer>());
    // Not axum's own graceful shutdown: a scraper's kept-alive connection would hold the process.
    tokio::select! {
        outcome = serving => {
            if let Err(error) = outcome {
                tracing::error!(%error, "the admin listener failed");
            }
        }
        () = end => {}
    }
}
