//! What every call passes: access first, and a line in the log for each change, carried out or not.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::{Denied, is_change};
use super::answer::Mistake;
use super::door::Peer;
use super::{Admin, observe};

/// What a change has come to, for the log; goes with the answer.
#[derive(Clone, Debug)]
pub(crate) struct Outcome(pub(crate) String);

/// Lets a call through, or answers it.
pub(crate) async fn guard(
    State(admin): State<Arc<Admin>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    if path != "/api" && !path.starts_with("/api/") {
        return next.run(request).await;
    }
    let (method, path) = (request.method().clone(), path.to_owned());
    let checked = admin.access.check(&method, request.headers());
    if let Err(denied) = checked {
        return refuse(denied, peer, &request);
    }
    let answer = next.run(request).await;
    if is_change(&method) {
        let status = answer.status();
        let outcome = answer.extensions().get::<Outcome>().map_or("", |outcome| &outcome.0);
        if status.is_success() {
            tracing::info!(%peer, %method, path, status = status.as_u16(), outcome, "admin change");
        } else {
            tracing::warn!(%peer, %method, path, status = status.as_u16(), outcome, "admin change not carried out");
        }
    }
    answer
}

fn refuse(denied: Denied, peer: SocketAddr, request: &Request) -> Response {
    observe::refused(denied.label());
    let origin = request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    // Nobody who was refused decides how long a line of the log is.
    let (path, origin) = (cut(request.uri().path()), cut(origin));
    let (method, reason) = (request.method(), denied.label());
    tracing::warn!(%peer, %method, path, reason, origin, "admin call refused");
    denied.mistake().into_response()
}

/// The beginning of a text.
fn cut(text: &str) -> &str {
    const MOST: usize = 256;
    text.char_indices().nth(MOST).map_or(text, |(end, _)| text.get(..end).unwrap_or_default())
}

/// There is no such call.
pub(crate) async fn nothing(request: Request) -> Response {
    let path = request.uri().path();
    if path == "/api" || path.starts_with("/api/") {
        return Mistake::missing(format!("there is no call `{path}`"), HELP).into_response();
    }
    StatusCode::NOT_FOUND.into_response()
}

/// There is one, but of another method.
pub(crate) async fn another_method(request: Request) -> Response {
    let error = format!("`{}` does not take {}", request.uri().path(), request.method());
    Mistake::new(StatusCode::METHOD_NOT_ALLOWED, error, HELP).into_response()
}

const HELP: &str = "GET /api/status, /api/explain, /api/recent or /api/overrides, POST /api/reload, \
     POST /api/services/SERVICE/endpoints/ADDRESS/ and one of drain, undrain, weight, eject, restore, clear; \
     see docs/reference/admin.md";
