//! Reads the Prometheus text format, as far as a test needs it.
//!
//! In: the text of `/metrics`. Out: series by name and labels.

use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;

/// Every series of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    series: BTreeMap<String, Vec<(Labels, f64)>>,
}

impl Metrics {
    /// Reads the text of a scrape; panics on a line that is neither a comment nor a series.
    pub fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, labels, value) = series(line).unwrap_or_else(|| panic!("not a series: `{line}`"));
            metrics.series.entry(name).or_default().push((labels, value));
        }
        metrics
    }

    /// The names of all series.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(String::as_str)
    }

    /// The series called `name` with at least these labels.
    pub fn matching(&self, name: &str, labels: &[(&str, &str)]) -> Vec<(Labels, f64)> {
        let matches = |have: &Labels| labels.iter().all(|(k, v)| have.get(*k).is_some_and(|value| value == v));
        self.series.get(name).into_iter().flatten().filter(|(have, _)| matches(have)).cloned().collect()
    }

    /// The sum of the series called `name` with at least these labels; 0 when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).iter().map(|(_, value)| value).sum()
    }
}

fn series(line: &str) -> Option<(String, Labels, f64)> {
    let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = Labels::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        while !inside.starts_with('}') {
            let (key, value) = inside.split_once("=\"")?;
            let (value, after) = quoted(value)?;
            labels.insert(key.trim().to_owned(), value);
            inside = after.trim_start_matches([',', ' ']);
        }
        rest = inside.strip_prefix('}')?;
    }
    let value = rest.split_whitespace().next()?;
    let value = if value == "+Inf" { f64::INFINITY } else { value.parse().ok()? };
    Some((name.to_owned(), labels, value))
}

/// The text up to the closing quote, escapes resolved, and what follows the quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn a_scrape_is_read_with_escapes_and_without_labels() {
        let metrics = Metrics::parse(
            "# TYPE a counter\na{x=\"1\",y=\"say \\\"hi\\\", {ok}\"} 2\na{x=\"2\"} 3\n\nb 4.5 1700000000\nc_bucket{le=\"+Inf\"} 7\n",
        );
        assert!((metrics.sum("a", &[]) - 5.0).abs() < f64::EPSILON);
        assert!((metrics.sum("a", &[("y", "say \"hi\", {ok}")]) - 2.0).abs() < f64::EPSILON);
        assert!((metrics.sum("b", &[]) - 4.5).abs() < f64::EPSILON);
        assert_eq!(metrics.names().collect::<Vec<_>>(), ["a", "b", "c_bucket"]);
    }
}
