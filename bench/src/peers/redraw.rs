//! A picture from runs that were written down: those of several invocations, each with the loads and contenders it had time for.
//!
//! In: the text of files that `--csv` wrote. Out: panels for [`crate::plot`]. Pure. Lines without a result are passed over, and
//! those of a run that is not comparable: where work is real, or the endpoints are not all well, or bytes do not tell the work.

use std::collections::BTreeMap;

use super::contender::all;
use super::promise::Metric;
use crate::plot::{Curve, Panel, Point};
use crate::rig::proxy::Kind;
use crate::rounds::{least, median};

/// The columns that say which runs belong together, and what they say of those that do.
const ALIKE: [(&str, &str); 4] =
    [("scenario", "steady"), ("bytes", "telling"), ("discipline", "sharing"), ("real", "false")];

/// One line, as far as it is plotted.
struct Line {
    contender: String,
    /// In tenths of a percent, to be compared.
    load: u32,
    values: [f64; 4],
}

/// What these files have, a panel per metric.
///
/// # Errors
/// Words, when a file is not what `--csv` writes.
pub(crate) fn panels(files: &[String]) -> Result<Vec<Panel>, String> {
    let mut lines = Vec::new();
    for text in files {
        read(text, &mut lines)?;
    }
    let panel = |(place, metric): (usize, Metric)| {
        let curve = |contender: &'static super::contender::Contender| {
            let mut loads: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
            for line in lines.iter().filter(|line| line.contender == contender.name) {
                loads.entry(line.load).or_default().extend(line.values.get(place));
            }
            let point = |(load, values): (u32, Vec<f64>)| {
                let all = || values.iter().copied();
                let greatest = -least(all().map(|value| -value))?;
                Some(Point { load: f64::from(load) / 10.0, median: median(all())?, least: least(all())?, greatest })
            };
            let points = loads.into_iter().filter_map(point).collect();
            Curve { name: contender.name, ours: contender.kind == Kind::Weir, points }
        };
        let curves = all().map(curve).collect();
        Panel { title: metric.name(), curves }
    };
    let mut panels: Vec<Panel> = Metric::ALL.into_iter().enumerate().map(panel).collect();
    for panel in &mut panels {
        // A line from point to point: of a single load it would say nothing.
        panel.curves.retain(|curve| curve.points.len() > 1);
    }
    Ok(panels)
}

fn read(text: &str, lines: &mut Vec<Line>) -> Result<(), String> {
    let mut rows = text.lines();
    let head: Vec<&str> = rows.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| {
        head.iter().position(|found| *found == name).ok_or_else(|| format!("no column `{name}`: not a file of --csv"))
    };
    let alike = ALIKE.map(|(name, wanted)| column(name).map(|place| (place, wanted)));
    let alike = alike.into_iter().collect::<Result<Vec<_>, _>>()?;
    let (contender, load) = (column("contender")?, column("load")?);
    let columns = ["p50_ms", "p99_ms", "small_p99_ms", "mean_ms"].map(column);
    let [Ok(p50), Ok(p99), Ok(small), Ok(mean)] = columns else {
        return Err("a latency is missing: not a file of --csv".to_owned());
    };
    for row in rows {
        let fields: Vec<&str> = row.split(',').collect();
        let number = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok());
        let comparable = alike.iter().all(|(place, wanted)| fields.get(*place) == Some(wanted));
        let values = [p50, p99, small, mean].map(number);
        if let ([Some(p50), Some(p99), Some(small), Some(mean)], Some(share), Some(name), true) =
            (values, number(load), fields.get(contender), comparable)
        {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of some percent")]
            let load = (share * 1000.0).round() as u32;
            lines.push(Line { contender: (*name).to_owned(), load, values: [p50, p99, small, mean] });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::csv;
    use super::super::report::tests::outcome;
    use super::*;

    #[test]
    fn runs_of_several_files_become_one_line_per_contender() {
        let one = csv::text(&outcome());
        let other = one.replace(",0.950,", ",0.700,");
        let panels = panels(&[one.clone(), other]).unwrap();
        assert_eq!(panels.len(), 4);
        let names: Vec<_> = panels[0].curves.iter().map(|curve| curve.name).collect();
        assert_eq!(names, ["weir-lc", "nginx", "haproxy-class"]);
        let loads: Vec<_> = panels[0].curves[1].points.iter().map(|point| point.load).collect();
        assert_eq!(loads, [70.0, 95.0]);
        assert!((panels[0].curves[1].points[0].median - 39.0).abs() < 1e-9);
        // One load alone is no line, and what is not comparable is no point.
        let killed = one.replace("steady,", "killed,").replace(",0.950,", ",0.700,");
        assert!(super::panels(&[one, killed]).unwrap()[0].curves.is_empty());
    }

    #[test]
    fn a_file_of_something_else_is_an_error() {
        assert!(panels(&["a,b\n1,2\n".to_owned()]).is_err());
    }
}
