//! `GET /api/status`: everything, from the snapshot that the next exchange reads.
//!
//! In: that snapshot, the reports of discovery and proxy. Out: one document. Cost: a few locks and half a kilobyte of
//! JSON for an endpoint; measured in `docs/reference/admin.md`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use weir_discovery::{Readiness, Report, SourceReport};
use weir_proxy::{Coefficients, ListenerReport, WorkReport};
use weir_snapshot::{Condition, Pool, QueueReport, Route, Snapshot, WhenAllEjected};

use super::endpoint::{Common, Endpoint};
use super::reloads::Configuration;
use super::times::{Times, seconds};

/// What an endpoint is from that no source lists.
pub(crate) const WRITTEN: &str = "configuration";

/// Which source each endpoint that one lists is from.
pub(crate) type Origins<'a> = HashMap<SocketAddr, &'a str>;

/// Everything.
#[derive(Serialize)]
pub(crate) struct Status<'a> {
    version: &'static str,
    /// Grows with every change of routes, services or endpoints.
    revision: u64,
    now_unix_seconds: f64,
    /// When weir was started: the same for as long as it runs, and another for the next one.
    started_unix_seconds: f64,
    uptime_seconds: f64,
    readiness: &'a Ready,
    configuration: &'a Configuration,
    listeners: Vec<Listener>,
    routes: Vec<RouteStatus<'a>>,
    pub(crate) services: Vec<Service<'a>>,
}

/// As `/readyz`.
#[derive(Serialize)]
pub(crate) struct Ready {
    /// `ready`, `degraded`, `not_ready`, `draining` or `broken`; clients are served under the first two.
    pub(crate) state: &'static str,
    /// What is wrong, a line for each.
    pub(crate) text: String,
}

#[derive(Serialize)]
struct Listener {
    address: String,
    open_connections: usize,
    max_connections: usize,
}

#[derive(Serialize)]
struct RouteStatus<'a> {
    name: &'a str,
    host: Option<&'a str>,
    path: &'a str,
    service: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Service<'a> {
    pub(crate) name: &'a str,
    policy: &'static str,
    when_all_ejected: &'static str,
    /// Every endpoint that is not drained is.
    all_ejected: bool,
    /// Without probes exchanges alone tell how an endpoint is.
    probed: bool,
    counts: Counts,
    queue: Option<Queue>,
    work: Option<Work>,
    sources: Vec<SourceStatus<'a>>,
    pub(crate) endpoints: Vec<Endpoint<'a>>,
}

/// How many endpoints; a drained one counts as nothing else.
#[derive(Default, Serialize)]
struct Counts {
    endpoints: usize,
    healthy: usize,
    unproven: usize,
    /// With those that a trial may bring back.
    ejected: usize,
    drained: usize,
}

#[derive(Serialize)]
struct Queue {
    waiting: usize,
    max: usize,
    timeout_seconds: f64,
    /// Of all endpoints that are not drained.
    permits_out: u64,
    capacity: u64,
    /// What a client that is refused now is told.
    retry_after_seconds: f64,
    refused: RefusedTotals,
}

/// Exchanges that the queue refused since the service is known.
#[derive(Serialize)]
struct RefusedTotals {
    full: u64,
    displaced: u64,
    too_late: u64,
    shed: u64,
    no_endpoint: u64,
}

/// What is learnt of the work of exchanges.
#[derive(Serialize)]
struct Work {
    answers: u64,
    picture: Terms,
    body: Terms,
    /// Predicted over real: a tenth, half and nine tenths of all exchanges are below.
    error_ratio: Quantiles,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "a number has its unit in its name")]
struct Terms {
    seconds_per_exchange: f64,
    seconds_per_megapixel: f64,
    seconds_per_mebibyte: f64,
}

#[derive(Serialize)]
struct Quantiles {
    p10: f64,
    p50: f64,
    p90: f64,
}

#[derive(Serialize)]
struct SourceStatus<'a> {
    source: &'a str,
    /// `answers`, `failing`, `doubted` (it lists none, which is not believed yet), `stale` or `unheard`.
    state: &'static str,
    since_unix_seconds: Option<f64>,
    last_contact_unix_seconds: Option<f64>,
    endpoints: usize,
    /// They are those of before the start.
    cached: bool,
    /// Why it fails.
    error: Option<String>,
    remarks: &'a [String],
}

/// What the document is made of.
pub(crate) struct Parts<'a> {
    pub(crate) times: Times,
    pub(crate) started_unix_seconds: f64,
    pub(crate) readiness: Ready,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) report: &'a Report,
    pub(crate) listeners: Vec<ListenerReport>,
    pub(crate) work: Vec<WorkReport>,
    pub(crate) configuration: Configuration,
}

/// Everything, or of the services this one alone.
pub(crate) fn status<'a>(parts: &'a Parts<'a>, only: Option<&str>) -> Status<'a> {
    let times = &parts.times;
    let chosen = |pool: &&Arc<Pool>| only.is_none_or(|only| &**pool.service() == only);
    let leads = |route: &&Arc<Route>| chosen(&&route.pool);
    Status {
        version: env!("CARGO_PKG_VERSION"),
        revision: parts.snapshot.revision,
        now_unix_seconds: times.unix_now(),
        started_unix_seconds: parts.started_unix_seconds,
        uptime_seconds: seconds(Duration::from_nanos(times.now.as_nanos())),
        readiness: &parts.readiness,
        configuration: &parts.configuration,
        listeners: parts.listeners.iter().map(listener).collect(),
        routes: parts.snapshot.routes.routes().iter().filter(leads).map(route).collect(),
        services: parts.snapshot.pools.iter().filter(chosen).map(|pool| service(parts, pool)).collect(),
    }
}

