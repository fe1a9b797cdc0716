//! Where metrics go: the exporter's recorder, and a place of our own for the series of endpoints.
//!
//! In: what the crates of weir count. Out: the text that Prometheus reads. Cost: a lock and a look-up when a handle is
//! asked for, an atomic addition afterwards.
//! Why our own: endpoints come and go, and the exporter forgets a series only after a time without changes, which a quiet
//! endpoint has too. Here a series goes when its endpoint has gone and nobody holds its handle any more, so that no count
//! is lost and memory follows the endpoints there are. Counters and gauges; no histogram is kept per endpoint.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusHandle, PrometheusRecorder};

/// The label that makes a series one of an endpoint.
const ENDPOINT: &str = "endpoint";

/// The recorder of the process.
pub(crate) struct Series {
    others: PrometheusRecorder,
    endpoints: Endpoints,
}

/// What was recorded, to be read.
pub(crate) struct Exposition {
    others: PrometheusHandle,
    endpoints: Endpoints,
}

#[derive(Clone, Default)]
struct Endpoints(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    help: HashMap<String, SharedString>,
    families: BTreeMap<String, Family>,
}

struct Family {
    kind: Kind,
    /// A gauge is kept as the bits of its number.
    series: HashMap<Key, Arc<AtomicU64>>,
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

impl Series {
    pub(crate) fn new(others: PrometheusRecorder) -> Self {
        Self { others, endpoints: Endpoints::default() }
    }

    pub(crate) fn exposition(&self) -> Exposition {
        Exposition { others: self.others.handle(), endpoints: self.endpoints.clone() }
    }
}

impl Exposition {
    /// All metrics, but of endpoints only those of these labels: a counter that stands still for ever reads as an
    /// endpoint that gets nothing.
    pub(crate) fn render(&self, present: &HashSet<&str>) -> String {
        let mut text = self.others.render();
        self.endpoints.render(present, &mut text);
        text
    }

    /// All metrics but those of endpoints.
    pub(crate) fn of_services(&self) -> String {
        self.others.render()
    }

    /// Bounds the memory: folds histograms, and forgets the series of endpoints that are none of these.
    pub(crate) fn upkeep(&self, present: &HashSet<&str>) {
        self.others.run_upkeep();
        self.endpoints.forget_others(present);
    }
}

impl Endpoints {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Each change is one insertion or removal: whole, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cell(&self, key: &Key, kind: Kind) -> Arc<AtomicU64> {
        let mut kept = self.kept();
        let family = kept.families.entry(key.name().to_owned()).or_insert(Family { kind, series: HashMap::new() });
        if let Some(cell) = family.series.get(key) {
            return Arc::clone(cell);
        }
        Arc::clone(family.series.entry(key.clone()).or_default())
    }

    fn forget_others(&self, present: &HashSet<&str>) {
        for family in self.kept().families.values_mut() {
            // Whoever holds a handle goes on counting, and the endpoint may return.
            family.series.retain(|key, cell| is_present(key, present) || Arc::strong_count(cell) > 1);
            family.series.shrink_to(family.series.len() * 2);
        }
    }

