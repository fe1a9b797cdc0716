//! Every metric of the proxy: names, labels, and the one place that writes them.
//!
//! The names are a contract (`docs/reference/metrics.md`). Labels come from configuration, never from requests: a
//! client cannot make a series. Handles are looked up once per route and endpoint and kept.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use weir_snapshot::{Lease, Live, Pool, Route, Transition};

use crate::exchange::CLIENT_GONE;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::retry::Failure;
use crate::work::WorkReport;

/// Upper bounds in seconds of every duration histogram: 1 ms to 60 s, about three to a decade.
pub const SECONDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Upper bounds of predicted over real work: a tenth to ten, finest around one.
pub const RATIOS: [f64; 12] = [0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 10.0];

/// The histogram whose buckets are [`RATIOS`].
pub const RATIO_METRIC: &str = "weir_work_error_ratio";

/// One metric: name, kind, labels, help.
pub type Metric = (&'static str, &'static str, &'static [&'static str], &'static str);

/// Every metric of the proxy. Also what `docs/reference/metrics.md` lists.
pub const METRICS: [Metric; 21] = [
    (
        "weir_requests_total",
        "counter",
        &["route", "service", "code"],
        "Exchanges by class of the answer's status; 499: the client left first.",
    ),
    (
        "weir_request_seconds",
        "histogram",
        &["route", "service"],
        "From a request's head to its answer's last byte, or to the client's leaving.",
    ),
    ("weir_tries_total", "counter", &["service", "endpoint", "outcome"], "Tries at endpoints and how they ended."),
    (
        "weir_retries_total",
        "counter",
        &["route", "service", "reason"],
        "Exchanges that went on to another endpoint, by how the try before failed.",
    ),
    (
        "weir_retry_budget_empty_total",
        "counter",
        &["route", "service"],
        "Retries that the rules allowed and the budget did not.",
    ),
    (
        "weir_queue_seconds",
        "histogram",
        &["service"],
        "How long exchanges waited for an endpoint to have room, those that did not wait included.",
    ),
    ("weir_queue_waiting", "gauge", &["service"], "Exchanges that wait for an endpoint to have room."),
    (
        "weir_permits",
        "gauge",
        &["service", "endpoint"],
        "Exchanges that an endpoint serves under its capacity, in a service with a queue.",
    ),
    (
        "weir_work_predicted_seconds",
        "histogram",
        &["service"],
        "Predicted work of the exchanges that asked for an endpoint.",
    ),
    (RATIO_METRIC, "histogram", &["service"], "Predicted over real work of the exchanges that were answered 2xx."),
    (
        "weir_work_milliseconds",
        "gauge",
        &["service", "of", "per"],
        "What is learnt: the work ascribed to each exchange, megapixel and mebibyte, of pictures and of other bodies.",
    ),
    ("weir_refusals_total", "counter", &["reason"], "Answers that weir gave by itself."),
    (
        "weir_ejections_total",
        "counter",
        &["service", "endpoint", "cause"],
        "Times that an endpoint was ejected, by whose failure it was that did it.",
    ),
    (
        "weir_answers_cut_total",
        "counter",
        &["service", "endpoint"],
        "Answers that broke off after their head was passed on.",
    ),
    (
        "weir_endpoint_connections_total",
        "counter",
        &["service", "endpoint", "kind"],
        "Connections to endpoints: opened, taken from the pool, or found dead there.",
    ),
    (
        "weir_request_bodies_total",
        "counter",
        &["mode"],
        "Request bodies: held whole, which can be sent again, or streamed.",
    ),
    ("weir_body_memory_bytes", "gauge", &[], "Memory that held request bodies take."),
    ("weir_connections", "gauge", &["listener"], "Open client connections."),
    ("weir_connections_total", "counter", &["listener"], "Client connections accepted."),
    ("weir_accept_errors_total", "counter", &["listener", "reason"], "Connections that could not be accepted."),
    (
        "weir_access_log_dropped_total",
        "counter",
        &[],
        "Lines of the access log dropped because whatever takes them was slower.",
    ),
];

