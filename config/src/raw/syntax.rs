//! Text to TOML tree, and what TOML itself objects to.
//!
//! The parser recovers from most errors, so that the rest of the text can still be checked. How far its tree can be
//! believed then depends on the error, see [`Harm`].

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, Error};

use crate::Problem;
use crate::sink::{Fault, Rests};

/// A tree, and the syntax problems that stood in the way of a whole one.
pub(crate) struct Document<'a> {
    pub(crate) root: Spanned<DeTable<'a>>,
    errors: Vec<SyntaxError>,
    text: &'a str,
}

struct SyntaxError {
    problem: Problem,
    line: usize,
    harm: Harm,
}

/// What an error does to the rest of the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// One value is unreadable; everything around it is as written.
    Value,
    /// Some key or table may be lost: nothing can be said to be missing.
    Table,
    /// What follows was read as part of something it is no part of.
    Rest,
}

impl<'a> Document<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        let (root, found) = DeTable::parse_recoverable(text);
        let mut errors: Vec<SyntaxError> = Vec::new();
        for error in &found {
            let error = SyntaxError::of(text, error);
            // One slip often makes several errors; the first of a line is the one closest to the slip.
            if errors.iter().all(|earlier| earlier.line != error.line) {
                errors.push(error);
            }
        }
        if let Some(end) = errors.iter().filter(|error| error.harm == Harm::Rest).map(|error| error.line).min() {
            errors.retain(|error| error.line <= end);
        }
        Self { root, errors, text }
    }

    /// The syntax problems, and those of `others` that hold in spite of them.
    pub(crate) fn problems(self, others: Vec<(Rests, Problem)>) -> Vec<Problem> {
        let holds = |rests: Rests, problem: &Problem| {
            let line = line_of(self.text, problem.span.start);
            self.errors.iter().all(|error| {
                line != error.line
                    && match error.harm {
                        Harm::Value => true,
                        Harm::Table => rests == Rests::OnItsPlace,
                        Harm::Rest => rests == Rests::OnItsPlace && line < error.line,
                    }
            })
        };
        let others: Vec<Problem> =
            others.into_iter().filter(|(rests, problem)| holds(*rests, problem)).map(|(_, problem)| problem).collect();
        self.errors.into_iter().map(|error| error.problem).chain(others).collect()
    }
}

impl SyntaxError {
    fn of(text: &str, error: &Error) -> Self {
        let span = error.span().unwrap_or(0..0);
        let message = error.message();
        let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
        let (span, fault, harm) = match what {
            "string values must be quoted" if span.is_empty() => {
                (span, Fault::new("a key needs a value", "nothing follows the `=`"), Harm::Value)
            }
            "string values must be quoted" | "invalid float" | "invalid integer" | "invalid date-time" => {
                let (span, word) = word_around(text, &span);
                let fault = Fault::new("text stands in quotes", "neither a number nor `true` or `false`");
                (span, fault.help(format!("write `\"{word}\"`")), Harm::Value)
            }
            "invalid boolean" => {
                let (span, word) = word_around(text, &span);
                let fault = Fault::new("a boolean is `true` or `false`", "neither of them");
                (
                    span,
                    fault.help(format!("write `{}`, or `\"{word}\"` if it is text", word.to_lowercase())),
                    Harm::Value,
                )
            }
            "invalid basic string" | "invalid literal string" if span.is_empty() => {
                let fault = Fault::new("text ends with the quote that it began with", "the line ends first");
                (span, fault.help(format!("write {expected} after the text")), Harm::Value)
            }
            "duplicate key" => {
                let word = text.get(span.clone()).unwrap_or_default();
                let fault = Fault::new(format!("`{word}` is set twice"), "set before, further up");
                (span, fault.help("keep one of the two; tables of a list stand in double brackets"), Harm::Table)
            }
            "key with no value" => {
                let fault = Fault::new("a line is `key = value` or the name of a table in brackets", "neither of them");
                (span, fault, Harm::Table)
            }
            "missing comma between array elements" => {
                let fault = Fault::new("an array is not closed, or lacks a comma", "read as part of the array above");
                (span, fault.help("write `]` after the last element and `,` between two"), Harm::Rest)
            }
            _ => {
                let label = if expected.is_empty() { String::new() } else { format!("expected {expected}") };
                (span, Fault::new(what, label), harm_of(what))
            }
        };
        Self { line: line_of(text, span.start), problem: fault.at(span), harm }
    }
}

fn harm_of(what: &str) -> Harm {
    let spreads = ["array", "inline table", "multi-line", "unclosed", "key-value pairs"];
    if spreads.iter().any(|word| what.contains(word)) {
        Harm::Rest
    } else if what.contains("string") || what.contains("escape") || what.contains("leading zero") {
        Harm::Value
    } else {
        Harm::Table
    }
}

/// The whole unquoted word that `span` lies in: the parser marks only the part where it gave up.
fn word_around<'a>(text: &'a str, span: &Range<usize>) -> (Range<usize>, &'a str) {
    let ends = |letter: char| letter.is_whitespace() || matches!(letter, '=' | ',' | '[' | ']' | '{' | '}' | '#');
    let before = text.get(..span.start).unwrap_or_default();
    let start = before.rfind(ends).map_or(0, |at| at + before.get(at..).map_or(1, first_len));
    let rest = text.get(span.end..).unwrap_or_default();
    let end = span.end + rest.find(ends).unwrap_or(rest.len());
    (start..end, text.get(start..end).unwrap_or_default())
}

fn first_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count() + 1
}
