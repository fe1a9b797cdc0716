//! The metrics that discovery writes. Labels come from configuration only.
#![expect(clippy::disallowed_macros, reason = "metrics are written here")]

use std::time::SystemTime;

use metrics::{Label, counter, describe_counter, describe_gauge, gauge};
use weir_snapshot::{Member, Moment, Snapshot};

use crate::{News, Report};

const EJECTIONS: &str = "weir_ejections_total";
const PROBES: &str = "weir_probes_total";
const UP: &str = "weir_endpoint_up";
const IN_FLIGHT: &str = "weir_in_flight";
const RAMP: &str = "weir_slow_start_percent";
const FOUND: &str = "weir_discovery_endpoints";
const AGE: &str = "weir_discovery_age_seconds";
const SOURCE_UP: &str = "weir_discovery_up";
const FAILURES: &str = "weir_discovery_failures_total";
const UPDATES: &str = "weir_discovery_updates_total";
const EMPTY: &str = "weir_discovery_empty_total";
const STALE: &str = "weir_discovery_stale_seconds";
const LEADER: &str = "weir_discovery_known_leader";
const RELOADS: &str = "weir_reloads_total";
const RELOADED: &str = "weir_last_reload_success_timestamp_seconds";
const RELOAD_OK: &str = "weir_last_reload_successful";
const REVISION: &str = "weir_snapshot_revision";

/// Every metric of this crate: name, kind, labels, help. Also what `docs/reference/metrics.md` lists.
pub const METRICS: [(&str, &str, &[&str], &str); 17] = [
    (
        EJECTIONS,
        "counter",
        &["service", "endpoint", "cause"],
        "Times that an endpoint was ejected, by whose failure it was that did it.",
    ),
    (PROBES, "counter", &["service", "endpoint", "result"], "Probes, by what they found."),
    (UP, "gauge", &["service", "endpoint"], "Whether an endpoint is healthy (1) or ejected (0)."),
    (IN_FLIGHT, "gauge", &["service", "endpoint"], "Exchanges that hold the endpoint now."),
    (
        RAMP,
        "gauge",
        &["service", "endpoint"],
        "How much of its share an endpoint of a service with `slow_start` gets, next to the one that has served longest; 100 is all.",
    ),
    (FOUND, "gauge", &["service", "source"], "Endpoints of the source that count now."),
    (
        AGE,
        "gauge",
        &["service", "source"],
        "Time since the source last answered, or since weir started; an idle Consul answers once per `wait`.",
    ),
    (SOURCE_UP, "gauge", &["service", "source"], "Whether the source answered last (1) or failed (0)."),
    (FAILURES, "counter", &["service", "source", "reason"], "Questions that the source did not answer, by why."),
    (UPDATES, "counter", &["service", "source"], "Lists of endpoints that the source told."),
    (
        EMPTY,
        "counter",
        &["service", "source"],
        "Lists without endpoints; believed only after they were told for `empty_after`.",
    ),
    (
        STALE,
        "gauge",
        &["service", "source"],
        "Time since the server that answered heard of the leader; 0 when the leader vouches for the list.",
    ),
    (LEADER, "gauge", &["service", "source"], "Whether the server that answered knows a leader (1) or not (0)."),
    (RELOADS, "counter", &["result"], "Reloads of the configuration; a rejected one leaves everything as it is."),
    (RELOADED, "gauge", &[], "When the configuration was last found good, at the start or by a reload."),
    (RELOAD_OK, "gauge", &[], "Whether the last reload, or the start, found a good configuration (1) or not (0)."),
    (
        REVISION,
        "gauge",
        &[],
        "Number of the snapshot that requests read; grows with every change of routes or endpoints.",
    ),
];

/// Says what the metrics of this crate mean. Once, after the recorder was installed.
pub fn describe() {
    for (name, kind, _, help) in METRICS {
        match kind {
            "counter" => describe_counter!(name, help),
            _ => describe_gauge!(name, help),
        }
    }
}

