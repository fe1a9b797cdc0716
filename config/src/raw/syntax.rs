//! Text to TOML tree, and what TOML itself objects to.
//!
//! The parser recovers from most errors, so that the rest of the text can still be checked. How far its tree can be
//! believed then depends on the error, see [`Harm`].

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, Error};

use crate::Problem;
use crate::sink::{Fault, Rests};
use crate::text::quoted;

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

const NO_VALUE: &str = "key with no value";
const TWIN: &str = "duplicate key";

/// A text with more syntax errors than this is not TOML; each costs a walk through the text.
const MOST_ERRORS: usize = 100;

/// Whether what follows this error's line is lost with it.
fn is_lost(error: &Error) -> bool {
    error.message().starts_with(NO_VALUE)
}

/// Leaves `text` in `room` without the lines after which the parser drops everything, and gives their errors.
fn heal(text: &str, room: &mut String) -> Vec<SyntaxError> {
    room.push_str(text);
    let mut all: Vec<SyntaxError> = Vec::new();
    // Each turn blanks at least one line, or is the last.
    loop {
        let (_, found) = DeTable::parse_recoverable(room);
        let lost = found.iter().filter(|error| is_lost(error)).take(MOST_ERRORS);
        let errors: Vec<SyntaxError> = lost.map(|error| SyntaxError::of(text, error, &found)).collect();
        let mut changed = room.clone();
        for error in &errors {
            blank_line(&mut changed, error.problem.span.start);
        }
        if changed == *room || all.len() >= MOST_ERRORS {
            return all;
        }
        all.extend(errors);
        *room = changed;
    }
}

fn blank_line(text: &mut String, offset: usize) {
    let start = text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let end = text.get(offset..).and_then(|rest| rest.find('\n')).map_or(text.len(), |newline| offset + newline);
    text.replace_range(start..end, &" ".repeat(end - start));
}

impl<'a> Document<'a> {
    /// The tree of `text`; or of a text of the same length without the lines that are neither a key nor a table, which is
    /// put into `room`: the parser drops everything after such a line.
    pub(crate) fn parse(text: &'a str, room: &'a mut String) -> Self {
        let (root, found) = DeTable::parse_recoverable(text);
        if !found.iter().any(is_lost) {
            return Self::of(root, &found, Vec::new(), text);
        }
        drop(root);
        let lost = heal(text, room);
        let (root, found) = DeTable::parse_recoverable(room);
        Self::of(root, &found, lost, room)
    }