impl From<Readiness> for Ready {
    fn from(readiness: Readiness) -> Self {
        let (state, text) = match readiness {
            Readiness::Ready => ("ready", String::new()),
            Readiness::Degraded(why) => ("degraded", why),
            Readiness::NotReady(why) => ("not_ready", why),
        };
        Self { state, text }
    }
}

fn listener(report: &ListenerReport) -> Listener {
    Listener {
        address: report.address.to_string(),
        open_connections: report.open,
        max_connections: report.settings.max_connections,
    }
}

fn route(route: &Arc<Route>) -> RouteStatus<'_> {
    RouteStatus {
        name: &route.name,
        host: route.host.as_deref(),
        path: route.path.written(),
        service: route.pool.service(),
    }
}

fn service<'a>(parts: &'a Parts<'a>, pool: &'a Pool) -> Service<'a> {
    let (times, name) = (&parts.times, &**pool.service());
    let sources = sources(parts.report, name);
    let from = origins(sources);
    let queue = pool.permits().map(|permits| permits.report());
    let common = Common::of(pool, queue.as_ref(), times);
    let endpoint = |member| common.endpoint(member, from.get(&member.address).copied().unwrap_or(WRITTEN));
    let endpoints: Vec<_> = pool.members().iter().map(endpoint).collect();
    Service {
        name,
        policy: pool.policy().word(),
        when_all_ejected: match pool.when_all_ejected() {
            WhenAllEjected::TryAll => "try-all",
            WhenAllEjected::Refuse => "refuse",
        },
        all_ejected: pool.all_ejected(),
        probed: pool.health().probe.is_some(),
        counts: counts(pool, times),
        queue: queue.as_ref().map(|report| Queue::of(report, &endpoints)),
        work: parts.work.iter().find(|work| &*work.service == name).map(Work::of),
        sources: sources.iter().map(|source| SourceStatus::of(source, times)).collect(),
        endpoints,
    }
}

/// How the sources of a service stand.
pub(crate) fn sources<'a>(report: &'a Report, service: &str) -> &'a [SourceReport] {
    let found = report.services.iter().find(|report| &*report.service == service);
    found.map_or(&[], |report| &report.sources)
}

/// The source of each endpoint that one lists: the first, as where two list the same.
pub(crate) fn origins(sources: &[SourceReport]) -> Origins<'_> {
    let mut from = HashMap::new();
    for source in sources {
        for found in &*source.listed {
            from.entry(found.address).or_insert(&*source.source);
        }
    }
    from
}

fn counts(pool: &Pool, times: &Times) -> Counts {
    let mut counts = Counts { endpoints: pool.members().len(), ..Counts::default() };
    for member in pool.members() {
        let count = match member.live.condition(times.now, pool.health()) {
            _ if member.drained => &mut counts.drained,
            Condition::Healthy => &mut counts.healthy,
            Condition::Unproven => &mut counts.unproven,
            Condition::Ejected | Condition::TrialDue | Condition::Trial => &mut counts.ejected,
        };
        *count += 1;
    }
    counts
}

impl Queue {
    fn of(report: &QueueReport, endpoints: &[Endpoint<'_>]) -> Self {
        let in_service = || endpoints.iter().filter(|endpoint| !endpoint.drained);
        let sum = |of: fn(&Endpoint<'_>) -> Option<u32>| in_service().filter_map(of).map(u64::from).sum();
        let QueueReport { full, displaced, too_late, shed, no_endpoint, .. } = *report;
        Self {
            waiting: report.waiting,
            max: report.rules.order.max,
            timeout_seconds: seconds(report.rules.timeout.duration()),
            permits_out: sum(|endpoint| endpoint.permits_out),
            capacity: sum(|endpoint| endpoint.capacity),
            retry_after_seconds: seconds(report.retry_after),
            refused: RefusedTotals { full, displaced, too_late, shed, no_endpoint },
        }
    }
}

impl Work {
    fn of(report: &WorkReport) -> Self {
        let terms = |of: Coefficients| Terms {
            seconds_per_exchange: of.per_exchange / 1e3,
            seconds_per_megapixel: of.per_megapixel / 1e3,
            seconds_per_mebibyte: of.per_mebibyte / 1e3,
        };
        let [p10, p50, p90] = report.errors;
        Self {
            answers: report.answers,
            picture: terms(report.picture),
            body: terms(report.body),
            error_ratio: Quantiles { p10, p50, p90 },
        }
    }
}

impl<'a> SourceStatus<'a> {
    fn of(report: &'a SourceReport, times: &Times) -> Self {
        let (state, since) = match (&report.failing, report.doubted_since) {
            (Some((_, since)), _) => ("failing", Some(*since)),
            (None, Some(since)) => ("doubted", Some(since)),
            (None, None) if report.last_contact.is_none() => ("unheard", None),
            (None, None) if report.stale.is_some() => ("stale", None),
            (None, None) => ("answers", None),
        };
        Self {
            source: &report.source,
            state,
            since_unix_seconds: since.map(|since| times.unix(since)),
            last_contact_unix_seconds: report.last_contact.map(|contact| times.unix(contact)),
            endpoints: report.endpoints,
            cached: report.cached,
            error: report.failing.as_ref().map(|(error, _)| error.text.clone()),
            remarks: &report.remarks,
        }
    }
}
