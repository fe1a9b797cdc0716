//! The metrics that discovery writes. Labels come from configuration only.
#![expect(clippy::disallowed_macros, reason = "metrics are written here")]

use metrics::{Label, counter, describe_counter, describe_gauge, gauge};
use weir_snapshot::{Member, Snapshot};

const EJECTIONS: &str = "weir_ejections_total";
const PROBES: &str = "weir_probes_total";
const UP: &str = "weir_endpoint_up";
const IN_FLIGHT: &str = "weir_in_flight";

/// Every metric of this crate: name, kind, labels, help. Also what `docs/reference/metrics.md` lists.
pub const METRICS: [(&str, &str, &[&str], &str); 4] = [
    (
        EJECTIONS,
        "counter",
        &["service", "endpoint", "cause"],
        "Times that an endpoint was ejected, by whose failure it was that did it.",
    ),
    (PROBES, "counter", &["service", "endpoint", "result"], "Probes, by what they found."),
    (UP, "gauge", &["service", "endpoint"], "Whether an endpoint is healthy (1) or ejected (0)."),
    (IN_FLIGHT, "gauge", &["service", "endpoint"], "Exchanges that hold the endpoint now."),
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
pub fn refresh(snapshot: &Snapshot) {
    for pool in &snapshot.pools {
        for member in pool.members() {
            let up = if member.live.is_ejected() { 0.0 } else { 1.0 };
            gauge!(UP, labels(pool.service(), member)).set(up);
            gauge!(IN_FLIGHT, labels(pool.service(), member)).set(f64::from(member.live.in_flight()));
        }
    }
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

fn labels(service: &str, member: &Member) -> Vec<Label> {
    vec![Label::new("service", service.to_owned()), Label::new("endpoint", member.label.to_string())]
}