/// Registers the help texts with the recorder.
pub fn describe() {
    for (name, kind, _, help) in METRICS {
        match kind {
            "counter" => metrics::describe_counter!(name, help),
            "gauge" => metrics::describe_gauge!(name, help),
            _ => metrics::describe_histogram!(name, help),
        }
    }
}

/// Metrics of the proxy.
#[derive(Default)]
pub(crate) struct Observe {
    routes: RwLock<HashMap<Arc<str>, Arc<RouteMetrics>>>,
    endpoints: RwLock<HashMap<usize, KnownEndpoint>>,
    counters: RwLock<HashMap<CounterKey, Counter>>,
    held: OnceLock<Counter>,
    streamed: OnceLock<Counter>,
}

type CounterKey = (&'static str, Arc<str>, Arc<str>, &'static str);

struct RouteMetrics {
    /// Whose they are: a reload may give the route another.
    service: Arc<str>,
    /// By the status's first digit; index 0 for answers that never came.
    classes: [Counter; 6],
    gone: Counter,
    seconds: Histogram,
    /// Of a service with a queue.
    queued: OnceLock<Histogram>,
}

/// Of a service that predicts work.
#[derive(Debug)]
pub(crate) struct WorkMetrics {
    predicted: Histogram,
    ratio: Histogram,
}

/// An endpoint's shared state, held so that its address stays its own, and its metrics.
type KnownEndpoint = (Arc<Live>, Arc<EndpointMetrics>);

struct EndpointMetrics {
    tries: [Counter; OUTCOMES.len()],
    connections: [Counter; KINDS.len()],
    cut: Counter,
    ejections: Counter,
}

/// How a try ends: an answer, a refusal to work, the client's leaving, or a failure.
const OUTCOMES: [&str; 9] =
    ["answered", "busy", "stopped", "connect", "connect_timeout", "broken", "timeout", "bad_answer", "status"];

/// Where a connection to an endpoint came from; `stale` is one that was reused and turned out dead.
const KINDS: [&str; 3] = ["new", "reused", "stale"];

#[expect(clippy::disallowed_macros, reason = "this is the file that writes metrics")]
impl EndpointMetrics {
    fn new(service: &str, endpoint: &str) -> Self {
        let of = |name: &'static str, label: &'static str, value: &'static str| metrics::counter!(name, "service" => service.to_owned(), "endpoint" => endpoint.to_owned(), label => value);
        Self {
            tries: OUTCOMES.map(|outcome| of("weir_tries_total", "outcome", outcome)),
            connections: KINDS.map(|kind| of("weir_endpoint_connections_total", "kind", kind)),
            cut: metrics::counter!("weir_answers_cut_total", "service" => service.to_owned(), "endpoint" => endpoint.to_owned()),
            ejections: of("weir_ejections_total", "cause", "exchange"),
        }
    }
}

#[expect(clippy::disallowed_macros, reason = "this is the file that writes metrics")]
impl WorkMetrics {
    pub(crate) fn new(service: &str) -> Self {
        Self {
            predicted: metrics::histogram!("weir_work_predicted_seconds", "service" => service.to_owned()),
            ratio: metrics::histogram!(RATIO_METRIC, "service" => service.to_owned()),
        }
    }

    /// Work was predicted.
    pub(crate) fn predicted(&self, work: Duration) {
        self.predicted.record(work.as_secs_f64());
    }

    /// The real work came to be known: predicted over real.
    pub(crate) fn learnt(&self, ratio: f64) {
        self.ratio.record(ratio);
    }
}

/// The classes of `weir_requests_total{code}`: bounded, whatever endpoints answer.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

