//! Calls that change nothing: gather, and write down.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use weir_proxy::{Question, RecentExchange};

use super::Admin;
use super::answer::{Mistake, json};
use super::door::Peer;
use super::explain::{ask, explained};
use super::query::Query;
use super::recent::{Exchange, Recent};
use super::reloads::Configuration;
use super::status::{self, Parts};
use super::times::Times;
use crate::metrics::present;

/// Degraded is ready: clients are served with what is known. The body says what is wrong, a line for each source.
pub(crate) async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, String) {
    let ready = admin.readiness();
    let (status, words) = match ready.state {
        "ready" => (StatusCode::OK, "ready\n"),
        "degraded" => (StatusCode::OK, "ready (degraded)\n"),
        "draining" => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    };
    (status, format!("{words}{}", ready.text))
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(admin): State<Arc<Admin>>) -> Result<Response, Mistake> {
    aside(move || {
        let snapshot = admin.reader.load();
        let text = admin.exposition.look(&present(&snapshot), || {
            let now = admin.clock.now();
            weir_discovery::observe::refresh(&snapshot, now);
            weir_discovery::observe::refresh_sources(&admin.report(), now);
            admin.proxy.refresh_metrics(&snapshot);
        });
        Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
    })
    .await
}

/// `GET /api/status`: of everything, or with `service=NAME` of one service.
pub(crate) async fn status(State(admin): State<Arc<Admin>>, request: Request) -> Result<Response, Mistake> {
    let query = Query::read(request.uri(), &["service"], &[])?;
    let snapshot = admin.reader.load();
    if let Some(only) = query.get("service") {
        super::actions::pool(&snapshot, only)?;
    }
    aside(move || {
        let report = admin.report();
        let parts = Parts {
            times: Times::read(admin.clock),
            started_unix_seconds: admin.started_unix_seconds,
            readiness: admin.readiness(),
            snapshot: &snapshot,
            report: &report,
            listeners: admin.proxy.listeners(),
            work: admin.proxy.work_reports(&snapshot),
            configuration: Configuration::of(&admin.reloader),
        };
        Ok(json(StatusCode::OK, &status::status(&parts, query.get("service"))))
    })
    .await
}

/// Does what may take milliseconds where no exchange waits for it.
async fn aside(work: impl FnOnce() -> Result<Response, Mistake> + Send + 'static) -> Result<Response, Mistake> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "an admin call broke, by a fault of weir's own");
        let error = "the call broke, by a fault of weir's own";
        Err(Mistake::new(StatusCode::INTERNAL_SERVER_ERROR, error, "look into weir's log"))
    })
}

/// `GET /api/recent`: all that are kept, or the newest `limit`, of one `service`, one `endpoint`, one `status`.
pub(crate) async fn recent(State(admin): State<Arc<Admin>>, request: Request) -> Result<Response, Mistake> {
    let query = Query::read(request.uri(), &["limit", "service", "endpoint", "status"], &[])?;
    let limit: Option<usize> = query.parse("limit", "a whole number")?;
    let wanted: Option<u16> = query.parse("status", "a status such as 502")?;
    aside(move || {
        let (service, endpoint) = (query.get("service"), query.get("endpoint"));
        let is_wanted = |exchange: &RecentExchange| {
            let of = exchange.route.as_ref().map(|(_, service)| &**service);
            service.is_none_or(|service| of == Some(service))
                && endpoint.is_none_or(|endpoint| exchange.tries.iter().any(|(tried, _)| &**tried == endpoint))
                && wanted.is_none_or(|status| exchange.status == status)
        };
        let exchanges = admin.proxy.recent().into_iter().filter(is_wanted).take(limit.unwrap_or(usize::MAX));
        Ok(json(StatusCode::OK, &Recent::of(exchanges, admin.recent, &Times::read(admin.clock))))
    })
    .await
}

/// `GET /api/explain`: of a request in words, or of the exchange with this `id`.
pub(crate) async fn explain(
    State(admin): State<Arc<Admin>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
) -> Result<Response, Mistake> {
    let query = Query::read(request.uri(), &["url", "method", "client", "length", "listener", "id"], &["header"])?;
    aside(move || explained_to(&admin, &query, peer)).await
}

