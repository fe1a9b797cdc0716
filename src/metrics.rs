//! The process's metrics: the recorder, and the text that Prometheus reads.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use weir_snapshot::Snapshot;

use crate::admin::Admin;
use crate::series::{Exposition, Present, Series};

/// How often what the histograms have gathered is folded into buckets: bounds the memory between two scrapes;
/// and how long the series of departed endpoints stay.
const UPKEEP: Duration = Duration::from_secs(5);

/// Installs the recorder that all metrics of the process go to.
pub(crate) fn install() -> Exposition {
    let ratios = Matcher::Full(weir_proxy::RATIO_METRIC.to_owned());
    let builder = PrometheusBuilder::new().set_buckets(&weir_proxy::SECONDS);
    let builder = match builder.and_then(|builder| builder.set_buckets_for_metric(ratios, &weir_proxy::RATIOS)) {
        Ok(builder) => builder,
        // Only an empty list is refused.
        Err(_) => PrometheusBuilder::new(),
    };
    let recorder = Series::new(builder.build_recorder());
    let exposition = recorder.exposition();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::error!("another metrics recorder is installed: /metrics will be empty");
    }
    weir_proxy::describe_metrics();
    weir_discovery::observe::describe();
    exposition
}

/// Keeps the recorder's memory bounded until `end`.
pub(crate) async fn upkeep(admin: Arc<Admin>, end: impl Future<Output = ()>) {
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            () = tokio::time::sleep(UPKEEP) => admin.upkeep(),
        }
    }
}

/// The endpoints there are.
pub(crate) fn present(snapshot: &Snapshot) -> Present<'_> {
    snapshot
        .pools
        .iter()
        .flat_map(|pool| pool.members().iter().map(|member| (&**pool.service(), &*member.label)))
        .collect()
}
