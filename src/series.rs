//! Where metrics go: the exporter's recorder, and a place of our own for the series of what comes and goes.
//!
//! In: what the crates of weir count. Out: the text that Prometheus reads. Cost: a lock and a look-up when a handle is
//! asked for, an atomic addition afterwards.
//! Why our own: endpoints, sources and services come and go, and the exporter forgets a series only after a time without
//! changes, which a quiet endpoint has too. Two kinds of series are kept here:
//! - counters with the label `endpoint`. One goes when its endpoint has left its service and nobody holds its handle any
//!   more, so that no count is lost and memory follows the endpoints there are.
//! - gauges with the label `service`. They say how something is now, so they are written when somebody looks, and what was
//!   not written at that look is not there any more: no list of what there is has to be kept beside them.
//!
//! No histogram is kept per endpoint.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusHandle, PrometheusRecorder};

/// The label that makes a series one of an endpoint.
const ENDPOINT: &str = "endpoint";
/// The label that makes one of something that a reload may take away.
const SERVICE: &str = "service";

/// The endpoints there are: service and label. One address may be in several services.
pub(crate) type Present<'a> = HashSet<(&'a str, &'a str)>;

/// The recorder of the process.
pub(crate) struct Series {
    others: PrometheusRecorder,
    passing: Passing,
}

/// What was recorded, to be read.
pub(crate) struct Exposition {
    others: PrometheusHandle,
    passing: Passing,
    /// Held for a look: another one at the same time would take the gauges for those that it did not write.
    looking: Mutex<()>,
}

/// The series of what comes and goes.
#[derive(Clone, Default)]
struct Passing(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    help: HashMap<String, SharedString>,
    families: BTreeMap<String, Family>,
}

struct Family {
    kind: Kind,
    series: HashMap<Key, Cell>,
}

#[derive(Default)]
struct Cell {
    /// A gauge is kept as the bits of its number.
    value: Arc<AtomicU64>,
    /// Asked for since the last look began; of a gauge, that is to say: written.
    fresh: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

impl Series {
    pub(crate) fn new(others: PrometheusRecorder) -> Self {
        Self { others, passing: Passing::default() }
    }

    pub(crate) fn exposition(&self) -> Exposition {
        Exposition { others: self.others.handle(), passing: self.passing.clone(), looking: Mutex::new(()) }
    }
}

impl Exposition {
    /// All metrics. The gauges are those that `write` writes; the counters of endpoints those of these, for one that stands
    /// still for ever reads as an endpoint that gets nothing.
    pub(crate) fn look(&self, present: &Present<'_>, write: impl FnOnce()) -> String {
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        self.passing.begin_look();
        write();
        let mut text = self.others.render();
        self.passing.render(present, &mut text);
        text
    }

    /// What was counted of services and routes.
    pub(crate) fn of_services(&self) -> String {
        self.others.render()
    }

    /// Bounds the memory: folds histograms, and forgets the counters of endpoints that are none of these.
    pub(crate) fn upkeep(&self, present: &Present<'_>) {
        self.others.run_upkeep();
        self.passing.forget_others(present);
    }
}

impl Passing {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Each change is one insertion or removal: whole, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cell(&self, key: &Key, kind: Kind) -> Arc<AtomicU64> {
        let mut kept = self.kept();
        let family = kept.families.entry(key.name().to_owned()).or_insert(Family { kind, series: HashMap::new() });
        // Not by `entry`, which would copy the key of one that is known.
        if let Some(cell) = family.series.get_mut(key) {
            cell.fresh = true;
            return Arc::clone(&cell.value);
        }
        let cell = Cell { fresh: true, ..Cell::default() };
        Arc::clone(&family.series.entry(key.clone()).or_insert(cell).value)
    }

    fn begin_look(&self) {
        for family in self.kept().families.values_mut() {
            family.series.values_mut().for_each(|cell| cell.fresh = false);
        }
    }

