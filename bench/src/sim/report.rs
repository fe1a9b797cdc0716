//! Tables of figures, for people and for programs.

use std::fmt::Write;

use super::Tables;
use super::figures::Figures;
use crate::plot::{self, Curve, Panel, Point};
use crate::rounds::least;

/// The first line of the CSV.
pub(super) const CSV_HEAD: &str =
    "scenario,load,proxies,choice,p50,p95,p99,p999,mean,slowdown,small_p99,refused,done,max_share,jain\n";

/// One scenario at one load.
pub(super) struct Table {
    pub(super) scenario: &'static str,
    pub(super) load: u16,
    pub(super) proxies: usize,
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
}

/// One contender.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// One per seed.
    pub(super) runs: Vec<Figures>,
}

impl Table {
    /// Adds it to both forms. Writing to a `String` cannot fail.
    pub(super) fn write(&self, tables: &mut Tables) {
        let Tables { text, csv, .. } = tables;
        writeln!(text, "{}\n", self.title).ok();
        text.push_str(
            "| choice               |   p50 |   p95 |    p99 |  p99.9 |  mean | slowdown | small p99 | refused |  done | max share |  Jain |\n\
             |----------------------|------:|------:|-------:|-------:|------:|---------:|----------:|--------:|------:|----------:|------:|\n",
        );
        for Row { name, runs } in &self.rows {
            let Figures { p50, p95, p99, p999, mean, slowdown, small, refused, done, most, jain } =
                Figures::median(runs);
            let (lost, kept) = (refused * 100.0, done * 100.0);
            writeln!(
                text,
                "| {name:<20} | {p50:>5.3} | {p95:>5.2} | {p99:>6.2} | {p999:>6.2} | {mean:>5.3} | {slowdown:>8.2} | {small:>9.3} | {lost:>5.2} % | {kept:>3.0} % | {most:>9.3} | {jain:>5.3} |"
            ).ok();
            let Self { scenario, load, proxies, .. } = self;
            writeln!(
                csv,
                "{scenario},{load},{proxies},\"{name}\",{p50},{p95},{p99},{p999},{mean},{slowdown},{small},{refused},{done},{most},{jain}"
            ).ok();
        }
        text.push('\n');
    }
}

/// A number of a run.
type Read = fn(&Figures) -> f64;

/// What is plotted, in milliseconds.
const PLOTTED: [(&str, Read); 4] =
    [("p50", |it| it.p50), ("p99", |it| it.p99), ("small p99", |it| it.small), ("mean", |it| it.mean)];

/// The tables of one scenario as a picture: a panel per number, a line per choice over the loads. Of several fleets
/// of proxies the first is shown.
pub(super) fn picture(tables: &[Table]) -> String {
    let Some(first) = tables.first() else { return String::new() };
    let shown = || tables.iter().filter(|table| table.proxies == first.proxies);
    let curve = |place: usize, name: &'static str, of: Read| {
        let point = |table: &Table| {
            let runs = &table.rows.get(place).filter(|row| row.name == name)?.runs;
            let value = |figures: &Figures| of(figures) * 1e3;
            Some(Point {
                load: f64::from(table.load),
                median: value(&Figures::median(runs)),
                least: least(runs.iter().map(value))?,
                greatest: -least(runs.iter().map(|figures| -value(figures)))?,
            })
        };
        Curve {
            name,
            ours: name.starts_with("the same") || name.starts_with("1, and"),
            points: shown().filter_map(point).collect(),
        }
    };
    let panel = |(title, of): (&'static str, Read)| Panel {
        title,
        curves: first.rows.iter().enumerate().map(|(place, row)| curve(place, row.name, of)).collect(),
    };
    plot::svg(&PLOTTED.map(panel))
}
