//! The process's metrics: the recorder, and the text that Prometheus reads.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use weir_snapshot::Snapshot;

use crate::admin::Admin;

/// How often what the histograms have gathered is folded into buckets: bounds the memory between two scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Installs the recorder that all metrics of the process go to.
pub(crate) fn install() -> PrometheusHandle {
    let ratios = Matcher::Full(weir_proxy::RATIO_METRIC.to_owned());
    let builder = PrometheusBuilder::new().set_buckets(&weir_proxy::SECONDS);
    let builder = match builder.and_then(|builder| builder.set_buckets_for_metric(ratios, &weir_proxy::RATIOS)) {
        Ok(builder) => builder,
        // Only an empty list is refused.
        Err(_) => PrometheusBuilder::new(),
    };
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::error!("another metrics recorder is installed: /metrics will be empty");
    }
    weir_proxy::describe_metrics();
    weir_discovery::observe::describe();
    handle
}

/// Keeps the recorder's memory bounded until `end`.
pub(crate) async fn upkeep(admin: Arc<Admin>, end: impl Future<Output = ()>) {
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            () = tokio::time::sleep(UPKEEP) => admin.exposition().run_upkeep(),
        }
    }
}

/// The exposition without the series of endpoints that are configured no more: a counter that stands still for ever
/// reads as an endpoint that gets nothing.
pub(crate) fn of_present_endpoints(text: &str, snapshot: &Snapshot) -> String {
    let present: HashSet<&str> =
        snapshot.pools.iter().flat_map(|pool| pool.members()).map(|member| &*member.label).collect();
    let stays = |line: &str| match label(line, "endpoint") {
        Some(endpoint) if !line.starts_with('#') => present.contains(endpoint),
        _ => true,
    };
    let mut kept = String::with_capacity(text.len());
    for line in text.lines().filter(|line| stays(line)) {
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

/// The value of a label in a line of the exposition.
fn label<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, labels) = line.split_once('{')?;
    labels.split(',').find_map(|pair| pair.trim_start().strip_prefix(name)?.strip_prefix("=\"")?.split('"').next())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_label_is_found_by_its_whole_name() {
        let line = r#"weir_tries_total{service="a",endpoint="127.0.0.1:1",outcome="answered"} 3"#;
        assert_eq!(super::label(line, "endpoint"), Some("127.0.0.1:1"));
        assert_eq!(super::label(line, "point"), None);
    }
}
