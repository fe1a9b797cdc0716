//! What every call passes: access first, and a line in the log for each change, carried out or not.
//!
//! A change is carried out by a task of its own: whoever asks for one and leaves has changed something all the same, and
//! that is to be found in the log.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::{Aim, Denied};
use super::answer::{Mistake, broken};
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
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let aim = Aim::of(&method, &path);
    if let Err(denied) = admin.access.check(aim, request.headers()).await {
        return refuse(denied, peer, &method, &path, request.headers());
    }
    if aim != Aim::Change {
        return next.run(request).await;
    }
    let change = async move {
        // A task again: a fault must not cost the line.
        let answer = tokio::spawn(next.run(request)).await.unwrap_or_else(|fault| broken(&fault).into_response());
        audit(peer, &method, &path, &answer);
        answer
    };
    admin.changes.spawn(change).await.unwrap_or_else(|fault| broken(&fault).into_response())
}

/// Who asked for what, and what came of it.
fn audit(peer: SocketAddr, method: &Method, path: &str, answer: &Response) {
    let status = answer.status();
    let outcome = answer.extensions().get::<Outcome>().map_or("", |outcome| cut(&outcome.0));
    let path = cut(path);
    if status.is_success() {
        tracing::info!(%peer, %method, path, status = status.as_u16(), outcome, "admin change");
    } else {
        tracing::warn!(%peer, %method, path, status = status.as_u16(), outcome, "admin change not carried out");
    }
}

fn refuse(denied: Denied, peer: SocketAddr, method: &Method, path: &str, fields: &HeaderMap) -> Response {
    observe::refused(denied.label());
    let origin = fields.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    let (path, origin, method) = (cut(path), cut(origin), cut(method.as_str()));
    let reason = denied.label();
    tracing::warn!(%peer, %method, path, reason, origin, "admin call refused");
    denied.mistake().into_response()
}

/// The beginning of a text: nobody who calls decides how long a line of the log is.
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

const HELP: &str = "GET /api/status, /api/events, /api/explain, /api/recent or /api/overrides, POST /api/reload, \
     POST /api/services/SERVICE/endpoints/ADDRESS/ and one of drain, undrain, weight, eject, restore, clear; \
     see docs/reference/admin.md";