#[expect(clippy::disallowed_macros, reason = "this is the file that writes metrics")]
#[expect(clippy::unused_self, reason = "one face for all metrics, whether their handles are kept or not")]
impl Observe {
    /// An exchange is over.
    pub(crate) fn finished(&self, record: &Record, total: Duration) {
        let Some(route) = &record.route else { return };
        let metrics = self.route(route);
        if record.status == CLIENT_GONE {
            metrics.gone.increment(1);
        } else if let Some(class) = metrics.classes.get(usize::from(record.status / 100)) {
            class.increment(1);
        }
        metrics.seconds.record(total.as_secs_f64());
        if let Some(queued) = record.queued {
            let made = || metrics::histogram!("weir_queue_seconds", "service" => route.pool.service().to_string());
            metrics.queued.get_or_init(made).record(queued.as_secs_f64());
        }
    }

    /// What a service has learnt; written when somebody looks.
    pub(crate) fn work_report(&self, report: &WorkReport) {
        for (of, model) in [("picture", report.picture), ("body", report.body)] {
            let terms = [
                ("exchange", model.per_exchange),
                ("megapixel", model.per_megapixel),
                ("mebibyte", model.per_mebibyte),
            ];
            for (per, value) in terms {
                metrics::gauge!("weir_work_milliseconds", "service" => report.service.to_string(), "of" => of, "per" => per)
                    .set(value);
            }
        }
    }

    /// Who waits and who is served in the services with a queue; written when somebody looks.
    pub(crate) fn queues(&self, pools: &[Arc<Pool>]) {
        for pool in pools {
            let Some(permits) = pool.permits() else { continue };
            let service = pool.service().to_string();
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; exact up to 2^53")]
            metrics::gauge!("weir_queue_waiting", "service" => service.clone()).set(permits.waiting() as f64);
            for member in pool.members() {
                metrics::gauge!("weir_permits", "service" => service.clone(), "endpoint" => member.label.to_string())
                    .set(f64::from(member.live.permits()));
            }
        }
    }

