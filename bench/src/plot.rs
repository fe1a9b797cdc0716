//! Latency over load, as a picture.
//!
//! In: panels of curves. Out: SVG text: a line per curve through its medians, a bar from the least to the greatest over the
//! seeds. Pure; written by hand, since a plot of four panels needs no library. The vertical axis is logarithmic: what is
//! compared are ratios.

use std::fmt::Write as _;

use crate::rounds::least;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;
const RIGHT: f64 = 14.0;
/// The least value that is told from nothing, in milliseconds.
const LEAST: f64 = 0.01;
/// Height of a line of the legend.
const LINE: f64 = 20.0;
/// Colours that differ for people who see few of them: Okabe and Ito, 2008.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// One number over load.
#[derive(Debug)]
pub(crate) struct Panel {
    /// What number it is, in milliseconds.
    pub(crate) title: &'static str,
    /// The same ones in all panels of a picture.
    pub(crate) curves: Vec<Curve>,
}

/// One contender in one panel.
#[derive(Debug)]
pub(crate) struct Curve {
    /// Its name in the legend.
    pub(crate) name: &'static str,
    /// Whether it is what is recommended: its line is whole, the others' are broken.
    pub(crate) ours: bool,
    /// In any order.
    pub(crate) points: Vec<Point>,
}

/// One contender at one load; milliseconds over the seeds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// In percent.
    pub(crate) load: f64,
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

/// The plot of up to four panels.
pub(crate) fn svg(panels: &[Panel]) -> String {
    let names = panels.first().map_or(&[][..], |panel| &panel.curves);
    let rows = names.len().div_ceil(5);
    let legend = f64::from(u32::try_from(rows).unwrap_or(u32::MAX)) * LINE;
    let (width, height) = (2.0 * WIDTH, 2.0 * HEIGHT + legend + 10.0);
    let mut all = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (place, found) in panels.iter().enumerate() {
        let (x, y) = (if place % 2 == 0 { 0.0 } else { WIDTH }, if place < 2 { 0.0 } else { HEIGHT });
        write!(all, "<g transform=\"translate({x} {y})\">\n{}</g>\n", panel(found)).unwrap_or_default();
    }
    let mut spot = (LEFT, 2.0 * HEIGHT + 10.0);
    for (number, curve) in names.iter().enumerate() {
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

fn pen(number: usize, ours: bool) -> (&'static str, &'static str) {
    let colour = COLOURS.get(number % COLOURS.len()).copied().unwrap_or("#000000");
    let dash = match (ours, number / COLOURS.len()) {
        (true, _) => "",
        (false, 0) => "stroke-dasharray=\"6 3\"",
        (false, _) => "stroke-dasharray=\"2 3\"",
    };
    (colour, dash)
}

/// The values that may be marked: 1, 2, 5, 10, … from [`LEAST`] on, as far as anything takes.
fn steps() -> impl Iterator<Item = f64> {
    // By their digits, which a sum of logarithms would spoil.
    let step = |number: u32| {
        let digit = match number % 3 {
            0 => 1.0,
            1 => 2.0,
            _ => 5.0,
        };
        let decade = i32::try_from(number / 3).unwrap_or_default() - 2;
        if decade < 0 { digit / 10_f64.powi(-decade) } else { digit * 10_f64.powi(decade) }
    };
    (0..36).map(step)
}

fn panel(Panel { title, curves }: &Panel) -> String {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let (Some(low), Some(high)) =
        (least(points().map(|point| point.least)), least(points().map(|point| -point.greatest)))
    else {
        return String::new();
    };
    let (left, right) = (least(points().map(|point| point.load)), least(points().map(|point| -point.load)));
    let (Some(left), Some(right)) = (left, right.map(|right| -right)) else { return String::new() };
    let (low, high) = (low.max(LEAST), (-high).max(2.0 * LEAST));
    let last = steps().position(|ms| ms >= high).unwrap_or(0);
    let first = steps().position(|ms| ms > low).unwrap_or(0).saturating_sub(1).min(last.saturating_sub(1));
    let marks: Vec<f64> = steps().skip(first).take(last + 1 - first).collect();
    let (Some(bottom), Some(top)) = (marks.first().map(|ms| ms.log10()), marks.last().map(|ms| ms.log10())) else {
        return String::new();
    };
    // A plot of one load has it in the middle.
    let (left, right) = if right > left { (left, right) } else { (left - 1.0, right + 1.0) };
    let x = |load: f64| LEFT + (load - left) / (right - left) * (WIDTH - LEFT - RIGHT);
    let y = |ms: f64| HEIGHT - BOTTOM - (ms.max(LEAST).log10() - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM);
    let mut all = format!("<text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{title} in ms, over load in %</text>\n");
    for ms in marks {
        let (at, end) = (y(ms), WIDTH - RIGHT);
        writeln!(
            all,
            "<path d=\"M{LEFT} {at:.1}H{end}\" stroke=\"#dddddd\"/><text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{ms}</text>",
            LEFT - 6.0,
            at + 4.0
        )
        .unwrap_or_default();
    }
    let mut loads: Vec<f64> = points().map(|point| point.load).collect();
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
        let mut points = curve.points.clone();
        points.sort_by(|one, other| one.load.total_cmp(&other.load));
        let line: Vec<String> =
            points.iter().map(|point| format!("{:.1} {:.1}", x(point.load), y(point.median))).collect();
        if !line.is_empty() {
            writeln!(
                all,
                "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" {dash}/>",
                line.join("L")
            )
            .unwrap_or_default();
        }
        for point in &points {
            let at = x(point.load);
            writeln!(
                all,
                "<path d=\"M{at:.1} {:.1}V{:.1}\" stroke=\"{colour}\"/><circle cx=\"{at:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                y(point.least),
                y(point.greatest),
                y(point.median)
            )
            .unwrap_or_default();
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_has_its_points_in_every_panel_and_its_name_once() {
        let curve = |name, factor: f64| {
            let point = |load: f64| Point { load, median: factor * load, least: factor, greatest: 200.0 * factor };
            Curve { name, ours: name == "one", points: vec![point(95.0), point(70.0)] }
        };
        let panel = |title| Panel { title, curves: vec![curve("one", 1.0), curve("other", 3.0)] };
        let text = svg(&["p50", "p99"].map(panel));
        assert_eq!(text.matches("<circle").count(), 2 * 2 * 2);
        for once in [">one</text>", ">other</text>", ">p50 in ms", ">p99 in ms"] {
            assert_eq!(text.matches(once).count(), 1, "{once} in {text}");
        }
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert_eq!(text.matches("<g ").count(), text.matches("</g>").count());
    }

    #[test]
    fn a_picture_without_a_point_has_no_number_that_is_none() {
        let text = svg(&[Panel { title: "p50", curves: vec![Curve { name: "one", ours: true, points: Vec::new() }] }]);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}