/// Writes the state of every endpoint of this snapshot; for whoever is about to render the metrics.
///
/// Read at that moment rather than written at each change, since probes and exchanges both change it.
pub fn refresh(snapshot: &Snapshot, now: Moment) {
    #[expect(clippy::cast_precision_loss, reason = "a count of snapshots is far below 2^52")]
    gauge!(REVISION).set(snapshot.revision as f64);
    for pool in &snapshot.pools {
        for member in pool.members() {
            let up = if member.live.is_ejected() { 0.0 } else { 1.0 };
            gauge!(UP, labels(pool.service(), member)).set(up);
            gauge!(IN_FLIGHT, labels(pool.service(), member)).set(f64::from(member.live.in_flight()));
        }
        if let Some(percent) = pool.slow_start(now) {
            for member in pool.members() {
                gauge!(RAMP, labels(pool.service(), member)).set(f64::from(percent.of(member)));
            }
        }
    }
}

/// Writes how the sources stand; for whoever is about to render the metrics.
pub fn refresh_sources(report: &Report, now: Moment) {
    for service in &report.services {
        for source in &service.sources {
            let labels = || source_labels(&service.service, &source.source);
            let bit = |set: bool| if set { 1.0 } else { 0.0 };
            #[expect(clippy::cast_precision_loss, reason = "a count of endpoints is far below 2^52")]
            gauge!(FOUND, labels()).set(source.endpoints as f64);
            gauge!(AGE, labels()).set(now.since(source.last_contact.unwrap_or_default()).as_secs_f64());
            gauge!(SOURCE_UP, labels()).set(bit(source.failing.is_none() && source.last_contact.is_some()));
            let stale = source.stale.as_ref();
            gauge!(STALE, labels()).set(stale.map_or(0.0, |stale| stale.last_contact.as_secs_f64()));
            gauge!(LEADER, labels()).set(bit(stale.is_none_or(|stale| stale.known_leader)));
        }
    }
}

/// What a reload came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// A configuration took the place of another.
    Applied,
    /// It says what holds already.
    Unchanged,
    /// It cannot be used.
    Rejected,
}

impl Reloaded {
    /// The `result` label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
        }
    }
}

/// Writes that weir has started with a good configuration.
pub fn started(at: SystemTime) {
    for result in [Reloaded::Applied, Reloaded::Unchanged, Reloaded::Rejected] {
        // There from the start, so that the first one is an increase.
        counter!(RELOADS, "result" => result.label()).increment(0);
    }
    good(at);
}

/// Writes what a reload came to.
pub fn reloaded(result: Reloaded, at: SystemTime) {
    counter!(RELOADS, "result" => result.label()).increment(1);
    match result {
        Reloaded::Applied | Reloaded::Unchanged => good(at),
        Reloaded::Rejected => gauge!(RELOAD_OK).set(0.0),
    }
}

fn good(at: SystemTime) {
    gauge!(RELOAD_OK).set(1.0);
    gauge!(RELOADED).set(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64());
}

pub(crate) fn news(service: &str, source: &str, news: &News) {
    let mut labels = source_labels(service, source);
    match news {
        News::Unchanged => {}
        News::Failed(error) => {
            labels.push(Label::from_static_parts("reason", error.reason));
            counter!(FAILURES, labels).increment(1);
        }
        News::Endpoints(listing) => {
            if listing.endpoints.is_empty() {
                counter!(EMPTY, labels.clone()).increment(1);
            }
            counter!(UPDATES, labels).increment(1);
        }
    }
}

fn source_labels(service: &str, source: &str) -> Vec<Label> {
    vec![Label::new("service", service.to_owned()), Label::new("source", source.to_owned())]
}

pub(crate) fn probed(service: &str, member: &Member, result: &'static str) {
    let mut labels = labels(service, member);
    labels.push(Label::from_static_parts("result", result));
    counter!(PROBES, labels).increment(1);
}

pub(crate) fn ejected_by_probe(service: &str, member: &Member) {
    let mut labels = labels(service, member);
    labels.push(Label::from_static_parts("cause", "probe"));
    counter!(EJECTIONS, labels).increment(1);
}

/// An operator ejected an endpoint.
pub fn ejected_by_operator(service: &str, member: &Member) {
    let mut labels = labels(service, member);
    labels.push(Label::from_static_parts("cause", "operator"));
    counter!(EJECTIONS, labels).increment(1);
}

fn labels(service: &str, member: &Member) -> Vec<Label> {
    vec![Label::new("service", service.to_owned()), Label::new("endpoint", member.label.to_string())]
}
