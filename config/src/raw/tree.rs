//! What a text says, as a tree of words: to compare two of them.
//!
//! In: TOML. Out: owned values without places; numbers and lists are as they were written, texts without their quotes.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::Value;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    Word(String),
    Table(Branch),
    /// A list of tables with at least one.
    Rows(Vec<Branch>),
}

pub(crate) type Branch = BTreeMap<String, Tree>;

/// The tables of `text`; what cannot be read is left out.
pub(crate) fn tree(text: &str) -> Branch {
    let (table, _) = DeTable::parse_recoverable(text);
    branch(table.get_ref(), text)
}

fn branch(table: &DeTable<'_>, text: &str) -> Branch {
    table.iter().map(|(key, value)| (key.get_ref().to_string(), value_of(value, text))).collect()
}

fn value_of(value: &Value<'_>, text: &str) -> Tree {
    match value.get_ref() {
        DeValue::Table(table) => Tree::Table(branch(table, text)),
        DeValue::String(word) => Tree::Word(word.to_string()),
        DeValue::Array(array) => {
            let rows: Option<Vec<Branch>> = array
                .iter()
                .map(|row| match row.get_ref() {
                    DeValue::Table(table) => Some(branch(table, text)),
                    _ => None,
                })
                .collect();
            match rows.filter(|rows| !rows.is_empty()) {
                Some(rows) => Tree::Rows(rows),
                None => Tree::Word(text.get(value.span()).unwrap_or_default().to_owned()),
            }
        }
        _ => Tree::Word(text.get(value.span()).unwrap_or_default().to_owned()),
    }
}