    fn route(&self, route: &Route) -> Arc<RouteMetrics> {
        let known = self.routes.read().unwrap_or_else(PoisonError::into_inner).get(&route.name).cloned();
        known.filter(|known| known.service == *route.pool.service()).unwrap_or_else(|| {
            let (name, service) = (route.name.to_string(), route.pool.service().to_string());
            let requests = |code: &'static str| {
                metrics::counter!("weir_requests_total", "route" => name.clone(), "service" => service.clone(), "code" => code)
            };
            let made = Arc::new(RouteMetrics {
                service: Arc::clone(route.pool.service()),
                classes: CLASSES.map(requests),
                gone: requests("499"),
                seconds: metrics::histogram!("weir_request_seconds", "route" => name.clone(), "service" => service.clone()),
                queued: OnceLock::new(),
            });
            self.routes.write().unwrap_or_else(PoisonError::into_inner).insert(route.name.clone(), made.clone());
            made
        })
    }

    /// The counter with up to two configured labels and one of a fixed set.
    fn counter(&self, key: CounterKey, make: impl FnOnce() -> Counter) -> Counter {
        let known = self.counters.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        known.unwrap_or_else(|| {
            let made = make();
            self.counters.write().unwrap_or_else(PoisonError::into_inner).insert(key, made.clone());
            made
        })
    }

    fn endpoint(&self, lease: &Lease) -> Arc<EndpointMetrics> {
        let live = &lease.member().live;
        // The address of what all snapshots share of an endpoint: one look-up without hashing names. The map keeps it
        // alive, so no other endpoint can come to have this address.
        let key = Arc::as_ptr(live).addr();
        let known =
            self.endpoints.read().unwrap_or_else(PoisonError::into_inner).get(&key).map(|(_, known)| known.clone());
        known.unwrap_or_else(|| {
            let made = Arc::new(EndpointMetrics::new(lease.pool().service(), &lease.member().label));
            let mut endpoints = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
            endpoints.insert(key, (live.clone(), made.clone()));
            made
        })
    }

    /// Forgets the endpoints that nobody else knows any more.
    pub(crate) fn sweep(&self) {
        let mut endpoints = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        endpoints.retain(|_, (live, _)| Arc::strong_count(live) > 1);
    }

    /// A try ended: one of [`OUTCOMES`].
    pub(crate) fn tried(&self, lease: &Lease, outcome: &'static str) {
        let metrics = self.endpoint(lease);
        if let Some((_, counter)) = OUTCOMES.iter().zip(&metrics.tries).find(|(known, _)| **known == outcome) {
            counter.increment(1);
        }
    }

    /// A connection to an endpoint: one of [`KINDS`].
    pub(crate) fn connected(&self, lease: &Lease, kind: &'static str) {
        let metrics = self.endpoint(lease);
        if let Some((_, counter)) = KINDS.iter().zip(&metrics.connections).find(|(known, _)| **known == kind) {
            counter.increment(1);
        }
    }

    /// An answer broke off after its head had gone to the client.
    pub(crate) fn cut(&self, lease: &Lease) {
        self.endpoint(lease).cut.increment(1);
    }

    /// An exchange changed an endpoint's verdict.
    pub(crate) fn transition(&self, lease: &Lease, transition: Transition) {
        let (service, endpoint) = (lease.pool().service(), &lease.member().label);
        match transition {
            Transition::Ejected { failures } => {
                tracing::warn!(%service, %endpoint, failures, "endpoint ejected: exchanges with it fail");
                self.endpoint(lease).ejections.increment(1);
            }
            Transition::Restored => tracing::info!(%service, %endpoint, "endpoint restored by an exchange"),
        }
    }

    /// Another endpoint is tried.
    pub(crate) fn retried(&self, route: &Route, failure: Failure) {
        let (service, reason) = (route.pool.service().clone(), failure.label());
        self.counter(("weir_retries_total", route.name.clone(), service.clone(), reason), || {
            metrics::counter!("weir_retries_total", "route" => route.name.to_string(), "service" => service.to_string(), "reason" => reason)
        })
        .increment(1);
    }

    /// A retry was allowed by the rules but not by the budget.
    pub(crate) fn budget_empty(&self, route: &Route) {
        let service = route.pool.service().clone();
        self.counter(("weir_retry_budget_empty_total", route.name.clone(), service.clone(), ""), || {
            metrics::counter!("weir_retry_budget_empty_total", "route" => route.name.to_string(), "service" => service.to_string())
        })
        .increment(1);
    }

    /// weir answered by itself.
    pub(crate) fn refused(&self, refusal: Refusal) {
        metrics::counter!("weir_refusals_total", "reason" => refusal.label()).increment(1);
    }

    /// A request body was held whole.
    pub(crate) fn body_held(&self) {
        self.held.get_or_init(|| metrics::counter!("weir_request_bodies_total", "mode" => "held")).increment(1);
    }

    /// A request body is passed on as it comes.
    pub(crate) fn body_streamed(&self) {
        self.streamed.get_or_init(|| metrics::counter!("weir_request_bodies_total", "mode" => "streamed")).increment(1);
    }

    /// Lines of the access log were dropped. Without `self`, because the log's thread knows no proxy.
    pub(crate) fn log_lines_dropped(count: u64) {
        metrics::counter!("weir_access_log_dropped_total").increment(count);
    }

    /// A connection could not be accepted.
    pub(crate) fn accept_failed(&self, listener: &str, reason: &'static str) {
        metrics::counter!("weir_accept_errors_total", "listener" => listener.to_owned(), "reason" => reason)
            .increment(1);
    }

    /// Open connections of a listener, and how many there have been.
    pub(crate) fn listener(&self, listener: &str) -> ListenerMetrics {
        ListenerMetrics {
            open: metrics::gauge!("weir_connections", "listener" => listener.to_owned()),
            accepted: metrics::counter!("weir_connections_total", "listener" => listener.to_owned()),
        }
    }

    /// Bytes of request bodies in memory; written when somebody looks.
    pub(crate) fn body_memory(&self, bytes: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; exact up to 8 PiB")]
        metrics::gauge!("weir_body_memory_bytes").set(bytes as f64);
    }
}

/// Metrics of one listener.
#[derive(Clone)]
pub(crate) struct ListenerMetrics {
    pub(crate) open: Gauge,
    pub(crate) accepted: Counter,
}
