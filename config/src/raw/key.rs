//! What keys a table has: the one list that reading, "did you mean" and the reference page share.

use super::Kind;

/// A key of a table, what it holds, and what its absence means.
pub(crate) struct Key<K, A> {
    pub(crate) name: &'static str,
    pub(crate) kind: K,
    pub(crate) absent: A,
    /// One line for the reference page, Markdown.
    pub(crate) meaning: &'static str,
}

/// What a key's absence means for the value read.
pub(crate) trait Absence<T> {
    /// What reading the key gives.
    type Out;
    fn present(value: T) -> Self::Out;
    /// `None` when the key may not be absent.
    fn absent(&self) -> Option<Self::Out>;
    /// What was written, or would be, for the value read; `None` when only its absence says that.
    fn written(out: &Self::Out) -> Option<&T>;
    /// Whether to leave the key out says the same as `value`; `false` as well where that depends on other keys.
    fn is_default(&self, value: &T) -> bool;
    /// The default as the reference page shows it.
    fn describe(&self, show: impl Fn(&T) -> String) -> String;
}

/// The key must be written.
pub(crate) struct Required;

/// An absent key stands for this value.
pub(crate) struct Otherwise<T>(pub(crate) T);

/// An absent key means something that is no value of the key, or depends on others; said in words, Markdown.
pub(crate) struct Optional(pub(crate) fn() -> String);

/// An absent array stands for these values.
pub(crate) struct OtherwiseAll<T: 'static>(pub(crate) &'static [T]);

impl<T> Absence<T> for Required {
    type Out = T;

    fn present(value: T) -> T {
        value
    }

    fn absent(&self) -> Option<T> {
        None
    }

    fn written(out: &T) -> Option<&T> {
        Some(out)
    }

    fn is_default(&self, _: &T) -> bool {
        false
    }

    fn describe(&self, _: impl Fn(&T) -> String) -> String {
        "required".to_owned()
    }
}

impl<T: Clone + PartialEq> Absence<T> for Otherwise<T> {
    type Out = T;

    fn present(value: T) -> T {
        value
    }

    fn absent(&self) -> Option<T> {
        Some(self.0.clone())
    }

    fn written(out: &T) -> Option<&T> {
        Some(out)
    }

    fn is_default(&self, value: &T) -> bool {
        *value == self.0
    }

    fn describe(&self, show: impl Fn(&T) -> String) -> String {
        format!("`{}`", show(&self.0))
    }
}

impl<T> Absence<T> for Optional {
    type Out = Option<T>;

    fn present(value: T) -> Option<T> {
        Some(value)
    }

    fn absent(&self) -> Option<Option<T>> {
        Some(None)
    }

    fn written(out: &Option<T>) -> Option<&T> {
        out.as_ref()
    }

    fn is_default(&self, _: &T) -> bool {
        false
    }

    fn describe(&self, _: impl Fn(&T) -> String) -> String {
        (self.0)()
    }
}

impl<T: Clone + PartialEq> Absence<Vec<T>> for OtherwiseAll<T> {
    type Out = Vec<T>;

    fn present(value: Vec<T>) -> Vec<T> {
        value
    }

    fn absent(&self) -> Option<Vec<T>> {
        Some(self.0.to_vec())
    }

    fn written(out: &Vec<T>) -> Option<&Vec<T>> {
        Some(out)
    }

    fn is_default(&self, value: &Vec<T>) -> bool {
        *value == self.0
    }

    fn describe(&self, show: impl Fn(&Vec<T>) -> String) -> String {
        format!("`{}`", show(&self.0.to_vec()))
    }
}

/// A key as the reference page and "did you mean" see it.
pub(crate) trait Described: Sync {
    fn name(&self) -> &'static str;
    fn shape(&self) -> String;
    fn default(&self) -> String;
    fn meaning(&self) -> &'static str;
}

impl<K: Kind + Sync, A: Absence<K::Out> + Sync> Described for Key<K, A> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn shape(&self) -> String {
        self.kind.shape()
    }

    fn default(&self) -> String {
        self.absent.describe(|value| self.kind.show(value))
    }

    fn meaning(&self) -> &'static str {
        self.meaning
    }
}

/// A key that holds a table or a list of tables.
pub(crate) struct Tables {
    pub(crate) name: &'static str,
    pub(crate) spec: &'static Spec,
    pub(crate) shape: &'static str,
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
}

impl Described for Tables {
    fn name(&self) -> &'static str {
        self.name
    }

    fn shape(&self) -> String {
        self.shape.to_owned()
    }

    fn default(&self) -> String {
        self.default.to_owned()
    }

    fn meaning(&self) -> &'static str {
        self.meaning
    }
}

/// All keys of one table.
pub(crate) struct Spec {
    /// How the table's header is written, such as `[[listener]]`; empty for the whole text.
    pub(crate) header: &'static str,
    pub(crate) keys: &'static [&'static dyn Described],
    /// Keys that are planned, and what they will bring.
    pub(crate) later: &'static [(&'static str, &'static str)],
    /// The table written out, shown to who wrote something else in its place.
    pub(crate) example: &'static str,
    /// What the table is about, for the reference page, Markdown.
    pub(crate) about: &'static str,
}

impl Spec {
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name())
    }

    pub(crate) fn title(&self) -> String {
        if self.header.is_empty() { "the file".to_owned() } else { format!("`{}`", self.header) }
    }

    pub(super) fn how_to_write(&self) -> String {
        format!("write `{}`", self.example)
    }
}
