//! Tables of figures, for people and for programs.

use std::fmt::Write;

use super::Tables;
use super::figures::Figures;

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
    pub(super) figures: Figures,
}

impl Table {
    /// Adds it to both forms. Writing to a `String` cannot fail.
    pub(super) fn write(&self, tables: &mut Tables) {
        let Tables { text, csv } = tables;
        writeln!(text, "{}\n", self.title).ok();
        text.push_str(
            "| choice               |   p50 |   p95 |    p99 |  p99.9 |  mean | slowdown | small p99 | refused |  done | max share |  Jain |\n\
             |----------------------|------:|------:|-------:|-------:|------:|---------:|----------:|--------:|------:|----------:|------:|\n",
        );
        for Row { name, figures } in &self.rows {
            let Figures { p50, p95, p99, p999, mean, slowdown, small, refused, done, most, jain } = figures;
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