fn explained_to(admin: &Admin, query: &Query, peer: SocketAddr) -> Result<Response, Mistake> {
    let recorded = query.get("id").map(|id| recorded(admin, query, id)).transpose()?;
    let question = match &recorded {
        Some(exchange) => again(exchange)?,
        None => question(query, peer)?,
    };
    let mut listeners = admin.proxy.listeners();
    if let Some(named) = query.parse("listener", "an address such as `127.0.0.1:8080`")? {
        let all: Vec<String> = listeners.iter().map(|listener| listener.address.to_string()).collect();
        listeners.retain(|listener| listener.address == named);
        if listeners.is_empty() {
            let help = format!("the listeners are {}", all.join(", "));
            return Err(Mistake::missing(format!("there is no listener at `{named}`"), help));
        }
    } else if let Some(had) = recorded.as_ref().and_then(|exchange| exchange.listener) {
        listeners.retain(|listener| listener.settings.address == had);
    }
    let (found, report, times) = (ask(&admin.proxy, &listeners, &question), admin.report(), Times::read(admin.clock));
    let recorded = recorded.map(|exchange| Exchange::of(exchange, &times));
    let told = explained(&found, &report, recorded, &times);
    // A configuration without a listener is refused.
    let told = told.ok_or_else(|| Mistake::missing("there is no listener", "configure one"))?;
    Ok(json(StatusCode::OK, &told))
}

/// The exchange with this id, if it is still kept.
fn recorded(admin: &Admin, query: &Query, id: &str) -> Result<RecentExchange, Mistake> {
    let alone =
        ["url", "method", "client", "length", "listener", "header"].iter().all(|other| query.get(other).is_none());
    if !alone {
        return Err(Mistake::bad("`id` says all there is to say", "leave out the other arguments"));
    }
    admin.proxy.recent().into_iter().find(|exchange| exchange.id == id).ok_or_else(|| {
        let help = format!("the newest {} are kept (`recent` in `[admin]`): GET /api/recent lists them", admin.recent);
        Mistake::missing(format!("no exchange with the id `{id}` is kept"), help)
    })
}

/// A request like the one that was served. Its query, fields and body are not kept, but the hash of its key is.
fn again(exchange: &RecentExchange) -> Result<Question, Mistake> {
    if exchange.method.is_empty() {
        let help = "its refusal says what was wrong with it: GET /api/recent shows it";
        return Err(Mistake::bad("this exchange had no head that could be read", help));
    }
    if exchange.shortened {
        let error =
            "the method, host or path of this exchange is not kept whole, and what is kept of it is another request";
        let help = "GET /api/recent shows what became of it; ask with `url=` and all of its path";
        return Err(Mistake::new(StatusCode::CONFLICT, error, help));
    }
    let url = if exchange.host.is_empty() {
        exchange.path.clone()
    } else {
        format!("http://{}{}", exchange.host, exchange.path)
    };
    Ok(Question {
        method: exchange.method.clone(),
        url,
        client: exchange.client.unwrap_or([127, 0, 0, 1].into()),
        fields: Vec::new(),
        length: (exchange.bytes_in > 0).then_some(exchange.bytes_in),
        key: exchange.key,
    })
}

fn question(query: &Query, peer: SocketAddr) -> Result<Question, Mistake> {
    let Some(url) = query.get("url") else {
        return Err(Mistake::bad("which request?", "say `url=http://HOST/PATH`, or `id=REQUEST_ID`"));
    };
    let is_url = ["http://", "https://", "/"].iter().any(|begin| url.starts_with(begin));
    if !is_url {
        return Err(Mistake::bad(format!("`{url}` is no address"), "write `http://HOST/PATH` or `/PATH`"));
    }
    let field = |field: &str| {
        let pair = field.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        pair.ok_or_else(|| Mistake::bad(format!("`{field}` is no header field"), "write `header=Name: value`"))
    };
    Ok(Question {
        method: query.get("method").unwrap_or("GET").to_owned(),
        url: url.to_owned(),
        client: query.parse("client", "an IP address")?.unwrap_or_else(|| peer.ip()),
        fields: query.all("header").map(field).collect::<Result<_, _>>()?,
        length: query.parse("length", "a number of bytes")?,
        key: None,
    })
}