    fn of(root: Spanned<DeTable<'a>>, found: &[Error], mut errors: Vec<SyntaxError>, text: &'a str) -> Self {
        for error in found.iter().take(MOST_ERRORS) {
            let is_twin = error.message() == TWIN;
            let error = SyntaxError::of(text, error, found);
            // Keys below a header that is there twice are twins for that reason alone.
            let header = header_line(text, error.problem.span.start);
            if is_twin && header < error.line && errors.iter().any(|earlier| earlier.line == header) {
                continue;
            }
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
        if self.errors.is_empty() {
            return others.into_iter().map(|(_, problem)| problem).collect();
        }
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
    /// `all` is every error of the text: whether a bracket is ever closed decides what a missing comma means.
    fn of(text: &str, error: &Error, all: &[Error]) -> Self {
        let unclosed = |what: &str| all.iter().any(|error| error.message().starts_with(what));
        let span = error.span().unwrap_or(0..0);
        let message = error.message();
        let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
        let (span, fault, harm) = match what {
            "string values must be quoted" if span.is_empty() => {
                let fault = Fault::new("a key needs a value", "nothing follows the `=`");
                (span, fault.help("write the value, or leave the line out for the default"), Harm::Value)
            }
            "string values must be quoted" | "invalid float" | "invalid integer" | "invalid date-time" => {
                let (span, word) = word_around(text, &span);
                let fault = if word.contains(char::is_whitespace) {
                    let values: Vec<String> = word.split_whitespace().map(as_value).collect();
                    Fault::new("text stands in quotes, and `,` between two values", "neither of them")
                        .help(format!("write `{}`", values.join(", ")))
                } else {
                    Fault::new("text stands in quotes", "neither a number nor `true` or `false`")
                        .help(format!("write `\"{word}\"`"))
                };
                (span, fault, Harm::Value)
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
            TWIN => {
                let word = text.get(span.clone()).unwrap_or_default();
                let fault = Fault::new(format!("`{word}` is set twice"), "set before, further up");
                let header = line_at(text, span.start).trim_start();
                let help = if header.starts_with('[') && !header.starts_with("[[") {
                    "keep one of the two, or write `[[` and `]]` if it is one of a list"
                } else {
                    "keep one of the two"
                };
                (span, fault.help(help), Harm::Table)
            }
            NO_VALUE => (span.clone(), no_pair(text, span.start), Harm::Table),
            "missing comma between array elements" if unclosed("unclosed array") => {
                let fault = Fault::new("an array is not closed, or lacks a comma", "read as part of the array above");
                let help = "write `]` after the last element and `,` between two; what follows is checked after that";
                (span, fault.help(help), Harm::Rest)
            }
            "missing comma between array elements" => {
                let fault = Fault::new("elements of an array are separated by `,`", "no comma before this");
                (span, fault.help("write `,` behind the element before"), Harm::Value)
            }
            "extra assignment between key-value pairs" | "missing comma between key-value pairs" => {
                let spreads = unclosed("unclosed inline table");
                let fault = if spreads {
                    Fault::new("a table in `{` is not closed, or lacks a comma", "read as part of the table above")
                        .help("write `}` after the last pair and `,` between two; what follows is checked after that")
                } else {
                    Fault::new("pairs of a table in `{` are separated by `,`", "no comma before this")
                        .help("write `,` behind the value before")
                };
                (span, fault, if spreads { Harm::Rest } else { Harm::Table })
            }
            "missing key for inline table element" if unclosed("unclosed inline table") => {
                let fault = Fault::new("a table in `{` is not closed", "read as part of the table above");
                (span, fault.help("write `}` after the last pair; what follows is checked after that"), Harm::Rest)
            }
            "unexpected key or value" if text.get(span.start..).is_some_and(|rest| rest.starts_with([';', ','])) => {
                (span, Fault::new("the end of its line ends a value", "not needed").help("leave it out"), Harm::Table)
            }
            "unexpected key or value" => {
                let fault = Fault::new("a value ends its line", "something else follows");
                (span, fault.help("write each `key = value` in a line of its own"), Harm::Table)
            }
            "unclosed array" => {
                let fault = Fault::new("an array ends with `]`", "it is missing");
                (span, fault.help("write `]` after the last element; what follows is checked after that"), Harm::Rest)
            }
            "unclosed inline table" => {
                let fault = Fault::new("a table that begins with `{` ends with `}`", "it is missing");
                (span, fault.help("write `}` after the last pair; what follows is checked after that"), Harm::Rest)
            }
            "unclosed table" | "unclosed array table" => {
                let fault = Fault::new("a table's name ends with as many brackets as it begins with", "one is missing");
                (span, fault.help("write `]` here; what follows is checked after that"), Harm::Rest)
            }
            "invalid key-value pair" if line_at(text, span.start).trim_start().starts_with('}') => {
                (span.clone(), no_pair(text, span.start), Harm::Table)
            }
            _ => {
                let label = if expected.is_empty() { String::new() } else { format!("expected {expected}") };
                (span, Fault::new(what, label).help("what TOML allows is said at https://toml.io"), harm_of(what))
            }
        };
        Self { line: line_of(text, span.start), problem: fault.at(span), harm }
    }
}

fn harm_of(what: &str) -> Harm {
    let spreads = ["array", "inline table", "multi-line", "unclosed"];
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

/// What is wrong with a line that is neither a pair nor a header.
fn no_pair(text: &str, offset: usize) -> Fault {
    let fault = Fault::new("a line is `key = value` or the name of a table in brackets", "neither of them");
    let line = line_at(text, offset).lines().next().unwrap_or_default().trim();
    if line.starts_with("//") || line.starts_with(';') {
        fault.help("a comment begins with `#`")
    } else if line.ends_with([';', '{', '}']) {
        fault.help("this looks like nginx's: `weir import nginx.conf` prints the same as TOML")
    } else if let Some((key, value)) =
        line.split_once([':', ' ']).filter(|(key, value)| !key.is_empty() && !value.is_empty())
    {
        fault.help(format!("write `{key} = {}`", as_value(value.trim())))
    } else {
        fault.help("write for example `threads = 4` or `[server]`")
    }
}

/// A word as TOML writes it, whether it is in quotes or not.
fn as_value(word: &str) -> String {
    let number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    if number || matches!(word, "true" | "false") || word.starts_with(['"', '\'', '[', '{']) {
        word.to_owned()
    } else {
        quoted(word)
    }
}

/// From the beginning of the line that `offset` lies in.
fn line_at(text: &str, offset: usize) -> &str {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    text.get(start..).unwrap_or_default()
}

/// The line of the table's header that is the last one up to `offset`, from 1; 0 when there is none.
fn header_line(text: &str, offset: usize) -> usize {
    let lines = text.lines().enumerate().take(line_of(text, offset));
    lines.filter(|(_, line)| line.trim_start().starts_with('[')).last().map_or(0, |(index, _)| index + 1)
}

/// The line that `offset` lies in, from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count() + 1
}
