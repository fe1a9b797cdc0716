//! The admin listener: `/healthz`, `/readyz`, `/metrics`.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use weir_discovery::{Readiness, Report};
use weir_proxy::Proxy;
use weir_snapshot::{Clock, Reader};

use crate::metrics::present;
use crate::series::Exposition;

/// What the admin endpoints tell about.
pub(crate) struct Admin {
    clock: Clock,
    reader: Reader,
    report: watch::Receiver<Arc<Report>>,
    exposition: Exposition,
    proxy: Arc<Proxy>,
    draining: AtomicBool,
    broken: AtomicBool,
}

impl Admin {
    /// An admin of a weir that is not draining.
    pub(crate) fn new(
        clock: Clock,
        reader: Reader,
        report: watch::Receiver<Arc<Report>>,
        exposition: Exposition,
        proxy: Arc<Proxy>,
    ) -> Self {
        Self {
            clock,
            reader,
            report,
            exposition,
            proxy,
            draining: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        }
    }

    fn report(&self) -> Arc<Report> {
        Arc::clone(&self.report.borrow())
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
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin);
    let serving = axum::serve(socket, router);
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

/// Degraded is ready: clients are served with what is known. The body says what is wrong, a line for each source.
async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, String) {
    if admin.draining.load(Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    if admin.broken.load(Relaxed) {
        let text = "not ready\na part of weir has stopped by a fault of its own (see the log): start it again\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text.to_owned());
    }
    match admin.report().readiness(admin.clock.now()) {
        Readiness::Ready => (StatusCode::OK, "ready\n".to_owned()),
        Readiness::Degraded(why) => (StatusCode::OK, format!("ready (degraded)\n{why}")),
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{why}")),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let snapshot = admin.reader.load();
    weir_discovery::observe::refresh(&snapshot);
    weir_discovery::observe::refresh_sources(&admin.report(), admin.clock.now());
    admin.proxy.refresh_metrics();
    let text = admin.exposition.render(&present(&snapshot));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
