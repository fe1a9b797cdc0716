//! Latency over load, as a picture.
//!
//! In: an [`Outcome`]. Out: SVG text: a panel per metric, a line per contender through its medians, a bar from the least to the
//! greatest over the seeds. Pure; written by hand, since a plot of four panels needs no library. The vertical axis is
//! logarithmic: what is compared are ratios.

use std::fmt::Write as _;

use super::promise::Metric;
use super::result::Outcome;
use crate::rig::proxy::Kind;
use crate::rounds::{least, median};

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;
const RIGHT: f64 = 14.0;
/// Height of a line of the legend.
const LINE: f64 = 20.0;
/// Colours that differ for people who see few of them: Okabe and Ito, 2008.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// One contender in one panel: load, then median, least and greatest.
struct Curve {
    name: &'static str,
    ours: bool,
    points: Vec<(f64, f64, f64, f64)>,
}

/// The plot.
pub(crate) fn svg(outcome: &Outcome) -> String {
    let curves = |metric: Metric| -> Vec<Curve> {
        let entries = outcome.entries.iter().map(|entry| entry.contender);
        let curve = entries.map(|contender| {
            let points = outcome.tables.iter().filter_map(|table| {
                let cell = table.cells.iter().find(|cell| cell.contender == contender)?;
                let values = cell.values(|run| Some(metric.of(&run.summary)));
                let all = || values.iter().copied();
                let greatest = -least(all().map(|value| -value))?;
                Some((table.conditions.load * 100.0, median(all())?, least(all())?, greatest))
            });
            let mut points: Vec<_> = points.collect();
            points.sort_by(|one, other| one.0.total_cmp(&other.0));
            Curve { name: contender.name, ours: contender.kind == Kind::Weir, points }
        });
        curve.collect()
    };
    let names = outcome.entries.len();
    let rows = names.div_ceil(5);
    let legend = f64::from(u32::try_from(rows).unwrap_or(u32::MAX)) * LINE;
    let (width, height) = (2.0 * WIDTH, 2.0 * HEIGHT + legend + 10.0);
    let mut all = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (place, metric) in Metric::ALL.into_iter().enumerate() {
        let (x, y) = (if place % 2 == 0 { 0.0 } else { WIDTH }, if place < 2 { 0.0 } else { HEIGHT });
        write!(all, "<g transform=\"translate({x} {y})\">\n{}</g>\n", panel(metric, &curves(metric)))
            .unwrap_or_default();
    }
    let mut spot = (LEFT, 2.0 * HEIGHT + 10.0);
    for (number, curve) in curves(Metric::P50).iter().enumerate() {
        let (colour, dash) = pen(number, curve.ours);
        writeln!(
            all,
            "<path d=\"M{:.0} {:.0}h26\" stroke=\"{colour}\" stroke-width=\"2\" {dash}/><text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
            spot.0,
            spot.1,
            spot.0 + 32.0,
            spot.1 + 4.0,
            curve.name
        )
        .unwrap_or_default();
        spot = if number % 5 == 4 { (LEFT, spot.1 + LINE) } else { (spot.0 + (width - LEFT) / 5.0, spot.1) };
    }
    all.push_str("</svg>\n");
    all
}

/// weir's lines are whole, the peers' broken.
fn pen(number: usize, ours: bool) -> (&'static str, &'static str) {
    let colour = COLOURS.get(number % COLOURS.len()).copied().unwrap_or("#000000");
    let dash = match (ours, number / COLOURS.len()) {
        (true, _) => "",
        (false, 0) => "stroke-dasharray=\"6 3\"",
        (false, _) => "stroke-dasharray=\"2 3\"",
    };
    (colour, dash)
}

fn panel(metric: Metric, curves: &[Curve]) -> String {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let (Some(low), Some(high)) = (least(points().map(|point| point.2)), least(points().map(|point| -point.3))) else {
        return String::new();
    };
    let (left, right) = (least(points().map(|point| point.0)), least(points().map(|point| -point.0)));
    let (Some(left), Some(right)) = (left, right.map(|right| -right)) else { return String::new() };
    let (bottom, top) =
        (low.max(0.01).log10().floor(), (-high).max(0.1).log10().ceil().max(low.max(0.01).log10().floor() + 1.0));
    // A plot of one load has it in the middle.
    let (left, right) = if right > left { (left, right) } else { (left - 1.0, right + 1.0) };
    let x = |load: f64| LEFT + (load - left) / (right - left) * (WIDTH - LEFT - RIGHT);
    let y = |ms: f64| HEIGHT - BOTTOM - (ms.max(0.01).log10() - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM);
    let mut all =
        format!("<text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{} in ms, over load in %</text>\n", metric.name());
    let mut decade = bottom;
    while decade < top + 0.5 {
        for step in [1.0, 2.0, 5.0] {
            let ms = step * 10_f64.powf(decade);
            if ms <= 10_f64.powf(top) * 1.001 {
                let (at, end) = (y(ms), WIDTH - RIGHT);
                writeln!(
                    all,
                    "<path d=\"M{LEFT} {at:.1}H{end}\" stroke=\"#dddddd\"/><text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{ms}</text>",
                    LEFT - 6.0,
                    at + 4.0
                )
                .unwrap_or_default();
            }
        }
        decade += 1.0;
    }
    let mut loads: Vec<f64> = points().map(|point| point.0).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    for load in loads {
        writeln!(
            all,
            "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{load:.0}</text>",
            x(load),
            HEIGHT - BOTTOM + 18.0
        )
        .unwrap_or_default();
    }
    for (number, curve) in curves.iter().enumerate() {
        let (colour, dash) = pen(number, curve.ours);
        let line: Vec<String> =
            curve.points.iter().map(|(load, middle, ..)| format!("{:.1} {:.1}", x(*load), y(*middle))).collect();
        if !line.is_empty() {
            writeln!(
                all,
                "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" {dash}/>",
                line.join("L")
            )
            .unwrap_or_default();
        }
        for (load, middle, low, high) in &curve.points {
            let at = x(*load);
            writeln!(
                all,
                "<path d=\"M{at:.1} {:.1}V{:.1}\" stroke=\"{colour}\"/><circle cx=\"{at:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                y(*low),
                y(*high),
                y(*middle)
            )
            .unwrap_or_default();
        }
    }
    all
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
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert_eq!(text.matches("<g ").count(), text.matches("</g>").count());
    }
}
