//! What was measured, as text for people.
//!
//! In: a [`Comparison`]. Out: Markdown, so that it can be pasted where it is quoted. Pure.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::contender::Who;
use super::corpus::Refused;
use super::{Ask, Cell, Comparison, Row, Table};
use crate::rounds::{least, median};

/// The most memory that a splice may take above an idle process: three times the file, and this many bytes.
const SPLICE_MEMORY: u64 = 8_000_000;

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.machine)?;
        let mut versions: Vec<&str> = self.versions.iter().map(|(_, version)| version.as_str()).collect();
        versions.dedup();
        writeln!(f, "{}; {} rounds", versions.join(", "), self.rounds)?;
        for missing in &self.missing {
            writeln!(f, "- {missing}")?;
        }
        for table in &self.tables {
            write!(f, "\n{table}")?;
        }
        self.coverage(f)
    }
}

impl Comparison {
    fn coverage(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut ways: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
        for file in &self.coverage {
            let way = ways.entry(&file.way).or_default();
            *way = (way.0 + 1, way.1 + file.bytes);
        }
        let count = self.coverage.len() + self.refused.len();
        writeln!(f, "\n### Coverage: which path {count} files take at source quality\n")?;
        writeln!(f, "| path | files | share | megabytes |\n|---|---:|---:|---:|")?;
        for (way, (files, bytes)) in ways {
            writeln!(f, "| {way} | {files} | {} % | {} |", percent(files, count), megabytes(bytes))?;
        }
        if !self.refused.is_empty() {
            writeln!(f, "| refused | {} | {} % | |", self.refused.len(), percent(self.refused.len(), count))?;
        }
        writeln!(f)?;
        for file in &self.coverage {
            writeln!(f, "- {} ({} bytes): {}", file.name, file.bytes, file.way)?;
        }
        for Refused { name, why } in &self.refused {
            writeln!(f, "- {name}: refused: {why}")?;
        }
        Ok(())
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", title(self.ask))?;
        writeln!(
            f,
            "CPU ms, median (least–greatest). \"share\" is weir's CPU time divided by libvips', the median of the rounds.\n\n\
             | file | path | Q | weir | libvips | its form | composite2 | ImageMagick | share | at most | | share of composite2 |\n\
             |---|---|---:|---:|---:|---|---:|---:|---:|---:|---|---:|"
        )?;
        for row in &self.rows {
            let word = |who, of: fn(&Cell) -> String| row.cell(who).map_or_else(none, of);
            let way = |cell: &Cell| cell.way.clone();
            let share = row.share(Who::Vips);
            writeln!(
                f,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                row.photo.name,
                word(Who::Weir, way),
                if row.photo.png { none() } else { row.quality.to_string() },
                word(Who::Weir, times),
                word(Who::Vips, times),
                word(Who::Vips, way),
                word(Who::Composite, times),
                word(Who::Magick, times),
                share.map_or_else(none, fraction),
                row.target.map_or_else(none, fraction),
                verdict(share.zip(row.target).map(|(share, target)| share <= target)),
                row.share(Who::Composite).map_or_else(none, fraction),
            )?;
        }
        writeln!(
            f,
            "\nBytes of the files, and megabytes of memory at the peak above an idle process. \"agree\": how near each picture is to \
             weir's under the mark, in dB.\n\n\
             | file | bytes | weir | libvips | ImageMagick | memory: weir | at most | | libvips | composite2 | ImageMagick | agree: libvips | ImageMagick |\n\
             |---|---:|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|"
        )?;
        for row in &self.rows {
            let number = |who, of: fn(&Cell) -> Option<u64>, show: fn(u64) -> String| {
                row.cell(who).and_then(of).map_or_else(none, show)
            };
            let bytes = |who| number(who, |cell| cell.bytes, |bytes| bytes.to_string());
            let memory = |who| number(who, |cell| cell.memory, megabytes);
            let agreement = |who| {
                row.cell(who).and_then(|cell| cell.agreement).map_or_else(none, |decibels| format!("{decibels:.0}"))
            };
            let bound = row.memory_bound();
            writeln!(
                f,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                row.photo.name,
                row.photo.bytes,
                bytes(Who::Weir),
                bytes(Who::Vips),
                bytes(Who::Magick),
                memory(Who::Weir),
                bound.map_or_else(none, megabytes),
                verdict(row.cell(Who::Weir).and_then(|cell| Some(cell.memory? <= bound?))),
                memory(Who::Vips),
                memory(Who::Composite),
                memory(Who::Magick),
                agreement(Who::Vips),
                agreement(Who::Magick),
            )?;
        }
        writeln!(f)?;
        for row in &self.rows {
            for cell in &row.cells {
                if let Some(fault) = &cell.fault {
                    writeln!(f, "- no result of {} with {}: {fault}", cell.who.name(), row.photo.name)?;
                }
            }
        }
        Ok(())
    }
}

