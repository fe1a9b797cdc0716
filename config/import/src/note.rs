//! What could not be taken over.

use std::collections::HashSet;
use std::fmt;

use crate::tree::{Directive, Place};

/// A directive that is not in the result, or not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where it is written.
    pub place: Place,
    /// Its name, with the words that tell it from others.
    pub directive: String,
    /// Why, and what to do.
    pub why: String,
    /// Whether nothing is lost: weir does the same by itself, or has no use for it.
    pub unneeded: bool,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.directive, self.why)
    }
}

/// The notes of one import; none is there twice.
#[derive(Default)]
pub(crate) struct Notes {
    all: Vec<Note>,
    seen: HashSet<(Place, String, String)>,
}

/// More of a directive tells nobody more.
const SHOWN: usize = 60;

impl Notes {
    /// The directive, or part of it, is not in the result.
    pub(crate) fn lost(&mut self, directive: &Directive, why: impl Into<String>) {
        self.add(directive, why.into(), false);
    }

    /// Nothing is lost with the directive.
    pub(crate) fn unneeded(&mut self, directive: &Directive, why: impl Into<String>) {
        self.add(directive, why.into(), true);
    }

    fn add(&mut self, directive: &Directive, why: String, unneeded: bool) {
        let whole = directive.shown();
        let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
        let mut shown: String = whole.chars().map(plain).take(SHOWN).collect();
        if whole.chars().nth(SHOWN).is_some() {
            shown.push('…');
        }
        if self.seen.insert((directive.place.clone(), shown.clone(), why.clone())) {
            self.all.push(Note { place: directive.place.clone(), directive: shown, why, unneeded });
        }
    }

    /// What was lost with these directives, each with its place.
    pub(crate) fn about<'a>(&self, directives: impl IntoIterator<Item = &'a Directive>) -> Vec<String> {
        let of = |directive: &Directive| {
            let lost = self.all.iter().find(|note| !note.unneeded && note.place == directive.place)?;
            Some(format!("not as in nginx: {} ({})", lost.directive, lost.place))
        };
        directives.into_iter().filter_map(of).collect()
    }

    /// What matters first, each in the order in which nginx reads the files.
    pub(crate) fn into_list(mut self) -> Vec<Note> {
        self.all.sort_by_key(|note| (note.unneeded, note.place.order));
        self.all
    }
}