    fn render(&self, present: &HashSet<&str>, text: &mut String) {
        let kept = self.kept();
        for (name, family) in &kept.families {
            let mut lines: Vec<String> = family
                .series
                .iter()
                .filter(|(key, _)| is_present(key, present))
                .map(|(key, cell)| line(name, key, family.kind, cell.load(Relaxed)))
                .collect();
            if lines.is_empty() {
                continue;
            }
            lines.sort_unstable();
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            // Writing to a String does not fail.
            if let Some(help) = kept.help.get(name) {
                writeln!(text, "# HELP {name} {help}").ok();
            }
            writeln!(text, "# TYPE {name} {kind}").ok();
            text.extend(lines);
            text.push('\n');
        }
    }
}

fn is_endpoints(key: &Key) -> bool {
    key.labels().any(|label| label.key() == ENDPOINT)
}

fn is_present(key: &Key, present: &HashSet<&str>) -> bool {
    key.labels().any(|label| label.key() == ENDPOINT && present.contains(label.value()))
}

fn line(name: &str, key: &Key, kind: Kind, bits: u64) -> String {
    let escaped = |label: &Label| label.value().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> = key.labels().map(|label| format!("{}=\"{}\"", label.key(), escaped(label))).collect();
    let labels = labels.join(",");
    match kind {
        Kind::Counter => format!("{name}{{{labels}}} {bits}\n"),
        Kind::Gauge => format!("{name}{{{labels}}} {}\n", f64::from_bits(bits)),
    }
}

impl Recorder for Series {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.endpoints.kept().help.insert(key.as_str().to_owned(), description.clone());
        self.others.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.endpoints.kept().help.insert(key.as_str().to_owned(), description.clone());
        self.others.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.others.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        if is_endpoints(key) {
            return Counter::from_arc(self.endpoints.cell(key, Kind::Counter));
        }
        self.others.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        if is_endpoints(key) {
            return Gauge::from_arc(self.endpoints.cell(key, Kind::Gauge));
        }
        self.others.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.others.register_histogram(key, metadata)
    }
}

#[cfg(test)]
mod tests {
    use metrics::Level;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    const METADATA: Metadata<'static> = Metadata::new("weir", Level::INFO, None);

    fn series() -> Series {
        Series::new(PrometheusBuilder::new().build_recorder())
    }

    fn tries(series: &Series, endpoint: &str) -> Counter {
        let labels = vec![Label::new("service", "a".to_owned()), Label::new(ENDPOINT, endpoint.to_owned())];
        series.register_counter(&Key::from_parts("tries_total", labels), &METADATA)
    }

    fn kept(series: &Series) -> usize {
        series.endpoints.kept().families.values().map(|family| family.series.len()).sum()
    }

    #[test]
    fn however_many_endpoints_come_and_go_only_those_there_are_have_series() {
        let series = series();
        let exposition = series.exposition();
        for round in 0..1000 {
            let names: Vec<String> = (0..3).map(|each| format!("10.0.{round}.{each}:80")).collect();
            for name in &names {
                tries(&series, name).increment(1);
            }
            exposition.upkeep(&names.iter().map(String::as_str).collect());
            assert_eq!(kept(&series), 3);
        }
    }

    #[test]
    fn a_quiet_endpoint_keeps_its_counts_and_one_that_left_is_not_shown() {
        let series = series();
        let exposition = series.exposition();
        series.describe_counter("tries_total".into(), None, "Tries.".into());
        tries(&series, "one").increment(3);
        tries(&series, "two").increment(1);
        for _ in 0..10 {
            exposition.upkeep(&HashSet::from(["one"]));
        }
        let text = exposition.render(&HashSet::from(["one"]));
        let expected =
            "# HELP tries_total Tries.\n# TYPE tries_total counter\ntries_total{service=\"a\",endpoint=\"one\"} 3\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_endpoint_that_returns_while_its_handle_is_held_goes_on_counting() {
        let series = series();
        let exposition = series.exposition();
        let held = tries(&series, "one");
        held.increment(1);
        exposition.upkeep(&HashSet::new());
        assert_eq!(exposition.render(&HashSet::new()), "");
        held.increment(1);
        assert!(exposition.render(&HashSet::from(["one"])).ends_with("endpoint=\"one\"} 2\n\n"));
        drop(held);
        exposition.upkeep(&HashSet::new());
        assert_eq!(kept(&series), 0);
    }

    #[test]
    fn a_gauge_shows_its_number_and_what_has_no_endpoint_is_shown_always() {
        let series = series();
        let label = Label::new(ENDPOINT, "a \"b\"".to_owned());
        series.register_gauge(&Key::from_parts("up", vec![label]), &METADATA).set(0.5);
        series.register_counter(&Key::from_name("all_total"), &METADATA).increment(2);
        let text = series.exposition().render(&HashSet::from(["a \"b\""]));
        assert!(text.contains("all_total 2\n") && text.contains("up{endpoint=\"a \\\"b\\\"\"} 0.5\n"), "{text}");
    }
}
