//! What holds in a block: its own directives, and those of the blocks around it.
//!
//! As in nginx, a directive with one value is inherited unless the inner block has it too, and of directives that may stand
//! several times either all are inherited or, when the inner block has one of them, none.

use std::collections::HashMap;

use crate::note::Notes;
use crate::tree::Directive;
use crate::value::{bytes, millis};
use crate::variables::constant;
use crate::words::{Fate, INHERITED, INHERITED_LISTS, fate};

/// The directives that hold in a block.
#[derive(Clone, Default)]
pub(crate) struct Scope {
    one: HashMap<String, Directive>,
    many: HashMap<&'static str, Vec<Directive>>,
    /// What `set` gave constants to.
    pub(crate) constants: HashMap<String, String>,
}

/// Which of the lists a directive belongs to, if any. Two names are one list where nginx inherits them together.
fn list_of(name: &str) -> Option<&'static str> {
    match name {
        "deny" => Some("allow"),
        _ if name.starts_with("access_by_lua") || name.starts_with("rewrite_by_lua") => Some(LUA),
        _ => INHERITED_LISTS.iter().find(|list| **list == name).copied(),
    }
}

/// The list of programs that may refuse a request.
pub(crate) const LUA: &str = "access_by_lua";

impl Scope {
    /// What holds in a block with these directives inside of this one. Notes what weir has no use or no equivalent for.
    pub(crate) fn inner(&self, directives: &[Directive], notes: &mut Notes) -> Self {
        let mut inner = self.clone();
        let mut own: HashMap<&'static str, Vec<Directive>> = HashMap::new();
        for directive in directives {
            let name = directive.name.as_str();
            if let Some(list) = list_of(name) {
                own.entry(list).or_default().push(directive.clone());
            } else if INHERITED.contains(&name) || name == "ssl_verify_client" {
                inner.one.insert(name.to_owned(), directive.clone());
            } else if name == "set" {
                inner.set(directive, notes);
            }
            note(directive, notes);
        }
        inner.many.extend(own);
        inner
    }

    fn set(&mut self, directive: &Directive, notes: &mut Notes) {
        let name = directive.word(0).trim_start_matches('$').to_owned();
        if let Some(value) = constant(directive.word(1), &self.constants) {
            self.constants.insert(name, value);
        } else {
            self.constants.remove(&name);
            notes.lost(directive, "weir has no variables of one's own; constants are put where they are used");
        }
    }

    /// A directive with one value.
    pub(crate) fn get(&self, name: &str) -> Option<&Directive> {
        self.one.get(name)
    }

    /// All of a list.
    pub(crate) fn all(&self, name: &str) -> &[Directive] {
        self.many.get(name).map_or(&[], Vec::as_slice)
    }

    /// The value of a directive that holds a time, in milliseconds.
    pub(crate) fn millis(&self, name: &str, notes: &mut Notes) -> Option<u64> {
        self.read(name, millis, notes)
    }

    /// The value of a directive that holds a size, in bytes.
    pub(crate) fn bytes(&self, name: &str, notes: &mut Notes) -> Option<u64> {
        self.read(name, bytes, notes)
    }

    /// Whether a directive is written and says so.
    pub(crate) fn says(&self, name: &str, word: &str) -> bool {
        self.get(name).is_some_and(|directive| directive.word(0) == word)
    }

    fn read(&self, name: &str, parse: fn(&str) -> Option<u64>, notes: &mut Notes) -> Option<u64> {
        let directive = self.get(name)?;
        let value = parse(directive.word(0));
        if value.is_none() {
            notes.lost(directive, format!("`{}` is no such amount", directive.word(0)));
        }
        value
    }
}

/// Notes what becomes of a directive that is not read anywhere.
fn note(directive: &Directive, notes: &mut Notes) {
    let name = directive.name.as_str();
    let is_off = directive.words.len() == 1 && directive.word(0) == "off";
    let by_default = if name.starts_with("proxy_pass_request_") { directive.word(0) == "on" } else { is_off };
    match fate(name) {
        Fate::Read => {}
        Fate::Lost(_) if by_default => notes.unneeded(directive, "as in weir"),
        Fate::Lost(why) => notes.lost(directive, why),
        Fate::Unneeded(why) => notes.unneeded(directive, why),
    }
}
