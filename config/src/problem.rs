//! What is wrong with a configuration, where, and what to write instead.
//!
//! In: the text, and places in it. Out: lines for a terminal, in the form that rustc made familiar.
//! Cost: nothing until something is wrong; then one walk through the text, and one through its line for each problem.

use std::fmt;
use std::ops::Range;

/// One mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The rule that was broken; lower case, no full stop.
    pub message: String,
    /// Bytes of the text that the problem is about; empty at the end of the text for something that is missing.
    pub span: Range<usize>,
    /// What the marked part does wrong; stands beside the caret.
    pub label: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// All mistakes of one configuration, in the order of the text; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    file: Box<str>,
    text: Box<str>,
    /// Where each line begins.
    lines: Vec<usize>,
    list: Vec<Problem>,
}

/// An excerpt longer than this is cut around the caret: a generated file may be one line of a megabyte.
const WIDEST_EXCERPT: usize = 160;
/// What is kept in front of the caret when an excerpt is cut.
const KEPT_BEFORE: usize = 60;

impl Problems {
    pub(crate) fn new(file: &str, text: &str, mut list: Vec<Problem>) -> Self {
        if list.is_empty() {
            // Said rather than assumed away: the caller was told that something is wrong, and must be able to say what.
            list.push(Problem {
                message: "this configuration cannot be read".to_owned(),
                span: 0..0,
                label: "for a reason that weir lost".to_owned(),
                help: Some("please report this, with the file".to_owned()),
            });
        }
        // Stable, so that two problems of one place keep the order in which they were found.
        list.sort_by_key(|problem| (problem.span.start, problem.span.end));
        // A byte order mark is no column of anything that the reader sees.
        let first = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let after = text.match_indices('\n').map(|(newline, _)| newline + 1);
        let lines = std::iter::once(first).chain(after).collect();
        Self { file: file.into(), text: text.into(), lines, list }
    }

    /// Each problem, in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// How many there are, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "never empty, so the question has one answer")]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Line and column of a problem's first character, both from 1, columns counted in characters.
    pub fn place(&self, problem: &Problem) -> (usize, usize) {
        let place = self.find(problem);
        (place.line, place.column)
    }

    fn find(&self, problem: &Problem) -> Place {
        let offset = problem.span.start;
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        let column = self.text.get(start..offset).map_or(0, |part| part.chars().count()) + 1;
        let rest = self.text.get(start..).unwrap_or_default();
        Place { line, column, text: masked(rest.lines().next().unwrap_or_default()) }
    }

    fn write(&self, problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.find(problem);
        let number = place.line.to_string();
        let gutter = " ".repeat(number.len());
        let excerpt = place.excerpt(problem.span.len());
        writeln!(f, "error: {}", visible(&problem.message))?;
        writeln!(f, "{gutter}--> {}:{}:{}", self.file, place.line, place.column)?;
        writeln!(f, "{}", format!("{number} | {}", excerpt.line).trim_end())?;
        writeln!(f, "{}", format!("{gutter} | {}{} {}", excerpt.before, excerpt.carets, problem.label).trim_end())?;
        if let Some(help) = &problem.help {
            writeln!(f, "{gutter} = help: {}", visible(help))?;
        }
        Ok(())
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// All problems with excerpts, and a last line that counts them; no newline at the end.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.list {
            self.write(problem, f)?;
            writeln!(f)?;
        }
        let plural = if self.list.len() == 1 { "" } else { "s" };
        write!(f, "{} problem{plural} in {}", self.list.len(), self.file)
    }
}

impl std::error::Error for Problems {}

/// A position in a text, and the line around it.
struct Place {
    line: usize,
    column: usize,
    text: String,
}

struct Excerpt {
    line: String,
    /// What stands under the part before the carets: blanks, and a tab under each tab.
    before: String,
    carets: String,
}

impl Place {
    fn excerpt(&self, bytes: usize) -> Excerpt {
        let at = self.column - 1;
        let here: String = self.text.chars().skip(at).collect();
        let part = here.char_indices().take_while(|(index, _)| *index < bytes).count();
        let skipped = if self.text.chars().count() > WIDEST_EXCERPT { at.saturating_sub(KEPT_BEFORE) } else { 0 };
        let shown: String = self.text.chars().skip(skipped).take(WIDEST_EXCERPT).collect();
        let cut_before = if skipped > 0 { "…" } else { "" };
        let cut_after = if skipped + shown.chars().count() < self.text.chars().count() { "…" } else { "" };
        let before: String =
            shown.chars().take(at - skipped).map(|letter| if letter == '\t' { '\t' } else { ' ' }).collect();
        let room = shown.chars().count().saturating_sub(at - skipped);
        Excerpt {
            line: format!("{cut_before}{}{cut_after}", visible(&shown)),
            before: format!("{}{before}", if skipped > 0 { " " } else { "" }),
            carets: "^".repeat(part.clamp(1, room.max(1))),
        }
    }
}

/// The line with the user and the password of its URLs masked, as wide as they are: an excerpt ends in logs and tickets.
fn masked(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(end) = rest.find("://") {
        let (before, after) = rest.split_at(end + "://".len());
        masked.push_str(before);
        let url = after.split(['"', '\'', ' ']).next().unwrap_or_default();
        let (secret, others) = after.split_at(url.rfind('@').unwrap_or_default());
        masked.extend(secret.chars().map(|_| '*'));
        rest = others;
    }
    masked + rest
}

/// The text with its control characters replaced: a file's escape sequences must not reach the terminal.
fn visible(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\t' { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_password_of_a_url_is_in_an_excerpt() {
        for (line, shown) in [
            (r#"address = "http://admin:hunt/er2@consul:8500""#, r#"address = "http://**************@consul:8500""#),
            (r#"a = "http://b:1", c = 'https://u@d' # @"#, r#"a = "http://b:1", c = 'https://*@d' # @"#),
            ("a = \"http://x@y", "a = \"http://*@y"),
            ("mail = \"a@b\"", "mail = \"a@b\""),
        ] {
            assert_eq!(super::masked(line), shown);
        }
    }
}
