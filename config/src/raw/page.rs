//! A configuration written out: keys and tables, each as its definition says, with a comment where a default holds.
//!
//! In: definitions and values, table by table. Out: TOML that reads as those values.
//! Cost: one string that grows; 2 ms for 5,000 endpoints.

use super::{Absence, Key, Kind, Tables};

/// TOML as far as it is written.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
}

/// Where comments behind values begin; longer lines have theirs one blank behind them.
const COMMENTS: usize = 30;

impl Page {
    pub(crate) fn new(introduction: &str) -> Self {
        Self { text: introduction.to_owned() }
    }

    /// Begins a table, with its header as in [`super::Spec::header`].
    pub(crate) fn table(&mut self, header: &str) {
        self.text.push('\n');
        self.line(header);
    }

    /// Says that a table is left out, and what that means.
    pub(crate) fn no_table(&mut self, tables: &Tables) {
        self.line(&format!("# {}: {}", tables.name, tables.default));
    }

    /// A key and what was read from it.
    pub(crate) fn key<K: Kind, A: Absence<K::Out>>(&mut self, key: &Key<K, A>, value: &A::Out) {
        match A::written(value) {
            Some(value) => self.pair(key, value, key.absent.is_default(value)),
            None => self.line(&format!("# {}: {}", key.name, key.absent.describe(|value| key.kind.show(value)))),
        }
    }

    /// A key whose default depends on other keys, and which would be `default` beside these.
    pub(crate) fn settled<K: Kind, A: Absence<K::Out>>(&mut self, key: &Key<K, A>, value: &K::Out, default: &K::Out)
    where
        K::Out: PartialEq,
    {
        self.pair(key, value, value == default);
    }

    /// An array of tables written in place, a line for each.
    pub(crate) fn array(&mut self, name: &str, rows: impl IntoIterator<Item = String>) {
        self.line(&format!("{name} = ["));
        for row in rows {
            self.line(&format!("  {row},"));
        }
        self.line("]");
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn pair<K: Kind, A>(&mut self, key: &Key<K, A>, value: &K::Out, is_default: bool) {
        let pair = pair(key, value);
        if is_default {
            self.line(&format!("{pair:<COMMENTS$} # default"));
        } else {
            self.line(&pair);
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// A key and its value, as they stand in a table that is written in place.
pub(crate) fn pair<K: Kind, A>(key: &Key<K, A>, value: &K::Out) -> String {
    format!("{} = {}", key.name, key.kind.show(value))
}