    fn forget_others(&self, present: &Present<'_>) {
        for family in self.kept().families.values_mut() {
            if matches!(family.kind, Kind::Counter) {
                // Whoever holds a handle goes on counting, and the endpoint may return.
                family.series.retain(|key, cell| is_present(key, present) || Arc::strong_count(&cell.value) > 1);
                family.series.shrink_to(family.series.len() * 2);
            }
        }
    }

    fn render(&self, present: &Present<'_>, text: &mut String) {
        let mut kept = self.kept();
        let Kept { help, families } = &mut *kept;
        for (name, family) in families {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => {
                    family.series.retain(|_, cell| cell.fresh);
                    "gauge"
                }
            };
            let is_shown = |key: &Key| matches!(family.kind, Kind::Gauge) || is_present(key, present);
            let mut lines: Vec<String> = family
                .series
                .iter()
                .filter(|(key, _)| is_shown(key))
                .map(|(key, cell)| line(name, key, family.kind, cell.value.load(Relaxed)))
                .collect();
            if lines.is_empty() {
                continue;
            }
            lines.sort_unstable();
            // Writing to a String does not fail.
            if let Some(help) = help.get(name) {
                writeln!(text, "# HELP {name} {help}").ok();
            }
            writeln!(text, "# TYPE {name} {kind}").ok();
            text.extend(lines);
            text.push('\n');
        }
    }
}

/// What this series says of a label.
fn value<'a>(key: &'a Key, label: &str) -> Option<&'a str> {
    key.labels().find(|known| known.key() == label).map(Label::value)
}

fn is_present(key: &Key, present: &Present<'_>) -> bool {
    value(key, SERVICE).zip(value(key, ENDPOINT)).is_some_and(|pair| present.contains(&pair))
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
        self.passing.kept().help.insert(key.as_str().to_owned(), description.clone());
        self.others.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.passing.kept().help.insert(key.as_str().to_owned(), description.clone());
        self.others.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.others.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        if value(key, ENDPOINT).is_some() {
            return Counter::from_arc(self.passing.cell(key, Kind::Counter));
        }
        self.others.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        if value(key, SERVICE).is_some() {
            return Gauge::from_arc(self.passing.cell(key, Kind::Gauge));
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
        series.passing.kept().families.values().map(|family| family.series.len()).sum()
    }

    fn up(series: &Series, service: &'static str) {
        let labels = vec![Label::new(SERVICE, service)];
        series.register_gauge(&Key::from_parts("up", labels), &METADATA).set(0.5);
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
            exposition.upkeep(&names.iter().map(|name| ("a", &**name)).collect());
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
        // It is in another service still.
        let present = HashSet::from([("a", "one"), ("b", "two")]);
        for _ in 0..10 {
            exposition.upkeep(&present);
        }
        let text = exposition.look(&present, || {});
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
        assert_eq!(exposition.look(&HashSet::new(), || {}), "");
        held.increment(1);
        let text = exposition.look(&HashSet::from([("a", "one")]), || {});
        assert!(text.ends_with("endpoint=\"one\"} 2\n\n"), "{text}");
        drop(held);
        exposition.upkeep(&HashSet::new());
        assert_eq!(kept(&series), 0);
    }

    #[test]
    fn a_gauge_that_is_not_written_at_a_look_is_gone() {
        let series = series();
        let exposition = series.exposition();
        let look = |services: &[&'static str]| {
            let text = exposition.look(&HashSet::new(), || services.iter().for_each(|service| up(&series, service)));
            text.matches("up{service=").count()
        };
        assert_eq!([look(&["a", "b"]), kept(&series)], [2, 2]);
        assert_eq!([look(&["b"]), kept(&series)], [1, 1]);
        assert_eq!([look(&["a", "b"]), look(&[]), kept(&series)], [2, 0, 0]);
    }

    #[test]
    fn a_label_may_say_anything_and_what_has_neither_service_nor_endpoint_is_shown_always() {
        let series = series();
        series.register_counter(&Key::from_name("all_total"), &METADATA).increment(2);
        let text = series.exposition().look(&HashSet::new(), || up(&series, "a \"b\""));
        assert!(text.contains("all_total 2\n") && text.contains("up{service=\"a \\\"b\\\"\"} 0.5\n"), "{text}");
    }
}
