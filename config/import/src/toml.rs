//! Tables of the result, as text.

/// One table: what it is from, its header, its lines.
pub(crate) struct Table {
    header: &'static str,
    /// Where it is from, and what else is to be said about the whole.
    pub(crate) above: Vec<String>,
    lines: Vec<Line>,
    /// Lines that would stand in place of `answer`, if what closed the route were dealt with.
    pub(crate) instead: Vec<Line>,
}

/// A key, its value and what to know about it.
pub(crate) struct Line {
    key: String,
    value: String,
    comment: Option<String>,
}

impl Line {
    fn text(&self) -> String {
        let Self { key, value, comment } = self;
        match comment {
            Some(comment) if value.contains('\n') => format!("# {}\n{key} = {value}\n", plain(comment)),
            Some(comment) => format!("{key} = {value}  # {}\n", plain(comment)),
            None => format!("{key} = {value}\n"),
        }
    }
}

impl Table {
    /// A table that is from there.
    pub(crate) fn new(header: &'static str, from: String) -> Self {
        Self { header, above: vec![from], lines: Vec::new(), instead: Vec::new() }
    }

    /// Adds a line; the value is TOML already.
    pub(crate) fn put(&mut self, key: &str, value: String, comment: Option<String>) {
        self.lines.push(Line { key: key.to_owned(), value, comment });
    }

    /// Moves the lines from this one on to those that are only shown.
    pub(crate) fn hold_back(&mut self, from: usize) {
        self.instead = self.lines.split_off(from);
    }

    /// How many lines there are.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The text of the table.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.above {
            text.extend(["# ", &plain(line), "\n"]);
        }
        text.push_str(self.header);
        text.push('\n');
        for line in &self.lines {
            text.push_str(&line.text());
        }
        if !self.instead.is_empty() {
            text.push_str("# Without what is said above it would be, in place of `answer`:\n");
        }
        for line in self.instead.iter().map(Line::text) {
            for part in line.lines() {
                text.extend(["# ", part, "\n"]);
            }
        }
        text
    }
}

/// Text that ends no comment and is none of TOML's forbidden characters.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
