//! What was measured, as a picture: latency over load.
//!
//! In: an [`Outcome`]. Out: SVG text. Pure.

use super::contender::Contender;
use super::promise::Metric;
use super::result::Outcome;
use crate::plot::{self, Curve, Panel, Point};
use crate::rig::proxy::Kind;
use crate::rounds::{least, median};

/// A panel per metric, a line per contender.
pub(crate) fn svg(outcome: &Outcome) -> String {
    let panel = |metric: Metric| {
        let contenders = outcome.entries.iter().map(|entry| entry.contender);
        let curve = |contender: &'static Contender| {
            let points = outcome.tables.iter().filter_map(|table| {
                let cell = table.cells.iter().find(|cell| cell.contender == contender)?;
                let values = cell.values(|run| Some(metric.of(&run.summary)));
                let all = || values.iter().copied();
                Some(Point {
                    load: table.conditions.load * 100.0,
                    median: median(all())?,
                    least: least(all())?,
                    greatest: -least(all().map(|value| -value))?,
                })
            });
            Curve { name: contender.name, ours: contender.kind == Kind::Weir, points: points.collect() }
        };
        Panel { title: metric.name(), curves: contenders.map(curve).collect() }
    };
    plot::svg(&Metric::ALL.map(panel))
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::outcome;
    use super::*;

    #[test]
    fn every_contender_with_a_result_has_a_point_in_every_panel() {
        let text = svg(&outcome());
        assert_eq!(text.matches("<circle").count(), 3 * 4);
        for name in ["weir-lc", "nginx", "haproxy-class"] {
            assert!(text.contains(&format!(">{name}</text>")), "{text}");
        }
    }
}
