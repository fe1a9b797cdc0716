//! The only part that knows TOML: a reader that walks the tree by typed keys and never stops at the first mistake.
//!
//! In: a TOML tree with the place of every value. Out: typed values, or [`Reported`] with the reason in the [`Sink`].
//! Why no serde: its errors end the reading, and a file with ten mistakes should cost one run, not ten.

mod key;
mod kind;
mod page;
mod syntax;
mod tree;

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::near::{called_here, called_planned, nearest};
use crate::sink::{Fault, Reported, Sink};

pub(crate) use key::{Absence, Described, Key, Optional, Otherwise, OtherwiseAll, Required, Spec, Tables};
pub(crate) use kind::{Duration, Factor, Flag, Kind, List, Size, Statuses, Text, Whole, Word};
pub(crate) use page::{Page, pair};
pub(crate) use syntax::{Document, line_of};
pub(crate) use tree::{Branch, Tree, tree};

/// Of a table with no more keys than this an example shows most.
const FEW: usize = 3;

/// A TOML value and its place.
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// One table of the text, or the empty one that stands for a table left out.
pub(crate) struct Section<'a> {
    table: Option<&'a DeTable<'a>>,
    span: Range<usize>,
    spec: &'static Spec,
}

/// An element of a list that may be written as text or as a table.
pub(crate) enum Item<'a> {
    Text(&'a str, Range<usize>),
    Table(Section<'a>),
}

impl<'a> Section<'a> {
    /// The whole text; what is missing from it is looked for at `end`.
    pub(crate) fn root(table: &'a DeTable<'a>, end: usize, spec: &'static Spec, sink: &mut Sink) -> Self {
        let section = Self { table: Some(table), span: end..end, spec };
        section.refuse_unknown_keys(sink);
        section
    }

    fn open(value: &'a Value<'a>, name: &str, spec: &'static Spec, sink: &mut Sink) -> Result<Self, Reported> {
        let DeValue::Table(table) = value.get_ref() else {
            let fault = Fault::new(format!("`{name}` is a table"), found(value.get_ref()));
            return Err(sink.wrong(value.span(), fault.help(spec.how_to_write())));
        };
        let section = Self { table: Some(table), span: value.span(), spec };
        section.refuse_unknown_keys(sink);
        Ok(section)
    }

    /// The value of `key`; a missing one is what its [`Absence`] says.
    pub(crate) fn take<K: Kind, A: Absence<K::Out>>(
        &self,
        key: &Key<K, A>,
        sink: &mut Sink,
    ) -> Result<A::Out, Reported> {
        match self.value(key.name) {
            Some(value) => {
                let before = sink.len();
                let read = key.kind.read(key.name, value, sink).map(A::present);
                sink.advise(before, || key.advice());
                read
            }
            None => match key.absent.absent() {
                Some(absent) => Ok(absent),
                None if self.is_misspelt(key.name) => Err(Reported),
                None => {
                    let message = format!("`{}` is missing from {}", key.name, self.spec.title());
                    let fault = Fault::new(message, format!("needs `{}`", key.name));
                    let help = format!("add `{}`: {}", key.name, key.kind.shape());
                    Err(sink.missing(self.span.clone(), fault.help(help)))
                }
            },
        }
    }

    /// The table called `name`; an empty one when it is left out.
    pub(crate) fn table(&self, tables: &Tables, sink: &mut Sink) -> Result<Section<'a>, Reported> {
        match self.value(tables.name) {
            None => Ok(Section { table: None, span: self.span.clone(), spec: tables.spec }),
            Some(value) => Section::open(value, tables.name, tables.spec, sink),
        }
    }

    /// Each table of the list called `name`, in order; those that are no tables are reported and left out.
    pub(crate) fn tables(&self, tables: &Tables, sink: &mut Sink) -> Vec<Section<'a>> {
        let Some(value) = self.value(tables.name) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            let message = format!("`{}` is a list of tables", tables.name);
            let help = match named(value, tables.spec) {
                Some(name) => format!("write `{}` with `name = \"{name}\"`, and so each other", tables.spec.example),
                None => tables.spec.how_to_write(),
            };
            sink.wrong(value.span(), Fault::new(message, found(value.get_ref())).help(help));
            return Vec::new();
        };
        array.iter().filter_map(|value| Section::open(value, tables.name, tables.spec, sink).ok()).collect()
    }

    /// As [`Section::tables`], but one table may stand alone, without brackets.
    pub(crate) fn one_or_more(&self, tables: &Tables, sink: &mut Sink) -> Vec<Section<'a>> {
        match self.value(tables.name) {
            Some(value) if value.get_ref().is_array() => self.tables(tables, sink),
            Some(value) => Section::open(value, tables.name, tables.spec, sink).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Each element of the list called `name`; `None` when there is no such key or it is no list (reported).
    pub(crate) fn items(&self, tables: &Tables, sink: &mut Sink) -> Option<Vec<Result<Item<'a>, Reported>>> {
        let value = self.value(tables.name)?;
        let DeValue::Array(array) = value.get_ref() else {
            let message = format!("`{}` is an array", tables.name);
            sink.wrong(value.span(), list_help(Fault::new(message, found(value.get_ref())), value));
            return None;
        };
        let item = |value: &'a Value<'a>| match value.get_ref() {
            DeValue::String(text) => Ok(Item::Text(text, value.span())),
            DeValue::Table(_) => Section::open(value, tables.name, tables.spec, sink).map(Item::Table),
            other => {
                let message = format!("an element of `{}` is text or a table", tables.name);
                Err(sink.wrong(value.span(), Fault::new(message, found(other)).help(tables.spec.how_to_write())))
            }
        };
        Some(array.iter().map(item).collect())
    }

    /// Whether `name` is not written, and an unknown key that is was probably meant to be it (and is reported).
    pub(crate) fn is_misspelt(&self, name: &str) -> bool {
        let names: Vec<&str> = self.spec.names().collect();
        let mut unknown = self.keys().filter(|key| !names.contains(key));
        !self.has(name) && unknown.any(|key| nearest(key, &names) == Some(name))
    }

    /// Whether `name` is written here.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Whether the table itself is written.
    pub(crate) fn is_written(&self) -> bool {
        self.table.is_some()
    }

    /// The place of the value of `name`, or of the table's header when it is not written.
    pub(crate) fn span(&self, name: &str) -> Range<usize> {
        self.value(name).map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// The place of the key `name` itself, or of the table's header when it is not written.
    pub(crate) fn key_span(&self, name: &str) -> Range<usize> {
        let entry = self.table.and_then(|table| table.get_key_value(name));
        entry.map_or_else(|| self.span.clone(), |(key, _)| key.span())
    }

    /// The place of the table's header.
    pub(crate) fn header_span(&self) -> Range<usize> {
        self.span.clone()
    }

    fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.table.into_iter().flat_map(DeTable::keys).map(|key| &**key.get_ref())
    }

    fn value(&self, name: &str) -> Option<&'a Value<'a>> {
        self.table?.get(name)
    }

    fn refuse_unknown_keys(&self, sink: &mut Sink) {
        for key in self.table.into_iter().flat_map(DeTable::keys) {
            let name: &str = key.get_ref();
            if self.spec.names().any(|known| known == name) {
                continue;
            }
            let planned = called_planned(name).unwrap_or(name);
            let fault = if let Some((_, what)) = self.spec.later.iter().find(|(later, _)| *later == planned) {
                let message = format!("`{name}` comes with a later version of weir");
                Fault::new(message, format!("{what}: not in this version")).help(format!("leave `{name}` out"))
            } else {
                let fault = Fault::new(format!("{} has no key `{name}`", self.spec.title()), "not known here");
                fault.help(self.advice(name))
            };
            sink.wrong(key.span(), fault);
        }
    }

    fn advice(&self, name: &str) -> String {
        let names: Vec<&str> = self.spec.names().collect();
        let is_file = self.spec.header.is_empty();
        // In the file itself keys are tables, and how many brackets they take is what to know of them.
        let header = |name: &str| {
            let headers = [format!("[{name}]"), format!("[[{name}]]")];
            crate::read::SPECS.iter().find(|spec| headers.contains(&spec.header.to_owned())).map(|spec| spec.header)
        };
        if let Some(known) = nearest(name, &names) {
            return format!("did you mean `{}`?", header(known).filter(|_| is_file).unwrap_or(known));
        }
        if let Some(here) = called_here(name) {
            return format!("here it is {here}");
        }
        let elsewhere = crate::read::SPECS.iter().find(|spec| spec.names().any(|known| known == name));
        match (elsewhere, header(name)) {
            (Some(spec), Some(header)) if spec.header.is_empty() => format!("it stands by itself: write `{header}`"),
            (Some(spec), _) => format!("`{name}` belongs to {}", spec.title()),
            (None, _) => {
                let keys = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                // A table that is written in place is best shown so.
                match self.spec.example {
                    example if example.contains(" = {") && names.len() <= FEW => {
                        format!("the keys are {keys}: write for example `{example}`")
                    }
                    _ => format!("the keys are {keys}"),
                }
            }
        }
    }
}

/// The first name in a table of tables by name, `[service.a]`, where a list was expected whose tables have a `name`.
fn named<'a>(value: &'a Value<'_>, spec: &Spec) -> Option<&'a str> {
    let DeValue::Table(table) = value.get_ref() else { return None };
    let (name, inner) = table.iter().next()?;
    let name: &str = name.get_ref();
    let is_name = inner.get_ref().is_table() && !spec.names().any(|known| known == name);
    (is_name && spec.names().any(|known| known == "name")).then_some(name)
}

/// What stands where something else was expected, for the label under the caret.
pub(crate) fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "this is text",
        DeValue::Integer(_) => "this is a whole number",
        DeValue::Float(_) => "this is a decimal number",
        DeValue::Boolean(_) => "this is a boolean",
        DeValue::Datetime(_) => "this is a date or time",
        DeValue::Array(_) => "this is an array",
        DeValue::Table(_) => "this is a table",
    }
}

/// How to write a single value as a list.
fn list_help(fault: Fault, value: &Value<'_>) -> Fault {
    match value.get_ref().as_str() {
        Some(text) => fault.help(format!("write `[\"{text}\"]`")),
        None => fault.help("put it in `[` and `]`, also if it is only one"),
    }
}