impl Row {
    /// weir's CPU time as a share of `peer`'s: the median over the rounds in which both have a result.
    fn share(&self, peer: Who) -> Option<f64> {
        let (ours, theirs) = (self.cell(Who::Weir)?, self.cell(peer)?);
        median(ours.millis.iter().zip(&theirs.millis).filter_map(|(ours, theirs)| Some((*ours)? / (*theirs)?)))
    }

    /// The most memory that weir may take; only a splice is bound.
    fn memory_bound(&self) -> Option<u64> {
        (self.cell(Who::Weir)?.way == "splice").then(|| 3 * self.photo.bytes + SPLICE_MEMORY)
    }
}

fn title(ask: Ask) -> &'static str {
    match ask {
        Ask::Source => "Mark at source quality",
        Ask::Q85 => "Re-encode at Q85",
    }
}

fn times(cell: &Cell) -> String {
    let all = || cell.millis.iter().flatten().copied();
    let spread = || Some((median(all())?, least(all())?, -least(all().map(|millis| -millis))?));
    spread().map_or_else(none, |(middle, low, high)| {
        let digits = if middle < 9.995 { 2 } else { usize::from(middle < 99.95) };
        format!("{middle:.digits$} ({low:.digits$}–{high:.digits$})")
    })
}

/// A share as people say it: 1/8.3, or 1.2 when it is no saving at all.
fn fraction(share: f64) -> String {
    if share < 0.6 { format!("1/{}", digits(1.0 / share)) } else { digits(share) }
}

/// One or two digits behind the point, without a zero at the end.
fn digits(value: f64) -> String {
    let text = if value < 2.0 { format!("{value:.2}") } else { format!("{value:.1}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "✓",
        Some(false) => "✗",
        None => "",
    }
}

fn none() -> String {
    "–".to_owned()
}

fn percent(part: usize, whole: usize) -> usize {
    (part * 100 + whole / 2) / whole.max(1)
}

/// Decimal megabytes with one digit.
fn megabytes(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::corpus::Photo;

    fn cell(who: Who, way: &str, millis: &[Option<f64>]) -> Cell {
        Cell {
            who,
            way: way.to_owned(),
            millis: millis.to_vec(),
            bytes: Some(100_000),
            memory: Some(8_400_000),
            agreement: None,
            fault: None,
        }
    }

    fn row(ours: &[Option<f64>], target: f64) -> Row {
        let photo = Photo {
            name: "a.jpg".to_owned(),
            path: "a.jpg".into(),
            bytes: 100_000,
            width: 10,
            height: 10,
            png: false,
            jpeg: true,
            quality: 90,
            target: Some(target),
        };
        let theirs = cell(Who::Vips, "region", &[Some(8.0), Some(16.0), Some(8.0)]);
        Row { photo, quality: 90, target: Some(target), cells: vec![cell(Who::Weir, "splice", ours), theirs] }
    }

    #[test]
    fn a_target_is_met_by_the_median_of_the_rounds_that_both_have() {
        let table = Table { ask: Ask::Source, rows: vec![row(&[Some(1.0), Some(1.0), None], 1.0 / 9.0)] };
        let text = table.to_string();
        assert!(text.contains("| 1.00 (1.00–1.00) | 8.00 (8.00–16.00) | region |"), "{text}");
        assert!(text.contains("| 1/10.7 | 1/9 | ✓ |"), "{text}");
        let table = Table { ask: Ask::Source, rows: vec![row(&[Some(1.0), None, None], 1.0 / 9.0)] };
        assert!(table.to_string().contains("| 1/8 | 1/9 | ✗ |"), "{table}");
    }

    #[test]
    fn a_splice_may_take_three_times_the_file_and_eight_megabytes() {
        let text = Table { ask: Ask::Source, rows: vec![row(&[Some(1.0)], 0.5)] }.to_string();
        assert!(text.contains("| 8.4 | 8.3 | ✗ |"), "{text}");
    }

    #[test]
    fn shares_read_as_fractions_and_losses_as_factors() {
        assert_eq!([0.125, 0.7, 1.0 / 2.1, 1.234, 10.0].map(fraction), ["1/8", "0.7", "1/2.1", "1.23", "10"]);
    }
}
