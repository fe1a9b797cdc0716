//! The admin listener: `/healthz`, `/readyz`, `/metrics`.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use weir_proxy::Proxy;
use weir_snapshot::Reader;

use crate::metrics::of_present_endpoints;

/// What the admin endpoints tell about.
pub(crate) struct Admin {
    reader: Reader,
    exposition: PrometheusHandle,
    proxy: Arc<Proxy>,
    draining: AtomicBool,
}

impl Admin {
    /// An admin of a weir that is ready.
    pub(crate) fn new(reader: Reader, exposition: PrometheusHandle, proxy: Arc<Proxy>) -> Self {
        Self { reader, exposition, proxy, draining: AtomicBool::new(false) }
    }

    /// Makes `/readyz` answer 503 from now on.
    pub(crate) fn fail_readiness(&self) {
        // Relaxed: whoever asks a moment too early asks again.
        self.draining.store(true, Relaxed);
    }

    /// The recorder's handle.
    pub(crate) fn exposition(&self) -> &PrometheusHandle {
        &self.exposition
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

async fn readyz(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    if admin.draining.load(Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let snapshot = admin.reader.load();
    weir_discovery::observe::refresh(&snapshot);
    admin.proxy.refresh_metrics();
    let text = of_present_endpoints(&admin.exposition.render(), &snapshot);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
