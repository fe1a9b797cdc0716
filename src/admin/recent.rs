//! `GET /api/recent`: the newest exchanges.

use serde::Serialize;
use weir_proxy::RecentExchange;

use super::times::{Times, seconds};

/// The newest exchanges, newest first.
#[derive(Serialize)]
pub(crate) struct Recent {
    now_unix_seconds: f64,
    /// As many are kept at most.
    kept: usize,
    exchanges: Vec<Exchange>,
}

/// An exchange that is over.
#[derive(Serialize)]
pub(crate) struct Exchange {
    /// Counts the exchanges since the start.
    number: u64,
    id: Option<String>,
    arrived_unix_seconds: f64,
    /// As configured.
    listener: Option<String>,
    client: Option<String>,
    method: Option<String>,
    host: Option<String>,
    /// Without the query.
    path: Option<String>,
    /// Method, host or path are not kept whole.
    shortened: bool,
    route: Option<String>,
    service: Option<String>,
    tries: Vec<Try>,
    /// 499: the client left first; 0: there was no answer.
    status: u16,
    refusal: Option<&'static str>,
    /// The answer broke off before its end.
    cut: bool,
    total_seconds: f64,
    queue_seconds: Option<f64>,
    connect_seconds: Option<f64>,
    first_byte_seconds: Option<f64>,
    in_bytes: u64,
    out_bytes: u64,
}

#[derive(Serialize)]
struct Try {
    endpoint: String,
    outcome: &'static str,
}

impl Recent {
    pub(crate) fn of(exchanges: impl Iterator<Item = RecentExchange>, kept: usize, times: &Times) -> Self {
        let exchanges = exchanges.map(|exchange| Exchange::of(exchange, times)).collect();
        Self { now_unix_seconds: times.unix_now(), kept, exchanges }
    }
}

impl Exchange {
    pub(crate) fn of(exchange: RecentExchange, times: &Times) -> Self {
        let text = |text: String| (!text.is_empty()).then_some(text);
        let (route, service) = exchange.route.map(|(route, service)| (route.to_string(), service.to_string())).unzip();
        let tries = exchange.tries.into_iter();
        Self {
            number: exchange.number,
            id: text(exchange.id),
            arrived_unix_seconds: times.unix(exchange.arrived),
            listener: exchange.listener.map(|listener| listener.to_string()),
            client: exchange.client.map(|client| client.to_string()),
            method: text(exchange.method),
            host: text(exchange.host),
            path: text(exchange.path),
            shortened: exchange.shortened,
            route,
            service,
            tries: tries.map(|(endpoint, outcome)| Try { endpoint: endpoint.to_string(), outcome }).collect(),
            status: exchange.status,
            refusal: exchange.refusal,
            cut: exchange.cut,
            total_seconds: seconds(exchange.total),
            queue_seconds: exchange.queued.map(seconds),
            connect_seconds: exchange.connect.map(seconds),
            first_byte_seconds: exchange.first_byte.map(seconds),
            in_bytes: exchange.bytes_in,
            out_bytes: exchange.bytes_out,
        }
    }
}
