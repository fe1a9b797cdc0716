//! The metrics of the admin listener. Labels come from fixed lists.
#![expect(clippy::disallowed_macros, reason = "metrics are written here")]

/// Name, kind, labels, help; also what `docs/reference/metrics.md` lists.
pub(crate) const METRICS: [(&str, &str, &[&str], &str); 1] = [(
    "weir_admin_refused_total",
    "counter",
    &["reason"],
    "Calls of the admin API that were refused because of who made them.",
)];

/// Says what they mean, and begins to count at zero for these reasons.
pub(crate) fn describe(reasons: impl IntoIterator<Item = &'static str>) {
    for (name, _, _, help) in METRICS {
        metrics::describe_counter!(name, help);
    }
    for reason in reasons {
        metrics::counter!(METRICS[0].0, "reason" => reason).increment(0);
    }
}

/// A call was refused.
pub(crate) fn refused(reason: &'static str) {
    metrics::counter!(METRICS[0].0, "reason" => reason).increment(1);
}
